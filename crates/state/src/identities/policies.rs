//! Policies: inline ones, managed ones with their versions, and where they are attached.

use std::sync::Arc;

use meridian_model::{AccountId, EntityKind, EntityName, PolicyArn, ServiceError, UniqueId};
use meridian_policy::{StoredPolicy, managed};

use super::change::{Entity, NewPolicy};
use super::entities::{check_tags, group, require_room, require_unprotected, require_unused_id, role, user};
use super::records::{GroupRecord, ManagedPolicyRecord, Policies, PolicyVersionRecord, RoleRecord, UserRecord};
use super::table::Kind;
use super::{IdentityRow, IdentityRowId, refusals};
use crate::apply::{Done, Draft, Outcome};
use crate::quotas::{
    ATTACHED_POLICIES, INLINE_SIZE_PER_GROUP, INLINE_SIZE_PER_ROLE, INLINE_SIZE_PER_USER, MANAGED_POLICY_SIZE,
    POLICIES_PER_ACCOUNT, VERSIONS_PER_POLICY,
};

/// Makes or replaces an inline policy.
pub(super) fn put_inline(
    draft: &mut Draft<'_>,
    entity: &Entity,
    policy: &EntityName,
    document: &StoredPolicy,
) -> Outcome {
    change(draft, entity, |policies| {
        policies.inline.insert(policy.clone(), document.clone());
        let size: usize = policies.inline.values().map(StoredPolicy::size).sum();
        let limit = match entity.kind {
            EntityKind::User => INLINE_SIZE_PER_USER,
            EntityKind::Group => INLINE_SIZE_PER_GROUP,
            EntityKind::Role => INLINE_SIZE_PER_ROLE,
        };
        if size <= limit { Ok(()) } else { Err(refusals::inline_size(entity, limit)) }
    })
}

pub(super) fn delete_inline(draft: &mut Draft<'_>, entity: &Entity, policy: &EntityName) -> Outcome {
    change(draft, entity, |policies| {
        let removed = policies.inline.remove(policy);
        removed.map(drop).ok_or_else(|| refusals::no_such_inline_policy(entity, policy))
    })
}

/// Attaches a managed policy; nothing changes if it is attached.
pub(super) fn attach(draft: &mut Draft<'_>, entity: &Entity, policy: &PolicyArn) -> Outcome {
    let is_known = require_attachable(draft, policy);
    change(draft, entity, |policies| {
        is_known?;
        policies.attached.insert(policy.clone());
        if policies.attached.len() <= ATTACHED_POLICIES {
            return Ok(());
        }
        let quota = match entity.kind {
            EntityKind::User => "PoliciesPerUser",
            EntityKind::Group => "PoliciesPerGroup",
            EntityKind::Role => "PoliciesPerRole",
        };
        Err(refusals::quota(quota, ATTACHED_POLICIES))
    })
}

pub(super) fn detach(draft: &mut Draft<'_>, entity: &Entity, policy: &PolicyArn) -> Outcome {
    change(
        draft,
        entity,
        |policies| {
            if policies.attached.remove(policy) { Ok(()) } else { Err(refusals::no_such_policy(policy)) }
        },
    )
}

/// Changes the policies of a user, group or role that is not linked to a service.
fn change(
    draft: &mut Draft<'_>,
    entity: &Entity,
    change: impl FnOnce(&mut Policies) -> Result<(), ServiceError>,
) -> Outcome {
    let Entity { account, kind, name } = entity;
    let row = match kind {
        EntityKind::User => {
            let mut row = UserRecord::clone(user(draft, *account, name)?);
            change(&mut row.policies)?;
            IdentityRow::User(Arc::new(row))
        }
        EntityKind::Group => {
            let mut row = GroupRecord::clone(group(draft, *account, name)?);
            change(&mut row.policies)?;
            IdentityRow::Group(Arc::new(row))
        }
        EntityKind::Role => {
            let mut row = RoleRecord::clone(role(draft, *account, name)?);
            require_unprotected(&row)?;
            change(&mut row.policies)?;
            IdentityRow::Role(Arc::new(row))
        }
    };
    draft.put_identity(row)
}

/// Sets or removes the permissions boundary of a user or role.
pub(super) fn set_boundary(draft: &mut Draft<'_>, entity: &Entity, boundary: Option<&PolicyArn>) -> Outcome {
    let Entity { account, kind, name } = entity;
    let boundary_of = |former: Option<&PolicyArn>| match (former, boundary) {
        (None, None) => Err(refusals::no_such_boundary(entity)),
        (_, boundary) => require_boundary(draft, boundary).map(|()| boundary.cloned()),
    };
    let row = match kind {
        EntityKind::User => {
            let former = user(draft, *account, name)?;
            let boundary = boundary_of(former.boundary.as_ref())?;
            IdentityRow::User(Arc::new(UserRecord { boundary, ..UserRecord::clone(former) }))
        }
        EntityKind::Role => {
            let former = role(draft, *account, name)?;
            require_unprotected(former)?;
            let boundary = boundary_of(former.boundary.as_ref())?;
            IdentityRow::Role(Arc::new(RoleRecord { boundary, ..RoleRecord::clone(former) }))
        }
        EntityKind::Group => return Err(refusals::invalid_input("A group has no permissions boundary.")),
    };
    draft.put_identity(row)
}

/// Checks that a policy can be a boundary: that it is there.
pub(super) fn require_boundary(draft: &Draft<'_>, boundary: Option<&PolicyArn>) -> Result<(), ServiceError> {
    boundary.map_or(Ok(()), |boundary| require_attachable(draft, boundary))
}

