//! Records of identities as the answers of IAM show them.
//!
//! Lists show less than the answer about one entity: no tags and no permissions boundary (AWS IAM API Reference, `ListUsers`).

use meridian_identity::query::{Members, Value};
use meridian_model::{EntityKind, EntityName, Partition, PolicyArn, Timestamp};
use meridian_state::identities::{
    AccessKeyRecord, AccessKeyStatus, GroupRecord, ManagedPolicyRecord, PolicyVersionRecord, RoleRecord, Tags,
    UserRecord,
};

use super::managed_policies::{self, Provided};

/// A user of a list.
pub(super) fn listed_user(user: &UserRecord, partition: Partition) -> Members {
    Members::new()
        .text("Path", &user.path)
        .text("UserName", &user.name)
        .text("UserId", &user.id)
        .text("Arn", user.arn(partition))
        .time("CreateDate", user.created_at)
}

pub(super) fn user(user: &UserRecord, partition: Partition) -> Members {
    with_tags(with_boundary(listed_user(user, partition), user.boundary.as_ref()), &user.tags)
}

pub(super) fn group(group: &GroupRecord, partition: Partition) -> Members {
    Members::new()
        .text("Path", &group.path)
        .text("GroupName", &group.name)
        .text("GroupId", &group.id)
        .text("Arn", group.arn(partition))
        .time("CreateDate", group.created_at)
}

/// A role of a list.
pub(super) fn listed_role(role: &RoleRecord, partition: Partition) -> Members {
    Members::new()
        .text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", role.arn(partition))
        .time("CreateDate", role.created_at)
        .with("AssumeRolePolicyDocument", Value::Document(role.trust.text().to_owned()))
        .optional("Description", Some(&role.description).filter(|description| !description.is_empty()))
        .with("MaxSessionDuration", Value::Number(role.session_seconds_max.into()))
}

pub(super) fn role(role: &RoleRecord, partition: Partition) -> Members {
    with_tags(with_boundary(listed_role(role, partition), role.boundary.as_ref()), &role.tags)
}

fn with_boundary(members: Members, boundary: Option<&PolicyArn>) -> Members {
    let Some(arn) = boundary else { return members };
    let boundary =
        Members::new().text("PermissionsBoundaryType", "PermissionsBoundaryPolicy").text("PermissionsBoundaryArn", arn);
    members.nested("PermissionsBoundary", boundary)
}

fn with_tags(members: Members, tags: &Tags) -> Members {
    if tags.is_empty() { members } else { members.list("Tags", tags.iter().map(tag)) }
}

pub(super) fn tag((key, value): (&String, &String)) -> Members {
    Members::new().text("Key", key).text("Value", value)
}

/// How often a managed policy is used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uses {
    pub(super) attached: u64,
    pub(super) as_boundary: u64,
}

/// A managed policy of a list.
pub(super) fn listed_policy(policy: &ManagedPolicyRecord, partition: Partition, uses: Uses) -> Members {
    Members::new()
        .text("PolicyName", &policy.name)
        .text("PolicyId", &policy.id)
        .text("Arn", policy.arn(partition))
        .text("Path", &policy.path)
        .text("DefaultVersionId", version_id(policy.default_version))
        .with("AttachmentCount", Value::Number(uses.attached))
        .with("PermissionsBoundaryUsageCount", Value::Number(uses.as_boundary))
        .with("IsAttachable", Value::Flag(true))
        .time("CreateDate", policy.created_at)
        .time("UpdateDate", policy.updated_at)
}

pub(super) fn policy(policy: &ManagedPolicyRecord, partition: Partition, uses: Uses) -> Members {
    let description = Some(&policy.description).filter(|description| !description.is_empty());
    let members = listed_policy(policy, partition, uses).optional("Description", description);
    with_tags(members, &policy.tags)
}

/// A managed policy of the provider.
pub(super) fn provided_policy(policy: &Provided, uses: Uses) -> Members {
    Members::new()
        .text("PolicyName", policy.arn.name())
        .text("PolicyId", &policy.id)
        .text("Arn", &policy.arn)
        .text("Path", policy.arn.path())
        .text("DefaultVersionId", version_id(managed_policies::PROVIDED_VERSION))
        .with("AttachmentCount", Value::Number(uses.attached))
        .with("PermissionsBoundaryUsageCount", Value::Number(uses.as_boundary))
        .with("IsAttachable", Value::Flag(true))
        .time("CreateDate", managed_policies::PROVIDED_AT)
        .time("UpdateDate", managed_policies::PROVIDED_AT)
}

/// A version of a managed policy, without its document.
pub(super) fn listed_version(version: u32, is_default: bool, created_at: Timestamp) -> Members {
    Members::new()
        .text("VersionId", version_id(version))
        .with("IsDefaultVersion", Value::Flag(is_default))
        .time("CreateDate", created_at)
}

pub(super) fn version(version: &PolicyVersionRecord, is_default: bool) -> Members {
    listed_version(version.version, is_default, version.created_at)
}

/// The name of a version: `v1`.
pub(super) fn version_id(version: u32) -> String {
    format!("v{version}")
}

/// An access key of a list.
pub(super) fn access_key(key: &AccessKeyRecord, user: Option<&EntityName>) -> Members {
    let status = match key.status {
        AccessKeyStatus::Active => "Active",
        AccessKeyStatus::Inactive => "Inactive",
    };
    Members::new()
        .optional("UserName", user)
        .text("AccessKeyId", &key.id)
        .text("Status", status)
        .time("CreateDate", key.created_at)
}

/// The members that the name and the id of an entity of `kind` stand in.
pub(super) const fn name_and_id(kind: EntityKind) -> (&'static str, &'static str) {
    match kind {
        EntityKind::User => ("UserName", "UserId"),
        EntityKind::Group => ("GroupName", "GroupId"),
        EntityKind::Role => ("RoleName", "RoleId"),
    }
}
