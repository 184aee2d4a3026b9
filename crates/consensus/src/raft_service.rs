//! What this node answers to the other nodes of its group.
//!
//! Always true: only nodes of the same Region and group are answered; a newcomer grants no vote; a snapshot is
//! verified to its last byte before the engine hears of it.

use std::io;
use std::sync::{Arc, RwLock};

use futures::StreamExt as _;
use futures::stream::{BoxStream, FuturesUnordered};
use meridian_storage::raft_types::{TypeConfig, Vote};
use meridian_storage::{SnapshotFile, SnapshotReceiver, snapshot_meta};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::{AppendEntriesResponse, VoteResponse};
use openraft::storage::Snapshot;
use tonic::{Request, Response, Status, Streaming};

use crate::barrier::{Barrier, Unavailable};
use crate::core::{Core, Engine};
use crate::forward::ForwardHandler;
use crate::names::NodeName;
use crate::proto::raft_server::{Raft, RaftServer};
use crate::proto::snapshot_part::Part;
use crate::tls::PeerIdentity;
use crate::{peers, proto, wire};

/// The longest snapshot that is accepted, in bytes.
const SNAPSHOT_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// The service of one node.
pub struct RaftService {
    pub(crate) core: Arc<Core>,
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) forward: Arc<RwLock<Option<Arc<dyn ForwardHandler>>>>,
}

impl RaftService {
    /// The service with its limits on message sizes.
    pub(crate) fn into_server(self) -> RaftServer<Self> {
        RaftServer::new(self)
            .max_decoding_message_size(peers::MESSAGE_MAX)
            .max_encoding_message_size(peers::MESSAGE_MAX)
    }

    /// Who asks, if it may.
    fn admit<T>(&self, request: &Request<T>) -> Result<NodeName, Status> {
        let identity = request.extensions().get::<PeerIdentity>();
        let name = identity.ok_or_else(|| Status::unauthenticated("the peer did not identify itself"))?.name.clone();
        if self.core.is_member(&name) {
            Ok(name)
        } else {
            let text = format!("{name} is not a member of the group of {}", self.core.name.region);
            Err(Status::permission_denied(text))
        }
    }

    fn engine(&self) -> Result<&Engine, Status> {
        self.core.engine().ok_or_else(|| Status::unavailable("the node is starting"))
    }

    /// The answer of a node that must not vote yet: its own vote stands, nothing is granted.
    fn refuse_newcomer(&self, engine: &Engine) -> Option<VoteResponse<TypeConfig>> {
        let own_vote = || engine.metrics().borrow_watched().vote;
        self.core.storage.newcomer().is_newcomer().then(|| VoteResponse::new(own_vote(), None, false))
    }

    async fn receive(&self, mut parts: Streaming<proto::SnapshotPart>) -> Result<(Vote, SnapshotFile), Status> {
        let wait = self.core.timing.snapshot;
        let timed_out = |_| Status::deadline_exceeded("the snapshot stopped coming");
        let first = tokio::time::timeout(wait, parts.message()).await.map_err(timed_out)??;
        let Some(Part::Start(start)) = first.and_then(|part| part.part) else {
            return Err(Status::invalid_argument("a snapshot begins with its vote"));
        };
        let vote = wire::vote_in(start.vote)?;
        if start.length > SNAPSHOT_MAX {
            return Err(Status::resource_exhausted("the snapshot is too long"));
        }
        let mut receiver = self.core.storage.snapshots().receive().map_err(|error| disk(&error))?;
        while let Some(part) = tokio::time::timeout(wait, parts.message()).await.map_err(timed_out)?? {
            let Some(Part::Chunk(chunk)) = part.part else {
                return Err(Status::invalid_argument("a snapshot consists of chunks"));
            };
            if receiver.length() + chunk.len() as u64 > start.length {
                return Err(Status::invalid_argument("the snapshot is longer than announced"));
            }
            receiver =
                blocking(move || receiver.write(&chunk).map(|()| receiver)).await.map_err(|error| disk(&error))?;
        }
        if receiver.length() != start.length {
            return Err(Status::aborted("the snapshot is shorter than announced"));
        }
        let file = blocking(move || verified(receiver)).await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Status::data_loss(error.to_string()),
            _ => disk(&error),
        })?;
        Ok((vote, file))
    }
}

