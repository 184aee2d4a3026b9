//! The actions of IAM: which there are, and what each of them takes.
//!
//! Actions that do the same to users, roles and groups are one request here, with the kind of the entity in it. Source:
//! the public IAM API reference, version 2010-05-08.

use meridian_model::EntityKind;

use crate::query::constraints::{
    ACCESS_KEY_ID, ARN, DESCRIPTION, DOCUMENT, MARKER, NAME_64, NAME_128, PATH, PATH_PREFIX, POLICY_DESCRIPTION,
    POLICY_PATH, TAG_KEY, TAGS_MAX, TASK_ID, VERSION_ID,
};
use crate::query::error::QueryError;
use crate::query::form::{Form, Reader, Tag};
use crate::query::{Row, read};

/// The version of the API.
const VERSION: &str = "2010-05-08";

/// One well-formed request to IAM.
#[derive(Debug, PartialEq)]
pub struct IamCall {
    /// The name of the action.
    pub action: &'static str,
    /// What it takes.
    pub request: IamRequest,
}

/// A user, group or role, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// Its name.
    pub name: String,
}

/// What tags are put on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// A user or role.
    Entity(Entity),
    /// A managed policy, by its ARN.
    Policy(String),
}

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where the page before ended.
    pub marker: Option<String>,
    /// Items at most.
    pub items_max: usize,
}

/// A user to create.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as the API reference has them
pub struct NewUser {
    pub path: Option<String>,
    pub name: String,
    pub boundary: Option<String>,
    pub tags: Vec<Tag>,
}

/// A role to create.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as the API reference has them
pub struct NewRole {
    pub path: Option<String>,
    pub name: String,
    pub trust_policy: String,
    pub description: Option<String>,
    pub session_seconds_max: Option<u32>,
    pub boundary: Option<String>,
    pub tags: Vec<Tag>,
}

/// A managed policy to create.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as the API reference has them
pub struct NewPolicy {
    pub path: Option<String>,
    pub name: String,
    pub document: String,
    pub description: Option<String>,
    pub tags: Vec<Tag>,
}

/// Which managed policies are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFilter {
    /// Those of AWS.
    pub with_aws: bool,
    /// Those of the account.
    pub with_local: bool,
    /// Only those that are attached to something.
    pub only_attached: bool,
    /// Only those whose path begins so.
    pub path_prefix: Option<String>,
    /// Only those used so.
    pub usage: Option<PolicyUsage>,
}

/// What a managed policy is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words of IAM
pub enum PolicyUsage {
    Permissions,
    Boundary,
}

/// Which users, groups and roles of a policy are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityFilter {
    /// Only this kind; `Some(None)` for a kind that nothing here is of.
    pub kind: Option<Option<EntityKind>>,
    /// Only those whose path begins so.
    pub path_prefix: Option<String>,
    /// Only those that use the policy so.
    pub usage: Option<PolicyUsage>,
}

/// What IAM is asked for; each variant stands for one action, or for the same action on users, groups and roles.
#[derive(Debug, PartialEq)]
#[allow(missing_docs)] // as the API reference has them
pub enum IamRequest {
    CreateUser(NewUser),
    CreateGroup {
        path: Option<String>,
        name: String,
    },
    CreateRole(NewRole),
    CreateServiceLinkedRole {
        service: String,
        description: Option<String>,
        suffix: Option<String>,
    },
    DeleteServiceLinkedRole {
        name: String,
    },
    GetServiceLinkedRoleDeletionStatus {
        task: String,
    },
    /// Of a user without a name: the caller.
    Get {
        kind: EntityKind,
        name: Option<String>,
    },
    GetGroup {
        name: String,
        page: Page,
    },
    List {
        kind: EntityKind,
        path_prefix: Option<String>,
        page: Page,
    },
    Delete(Entity),
    Rename {
        entity: Entity,
        path: Option<String>,
        name: Option<String>,
    },
    UpdateRole {
        name: String,
        description: Option<String>,
        session_seconds_max: Option<u32>,
    },
    UpdateRoleDescription {
        name: String,
        description: String,
    },
    UpdateAssumeRolePolicy {
        name: String,
        document: String,
    },
    AddUserToGroup {
        group: String,
        user: String,
    },
    RemoveUserFromGroup {
        group: String,
        user: String,
    },
    ListGroupsForUser {
        user: String,
        page: Page,
    },
    CreateAccessKey {
        user: Option<String>,
    },
    DeleteAccessKey {
        user: Option<String>,
        id: String,
    },
    UpdateAccessKey {
        user: Option<String>,
        id: String,
        is_active: bool,
    },
    ListAccessKeys {
        user: Option<String>,
        page: Page,
    },
    PutPolicy {
        entity: Entity,
        name: String,
        document: String,
    },
    GetInlinePolicy {
        entity: Entity,
        name: String,
    },
    DeleteInlinePolicy {
        entity: Entity,
        name: String,
    },
    ListInlinePolicies {
        entity: Entity,
        page: Page,
    },
    Attach {
        entity: Entity,
        policy: String,
    },
    Detach {
        entity: Entity,
        policy: String,
    },
    ListAttached {
        entity: Entity,
        path_prefix: Option<String>,
        page: Page,
    },
    PutBoundary {
        entity: Entity,
        policy: String,
    },
    DeleteBoundary {
        entity: Entity,
    },
    Tag {
        target: Tagged,
        tags: Vec<Tag>,
    },
    Untag {
        target: Tagged,
        keys: Vec<String>,
    },
    ListTags {
        target: Tagged,
        page: Page,
    },
    CreatePolicy(NewPolicy),
    GetPolicy {
        arn: String,
    },
    ListPolicies {
        filter: PolicyFilter,
        page: Page,
    },
    DeletePolicy {
        arn: String,
    },
    CreatePolicyVersion {
        arn: String,
        document: String,
        is_default: bool,
    },
    GetPolicyVersion {
        arn: String,
        version: String,
    },
    ListPolicyVersions {
        arn: String,
        page: Page,
    },
    DeletePolicyVersion {
        arn: String,
        version: String,
    },
    SetDefaultPolicyVersion {
        arn: String,
        version: String,
    },
    ListEntitiesForPolicy {
        arn: String,
        filter: EntityFilter,
        page: Page,
    },
    GetAccountSummary,
}

