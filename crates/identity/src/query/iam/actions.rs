//! The table of the actions of IAM: how the parameters of each are read.

use meridian_model::EntityKind::{self, Group, Role, User};

use super::{Entity, EntityFilter, IamRequest, NewPolicy, NewRole, NewUser, Page, PolicyFilter, PolicyUsage, Tagged};
use crate::query::Row;
use crate::query::constraints::{
    ACCESS_KEY_ID, ARN, DESCRIPTION, DOCUMENT, MARKER, NAME_64, NAME_128, PATH, PATH_PREFIX, POLICY_DESCRIPTION,
    POLICY_PATH, TAG_KEY, TAGS_MAX, TASK_ID, VERSION_ID,
};
use crate::query::form::Reader;

/// Every action that is served, in the order of the names.
pub(super) const ACTIONS: &[Row<IamRequest>] = &[
    ("AddUserToGroup", |r| IamRequest::AddUserToGroup { group: named(r, Group).name, user: named(r, User).name }),
    ("AttachGroupPolicy", |r| attach(r, Group)),
    ("AttachRolePolicy", |r| attach(r, Role)),
    ("AttachUserPolicy", |r| attach(r, User)),
    ("CreateAccessKey", |r| IamRequest::CreateAccessKey { user: user(r) }),
    ("CreateGroup", |r| IamRequest::CreateGroup { path: path(r), name: r.required("GroupName", &NAME_128) }),
    ("CreatePolicy", |r| {
        IamRequest::CreatePolicy(NewPolicy {
            path: r.optional("Path", &POLICY_PATH),
            name: r.required("PolicyName", &NAME_128),
            document: document(r),
            description: r.optional("Description", &POLICY_DESCRIPTION),
            tags: r.tags(),
        })
    }),
    ("CreatePolicyVersion", |r| IamRequest::CreatePolicyVersion {
        arn: policy_arn(r),
        document: document(r),
        is_default: r.flag("SetAsDefault"),
    }),
    ("CreateRole", |r| {
        IamRequest::CreateRole(NewRole {
            path: path(r),
            name: r.required("RoleName", &NAME_64),
            trust_policy: r.required("AssumeRolePolicyDocument", &DOCUMENT),
            description: r.optional("Description", &DESCRIPTION),
            session_seconds_max: session_seconds_max(r),
            boundary: r.optional("PermissionsBoundary", &ARN),
            tags: r.tags(),
        })
    }),
    ("CreateServiceLinkedRole", |r| IamRequest::CreateServiceLinkedRole {
        service: r.required("AWSServiceName", &NAME_128),
        description: r.optional("Description", &DESCRIPTION),
        suffix: r.optional("CustomSuffix", &NAME_64),
    }),
    ("CreateUser", |r| {
        IamRequest::CreateUser(NewUser {
            path: path(r),
            name: r.required("UserName", &NAME_64),
            boundary: r.optional("PermissionsBoundary", &ARN),
            tags: r.tags(),
        })
    }),
    ("DeleteAccessKey", |r| IamRequest::DeleteAccessKey { user: user(r), id: access_key_id(r) }),
    ("DeleteGroup", |r| IamRequest::Delete(named(r, Group))),
    ("DeleteGroupPolicy", |r| delete_inline(r, Group)),
    ("DeletePolicy", |r| IamRequest::DeletePolicy { arn: policy_arn(r) }),
    ("DeletePolicyVersion", |r| IamRequest::DeletePolicyVersion { arn: policy_arn(r), version: version(r) }),
    ("DeleteRole", |r| IamRequest::Delete(named(r, Role))),
    ("DeleteRolePermissionsBoundary", |r| IamRequest::DeleteBoundary { entity: named(r, Role) }),
    ("DeleteRolePolicy", |r| delete_inline(r, Role)),
    ("DeleteServiceLinkedRole", |r| IamRequest::DeleteServiceLinkedRole { name: named(r, Role).name }),
    ("DeleteUser", |r| IamRequest::Delete(named(r, User))),
    ("DeleteUserPermissionsBoundary", |r| IamRequest::DeleteBoundary { entity: named(r, User) }),
    ("DeleteUserPolicy", |r| delete_inline(r, User)),
    ("DetachGroupPolicy", |r| detach(r, Group)),
    ("DetachRolePolicy", |r| detach(r, Role)),
    ("DetachUserPolicy", |r| detach(r, User)),
    ("GetAccountSummary", |_| IamRequest::GetAccountSummary),
    ("GetGroup", |r| IamRequest::GetGroup { name: named(r, Group).name, page: page(r) }),
    ("GetGroupPolicy", |r| get_inline(r, Group)),
    ("GetPolicy", |r| IamRequest::GetPolicy { arn: policy_arn(r) }),
    ("GetPolicyVersion", |r| IamRequest::GetPolicyVersion { arn: policy_arn(r), version: version(r) }),
    ("GetRole", |r| IamRequest::Get { kind: Role, name: Some(named(r, Role).name) }),
    ("GetRolePolicy", |r| get_inline(r, Role)),
    ("GetServiceLinkedRoleDeletionStatus", |r| IamRequest::GetServiceLinkedRoleDeletionStatus {
        task: r.required("DeletionTaskId", &TASK_ID),
    }),
    ("GetUser", |r| IamRequest::Get { kind: User, name: user(r) }),
    ("GetUserPolicy", |r| get_inline(r, User)),
    ("ListAccessKeys", |r| IamRequest::ListAccessKeys { user: user(r), page: page(r) }),
    ("ListAttachedGroupPolicies", |r| list_attached(r, Group)),
    ("ListAttachedRolePolicies", |r| list_attached(r, Role)),
    ("ListAttachedUserPolicies", |r| list_attached(r, User)),
    ("ListEntitiesForPolicy", |r| IamRequest::ListEntitiesForPolicy {
        arn: policy_arn(r),
        filter: entity_filter(r),
        page: page(r),
    }),
    ("ListGroupPolicies", |r| list_inline(r, Group)),
    ("ListGroups", |r| list(r, Group)),
    ("ListGroupsForUser", |r| IamRequest::ListGroupsForUser { user: named(r, User).name, page: page(r) }),
    ("ListPolicies", |r| IamRequest::ListPolicies { filter: policy_filter(r), page: page(r) }),
    ("ListPolicyTags", |r| IamRequest::ListTags { target: tagged_policy(r), page: page(r) }),
    ("ListPolicyVersions", |r| IamRequest::ListPolicyVersions { arn: policy_arn(r), page: page(r) }),
    ("ListRolePolicies", |r| list_inline(r, Role)),
    ("ListRoleTags", |r| IamRequest::ListTags { target: tagged(r, Role), page: page(r) }),
    ("ListRoles", |r| list(r, Role)),
    ("ListUserPolicies", |r| list_inline(r, User)),
    ("ListUserTags", |r| IamRequest::ListTags { target: tagged(r, User), page: page(r) }),
    ("ListUsers", |r| list(r, User)),
    ("PutGroupPolicy", |r| put_inline(r, Group)),
    ("PutRolePermissionsBoundary", |r| put_boundary(r, Role)),
    ("PutRolePolicy", |r| put_inline(r, Role)),
    ("PutUserPermissionsBoundary", |r| put_boundary(r, User)),
    ("PutUserPolicy", |r| put_inline(r, User)),
    ("RemoveUserFromGroup", |r| IamRequest::RemoveUserFromGroup {
        group: named(r, Group).name,
        user: named(r, User).name,
    }),
    ("SetDefaultPolicyVersion", |r| IamRequest::SetDefaultPolicyVersion { arn: policy_arn(r), version: version(r) }),
    ("TagPolicy", |r| tag(r, tagged_policy)),
    ("TagRole", |r| tag(r, |r| tagged(r, Role))),
    ("TagUser", |r| tag(r, |r| tagged(r, User))),
    ("UntagPolicy", |r| untag(r, tagged_policy)),
    ("UntagRole", |r| untag(r, |r| tagged(r, Role))),
    ("UntagUser", |r| untag(r, |r| tagged(r, User))),
    ("UpdateAccessKey", |r| IamRequest::UpdateAccessKey {
        user: user(r),
        id: access_key_id(r),
        is_active: r.required_choice("Status", &["Active", "Inactive"]) == "Active",
    }),
    ("UpdateAssumeRolePolicy", |r| IamRequest::UpdateAssumeRolePolicy {
        name: named(r, Role).name,
        document: document(r),
    }),
    ("UpdateGroup", |r| IamRequest::Rename {
        entity: named(r, Group),
        path: r.optional("NewPath", &PATH),
        name: r.optional("NewGroupName", &NAME_128),
    }),
    ("UpdateRole", |r| IamRequest::UpdateRole {
        name: named(r, Role).name,
        description: r.optional("Description", &DESCRIPTION),
        session_seconds_max: session_seconds_max(r),
    }),
    ("UpdateRoleDescription", |r| IamRequest::UpdateRoleDescription {
        name: named(r, Role).name,
        description: r.required("Description", &DESCRIPTION),
    }),
    ("UpdateUser", |r| IamRequest::Rename {
        entity: named(r, User),
        path: r.optional("NewPath", &PATH),
        name: r.optional("NewUserName", &NAME_64),
    }),
];

