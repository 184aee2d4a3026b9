//! What is known about the links of this node: for operators, for tests that wait for a state, and for metrics.
//!
//! A node that does not lead its Region has links in neither direction; its status says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use meridian_model::{Region, Timestamp};
use meridian_state::{LinkCursor, RegionState};
use tokio::sync::watch;

use crate::wire::Reason;
use meridian_consensus::NodeId;

/// Both directions between this Region and another one, as this node knows them.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The other Region.
    pub peer: Region,
    /// Messages that wait in the outbox for the other Region, sent or not.
    pub outbox: u64,
    /// When the oldest of them was committed; `None` if the outbox is empty.
    pub waiting_since: Option<Timestamp>,
    /// From here to there.
    pub outgoing: OutgoingStatus,
    /// From there to here.
    pub incoming: IncomingStatus,
}

/// The link to another Region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutgoingStatus {
    /// Whether this node, as leader, has a session.
    pub connected: bool,
    /// The node at the other end of the newest session.
    pub peer_leader: Option<NodeId>,
    /// Sequence number of the newest message known to be applied over there.
    pub last_acked: u64,
    /// Messages sent and not yet acknowledged.
    pub in_flight: usize,
    /// Time from a heartbeat to its answer, over the network and back.
    pub round_trip: Option<Duration>,
    /// Sessions begun so far.
    pub sessions: u64,
    /// What ended the newest session, or keeps one from beginning; `None` while connected.
    pub problem: Option<LinkProblem>,
}

/// The link from another Region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncomingStatus {
    /// Whether this node, as leader, has a session.
    pub connected: bool,
    /// The node at the other end of the newest session.
    pub peer_leader: Option<NodeId>,
    /// Sequence number of the newest message applied here.
    pub last_applied: u64,
    /// Everything that the other Region committed before this time is applied here.
    pub complete_as_of: Option<Timestamp>,
    /// Lag of the newest 1,024 envelopes and heartbeats.
    pub lag: LagSummary,
    /// Envelopes refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Envelopes that had been applied before.
    pub duplicates: u64,
}

/// Lag: time from the commit over there until it was applied here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LagSummary {
    /// Number of samples.
    pub samples: usize,
    /// Mean.
    pub mean: Duration,
    /// Half of the samples are not above this.
    pub p50: Duration,
    /// 99 of 100 samples are not above this.
    pub p99: Duration,
}

/// Why a link does not carry messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkProblem {
    /// No node could be connected to, or the connection broke.
    #[error("no connection to the other Region")]
    Disconnected,
    /// Nothing was heard for too long.
    #[error("the other Region fell silent")]
    Silent,
    /// The other Region has no leader, or nobody knows it.
    #[error("the other Region has no leader just now")]
    NoLeader,
    /// The other Region refused.
    #[error("the other Region refused: {}", .0.label())]
    Refused(Reason),
    /// The other Region did not keep to the protocol.
    #[error("the other Region broke the protocol: {0}")]
    PeerProtocol(&'static str),
    /// This node cannot open key material.
    #[error("this node cannot open the key material to send")]
    CannotOpenMaterial,
    /// The other Region asks for messages that are no longer here: it lost state that it had confirmed.
    #[error("the other Region has applied {applied} messages, but the oldest one kept is {oldest}")]
    PeerLostState {
        /// What it says it has applied.
        applied: u64,
        /// The oldest message of the outbox.
        oldest: u64,
    },
    /// The other Region has applied messages that this one never sent: this one lost state.
    #[error("the other Region has applied {applied} messages, but only {sent} were ever sent")]
    LostState {
        /// What it says it has applied.
        applied: u64,
        /// The newest message that this Region knows of.
        sent: u64,
    },
    /// This node cannot sign or draw random bytes.
    #[error("the operating system's random number generator failed")]
    NoRandomness,
}

/// The status of one link pair, kept up to date by the tasks of the link.
#[derive(Debug)]
pub(crate) struct LinkBoard {
    pub(crate) outgoing: watch::Sender<OutgoingStatus>,
    pub(crate) incoming: watch::Sender<IncomingStatus>,
    lag: Mutex<LagWindow>,
}

