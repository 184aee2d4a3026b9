//! Changes of identities, as they are proposed. New variants go to the end: the position is part of the encoding.
//!
//! Texts were checked before: names, paths, tags and documents are well formed. What races could break is checked when a change
//! is applied: existence, uniqueness, quotas, and what still hangs on an entity.

use std::collections::BTreeSet;

use meridian_crypto::{SealedSecret, SessionKeyId};
use meridian_model::{AccessKeyId, AccountId, EntityKind, EntityName, EntityPath, PolicyArn, Region, UniqueId};
use meridian_policy::StoredPolicy;
use serde::{Deserialize, Serialize};

use super::records::{AccessKeyStatus, Tags};

/// A change of identities. Refused anywhere but in the home Region, except [`IdentityChange::SetRegions`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityChange {
    /// Says which Regions there are, and which is the home of identities. The home Region tells everything to new ones.
    SetRegions {
        /// Where identities are changed.
        home: Region,
        /// Every Region, the home Region and this one among them.
        regions: BTreeSet<Region>,
    },
    /// Makes a user.
    CreateUser(NewUser),
    /// Makes a group.
    CreateGroup(NewGroup),
    /// Makes a role.
    CreateRole(NewRole),
    /// Removes a user, group or role on which nothing hangs any more. A role that is linked to a service stays.
    DeleteEntity(Entity),
    /// Removes a role that is linked to a service, whatever hangs on it.
    DeleteServiceLinkedRole {
        /// The account.
        account: AccountId,
        /// The role.
        role: EntityName,
    },
    /// Puts a user into a group.
    AddUserToGroup(Membership),
    /// Takes a user out of a group.
    RemoveUserFromGroup(Membership),
    /// Replaces the description or the longest session of a role; `None` keeps what is there.
    UpdateRole {
        /// The account.
        account: AccountId,
        /// The role.
        role: EntityName,
        /// See [`RoleRecord::description`](super::RoleRecord).
        description: Option<String>,
        /// See [`RoleRecord::session_seconds_max`](super::RoleRecord).
        session_seconds_max: Option<u32>,
    },
    /// Replaces who may assume a role.
    UpdateAssumeRolePolicy {
        /// The account.
        account: AccountId,
        /// The role.
        role: EntityName,
        /// The new trust policy.
        document: StoredPolicy,
    },
    /// Makes or replaces an inline policy.
    PutInlinePolicy {
        /// Whose it is.
        entity: Entity,
        /// Its name.
        policy: EntityName,
        /// What it says.
        document: StoredPolicy,
    },
    /// Removes an inline policy.
    DeleteInlinePolicy {
        /// Whose it is.
        entity: Entity,
        /// Its name.
        policy: EntityName,
    },
    /// Attaches a managed policy; nothing changes if it is attached.
    AttachPolicy {
        /// To whom.
        entity: Entity,
        /// The policy, of the same account or of the provider.
        policy: PolicyArn,
    },
    /// Detaches a managed policy.
    DetachPolicy {
        /// From whom.
        entity: Entity,
        /// The policy.
        policy: PolicyArn,
    },
    /// Sets the permissions boundary of a user or role, or removes it.
    SetBoundary {
        /// Whose it is; never a group.
        entity: Entity,
        /// The policy; `None` to remove it.
        boundary: Option<PolicyArn>,
    },
    /// Makes a managed policy with its first version.
    CreatePolicy(NewPolicy),
    /// Removes a managed policy that has one version and is attached nowhere.
    DeletePolicy {
        /// The account.
        account: AccountId,
        /// The policy.
        policy: EntityName,
    },
    /// Adds a version to a managed policy.
    CreatePolicyVersion {
        /// The account.
        account: AccountId,
        /// The policy.
        policy: EntityName,
        /// What the version says.
        document: StoredPolicy,
        /// Whether it is the one that counts from now on.
        set_as_default: bool,
    },
    /// Removes a version of a managed policy, but not the one that counts.
    DeletePolicyVersion {
        /// The account.
        account: AccountId,
        /// The policy.
        policy: EntityName,
        /// The version.
        version: u32,
    },
    /// Says which version of a managed policy counts.
    SetDefaultPolicyVersion {
        /// The account.
        account: AccountId,
        /// The policy.
        policy: EntityName,
        /// The version.
        version: u32,
    },
    /// Adds or replaces tags.
    Tag {
        /// Of what.
        resource: Tagged,
        /// The tags.
        tags: Tags,
    },
    /// Removes tags; unknown ones are passed over.
    Untag {
        /// Of what.
        resource: Tagged,
        /// The keys of the tags.
        keys: BTreeSet<String>,
    },
    /// Makes an access key, active.
    CreateAccessKey(NewAccessKey),
    /// Makes an access key active or inactive.
    UpdateAccessKey {
        /// The account.
        account: AccountId,
        /// The unique id of the user; `None` for the root user.
        user: Option<UniqueId>,
        /// The access key.
        id: AccessKeyId,
        /// What it shall be.
        status: AccessKeyStatus,
    },
    /// Removes an access key.
    DeleteAccessKey {
        /// The account.
        account: AccountId,
        /// The unique id of the user; `None` for the root user.
        user: Option<UniqueId>,
        /// The access key.
        id: AccessKeyId,
    },
    /// Adds a key that seals session tokens. Of the older ones the newest stays, for the tokens that it has sealed.
    AddSessionKey(NewSessionKey),
    /// Gives a user or group another path or name; `None` keeps what is there.
    UpdateEntity {
        /// The user or group; the name of a role never changes.
        entity: Entity,
        /// The new path.
        path: Option<EntityPath>,
        /// The new name.
        name: Option<EntityName>,
    },
    /// Makes the first administrator of an account: a user with a policy of the provider and an access key. Refused once the account
    /// has a user.
    CreateAdministrator {
        /// The user.
        user: NewUser,
        /// The policy that says what an administrator may do.
        policy: PolicyArn,
        /// The access key of the user.
        key: NewAccessKey,
    },
}

