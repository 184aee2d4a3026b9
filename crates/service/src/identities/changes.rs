//! Changes of IAM: authorized and planned on the leader, committed by one command, answered from what the command did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_crypto::identity_secret::{SecretPlace, generate_id, generate_secret_access_key};
use meridian_identity::query::iam::{self, NewPolicy, NewRole, NewUser, Tagged};
use meridian_identity::query::{Answer, IamCall, IamRequest, Members, Tag, Value};
use meridian_model::entities::id_prefix;
use meridian_model::{
    AccessKeyId, AccountId, EntityKind, EntityName, EntityPath, ErrorCode, Partition, PolicyArn, ServiceError, UniqueId,
};
use meridian_policy::{Policy, PolicyKind, StoredPolicy};
use meridian_state::identities::change::{self, Membership};
use meridian_state::identities::{AccessKeyStatus, Entity, Tags, UserRecord, refusals};
use meridian_state::{Done, IdentityChange, IdentityRow, RegionState};

use super::authority::Authority;
use super::facts::Facts;
use super::names::{self, entity_tags, name, path, policy_arn, root_arn, user_or_caller};
use super::reads::version_number;
use super::shown::{self, Uses};
use super::{managed_policies, service_linked_roles};
use crate::key_ring::{KeyRing, log_internal};

/// A change that may be made: the command, and how to answer once it is committed.
pub(super) struct Plan {
    pub(super) change: IdentityChange,
    pub(super) reply: Reply,
}

/// Makes the answer from the state after the command and from what it gave back.
type Reply = Box<dyn FnOnce(&RegionState, &Done) -> Answer + Send>;

impl Plan {
    /// A change whose action has no output.
    pub(super) fn silent(change: IdentityChange) -> Self {
        Self { change, reply: Box::new(|_, _| None) }
    }

    /// A change that is answered with the row that it left.
    pub(super) fn shown(
        change: IdentityChange,
        title: &'static str,
        show: impl FnOnce(&IdentityRow, Partition) -> Members + Send + 'static,
    ) -> Self {
        let reply = move |state: &RegionState, done: &Done| {
            let Done::Identity(row) = done else { unreachable!("this command gives back its row") };
            Some(Members::new().nested(title, show(row, state.partition())))
        };
        Self { change, reply: Box::new(reply) }
    }
}

/// Plans what `call` asks for, if the caller may have it done.
pub(super) fn plan(authority: &Authority<'_>, ring: &KeyRing, call: IamCall) -> Result<Plan, ServiceError> {
    let planner = Planner { authority, action: format!("iam:{}", call.action) };
    planner.plan(ring, call.request)
}

pub(super) struct Planner<'a> {
    pub(super) authority: &'a Authority<'a>,
    pub(super) action: String,
}