impl IamCall {
    /// Reads what `form` asks for.
    ///
    /// # Errors
    /// As [`crate::query::QueryCall::read`].
    pub fn read(form: &Form) -> Result<Self, QueryError> {
        read(form, VERSION, ACTIONS, ABSENT, false).map(|(action, request)| Self { action, request })
    }

    /// Whether the action changes nothing.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.action.starts_with("Get") || self.action.starts_with("List")
    }
}

use EntityKind::{Group, Role, User};

/// Every action that is served, in the order of the names.
const ACTIONS: &[Row<IamRequest>] = &[
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
const ABSENT: &[&str] = &[
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::QueryCode;

    fn call(body: &str) -> Result<IamCall, QueryError> {
        IamCall::read(&Form::parse(&[format!("Version=2010-05-08&Action={body}").as_bytes()]).expect("a form"))
    }

    #[test]
    fn the_table_is_in_order_and_disjoint_from_what_is_absent() {
        assert!(ACTIONS.is_sorted_by(|one, other| one.0 < other.0));
        assert!(ABSENT.iter().all(|absent| ACTIONS.iter().all(|(name, _)| name != absent)));
    }

    #[test]
    fn requests_are_read() {
        let tags = vec![Tag { key: "a".to_owned(), value: "b".to_owned() }];
        let user = NewUser { path: Some("/x/".to_owned()), name: "alice".to_owned(), boundary: None, tags };
        let read = call("CreateUser&UserName=alice&Path=%2Fx%2F&Tags.member.1.Key=a&Tags.member.1.Value=b");
        assert_eq!(read, Ok(IamCall { action: "CreateUser", request: IamRequest::CreateUser(user) }));
        let entity = Entity { kind: Role, name: "r".to_owned() };
        let read = call("PutRolePolicy&RoleName=r&PolicyName=p&PolicyDocument=%7B%7D").expect("valid");
        let request = IamRequest::PutPolicy { entity, name: "p".to_owned(), document: "{}".to_owned() };
        assert_eq!((read.request, read.action), (request, "PutRolePolicy"));
        let read = call("ListUsers&MaxItems=7&Marker=bob").expect("valid");
        assert!(read.is_read_only());
        let page = Page { marker: Some("bob".to_owned()), items_max: 7 };
        assert_eq!(read.request, IamRequest::List { kind: User, path_prefix: None, page });
    }

    #[test]
    fn what_is_not_served_is_told_apart_from_what_does_not_exist() {
        for (body, code) in [
            ("CreateLoginProfile", QueryCode::UnsupportedOperation),
            ("GetCallerIdentity", QueryCode::InvalidAction),
            ("%3Cscript%3E", QueryCode::InvalidAction),
            ("CreateUser", QueryCode::ValidationError),
            ("TagUser&UserName=a", QueryCode::ValidationError),
            ("UpdateAccessKey&AccessKeyId=AKIA234567ABCDEFGHIJ&Status=Expired", QueryCode::ValidationError),
            ("CreateRole&RoleName=r&AssumeRolePolicyDocument=x&MaxSessionDuration=3599", QueryCode::ValidationError),
        ] {
            assert_eq!(call(body).map_err(|error| error.code), Err(code), "{body}");
        }
        let old = Form::parse(&[b"Action=CreateUser&UserName=a&Version=2010-05-01"]).expect("a form");
        assert_eq!(IamCall::read(&old).map_err(|error| error.code), Err(QueryCode::InvalidAction));
    }

    /// An action that forgets to read its required parameters would act on nothing.
    #[test]
    fn every_action_but_three_kinds_has_required_parameters() {
        let without: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).filter(|name| call(name).is_ok()).collect();
        assert_eq!(
            without,
            [
                "CreateAccessKey",
                "GetAccountSummary",
                "GetUser",
                "ListAccessKeys",
                "ListGroups",
                "ListPolicies",
                "ListRoles",
                "ListUsers"
            ]
        );
    }
}
