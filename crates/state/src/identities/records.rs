//! What stands in the rows of identities.
//!
//! A row is known by the unique id of what it is about, so that a name may change. Everything that belongs to one entity stands in its row, except what has a life of its own: access keys, and the versions of
//! managed policies. Users name their groups, so that no row grows with the number of users.

use std::collections::{BTreeMap, BTreeSet};

use meridian_crypto::{SealedSecret, SessionKeyId};
use meridian_model::{
    AccessKeyId, AccountId, EntityKind, EntityName, EntityPath, Partition, PolicyArn, Region, Timestamp, UniqueId,
};
use meridian_policy::StoredPolicy;
use serde::{Deserialize, Serialize};

/// Tag key to tag value; at most 50, keys of 1 to 128 and values of 0 to 256 characters.
pub type Tags = BTreeMap<String, String>;

/// The policies of a user, group or role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policies {
    /// Inline policies by their names.
    pub inline: BTreeMap<EntityName, StoredPolicy>,
    /// Managed policies, at most 10.
    pub attached: BTreeSet<PolicyArn>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// The account.
    pub account: AccountId,
    /// The name as it was given; unique in the account without regard to case.
    pub name: EntityName,
    /// The path.
    pub path: EntityPath,
    /// `AIDA…`
    pub id: UniqueId,
    /// When the user was made.
    pub created_at: Timestamp,
    /// Tags.
    pub tags: Tags,
    /// The managed policy that bounds what other policies allow.
    pub boundary: Option<PolicyArn>,
    /// The user's own policies.
    pub policies: Policies,
    /// The unique ids of the groups that the user is in, at most 10.
    pub groups: BTreeSet<UniqueId>,
}

/// A group of users; [`UserRecord::groups`] says who is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// The account.
    pub account: AccountId,
    /// The name as it was given; unique in the account without regard to case.
    pub name: EntityName,
    /// The path.
    pub path: EntityPath,
    /// `AGPA…`
    pub id: UniqueId,
    /// When the group was made.
    pub created_at: Timestamp,
    /// The policies of its users.
    pub policies: Policies,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// The account.
    pub account: AccountId,
    /// The name as it was given; unique in the account without regard to case.
    pub name: EntityName,
    /// The path.
    pub path: EntityPath,
    /// `AROA…`
    pub id: UniqueId,
    /// When the role was made.
    pub created_at: Timestamp,
    /// Tags.
    pub tags: Tags,
    /// The managed policy that bounds what other policies allow.
    pub boundary: Option<PolicyArn>,
    /// The role's own policies.
    pub policies: Policies,
    /// Who may assume the role.
    pub trust: StoredPolicy,
    /// 0 to 1,000 characters.
    pub description: String,
    /// How long a session may last: 3,600 to 43,200 seconds.
    pub session_seconds_max: u32,
    /// The service that the role is linked to, such as `mrk.kms.amazonaws.com`; `None` for an ordinary role.
    pub linked_service: Option<String>,
}

/// A managed policy of an account. Its versions are rows of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicyRecord {
    /// The account.
    pub account: AccountId,
    /// The name as it was given; unique in the account without regard to case.
    pub name: EntityName,
    /// The path.
    pub path: EntityPath,
    /// `ANPA…`
    pub id: UniqueId,
    /// 0 to 1,000 characters.
    pub description: String,
    /// When the policy was made.
    pub created_at: Timestamp,
    /// When its versions, or which of them counts, changed last.
    pub updated_at: Timestamp,
    /// Tags.
    pub tags: Tags,
    /// The version that counts.
    pub default_version: u32,
    /// The newest version ever made; numbers are never given twice.
    pub newest_version: u32,
}

/// One version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersionRecord {
    /// The unique id of the policy.
    pub policy: UniqueId,
    /// 1, 2, 3, ...; `v1`, `v2`, `v3` on the wire.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it says.
    pub document: StoredPolicy,
}

/// Whether an access key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessKeyStatus {
    /// It may.
    Active,
    /// It may not, until it is made active again.
    Inactive,
}

/// An access key, its secret sealed by a domain key of this Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRecord {
    /// `AKIA…`; unique among all accounts.
    pub id: AccessKeyId,
    /// The account.
    pub account: AccountId,
    /// The unique id of the user; `None` for the root user of the account.
    pub user: Option<UniqueId>,
    /// Whether it may be used.
    pub status: AccessKeyStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// The secret.
    pub sealed: SealedSecret,
}

/// A key that seals session tokens, itself sealed by a domain key of this Region. The same in every Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionKeyRecord {
    /// Its id, which tokens name.
    pub id: SessionKeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The key.
    pub sealed: SealedSecret,
}

/// The Regions of the cluster, as far as identities are concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRegions {
    /// Where identities are changed.
    pub home: Region,
    /// Every Region, the home Region and this one among them.
    pub regions: BTreeSet<Region>,
}

macro_rules! entity {
    ($record:ty, $kind:expr) => {
        impl $record {
            /// The ARN.
            #[must_use]
            pub fn arn(&self, partition: Partition) -> String {
                $kind.arn(partition, self.account, &self.path, &self.name)
            }
        }
    };
}

entity!(UserRecord, EntityKind::User);

impl UserRecord {
    /// Whether `arn`, which was the user's at some time, still is: users can be renamed and moved. Allocates nothing.
    #[must_use]
    pub fn is_still_named(&self, arn: &str) -> bool {
        let resource = arn.split_once(":user").map(|(_, resource)| resource);
        resource.and_then(|path| path.strip_suffix(self.name.as_str())) == Some(self.path.as_str())
    }
}

entity!(GroupRecord, EntityKind::Group);
entity!(RoleRecord, EntityKind::Role);

impl ManagedPolicyRecord {
    /// The ARN.
    #[must_use]
    pub fn arn(&self, partition: Partition) -> PolicyArn {
        PolicyArn::customer(partition, self.account, &self.path, &self.name)
    }
}
