//! The actions of STS: which there are, and what each of them takes.
//!
//! Source: the public STS API reference, version 2011-06-15.

use crate::query::constraints::{
    ARN, EXTERNAL_ID, FEDERATED_NAME, SERIAL_NUMBER, SESSION_NAME, SESSION_POLICY, SESSION_POLICY_ARNS_MAX, TAG_KEY,
    TAGS_MAX, TOKEN_CODE,
};
use crate::query::error::QueryError;
use crate::query::form::{Form, Reader, Tag};
use crate::query::{Row, read};

/// The version of the API.
const VERSION: &str = "2011-06-15";

/// One well-formed request to STS.
#[derive(Debug, PartialEq)]
pub struct StsCall {
    /// The name of the action.
    pub action: &'static str,
    /// What it takes.
    pub request: StsRequest,
}

/// The policies that a session is bounded by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPolicies {
    /// A policy document.
    pub document: Option<String>,
    /// Managed policies, by their ARNs.
    pub arns: Vec<String>,
}

/// What `AssumeRole` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as the API reference has them
pub struct AssumeRole {
    pub role_arn: String,
    pub session_name: String,
    pub policies: SessionPolicies,
    pub seconds: Option<u32>,
    pub tags: Vec<Tag>,
    pub transitive_tag_keys: Vec<String>,
    pub external_id: Option<String>,
    pub source_identity: Option<String>,
    /// Whether a second factor is shown; there are none here.
    pub shows_mfa: bool,
    /// Whether contexts of other identity providers are shown; there are none here.
    pub shows_contexts: bool,
}

/// What `GetFederationToken` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as the API reference has them
pub struct GetFederationToken {
    pub name: String,
    pub policies: SessionPolicies,
    pub seconds: Option<u32>,
    pub tags: Vec<Tag>,
}

/// What STS is asked for.
#[derive(Debug, PartialEq)]
#[allow(missing_docs)] // as the API reference has them
pub enum StsRequest {
    AssumeRole(AssumeRole),
    GetCallerIdentity,
    GetFederationToken(GetFederationToken),
    GetSessionToken { seconds: Option<u32>, shows_mfa: bool },
}

impl StsCall {
    /// Reads what `form` asks for.
    ///
    /// # Errors
    /// As [`crate::query::QueryCall::read`].
    pub fn read(form: &Form) -> Result<Self, QueryError> {
        read(form, VERSION, ACTIONS, ABSENT, true).map(|(action, request)| Self { action, request })
    }
}

/// Every action that is served, in the order of the names.
const ACTIONS: &[Row<StsRequest>] = &[
    ("AssumeRole", |r| {
        StsRequest::AssumeRole(AssumeRole {
            role_arn: r.required("RoleArn", &ARN),
            session_name: r.required("RoleSessionName", &SESSION_NAME),
            policies: session_policies(r),
            seconds: r.number("DurationSeconds", 900, 43_200),
            tags: r.tags(),
            transitive_tag_keys: r.texts("TransitiveTagKeys", TAGS_MAX, &TAG_KEY),
            external_id: r.optional("ExternalId", &EXTERNAL_ID),
            source_identity: r.optional("SourceIdentity", &SESSION_NAME),
            shows_mfa: shows_mfa(r),
            shows_contexts: r.has_items("ProvidedContexts"),
        })
    }),
    ("GetCallerIdentity", |_| StsRequest::GetCallerIdentity),
    ("GetFederationToken", |r| {
        StsRequest::GetFederationToken(GetFederationToken {
            name: r.required("Name", &FEDERATED_NAME),
            policies: session_policies(r),
            seconds: r.number("DurationSeconds", 900, 129_600),
            tags: r.tags(),
        })
    }),
    ("GetSessionToken", |r| StsRequest::GetSessionToken {
        seconds: r.number("DurationSeconds", 900, 129_600),
        shows_mfa: shows_mfa(r),
    }),
];

fn session_policies(r: &mut Reader<'_>) -> SessionPolicies {
    SessionPolicies {
        document: r.optional("Policy", &SESSION_POLICY),
        arns: r.only_members("PolicyArns", "arn", SESSION_POLICY_ARNS_MAX, &ARN),
    }
}

fn shows_mfa(r: &mut Reader<'_>) -> bool {
    let serial_number = r.optional("SerialNumber", &SERIAL_NUMBER);
    let code = r.optional("TokenCode", &TOKEN_CODE);
    serial_number.is_some() || code.is_some()
}

/// Actions of STS that are not served here: other identity providers, the root of member accounts, encoded messages, and the
/// owners of access keys.
const ABSENT: &[&str] = &[
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "AssumeRoot",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetDelegatedAccessToken",
    "GetWebIdentityToken",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::QueryCode;

    fn call(body: &str) -> Result<StsCall, QueryError> {
        StsCall::read(&Form::parse(&[format!("Version=2011-06-15&Action={body}").as_bytes()]).expect("a form"))
    }

    #[test]
    fn the_table_is_in_order_and_disjoint_from_what_is_absent() {
        assert!(ACTIONS.is_sorted_by(|one, other| one.0 < other.0));
        assert!(ABSENT.iter().all(|absent| ACTIONS.iter().all(|(name, _)| name != absent)));
    }

    #[test]
    fn a_role_is_assumed_with_everything() {
        let read = call(
            "AssumeRole&RoleArn=arn:aws:iam::111122223333:role/r&RoleSessionName=me&Policy=%7B%7D\
             &PolicyArns.member.1.arn=arn:aws:iam::aws:policy/P&DurationSeconds=900&Tags.member.1.Key=a\
             &Tags.member.1.Value=b&TransitiveTagKeys.member.1=a&ExternalId=ext&SourceIdentity=src",
        );
        let expected = AssumeRole {
            role_arn: "arn:aws:iam::111122223333:role/r".to_owned(),
            session_name: "me".to_owned(),
            policies: SessionPolicies {
                document: Some("{}".to_owned()),
                arns: vec!["arn:aws:iam::aws:policy/P".to_owned()],
            },
            seconds: Some(900),
            tags: vec![Tag { key: "a".to_owned(), value: "b".to_owned() }],
            transitive_tag_keys: vec!["a".to_owned()],
            external_id: Some("ext".to_owned()),
            source_identity: Some("src".to_owned()),
            shows_mfa: false,
            shows_contexts: false,
        };
        assert_eq!(read, Ok(StsCall { action: "AssumeRole", request: StsRequest::AssumeRole(expected) }));
    }

    #[test]
    fn other_requests_are_refused_by_name_or_member() {
        for (body, code) in [
            ("AssumeRoleWithSAML", QueryCode::UnsupportedOperation),
            ("CreateUser", QueryCode::InvalidAction),
            ("AssumeRole&RoleArn=x&RoleSessionName=me", QueryCode::ValidationError),
            ("AssumeRole&RoleArn=arn:aws:iam::111122223333:role/r&RoleSessionName=a+b", QueryCode::ValidationError),
            ("GetSessionToken&DurationSeconds=899", QueryCode::ValidationError),
            ("GetFederationToken&Name=a", QueryCode::ValidationError),
        ] {
            assert_eq!(call(body).map_err(|error| error.code), Err(code), "{body}");
        }
    }
}
