//! Identities: users, groups, roles, managed policies, access keys, and the keys that seal session tokens.
//!
//! They are changed in one Region, the home of identities, and go from there to every other one by messages: each row as a whole,
//! secrets sealed anew on the way ([`messages`]). Elsewhere the rows are taken as they come.
//!
//! | module | what it holds |
//! |---|---|
//! | [`records`] | what stands in the rows |
//! | [`change`] | changes as they are proposed |
//! | [`table`] | the read view and its indexes |
//! | [`messages`] | what the home Region tells the others |
//! | [`refusals`] | why not, in the words of IAM |
//! | `entities`, `policies`, `access_keys`, `session_keys`, `regions` | how changes are decided |
//!
//! Source of refusals and quotas: AWS IAM API Reference; AWS IAM User Guide, "IAM and AWS STS quotas".
//!
//! Left out: the form of texts, which was checked before, what policies mean, and who may change what.

mod access_keys;
pub mod change;
mod entities;
pub mod messages;
mod policies;
pub mod records;
pub mod refusals;
mod regions;
mod session_keys;
pub mod table;

use std::sync::Arc;

use meridian_crypto::SessionKeyId;
use meridian_model::{AccessKeyId, ServiceError, UniqueId};
use serde::{Deserialize, Serialize};

pub use change::{Entity, IdentityChange};
pub use records::{
    AccessKeyRecord, AccessKeyStatus, ClusterRegions, GroupRecord, ManagedPolicyRecord, Policies, PolicyVersionRecord,
    RoleRecord, SessionKeyRecord, Tags, UserRecord,
};
pub use session_keys::{SESSION_KEY_AGE_MIN, SESSION_SECONDS_MAX};
pub use table::IdentityTable;

use crate::apply::{Done, Draft, Outcome};
use crate::rows::{Change, Row, RowId};

/// A row of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityRow {
    /// See [`ClusterRegions`].
    Regions(Arc<ClusterRegions>),
    /// See [`UserRecord`].
    User(Arc<UserRecord>),
    /// See [`GroupRecord`].
    Group(Arc<GroupRecord>),
    /// See [`RoleRecord`].
    Role(Arc<RoleRecord>),
    /// See [`ManagedPolicyRecord`].
    Policy(Arc<ManagedPolicyRecord>),
    /// See [`PolicyVersionRecord`].
    PolicyVersion(Arc<PolicyVersionRecord>),
    /// See [`AccessKeyRecord`].
    AccessKey(Arc<AccessKeyRecord>),
    /// See [`SessionKeyRecord`].
    SessionKey(Arc<SessionKeyRecord>),
}

/// Names a row of an identity, in the order of the tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IdentityRowId {
    /// The one [`ClusterRegions`].
    Regions,
    /// A user.
    User(UniqueId),
    /// A group.
    Group(UniqueId),
    /// A role.
    Role(UniqueId),
    /// A managed policy.
    Policy(UniqueId),
    /// A version of a managed policy.
    PolicyVersion(UniqueId, u32),
    /// An access key.
    AccessKey(AccessKeyId),
    /// A key that seals session tokens.
    SessionKey(SessionKeyId),
}

impl IdentityRow {
    /// The id of the row.
    #[must_use]
    pub fn id(&self) -> IdentityRowId {
        match self {
            Self::Regions(_) => IdentityRowId::Regions,
            Self::User(row) => IdentityRowId::User(row.id.clone()),
            Self::Group(row) => IdentityRowId::Group(row.id.clone()),
            Self::Role(row) => IdentityRowId::Role(row.id.clone()),
            Self::Policy(row) => IdentityRowId::Policy(row.id.clone()),
            Self::PolicyVersion(row) => IdentityRowId::PolicyVersion(row.policy.clone(), row.version),
            Self::AccessKey(row) => IdentityRowId::AccessKey(row.id.clone()),
            Self::SessionKey(row) => IdentityRowId::SessionKey(row.id),
        }
    }
}

