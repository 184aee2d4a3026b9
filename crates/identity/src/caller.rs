//! The verified identity behind a request, as policies, audit records and STS name it.

use std::collections::{BTreeMap, BTreeSet};

use meridian_model::{AccountId, Partition, PolicyArn, Timestamp};
use meridian_policy::StoredPolicy;
use serde::{Deserialize, Serialize};

/// A principal that proved who it is. Travels to the leader with a forwarded request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The account that the principal belongs to.
    pub account: AccountId,
    /// The ARN of the principal: `aws:PrincipalArn`, except that a session's is the one of its role. Of a service, its name.
    pub arn: String,
    /// The unique id: `aws:userid`. The account number for a root user, `<role id>:<session name>` for a session of a role,
    /// `<account>:<name>` for a federated user, the name for a service.
    pub principal_id: String,
    /// The access key that signed the request.
    pub access_key_id: String,
    /// What kind of principal it is.
    pub kind: CallerKind,
    /// Where its rights come from.
    pub source: CallerSource,
    /// What came with temporary credentials; `None` for long-term ones.
    pub session: Option<Session>,
    /// The service that signed the request on its own behalf or on that of the principal; `None` for direct calls.
    pub service_call: Option<ServiceCall>,
}

/// The kind of a principal, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallerKind {
    /// The root user of the account, or a session of `GetSessionToken` of its.
    Root,
    /// A user of the account, or a session of `GetSessionToken` of its.
    IamUser {
        /// Its name: `aws:username`.
        user_name: String,
    },
    /// A session of a role.
    AssumedRole {
        /// The ARN of the role.
        role_arn: String,
        /// The name that whoever assumed the role gave to the session.
        session_name: String,
    },
    /// A session of `GetFederationToken`.
    FederatedUser {
        /// The ARN of the user who asked for it, whose policies bound it.
        user_arn: String,
        /// The unique id of that user; `None` for the root user.
        user_id: Option<String>,
        /// The name that the user gave to the session.
        name: String,
    },
    /// A service that acts for itself.
    Service {
        /// Its principal, such as `s3.amazonaws.com`.
        name: String,
    },
}

/// Where the rights of a principal come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallerSource {
    /// The principal is an entity of IAM: its rights are those of its policies; a root user has every right of its account.
    Iam,
    /// The principal stands in the configuration, outside of IAM: it is an administrator of its account.
    Configuration,
}

/// What belongs to temporary credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When they were issued: `aws:TokenIssueTime`.
    pub issued_at: Timestamp,
    /// When they expire.
    pub expires_at: Timestamp,
    /// When the principal proved with a second factor who it is; `None` if it did not.
    pub mfa_at: Option<Timestamp>,
    /// Session tags, which count before the tags of user or role.
    pub tags: BTreeMap<String, String>,
    /// Keys of the tags that go on to further roles.
    pub transitive: BTreeSet<String>,
    /// Session policies that were given as documents.
    pub policies: Vec<StoredPolicy>,
    /// Session policies that were given as managed policies.
    pub policy_arns: Vec<PolicyArn>,
    /// `aws:SourceIdentity`
    pub source_identity: Option<String>,
    /// Who issued the identity that was federated, such as a provider of SAML or OIDC: `aws:FederatedProvider`.
    pub federated_provider: Option<String>,
}

/// The part of a service in a request. Whatever it says was signed by the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCall {
    /// The principal of the service, such as `s3.amazonaws.com`.
    pub service: String,
    /// The account of the resource on whose behalf the service calls: `aws:SourceAccount`.
    pub source_account: Option<AccountId>,
    /// The ARN of that resource: `aws:SourceArn`.
    pub source_arn: Option<String>,
}

impl Caller {
    /// The root user of `account`.
    #[must_use]
    pub fn root(partition: Partition, account: AccountId, access_key_id: &str) -> Self {
        Self::direct(
            account,
            format!("arn:{partition}:iam::{account}:root"),
            account.to_string(),
            access_key_id,
            CallerKind::Root,
        )
    }

