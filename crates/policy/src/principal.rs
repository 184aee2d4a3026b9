//! Principals: who asks, and how a grant names whom it is for.
//!
//! Formats: AWS IAM User Guide, "IAM ARNs". A group, an organization and a wildcard are no principals.

use std::fmt;

use meridian_model::{AccountId, Partition};
use serde::{Deserialize, Serialize};

use crate::principal_element::Via;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a> {
    /// The account that the principal belongs to. Says nothing of a service.
    pub account: AccountId,
    /// The ARN of the principal; of a service, its name.
    pub arn: &'a str,
    /// What it is.
    pub kind: PrincipalKind<'a>,
    /// The unique id of the user (`AIDA...`), or of the role of a session (`AROA...`).
    pub unique_id: Option<&'a str>,
}

/// What a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind<'a> {
    /// The root user of an account, who needs no identity policies.
    Root,
    /// An IAM user, also with temporary credentials of its own (`GetSessionToken`).
    User,
    /// A session of a role.
    Session {
        /// The ARN of the role.
        role_arn: &'a str,
    },
    /// A federated session of a user (`GetFederationToken`). Without session policies, no identity policy allows it
    /// anything.
    FederatedUser {
        /// The ARN of the user, or of the root, that made the session.
        user_arn: &'a str,
    },
    /// A service, which has no identity policies and belongs to no account.
    Service {
        /// Its name, such as `dynamodb.us-west-2.amazonaws.com`.
        name: &'a str,
    },
}

impl<'a> Principal<'a> {
    /// The ARN of the role that the principal is a session of.
    #[must_use]
    pub fn role_arn(&self) -> Option<&'a str> {
        if let PrincipalKind::Session { role_arn } = self.kind { Some(role_arn) } else { None }
    }

    /// The service that the principal is.
    #[must_use]
    pub fn service(&self) -> Option<&'a str> {
        if let PrincipalKind::Service { name } = self.kind { Some(name) } else { None }
    }

    /// The ARN of the role or user that the session of the principal comes from.
    pub(crate) fn origin(&self) -> Option<&'a str> {
        match self.kind {
            PrincipalKind::Session { role_arn } => Some(role_arn),
            PrincipalKind::FederatedUser { user_arn } => Some(user_arn),
            PrincipalKind::Root | PrincipalKind::User | PrincipalKind::Service { .. } => None,
        }
    }

    /// Whether the account itself asks, which needs no identity policies: its root user, or a federated session of it.
    pub(crate) fn is_root(&self) -> bool {
        match self.kind {
            PrincipalKind::Root => true,
            PrincipalKind::FederatedUser { user_arn } => user_arn.ends_with(":root"),
            PrincipalKind::User | PrincipalKind::Session { .. } | PrincipalKind::Service { .. } => false,
        }
    }

    /// Every text by which a grant may name this principal: itself, its role, its account, its service.
    pub fn names(&self, partition: Partition) -> impl Iterator<Item = String> {
        let root = PrincipalArn::root(partition, self.account).text;
        let own = [Some(self.arn), self.role_arn()].into_iter().flatten();
        let own: Vec<String> = own.filter(|name| *name != root).map(str::to_owned).collect();
        own.into_iter().chain(self.service().is_none().then_some(root))
    }
}

/// Whom a grant names: as its grantee, or as the one who may retire it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Party {
    /// An account, a user, a role, or a session.
    Principal(PrincipalArn),
    /// A service.
    Service(String),
}

impl Party {
    /// The text that names the party.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Principal(arn) => arn.as_str(),
            Self::Service(name) => name,
        }
    }

    /// By which of its names `principal` is the party; `None` if it is not.
    ///
    /// An account stands for all of its principals, to whom it delegates by identity policies.
    #[must_use]
    pub fn via(&self, principal: &Principal<'_>) -> Option<Via> {
        match self {
            Self::Principal(arn) if arn.is_root => {
                (principal.account == arn.account && principal.service().is_none()).then_some(Via::Account)
            }
            Self::Principal(arn) if principal.arn == arn.text => Some(Via::Itself),
            Self::Principal(arn) => (principal.role_arn() == Some(&arn.text)).then_some(Via::Role),
            Self::Service(name) => (principal.service() == Some(name)).then_some(Via::Itself),
        }
    }
}

/// The ARN of a principal that a grant can name: the root of an account, a user, a role, a session of a role, or a
/// federated user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrincipalArn {
    text: String,
    partition: Partition,
    account: AccountId,
    is_root: bool,
}

