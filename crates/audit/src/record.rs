//! One audit record, in the shape that AWS CloudTrail gives to AWS KMS.
//!
//! Field names and their order of presence: AWS CloudTrail User Guide, "CloudTrail record contents", and AWS KMS
//! Developer Guide, "Logging AWS KMS API calls with AWS CloudTrail". A record borrows everything from the request it
//! describes; it is turned into text once, when the trail takes it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use meridian_model::{AccountId, Region, ServiceError, Timestamp};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::json::{JsonText, Object, write_object};

/// What happened, to which keys, by whom.
#[derive(Clone, Copy, Debug)]
pub struct AuditRecord<'a> {
    /// Who asked.
    pub identity: &'a UserIdentity<'a>,
    /// When; recorded in whole seconds.
    pub event_time: Timestamp,
    /// The service that was asked: [`EVENT_SOURCE_KMS`], `iam.amazonaws.com` or `sts.amazonaws.com`.
    pub event_source: &'a str,
    /// The operation, or the name of an internal event such as `DeleteKey`.
    pub event_name: &'a str,
    /// The Region that served the request.
    pub region: &'a Region,
    /// Where the request came from.
    pub source_address: SourceAddress<'a>,
    /// The client's own name.
    pub user_agent: Option<&'a str>,
    /// What the caller was told, if refused.
    pub error: Option<RecordedError<'a>>,
    /// The allowed members of the request; `null` if there are none.
    pub request_parameters: Option<&'a JsonText>,
    /// What changed; `null` for reads, for cryptography and for refusals.
    pub response_elements: Option<&'a JsonText>,
    /// Facts which were not part of the request; left out if there are none.
    pub additional_event_data: Option<&'a JsonText>,
    /// The id which the client received as well; internal service events have none.
    pub request_id: Option<&'a str>,
    /// Unique per record; see [`crate::ids::unique_id`].
    pub event_id: Uuid,
    /// Whether the operation changes nothing; cryptography does not.
    pub read_only: bool,
    /// The keys and aliases concerned. `Some(&[])` writes an empty list, `None` leaves the member out.
    pub resources: Option<&'a [Resource<'a>]>,
    /// An API call, or an event of the service.
    pub event_type: EventType,
    /// The account whose log this record belongs to.
    pub recipient_account: AccountId,
    /// Details of internal events such as `RotateKey`.
    pub service_event_details: Option<&'a JsonText>,
    /// How the connection was protected; `None` on plain TCP.
    pub tls: Option<TlsDetails<'a>>,
    /// The private endpoint that the request came through.
    pub vpc_endpoint_id: Option<&'a str>,
}

impl AuditRecord<'_> {
    /// The record as one JSON object without line breaks.
    #[must_use]
    pub fn to_json(&self) -> JsonText {
        JsonText::object(|object| self.write_members(object))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_object(out, |object| self.write_members(object));
    }

    fn write_members(&self, object: &mut Object<'_>) {
        object.string("eventVersion", EVENT_VERSION);
        object.nested("userIdentity", |inner| self.identity.write_members(inner));
        object.plain("eventTime", IsoSeconds(self.event_time)).string("eventSource", self.event_source);
        object.string("eventName", self.event_name).plain("awsRegion", self.region);
        match self.source_address {
            SourceAddress::Ip(address) => object.plain("sourceIPAddress", address),
            SourceAddress::Name(name) => object.string("sourceIPAddress", name),
        };
        object.optional("userAgent", self.user_agent);
        if let Some(error) = self.error {
            object.string("errorCode", error.code);
            object.optional("errorMessage", Some(error.message).filter(|message| !message.is_empty()));
        }
        object.json("requestParameters", self.request_parameters).json("responseElements", self.response_elements);
        if self.additional_event_data.is_some() {
            object.json("additionalEventData", self.additional_event_data);
        }
        object.optional("requestID", self.request_id).plain("eventID", self.event_id);
        object.boolean("readOnly", self.read_only);
        if let Some(resources) = self.resources {
            object.objects("resources", resources, |inner, resource| resource.write_members(inner));
        }
        object.string("eventType", self.event_type.as_str()).boolean("managementEvent", true);
        object.plain("recipientAccountId", self.recipient_account);
        if self.service_event_details.is_some() {
            object.json("serviceEventDetails", self.service_event_details);
        }
        object.optional("vpcEndpointId", self.vpc_endpoint_id);
        object.string("eventCategory", "Management");
        if let Some(tls) = self.tls {
            object.nested("tlsDetails", |inner| tls.write_members(inner));
        }
    }
}

