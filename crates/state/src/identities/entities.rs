//! Users, groups and roles: made, removed, tagged, put together.
//!
//! An entity goes only when nothing hangs on it any more, so that no row ever names one that is not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use meridian_model::{AccountId, EntityKind, EntityName, EntityPath, PolicyArn, ServiceError, UniqueId};
use meridian_policy::StoredPolicy;

use super::change::{Entity, Membership, NewAccessKey, NewGroup, NewRole, NewUser, Tagged};
use super::records::{GroupRecord, ManagedPolicyRecord, Policies, RoleRecord, Tags, UserRecord};
use super::table::Kind;
use super::{IdentityRow, IdentityRowId, access_keys, policies, refusals};
use crate::apply::{Done, Draft, Outcome};
use crate::quotas::{
    GROUPS_PER_ACCOUNT, GROUPS_PER_USER, ROLES_PER_ACCOUNT, TAGS_PER_IDENTITY, TRUST_POLICY_SIZE, USERS_PER_ACCOUNT,
};

pub(super) fn create_user(draft: &mut Draft<'_>, new: &NewUser) -> Outcome {
    let is_taken = draft.state.identities().is_taken(Kind::User, new.account, &new.name);
    require_free(is_taken, EntityKind::User, &new.name)?;
    require_unused_id(draft, &new.id)?;
    require_room(draft, new.account, Kind::User, "UsersPerAccount", USERS_PER_ACCOUNT)?;
    check_tags(&new.tags)?;
    policies::require_boundary(draft, new.boundary.as_ref())?;
    let row = UserRecord {
        account: new.account,
        name: new.name.clone(),
        path: new.path.clone(),
        id: new.id.clone(),
        created_at: draft.now,
        tags: new.tags.clone(),
        boundary: new.boundary.clone(),
        policies: Policies::default(),
        groups: BTreeSet::new(),
    };
    draft.put_identity(IdentityRow::User(Arc::new(row)))
}

pub(super) fn create_group(draft: &mut Draft<'_>, new: &NewGroup) -> Outcome {
    let is_taken = draft.state.identities().is_taken(Kind::Group, new.account, &new.name);
    require_free(is_taken, EntityKind::Group, &new.name)?;
    require_unused_id(draft, &new.id)?;
    require_room(draft, new.account, Kind::Group, "GroupsPerAccount", GROUPS_PER_ACCOUNT)?;
    let row = GroupRecord {
        account: new.account,
        name: new.name.clone(),
        path: new.path.clone(),
        id: new.id.clone(),
        created_at: draft.now,
        policies: Policies::default(),
    };
    draft.put_identity(IdentityRow::Group(Arc::new(row)))
}

pub(super) fn create_role(draft: &mut Draft<'_>, new: &NewRole) -> Outcome {
    let is_taken = draft.state.identities().is_taken(Kind::Role, new.account, &new.name);
    require_free(is_taken, EntityKind::Role, &new.name)?;
    require_unused_id(draft, &new.id)?;
    require_room(draft, new.account, Kind::Role, "RolesPerAccount", ROLES_PER_ACCOUNT)?;
    check_tags(&new.tags)?;
    check_trust(&new.trust)?;
    policies::require_boundary(draft, new.boundary.as_ref())?;
    for policy in &new.attached {
        policies::require_attachable(draft, policy)?;
    }
    let row = RoleRecord {
        account: new.account,
        name: new.name.clone(),
        path: new.path.clone(),
        id: new.id.clone(),
        created_at: draft.now,
        tags: new.tags.clone(),
        boundary: new.boundary.clone(),
        policies: Policies { attached: new.attached.clone(), ..Policies::default() },
        trust: new.trust.clone(),
        description: new.description.clone(),
        session_seconds_max: new.session_seconds_max,
        linked_service: new.linked_service.clone(),
    };
    draft.put_identity(IdentityRow::Role(Arc::new(row)))
}

