//! What the parts of a node's group share: its name, peers, storage and the running engine.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use meridian_storage::raft_types::TypeConfig;
use meridian_storage::{StateMachine, StorageHandle};
use openraft::async_runtime::WatchReceiver;
use openraft::{Instant as _, Raft};
use tokio::time::Instant;

use crate::freshness::Freshness;
use crate::names::{NodeId, NodeName};
use crate::peers::{CallError, Peer, Peers};
use crate::proto::Standing;
use crate::timing::Timing;

/// The engine with our types.
pub(crate) type Engine = Raft<TypeConfig, StateMachine>;

/// Shared by network, service and handle of one node.
pub(crate) struct Core {
    pub(crate) name: NodeName,
    pub(crate) members: BTreeMap<NodeId, String>,
    pub(crate) timing: Timing,
    pub(crate) peers: Peers,
    pub(crate) freshness: Freshness,
    pub(crate) storage: StorageHandle,
    /// Set once, right after the engine was built and before it runs.
    pub(crate) engine: OnceLock<Engine>,
}

impl Core {
    /// The running engine; absent only while the group is being started.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.engine.get()
    }

    /// The newest applied entry.
    pub(crate) fn applied(&self) -> u64 {
        *self.storage.reader().applied().borrow()
    }

    /// What this node knows as a leader, for its followers: see [`crate::freshness`]. `None` if it is no leader,
    /// or one that has applied nothing of its own leadership yet and so may not know of older entries.
    pub(crate) fn standing(&self) -> Option<Standing> {
        let (confirmed, applied) = self.leading_since_confirmed()?;
        let age = u64::try_from(confirmed.elapsed().as_micros()).unwrap_or(u64::MAX);
        Some(Standing { quorum_age_micros: age, applied })
    }

    /// The moment for which a quorum last confirmed this leader, and the index applied at least since then.
    pub(crate) fn leading_since_confirmed(&self) -> Option<(Instant, u64)> {
        let metrics = self.engine()?.metrics();
        let confirmed = {
            let metrics = metrics.borrow_watched();
            let own = metrics.last_applied.as_ref().is_some_and(|id| id.leader_id == metrics.vote.leader_id);
            if !(metrics.state.is_leader() && own) {
                return None;
            }
            let configs = metrics.membership_config.membership().get_joint_config();
            let alone = configs.len() == 1 && configs[0].len() == 1;
            let age = if alone { Duration::ZERO } else { metrics.last_quorum_acked?.elapsed() };
            Instant::now().checked_sub(age)?
        };
        // Read after the leadership was: whatever this leader acknowledged by now is at or below it.
        Some((confirmed, self.applied()))
    }

    /// A peer, by the configured address or the one the log remembers.
    pub(crate) fn peer(&self, node: NodeId) -> Result<std::sync::Arc<Peer>, CallError> {
        let metrics = self.engine().map(Engine::metrics);
        let remembered = metrics.and_then(|metrics| {
            let metrics = metrics.borrow_watched();
            metrics.membership_config.membership().get_node(&node.0).map(|member| member.address.clone())
        });
        self.peers.peer(node, remembered.as_deref())
    }

    /// Whether `name` may take part in this group's protocol.
    pub(crate) fn is_member(&self, name: &NodeName) -> bool {
        if name.region != self.name.region {
            return false;
        }
        let remembers = |engine: &Engine| {
            let metrics = engine.metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.membership().get_node(&name.node.0).is_some()
        };
        self.members.contains_key(&name.node) || self.engine().is_some_and(remembers)
    }
}
