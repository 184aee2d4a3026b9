//! Identities: the actions of IAM and STS as use cases.
//!
//! | module | what it holds |
//! |---|---|
//! | [`authority`] | who may do what to identities, by the same policies as everything else |
//! | [`facts`] | what such decisions may ask of a request |
//! | [`names`] | from the texts of a request to names, and to the ARNs that decisions are about |
//! | [`reads`] | what there is |
//! | [`changes`] | what is changed |
//! | [`managed_policies`] | the managed policies of the provider |
//! | [`service_linked_roles`] | roles that belong to a service |
//! | [`sessions`] | temporary credentials |
//! | [`administrator`] | the first user of a cluster |
//! | [`shown`] | records as answers show them |
//! | [`recorded`] | audit records of all of it |
//!
//! Reads and STS are served by every node. Changes are made by the leader of the Region that is the home of identities, and
//! reach the other Regions by the links.

mod administrator;
mod authority;
mod changes;
mod facts;
mod managed_policies;
mod names;
mod reads;
mod recorded;
mod service_linked_roles;
mod sessions;
mod shown;

pub use administrator::FirstAdministrator;

use std::sync::Arc;

use meridian_identity::Caller;
use meridian_identity::query::{Answer, Form, IamCall, IamRequest, QueryCall, QueryCode, QueryError};
use meridian_model::{ErrorCode, ServiceError};
use meridian_state::{Op, RegionState};

use self::authority::Authority;
use crate::audit::CallContext;
use crate::call::Service;
use crate::forwarding::Wanted;
use crate::origin::RequestOrigin;
use crate::trace::Trace;
use crate::writes::{Rejected, Verdict, Written};

impl Service {
    /// Serves one authenticated request to IAM or STS: authorize, execute, record. Gives what is told back.
    ///
    /// It goes on even if the caller stops waiting, so that whatever was committed is also recorded.
    ///
    /// # Errors
    /// The refusals of IAM and STS.
    pub async fn query(
        &self,
        context: CallContext,
        service: meridian_identity::Service,
        form: Form,
    ) -> Result<Answer, QueryError> {
        let node = self.clone();
        let task = tokio::spawn(async move { node.query_and_record(&context, service, &form).await });
        task.await.unwrap_or_else(|panic| {
            tracing::error!(%panic, "a request to IAM or STS ended abnormally");
            Err(QueryError::internal())
        })
    }

    async fn query_and_record(
        &self,
        context: &CallContext,
        service: meridian_identity::Service,
        form: &Form,
    ) -> Result<Answer, QueryError> {
        self.ring()?; // a sealed node does nothing at all
        let call = QueryCall::read(service, form);
        if let Err(error) = &call
            && matches!(error.code, QueryCode::InvalidAction | QueryCode::UnsupportedOperation)
        {
            return Err(error.clone()); // nothing that has a name in the trail
        }
        let mut trace = Trace::default();
        let told = match &call {
            Ok(QueryCall::Iam(call)) => {
                self.answer_iam(context, call, form, &mut trace).await.map_err(QueryError::from)
            }
            Ok(QueryCall::Sts(call)) => self.answer_sts(context, call, &mut trace).await,
            Err(error) => Err(error.clone()),
        };
        if !trace.is_unrecorded {
            self.record_query(context, service, form, &told).await?;
        }
        told
    }

    async fn answer_iam(
        &self,
        context: &CallContext,
        call: &IamCall,
        form: &Form,
        trace: &mut Trace,
    ) -> Result<Answer, ServiceError> {
        if !call.is_read_only() {
            return self.change_identities(&context.caller, &context.origin(), form, trace).await;
        }
        self.await_current_state().await?;
        let origin = context.origin();
        let authority = self.authority(&context.caller, &origin)?;
        let answer = reads::answer(&authority, call);
        trace.is_unrecorded = authority.is_denied_by_endpoint_alone();
        answer
    }

    /// What decides about `caller` on the newest state of this node.
    fn authority<'a>(&self, caller: &'a Caller, origin: &'a RequestOrigin) -> Result<Authority<'a>, ServiceError> {
        Authority::new(self.state(), caller, origin.view(), self.now())
    }

    /// Makes a change of identities at the leader of this Region; refuses if this is not their home.
    async fn change_identities(
        &self,
        caller: &Caller,
        origin: &RequestOrigin,
        form: &Form,
        trace: &mut Trace,
    ) -> Result<Answer, ServiceError> {
        require_home(&self.state())?;
        let body = self.change(caller, origin, Wanted::Identities(form), trace).await?;
        postcard::from_bytes(&body).map_err(|error| {
            tracing::error!(%error, "the leader's answer cannot be read; do all nodes run the same version?");
            ServiceError::internal()
        })
    }

    /// The leader's part of a change of identities.
    pub(crate) async fn change_identities_here(&self, caller: &Caller, origin: &RequestOrigin, form: &Form) -> Verdict {
        if !self.is_leader() {
            return Verdict::NotLeader;
        }
        let mut trace = Trace::default();
        match self.make_identity_change(caller, origin, form, &mut trace).await {
            Ok((answer, log_index)) => {
                let body = postcard::to_stdvec(&answer).expect("answers hold nothing that postcard cannot encode");
                Verdict::Done(Written { body, trace, log_index })
            }
            Err(Rejected::Refused(error)) => Verdict::Refused(error, trace),
            Err(Rejected::NotLeader) => Verdict::NotLeader,
        }
    }

    async fn make_identity_change(
        &self,
        caller: &Caller,
        origin: &RequestOrigin,
        form: &Form,
        trace: &mut Trace,
    ) -> Result<(Answer, u64), Rejected> {
        let call = IamCall::read(form).map_err(|error| {
            tracing::error!(%error, "a forwarded request to IAM cannot be read; do all nodes run the same version?");
            ServiceError::internal()
        })?;
        if matches!(call.request, IamRequest::CreateAccessKey { .. }) {
            self.ensure_domain_key().await?;
        }
        let authority = self.authority(caller, origin)?;
        let plan = changes::plan(&authority, self.ring()?, call);
        trace.is_unrecorded = authority.is_denied_by_endpoint_alone();
        let plan = plan?;
        let committed = self.commit(Op::Identity(Box::new(plan.change))).await?;
        Ok(((plan.reply)(&self.state(), &committed.done), committed.log_index))
    }
}

/// Refuses changes anywhere but in the home of identities.
fn require_home(state: &Arc<RegionState>) -> Result<(), ServiceError> {
    match state.identities().regions() {
        Some(regions) if regions.home == *state.region() => Ok(()),
        Some(regions) => {
            let home = &regions.home;
            let message =
                format!("Identities are changed in the Region {home} only. Send the request to an endpoint there.");
            Err(ServiceError::new(ErrorCode::UnsupportedOperation, message))
        }
        None => {
            let message = "The Region does not know yet where identities are changed. Try the request again.";
            Err(ServiceError::new(ErrorCode::ServiceUnavailable, message))
        }
    }
}
