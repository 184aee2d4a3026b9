//! One node's part in the Raft group of its Region: proposals, linearizable reads, forwarding, leadership.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use bytes::Bytes;
use meridian_state::{Command, Outcome, RegionState};
use meridian_storage::raft_types::Proposal;
use meridian_storage::{NodeStorage, StateReader, StorageHandle};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, ForwardReason, RaftError};
use openraft::{Instant as _, Raft};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::barrier::{Barrier, Unavailable};
use crate::core::{Core, Engine};
use crate::faults::FaultGate;
use crate::formation;
use crate::forward::{ForwardError, ForwardHandler};
use crate::forwarder::Forwarder;
use crate::freshness::Freshness;
use crate::names::{NodeId, NodeName};
use crate::network::Network;
use crate::peers::Peers;
use crate::proto::raft_server::RaftServer;
use crate::raft_service::RaftService;
use crate::timing::Timing;
use crate::tls::PeerTls;

/// The longest command that may be proposed, in bytes.
pub const COMMAND_MAX: usize = 4 * 1024 * 1024;

/// Pause before a barrier asks again after a failure, unless leadership changes sooner.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What a group needs to know to start.
pub struct GroupConfig {
    /// `host:port` of the peer listener of every member, this node included. The same on all members.
    pub members: BTreeMap<NodeId, String>,
    /// Time limits.
    pub timing: Timing,
    /// Who this node is, and how it proves it.
    pub tls: PeerTls,
    /// Where messages between nodes may get lost; [`crate::NoFaults`] outside of tests.
    pub faults: Arc<dyn FaultGate>,
}

/// Why a group did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The time limits contradict each other.
    #[error("the time limits of the group are not usable")]
    Timing(#[source] openraft::ConfigError),
    /// This node is not among the members.
    #[error("node {0} is not among the configured members")]
    NotAMember(NodeId),
    /// The engine refused what it found on disk.
    #[error("the stored log and state do not fit together")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A proposal that was committed and applied on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the log. A node that has applied this index shows the effect.
    pub log_index: u64,
    /// What applying it came to.
    pub outcome: Outcome,
}

/// Why a proposal has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead, or leads without a quorum; nothing was written.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The command is too long; nothing was written.
    #[error("a command of {bytes} bytes is longer than {COMMAND_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The command may or may not take effect: leadership was lost, or the time was up.
    #[error("it is not known whether the command takes effect")]
    Unknown,
    /// The group has stopped on this node. What was proposed just before may take effect.
    #[error("the group has stopped on this node")]
    Stopped,
}

/// Who leads, as far as a node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// Whether it is this node.
    pub am_leader: bool,
    /// The term this node is in.
    pub term: u64,
}

/// Why leadership was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This node does not lead.
    #[error("this node does not lead")]
    NotLeader,
    /// No other voter could take over.
    #[error("there is no other voter to take over")]
    NoSuccessor,
    /// The successor did not take over in time.
    #[error("the successor did not take over in time")]
    Timeout,
}

/// What an administrator sees of a node's part in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The node.
    pub name: NodeName,
    /// Who leads.
    pub leadership: Leadership,
    /// The last entry in the log.
    pub last_log_index: u64,
    /// The last committed entry this node knows of.
    pub committed_index: u64,
    /// The last applied entry.
    pub applied_index: u64,
    /// Up to where the newest snapshot reaches.
    pub snapshot_index: u64,
    /// Whether the node still has to catch up before it votes.
    pub is_newcomer: bool,
    /// The members of the group.
    pub members: Vec<MemberStatus>,
}

/// One member, as the node that was asked sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The member.
    pub node: NodeId,
    /// Its address when it was added.
    pub address: String,
    /// Whether it votes.
    pub is_voter: bool,
    /// The last entry known to be on its disk; only a leader knows.
    pub matched_index: Option<u64>,
}

/// A handle of one node's part in its group. Clones are cheap and share it.
#[derive(Clone)]
pub struct Group(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    engine: Engine,
    barrier: Arc<Barrier>,
    forwarder: Forwarder,
    forward: Arc<RwLock<Option<Arc<dyn ForwardHandler>>>>,
    leadership: watch::Receiver<Leadership>,
    stop: CancellationToken,
    tasks: OnceLock<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("name", &self.0.core.name).finish_non_exhaustive()
    }
}