/// A refusal, as the record tells it.
#[derive(Clone, Copy, Debug)]
pub struct RecordedError<'a> {
    /// The code.
    pub code: &'a str,
    /// The message; may be empty.
    pub message: &'a str,
}

impl<'a> From<&'a ServiceError> for RecordedError<'a> {
    fn from(error: &'a ServiceError) -> Self {
        Self { code: error.code.as_str(), message: &error.message }
    }
}

/// Who asked: the `userIdentity` element (AWS CloudTrail User Guide, "CloudTrail userIdentity element").
#[derive(Clone, Copy, Debug, Default)]
pub struct UserIdentity<'a> {
    /// The kind of principal; internal records have none.
    pub kind: Option<IdentityType>,
    /// The unique id; `<role id>:<session name>` for a role session.
    pub principal_id: Option<&'a str>,
    /// The principal's ARN.
    pub arn: Option<&'a str>,
    /// The account it belongs to; service principals have none.
    pub account: Option<AccountId>,
    /// The access key id that signed the request.
    pub access_key_id: Option<&'a str>,
    /// The user's friendly name.
    pub user_name: Option<&'a str>,
    /// The session of a role or of temporary credentials.
    pub session: Option<SessionContext<'a>>,
    /// The service that acted, for the caller or on its own: `AWS Internal`, `kms.amazonaws.com`, ...
    pub invoked_by: Option<&'a str>,
}

impl UserIdentity<'static> {
    /// The service itself, working for `account`.
    #[must_use]
    pub fn internal(account: AccountId) -> Self {
        Self { account: Some(account), invoked_by: Some(AWS_INTERNAL), ..Self::default() }
    }
}

impl UserIdentity<'_> {
    fn write_members(&self, object: &mut Object<'_>) {
        object.optional("type", self.kind.map(IdentityType::as_str));
        object.optional("principalId", self.principal_id).optional("arn", self.arn);
        if let Some(account) = self.account {
            object.plain("accountId", account);
        }
        object.optional("accessKeyId", self.access_key_id).optional("userName", self.user_name);
        if let Some(session) = &self.session {
            object.nested("sessionContext", |inner| session.write_members(inner));
        }
        object.optional("invokedBy", self.invoked_by);
    }
}

/// The kinds of principals that CloudTrail tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // CloudTrail's own words
pub enum IdentityType {
    Root,
    IamUser,
    AssumedRole,
    FederatedUser,
    AwsAccount,
    AwsService,
}

impl IdentityType {
    /// The name as CloudTrail spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "Root",
            Self::IamUser => "IAMUser",
            Self::AssumedRole => "AssumedRole",
            Self::FederatedUser => "FederatedUser",
            Self::AwsAccount => "AWSAccount",
            Self::AwsService => "AWSService",
        }
    }
}

/// The session behind temporary credentials.
#[derive(Clone, Copy, Debug)]
pub struct SessionContext<'a> {
    /// Whether the session began with a second factor.
    pub mfa_authenticated: bool,
    /// When the session began.
    pub creation_date: Timestamp,
    /// The role that was assumed, if one was.
    pub issuer: Option<SessionIssuer<'a>>,
}

impl SessionContext<'_> {
    fn write_members(&self, object: &mut Object<'_>) {
        if let Some(issuer) = &self.issuer {
            object.nested("sessionIssuer", |inner| {
                inner.string("type", "Role").string("principalId", issuer.principal_id);
                inner.string("arn", issuer.arn).plain("accountId", issuer.account);
                inner.string("userName", issuer.role_name);
            });
        }
        object.nested("attributes", |inner| {
            inner.plain("creationDate", IsoSeconds(self.creation_date));
            inner.plain("mfaAuthenticated", self.mfa_authenticated); // CloudTrail writes a string here
        });
    }
}

/// The role of an assumed-role session.
#[derive(Clone, Copy, Debug)]
pub struct SessionIssuer<'a> {
    /// The role's unique id.
    pub principal_id: &'a str,
    /// The role's ARN.
    pub arn: &'a str,
    /// The role's account.
    pub account: AccountId,
    /// The role's name.
    pub role_name: &'a str,
}