/// Removes a user, group or role on which nothing hangs.
pub(super) fn delete(draft: &mut Draft<'_>, entity: &Entity) -> Outcome {
    let Entity { account, kind, name } = entity;
    let identities = draft.state.identities();
    let policies = identities.policies_within(entity).ok_or_else(|| refusals::no_such(*kind, name))?;
    let id = match kind {
        EntityKind::User => {
            let row = user(draft, *account, name)?;
            require_no_ties(draft, row)?;
            IdentityRowId::User(row.id.clone())
        }
        EntityKind::Group => {
            let row = group(draft, *account, name)?;
            if identities.users_in(row, None).next().is_some() {
                return Err(refusals::conflict("Cannot delete entity, must remove users from group first."));
            }
            IdentityRowId::Group(row.id.clone())
        }
        EntityKind::Role => {
            let row = role(draft, *account, name)?;
            require_unprotected(row)?;
            IdentityRowId::Role(row.id.clone())
        }
    };
    if !policies.attached.is_empty() {
        return Err(refusals::conflict("Cannot delete entity, must detach all policies first."));
    }
    if !policies.inline.is_empty() {
        return Err(refusals::conflict("Cannot delete entity, must delete policies first."));
    }
    draft.delete_identity(id);
    Ok(Done::Nothing)
}

/// Makes the first user of an account, with everything that it needs to make others.
pub(super) fn create_administrator(
    draft: &mut Draft<'_>,
    new: &NewUser,
    policy: &PolicyArn,
    key: &NewAccessKey,
) -> Outcome {
    let identities = draft.state.identities();
    if let Some(user) = identities.users(new.account, None).next() {
        return Err(refusals::already_exists(EntityKind::User, &user.name));
    }
    if identities.access_key(key.id.as_str()).is_some() || key.user.as_ref() != Some(&new.id) {
        return Err(refusals::invalid_input("The access key is taken, or belongs to another user."));
    }
    policies::require_attachable(draft, policy)?;
    policies::require_boundary(draft, new.boundary.as_ref())?;
    check_tags(&new.tags)?;
    require_unused_id(draft, &new.id)?;
    let row = UserRecord {
        account: new.account,
        name: new.name.clone(),
        path: new.path.clone(),
        id: new.id.clone(),
        created_at: draft.now,
        tags: new.tags.clone(),
        boundary: new.boundary.clone(),
        policies: Policies { attached: BTreeSet::from([policy.clone()]), ..Policies::default() },
        groups: BTreeSet::new(),
    };
    draft.put_identity(IdentityRow::User(Arc::new(row)))?;
    access_keys::put_new(draft, key)
}

fn require_no_ties(draft: &Draft<'_>, user: &UserRecord) -> Result<(), ServiceError> {
    if draft.state.identities().access_keys_of(user.account, Some(&user.id)).next().is_some() {
        return Err(refusals::conflict("Cannot delete entity, must delete access keys first."));
    }
    if !user.groups.is_empty() {
        return Err(refusals::conflict("Cannot delete entity, must remove users from group first."));
    }
    Ok(())
}

/// Removes a role that is linked to a service; its policies go with it.
pub(super) fn delete_service_linked_role(draft: &mut Draft<'_>, account: AccountId, name: &EntityName) -> Outcome {
    let row = role(draft, account, name)?;
    if row.linked_service.is_none() {
        return Err(refusals::invalid_input("The role is not linked to a service."));
    }
    draft.delete_identity(IdentityRowId::Role(row.id.clone()));
    Ok(Done::Nothing)
}

pub(super) fn add_to_group(draft: &mut Draft<'_>, membership: &Membership) -> Outcome {
    let (group, user) = both(draft, membership)?;
    if user.groups.contains(&group.id) {
        return Ok(Done::Nothing);
    }
    if user.groups.len() >= GROUPS_PER_USER {
        return Err(refusals::quota("GroupsPerUser", GROUPS_PER_USER));
    }
    let mut row = UserRecord::clone(user);
    row.groups.insert(group.id.clone());
    draft.put_identity(IdentityRow::User(Arc::new(row)))
}

