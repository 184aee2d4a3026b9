//! Refusals, in the words of IAM.

use std::fmt;

use meridian_model::{AccessKeyId, EntityKind, EntityName, ErrorCode, PolicyArn, ServiceError};

use super::change::Entity;

/// There is no user, group or role of this name.
#[must_use]
pub fn no_such(kind: EntityKind, name: impl fmt::Display) -> ServiceError {
    missing(format!("The {} with name {name} cannot be found.", kind.as_str()))
}

/// There is no such managed policy.
#[must_use]
pub fn no_such_policy(what: impl fmt::Display) -> ServiceError {
    missing(format!("Policy {what} was not found."))
}

pub(super) fn not_attachable(policy: &PolicyArn) -> ServiceError {
    missing(format!("Policy {policy} does not exist or is not attachable."))
}

/// There is no such version of a managed policy.
#[must_use]
pub fn no_such_version(policy: impl fmt::Display, version: u32) -> ServiceError {
    missing(format!("Policy {policy} version v{version} does not exist or is not attachable."))
}

/// There is no such inline policy.
#[must_use]
pub fn no_such_inline_policy(entity: &Entity, policy: &EntityName) -> ServiceError {
    missing(format!("The {} policy with name {policy} cannot be found.", entity.kind.as_str()))
}

/// There is no such access key.
#[must_use]
pub fn no_such_access_key(id: &AccessKeyId) -> ServiceError {
    missing(format!("The Access Key with id {id} cannot be found."))
}

pub(super) fn no_such_boundary(entity: &Entity) -> ServiceError {
    missing(format!("The {} {} does not have a permissions boundary.", entity.kind.as_str(), entity.name))
}

fn missing(message: String) -> ServiceError {
    ServiceError::new(ErrorCode::IamNoSuchEntity, message)
}

pub(super) fn already_exists(kind: EntityKind, name: &EntityName) -> ServiceError {
    let kind = match kind {
        EntityKind::User => "User",
        EntityKind::Group => "Group",
        EntityKind::Role => "Role",
    };
    ServiceError::new(ErrorCode::IamEntityAlreadyExists, format!("{kind} with name {name} already exists."))
}

pub(super) fn policy_already_exists(name: &EntityName) -> ServiceError {
    let message = format!("A policy called {name} already exists. Duplicate names are not allowed.");
    ServiceError::new(ErrorCode::IamEntityAlreadyExists, message)
}

/// Something hangs on the entity that is to be removed.
pub(super) fn conflict(message: &str) -> ServiceError {
    ServiceError::new(ErrorCode::IamDeleteConflict, message)
}

/// `quota` is the name of the quota as IAM has it.
pub(super) fn quota(quota: &str, limit: usize) -> ServiceError {
    limit_exceeded(format!("Cannot exceed quota for {quota}: {limit}"))
}

pub(super) fn inline_size(entity: &Entity, limit: usize) -> ServiceError {
    let (kind, name) = (entity.kind.as_str(), &entity.name);
    limit_exceeded(format!("Maximum policy size of {limit} bytes exceeded for {kind} {name}"))
}

pub(super) fn too_many_versions() -> ServiceError {
    let message = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an \
                   existing version.";
    limit_exceeded(message.to_owned())
}

pub(super) fn too_large() -> ServiceError {
    limit_exceeded("The policies, tags and description together are too large to be kept.".to_owned())
}

fn limit_exceeded(message: String) -> ServiceError {
    ServiceError::new(ErrorCode::IamLimitExceeded, message)
}

/// The role is linked to a service.
#[must_use]
pub fn protected_role(role: &EntityName) -> ServiceError {
    let message =
        format!("Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS");
    ServiceError::new(ErrorCode::IamUnmodifiableEntity, message)
}

/// The request is well formed and makes no sense.
#[must_use]
pub fn invalid_input(message: &str) -> ServiceError {
    ServiceError::new(ErrorCode::IamInvalidInput, message)
}
