//! Records of what the service does on its own: nobody asked, so nobody is named.

use meridian_audit::record::EVENT_SOURCE_KMS;
use meridian_audit::{AuditRecord, EventType, JsonText, SourceAddress, UserIdentity, ids};
use meridian_model::{AccountId, KeyArn, KeyId, KeyMaterialId, ServiceError, Timestamp};
use meridian_state::links::RotatedKey;

use crate::audit::resource;
use crate::call::Service;

/// What happened to a key.
struct ServiceEvent<'a> {
    name: &'a str,
    at: Timestamp,
    account: AccountId,
    key_id: KeyId,
    kind: EventType,
    details: Option<JsonText>,
    /// Whether the key stands among the response elements.
    names_key: bool,
}

impl Service {
    /// Records that a key was deleted because its waiting period ended.
    pub(crate) async fn record_deletion(
        &self,
        at: Timestamp,
        account: AccountId,
        key_id: KeyId,
    ) -> Result<(), ServiceError> {
        let kind = EventType::AwsServiceEvent;
        self.record_event(ServiceEvent { name: "DeleteKey", at, account, key_id, kind, details: None, names_key: true })
            .await
    }

    /// Records that the material of a key was rotated.
    pub(crate) async fn record_rotation(&self, at: Timestamp, rotated: &RotatedKey) -> Result<(), ServiceError> {
        let details = JsonText::object(|object| {
            object.plain("rotationType", rotated.kind).plain("keyOrigin", rotated.origin);
            let previous = rotated.previous.as_ref().map(KeyMaterialId::to_string);
            object.optional("previousKeyMaterialId", previous.as_deref());
            object.plain("currentKeyMaterialId", rotated.current).plain("keyId", rotated.key_id);
        });
        self.record_event(ServiceEvent {
            name: "RotateKey",
            at,
            account: rotated.account,
            key_id: rotated.key_id,
            kind: EventType::AwsServiceEvent,
            details: Some(details),
            names_key: true,
        })
        .await
    }

    /// Records that imported material expired.
    pub(crate) async fn record_expiry(
        &self,
        at: Timestamp,
        account: AccountId,
        key_id: KeyId,
        material_id: KeyMaterialId,
    ) -> Result<(), ServiceError> {
        let details = Some(JsonText::object(|object| {
            object.plain("keyId", key_id).plain("keyMaterialId", material_id);
        }));
        let (name, kind) = ("DeleteExpiredKeyMaterial", EventType::AwsServiceEvent);
        self.record_event(ServiceEvent { name, at, account, key_id, kind, details, names_key: false }).await
    }

    /// Records that shared properties of a primary were sent to its replicas, which are not named.
    pub(crate) async fn record_synchronization(
        &self,
        at: Timestamp,
        account: AccountId,
        key_id: KeyId,
    ) -> Result<(), ServiceError> {
        // CloudTrail records this one as a call, with a request id, although nobody calls.
        let (name, kind) = ("SynchronizeMultiRegionKey", EventType::AwsApiCall);
        self.record_event(ServiceEvent { name, at, account, key_id, kind, details: None, names_key: true }).await
    }

    async fn record_event(&self, event: ServiceEvent<'_>) -> Result<(), ServiceError> {
        let state = self.state();
        let ServiceEvent { account, key_id, .. } = event;
        let arn = KeyArn { partition: state.partition(), region: state.region().clone(), account, key_id };
        let request_id = (event.kind == EventType::AwsApiCall).then(|| ids::unique_id().to_string());
        let elements = event.names_key.then(|| {
            JsonText::object(|object| {
                object.plain("keyId", &arn);
            })
        });
        let record = AuditRecord {
            identity: &UserIdentity::internal(account),
            event_time: event.at,
            event_source: EVENT_SOURCE_KMS,
            event_name: event.name,
            region: state.region(),
            source_address: SourceAddress::Name("AWS Internal"),
            user_agent: Some("AWS Internal"),
            error: None,
            request_parameters: None,
            response_elements: elements.as_ref(),
            additional_event_data: None,
            request_id: request_id.as_deref(),
            event_id: ids::unique_id(),
            read_only: false,
            resources: Some(&[resource(&arn)]),
            event_type: event.kind,
            recipient_account: account,
            service_event_details: event.details.as_ref(),
            tls: None,
            vpc_endpoint_id: None,
        };
        self.write_record(&record).await
    }
}
