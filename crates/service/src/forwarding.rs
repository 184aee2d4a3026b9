//! Changes that arrive on another node than the leader: sent there, authorized there, awaited here.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use meridian_consensus::{ForwardError, ForwardHandler, NodeName};
use meridian_identity::Caller;
use meridian_identity::query::Form;
use meridian_model::{ErrorCode, Operation, Request, Response, ServiceError};
use meridian_state::UsageRecord;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::call::Service;
use crate::origin::RequestOrigin;
use crate::trace::Trace;
use crate::writes::{Verdict, outcome_unknown};

/// How long a change waits for a leader before it is refused.
const LEADER_DEADLINE: Duration = Duration::from_secs(8);

/// A change on its way to the leader. The leader trusts the caller's identity: nodes of one Region trust each other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ForwardedCall {
    pub(crate) caller: Caller,
    pub(crate) origin: RequestOrigin,
    pub(crate) operation: String,
    pub(crate) body: Vec<u8>,
}

/// What a node sends to its leader.
#[derive(Debug, Serialize, Deserialize)]
enum Forwarded {
    /// A change of keys.
    Call(ForwardedCall),
    /// A change of identities, as IAM was asked for it.
    Identities { caller: Caller, origin: RequestOrigin, form: Form },
    /// Uses of keys.
    Uses(Vec<UsageRecord>),
}

/// A change that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// Of keys.
    Keys(&'a Request),
    /// Of identities.
    Identities(&'a Form),
}

/// The leader's side of forwarding; given to the node's peer server.
#[derive(Clone, Debug)]
pub struct Forwarding(Service);

impl Forwarding {
    /// The leader's side of `service`.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self(service)
    }
}

#[async_trait]
impl ForwardHandler for Forwarding {
    async fn handle(&self, _from: &NodeName, payload: Bytes) -> Bytes {
        let verdict = match postcard::from_bytes(&payload) {
            Ok(Forwarded::Call(call)) => match call.decode() {
                Ok((caller, origin, request)) => self.0.write_here(&caller, &origin, &request).await,
                Err(error) => Verdict::Refused(error, Trace::default()),
            },
            Ok(Forwarded::Identities { caller, origin, form }) => {
                self.0.change_identities_here(&caller, &origin, &form).await
            }
            Ok(Forwarded::Uses(_)) if !self.0.is_leader() => Verdict::NotLeader,
            Ok(Forwarded::Uses(uses)) => self.0.record_usage(uses).await,
            Err(error) => Verdict::Refused(unreadable(&error), Trace::default()),
        };
        let bytes = postcard::to_stdvec(&verdict).expect("verdicts hold nothing that postcard cannot encode");
        Bytes::from(bytes)
    }
}

fn unreadable(error: &postcard::Error) -> ServiceError {
    tracing::error!(%error, "a forwarded change cannot be read; do all nodes run the same version?");
    ServiceError::internal()
}

impl ForwardedCall {
    pub(crate) fn new(caller: &Caller, origin: &RequestOrigin, request: &Request) -> Self {
        Self {
            caller: caller.clone(),
            origin: origin.clone(),
            operation: request.operation().name().to_owned(),
            body: request.to_json(),
        }
    }

    /// Who asks for what, and whence.
    pub(crate) fn decode(self) -> Result<(Caller, RequestOrigin, Request), ServiceError> {
        let operation = Operation::from_name(&self.operation).ok_or_else(|| {
            ServiceError::new(ErrorCode::UnknownOperation, "The leader does not know this operation.")
        })?;
        let request = Request::decode(operation, &self.body)?;
        Ok((self.caller, self.origin, request))
    }
}

impl Service {
    /// Makes a change of keys, wherever the leader is; returns once it is visible on this node.
    pub(crate) async fn write(
        &self,
        caller: &Caller,
        origin: &RequestOrigin,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Response, ServiceError> {
        let body = self.change(caller, origin, Wanted::Keys(request), trace).await?;
        Response::decode(request.operation(), &body)
    }

    /// Makes a change, wherever the leader is; gives the leader's answer once the change is visible on this node.
    pub(crate) async fn change(
        &self,
        caller: &Caller,
        origin: &RequestOrigin,
        wanted: Wanted<'_>,
        trace: &mut Trace,
    ) -> Result<Vec<u8>, ServiceError> {
        let deadline = Instant::now() + LEADER_DEADLINE;
        loop {
            let mut leadership = self.group().leadership();
            let leader = *leadership.borrow_and_update();
            let verdict = match wanted {
                Wanted::Keys(request) if leader.am_leader => self.write_here(caller, origin, request).await,
                Wanted::Identities(form) if leader.am_leader => self.change_identities_here(caller, origin, form).await,
                wanted => self.forward(caller, origin, wanted).await?,
            };
            match verdict {
                Verdict::Done(written) => {
                    *trace = written.trace;
                    let visible = self.group().wait_applied(written.log_index, deadline).await;
                    visible.map_err(|_| outcome_unknown())?;
                    return Ok(written.body);
                }
                Verdict::Refused(error, refused) => {
                    *trace = refused;
                    return Err(error);
                }
                // Nothing was changed: try again as soon as the leadership has moved.
                Verdict::NotLeader => self.await_leader(&mut leadership, deadline).await?,
            }
        }
    }

    async fn forward(
        &self,
        caller: &Caller,
        origin: &RequestOrigin,
        wanted: Wanted<'_>,
    ) -> Result<Verdict, ServiceError> {
        self.send_to_leader(&match wanted {
            Wanted::Keys(request) => Forwarded::Call(ForwardedCall::new(caller, origin, request)),
            Wanted::Identities(form) => {
                Forwarded::Identities { caller: caller.clone(), origin: origin.clone(), form: form.clone() }
            }
        })
        .await
    }

    /// Brings uses of keys to the leader.
    pub(crate) async fn forward_usage(&self, uses: &[UsageRecord]) -> Result<Verdict, ServiceError> {
        self.send_to_leader(&Forwarded::Uses(uses.to_vec())).await
    }

    async fn send_to_leader(&self, forwarded: &Forwarded) -> Result<Verdict, ServiceError> {
        let payload = postcard::to_stdvec(forwarded).expect("this holds nothing that postcard cannot encode");
        match self.group().forward(payload.into()).await {
            Ok(answer) => postcard::from_bytes(&answer).map_err(|error| {
                tracing::error!(%error, "the leader's verdict cannot be read; do all nodes run the same version?");
                outcome_unknown()
            }),
            Err(ForwardError::NoLeader | ForwardError::NotLeader(_)) => Ok(Verdict::NotLeader),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the leader did not answer a change");
                Err(outcome_unknown())
            }
        }
    }

    /// Waits until the leadership changes, or a moment if it does not: the leader may just be unreachable from here.
    async fn await_leader(
        &self,
        leadership: &mut tokio::sync::watch::Receiver<meridian_consensus::Leadership>,
        deadline: Instant,
    ) -> Result<(), ServiceError> {
        if Instant::now() >= deadline {
            let message = "The Region has no leader at the moment; nothing was changed. Try the request again.";
            return Err(ServiceError::new(ErrorCode::KmsInternal, message));
        }
        let pause = (Instant::now() + RETRY_PAUSE).min(deadline);
        // Either way the caller looks again: a closed watch means that the node is stopping, which the retry reports.
        let _ = tokio::time::timeout_at(pause, leadership.changed()).await;
        Ok(())
    }
}

/// How long to wait before the same leader is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