/// A user, group or role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entity {
    /// The account.
    pub account: AccountId,
    /// What it is.
    pub kind: EntityKind,
    /// Its name.
    pub name: EntityName,
}

/// A user and a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The account of both.
    pub account: AccountId,
    /// The user.
    pub user: EntityName,
    /// The group.
    pub group: EntityName,
}

/// What can have tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tagged {
    /// A user.
    User(AccountId, EntityName),
    /// A role.
    Role(AccountId, EntityName),
    /// A managed policy.
    Policy(AccountId, EntityName),
}

/// A new user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUser {
    /// The account.
    pub account: AccountId,
    /// The name, at most 64 characters.
    pub name: EntityName,
    /// The path.
    pub path: EntityPath,
    /// `AIDA…`, drawn by the leader.
    pub id: UniqueId,
    /// Tags.
    pub tags: Tags,
    /// The permissions boundary.
    pub boundary: Option<PolicyArn>,
}

/// A new group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGroup {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub name: EntityName,
    /// The path.
    pub path: EntityPath,
    /// `AGPA…`, drawn by the leader.
    pub id: UniqueId,
}

/// A new role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRole {
    /// The account.
    pub account: AccountId,
    /// The name, at most 64 characters.
    pub name: EntityName,
    /// The path.
    pub path: EntityPath,
    /// `AROA…`, drawn by the leader.
    pub id: UniqueId,
    /// Tags.
    pub tags: Tags,
    /// The permissions boundary.
    pub boundary: Option<PolicyArn>,
    /// Who may assume the role.
    pub trust: StoredPolicy,
    /// 0 to 1,000 characters.
    pub description: String,
    /// How long a session may last: 3,600 to 43,200 seconds.
    pub session_seconds_max: u32,
    /// The service that the role is linked to; `None` for an ordinary role.
    pub linked_service: Option<String>,
    /// Managed policies that are attached at once; those of a role that is linked to a service.
    pub attached: BTreeSet<PolicyArn>,
}

/// A new managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPolicy {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub name: EntityName,
    /// The path.
    pub path: EntityPath,
    /// `ANPA…`, drawn by the leader.
    pub id: UniqueId,
    /// 0 to 1,000 characters.
    pub description: String,
    /// Tags.
    pub tags: Tags,
    /// What its first version says.
    pub document: StoredPolicy,
}

/// A new access key, its secret sealed by the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccessKey {
    /// `AKIA…`, drawn by the leader.
    pub id: AccessKeyId,
    /// The account.
    pub account: AccountId,
    /// The unique id of the user; `None` for the root user of the account.
    pub user: Option<UniqueId>,
    /// The secret.
    pub sealed: SealedSecret,
}

/// A new key that seals session tokens, sealed by the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSessionKey {
    /// Its id.
    pub id: SessionKeyId,
    /// The key.
    pub sealed: SealedSecret,
}
