//! The network between nodes, in the hands of a test.
//!
//! A message that is *cut* is lost, and its sender learns that at once, as from a refused connection. One that is *held*
//! waits, as in front of a process that was stopped: its sender learns by its own time limit. Both can be one-way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use meridian_consensus::{Cut, FaultGate, NodeName};
use tokio::sync::watch;

use crate::Seed;
use crate::place::Place;

/// Every message between two nodes passes here, requests and answers alike.
pub struct Switchboard {
    rules: watch::Sender<Rules>,
    seed: Seed,
    jitter: Mutex<BTreeMap<(NodeName, NodeName), Seed>>,
}

/// What happens to messages now.
#[derive(Clone, Debug, Default)]
struct Rules {
    cuts: Vec<Way>,
    delays: Vec<(Way, Delay)>,
    paused: Vec<Place>,
}

/// From a place to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    from: Place,
    to: Place,
}

#[derive(Clone, Copy, Debug)]
struct Delay {
    least: Duration,
    jitter: Duration,
}

impl Way {
    fn matches(&self, from: &NodeName, to: &NodeName) -> bool {
        from != to && self.from.contains(from) && self.to.contains(to)
    }
}

impl Rules {
    fn is_cut(&self, from: &NodeName, to: &NodeName) -> bool {
        self.cuts.iter().any(|way| way.matches(from, to))
    }

    fn is_held(&self, from: &NodeName, to: &NodeName) -> bool {
        from != to && self.paused.iter().any(|place| place.contains(from) || place.contains(to))
    }

    /// The newest rule wins.
    fn delay(&self, from: &NodeName, to: &NodeName) -> Option<Delay> {
        self.delays.iter().rev().find(|(way, _)| way.matches(from, to)).map(|(_, delay)| *delay)
    }
}

impl Switchboard {
    /// A network without faults, whose jitter follows from `seed`.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self { rules: watch::Sender::default(), seed: seed.of("switchboard"), jitter: Mutex::default() }
    }

    /// Loses everything between `one` and `other`, both ways.
    pub fn partition(&self, one: impl Into<Place>, other: impl Into<Place>) {
        let (one, other) = (one.into(), other.into());
        self.cut(one.clone(), other.clone());
        self.cut(other, one);
    }

    /// Loses everything from `from` to `to`.
    pub fn cut(&self, from: impl Into<Place>, to: impl Into<Place>) {
        let way = Way { from: from.into(), to: to.into() };
        self.rules.send_modify(|rules| rules.cuts.push(way));
    }

    /// Loses everything between `place` and everybody outside of it, and between the nodes in it.
    pub fn isolate(&self, place: impl Into<Place>) {
        self.partition(place, Place::Everywhere);
    }

    /// Lets everything pass again that was cut. Delays and pauses stay.
    pub fn heal(&self) {
        self.rules.send_modify(|rules| rules.cuts.clear());
    }

    /// Makes everything from `from` to `to` take `least` and up to `jitter` more.
    pub fn delay(&self, from: impl Into<Place>, to: impl Into<Place>, least: Duration, jitter: Duration) {
        let way = Way { from: from.into(), to: to.into() };
        self.rules.send_modify(|rules| rules.delays.push((way, Delay { least, jitter })));
    }

    /// Takes all delays away, for messages to come.
    pub fn clear_delays(&self) {
        self.rules.send_modify(|rules| rules.delays.clear());
    }

    /// Holds everything to and from `place` until [`Switchboard::resume`].
    pub fn pause(&self, place: impl Into<Place>) {
        let place = place.into();
        self.rules.send_modify(|rules| rules.paused.push(place));
    }

    /// Lets pass what [`Switchboard::pause`] holds.
    pub fn resume(&self, place: impl Into<Place>) {
        let place = place.into();
        self.rules.send_modify(|rules| rules.paused.retain(|paused| *paused != place));
    }

    fn time(&self, delay: Delay, from: &NodeName, to: &NodeName) -> Duration {
        let Some(bound) = u64::try_from(delay.jitter.as_micros()).ok().filter(|bound| *bound > 0) else {
            return delay.least;
        };
        let mut jitter = self.jitter();
        let pair = jitter.entry((from.clone(), to.clone())).or_insert_with(|| self.seed.of(&format!("{from}-{to}")));
        delay.least + Duration::from_micros(pair.below(bound))
    }

    fn jitter(&self) -> MutexGuard<'_, BTreeMap<(NodeName, NodeName), Seed>> {
        self.jitter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while messages between the two are held; tells whether they are cut.
    async fn wait_until_free(&self, from: &NodeName, to: &NodeName) -> Result<(), Cut> {
        let mut rules = self.rules.subscribe();
        let free = rules.wait_for(|rules| !rules.is_held(from, to)).await.map_err(|_| Cut)?;
        if free.is_cut(from, to) { Err(Cut) } else { Ok(()) }
    }
}

