//! How old a node's applied state can be at most, without asking anybody.
//!
//! Every answer to the leader carries a reading of this node's own clock; the leader gives the newest one back
//! with its next message, together with its applied index and how long ago a quorum confirmed it. Whatever was
//! acknowledged to a client before (that reading minus that age) is at or below that index. Once this node has
//! applied the index, its state is as fresh as that moment. Two clocks are never compared, a delayed message makes
//! the state look older and never newer, and a leader that lost its quorum makes nobody fresh.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::proto::{Echo, Standing};

/// Moments that wait for their index to be applied. More are pointless: the oldest is forgotten.
const WAITING_MAX: usize = 64;

/// What a node knows about its own freshness.
#[derive(Debug)]
pub(crate) struct Freshness {
    run: u64,
    started: Instant,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    fresh_as_of: Option<Instant>,
    waiting: VecDeque<(Instant, u64)>,
}

impl Freshness {
    /// `run` names this run of the process: readings of an earlier one are worthless.
    pub(crate) fn new(run: u64) -> Self {
        Self { run, started: Instant::now(), known: Mutex::default() }
    }

    /// This node's clock, for the leader to give back.
    pub(crate) fn reading(&self) -> Echo {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Echo { run: self.run, micros }
    }

    /// The leader's message, accepted: `echo` is a reading of ours, `standing` what the leader knew after it got it.
    pub(crate) fn heard(&self, echo: Option<Echo>, standing: Option<Standing>) {
        let (Some(echo), Some(standing)) = (echo, standing) else { return };
        if echo.run != self.run {
            return;
        }
        let since_start = echo.micros.checked_sub(standing.quorum_age_micros).map(Duration::from_micros);
        if let Some(as_of) = since_start.and_then(|since| self.started.checked_add(since)) {
            self.expect(as_of, standing.applied);
        }
    }

    /// Once `index` is applied, the state is as fresh as `as_of`.
    pub(crate) fn expect(&self, as_of: Instant, index: u64) {
        let mut known = self.lock();
        if known.waiting.len() == WAITING_MAX {
            known.waiting.pop_front();
        }
        known.waiting.push_back((as_of, index));
    }

    /// How old the state with `applied` can be at most; `None` if nothing is known.
    pub(crate) fn age(&self, applied: u64) -> Option<Duration> {
        let mut known = self.lock();
        let mut newest = known.fresh_as_of;
        known.waiting.retain(|(as_of, index)| {
            let reached = *index <= applied;
            if reached {
                newest = newest.max(Some(*as_of));
            }
            !reached
        });
        known.fresh_as_of = newest;
        newest.map(|as_of| as_of.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(age: Duration, applied: u64) -> Standing {
        Standing { quorum_age_micros: u64::try_from(age.as_micros()).unwrap(), applied }
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_as_fresh_as_what_it_has_applied() {
        let freshness = Freshness::new(1);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(freshness.age(5), None);
        freshness.heard(Some(freshness.reading()), Some(standing(Duration::from_millis(30), 6)));
        assert_eq!(freshness.age(5), None, "entry 6 is not applied yet");
        tokio::time::advance(Duration::from_millis(70)).await;
        assert_eq!(freshness.age(6), Some(Duration::from_millis(100)));
        freshness.heard(Some(freshness.reading()), Some(standing(Duration::ZERO, 9)));
        assert_eq!(freshness.age(6), Some(Duration::from_millis(100)), "entry 9 is not applied yet");
        assert_eq!(freshness.age(9), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_without_quorum_makes_nobody_fresh() {
        let freshness = Freshness::new(1);
        tokio::time::advance(Duration::from_secs(10)).await;
        freshness.heard(Some(freshness.reading()), None);
        assert_eq!(freshness.age(u64::MAX), None);
        freshness.heard(Some(freshness.reading()), Some(standing(Duration::from_secs(5), 1)));
        assert_eq!(freshness.age(1), Some(Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn readings_of_an_earlier_run_are_worthless() {
        let freshness = Freshness::new(2);
        tokio::time::advance(Duration::from_secs(10)).await;
        freshness.heard(Some(Echo { run: 1, micros: 9_000_000 }), Some(standing(Duration::ZERO, 1)));
        freshness.heard(Some(Echo { run: 2, micros: 1_000 }), Some(standing(Duration::from_secs(1), 1)));
        assert_eq!(freshness.age(1), None);
    }
}
