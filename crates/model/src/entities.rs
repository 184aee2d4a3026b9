//! Identifiers of IAM: names, paths and unique ids of entities, access key ids, ARNs of managed policies.
//!
//! Source: AWS IAM User Guide, "IAM and AWS STS quotas" (name requirements) and "IAM identifiers".

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ids::{AccountId, ParseIdError, Partition, invalid, serde_as_text};

/// Declares an identifier that is a checked text.
macro_rules! text_id {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(text) { Ok(Self(text.into())) } else { Err(invalid($kind, text)) }
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        serde_as_text!($type);
    };
}

text_id!(
    /// The name of a user, group, role, managed or inline policy: 1 to 128 of `A-Z a-z 0-9 _ + = , . @ -`. Names of users and
    /// roles are shorter, which is checked where they are made.
    EntityName,
    "name",
    is_entity_name
);

text_id!(
    /// The path of a user, group, role or managed policy: `/`, or 3 to 512 visible ASCII characters between two slashes.
    EntityPath,
    "path",
    |text| text == "/" || (2..=512).contains(&text.len()) && text.starts_with('/') && text.ends_with('/') && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
);

text_id!(
    /// The unique id of an entity, never given twice: a prefix that tells its kind, such as `AIDA`, and capitals and digits; 16 to
    /// 128 of both.
    UniqueId,
    "unique id",
    is_unique_id
);

text_id!(
    /// The id of an access key: 16 to 128 letters and digits, `AKIA…` for long-term and `ASIA…` for temporary ones.
    AccessKeyId,
    "access key id",
    |text| (16..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
);

impl EntityName {
    /// The first of all names in their order: where an account begins.
    #[must_use]
    pub fn lowest() -> Self {
        Self("+".into()) // the lowest of the characters of a name, and the shortest name that begins with it
    }

    /// The name in lower case: two entities of one kind and account never share it.
    #[must_use]
    pub fn folded(&self) -> Self {
        if self.0.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Self(self.0.to_ascii_lowercase().into())
        } else {
            self.clone()
        }
    }
}

impl AccessKeyId {
    /// The first of all ids in their order.
    #[must_use]
    pub fn lowest() -> Self {
        Self("0000000000000000".into())
    }
}

impl Default for EntityPath {
    /// `/`
    fn default() -> Self {
        Self("/".into())
    }
}

/// The prefixes of unique ids and access key ids (AWS IAM User Guide, "IAM identifiers").
pub mod id_prefix {
    /// A user.
    pub const USER: &str = "AIDA";
    /// A group.
    pub const GROUP: &str = "AGPA";
    /// A role.
    pub const ROLE: &str = "AROA";
    /// A managed policy.
    pub const POLICY: &str = "ANPA";
    /// A long-term access key.
    pub const ACCESS_KEY: &str = "AKIA";
    /// A temporary access key.
    pub const TEMPORARY_ACCESS_KEY: &str = "ASIA";
}

/// The kinds of entities that policies are attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum EntityKind {
    /// A user.
    User,
    /// A group of users.
    Group,
    /// A role.
    Role,
}

impl EntityKind {
    /// The word of ARNs and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// The ARN of an entity of this kind.
    #[must_use]
    pub fn arn(self, partition: Partition, account: AccountId, path: &EntityPath, name: &EntityName) -> String {
        format!("arn:{partition}:iam::{account}:{}{path}{name}", self.as_str())
    }
}

/// The ARN of a managed policy: `arn:<partition>:iam::<account or "aws">:policy<path><name>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyArn {
    text: Arc<str>,
    owner: Option<AccountId>,
    path_at: usize,
    name_at: usize,
}

