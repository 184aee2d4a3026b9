//! Reading and checking rows on one thread while the state is made of them on another: a start with many rows is
//! bound by the slower of the two, not by both.

use std::sync::mpsc::sync_channel;

/// Rows handed over at once.
const BATCH: usize = 512;
/// Batches that may wait.
const WAITING: usize = 16;

/// Runs `consume` over what `items` yields on a thread of its own.
///
/// A consumer that stops early ends the thread. A panic of either side is a panic here.
pub(crate) fn read_ahead<T: Send, R>(
    mut items: impl Iterator<Item = T> + Send,
    consume: impl FnOnce(&mut dyn Iterator<Item = T>) -> R,
) -> R {
    std::thread::scope(|scope| {
        let (sender, batches) = sync_channel(WAITING);
        let reader = scope.spawn(move || {
            loop {
                let batch: Vec<T> = items.by_ref().take(BATCH).collect();
                if batch.is_empty() || sender.send(batch).is_err() {
                    return;
                }
            }
        });
        let result = consume(&mut batches.into_iter().flatten());
        if let Err(panic) = reader.join() {
            std::panic::resume_unwind(panic);
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order() {
        let sum = read_ahead(0..100_000_u64, |items| items.enumerate().all(|(at, item)| at as u64 == item));
        assert!(sum);
    }

    #[test]
    fn a_consumer_may_stop_early() {
        assert_eq!(read_ahead(0..1_000_000, |items| items.nth(3)), Some(3));
    }

    #[test]
    fn a_panic_of_the_reader_is_seen() {
        let items = (0..10).map(|item| if item == 7 { panic!("broken row") } else { item });
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read_ahead(items, |items| items.count())));
        assert!(result.is_err());
    }
}
