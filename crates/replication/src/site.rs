//! What the tasks of all links of one node share: who the node is, its own Region, its clock, gate and metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meridian_model::{Clock, Region};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::{Authority, RegionIdentity};
use crate::envelope::Route;
use crate::local::{AskHandler, LocalRegion, MaterialKeeper};
use crate::metrics::{DirectionMetrics, LinkLabels, LinkMetrics};
use crate::session_rank::SessionRank;
use crate::status::LinkBoard;
use crate::transport_keys::TransportKeyLimits;
use meridian_consensus::{FaultGate, NodeId, NodeName};

/// How long links wait, and how much they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkTiming {
    /// From one heartbeat to the next.
    pub heartbeat: Duration,
    /// A session in which nothing was heard for so long is ended. At least three heartbeats.
    pub silence_max: Duration,
    /// For a connection with its handshake, and for the first answer on it.
    pub connect: Duration,
    /// The first pause after a failure; doubles with each further one.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// Acknowledged messages are dropped from the outbox after this time without a new acknowledgement, or when 64
    /// have come together.
    pub acknowledge_after: Duration,
    /// See [`TransportKeyLimits`].
    pub transport_keys: TransportKeyLimits,
}

impl Default for LinkTiming {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(500),
            silence_max: Duration::from_secs(3),
            connect: Duration::from_secs(3),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            acknowledge_after: Duration::from_millis(50),
            transport_keys: TransportKeyLimits::default(),
        }
    }
}

pub(crate) struct Site {
    pub(crate) name: NodeName,
    pub(crate) cluster_id: String,
    pub(crate) identity: RegionIdentity,
    pub(crate) authority: Authority,
    pub(crate) gate: Arc<dyn FaultGate>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timing: LinkTiming,
    pub(crate) jitter_seed: u64,
    pub(crate) local: Arc<dyn LocalRegion>,
    pub(crate) keeper: Arc<dyn MaterialKeeper>,
    pub(crate) ask_handler: Arc<dyn AskHandler>,
    pub(crate) links: BTreeMap<Region, Link>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// What belongs to one other Region.
pub(crate) struct Link {
    pub(crate) board: LinkBoard,
    pub(crate) outgoing: DirectionMetrics,
    pub(crate) incoming: DirectionMetrics,
    /// The session of that Region that is heard here.
    pub(crate) heard: SessionRank,
    /// The node over there that was last known to lead.
    pub(crate) leader_hint: Mutex<Option<NodeId>>,
}

impl Link {
    pub(crate) fn new(metrics: &LinkMetrics, name: &NodeName, peer: &Region) -> Self {
        let labels =
            |from: &Region, to: &Region| LinkLabels { node: name.node.0, from: from.to_string(), to: to.to_string() };
        Self {
            board: LinkBoard::new(),
            outgoing: DirectionMetrics::new(metrics, labels(&name.region, peer)),
            incoming: DirectionMetrics::new(metrics, labels(peer, &name.region)),
            heard: SessionRank::default(),
            leader_hint: Mutex::new(None),
        }
    }

    pub(crate) fn leader_hint(&self) -> Option<NodeId> {
        *self.leader_hint.lock().expect("nothing panics while it holds the lock")
    }

    pub(crate) fn set_leader_hint(&self, leader: Option<NodeId>) {
        *self.leader_hint.lock().expect("nothing panics while it holds the lock") = leader;
    }
}

impl Site {
    pub(crate) fn region(&self) -> &Region {
        &self.name.region
    }

    pub(crate) fn route_to(&self, peer: &Region) -> Route {
        Route { cluster_id: self.cluster_id.clone(), from: self.region().clone(), to: peer.clone() }
    }

    pub(crate) fn route_from(&self, peer: &Region) -> Route {
        Route { cluster_id: self.cluster_id.clone(), from: peer.clone(), to: self.region().clone() }
    }

    /// The raft leader of this Region as far as this node knows, for the other side to try next.
    pub(crate) fn known_leader(&self) -> Option<NodeId> {
        self.local.leadership().borrow().leader
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.local.leadership().borrow().am_leader
    }
}
