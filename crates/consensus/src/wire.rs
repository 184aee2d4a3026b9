//! Between the engine's types and the messages of `proto/raft.proto`.
//!
//! Always true: whatever a peer sends either converts or is refused; nothing here panics.

use bytes::Bytes;
use meridian_storage::raft_types::{LogId, TypeConfig, Vote, log_id};
use meridian_storage::{CodecError, decode_entry, encode_entry};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};

use crate::proto;

/// Why a message was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("an entry is unreadable")]
    Entry(#[from] CodecError),
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

pub(crate) fn vote_out(vote: &Vote) -> proto::Vote {
    proto::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn vote_in(vote: Option<proto::Vote>) -> Result<Vote, WireError> {
    let vote = vote.ok_or(WireError::Missing("the vote"))?;
    Ok(if vote.committed { Vote::new_committed(vote.term, vote.node) } else { Vote::new(vote.term, vote.node) })
}

fn log_id_out(id: &LogId) -> proto::LogId {
    proto::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

fn log_id_in(id: proto::LogId) -> LogId {
    log_id(id.term, id.node, id.index)
}

/// A request to append, without what the network adds to it.
pub(crate) fn append_out(request: &AppendEntriesRequest<TypeConfig>) -> proto::AppendRequest {
    proto::AppendRequest {
        vote: Some(vote_out(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_out),
        entries: request.entries.iter().map(encode_entry).collect(),
        leader_commit: request.leader_commit.as_ref().map(log_id_out),
        echo: None,
        standing: None,
    }
}

pub(crate) fn append_in(request: &proto::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, WireError> {
    Ok(AppendEntriesRequest {
        vote: vote_in(request.vote)?,
        prev_log_id: request.previous.map(log_id_in),
        entries: request.entries.iter().map(decode_entry).collect::<Result<_, CodecError>>()?,
        leader_commit: request.leader_commit.map(log_id_in),
    })
}

pub(crate) fn append_reply_out(response: &AppendEntriesResponse<TypeConfig>) -> proto::append_reply::Result {
    use proto::append_reply::Result;
    match response {
        AppendEntriesResponse::Success => Result::Success(proto::Done {}),
        AppendEntriesResponse::PartialSuccess(last) => {
            Result::Partial(proto::PartialSuccess { last: last.as_ref().map(log_id_out) })
        }
        AppendEntriesResponse::Conflict => Result::Conflict(proto::Done {}),
        AppendEntriesResponse::HigherVote(vote) => Result::HigherVote(vote_out(vote)),
    }
}

pub(crate) fn append_reply_in(
    result: Option<proto::append_reply::Result>,
) -> Result<AppendEntriesResponse<TypeConfig>, WireError> {
    use proto::append_reply::Result;
    Ok(match result.ok_or(WireError::Missing("the result"))? {
        Result::Success(_) => AppendEntriesResponse::Success,
        Result::Partial(partial) => AppendEntriesResponse::PartialSuccess(partial.last.map(log_id_in)),
        Result::Conflict(_) => AppendEntriesResponse::Conflict,
        Result::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote_in(Some(vote))?),
    })
}

pub(crate) fn vote_request_out(request: &VoteRequest<TypeConfig>) -> proto::VoteRequest {
    proto::VoteRequest {
        vote: Some(vote_out(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id_out),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(crate) fn vote_request_in(request: &proto::VoteRequest) -> Result<VoteRequest<TypeConfig>, WireError> {
    let mut converted = VoteRequest::new(vote_in(request.vote)?, request.last.map(log_id_in));
    converted.leadership_transfer = request.leadership_transfer;
    Ok(converted)
}

pub(crate) fn vote_reply_out(response: &VoteResponse<TypeConfig>) -> proto::VoteReply {
    proto::VoteReply {
        vote: Some(vote_out(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id_out),
    }
}

pub(crate) fn vote_reply_in(reply: &proto::VoteReply) -> Result<VoteResponse<TypeConfig>, WireError> {
    Ok(VoteResponse::new(vote_in(reply.vote)?, reply.last.map(log_id_in), reply.granted))
}

pub(crate) fn transfer_out(request: &TransferLeaderRequest<TypeConfig>) -> proto::TransferRequest {
    proto::TransferRequest {
        from: Some(vote_out(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(log_id_out),
    }
}

pub(crate) fn transfer_in(request: &proto::TransferRequest) -> Result<TransferLeaderRequest<TypeConfig>, WireError> {
    Ok(TransferLeaderRequest::new(vote_in(request.from)?, request.to, request.last.map(log_id_in)))
}

pub(crate) fn transfer_reply_out(response: &TransferLeaderResponse<TypeConfig>) -> proto::TransferReply {
    use proto::transfer_reply::Refusal;
    let refusal = match response {
        Ok(()) => None,
        Err(TransferLeaderError::VoteChanged { expected, actual }) => Some(Refusal::VoteChanged(proto::VoteChanged {
            expected: Some(vote_out(expected)),
            actual: Some(vote_out(actual)),
        })),
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            Some(Refusal::LogNotFlushed(proto::LogNotFlushed {
                expected: expected.as_ref().map(log_id_out),
                actual: actual.as_ref().map(log_id_out),
            }))
        }
    };
    proto::TransferReply { refusal }
}

pub(crate) fn transfer_reply_in(reply: proto::TransferReply) -> Result<TransferLeaderResponse<TypeConfig>, WireError> {
    use proto::transfer_reply::Refusal;
    Ok(match reply.refusal {
        None => Ok(()),
        Some(Refusal::VoteChanged(changed)) => Err(TransferLeaderError::VoteChanged {
            expected: vote_in(changed.expected)?,
            actual: vote_in(changed.actual)?,
        }),
        Some(Refusal::LogNotFlushed(logs)) => Err(TransferLeaderError::LogNotFlushed {
            expected: logs.expected.map(log_id_in),
            actual: logs.actual.map(log_id_in),
        }),
    })
}

/// One piece of a snapshot.
pub(crate) fn chunk(bytes: Vec<u8>) -> proto::SnapshotPart {
    proto::SnapshotPart { part: Some(proto::snapshot_part::Part::Chunk(Bytes::from(bytes))) }
}