/// A key, alias or role that a request was about.
#[derive(Clone, Debug)]
pub struct Resource<'a> {
    /// The account that owns it.
    pub account: AccountId,
    /// [`RESOURCE_KEY`] or [`RESOURCE_ROLE`].
    pub kind: &'a str,
    /// The resolved ARN, never what the caller wrote.
    pub arn: Cow<'a, str>,
}

impl Resource<'_> {
    fn write_members(&self, object: &mut Object<'_>) {
        object.plain("accountId", self.account).string("type", self.kind).string("ARN", &self.arn);
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub enum SourceAddress<'a> {
    /// The client's address.
    Ip(IpAddr),
    /// `AWS Internal`, or the name of a service.
    Name(&'a str),
}

/// How a connection was protected, and which host the client believed to call.
#[derive(Clone, Copy, Debug)]
pub struct TlsDetails<'a> {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'a str,
    /// The cipher suite by its IANA name.
    pub cipher_suite: &'a str,
    /// The group of the key exchange, such as `X25519MLKEM768`.
    pub key_exchange: Option<&'a str>,
    /// The request's `Host`.
    pub host_header: Option<&'a str>,
}

impl TlsDetails<'_> {
    fn write_members(&self, object: &mut Object<'_>) {
        object.string("tlsVersion", self.version).string("cipherSuite", self.cipher_suite);
        object.optional("clientProvidedHostHeader", self.host_header).optional("keyExchange", self.key_exchange);
    }
}

/// Whether somebody called, or the service did something on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// A request, or internal work that CloudTrail records as one.
    AwsApiCall,
    /// Work of the service's own: `RotateKey`, `DeleteKey`, `DeleteExpiredKeyMaterial`.
    AwsServiceEvent,
}

impl EventType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AwsApiCall => "AwsApiCall",
            Self::AwsServiceEvent => "AwsServiceEvent",
        }
    }
}

/// A time as `2022-08-10T22:38:27Z`, to the second.
#[must_use]
pub fn iso_seconds(at: Timestamp) -> String {
    IsoSeconds(at).to_string()
}

/// Writes a time as `2022-08-10T22:38:27Z`.
struct IsoSeconds(Timestamp);

impl fmt::Display for IsoSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = utc(self.0);
        write!(f, "{:04}-{:02}-{:02}T", at.year(), u8::from(at.month()), at.day())?;
        write!(f, "{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
    }
}

/// A date inside request parameters and response elements, such as `Aug 10, 2022, 10:38:27 PM` (UTC).
#[must_use]
pub fn long_date(at: Timestamp) -> String {
    let at = utc(at);
    let month = &at.month().to_string()[..3];
    let (hour, half) = (at.hour() % 12, if at.hour() < 12 { "AM" } else { "PM" });
    let hour = if hour == 0 { 12 } else { hour };
    format!("{month} {}, {}, {hour}:{:02}:{:02} {half}", at.day(), at.year(), at.minute(), at.second())
}

fn utc(at: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(at.as_millis() / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH) // beyond the year 9999
}

/// Who works when nobody asked.
pub const AWS_INTERNAL: &str = "AWS Internal";
const EVENT_VERSION: &str = "1.11";
/// The source of events of keys.
pub const EVENT_SOURCE_KMS: &str = "kms.amazonaws.com";
/// The type of keys. Aliases carry it, too: so does CloudTrail.
pub const RESOURCE_KEY: &str = "AWS::KMS::Key";
/// The type of roles.
pub const RESOURCE_ROLE: &str = "AWS::IAM::Role";

