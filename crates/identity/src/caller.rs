//! The verified identity behind a request, as policies, audit records and STS name it.

use meridian_model::{AccountId, Partition};
use serde::{Deserialize, Serialize};

/// A principal that proved who it is. Travels to the leader with a forwarded request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The account that the principal belongs to.
    pub account: AccountId,
    /// The ARN of the principal: `aws:PrincipalArn`, except that a session's is the one of its role.
    pub arn: String,
    /// The unique id: `aws:userid`. The account number for a root user.
    pub principal_id: String,
    /// The access key that signed the request.
    pub access_key_id: String,
    /// What kind of principal it is.
    pub kind: CallerKind,
}

/// The kind of a principal, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallerKind {
    /// The root user of the account.
    Root,
    /// A user of the account.
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
}

impl Caller {
    /// The root user of `account`.
    #[must_use]
    pub fn root(partition: Partition, account: AccountId, access_key_id: &str) -> Self {
        Self {
            account,
            arn: format!("arn:{partition}:iam::{account}:root"),
            principal_id: account.to_string(),
            access_key_id: access_key_id.to_owned(),
            kind: CallerKind::Root,
        }
    }

    /// The user `user_name` of `account` with the unique id `principal_id`.
    #[must_use]
    pub fn user(
        partition: Partition,
        account: AccountId,
        user_name: &str,
        principal_id: &str,
        access_key_id: &str,
    ) -> Self {
        Self {
            account,
            arn: format!("arn:{partition}:iam::{account}:user/{user_name}"),
            principal_id: principal_id.to_owned(),
            access_key_id: access_key_id.to_owned(),
            kind: CallerKind::IamUser { user_name: user_name.to_owned() },
        }
    }

    /// The name of the user; `None` for other kinds of principals.
    #[must_use]
    pub fn user_name(&self) -> Option<&str> {
        match &self.kind {
            CallerKind::IamUser { user_name } => Some(user_name),
            CallerKind::Root | CallerKind::AssumedRole { .. } => None,
        }
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