impl PolicyArn {
    /// The ARN of a policy of a customer.
    #[must_use]
    pub fn customer(partition: Partition, account: AccountId, path: &EntityPath, name: &EntityName) -> Self {
        let text = format!("arn:{partition}:iam::{account}:policy{path}{name}");
        let name_at = text.len() - name.as_str().len();
        Self { path_at: name_at - path.as_str().len(), name_at, text: text.into(), owner: Some(account) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The account that the policy belongs to; `None` for one of the provider.
    #[must_use]
    pub const fn owner(&self) -> Option<AccountId> {
        self.owner
    }

    /// The path, from slash to slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path_at..self.name_at]
    }

    /// The name, without the path.
    #[must_use]
    pub fn name(&self) -> EntityName {
        EntityName(self.text[self.name_at..].into())
    }
}

impl FromStr for PolicyArn {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let rest = text.strip_prefix("arn:")?;
            let (partition, rest) = rest.split_once(":iam::")?;
            partition.parse::<Partition>().ok()?;
            let (owner, resource) = rest.split_once(':')?;
            let owner = if owner == "aws" { None } else { Some(owner.parse().ok()?) };
            let path_and_name = resource.strip_prefix("policy")?;
            let (path, name) = path_and_name.split_at(path_and_name.rfind('/')? + 1);
            path.parse::<EntityPath>().ok()?;
            let (path_at, name_at) = (text.len() - path_and_name.len(), text.len() - name.len());
            is_entity_name(name).then(|| Self { text: text.into(), owner, path_at, name_at })
        };
        parse().ok_or_else(|| invalid("ARN of a managed policy", text))
    }
}

impl fmt::Display for PolicyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PolicyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

serde_as_text!(PolicyArn);

fn is_entity_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn is_unique_id(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_ids_are_what_the_quotas_page_says() {
        for (text, is_name) in
            [("alice", true), ("a+=,.@_-", true), ("", false), ("a b", false), ("a/b", false), ("ä", false)]
        {
            assert_eq!(text.parse::<EntityName>().is_ok(), is_name, "{text}");
        }
        assert!("x".repeat(128).parse::<EntityName>().is_ok() && "x".repeat(129).parse::<EntityName>().is_err());
        for (text, is_path) in
            [("/", true), ("/a/", true), ("/a/b/", true), ("", false), ("/a", false), ("a/", false), ("/a b/", false)]
        {
            assert_eq!(text.parse::<EntityPath>().is_ok(), is_path, "{text}");
        }
        for (text, is_id) in [("AIDACKCEVSQ6C2EXAMPLE", true), ("AIDA", false), ("aidackcevsq6c2example", false)] {
            assert_eq!(text.parse::<UniqueId>().is_ok(), is_id, "{text}");
        }
        for (text, is_id) in [("AKIAIOSFODNN7EXAMPLE", true), ("test", false), ("AKIA/OSFODNN7EXAMPLE", false)] {
            assert_eq!(text.parse::<AccessKeyId>().is_ok(), is_id, "{text}");
        }
    }

    #[test]
    fn names_are_folded_without_regard_to_case() {
        let name = |text: &str| text.parse::<EntityName>().expect(text);
        assert_eq!(name("ADMINS").folded(), name("admins"));
        assert_eq!(name("admins").folded(), name("admins"));
    }

    #[test]
    fn policy_arns_name_owner_path_and_name() {
        let arn: PolicyArn = "arn:aws:iam::111122223333:policy/team/one".parse().expect("valid");
        assert_eq!((arn.owner(), arn.path(), arn.name().as_str()), ("111122223333".parse().ok(), "/team/", "one"));
        let built = PolicyArn::customer(
            Partition::Aws,
            arn.owner().expect("owned"),
            &"/team/".parse().expect("valid"),
            &arn.name(),
        );
        assert_eq!(built, arn);
        let provider: PolicyArn = "arn:aws:iam::aws:policy/AdministratorAccess".parse().expect("valid");
        assert_eq!((provider.owner(), provider.name().as_str()), (None, "AdministratorAccess"));
        for text in [
            "",
            "arn:aws:iam::1:policy/a",
            "arn:aws:iam::aws:policy",
            "arn:aws:iam::aws:user/a",
            "arn:x:iam::aws:policy/a",
            "arn:aws:iam::aws:policy/",
        ] {
            assert!(text.parse::<PolicyArn>().is_err(), "{text}");
        }
    }
}
