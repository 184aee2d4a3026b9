//! What the server asks of whatever serves a Region.
//!
//! The server knows HTTP and the wire; an [`Endpoint`] knows one Region, with one node behind it or several.

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use meridian_identity::query::{Answer as QueryMembers, Form, QueryError};
use meridian_identity::{Caller, Service as IdentityService};
use meridian_model::{Operation, Region, Request, ServiceError};
use serde::Serialize;

use crate::tls::TlsSession;

/// One Region, as the server sees it.
pub trait Endpoint: Send + Sync + 'static {
    /// The Region's name, which requests must be signed for.
    fn region(&self) -> &Region;

    /// Serves one authenticated, well-formed request, and gives the body of the answer.
    ///
    /// The future is dropped when the client goes away. An implementation finishes, and records, whatever it has begun
    /// to change all the same.
    ///
    /// # Errors
    /// What the client is told.
    fn call(&self, context: CallContext, request: Request) -> BoxFuture<'_, Result<Vec<u8>, ServiceError>>;

    /// Serves one authenticated request of the query protocol to IAM or STS, and gives what is told back.
    ///
    /// As with [`Endpoint::call`], whatever has begun to change is finished and recorded.
    ///
    /// # Errors
    /// What the client is told.
    fn query(
        &self,
        context: CallContext,
        service: IdentityService,
        form: Form,
    ) -> BoxFuture<'_, Result<QueryMembers, QueryError>>;

    /// Records that an authenticated request was refused because it could not be understood.
    ///
    /// # Errors
    /// If that cannot be recorded; the client is told this error then.
    fn refuse<'a>(
        &'a self,
        context: &'a CallContext,
        operation: Operation,
        error: &'a ServiceError,
    ) -> BoxFuture<'a, Result<(), ServiceError>>;

    /// How the nodes behind the endpoint are.
    fn readiness(&self) -> Vec<NodeReadiness>;
}

/// What the server knows about a request besides its content.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The id that the client receives as well.
    pub request_id: String,
    /// Who asks; the signature was verified.
    pub caller: Arc<Caller>,
    /// Where the request came from.
    pub source_ip: IpAddr,
    /// The client's own name.
    pub user_agent: Option<String>,
    /// The host that the client asked for.
    pub host_header: Option<String>,
    /// How the connection is protected; `None` on plain TCP.
    pub tls: Option<TlsSession>,
}

/// How one node is; also what `/readyz` shows of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools)] // independent facts, each of which an operator asks for
pub struct NodeReadiness {
    /// The node's name.
    pub node: String,
    /// Whether it can serve every kind of request.
    pub ready: bool,
    /// Whether it waits for its root key.
    pub sealed: bool,
    /// Whether it knows the leader of its Region.
    pub leader_known: bool,
    /// Whether it heard of the leader's commits recently enough to serve cryptography.
    pub fresh: bool,
    /// Whether it can write its audit trail.
    pub recording: bool,
}