impl LinkProblem {
    /// Whether the problem stays until somebody does something about it.
    pub(crate) const fn needs_somebody(&self) -> bool {
        match self {
            Self::Disconnected | Self::Silent | Self::NoLeader => false,
            Self::Refused(reason) => {
                !matches!(reason, Reason::Superseded | Reason::Unavailable | Reason::TransportKey | Reason::Unspecified)
            }
            Self::PeerProtocol(_)
            | Self::CannotOpenMaterial
            | Self::PeerLostState { .. }
            | Self::LostState { .. }
            | Self::NoRandomness => true,
        }
    }
}

impl LinkBoard {
    pub(crate) fn new() -> Self {
        Self {
            outgoing: watch::Sender::new(OutgoingStatus::default()),
            incoming: watch::Sender::new(IncomingStatus::default()),
            lag: Mutex::new(LagWindow::default()),
        }
    }

    /// Notes that something of the other Region was applied `lag` after its commit.
    pub(crate) fn record_lag(&self, lag: Duration) {
        self.lag.lock().expect("nothing panics while it holds the lock").add(lag);
    }

    pub(crate) fn status(&self, peer: &Region, state: &RegionState) -> LinkStatus {
        let lag = self.lag.lock().expect("nothing panics while it holds the lock").summary();
        LinkStatus {
            peer: peer.clone(),
            outbox: outbox_length(state, peer),
            waiting_since: state.outbox_for(peer).next().map(|row| row.committed_at),
            outgoing: self.outgoing.borrow().clone(),
            incoming: self.incoming_status(&state.cursor(peer), lag),
        }
    }

    /// What the tasks of this node noted, and the cursor, which every node of the Region has.
    fn incoming_status(&self, cursor: &LinkCursor, lag: LagSummary) -> IncomingStatus {
        let noted = self.incoming.borrow().clone();
        let applied_until = (cursor.last_applied > 0).then_some(cursor.last_applied_committed_at);
        IncomingStatus {
            lag,
            last_applied: noted.last_applied.max(cursor.last_applied),
            complete_as_of: noted.complete_as_of.max(applied_until),
            ..noted
        }
    }
}

/// The number of messages that wait for `peer`: their sequence numbers have no gaps.
pub(crate) fn outbox_length(state: &RegionState, peer: &Region) -> u64 {
    let oldest = state.outbox_for(peer).next().map(|row| row.sequence);
    oldest.map_or(0, |oldest| (state.cursor(peer).last_sent + 1).saturating_sub(oldest))
}

/// The newest samples of lag.
#[derive(Debug, Default)]
struct LagWindow(VecDeque<Duration>);

impl LagWindow {
    fn add(&mut self, lag: Duration) {
        if self.0.len() == LAG_SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(lag);
    }

    fn summary(&self) -> LagSummary {
        let mut sorted: Vec<Duration> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let samples = sorted.len();
        let Ok(divisor) = u32::try_from(samples) else { return LagSummary::default() };
        if divisor == 0 {
            return LagSummary::default();
        }
        let rank = |percent: usize| sorted[(samples * percent).div_ceil(100) - 1];
        LagSummary { samples, mean: sorted.iter().sum::<Duration>() / divisor, p50: rank(50), p99: rank(99) }
    }
}

const LAG_SAMPLES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_lag_is_exact_and_its_memory_bounded() {
        let mut window = LagWindow::default();
        assert_eq!(window.summary(), LagSummary::default());
        (1..=100).for_each(|millis| window.add(Duration::from_millis(millis)));
        let expected = LagSummary {
            samples: 100,
            mean: Duration::from_micros(50_500),
            p50: Duration::from_millis(50),
            p99: Duration::from_millis(99),
        };
        assert_eq!(window.summary(), expected);
        (0..5_000).for_each(|_| window.add(Duration::from_millis(7)));
        let summary = window.summary();
        assert_eq!((summary.samples, summary.mean), (LAG_SAMPLES_MAX, Duration::from_millis(7)));
    }
}
