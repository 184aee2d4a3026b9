//! Reads of the control plane: linearizable, so that whoever was told of a change sees it on every node.

use meridian_model::{ErrorCode, Request, Response, ServiceError};

use crate::access::Access;
use crate::audit::CallContext;
use crate::call::{Service, read_deadline};
use crate::grant_tokens::NamedGrants;
use crate::trace::Trace;
use crate::writes::unsupported;
use crate::{aliases, grants, keys, policies, rotation, tags};

impl Service {
    /// Answers a read once this node has applied everything that was committed when the read arrived.
    pub(crate) async fn read(
        &self,
        context: &CallContext,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Response, ServiceError> {
        self.await_current_state().await?;
        let named = NamedGrants::of(self.ring()?.grant_tokens(), request)?;
        let mut access = Access::open(self.state(), self.asked(context, request), named)?;
        let response = match request {
            Request::GetKeyLastUsage(request) => self.last_usage(&mut access, request),
            Request::GetParametersForImport(request) => self.import_parameters(&mut access, request).await,
            request => answer(&mut access, request),
        };
        *trace = access.trace;
        response
    }
}

impl Service {
    /// Returns once this node has applied everything that is committed now.
    ///
    /// # Errors
    /// If there is no leader to tell.
    pub(crate) async fn await_current_state(&self) -> Result<(), ServiceError> {
        self.group().read_barrier(read_deadline()).await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "a read could not be made linearizable");
            let message = "The Region has no leader at the moment. Try the request again.";
            ServiceError::new(ErrorCode::KmsInternal, message)
        })
    }
}

fn answer(access: &mut Access<'_>, request: &Request) -> Result<Response, ServiceError> {
    match request {
        Request::DescribeKey(request) => keys::describe(access, request),
        Request::ListKeys(request) => keys::list(access, request),
        Request::ListAliases(request) => aliases::list(access, request),
        Request::ListResourceTags(request) => tags::list(access, request),
        Request::GetKeyPolicy(request) => policies::read(access, request),
        Request::ListGrants(request) => grants::list(access, request),
        Request::ListRetirableGrants(request) => grants::list_retirable(access, request),
        Request::ListKeyPolicies(request) => policies::list(access, request),
        Request::GetKeyRotationStatus(request) => rotation::status(access, request),
        Request::ListKeyRotations(request) => rotation::list(access, request),
        other => Err(unsupported(other)),
    }
}
