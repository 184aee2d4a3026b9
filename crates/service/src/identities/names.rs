//! From the texts of a request to the names of identities, and to the ARNs that decisions are about.

use meridian_identity::CallerKind;
use meridian_identity::query::iam;
use meridian_model::{AccountId, EntityKind, EntityName, EntityPath, ErrorCode, PolicyArn, ServiceError};
use meridian_state::RegionState;
use meridian_state::identities::{Entity, Tags, refusals};

use super::authority::Authority;

/// A name; requests are well formed, so that every one of theirs is one.
pub(super) fn name(text: &str) -> Result<EntityName, ServiceError> {
    text.parse().map_err(|_| validation(format!("The name {text} is not valid.")))
}

/// A path; `/` if the request gives none.
pub(super) fn path(text: Option<&str>) -> Result<EntityPath, ServiceError> {
    let Some(text) = text else { return Ok(EntityPath::default()) };
    text.parse().map_err(|_| validation(format!("The path {text} is not valid.")))
}

/// The ARN of a managed policy in the partition of the Region.
pub(super) fn policy_arn(state: &RegionState, text: &str) -> Result<PolicyArn, ServiceError> {
    let here = format!("arn:{}:", state.partition());
    let arn = text.parse().ok().filter(|_| text.starts_with(&here));
    arn.ok_or_else(|| refusals::invalid_input(&format!("ARN {text} is not valid.")))
}

/// The user, group or role of the caller's account that a request names.
pub(super) fn entity(authority: &Authority<'_>, entity: &iam::Entity) -> Result<Entity, ServiceError> {
    Ok(Entity { account: authority.account(), kind: entity.kind, name: name(&entity.name)? })
}

/// The user that a request is about: the one that it names, or the caller. `None` stands for the root user.
pub(super) fn user_or_caller(
    authority: &Authority<'_>,
    named: Option<&str>,
) -> Result<Option<EntityName>, ServiceError> {
    match (named, &authority.caller.kind) {
        (Some(named), _) => name(named).map(Some),
        (None, CallerKind::IamUser { user_name }) => name(user_name).map(Some),
        (None, CallerKind::Root) => Ok(None),
        (None, CallerKind::AssumedRole { .. } | CallerKind::FederatedUser { .. } | CallerKind::Service { .. }) => {
            Err(validation("Must specify userName when calling with non-User credentials".to_owned()))
        }
    }
}

/// The ARN of a user, group or role; without its path as long as there is none of that name.
pub(super) fn entity_arn(state: &RegionState, entity: &Entity) -> String {
    let Entity { account, kind, name } = entity;
    let path = path_of(state, entity).cloned().unwrap_or_default();
    kind.arn(state.partition(), *account, &path, name)
}

/// The path of a user, group or role, if there is one.
pub(super) fn path_of<'a>(state: &'a RegionState, Entity { account, kind, name }: &Entity) -> Option<&'a EntityPath> {
    match kind {
        EntityKind::User => state.identities().user(*account, name).map(|row| &row.path),
        EntityKind::Group => state.identities().group(*account, name).map(|row| &row.path),
        EntityKind::Role => state.identities().role(*account, name).map(|row| &row.path),
    }
}

/// The tags of a user or role.
pub(super) fn entity_tags<'a>(state: &'a RegionState, Entity { account, kind, name }: &Entity) -> Option<&'a Tags> {
    match kind {
        EntityKind::User => state.identities().user(*account, name).map(|row| &row.tags),
        EntityKind::Role => state.identities().role(*account, name).map(|row| &row.tags),
        EntityKind::Group => None,
    }
}

/// The permissions boundary of a user or role.
pub(super) fn boundary<'a>(state: &'a RegionState, Entity { account, kind, name }: &Entity) -> Option<&'a PolicyArn> {
    match kind {
        EntityKind::User => state.identities().user(*account, name)?.boundary.as_ref(),
        EntityKind::Role => state.identities().role(*account, name)?.boundary.as_ref(),
        EntityKind::Group => None,
    }
}

/// The ARN of the root user.
pub(super) fn root_arn(state: &RegionState, account: AccountId) -> String {
    format!("arn:{}:iam::{account}:root", state.partition())
}

/// What a list of users, groups, roles or policies is about.
pub(super) fn list_arn(state: &RegionState, account: AccountId, kind: &str, prefix: Option<&str>) -> String {
    format!("arn:{}:iam::{account}:{kind}{}", state.partition(), prefix.unwrap_or("/"))
}

pub(super) fn validation(message: String) -> ServiceError {
    ServiceError::new(ErrorCode::Validation, message)
}