    /// The user `user_name` of `account` with the unique id `principal_id` and the path `/`.
    #[must_use]
    pub fn user(
        partition: Partition,
        account: AccountId,
        user_name: &str,
        principal_id: &str,
        access_key_id: &str,
    ) -> Self {
        Self::direct(
            account,
            format!("arn:{partition}:iam::{account}:user/{user_name}"),
            principal_id.to_owned(),
            access_key_id,
            CallerKind::IamUser { user_name: user_name.to_owned() },
        )
    }

    /// The service `name`, whose credentials belong to `account`.
    #[must_use]
    pub fn service(account: AccountId, name: &str, access_key_id: &str) -> Self {
        let kind = CallerKind::Service { name: name.to_owned() };
        let call = ServiceCall { service: name.to_owned(), source_account: None, source_arn: None };
        let caller = Self::direct(account, name.to_owned(), name.to_owned(), access_key_id, kind);
        Self { service_call: Some(call), ..caller }
    }

    fn direct(account: AccountId, arn: String, principal_id: String, access_key_id: &str, kind: CallerKind) -> Self {
        Self {
            account,
            arn,
            principal_id,
            access_key_id: access_key_id.to_owned(),
            kind,
            source: CallerSource::Iam,
            session: None,
            service_call: None,
        }
    }

    /// The name of the user; `None` for other kinds of principals.
    #[must_use]
    pub fn user_name(&self) -> Option<&str> {
        match &self.kind {
            CallerKind::IamUser { user_name } => Some(user_name),
            CallerKind::Root
            | CallerKind::AssumedRole { .. }
            | CallerKind::FederatedUser { .. }
            | CallerKind::Service { .. } => None,
        }
    }

    /// The unique id of the user, or of the role of a session: what policies may name in place of an ARN. `None` for other kinds.
    #[must_use]
    pub fn entity_id(&self) -> Option<&str> {
        match &self.kind {
            CallerKind::IamUser { .. } => Some(&self.principal_id),
            CallerKind::AssumedRole { .. } => self.principal_id.split(':').next(),
            CallerKind::Root | CallerKind::FederatedUser { .. } | CallerKind::Service { .. } => None,
        }
    }

    /// The unique id of the user whose policies count, who may have another name by now: the user, or the one behind a
    /// federated one. `None` for the root user and other kinds.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        match &self.kind {
            CallerKind::IamUser { .. } => Some(&self.principal_id),
            CallerKind::FederatedUser { user_id, .. } => user_id.as_deref(),
            CallerKind::Root | CallerKind::AssumedRole { .. } | CallerKind::Service { .. } => None,
        }
    }

    /// The ARN of the entity whose policies count: the user, the role of a session, the user behind a federated one; the root user
    /// or the service itself.
    #[must_use]
    pub fn entity_arn(&self) -> &str {
        match &self.kind {
            CallerKind::AssumedRole { role_arn, .. } => role_arn,
            CallerKind::FederatedUser { user_arn, .. } => user_arn,
            CallerKind::Root | CallerKind::IamUser { .. } | CallerKind::Service { .. } => &self.arn,
        }
    }

    /// Whether the caller is an administrator of its account who stands in no policy.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.source == CallerSource::Configuration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_survive_their_own_encoding() {
        let account: AccountId = "000000000042".parse().expect("valid");
        for caller in [
            Caller::root(Partition::Aws, account, "AKIA"),
            Caller::user(Partition::AwsCn, account, "alice", "AIDAX", "AKIB"),
            Caller::service(account, "s3.amazonaws.com", "AKIC"),
        ] {
            let json = serde_json::to_string(&caller).expect("JSON");
            assert_eq!(serde_json::from_str::<Caller>(&json).expect("own JSON"), caller);
        }
    }

    #[test]
    fn arns_name_partition_account_and_user() {
        let account: AccountId = "000000000042".parse().expect("valid");
        assert_eq!(Caller::root(Partition::Aws, account, "k").arn, "arn:aws:iam::000000000042:root");
        let alice = Caller::user(Partition::AwsCn, account, "alice", "AIDAX", "k");
        assert_eq!(alice.arn, "arn:aws-cn:iam::000000000042:user/alice");
        assert_eq!(alice.user_name(), Some("alice"));
    }
}
