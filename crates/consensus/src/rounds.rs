//! Many callers, one question: asking once answers everybody who was waiting when the question went out.
//!
//! Always true: a caller gets the answer to a question that was asked after the caller came. That is what a read
//! index needs: an older answer could miss a write that the caller already knows of.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

/// Callers that may wait for the next round; more are held back at the door.
const WAITING_MAX: usize = 4096;

/// The door to a task that asks in rounds.
#[derive(Debug)]
pub(crate) struct Rounds<T> {
    door: mpsc::Sender<oneshot::Sender<T>>,
}

impl<T: Clone + Send + 'static> Rounds<T> {
    /// Starts the task; it ends when the door is dropped.
    pub(crate) fn start<F>(ask: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = T> + Send,
    {
        let (door, mut waiting) = mpsc::channel::<oneshot::Sender<T>>(WAITING_MAX);
        tokio::spawn(async move {
            let mut round = Vec::new();
            while waiting.recv_many(&mut round, WAITING_MAX).await > 0 {
                let answer = ask().await;
                for caller in round.drain(..) {
                    // A caller whose deadline passed has gone away.
                    let _ = caller.send(answer.clone());
                }
            }
        });
        Self { door }
    }

    /// Takes part in the next round; `None` if the task has ended.
    pub(crate) async fn ask(&self) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.door.send(sender).await.ok()?;
        answer.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn callers_share_rounds_that_began_after_them() {
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        let rounds = Arc::new(Rounds::start(move || {
            let counter = Arc::clone(&counter);
            async move {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                number
            }
        }));
        let calls = (0..100).map(|_| {
            let (rounds, asked) = (Arc::clone(&rounds), Arc::clone(&asked));
            tokio::spawn(async move {
                let before = asked.load(Ordering::SeqCst);
                assert!(rounds.ask().await.unwrap() >= before, "the question is older than the caller");
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
        assert!(asked.load(Ordering::SeqCst) < 50, "hardly anybody shared a round");
    }
}