/// The entity that is named; the names of roles are shorter than those of users and groups.
fn named(r: &mut Reader<'_>, kind: EntityKind) -> Entity {
    let (parameter, limits) = match kind {
        User => ("UserName", &NAME_128),
        Group => ("GroupName", &NAME_128),
        Role => ("RoleName", &NAME_64),
    };
    Entity { kind, name: r.required(parameter, limits) }
}

fn user(r: &mut Reader<'_>) -> Option<String> {
    r.optional("UserName", &NAME_128)
}

fn path(r: &mut Reader<'_>) -> Option<String> {
    r.optional("Path", &PATH)
}

fn policy_arn(r: &mut Reader<'_>) -> String {
    r.required("PolicyArn", &ARN)
}

fn document(r: &mut Reader<'_>) -> String {
    r.required("PolicyDocument", &DOCUMENT)
}

fn version(r: &mut Reader<'_>) -> String {
    r.required("VersionId", &VERSION_ID)
}

fn access_key_id(r: &mut Reader<'_>) -> String {
    r.required("AccessKeyId", &ACCESS_KEY_ID)
}

fn session_seconds_max(r: &mut Reader<'_>) -> Option<u32> {
    r.number("MaxSessionDuration", 3600, 43_200)
}

fn page(r: &mut Reader<'_>) -> Page {
    let items_max = r.number("MaxItems", 1, 1000).map_or(ITEMS_DEFAULT, |items| items as usize);
    Page { marker: r.optional("Marker", &MARKER), items_max }
}