#[cfg(test)]
mod tests {
    use meridian_model::ErrorCode;
    use serde_json::{Value, json};

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_660_171_107_475);

    fn account() -> AccountId {
        "111122223333".parse().unwrap()
    }

    fn parsed(record: &AuditRecord<'_>) -> Value {
        serde_json::from_str(record.to_json().as_str()).unwrap()
    }

    fn internal<'a>(identity: &'a UserIdentity<'a>, region: &'a Region) -> AuditRecord<'a> {
        AuditRecord {
            identity,
            event_time: AT,
            event_source: EVENT_SOURCE_KMS,
            event_name: "DeleteKey",
            region,
            source_address: SourceAddress::Name(AWS_INTERNAL),
            user_agent: Some(AWS_INTERNAL),
            error: None,
            request_parameters: None,
            response_elements: None,
            additional_event_data: None,
            request_id: None,
            event_id: Uuid::nil(),
            read_only: false,
            resources: None,
            event_type: EventType::AwsServiceEvent,
            recipient_account: account(),
            service_event_details: None,
            tls: None,
            vpc_endpoint_id: None,
        }
    }

    #[test]
    fn an_internal_event_names_no_caller() {
        let (identity, region) = (UserIdentity::internal(account()), "us-west-2".parse().unwrap());
        let expected = json!({
            "eventVersion": "1.11", "eventSource": "kms.amazonaws.com", "eventName": "DeleteKey",
            "userIdentity": {"accountId": "111122223333", "invokedBy": "AWS Internal"},
            "eventTime": "2022-08-10T22:38:27Z", "awsRegion": "us-west-2",
            "sourceIPAddress": "AWS Internal", "userAgent": "AWS Internal",
            "requestParameters": null, "responseElements": null, "readOnly": false,
            "eventID": "00000000-0000-0000-0000-000000000000", "eventType": "AwsServiceEvent",
            "managementEvent": true, "eventCategory": "Management", "recipientAccountId": "111122223333",
        });
        assert_eq!(parsed(&internal(&identity, &region)), expected);
    }

    #[test]
    fn a_role_session_over_tls_is_told_in_full() {
        let issuer = SessionIssuer {
            principal_id: "AROAEXAMPLE",
            arn: "arn:aws:iam::111122223333:role/Admin",
            account: account(),
            role_name: "Admin",
        };
        let identity = UserIdentity {
            kind: Some(IdentityType::AssumedRole),
            principal_id: Some("AROAEXAMPLE:alice"),
            arn: Some("arn:aws:sts::111122223333:assumed-role/Admin/alice"),
            account: Some(account()),
            access_key_id: Some(""),
            session: Some(SessionContext { mfa_authenticated: false, creation_date: AT, issuer: Some(issuer) }),
            ..UserIdentity::default()
        };
        let region = "us-west-2".parse().unwrap();
        let error = ServiceError::new(ErrorCode::IncorrectKey, "The key ID \"x\" is wrong.");
        let resources = [Resource {
            account: account(),
            kind: RESOURCE_KEY,
            arn: "arn:aws:kms:us-west-2:111122223333:key/k".into(),
        }];
        let parameters = JsonText::object(|object| {
            object.string("keyId", "alias/app");
        });
        let record = AuditRecord {
            event_name: "Decrypt",
            source_address: SourceAddress::Ip("192.0.2.7".parse().unwrap()),
            error: Some((&error).into()),
            request_parameters: Some(&parameters),
            additional_event_data: Some(&parameters),
            request_id: Some("r-1"),
            read_only: true,
            resources: Some(&resources),
            event_type: EventType::AwsApiCall,
            tls: Some(TlsDetails {
                version: "TLSv1.3",
                cipher_suite: "TLS_AES_128_GCM_SHA256",
                key_exchange: Some("X25519MLKEM768"),
                host_header: Some("kms.us-west-2.example"),
            }),
            ..internal(&identity, &region)
        };
        let value = parsed(&record);
        assert_eq!(value["errorCode"], "IncorrectKeyException");
        assert_eq!(value["errorMessage"], "The key ID \"x\" is wrong.");
        assert_eq!(value["requestParameters"], json!({"keyId": "alias/app"}));
        assert_eq!(value["sourceIPAddress"], "192.0.2.7");
        let session = &value["userIdentity"]["sessionContext"];
        assert_eq!(session["attributes"], json!({"mfaAuthenticated": "false", "creationDate": "2022-08-10T22:38:27Z"}));
        assert_eq!(session["sessionIssuer"]["userName"], "Admin");
        assert_eq!(value["resources"][0]["type"], "AWS::KMS::Key");
        assert_eq!(value["resources"][0]["ARN"], "arn:aws:kms:us-west-2:111122223333:key/k");
        assert_eq!(value["tlsDetails"]["clientProvidedHostHeader"], "kms.us-west-2.example");
        assert_eq!(value["userIdentity"]["accessKeyId"], "");
    }

    #[test]
    fn dates_inside_elements_are_written_the_long_way() {
        assert_eq!(long_date(AT), "Aug 10, 2022, 10:38:27 PM");
        assert_eq!(long_date(Timestamp::from_millis(0)), "Jan 1, 1970, 12:00:00 AM");
        assert_eq!(long_date(Timestamp::from_millis(u64::MAX)), "Jan 1, 1970, 12:00:00 AM");
    }
}
