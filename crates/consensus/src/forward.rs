//! Requests that another node answers: bytes in, bytes out, handled by whoever leads.

use async_trait::async_trait;
use bytes::Bytes;

use crate::names::{NodeId, NodeName};

/// Answers what other nodes of the Region forward to this one while it leads.
#[async_trait]
pub trait ForwardHandler: Send + Sync + 'static {
    /// Handles one request of `from` and gives back the answer, whatever it is.
    async fn handle(&self, from: &NodeName, body: Bytes) -> Bytes;
}

/// Why a forwarded request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// Nobody leads, as far as this node knows. The request was not handled.
    #[error("no leader is known")]
    NoLeader,
    /// Whom this node took for the leader does not lead, or handles nothing yet. The request was not handled.
    #[error("node {0} does not lead")]
    NotLeader(NodeId),
    /// The request may or may not have been handled.
    #[error("it is not known whether node {node} handled the request: {reason}")]
    Unknown {
        /// Whom it was sent to.
        node: NodeId,
        /// What went wrong.
        reason: String,
    },
}