fn verified(receiver: SnapshotReceiver) -> io::Result<SnapshotFile> {
    let file = receiver.finish()?;
    file.verify()?;
    Ok(file)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn disk(error: &io::Error) -> Status {
    tracing::error!(%error, "a snapshot cannot be stored");
    Status::internal("the snapshot cannot be stored")
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Raft for RaftService {
    async fn append(&self, request: Request<proto::AppendRequest>) -> Reply<proto::AppendReply> {
        self.admit(&request)?;
        let mut message = request.into_inner();
        let (echo, standing) = (message.echo.take(), message.standing.take());
        let response = self.engine()?.append_entries(wire::append_in(&message)?).await.map_err(stopped)?;
        if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
            self.core.freshness.heard(echo, standing);
        }
        let clock = Some(self.core.freshness.reading());
        Ok(Response::new(proto::AppendReply { result: Some(wire::append_reply_out(&response)), clock }))
    }

    async fn vote(&self, request: Request<proto::VoteRequest>) -> Reply<proto::VoteReply> {
        self.admit(&request)?;
        let engine = self.engine()?;
        let response = match self.refuse_newcomer(engine) {
            Some(refusal) => refusal,
            None => engine.vote(wire::vote_request_in(request.get_ref())?).await.map_err(stopped)?,
        };
        Ok(Response::new(wire::vote_reply_out(&response)))
    }

    async fn pre_vote(&self, request: Request<proto::VoteRequest>) -> Reply<proto::VoteReply> {
        self.admit(&request)?;
        let engine = self.engine()?;
        let response = match self.refuse_newcomer(engine) {
            Some(refusal) => refusal,
            None => engine.pre_vote(wire::vote_request_in(request.get_ref())?).await.map_err(stopped)?,
        };
        Ok(Response::new(wire::vote_reply_out(&response)))
    }

    async fn transfer_leader(&self, request: Request<proto::TransferRequest>) -> Reply<proto::TransferReply> {
        self.admit(&request)?;
        if self.core.storage.newcomer().is_newcomer() {
            return Err(Status::failed_precondition("a newcomer does not lead"));
        }
        let message = wire::transfer_in(request.get_ref())?;
        let response = self.engine()?.handle_transfer_leader(message).await.map_err(stopped)?;
        Ok(Response::new(wire::transfer_reply_out(&response)))
    }

    async fn install_snapshot(&self, request: Request<Streaming<proto::SnapshotPart>>) -> Reply<proto::SnapshotReply> {
        self.admit(&request)?;
        let (vote, file) = self.receive(request.into_inner()).await?;
        let snapshot = Snapshot { meta: snapshot_meta(file.position()), snapshot: file };
        let response = self.engine()?.install_full_snapshot(vote, snapshot).await.map_err(stopped)?;
        Ok(Response::new(proto::SnapshotReply { vote: Some(wire::vote_out(&response.vote)) }))
    }

    async fn read_index(&self, request: Request<proto::ReadIndexRequest>) -> Reply<proto::ReadIndexReply> {
        self.admit(&request)?;
        match self.barrier.own_index().await {
            Ok(index) => Ok(Response::new(proto::ReadIndexReply { index })),
            Err(error @ (Unavailable::NoLeader | Unavailable::NoQuorum)) => {
                Err(Status::failed_precondition(error.to_string()))
            }
            Err(error) => Err(stopped(error)),
        }
    }

    type ForwardStream = BoxStream<'static, Result<proto::ForwardReply, Status>>;

    async fn forward(&self, request: Request<proto::ForwardRequest>) -> Reply<Self::ForwardStream> {
        let from = self.admit(&request)?;
        let handler = self.forward.read().ok().and_then(|handler| handler.clone());
        let leads = self.engine()?.metrics().borrow_watched().state.is_leader();
        let Some(handler) = handler.filter(|_| leads) else {
            return Err(Status::failed_precondition("this node does not lead"));
        };
        let replies: FuturesUnordered<_> = request
            .into_inner()
            .bodies
            .into_iter()
            .zip(0..)
            .map(|(body, number)| {
                let (handler, from) = (Arc::clone(&handler), from.clone());
                async move { Ok(proto::ForwardReply { number, body: handler.handle(&from, body).await }) }
            })
            .collect();
        Ok(Response::new(replies.boxed()))
    }

    async fn describe(&self, request: Request<proto::DescribeRequest>) -> Reply<proto::DescribeReply> {
        self.admit(&request)?;
        let is_new = crate::formation::last_index(self.engine()?).await.map_err(stopped)?.is_none();
        Ok(Response::new(proto::DescribeReply { is_new }))
    }

    async fn form(&self, request: Request<proto::FormRequest>) -> Reply<proto::FormReply> {
        self.admit(&request)?;
        let engine = self.engine()?;
        if crate::formation::last_index(engine).await.map_err(stopped)?.is_some() {
            return Err(Status::failed_precondition("this node belongs to a group already"));
        }
        crate::formation::settle(&self.core, engine).await.map_err(stopped)?;
        Ok(Response::new(proto::FormReply {}))
    }
}