impl Planner<'_> {
    fn plan(&self, ring: &KeyRing, request: IamRequest) -> Result<Plan, ServiceError> {
        match request {
            IamRequest::CreateUser(new) => self.create_user(&new),
            IamRequest::CreateGroup { path, name } => self.create_group(path.as_deref(), &name),
            IamRequest::CreateRole(new) => self.create_role(new),
            IamRequest::CreateServiceLinkedRole { service, description, suffix } => {
                service_linked_roles::create(self, &service, description, suffix.as_deref())
            }
            IamRequest::DeleteServiceLinkedRole { name } => service_linked_roles::delete(self, &name),
            IamRequest::Delete(named) => {
                self.on(&named, Facts::default()).map(|entity| Plan::silent(IdentityChange::DeleteEntity(entity)))
            }
            IamRequest::Rename { entity, path, name } => self.update(&entity, path.as_deref(), name.as_deref()),
            IamRequest::UpdateRole { name, description, session_seconds_max } => {
                let change = self.update_role(&name, description, session_seconds_max)?;
                Ok(Plan { change, reply: Box::new(|_, _| Some(Members::new())) })
            }
            IamRequest::UpdateRoleDescription { name, description } => {
                let change = self.update_role(&name, Some(description), None)?;
                Ok(Plan::shown(change, "Role", show_role))
            }
            IamRequest::UpdateAssumeRolePolicy { name, document } => self.update_trust(&name, document),
            IamRequest::AddUserToGroup { group, user } => {
                self.membership(&group, &user).map(IdentityChange::AddUserToGroup).map(Plan::silent)
            }
            IamRequest::RemoveUserFromGroup { group, user } => {
                self.membership(&group, &user).map(IdentityChange::RemoveUserFromGroup).map(Plan::silent)
            }
            IamRequest::CreateAccessKey { user } => self.create_access_key(ring, user.as_deref()),
            IamRequest::DeleteAccessKey { user, id } => {
                let (account, user) = (self.authority.account(), self.owner_of_keys(user.as_deref())?);
                let user = user.map(|user| user.id.clone());
                let id = access_key_id(&id)?;
                Ok(Plan::silent(IdentityChange::DeleteAccessKey { account, user, id }))
            }
            IamRequest::UpdateAccessKey { user, id, is_active } => {
                let (account, user) = (self.authority.account(), self.owner_of_keys(user.as_deref())?);
                let user = user.map(|user| user.id.clone());
                let id = access_key_id(&id)?;
                let status = if is_active { AccessKeyStatus::Active } else { AccessKeyStatus::Inactive };
                Ok(Plan::silent(IdentityChange::UpdateAccessKey { account, user, id, status }))
            }
            request => self.plan_policies(request),
        }
    }

    fn plan_policies(&self, request: IamRequest) -> Result<Plan, ServiceError> {
        match request {
            IamRequest::PutPolicy { entity, name: named, document } => {
                let entity = self.on(&entity, Facts::default())?;
                let (policy, document) = (name(&named)?, accepted(document, PolicyKind::Identity)?);
                Ok(Plan::silent(IdentityChange::PutInlinePolicy { entity, policy, document }))
            }
            IamRequest::DeleteInlinePolicy { entity, name: named } => {
                let entity = self.on(&entity, Facts::default())?;
                Ok(Plan::silent(IdentityChange::DeleteInlinePolicy { entity, policy: name(&named)? }))
            }
            IamRequest::Attach { entity, policy } => {
                let (entity, policy) = self.on_attachment(&entity, &policy)?;
                Ok(Plan::silent(IdentityChange::AttachPolicy { entity, policy }))
            }
            IamRequest::Detach { entity, policy } => {
                let (entity, policy) = self.on_attachment(&entity, &policy)?;
                Ok(Plan::silent(IdentityChange::DetachPolicy { entity, policy }))
            }
            IamRequest::PutBoundary { entity, policy } => {
                let boundary = policy_arn(&self.authority.state, &policy)?;
                let entity = self.on(&entity, Facts::default().with("iam:permissionsboundary", &boundary))?;
                Ok(Plan::silent(IdentityChange::SetBoundary { entity, boundary: Some(boundary) }))
            }
            IamRequest::DeleteBoundary { entity } => {
                let entity = self.on(&entity, Facts::default())?;
                Ok(Plan::silent(IdentityChange::SetBoundary { entity, boundary: None }))
            }
            IamRequest::Tag { target, tags } => self.tag(&target, &tags),
            IamRequest::Untag { target, keys } => self.untag(&target, &keys),
            IamRequest::CreatePolicy(new) => self.create_policy(new),
            IamRequest::DeletePolicy { arn } => {
                let (account, policy) = self.own_policy(&arn)?;
                Ok(Plan::silent(IdentityChange::DeletePolicy { account, policy }))
            }
            IamRequest::CreatePolicyVersion { arn, document, is_default } => {
                let (account, policy) = self.own_policy(&arn)?;
                let document = accepted(document, PolicyKind::Identity)?;
                let change =
                    IdentityChange::CreatePolicyVersion { account, policy, document, set_as_default: is_default };
                Ok(Plan::shown(change, "PolicyVersion", move |row, _| {
                    let IdentityRow::PolicyVersion(row) = row else { unreachable!("the row is the version") };
                    shown::version(row, is_default)
                }))
            }
            IamRequest::DeletePolicyVersion { arn, version } => {
                let (account, policy) = self.own_policy(&arn)?;
                let version = version_number(&version)?;
                Ok(Plan::silent(IdentityChange::DeletePolicyVersion { account, policy, version }))
            }
            IamRequest::SetDefaultPolicyVersion { arn, version } => {
                let (account, policy) = self.own_policy(&arn)?;
                let version = version_number(&version)?;
                Ok(Plan::silent(IdentityChange::SetDefaultPolicyVersion { account, policy, version }))
            }
            _ => Err(ServiceError::internal()), // reads go elsewhere
        }
    }

    fn create_user(&self, new: &NewUser) -> Result<Plan, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, name, path) = (self.authority.account(), name(&new.name)?, path(new.path.as_deref())?);
        let boundary = new.boundary.as_deref().map(|arn| policy_arn(state, arn)).transpose()?;
        self.allow_new(EntityKind::User, &path, &name, boundary.as_ref(), &new.tags)?;
        let tags = tags(&new.tags, None);
        let new = change::NewUser { account, name, path, id: unique_id(id_prefix::USER)?, tags, boundary };
        Ok(Plan::shown(IdentityChange::CreateUser(new), "User", |row, partition| {
            let IdentityRow::User(row) = row else { unreachable!("the row is the user") };
            shown::user(row, partition)
        }))
    }

    fn create_group(&self, path_text: Option<&str>, named: &str) -> Result<Plan, ServiceError> {
        let (account, name, path) = (self.authority.account(), name(named)?, path(path_text)?);
        self.allow_new(EntityKind::Group, &path, &name, None, &[])?;
        let new = change::NewGroup { account, name, path, id: unique_id(id_prefix::GROUP)? };
        Ok(Plan::shown(IdentityChange::CreateGroup(new), "Group", |row, partition| {
            let IdentityRow::Group(row) = row else { unreachable!("the row is the group") };
            shown::group(row, partition)
        }))
    }

    fn create_role(&self, new: NewRole) -> Result<Plan, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, name, path) = (self.authority.account(), name(&new.name)?, path(new.path.as_deref())?);
        let boundary = new.boundary.as_deref().map(|arn| policy_arn(state, arn)).transpose()?;
        self.allow_new(EntityKind::Role, &path, &name, boundary.as_ref(), &new.tags)?;
        if path.as_str().starts_with("/aws-service-role/") {
            return Err(refusals::invalid_input(
                "Paths that begin with /aws-service-role/ are for service-linked roles.",
            ));
        }
        let new = change::NewRole {
            account,
            name,
            path,
            id: unique_id(id_prefix::ROLE)?,
            tags: tags(&new.tags, None),
            boundary,
            trust: accepted(new.trust_policy, PolicyKind::Trust)?,
            description: new.description.unwrap_or_default(),
            session_seconds_max: new.session_seconds_max.unwrap_or(SESSION_SECONDS_DEFAULT),
            linked_service: None,
            attached: BTreeSet::new(),
        };
        Ok(Plan::shown(IdentityChange::CreateRole(new), "Role", show_role))
    }

    /// Whether the caller may make an entity of this name.
    fn allow_new(
        &self,
        kind: EntityKind,
        path: &EntityPath,
        name: &EntityName,
        boundary: Option<&PolicyArn>,
        tags: &[Tag],
    ) -> Result<(), ServiceError> {
        let arn = kind.arn(self.authority.state.partition(), self.authority.account(), path, name);
        let facts = Facts::default().with_some("iam:permissionsboundary", boundary).with_request_tags(tags);
        self.authority.allow(&self.action, &arn, &facts)
    }

    /// `UpdateUser` and `UpdateGroup`: need permission on what there is and on what it becomes.
    fn update(
        &self,
        named: &iam::Entity,
        new_path: Option<&str>,
        new_name: Option<&str>,
    ) -> Result<Plan, ServiceError> {
        let entity = self.on(named, Facts::default())?;
        let new_path = new_path.map(|text| path(Some(text))).transpose()?;
        let new_name = new_name.map(name).transpose()?;
        let state = &self.authority.state;
        let target_path = new_path.clone().or_else(|| names::path_of(state, &entity).cloned()).unwrap_or_default();
        let target_name = new_name.as_ref().unwrap_or(&entity.name);
        let target = entity.kind.arn(state.partition(), entity.account, &target_path, target_name);
        self.authority.allow(&self.action, &target, &Facts::default())?;
        Ok(Plan::silent(IdentityChange::UpdateEntity { entity, path: new_path, name: new_name }))
    }

    fn update_role(
        &self,
        named: &str,
        description: Option<String>,
        session_seconds_max: Option<u32>,
    ) -> Result<IdentityChange, ServiceError> {
        let Entity { account, name: role, .. } = self.on_role(named)?;
        Ok(IdentityChange::UpdateRole { account, role, description, session_seconds_max })
    }

    fn update_trust(&self, named: &str, document: String) -> Result<Plan, ServiceError> {
        let Entity { account, name: role, .. } = self.on_role(named)?;
        let document = accepted(document, PolicyKind::Trust)?;
        Ok(Plan::silent(IdentityChange::UpdateAssumeRolePolicy { account, role, document }))
    }

    fn membership(&self, group: &str, user: &str) -> Result<Membership, ServiceError> {
        let named = iam::Entity { kind: EntityKind::Group, name: group.to_owned() };
        let Entity { account, name: group, .. } = self.on(&named, Facts::default())?;
        Ok(Membership { account, user: name(user)?, group })
    }

    fn create_access_key(&self, ring: &KeyRing, user: Option<&str>) -> Result<Plan, ServiceError> {
        let (account, owner) = (self.authority.account(), self.owner_of_keys(user)?);
        let user = owner.as_ref().map(|owner| owner.id.clone());
        let id = generate_id(id_prefix::ACCESS_KEY).map_err(log_internal("drawing an access key id"))?;
        let id: AccessKeyId = id.parse().expect("own ids are well formed");
        let secret = generate_secret_access_key().map_err(log_internal("drawing a secret access key"))?;
        let place = SecretPlace::AccessKey { account, user: user.clone(), id: id.clone() };
        let sealed = ring.seal_secret(&self.authority.state, &place, &secret)?;
        let change = IdentityChange::CreateAccessKey(change::NewAccessKey { id, account, user, sealed });
        Ok(Plan::shown(change, "AccessKey", move |row, _| {
            let IdentityRow::AccessKey(row) = row else { unreachable!("the row is the access key") };
            let secret = String::from_utf8(secret.expose().to_vec()).expect("secrets of access keys are ASCII");
            shown::access_key(row, owner.as_ref().map(|owner| &owner.name))
                .with("SecretAccessKey", Value::Secret(secret.into()))
        }))
    }

    /// Whose access keys a request is about, if the caller may change them; `None` for those of the root user.
    fn owner_of_keys(&self, named: Option<&str>) -> Result<Option<Arc<UserRecord>>, ServiceError> {
        let (account, user) = (self.authority.account(), user_or_caller(self.authority, named)?);
        let state = &self.authority.state;
        let Some(name) = user else {
            self.authority.allow(&self.action, &root_arn(state, account), &Facts::default())?;
            return Ok(None);
        };
        let entity = Entity { account, kind: EntityKind::User, name };
        self.authority.allow_on(&self.action, &entity, Facts::default())?;
        let user = state.identities().user(account, &entity.name).map(Arc::clone);
        user.map(Some).ok_or_else(|| refusals::no_such(EntityKind::User, &entity.name))
    }

    fn create_policy(&self, new: NewPolicy) -> Result<Plan, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, name, path) = (self.authority.account(), name(&new.name)?, path(new.path.as_deref())?);
        let arn = PolicyArn::customer(state.partition(), account, &path, &name);
        self.authority.allow(&self.action, arn.as_str(), &Facts::default().with_request_tags(&new.tags))?;
        let new = change::NewPolicy {
            account,
            name,
            path,
            id: unique_id(id_prefix::POLICY)?,
            description: new.description.unwrap_or_default(),
            tags: tags(&new.tags, None),
            document: accepted(new.document, PolicyKind::Identity)?,
        };
        Ok(Plan::shown(IdentityChange::CreatePolicy(new), "Policy", |row, partition| {
            let IdentityRow::Policy(row) = row else { unreachable!("the row is the policy") };
            shown::policy(row, partition, Uses::default())
        }))
    }

    fn tag(&self, target: &Tagged, new: &[Tag]) -> Result<Plan, ServiceError> {
        let facts = Facts::default().with_request_tags(new);
        let (resource, former) = self.tagged(target, facts)?;
        let tags = tags(new, former.as_ref());
        Ok(Plan::silent(IdentityChange::Tag { resource, tags }))
    }

    fn untag(&self, target: &Tagged, keys: &[String]) -> Result<Plan, ServiceError> {
        let facts = Facts::default().with_tag_keys(keys.iter().cloned());
        let (resource, former) = self.tagged(target, facts)?;
        let keys = keys.iter().map(|key| spelled(key, former.as_ref())).collect();
        Ok(Plan::silent(IdentityChange::Untag { resource, keys }))
    }

    /// What a request wants to tag, if the caller may do so, and the tags that it has.
    fn tagged(&self, target: &Tagged, facts: Facts) -> Result<(change::Tagged, Option<Tags>), ServiceError> {
        let Authority { state, .. } = self.authority;
        match target {
            Tagged::Entity(named) => {
                let entity = self.on(named, facts)?;
                let former = entity_tags(state, &entity).cloned();
                let Entity { account, kind, name } = entity;
                match kind {
                    EntityKind::User => Ok((change::Tagged::User(account, name), former)),
                    EntityKind::Role => Ok((change::Tagged::Role(account, name), former)),
                    EntityKind::Group => Err(refusals::invalid_input("A group has no tags.")),
                }
            }
            Tagged::Policy(arn) => {
                let arn = self.allowed_policy(arn, facts)?;
                let former = state.identities().policy_by_arn(&arn).map(|row| row.tags.clone());
                let (account, name) = self.found(&arn)?;
                Ok((change::Tagged::Policy(account, name), former))
            }
        }
    }

    /// The entity that a request names, if the caller may do to it what the request asks for.
    pub(super) fn on(&self, named: &iam::Entity, facts: Facts) -> Result<Entity, ServiceError> {
        let entity = names::entity(self.authority, named)?;
        self.authority.allow_on(&self.action, &entity, facts)?;
        Ok(entity)
    }

    pub(super) fn on_role(&self, named: &str) -> Result<Entity, ServiceError> {
        self.on(&iam::Entity { kind: EntityKind::Role, name: named.to_owned() }, Facts::default())
    }

    fn on_attachment(&self, named: &iam::Entity, policy: &str) -> Result<(Entity, PolicyArn), ServiceError> {
        let policy = policy_arn(&self.authority.state, policy)?;
        let entity = self.on(named, Facts::default().with("iam:policyarn", &policy))?;
        Ok((entity, policy))
    }

    fn allowed_policy(&self, arn: &str, facts: Facts) -> Result<PolicyArn, ServiceError> {
        let arn = policy_arn(&self.authority.state, arn)?;
        self.authority.allow_on_policy(&self.action, &arn, facts)?;
        Ok(arn)
    }

    /// The managed policy of the caller's account that a request wants to change, if the caller may.
    fn own_policy(&self, arn: &str) -> Result<(AccountId, EntityName), ServiceError> {
        let arn = self.allowed_policy(arn, Facts::default())?;
        self.found(&arn)
    }

    fn found(&self, arn: &PolicyArn) -> Result<(AccountId, EntityName), ServiceError> {
        let Authority { state, .. } = self.authority;
        if arn.owner().is_none() {
            managed_policies::find_provided(arn, state.partition())?;
            return Err(refusals::invalid_input(&format!(
                "Policy {arn} belongs to the provider and cannot be changed."
            )));
        }
        let row = state.identities().policy_by_arn(arn).ok_or_else(|| refusals::no_such_policy(arn))?;
        Ok((row.account, row.name.clone()))
    }
}