pub(super) fn remove_from_group(draft: &mut Draft<'_>, membership: &Membership) -> Outcome {
    let (group, user) = both(draft, membership)?;
    if !user.groups.contains(&group.id) {
        return Ok(Done::Nothing);
    }
    let mut row = UserRecord::clone(user);
    row.groups.remove(&group.id);
    draft.put_identity(IdentityRow::User(Arc::new(row)))
}

fn both<'a>(
    draft: &Draft<'a>,
    membership: &Membership,
) -> Result<(&'a Arc<GroupRecord>, &'a Arc<UserRecord>), ServiceError> {
    let Membership { account, user: user_name, group: group_name } = membership;
    Ok((group(draft, *account, group_name)?, user(draft, *account, user_name)?))
}

/// Gives a user or group another path or name.
pub(super) fn update(
    draft: &mut Draft<'_>,
    entity: &Entity,
    path: Option<&EntityPath>,
    new_name: Option<&EntityName>,
) -> Outcome {
    let Entity { account, kind, name } = entity;
    let require_new_name = |kind: Kind| {
        let renamed = new_name.filter(|new_name| new_name.folded() != name.folded());
        let is_taken = renamed.is_some_and(|new_name| draft.state.identities().is_taken(kind, *account, new_name));
        require_free(is_taken, entity.kind, new_name.unwrap_or(name))
    };
    let row = match kind {
        EntityKind::User => {
            let mut row = UserRecord::clone(user(draft, *account, name)?);
            require_new_name(Kind::User)?;
            replace(&mut row.path, path);
            replace(&mut row.name, new_name);
            IdentityRow::User(Arc::new(row))
        }
        EntityKind::Group => {
            let mut row = GroupRecord::clone(group(draft, *account, name)?);
            require_new_name(Kind::Group)?;
            replace(&mut row.path, path);
            replace(&mut row.name, new_name);
            IdentityRow::Group(Arc::new(row))
        }
        EntityKind::Role => return Err(refusals::invalid_input("A role keeps its path and its name.")),
    };
    draft.put_identity(row)
}

fn replace<T: Clone>(place: &mut T, new: Option<&T>) {
    if let Some(new) = new {
        place.clone_from(new);
    }
}

pub(super) fn update_role(
    draft: &mut Draft<'_>,
    account: AccountId,
    name: &EntityName,
    description: Option<&str>,
    session_seconds_max: Option<u32>,
) -> Outcome {
    let former = role(draft, account, name)?;
    if session_seconds_max.is_some() {
        require_unprotected(former)?; // the description of a role that is linked to a service may be changed
    }
    let row = RoleRecord {
        description: description.map_or_else(|| former.description.clone(), str::to_owned),
        session_seconds_max: session_seconds_max.unwrap_or(former.session_seconds_max),
        ..RoleRecord::clone(former)
    };
    draft.put_identity(IdentityRow::Role(Arc::new(row)))
}

pub(super) fn update_trust(
    draft: &mut Draft<'_>,
    account: AccountId,
    name: &EntityName,
    document: &StoredPolicy,
) -> Outcome {
    let former = role(draft, account, name)?;
    require_unprotected(former)?;
    check_trust(document)?;
    let row = RoleRecord { trust: document.clone(), ..RoleRecord::clone(former) };
    draft.put_identity(IdentityRow::Role(Arc::new(row)))
}

pub(super) fn tag(draft: &mut Draft<'_>, resource: &Tagged, tags: &Tags) -> Outcome {
    change_tags(draft, resource, |former| former.extend(tags.clone()))
}

