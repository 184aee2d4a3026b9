//! Changes that arrive on another node than the leader: sent there, authorized there, awaited here.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use meridian_consensus::{ForwardError, ForwardHandler, NodeName};
use meridian_identity::Caller;
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
        let verdict = match payload.strip_prefix(USAGE_MARK.as_slice()) {
            Some(uses) => self.take_in_usage(uses).await,
            None => match ForwardedCall::of_bytes(&payload).and_then(|call| call.decode()) {
                Ok((caller, origin, request)) => self.0.write_here(&caller, &origin, &request).await,
                Err(error) => Verdict::Refused(error, Trace::default()),
            },
        };
        let bytes = postcard::to_stdvec(&verdict).expect("verdicts hold nothing that postcard cannot encode");
        Bytes::from(bytes)
    }
}

impl Forwarding {
    async fn take_in_usage(&self, uses: &[u8]) -> Verdict {
        if !self.0.is_leader() {
            return Verdict::NotLeader;
        }
        match postcard::from_bytes(uses) {
            Ok(uses) => self.0.record_usage(uses).await,
            Err(error) => Verdict::Refused(unreadable(&error), Trace::default()),
        }
    }
}

/// Begins a payload that holds uses of keys instead of a [`ForwardedCall`]. No call begins so: these would be an account
/// number that does not end.
const USAGE_MARK: [u8; 10] = [0xFF; 10];

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

    fn of_bytes(payload: &[u8]) -> Result<Self, ServiceError> {
        postcard::from_bytes(payload).map_err(|error| unreadable(&error))
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
    /// Makes a change, wherever the leader is; returns once it is visible on this node.
    pub(crate) async fn write(
        &self,
        caller: &Caller,
        origin: &RequestOrigin,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Response, ServiceError> {
        let operation = request.operation();
        let deadline = Instant::now() + LEADER_DEADLINE;
        loop {
            let mut leadership = self.group().leadership();
            let leader = *leadership.borrow_and_update();
            let verdict = if leader.am_leader {
                self.write_here(caller, origin, request).await
            } else {
                self.forward(caller, origin, request).await?
            };
            match verdict {
                Verdict::Done(written) => {
                    *trace = written.trace;
                    let visible = self.group().wait_applied(written.log_index, deadline).await;
                    visible.map_err(|_| outcome_unknown())?;
                    return Response::decode(operation, &written.body);
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
        request: &Request,
    ) -> Result<Verdict, ServiceError> {
        let call = ForwardedCall::new(caller, origin, request);
        self.send_to_leader(postcard::to_stdvec(&call).expect("calls hold nothing that postcard cannot encode")).await
    }

    /// Brings uses of keys to the leader.
    pub(crate) async fn forward_usage(&self, uses: &[UsageRecord]) -> Result<Verdict, ServiceError> {
        let payload = postcard::to_extend(uses, USAGE_MARK.to_vec());
        self.send_to_leader(payload.expect("uses hold nothing that postcard cannot encode")).await
    }

    async fn send_to_leader(&self, payload: Vec<u8>) -> Result<Verdict, ServiceError> {
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