/// Checks that a managed policy is there, under exactly this ARN.
pub(super) fn require_attachable(draft: &Draft<'_>, policy: &PolicyArn) -> Result<(), ServiceError> {
    let is_known = if policy.owner().is_none() {
        policy.path() == "/" && managed::document_of(policy.name().as_str()).is_some()
    } else {
        let row = draft.state.identities().policy_by_arn(policy);
        row.is_some_and(|row| row.arn(draft.state.partition()) == *policy)
    };
    if is_known { Ok(()) } else { Err(refusals::not_attachable(policy)) }
}

pub(super) fn create(draft: &mut Draft<'_>, new: &NewPolicy) -> Outcome {
    if draft.state.identities().is_taken(Kind::Policy, new.account, &new.name) {
        return Err(refusals::policy_already_exists(&new.name));
    }
    require_unused_id(draft, &new.id)?;
    require_room(draft, new.account, Kind::Policy, "PoliciesPerAccount", POLICIES_PER_ACCOUNT)?;
    check_tags(&new.tags)?;
    put_version(draft, &new.id, 1, &new.document)?;
    let row = ManagedPolicyRecord {
        account: new.account,
        name: new.name.clone(),
        path: new.path.clone(),
        id: new.id.clone(),
        description: new.description.clone(),
        created_at: draft.now,
        updated_at: draft.now,
        tags: new.tags.clone(),
        default_version: 1,
        newest_version: 1,
    };
    draft.put_identity(IdentityRow::Policy(Arc::new(row)))
}

/// Removes a policy that is attached nowhere, with its one version.
pub(super) fn delete(draft: &mut Draft<'_>, account: AccountId, name: &EntityName) -> Outcome {
    let row = find(draft, account, name)?;
    let identities = draft.state.identities();
    if identities.users_of_policy(&row.arn(draft.state.partition())).next().is_some() {
        return Err(refusals::conflict("Cannot delete a policy attached to entities."));
    }
    if identities.policy_versions(row).nth(1).is_some() {
        let message = "This policy has more than one version. Before you delete a policy, you must delete the policy's \
                       versions. The default version is deleted with the policy.";
        return Err(refusals::conflict(message));
    }
    draft.delete_identity(IdentityRowId::PolicyVersion(row.id.clone(), row.default_version));
    draft.delete_identity(IdentityRowId::Policy(row.id.clone()));
    Ok(Done::Nothing)
}

/// Adds a version; gives it back to the proposer.
pub(super) fn create_version(
    draft: &mut Draft<'_>,
    account: AccountId,
    name: &EntityName,
    document: &StoredPolicy,
    set_as_default: bool,
) -> Outcome {
    let former = find(draft, account, name)?;
    if draft.state.identities().policy_versions(former).count() >= VERSIONS_PER_POLICY {
        return Err(refusals::too_many_versions());
    }
    let version = former.newest_version + 1;
    let made = put_version(draft, &former.id, version, document)?;
    let default_version = if set_as_default { version } else { former.default_version };
    let updated_at = draft.now;
    let row = ManagedPolicyRecord {
        default_version,
        newest_version: version,
        updated_at,
        ..ManagedPolicyRecord::clone(former)
    };
    draft.put_identity(IdentityRow::Policy(Arc::new(row)))?;
    Ok(made)
}

pub(super) fn delete_version(draft: &mut Draft<'_>, account: AccountId, name: &EntityName, version: u32) -> Outcome {
    let row = find(draft, account, name)?;
    require_version(draft, row, version)?;
    if row.default_version == version {
        return Err(refusals::conflict("Cannot delete the default version of a policy."));
    }
    draft.delete_identity(IdentityRowId::PolicyVersion(row.id.clone(), version));
    Ok(Done::Nothing)
}

pub(super) fn set_default_version(
    draft: &mut Draft<'_>,
    account: AccountId,
    name: &EntityName,
    version: u32,
) -> Outcome {
    let former = find(draft, account, name)?;
    require_version(draft, former, version)?;
    let row =
        ManagedPolicyRecord { default_version: version, updated_at: draft.now, ..ManagedPolicyRecord::clone(former) };
    draft.put_identity(IdentityRow::Policy(Arc::new(row)))
}

pub(super) fn find<'a>(
    draft: &Draft<'a>,
    account: AccountId,
    name: &EntityName,
) -> Result<&'a Arc<ManagedPolicyRecord>, ServiceError> {
    draft.state.identities().policy(account, name).ok_or_else(|| refusals::no_such_policy(name))
}

fn require_version(draft: &Draft<'_>, row: &ManagedPolicyRecord, version: u32) -> Result<(), ServiceError> {
    let found = draft.state.identities().policy_version(row, version);
    let arn = || row.arn(draft.state.partition());
    found.map(drop).ok_or_else(|| refusals::no_such_version(arn(), version))
}

fn put_version(draft: &mut Draft<'_>, policy: &UniqueId, version: u32, document: &StoredPolicy) -> Outcome {
    if document.size() > MANAGED_POLICY_SIZE {
        return Err(refusals::quota("PolicySize", MANAGED_POLICY_SIZE));
    }
    let (policy, document) = (policy.clone(), document.clone());
    let row = PolicyVersionRecord { policy, version, created_at: draft.now, document };
    draft.put_identity(IdentityRow::PolicyVersion(Arc::new(row)))
}