/// Items of a page if the request does not say.
const ITEMS_DEFAULT: usize = 100;

fn list(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::List { kind, path_prefix: r.optional("PathPrefix", &PATH_PREFIX), page: page(r) }
}

fn attach(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::Attach { entity: named(r, kind), policy: policy_arn(r) }
}

fn detach(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::Detach { entity: named(r, kind), policy: policy_arn(r) }
}

fn list_attached(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::ListAttached {
        entity: named(r, kind),
        path_prefix: r.optional("PathPrefix", &PATH_PREFIX),
        page: page(r),
    }
}

fn put_inline(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::PutPolicy { entity: named(r, kind), name: r.required("PolicyName", &NAME_128), document: document(r) }
}

fn get_inline(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::GetInlinePolicy { entity: named(r, kind), name: r.required("PolicyName", &NAME_128) }
}

fn delete_inline(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::DeleteInlinePolicy { entity: named(r, kind), name: r.required("PolicyName", &NAME_128) }
}

fn list_inline(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::ListInlinePolicies { entity: named(r, kind), page: page(r) }
}

fn put_boundary(r: &mut Reader<'_>, kind: EntityKind) -> IamRequest {
    IamRequest::PutBoundary { entity: named(r, kind), policy: r.required("PermissionsBoundary", &ARN) }
}

fn tagged(r: &mut Reader<'_>, kind: EntityKind) -> Tagged {
    Tagged::Entity(named(r, kind))
}

fn tagged_policy(r: &mut Reader<'_>) -> Tagged {
    Tagged::Policy(policy_arn(r))
}

fn tag(r: &mut Reader<'_>, target: impl FnOnce(&mut Reader<'_>) -> Tagged) -> IamRequest {
    r.require_list("Tags");
    IamRequest::Tag { target: target(r), tags: r.tags() }
}