pub(super) fn untag(draft: &mut Draft<'_>, resource: &Tagged, keys: &BTreeSet<String>) -> Outcome {
    change_tags(draft, resource, |former| former.retain(|key, _| !keys.contains(key)))
}

fn change_tags(draft: &mut Draft<'_>, resource: &Tagged, change: impl FnOnce(&mut Tags)) -> Outcome {
    let changed = |former: &Tags| {
        let mut tags = former.clone();
        change(&mut tags);
        check_tags(&tags).map(|()| tags)
    };
    let row = match resource {
        Tagged::User(account, name) => {
            let former = user(draft, *account, name)?;
            let tags = changed(&former.tags)?;
            IdentityRow::User(Arc::new(UserRecord { tags, ..UserRecord::clone(former) }))
        }
        Tagged::Role(account, name) => {
            let former = role(draft, *account, name)?;
            require_unprotected(former)?;
            let tags = changed(&former.tags)?;
            IdentityRow::Role(Arc::new(RoleRecord { tags, ..RoleRecord::clone(former) }))
        }
        Tagged::Policy(account, name) => {
            let former = policies::find(draft, *account, name)?;
            let tags = changed(&former.tags)?;
            IdentityRow::Policy(Arc::new(ManagedPolicyRecord { tags, ..ManagedPolicyRecord::clone(former) }))
        }
    };
    draft.put_identity(row)
}

pub(super) fn user<'a>(
    draft: &Draft<'a>,
    account: AccountId,
    name: &EntityName,
) -> Result<&'a Arc<UserRecord>, ServiceError> {
    draft.state.identities().user(account, name).ok_or_else(|| refusals::no_such(EntityKind::User, name))
}

pub(super) fn group<'a>(
    draft: &Draft<'a>,
    account: AccountId,
    name: &EntityName,
) -> Result<&'a Arc<GroupRecord>, ServiceError> {
    draft.state.identities().group(account, name).ok_or_else(|| refusals::no_such(EntityKind::Group, name))
}

pub(super) fn role<'a>(
    draft: &Draft<'a>,
    account: AccountId,
    name: &EntityName,
) -> Result<&'a Arc<RoleRecord>, ServiceError> {
    draft.state.identities().role(account, name).ok_or_else(|| refusals::no_such(EntityKind::Role, name))
}

/// Refuses changes of a role that is linked to a service.
pub(super) fn require_unprotected(role: &RoleRecord) -> Result<(), ServiceError> {
    if role.linked_service.is_some() { Err(refusals::protected_role(&role.name)) } else { Ok(()) }
}

pub(super) fn check_tags(tags: &Tags) -> Result<(), ServiceError> {
    if tags.len() <= TAGS_PER_IDENTITY { Ok(()) } else { Err(refusals::quota("TagsPerResource", TAGS_PER_IDENTITY)) }
}

pub(super) fn require_room(
    draft: &Draft<'_>,
    account: AccountId,
    kind: Kind,
    quota: &str,
    limit: usize,
) -> Result<(), ServiceError> {
    let has_room = draft.state.identities().count(account, kind) < limit;
    if has_room { Ok(()) } else { Err(refusals::quota(quota, limit)) }
}

/// An id is never given twice; the leader draws another one and tries again.
pub(super) fn require_unused_id(draft: &Draft<'_>, id: &UniqueId) -> Result<(), ServiceError> {
    if draft.state.identities().is_id_taken(id) { Err(ServiceError::internal()) } else { Ok(()) }
}

fn require_free(is_taken: bool, kind: EntityKind, name: &EntityName) -> Result<(), ServiceError> {
    if is_taken { Err(refusals::already_exists(kind, name)) } else { Ok(()) }
}

fn check_trust(document: &StoredPolicy) -> Result<(), ServiceError> {
    let fits = document.size() <= TRUST_POLICY_SIZE;
    if fits { Ok(()) } else { Err(refusals::quota("ACLSizePerRole", TRUST_POLICY_SIZE)) }
}