/// Decides a change.
pub(crate) fn apply(draft: &mut Draft<'_>, change: &IdentityChange) -> Outcome {
    if let IdentityChange::SetRegions { home, regions } = change {
        return Ok(regions::set(draft, home, regions));
    }
    regions::require_home(draft.state)?;
    match change {
        IdentityChange::SetRegions { .. } => Ok(Done::Nothing), // done above
        IdentityChange::CreateUser(new) => entities::create_user(draft, new),
        IdentityChange::CreateGroup(new) => entities::create_group(draft, new),
        IdentityChange::CreateRole(new) => entities::create_role(draft, new),
        IdentityChange::DeleteEntity(entity) => entities::delete(draft, entity),
        IdentityChange::DeleteServiceLinkedRole { account, role } => {
            entities::delete_service_linked_role(draft, *account, role)
        }
        IdentityChange::AddUserToGroup(membership) => entities::add_to_group(draft, membership),
        IdentityChange::RemoveUserFromGroup(membership) => entities::remove_from_group(draft, membership),
        IdentityChange::UpdateRole { account, role, description, session_seconds_max } => {
            entities::update_role(draft, *account, role, description.as_deref(), *session_seconds_max)
        }
        IdentityChange::UpdateAssumeRolePolicy { account, role, document } => {
            entities::update_trust(draft, *account, role, document)
        }
        IdentityChange::PutInlinePolicy { entity, policy, document } => {
            policies::put_inline(draft, entity, policy, document)
        }
        IdentityChange::DeleteInlinePolicy { entity, policy } => policies::delete_inline(draft, entity, policy),
        IdentityChange::AttachPolicy { entity, policy } => policies::attach(draft, entity, policy),
        IdentityChange::DetachPolicy { entity, policy } => policies::detach(draft, entity, policy),
        IdentityChange::SetBoundary { entity, boundary } => policies::set_boundary(draft, entity, boundary.as_ref()),
        IdentityChange::CreatePolicy(new) => policies::create(draft, new),
        IdentityChange::DeletePolicy { account, policy } => policies::delete(draft, *account, policy),
        IdentityChange::CreatePolicyVersion { account, policy, document, set_as_default } => {
            policies::create_version(draft, *account, policy, document, *set_as_default)
        }
        IdentityChange::DeletePolicyVersion { account, policy, version } => {
            policies::delete_version(draft, *account, policy, *version)
        }
        IdentityChange::SetDefaultPolicyVersion { account, policy, version } => {
            policies::set_default_version(draft, *account, policy, *version)
        }
        IdentityChange::Tag { resource, tags } => entities::tag(draft, resource, tags),
        IdentityChange::Untag { resource, keys } => entities::untag(draft, resource, keys),
        IdentityChange::CreateAccessKey(new) => access_keys::create(draft, new),
        IdentityChange::UpdateAccessKey { account, user, id, status } => {
            access_keys::update(draft, *account, user.as_ref(), id, *status)
        }
        IdentityChange::DeleteAccessKey { account, user, id } => {
            access_keys::delete(draft, *account, user.as_ref(), id)
        }
        IdentityChange::AddSessionKey(new) => session_keys::add(draft, new),
        IdentityChange::UpdateEntity { entity, path, name } => {
            entities::update(draft, entity, path.as_ref(), name.as_ref())
        }
        IdentityChange::CreateAdministrator { user, policy, key } => {
            entities::create_administrator(draft, user, policy, key)
        }
    }
}

/// Most bytes of a row, so that it fits into the outbox and into the state image (64 KiB) with what is added there.
const ROW_LEN_MAX: usize = 60 * 1024;

impl Draft<'_> {
    /// Stores a row, tells the other Regions, and gives it back to the proposer.
    fn put_identity(&mut self, row: IdentityRow) -> Result<Done, ServiceError> {
        let stored = Row::Identity(row.clone());
        if stored.encode().len() > ROW_LEN_MAX {
            return Err(refusals::too_large());
        }
        self.put(stored);
        self.tell_others(&messages::IdentityMessage::about(&row));
        Ok(Done::Identity(row))
    }

    /// Removes a row and tells the other Regions.
    fn delete_identity(&mut self, id: IdentityRowId) {
        self.changes.push(Change::Delete(RowId::Identity(id.clone())));
        self.tell_others(&messages::IdentityMessage::Delete(id));
    }
}