impl Group {
    /// Starts this node's part in the group. Serve [`Group::service`] on the peer listener right after: without it
    /// no group is formed and nobody votes.
    ///
    /// # Errors
    /// [`StartError`]; the storage is then closed.
    pub async fn start(config: GroupConfig, storage: NodeStorage) -> Result<Self, StartError> {
        let NodeStorage { log, machine, handle } = storage;
        let name = config.tls.name().clone();
        if !config.members.contains_key(&name.node) {
            return Err(StartError::NotAMember(name.node));
        }
        let engine_config = config.timing.engine(name.region.as_str()).map_err(StartError::Timing)?;
        let core = Arc::new(Core {
            members: config.members.clone(),
            timing: config.timing,
            peers: Peers::new(config.tls, config.faults, config.members),
            freshness: Freshness::new(new_run()),
            storage: handle,
            engine: OnceLock::new(),
            name,
        });
        let network = Network(Arc::clone(&core));
        let engine = Raft::build(core.name.node.0, Arc::new(engine_config), network, log, machine)
            .await
            .map_err(|error| StartError::Engine(Box::new(error)))?;
        engine.runtime_config().elect(!core.storage.newcomer().is_newcomer());
        core.engine.set(engine.clone()).unwrap_or_else(|_| unreachable!("the core was made here"));
        engine.run();
        Ok(Self::spawn(core, engine))
    }

    fn spawn(core: Arc<Core>, engine: Engine) -> Self {
        let stop = CancellationToken::new();
        let (sender, leadership) = watch::channel(Leadership::default());
        let tasks = vec![
            tokio::spawn(watch_leadership(engine.clone(), sender)),
            tokio::spawn(formation::run(Arc::clone(&core), engine.clone(), stop.clone())),
        ];
        let inner = Inner {
            barrier: Arc::new(Barrier::start(&core)),
            forwarder: Forwarder::start(Arc::clone(&core), leadership.clone()),
            forward: Arc::default(),
            leadership,
            stop,
            tasks: OnceLock::from(tasks),
            engine,
            core,
        };
        Self(Arc::new(inner))
    }

    /// The service to add to the peer listener.
    #[must_use]
    pub fn service(&self) -> RaftServer<RaftService> {
        let service = RaftService {
            core: Arc::clone(&self.0.core),
            barrier: Arc::clone(&self.0.barrier),
            forward: Arc::clone(&self.0.forward),
        };
        service.into_server()
    }