impl PrincipalArn {
    /// Parses the ARN of a principal; `None` if `text` is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, resource] = parts[..] else { return None };
        let (partition, account) = (partition.parse().ok()?, account.parse().ok()?);
        let is_root = (service, resource) == ("iam", "root");
        let is_named = |prefix: &str| resource.strip_prefix(prefix).is_some_and(is_path);
        let is_known = match service {
            "iam" => is_root || is_named("user/") || is_named("role/"),
            "sts" => is_session(resource) || is_named("federated-user/"),
            _ => false,
        };
        is_known.then(|| Self { text: text.to_owned(), partition, account, is_root })
    }

    /// The root of an account: the account itself.
    #[must_use]
    pub fn root(partition: Partition, account: AccountId) -> Self {
        Self { text: format!("arn:{partition}:iam::{account}:root"), partition, account, is_root: true }
    }

    /// The text of the ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is an account.
    pub(crate) fn is_root(&self) -> bool {
        self.is_root
    }

    /// The partition that the principal lives in.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The account that the principal belongs to.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }
}

impl fmt::Display for PrincipalArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<PrincipalArn> for String {
    fn from(arn: PrincipalArn) -> Self {
        arn.text
    }
}

impl TryFrom<String> for PrincipalArn {
    type Error = NotAPrincipal;

    fn try_from(text: String) -> Result<Self, NotAPrincipal> {
        Self::parse(&text).ok_or(NotAPrincipal)
    }
}

/// The text is not the ARN of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the ARN of a principal")]
pub struct NotAPrincipal;

/// `name`, or `path/name` with any number of parts.
fn is_path(text: &str) -> bool {
    text.split('/').all(|part| !part.is_empty())
}

/// `assumed-role/<role>/<session>`
fn is_session(resource: &str) -> bool {
    let Some(rest) = resource.strip_prefix("assumed-role/") else { return false };
    rest.split_once('/')
        .is_some_and(|(role, session)| !role.is_empty() && !session.is_empty() && !session.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_accounts_users_roles_and_sessions() {
        for text in [
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:user/alice",
            "arn:aws:iam::111122223333:user/division/team/alice",
            "arn:aws-cn:iam::111122223333:role/service-role/keyUserRole",
            "arn:aws:sts::111122223333:assumed-role/keyUserRole/session",
            "arn:aws:sts::111122223333:assumed-role/aws:ec2-infrastructure/i-5d476fab",
            "arn:aws:sts::111122223333:federated-user/bob",
        ] {
            assert_eq!(PrincipalArn::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn nothing_else_is_a_principal() {
        for text in [
            "",
            "111122223333",
            "arn:aws:iam::111122223333:group/admins",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam::111122223333:user",
            "arn:aws:iam::111122223333:role/a//b",
            "arn:aws:iam:us-east-1:111122223333:user/alice",
            "arn:aws:iam::1111:user/alice",
            "arn:nowhere:iam::111122223333:root",
            "arn:aws:sts::111122223333:root",
            "arn:aws:sts::111122223333:assumed-role/keyUserRole",
            "arn:aws:sts::111122223333:assumed-role/keyUserRole/a/b",
            "arn:aws:organizations::111122223333:organization/o-abc",
            "dynamodb.us-west-2.amazonaws.com",
        ] {
            assert!(PrincipalArn::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_party_includes_itself_its_sessions_and_for_an_account_everybody() {
        let session = Principal {
            account: "111122223333".parse().expect("12 digits"),
            arn: "arn:aws:sts::111122223333:assumed-role/r/s",
            kind: PrincipalKind::Session { role_arn: "arn:aws:iam::111122223333:role/r" },
            unique_id: None,
        };
        let party = |text: &str| Party::Principal(PrincipalArn::parse(text).expect(text));
        for (text, included) in [
            ("arn:aws:sts::111122223333:assumed-role/r/s", true),
            ("arn:aws:sts::111122223333:assumed-role/r/t", false),
            ("arn:aws:iam::111122223333:role/r", true),
            ("arn:aws:iam::111122223333:role/q", false),
            ("arn:aws:iam::111122223333:root", true),
            ("arn:aws:iam::444455556666:root", false),
        ] {
            assert_eq!(party(text).via(&session).is_some(), included, "{text}");
            let is_named = session.names(Partition::Aws).any(|name| name == text);
            assert_eq!(is_named, included, "the names must find what the rule allows: {text}");
        }
        let service = Party::Service("s3.amazonaws.com".to_owned());
        assert_eq!(service.via(&session), None);
        let name = "s3.amazonaws.com";
        assert!(service.via(&Principal { arn: name, kind: PrincipalKind::Service { name }, ..session }).is_some());
    }
}