fn untag(r: &mut Reader<'_>, target: impl FnOnce(&mut Reader<'_>) -> Tagged) -> IamRequest {
    r.require_list("TagKeys");
    IamRequest::Untag { target: target(r), keys: r.texts("TagKeys", TAGS_MAX, &TAG_KEY) }
}

fn policy_filter(r: &mut Reader<'_>) -> PolicyFilter {
    let scope = r.choice("Scope", &["All", "AWS", "Local"]);
    PolicyFilter {
        with_aws: scope != Some("Local"),
        with_local: scope != Some("AWS"),
        only_attached: r.flag("OnlyAttached"),
        path_prefix: r.optional("PathPrefix", &PATH_PREFIX),
        usage: policy_usage(r),
    }
}

fn policy_usage(r: &mut Reader<'_>) -> Option<PolicyUsage> {
    r.choice("PolicyUsageFilter", &["PermissionsPolicy", "PermissionsBoundary"]).map(|usage| match usage {
        "PermissionsBoundary" => PolicyUsage::Boundary,
        _ => PolicyUsage::Permissions,
    })
}

fn entity_filter(r: &mut Reader<'_>) -> EntityFilter {
    let kinds = ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];
    let kind = r.choice("EntityFilter", &kinds).map(|kind| match kind {
        "User" => Some(User),
        "Role" => Some(Role),
        "Group" => Some(Group),
        _ => None,
    });
    EntityFilter { kind, path_prefix: r.optional("PathPrefix", &PATH_PREFIX), usage: policy_usage(r) }
}

/// Actions of IAM that are not served here: passwords and second factors, identity providers, certificates, instance
/// profiles, reports, organizations.
pub(super) const ABSENT: &[&str] = &[
    "AddClientIDToOpenIDConnectProvider",
    "AddRoleToInstanceProfile",
    "ChangePassword",
    "CreateAccountAlias",
    "CreateInstanceProfile",
    "CreateLoginProfile",
    "CreateOpenIDConnectProvider",
    "CreateSAMLProvider",
    "CreateServiceSpecificCredential",
    "CreateVirtualMFADevice",
    "DeactivateMFADevice",
    "DeleteAccountAlias",
    "DeleteAccountPasswordPolicy",
    "DeleteInstanceProfile",
    "DeleteLoginProfile",
    "DeleteOpenIDConnectProvider",
    "DeleteSAMLProvider",
    "DeleteSSHPublicKey",
    "DeleteServerCertificate",
    "DeleteServiceSpecificCredential",
    "DeleteSigningCertificate",
    "DeleteVirtualMFADevice",
    "EnableMFADevice",
    "GenerateCredentialReport",
    "GenerateServiceLastAccessedDetails",
    "GetAccessKeyLastUsed",
    "GetAccountAuthorizationDetails",
    "GetAccountPasswordPolicy",
    "GetContextKeysForCustomPolicy",
    "GetContextKeysForPrincipalPolicy",
    "GetCredentialReport",
    "GetInstanceProfile",
    "GetLoginProfile",
    "GetMFADevice",
    "GetOpenIDConnectProvider",
    "GetSAMLProvider",
    "GetSSHPublicKey",
    "GetServerCertificate",
    "GetServiceLastAccessedDetails",
    "ListAccountAliases",
    "ListInstanceProfileTags",
    "ListInstanceProfiles",
    "ListInstanceProfilesForRole",
    "ListMFADeviceTags",
    "ListMFADevices",
    "ListOpenIDConnectProviders",
    "ListPoliciesGrantingServiceAccess",
    "ListSAMLProviders",
    "ListSSHPublicKeys",
    "ListServerCertificates",
    "ListServiceSpecificCredentials",
    "ListSigningCertificates",
    "ListVirtualMFADevices",
    "RemoveRoleFromInstanceProfile",
    "ResyncMFADevice",
    "SetSecurityTokenServicePreferences",
    "SimulateCustomPolicy",
    "SimulatePrincipalPolicy",
    "UpdateAccountPasswordPolicy",
    "UpdateLoginProfile",
    "UploadSSHPublicKey",
    "UploadServerCertificate",
    "UploadSigningCertificate",
];