pub(super) fn show_role(row: &IdentityRow, partition: Partition) -> Members {
    let IdentityRow::Role(row) = row else { unreachable!("the row is the role") };
    shown::role(row, partition)
}

/// How long a session of a role may last if its maker does not say.
pub(super) const SESSION_SECONDS_DEFAULT: u32 = 3600;

/// A new unique id.
pub(super) fn unique_id(prefix: &str) -> Result<UniqueId, ServiceError> {
    let id = generate_id(prefix).map_err(log_internal("drawing a unique id"))?;
    Ok(id.parse().expect("own ids are well formed"))
}

/// A policy document of this kind.
///
/// # Errors
/// `MalformedPolicyDocument`, or `LimitExceeded` if it is too long.
fn accepted(document: String, kind: PolicyKind) -> Result<StoredPolicy, ServiceError> {
    Policy::parse(&document, kind)?;
    Ok(document.into())
}

/// Tags as they are kept. A key that is there already keeps its spelling, whatever case the request has it in.
fn tags(new: &[Tag], former: Option<&Tags>) -> Tags {
    new.iter().map(|tag| (spelled(&tag.key, former), tag.value.clone())).collect::<BTreeMap<_, _>>()
}

fn spelled(key: &str, former: Option<&Tags>) -> String {
    let folded = key.to_lowercase();
    let known = former.and_then(|tags| tags.keys().find(|known| known.to_lowercase() == folded));
    known.map_or_else(|| key.to_owned(), Clone::clone)
}

/// An access key id; a text that cannot be one names no access key.
fn access_key_id(text: &str) -> Result<AccessKeyId, ServiceError> {
    let missing = || {
        let message = format!("The Access Key with id {text} cannot be found.");
        ServiceError::new(ErrorCode::IamNoSuchEntity, message)
    };
    text.parse().map_err(|_| missing())
}
