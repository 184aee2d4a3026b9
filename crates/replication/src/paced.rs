//! Frames on their way out: each one passes the fault gate, and they leave in the order in which they came.
//!
//! A gate that delays holds every frame for its own time, so a delayed link is slow but not narrow. A gate that cuts
//! ends the stream, and with it the session.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::wire::LinkFrame;
use meridian_consensus::{Cut, FaultGate, NodeName};

/// The frames of `frames` once `gate` lets them pass from `from` to `to`; ends with the first that it does not.
pub(crate) fn gated(
    frames: mpsc::Receiver<LinkFrame>,
    gate: Arc<dyn FaultGate>,
    from: NodeName,
    to: NodeName,
) -> impl Stream<Item = Result<LinkFrame, Cut>> + Send + 'static {
    let ends = Arc::new((from, to));
    ReceiverStream::new(frames)
        .map(move |frame| {
            let (gate, ends) = (Arc::clone(&gate), Arc::clone(&ends));
            async move { gate.pass(&ends.0, &ends.1).await.map(|()| frame) }
        })
        .buffered(FRAMES_ON_THE_WAY_MAX)
        .scan(false, |is_cut, passed| {
            let ended = std::mem::replace(is_cut, passed.is_err());
            std::future::ready((!ended).then_some(passed))
        })
}

/// Frames that one link delays at the same time; more wait in the bounded channel before.
const FRAMES_ON_THE_WAY_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use tokio::time::Instant;

    use super::*;
    use crate::wire::Ack;
    use meridian_consensus::NodeId;

    struct Slow {
        passed: AtomicU64,
        cut_after: u64,
    }

    #[async_trait]
    impl FaultGate for Slow {
        async fn pass(&self, _: &NodeName, _: &NodeName) -> Result<(), Cut> {
            let number = self.passed.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(if number.is_multiple_of(2) { 100 } else { 20 })).await;
            if number < self.cut_after { Ok(()) } else { Err(Cut) }
        }
    }

    fn name(region: &str) -> NodeName {
        NodeName { region: region.parse().expect("valid"), node: NodeId(1) }
    }

    async fn passed(frames: u64, cut_after: u64) -> (Vec<Option<u64>>, Duration) {
        let gate = Arc::new(Slow { passed: AtomicU64::new(0), cut_after });
        let (send, receive) = mpsc::channel(256);
        for last_applied in 0..frames {
            send.try_send(LinkFrame::new(Ack { last_applied })).expect("room");
        }
        drop(send);
        let start = Instant::now();
        let out = gated(receive, gate, name("us-east-1"), name("us-west-2"))
            .map(|passed| match passed.ok()?.body? {
                crate::wire::link_frame::Body::Ack(ack) => Some(ack.last_applied),
                _ => None,
            })
            .collect()
            .await;
        (out, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_frames_keep_their_order_and_do_not_wait_for_each_other() {
        let (frames, took) = passed(200, u64::MAX).await;
        assert_eq!(frames, (0..200).map(Some).collect::<Vec<_>>());
        assert!(took < Duration::from_millis(110), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_ends_the_stream() {
        let (frames, _) = passed(10, 3).await;
        assert_eq!(frames, [Some(0), Some(1), Some(2), None]);
    }
}