    /// This node.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.0.core.name
    }

    /// Proposes a command and waits until it is committed and applied on this node. Many at once share their
    /// fsyncs and messages.
    ///
    /// Not cancellable: dropped, the proposal may still take effect.
    ///
    /// # Errors
    /// [`ProposeError`]; only `NotLeader` and `TooLong` promise that nothing was written.
    pub async fn propose(&self, command: &Command) -> Result<Committed, ProposeError> {
        let bytes = command.encode();
        if bytes.len() > COMMAND_MAX {
            return Err(ProposeError::TooLong { bytes: bytes.len() });
        }
        let proposal = Proposal(bytes.into());
        let written = tokio::time::timeout(self.0.core.timing.propose, self.write(proposal)).await;
        written.map_err(|_| ProposeError::Unknown)?
    }

    async fn write(&self, proposal: Proposal) -> Result<Committed, ProposeError> {
        let patience = Instant::now() + self.0.core.timing.election_max;
        loop {
            match self.0.engine.client_write(proposal.clone()).await {
                Ok(written) => {
                    let outcome = written.data.0.expect("every command has an outcome");
                    return Ok(Committed { log_index: written.log_id.index, outcome });
                }
                // A leader that no quorum has confirmed lately: it writes nothing, but may be confirmed soon, above
                // all right after its election.
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))
                    if to.reason == ForwardReason::LeaseExpired && Instant::now() < patience =>
                {
                    tokio::time::sleep(self.0.core.timing.heartbeat / 8).await;
                }
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                    return Err(ProposeError::NotLeader { leader: to.leader_id.map(NodeId) });
                }
                Err(RaftError::APIError(_)) => return Err(ProposeError::Unknown),
                Err(RaftError::Fatal(_)) => return Err(ProposeError::Stopped),
            }
        }
    }

    /// The newest state applied on this node. Never waits.
    #[must_use]
    pub fn state(&self) -> Arc<RegionState> {
        self.reader().state()
    }

    /// The index of the last entry applied on this node.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.reader().applied()
    }

    /// Waits until this node has applied `index`.
    ///
    /// # Errors
    /// [`Unavailable::Timeout`] or [`Unavailable::Stopped`].
    pub async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), Unavailable> {
        let mut applied = self.applied();
        let reached = tokio::select! {
            reached = tokio::time::timeout_at(deadline, applied.wait_for(|applied| *applied >= index)) => reached,
            () = self.0.stop.cancelled() => return Err(Unavailable::Stopped),
        };
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Unavailable::Stopped),
            Err(_) => Err(Unavailable::Timeout),
        }
    }

    /// After this, a read of [`Group::state`] sees every write that was acknowledged before the call, by any node.
    /// Works on every node; asks again through changes of leadership until the deadline.
    ///
    /// # Errors
    /// [`Unavailable`], as the last attempt saw it.
    pub async fn read_barrier(&self, deadline: Instant) -> Result<(), Unavailable> {
        let mut leadership = self.leadership();
        let mut last = Unavailable::Timeout;
        loop {
            let Ok(index) = tokio::time::timeout_at(deadline, self.0.barrier.index(&self.0.core)).await else {
                return Err(last);
            };
            match index {
                Ok(index) => return self.wait_applied(index, deadline).await,
                Err(Unavailable::Stopped) => return Err(Unavailable::Stopped),
                Err(error) => last = error,
            }
            let pause = deadline.min(Instant::now() + ASK_AGAIN);
            if self.0.stop.is_cancelled() {
                return Err(Unavailable::Stopped);
            }
            // A change of leadership is worth asking at once; otherwise after a pause.
            let _ = tokio::time::timeout_at(pause, leadership.changed()).await;
            if Instant::now() >= deadline {
                return Err(last);
            }
        }
    }

    /// How old this node's state is at most: everything acknowledged longer ago is in it. `None` if nothing is
    /// known, as right after a start. Costs nothing; see [`crate::freshness`] for how it is known.
    #[must_use]
    pub fn freshness(&self) -> Option<Duration> {
        if let Some((confirmed, _)) = self.0.core.leading_since_confirmed() {
            return Some(confirmed.elapsed());
        }
        self.0.core.freshness.age(self.0.core.applied())
    }

    /// Who leads, as this node knows it.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leadership.clone()
    }

    /// Whether this node leads and has applied everything that was acknowledged before it did. Only then its state may
    /// decide on a change: a new leader may hold what its predecessor acknowledged without having applied it yet.
    #[must_use]
    pub fn is_established_leader(&self) -> bool {
        self.0.core.leading_since_confirmed().is_some()
    }

    /// Registers who answers what other nodes forward while this one leads. Replaces the one before.
    pub fn on_forward(&self, handler: Arc<dyn ForwardHandler>) {
        *self.0.forward.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(handler);
    }

    /// Sends a request to the leader's handler; if this node leads, straight to its own.
    ///
    /// # Errors
    /// [`ForwardError`]; after `Unknown` only what is safe to repeat may be sent again.
    pub async fn forward(&self, body: Bytes) -> Result<Bytes, ForwardError> {
        let leadership = *self.0.leadership.borrow();
        let leader = leadership.leader.ok_or(ForwardError::NoLeader)?;
        if leadership.am_leader {
            let handler = self.0.forward.read().ok().and_then(|handler| handler.clone());
            return Ok(handler.ok_or(ForwardError::NotLeader(leader))?.handle(&self.0.core.name, body).await);
        }
        self.0.forwarder.forward(body).await
    }

    /// Hands leadership to `to`, or to the follower that has most of the log, and waits for it to lead. A leader that was
    /// elected just now may not have heard of `to` yet, and waits for that as well.
    ///
    /// # Errors
    /// [`TransferError`]; leadership then stays, or is decided by an election.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let successor = self.await_successor(to).await?;
        self.0.engine.trigger().transfer_leader(successor.0).await.map_err(|_| TransferError::NotLeader)?;
        let mut leadership = self.leadership();
        let moved = leadership.wait_for(|now| now.leader == Some(successor));
        match tokio::time::timeout(self.0.core.timing.transfer, moved).await {
            Ok(Ok(_)) => Ok(successor),
            _ => Err(TransferError::Timeout),
        }
    }

    async fn await_successor(&self, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let until = Instant::now() + self.0.core.timing.transfer;
        let mut metrics = self.0.engine.metrics();
        loop {
            let successor = self.successor(to);
            if to.is_none() || successor != Err(TransferError::NoSuccessor) {
                return successor;
            }
            match tokio::time::timeout_at(until, metrics.changed()).await {
                Ok(Ok(())) => {}
                _ => return successor,
            }
        }
    }

    fn successor(&self, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let metrics = self.0.engine.metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref().filter(|_| metrics.state.is_leader());
        let matched = replication.ok_or(TransferError::NotLeader)?;
        let own = self.0.core.name.node.0;
        // Who has not answered for a lease's time will not answer now.
        let answers = |voter: &u64| {
            let heard = metrics.heartbeat.as_ref().and_then(|heartbeat| heartbeat.get(voter).copied().flatten());
            heard.is_some_and(|heard| heard.elapsed() < self.0.core.timing.election_max)
        };
        let voters = metrics.membership_config.voter_ids().filter(|voter| *voter != own && answers(voter));
        let mut candidates = voters.filter(|voter| to.is_none_or(|to| to.0 == *voter)).collect::<Vec<_>>();
        candidates.sort_by_key(|voter| matched.get(voter).copied().flatten());
        candidates.last().copied().map(NodeId).ok_or(TransferError::NoSuccessor)
    }

    /// What an administrator sees.
    #[must_use]
    pub fn status(&self) -> GroupStatus {
        let metrics = self.0.engine.metrics();
        let metrics = metrics.borrow_watched();
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let matched = |node: &u64| {
            if *node == self.0.core.name.node.0 {
                return metrics.last_log_index;
            }
            metrics.replication.as_ref()?.get(node)?.as_ref().map(|id| id.index)
        };
        let members = metrics.membership_config.membership().nodes().map(|(node, member)| MemberStatus {
            node: NodeId(*node),
            address: member.address.clone(),
            is_voter: voters.contains(node),
            matched_index: matched(node),
        });
        GroupStatus {
            name: self.0.core.name.clone(),
            leadership: *self.0.leadership.borrow(),
            last_log_index: metrics.last_log_index.unwrap_or(0),
            committed_index: metrics.local_committed.as_ref().map_or(0, |id| id.index),
            applied_index: self.0.core.applied(),
            snapshot_index: metrics.snapshot.as_ref().map_or(0, |id| id.index),
            is_newcomer: self.0.core.storage.newcomer().is_newcomer(),
            members: members.collect(),
        }
    }

    /// Resolves when the group has stopped on this node, with the reason if it was not asked to: storage failed, or
    /// the engine panicked. The process should then end.
    pub async fn stopped(&self) -> Option<String> {
        // These change with elections only; all metrics change with every heartbeat, which nobody should be woken for.
        // The engine lets go of both as it ends, after it has said why.
        let mut server = self.0.engine.server_metrics();
        while server.changed().await.is_ok() {}
        let metrics = self.0.engine.metrics();
        let metrics = metrics.borrow_watched();
        match &metrics.running_state {
            Ok(()) => Some("the engine ended abnormally".to_owned()),
            Err(Fatal::Stopped) => None,
            Err(error) => Some(error.to_string()),
        }
    }

    /// Hands leadership over if it has it, stops, and closes the storage cleanly.
    pub async fn shutdown(&self) {
        if self.0.leadership.borrow().am_leader
            && let Err(error) = self.transfer_leadership(None).await
        {
            tracing::debug!(%error, "leadership was not handed over");
        }
        self.end(true).await;
    }

    /// Stops and closes the storage cleanly, without handing leadership over: for the end of a whole group, where any
    /// successor ends as well.
    pub async fn close(&self) {
        self.end(true).await;
    }

    /// Stops at once, without handing anything over or tidying up: what a crash would leave is left.
    pub async fn halt(&self) {
        self.end(false).await;
    }

    async fn end(&self, clean: bool) {
        self.0.stop.cancel();
        // The engine's own panic was reported by `stopped`.
        let _ = self.0.engine.shutdown().await;
        self.storage().close(clean).await;
        for task in self.0.tasks.get().into_iter().flatten() {
            task.abort();
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn reader(&self) -> &StateReader {
        self.storage().reader()
    }

    fn storage(&self) -> &StorageHandle {
        &self.0.core.storage
    }
}

/// A number that no other run of this node has.
fn new_run() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::time::SystemTime::now())
}

async fn watch_leadership(engine: Engine, sender: watch::Sender<Leadership>) {
    let mut metrics = engine.server_metrics();
    loop {
        let leadership = {
            let metrics = metrics.borrow_and_update();
            Leadership {
                leader: metrics.current_leader.map(NodeId),
                am_leader: metrics.state.is_leader(),
                term: metrics.vote.leader_id.term,
            }
        };
        sender.send_if_modified(|known| std::mem::replace(known, leadership) != leadership);
        if metrics.changed().await.is_err() {
            sender.send_replace(Leadership { term: leadership.term, ..Leadership::default() });
            return;
        }
    }
}
