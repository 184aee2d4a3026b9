//! Waiting for what a test needs next: on watches, never by sleeping, and never without an end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, select_all};
use meridian_consensus::{Leadership, NodeName};
use meridian_model::{ErrorCode, Region, ServiceError};
use meridian_state::RegionState;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cluster::Cluster;
use crate::place::Place;

/// Long enough for a busy machine; reached only by tests that fail.
pub const PATIENCE: Duration = Duration::from_secs(30);

impl Cluster {
    /// The running node that leads `region` now, if any: of several that think so the one with the highest term.
    #[must_use]
    pub fn leader_of(&self, region: &Region) -> Option<NodeName> {
        let standing = |name: &NodeName| *self.group(name).leadership().borrow();
        let leading = self.running(region).into_iter().filter(|name| standing(name).am_leader);
        leading.max_by_key(|name| standing(name).term)
    }

    /// The leader of `region`, as soon as there is one.
    ///
    /// # Panics
    /// If nobody leads in time.
    pub async fn await_leader(&self, region: &Region) -> NodeName {
        self.await_leader_among(&self.running(region)).await
    }

    /// The leader, as soon as one of `nodes` leads.
    ///
    /// # Panics
    /// If nobody leads in time.
    pub async fn await_leader_among(&self, nodes: &[NodeName]) -> NodeName {
        let leads = |standing: &Leadership| standing.am_leader;
        let waits = nodes.iter().map(|name| {
            let mut leadership = self.group(name).leadership();
            Box::pin(async move { leadership.wait_for(leads).await.is_ok().then(|| name.clone()) })
        });
        let led = timeout(PATIENCE, select_all(waits)).await;
        let (leader, ..) = led.unwrap_or_else(|_| panic!("none of {nodes:?} leads within {PATIENCE:?}"));
        leader.expect("a running node keeps its watch open")
    }

    /// Waits until every one of `nodes` knows who leads, and that it is the same node; gives that node.
    ///
    /// # Panics
    /// If they do not agree in time.
    pub async fn await_agreement(&self, nodes: &[NodeName]) -> NodeName {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut watches: Vec<_> = nodes.iter().map(|name| self.group(name).leadership()).collect();
            let known: Vec<_> = watches.iter_mut().map(|watch| watch.borrow_and_update().leader).collect();
            let agreed = nodes.iter().find(|name| known.iter().all(|leader| *leader == Some(name.node)));
            if let Some(leader) = agreed {
                return leader.clone();
            }
            let changes = watches.iter_mut().map(|watch| Box::pin(watch.changed()));
            let heard = timeout_at(until, select_all(changes)).await;
            assert!(heard.is_ok(), "{nodes:?} agree on a leader within {PATIENCE:?}; they know {known:?}");
        }
    }

    /// Waits until the state of every running node of `place` is as `expected`; `what` says how that is.
    ///
    /// # Panics
    /// If that does not happen in time.
    pub async fn await_state(&self, place: impl Into<Place>, what: &str, expected: impl Fn(&RegionState) -> bool) {
        let expected = &expected;
        let waits = self.running(place).into_iter().map(|name| self.await_state_of_node(name, what, expected));
        join_all(waits).await;
    }

    async fn await_state_of_node(&self, name: NodeName, what: &str, expected: impl Fn(&RegionState) -> bool) {
        let group = self.group(&name);
        let mut applied = group.applied();
        let until = Instant::now() + PATIENCE;
        loop {
            applied.borrow_and_update();
            if expected(&group.state()) {
                return;
            }
            let changed = timeout_at(until, applied.changed()).await;
            assert!(matches!(changed, Ok(Ok(()))), "{name}: not within {PATIENCE:?}, or it stopped before: {what}");
        }
    }

    /// Makes every running node of `region` apply everything that was acknowledged before the call.
    ///
    /// # Panics
    /// If one cannot in time.
    pub async fn await_current(&self, region: &Region) {
        let until = Instant::now() + PATIENCE;
        let barriers = self.running(region).into_iter().map(|name| async move {
            let current = self.group(&name).read_barrier(until).await;
            current.unwrap_or_else(|error| panic!("{name} does not catch up: {error}"));
        });
        join_all(barriers).await;
    }

    /// Waits until nothing is under way between Regions, or from a Region to its audit trail.
    ///
    /// # Panics
    /// If that does not happen in time.
    pub async fn await_quiet(&self) {
        let regions = self.regions();
        let is_empty = |state: &RegionState| regions.iter().all(|region| state.outbox_for(region).next().is_none());
        self.await_state(Place::Everywhere, "every outbox is empty", is_empty).await;
    }

    /// The newest state of a running node.
    #[must_use]
    pub fn state(&self, name: &NodeName) -> Arc<RegionState> {
        self.group(name).state()
    }

    /// Asserts that all running nodes of `region` hold equal rows, byte for byte, and gives their number.
    ///
    /// # Panics
    /// If they do not come to.
    pub async fn assert_equal_rows(&self, region: &Region) -> usize {
        let nodes = self.running(region);
        let until = Instant::now() + PATIENCE;
        loop {
            self.await_current(region).await;
            let rows: Vec<Vec<_>> = nodes.iter().map(|name| self.state(name).rows().collect()).collect();
            if rows.iter().all(|of_node| of_node == &rows[0]) {
                return rows[0].len();
            }
            // Commands of links and of the scheduler may come between two reads; nodes that differ for good never agree.
            let indexes: Vec<u64> = nodes.iter().map(|name| *self.group(name).applied().borrow()).collect();
            assert!(Instant::now() < until, "{nodes:?} at {indexes:?} hold different rows");
        }
    }
}

/// Repeats what a client may repeat, until it is not refused with a retryable error any more.
///
/// # Panics
/// If every attempt is refused until patience ends.
///
/// # Errors
/// The first error that is not retryable.
pub async fn retried<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, ServiceError>
where
    F: Future<Output = Result<T, ServiceError>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(error) if error.is_retryable() => {
                assert!(Instant::now() < until, "still refused after {PATIENCE:?}: {}: {error}", error.code);
                tokio::task::yield_now().await;
            }
            outcome => return outcome,
        }
    }
}

/// Asserts that `outcome` is the refusal `code`.
///
/// # Panics
/// If it is anything else.
#[track_caller]
pub fn assert_refused<T>(outcome: Result<T, ServiceError>, code: ErrorCode) {
    match outcome {
        Ok(_) => panic!("not refused; expected {code}"),
        Err(error) => assert_eq!(error.code, code, "{error}"),
    }
}
