//! The actions of IAM: which there are, and what each of them takes.
//!
//! [`actions`] is the table of them. Actions that do the same to users, roles and groups are one request here, with the kind
//! of the entity in it. Source: the public IAM API reference, version 2010-05-08.

mod actions;

use meridian_model::EntityKind;

use self::actions::{ABSENT, ACTIONS};
use crate::query::error::QueryError;
use crate::query::form::{Form, Tag};
use crate::query::read;

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

#[cfg(test)]
mod tests {
    use EntityKind::{Role, User};

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
