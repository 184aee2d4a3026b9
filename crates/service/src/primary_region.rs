//! `UpdatePrimaryRegion`, on both sides: the primary's Region asks and hands over, the other one records that it took over.
//!
//! The call returns once the hand-over is committed; the rest goes on by itself, also if the other Region fails meanwhile.

use std::net::IpAddr;

use meridian_audit::record::EVENT_SOURCE_KMS;
use meridian_audit::{AuditRecord, EventType, JsonText, SourceAddress, UserIdentity, ids};
use meridian_identity::{Caller, CallerKind, CallerSource};
use meridian_model::shapes::{UpdatePrimaryRegionRequest, UpdatePrimaryRegionResponse};
use meridian_model::{AccountId, KeyArn, KeyId, KeyState, Region, Response, ServiceError, Timestamp};
use meridian_policy::action;
use meridian_state::command::UpdatePrimaryRegion;
use meridian_state::key_states::Requirement;
use meridian_state::links::NewPrimary;
use meridian_state::{KeyRecord, Op, primary_region};
use serde::{Deserialize, Serialize};

use crate::access::{Access, Asked, Forms};
use crate::audit::identity;
use crate::call::Service;
use crate::forwarding::ForwardedCall;
use crate::grant_tokens::NamedGrants;
use crate::multi_region::{Question, unknown_region};
use crate::origin::RequestOrigin;
use crate::writes::Rejected;

/// A request as it travels with its hand-over. The bytes begin with [`RECORDED_FORMAT`].
#[derive(Debug, Serialize, Deserialize)]
struct RecordedRequest {
    caller: RecordedCaller,
    origin: RecordedOrigin,
    at: Timestamp,
}

/// What a record in the other Region says of who asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct RecordedCaller {
    account: AccountId,
    arn: String,
    principal_id: String,
    access_key_id: String,
    kind: CallerKind,
}

impl From<&Caller> for RecordedCaller {
    fn from(caller: &Caller) -> Self {
        Self {
            account: caller.account,
            arn: caller.arn.clone(),
            principal_id: caller.principal_id.clone(),
            access_key_id: caller.access_key_id.clone(),
            kind: caller.kind.clone(),
        }
    }
}

impl From<&RecordedCaller> for Caller {
    fn from(recorded: &RecordedCaller) -> Self {
        let RecordedCaller { account, arn, principal_id, access_key_id, kind } = recorded.clone();
        let (session, service_call) = (None, None);
        Self { account, arn, principal_id, access_key_id, kind, source: CallerSource::Iam, session, service_call }
    }
}

/// What a record in the other Region says of where the request came from.
#[derive(Debug, Serialize, Deserialize)]
struct RecordedOrigin {
    request_id: String,
    source_ip: IpAddr,
    user_agent: Option<String>,
}

impl From<&RequestOrigin> for RecordedOrigin {
    fn from(origin: &RequestOrigin) -> Self {
        Self {
            request_id: origin.request_id.clone(),
            source_ip: origin.source_ip,
            user_agent: origin.user_agent.clone(),
        }
    }
}

/// The version of the encoding of recorded requests.
const RECORDED_FORMAT: u8 = 1;

impl RecordedRequest {
    fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![RECORDED_FORMAT]).expect("requests hold nothing that postcard cannot encode")
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.strip_prefix(&[RECORDED_FORMAT]).and_then(|body| postcard::from_bytes(body).ok())
    }
}

impl Service {
    /// `UpdatePrimaryRegion`
    pub(crate) async fn update_primary_region(
        &self,
        access: &mut Access<'_>,
        origin: &RequestOrigin,
        request: &UpdatePrimaryRegionRequest,
    ) -> Result<(Vec<u8>, u64), Rejected> {
        let region: Region = request.primary_region.parse().map_err(|_| unknown_region(&request.primary_region))?;
        let (key, _) = access.key::<action::UpdatePrimaryRegion>(&request.key_id, Forms::Key)?;
        if !is_under_way(&key, &region) {
            primary_region::check(&access.state, &key, &region)?;
            let call = access.forwarded(origin);
            self.ask(&region, &Question::BecomePrimary { key_id: key.key_id, call }).await?;
        }
        let recorded = RecordedRequest { caller: access.caller.into(), origin: origin.into(), at: self.now() };
        let update = UpdatePrimaryRegion { key_id: key.key_id, region, request: recorded.encode() };
        let committed = self.commit(Op::UpdatePrimaryRegion(update)).await?;
        Ok((Response::from(UpdatePrimaryRegionResponse {}).to_json(), committed.log_index))
    }

    /// Records in the new primary's Region that a caller in the former one's has changed the primary.
    pub(crate) async fn record_new_primary(&self, at: Timestamp, event: &NewPrimary) -> Result<(), ServiceError> {
        let state = self.state();
        let (account, key_id) = (event.account, event.key_id);
        let arn = KeyArn { partition: state.partition(), region: state.region().clone(), account, key_id };
        let request = RecordedRequest::decode(&event.request);
        if request.is_none() {
            tracing::error!(%key_id, "who changed the primary cannot be read; do all Regions run the same version?");
        }
        let sender = request.as_ref().map(|sent| Caller::from(&sent.caller));
        let caller = sender.as_ref().map_or_else(|| UserIdentity::internal(account), identity);
        let origin = request.as_ref().map(|sent| &sent.origin);
        let internal = SourceAddress::Name("AWS Internal");
        let record = AuditRecord {
            identity: &UserIdentity { invoked_by: Some("kms.amazonaws.com"), ..caller },
            event_time: request.as_ref().map_or(at, |sent| sent.at),
            event_source: EVENT_SOURCE_KMS,
            event_name: "UpdatePrimaryRegion",
            region: state.region(),
            source_address: origin.map_or(internal, |origin| SourceAddress::Ip(origin.source_ip)),
            user_agent: origin.and_then(|origin| origin.user_agent.as_deref()),
            error: None,
            request_parameters: Some(&JsonText::object(|object| {
                object.plain("keyId", &arn).plain("primaryRegion", state.region());
            })),
            response_elements: Some(&JsonText::object(|object| {
                object.plain("keyId", &arn);
            })),
            additional_event_data: None,
            request_id: origin.map(|origin| origin.request_id.as_str()),
            event_id: ids::unique_id(),
            read_only: false,
            resources: None, // CloudTrail leaves them out in this record, so that it does not name the former primary
            event_type: EventType::AwsApiCall,
            recipient_account: account,
            service_event_details: None,
            tls: None,
            vpc_endpoint_id: None,
        };
        self.write_record(&record).await
    }
}

/// Whether the change was begun by an earlier request: the repeated one succeeds and changes nothing.
fn is_under_way(key: &KeyRecord, region: &Region) -> bool {
    key.state == KeyState::Updating && key.multi_region.as_ref().is_some_and(|set| &set.primary == region)
}

impl Service {
    /// Whether the key of this Region can become the primary, for a caller who must be allowed to say so here, too.
    pub(crate) fn can_become_primary(&self, key_id: KeyId, call: ForwardedCall) -> Result<(), ServiceError> {
        let (caller, origin, request) = call.decode()?;
        let asked = Asked { caller: &caller, origin: origin.view(), request: &request, now: self.now() };
        let mut access = Access::open(self.state(), asked, NamedGrants::default())?;
        let id = key_id.to_string();
        access.key_in_state::<action::UpdatePrimaryRegion>(&id, Forms::Key, Requirement::Replicable).map(drop)
    }
}
