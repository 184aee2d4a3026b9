//! The engine's way to its peers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use meridian_storage::SnapshotFile;
use meridian_storage::raft_types::{LeaderId, Member, TypeConfig, Vote};
use openraft::RPCTypes;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use tonic::Code;

use crate::core::Core;
use crate::names::NodeId;
use crate::peers::{CallError, Peer};
use crate::{proto, wire};

/// Bytes of a snapshot per message.
const CHUNK: usize = 1024 * 1024;
/// A snapshot that travels slower than this many bytes per second is given up.
const SNAPSHOT_RATE_MIN: u64 = 1024 * 1024;

type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Makes a client per peer.
pub(crate) struct Network(pub(crate) Arc<Core>);

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, member: &Member) -> PeerClient {
        PeerClient { core: Arc::clone(&self.0), target, address: member.address.clone() }
    }
}

/// The client for one peer.
pub(crate) struct PeerClient {
    core: Arc<Core>,
    target: u64,
    address: String,
}

impl PeerClient {
    fn peer(&self) -> Result<Arc<Peer>, CallError> {
        self.core.peers.peer(NodeId(self.target), Some(&self.address))
    }

    fn rpc_error(&self, action: RPCTypes, error: &CallError) -> RPCError<TypeConfig> {
        match error {
            CallError::Timeout(timeout) => {
                let (id, target, timeout) = (self.core.name.node.0, self.target, *timeout);
                RPCError::Timeout(Timeout { action, id, target, timeout })
            }
            CallError::Refused(_) => RPCError::Network(NetworkError::from_string(error)),
            CallError::Cut | CallError::Unreachable(_) | CallError::Unknown => {
                RPCError::Unreachable(Unreachable::from_string(error))
            }
        }
    }

    async fn append(
        &self,
        request: &AppendEntriesRequest<TypeConfig>,
        deadline: Duration,
    ) -> Result<AppendEntriesResponse<TypeConfig>, CallError> {
        let peer = self.peer()?;
        let mut message = wire::append_out(request);
        // In this order: what is known about the leader must be newer than the reading it goes with.
        message.echo = peer.echo();
        message.standing = self.core.standing();
        let mut client = peer.control();
        let reply = self.core.peers.call(&peer.name, deadline, client.append(message)).await?;
        peer.remember(reply.clock);
        wire::append_reply_in(reply.result).map_err(malformed)
    }

    async fn ask_vote(
        &self,
        request: &VoteRequest<TypeConfig>,
        deadline: Duration,
        is_trial: bool,
    ) -> Result<VoteResponse<TypeConfig>, CallError> {
        let peer = self.peer()?;
        let message = wire::vote_request_out(request);
        let mut client = peer.control();
        let call = async { if is_trial { client.pre_vote(message).await } else { client.vote(message).await } };
        let reply = self.core.peers.call(&peer.name, deadline, call).await?;
        wire::vote_reply_in(&reply).map_err(malformed)
    }

    async fn transfer(
        &self,
        request: &TransferLeaderRequest<TypeConfig>,
        deadline: Duration,
    ) -> Result<TransferLeaderResponse<TypeConfig>, CallError> {
        let peer = self.peer()?;
        let mut client = peer.control();
        let call = client.transfer_leader(wire::transfer_out(request));
        let reply = self.core.peers.call(&peer.name, deadline, call).await?;
        wire::transfer_reply_in(reply).map_err(malformed)
    }

    async fn send_snapshot(&self, vote: &Vote, file: SnapshotFile) -> Result<SnapshotResponse<TypeConfig>, CallError> {
        let peer = self.peer()?;
        let deadline = self.core.timing.snapshot + Duration::from_secs(file.length() / SNAPSHOT_RATE_MIN);
        let mut client = peer.bulk();
        let call = client.install_snapshot(parts(wire::vote_out(vote), file));
        let reply = self.core.peers.call(&peer.name, deadline, call).await?;
        wire::vote_in(reply.vote).map(SnapshotResponse::new).map_err(malformed)
    }

    /// A peer says that our snapshot is damaged: make a new one, which replaces it.
    async fn replace_snapshot(&self) {
        tracing::error!(peer = self.target, "the snapshot arrived damaged; a new one is written");
        self.core.storage.reader().allow_snapshot();
        if let Some(engine) = self.core.engine() {
            // Fails only if the engine has stopped.
            let _ = engine.trigger().snapshot().await;
        }
    }
}

fn malformed(error: wire::WireError) -> CallError {
    CallError::Refused(error.into())
}

/// The messages that carry a snapshot. Reading ends early if the file fails; the receiver notices by its length.
fn parts(vote: proto::Vote, file: SnapshotFile) -> impl futures::Stream<Item = proto::SnapshotPart> + Send {
    let start = proto::SnapshotStart { vote: Some(vote), length: file.length() };
    let start = proto::SnapshotPart { part: Some(proto::snapshot_part::Part::Start(start)) };
    let chunks = futures::stream::unfold((file, 0), |(file, offset)| async move {
        let reader = file.clone();
        let chunk = tokio::task::spawn_blocking(move || reader.read_chunk(offset, CHUNK)).await;
        match chunk.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(bytes) if bytes.is_empty() => None,
            Ok(bytes) => {
                let next = offset + bytes.len() as u64;
                Some((wire::chunk(bytes), (file, next)))
            }
            Err(error) => {
                tracing::error!(%error, "the snapshot cannot be read");
                None
            }
        }
    });
    futures::StreamExt::chain(futures::stream::iter([start]), chunks)
}

impl RaftNetworkV2<TypeConfig> for PeerClient {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        // The engine's limit is one heartbeat, too short for a slow disk; it does not end streams by it.
        let deadline = if request.entries.is_empty() { option.hard_ttl() } else { self.core.timing.append };
        let reply = self.append(&request, deadline).await;
        reply.map_err(|error| self.rpc_error(RPCTypes::AppendEntries, &error))
    }

    async fn vote(&mut self, request: VoteRequest<TypeConfig>, option: RPCOption) -> Rpc<VoteResponse<TypeConfig>> {
        let reply = self.ask_vote(&request, option.hard_ttl(), false).await;
        reply.map_err(|error| self.rpc_error(RPCTypes::Vote, &error))
    }

    async fn pre_vote(&mut self, request: VoteRequest<TypeConfig>, option: RPCOption) -> Rpc<VoteResponse<TypeConfig>> {
        let reply = self.ask_vote(&request, option.hard_ttl(), true).await;
        reply.map_err(|error| self.rpc_error(RPCTypes::Vote, &error))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<LeaderId, u64, Member, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let reply = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            reply = self.send_snapshot(&vote, snapshot.snapshot) => reply,
        };
        if let Err(CallError::Refused(status)) = &reply
            && status.code() == Code::DataLoss
        {
            self.replace_snapshot().await;
        }
        reply.map_err(|error| self.rpc_error(RPCTypes::InstallSnapshot, &error).into())
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let reply = self.transfer(&request, option.hard_ttl()).await;
        reply.map_err(|error| self.rpc_error(RPCTypes::TransferLeader, &error))
    }
}
