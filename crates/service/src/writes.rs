//! Changes: planned and authorized on the leader, committed by one command, answered from what the command did.

use std::fmt;

use meridian_consensus::ProposeError;
use meridian_identity::Caller;
use meridian_model::{ErrorCode, Request, Response, ServiceError};
use meridian_state::{Command, Done, Op, RegionState};
use serde::{Deserialize, Serialize};

use crate::access::{Access, Asked};
use crate::call::Service;
use crate::grant_tokens::NamedGrants;
use crate::origin::RequestOrigin;
use crate::trace::Trace;
use crate::{aliases, grants, import, keys, policies, rotation, tags};

/// A change that may be made: the command, and how to answer once it is committed.
pub(crate) struct Plan {
    op: Op,
    reply: Reply,
}

/// Makes the answer from the state after the command and from what it gave back.
type Reply = Box<dyn FnOnce(&RegionState, &Done) -> Response + Send>;

impl Plan {
    pub(crate) fn new<R: Into<Response>>(
        op: Op,
        reply: impl FnOnce(&RegionState, &Done) -> R + Send + 'static,
    ) -> Self {
        Self { op, reply: Box::new(|state, done| reply(state, done).into()) }
    }
}

/// What came of a change on the leader. Travels back to the node that was asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// Committed.
    Done(Written),
    /// Refused; nothing was changed.
    Refused(ServiceError, Trace),
    /// This node is not the leader; nothing was changed.
    NotLeader,
}

/// A committed change. `Debug` leaves the answer out: a new access key comes with its secret.
#[derive(Serialize, Deserialize)]
pub(crate) struct Written {
    /// The body of the answer.
    pub(crate) body: Vec<u8>,
    /// What the audit record tells.
    pub(crate) trace: Trace,
    /// The log index that makes it visible.
    pub(crate) log_index: u64,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = format_args!("{} bytes", self.body.len());
        f.debug_struct("Written").field("body", &answer).field("log_index", &self.log_index).finish_non_exhaustive()
    }
}

/// A committed command.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) log_index: u64,
    pub(crate) done: Done,
}

/// Why a command was not committed.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// The state machine or this service refused it.
    Refused(ServiceError),
    /// This node is not the leader.
    NotLeader,
}

impl From<ServiceError> for Rejected {
    fn from(error: ServiceError) -> Self {
        Self::Refused(error)
    }
}

impl Service {
    /// Makes a change here, on the leader.
    pub(crate) async fn write_here(&self, caller: &Caller, origin: &RequestOrigin, request: &Request) -> Verdict {
        if !self.is_leader() {
            return Verdict::NotLeader;
        }
        let named = self.ring().and_then(|ring| NamedGrants::of(ring.grant_tokens(), request));
        let asked = Asked { caller, origin: origin.view(), request, now: self.now() };
        let mut access = match named.and_then(|named| Access::open(self.state(), asked, named)) {
            Ok(access) => access,
            Err(error) => return Verdict::Refused(error, Trace::default()),
        };
        let written = match request {
            Request::ReplicateKey(request) => self.replicate_key(&mut access, origin, request).await,
            Request::UpdatePrimaryRegion(request) => self.update_primary_region(&mut access, origin, request).await,
            Request::ImportKeyMaterial(request) => self.import_material(&mut access, request).await,
            request => self.commit_plan(&mut access, request).await,
        };
        let trace = access.trace;
        match written {
            Ok((body, log_index)) => Verdict::Done(Written { body, trace, log_index }),
            Err(Rejected::Refused(error)) => Verdict::Refused(error, trace),
            Err(Rejected::NotLeader) => Verdict::NotLeader,
        }
    }

    async fn commit_plan(&self, access: &mut Access<'_>, request: &Request) -> Result<(Vec<u8>, u64), Rejected> {
        if matches!(request, Request::CreateKey(_)) {
            self.ensure_domain_key().await?;
            access.renew(self.state());
        }
        let is_creation = matches!(request, Request::CreateKey(_));
        let plan = self.plan(access, request).await?;
        let committed = self.commit(plan.op).await?;
        let state = self.state();
        if is_creation && let Done::Key(key) = &committed.done {
            access.trace.keys.push(state.key_arn(key));
        }
        Ok(((plan.reply)(&state, &committed.done).to_json(), committed.log_index))
    }

    async fn plan(&self, access: &mut Access<'_>, request: &Request) -> Result<Plan, ServiceError> {
        match request {
            Request::CreateKey(request) => {
                let partition = access.state.partition();
                let creation = keys::check_creation(request, partition)?;
                keys::allow_creation(access, request, &creation)?;
                let material = match creation.generated() {
                    Some(spec) => Some(self.workshop().make_in(partition, spec).await?),
                    None => None,
                };
                keys::create(access, self.ring()?, request, &creation, material.as_ref())
            }
            Request::UpdateKeyDescription(request) => keys::update_description(access, request),
            Request::EnableKey(request) => keys::enable(access, request),
            Request::DisableKey(request) => keys::disable(access, request),
            Request::ScheduleKeyDeletion(request) => keys::schedule_deletion(access, request),
            Request::CancelKeyDeletion(request) => keys::cancel_deletion(access, request),
            Request::CreateAlias(request) => aliases::create(access, request),
            Request::UpdateAlias(request) => aliases::update(access, request),
            Request::DeleteAlias(request) => aliases::delete(access, request),
            Request::TagResource(request) => tags::tag(access, request),
            Request::UntagResource(request) => tags::untag(access, request),
            Request::PutKeyPolicy(request) => policies::put(access, request),
            Request::EnableKeyRotation(request) => rotation::enable(access, request),
            Request::DisableKeyRotation(request) => rotation::disable(access, request),
            Request::RotateKeyOnDemand(request) => rotation::rotate_on_demand(access, self.ring()?, request),
            Request::CreateGrant(request) => grants::create(access, self.ring()?, request),
            Request::RetireGrant(request) => grants::retire(access, self.ring()?, request),
            Request::RevokeGrant(request) => grants::revoke(access, request),
            Request::DeleteImportedKeyMaterial(request) => import::delete(access, request),
            other => Err(unsupported(other)),
        }
    }

    /// Proposes one command and waits until it is applied here.
    pub(crate) async fn commit(&self, op: Op) -> Result<Committed, Rejected> {
        let command = Command { at: self.now(), op };
        match self.group().propose(&command).await {
            Ok(committed) => Ok(Committed { log_index: committed.log_index, done: committed.outcome? }),
            Err(ProposeError::NotLeader { .. }) => Err(Rejected::NotLeader),
            Err(ProposeError::TooLong { bytes }) => {
                let message = format!("The change takes {bytes} bytes, which is more than one change may.");
                Err(Rejected::Refused(ServiceError::new(ErrorCode::LimitExceeded, message)))
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the outcome of a proposal is unknown");
                Err(Rejected::Refused(outcome_unknown()))
            }
        }
    }
}

/// The change may or may not have been made: the client reads, or repeats what is safe to repeat.
pub(crate) fn outcome_unknown() -> ServiceError {
    let message = "The outcome of the request is not known. Check the state of the resource, or try again.";
    ServiceError::new(ErrorCode::KmsInternal, message)
}

/// The service's answer to an operation that it does not offer yet.
pub(crate) fn unsupported(request: &Request) -> ServiceError {
    let message = format!("The operation {} is not supported yet.", request.operation().name());
    ServiceError::new(ErrorCode::UnsupportedOperation, message)
}
