//! Read barriers: after one, a read of the local state is linearizable, on any node.
//!
//! The leader proves to itself, by one round of messages to a quorum, that it still leads; its committed index
//! at that time is the read index. A follower asks the leader. Either way the node then waits until it has applied
//! that index. Callers at the same time share rounds.

use std::sync::Arc;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::ReadPolicy;
use tokio::time::Instant;

use crate::core::Core;
use crate::names::NodeId;
use crate::peers::CallError;
use crate::proto::ReadIndexRequest;
use crate::rounds::Rounds;

/// Why a linearizable read is not possible now. Trying again later is always right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// This node knows no leader, or the one it knows does not lead any more.
    #[error("no leader is known")]
    NoLeader,
    /// The leader could not reach a quorum.
    #[error("the leader does not reach a quorum")]
    NoQuorum,
    /// The deadline passed.
    #[error("the deadline passed")]
    Timeout,
    /// The group has stopped on this node.
    #[error("the group has stopped on this node")]
    Stopped,
}

type Index = Result<u64, Unavailable>;

/// Finds read indexes for this node and, while it leads, for others.
#[derive(Debug)]
pub(crate) struct Barrier {
    own: Rounds<Index>,
    leaders: Rounds<Index>,
}

impl Barrier {
    /// Starts the tasks that ask; they end when the barrier is dropped.
    pub(crate) fn start(core: &Arc<Core>) -> Self {
        let (for_own, for_leaders) = (Arc::clone(core), Arc::clone(core));
        Self {
            own: Rounds::start(move || {
                let core = Arc::clone(&for_own);
                async move { confirm_own_index(&core).await }
            }),
            leaders: Rounds::start(move || {
                let core = Arc::clone(&for_leaders);
                async move { ask_leader(&core).await }
            }),
        }
    }

    /// The read index, if this node leads.
    pub(crate) async fn own_index(&self) -> Index {
        self.own.ask().await.unwrap_or(Err(Unavailable::Stopped))
    }

    /// The read index, from whoever leads.
    pub(crate) async fn index(&self, core: &Core) -> Index {
        let leads = core.engine().is_some_and(|engine| engine.metrics().borrow_watched().state.is_leader());
        if leads { self.own_index().await } else { self.leaders.ask().await.unwrap_or(Err(Unavailable::Stopped)) }
    }
}

async fn confirm_own_index(core: &Core) -> Index {
    let engine = core.engine().ok_or(Unavailable::Stopped)?;
    let asked = Instant::now();
    match engine.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => {
            let index = linearizer.read_log_id().index();
            core.freshness.expect(asked, index);
            Ok(index)
        }
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => Err(Unavailable::NoLeader),
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Err(Unavailable::NoQuorum),
        Err(RaftError::Fatal(_)) => Err(Unavailable::Stopped),
    }
}

async fn ask_leader(core: &Core) -> Index {
    let engine = core.engine().ok_or(Unavailable::Stopped)?;
    let leader = engine.metrics().borrow_watched().current_leader.map(NodeId);
    let leader = leader.filter(|leader| *leader != core.name.node).ok_or(Unavailable::NoLeader)?;
    let peer = core.peer(leader).map_err(|_| Unavailable::NoLeader)?;
    let asked = Instant::now();
    let mut client = peer.control();
    let call = client.read_index(ReadIndexRequest {});
    match core.peers.call(&peer.name, core.timing.read_index, call).await {
        Ok(reply) => {
            core.freshness.expect(asked, reply.index);
            Ok(reply.index)
        }
        Err(CallError::Timeout(_)) => Err(Unavailable::Timeout),
        Err(_) => Err(Unavailable::NoLeader),
    }
}