impl fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switchboard").field("rules", &*self.rules.borrow()).finish_non_exhaustive()
    }
}

#[async_trait]
impl FaultGate for Switchboard {
    async fn pass(&self, from: &NodeName, to: &NodeName) -> Result<(), Cut> {
        self.wait_until_free(from, to).await?;
        let delay = self.rules.borrow().delay(from, to);
        if let Some(delay) = delay {
            tokio::time::sleep(self.time(delay, from, to)).await;
            self.wait_until_free(from, to).await?; // what is under way when the line is cut is lost too
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use tokio::time::Instant;

    use super::*;
    use crate::place::{node, region};

    fn switchboard() -> Switchboard {
        Switchboard::new(Seed::new(1))
    }

    #[tokio::test(start_paused = true)]
    async fn cuts_are_one_way_and_heal() {
        let (east, west) = (region("us-east-1"), region("us-west-2"));
        let (a, b, c) = (node(&east, 1), node(&west, 1), node(&east, 2));
        let board = switchboard();
        board.cut(&east, &west);
        assert_eq!(board.pass(&a, &b).await, Err(Cut));
        assert_eq!(board.pass(&b, &a).await, Ok(()));
        assert_eq!(board.pass(&a, &c).await, Ok(()));
        board.isolate(&c);
        assert_eq!(board.pass(&a, &c).await, Err(Cut));
        assert_eq!(board.pass(&b, &c).await, Err(Cut));
        assert_eq!(board.pass(&c, &c).await, Ok(()));
        board.heal();
        assert_eq!(board.pass(&a, &b).await, Ok(()));
        assert_eq!(board.pass(&c, &b).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn delays_follow_from_the_seed_and_stay_in_their_bounds() {
        let east = region("us-east-1");
        let (a, b) = (node(&east, 1), node(&east, 2));
        let (least, jitter) = (Duration::from_millis(10), Duration::from_millis(5));
        let mut runs = Vec::new();
        for _ in 0..2 {
            let board = switchboard();
            board.delay(&a, &b, least, jitter);
            let mut times = Vec::new();
            for _ in 0..20 {
                let start = Instant::now();
                board.pass(&a, &b).await.expect("not cut");
                times.push(start.elapsed());
            }
            assert!(times.iter().all(|time| (least..=least + jitter).contains(time)), "{times:?}");
            assert!(times.iter().any(|time| time != &times[0]), "{times:?}");
            assert_eq!(board.pass(&b, &a).now_or_never(), Some(Ok(())), "the other way is not delayed");
            runs.push(times);
        }
        assert_eq!(runs[0], runs[1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_under_way_is_lost_when_the_line_is_cut() {
        let east = region("us-east-1");
        let (a, b) = (node(&east, 1), node(&east, 2));
        let board = Arc::new(switchboard());
        board.delay(&a, &b, Duration::from_secs(1), Duration::ZERO);
        let (sending, ends) = (Arc::clone(&board), (a.clone(), b));
        let message = tokio::spawn(async move { sending.pass(&ends.0, &ends.1).await });
        tokio::time::advance(Duration::from_millis(500)).await;
        board.isolate(&a);
        assert_eq!(message.await.expect("no panic"), Err(Cut));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_node_holds_messages_until_it_goes_on() {
        let east = region("us-east-1");
        let (a, b) = (node(&east, 1), node(&east, 2));
        let board = switchboard();
        board.pause(&b);
        let mut message = std::pin::pin!(board.pass(&a, &b));
        assert_eq!(message.as_mut().now_or_never(), None);
        assert_eq!(board.pass(&b, &a).now_or_never(), None);
        board.resume(&b);
        assert_eq!(message.now_or_never(), Some(Ok(())));
    }
}
