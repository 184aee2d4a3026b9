//! Reads of IAM. Each is linearizable in the home of identities; elsewhere it sees what has arrived there.

use std::fmt::Display;
use std::str::FromStr;

use meridian_identity::query::iam::{EntityFilter, Page, PolicyFilter, PolicyUsage, Tagged};
use meridian_identity::query::{Answer, IamCall, IamRequest, Members, Value};
use meridian_model::{EntityKind, EntityName, PolicyArn, ServiceError};
use meridian_state::identities::table::PolicyUse;
use meridian_state::identities::{Entity, ManagedPolicyRecord, Tags, refusals};
use meridian_state::quotas;

use super::authority::Authority;
use super::facts::Facts;
use super::names::{boundary, entity, entity_arn, entity_tags, list_arn, name, policy_arn, root_arn, user_or_caller};
use super::{managed_policies, service_linked_roles, shown};
use crate::pages;

/// Answers a request that changes nothing.
pub(super) fn answer(authority: &Authority<'_>, call: &IamCall) -> Result<Answer, ServiceError> {
    let reader = Reader { authority, action: format!("iam:{}", call.action) };
    reader.answer(&call.request).map(Some)
}

struct Reader<'a> {
    authority: &'a Authority<'a>,
    action: String,
}

impl Reader<'_> {
    fn answer(&self, request: &IamRequest) -> Result<Members, ServiceError> {
        match request {
            IamRequest::Get { kind: EntityKind::User, name } => self.user(name.as_deref()),
            IamRequest::Get { name, .. } => self.role(name.as_deref().unwrap_or_default()),
            IamRequest::GetGroup { name, page } => self.group(name, page),
            IamRequest::List { kind, path_prefix, page } => self.list(*kind, path_prefix.as_deref(), page),
            IamRequest::ListGroupsForUser { user, page } => self.groups_of(user, page),
            IamRequest::ListAccessKeys { user, page } => self.access_keys(user.as_deref(), page),
            IamRequest::GetInlinePolicy { entity: named, name } => {
                self.inline_policy(&entity(self.authority, named)?, name)
            }
            IamRequest::ListInlinePolicies { entity: named, page } => {
                self.inline_policies(&entity(self.authority, named)?, page)
            }
            IamRequest::ListAttached { entity: named, path_prefix, page } => {
                self.attached(&entity(self.authority, named)?, path_prefix.as_deref(), page)
            }
            IamRequest::ListTags { target, page } => self.tags(target, page),
            IamRequest::GetPolicy { arn } => self.policy(arn),
            IamRequest::ListPolicies { filter, page } => self.policies(filter, page),
            IamRequest::GetPolicyVersion { arn, version } => self.policy_version(arn, version),
            IamRequest::ListPolicyVersions { arn, page } => self.policy_versions(arn, page),
            IamRequest::ListEntitiesForPolicy { arn, filter, page } => self.entities_of_policy(arn, filter, page),
            IamRequest::GetServiceLinkedRoleDeletionStatus { task } => {
                service_linked_roles::deletion_status(self.authority, &self.action, task)
            }
            IamRequest::GetAccountSummary => self.summary(),
            _ => Err(ServiceError::internal()), // changes go elsewhere
        }
    }

    /// `GetUser`: of a root user little is known.
    fn user(&self, named: Option<&str>) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let account = self.authority.account();
        let Some(name) = user_or_caller(self.authority, named)? else {
            let arn = root_arn(state, account);
            self.authority.allow(&self.action, &arn, &Facts::default())?;
            let root = Members::new().text("UserId", account).text("Arn", arn);
            return Ok(Members::new().nested("User", root));
        };
        self.allow_on(&Entity { account, kind: EntityKind::User, name: name.clone() })?;
        let user = state.identities().user(account, &name).ok_or_else(|| refusals::no_such(EntityKind::User, &name))?;
        Ok(Members::new().nested("User", shown::user(user, state.partition())))
    }

    fn role(&self, named: &str) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, name) = (self.authority.account(), name(named)?);
        self.allow_on(&Entity { account, kind: EntityKind::Role, name: name.clone() })?;
        let role = state.identities().role(account, &name).ok_or_else(|| refusals::no_such(EntityKind::Role, &name))?;
        Ok(Members::new().nested("Role", shown::role(role, state.partition())))
    }

    fn group(&self, named: &str, page: &Page) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, name, partition) = (self.authority.account(), name(named)?, state.partition());
        self.allow_on(&Entity { account, kind: EntityKind::Group, name: name.clone() })?;
        let group =
            state.identities().group(account, &name).ok_or_else(|| refusals::no_such(EntityKind::Group, &name))?;
        let users = paged(state.identities().users_in(group, None), page, |user| user.name.folded())?;
        let members = Members::new().nested("Group", shown::group(group, partition));
        Ok(listed(members, "Users", users, |user| shown::listed_user(user, partition)))
    }

    fn list(&self, kind: EntityKind, prefix: Option<&str>, page: &Page) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, partition, identities) = (self.authority.account(), state.partition(), state.identities());
        let arn = list_arn(state, account, kind.as_str(), prefix);
        self.authority.allow(&self.action, &arn, &Facts::default())?;
        let is_within = |path: &str| path.starts_with(prefix.unwrap_or("/"));
        match kind {
            EntityKind::User => {
                let users = identities.users(account, None).filter(|user| is_within(user.path.as_str()));
                let users = paged(users, page, |user| user.name.folded())?;
                Ok(listed(Members::new(), "Users", users, |user| shown::listed_user(user, partition)))
            }
            EntityKind::Group => {
                let groups = identities.groups(account, None).filter(|group| is_within(group.path.as_str()));
                let groups = paged(groups, page, |group| group.name.folded())?;
                Ok(listed(Members::new(), "Groups", groups, |group| shown::group(group, partition)))
            }
            EntityKind::Role => {
                let roles = identities.roles(account, None).filter(|role| is_within(role.path.as_str()));
                let roles = paged(roles, page, |role| role.name.folded())?;
                Ok(listed(Members::new(), "Roles", roles, |role| shown::listed_role(role, partition)))
            }
        }
    }

    fn groups_of(&self, named: &str, page: &Page) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, name, identities) = (self.authority.account(), name(named)?, state.identities());
        self.allow_on(&Entity { account, kind: EntityKind::User, name: name.clone() })?;
        let user = identities.user(account, &name).ok_or_else(|| refusals::no_such(EntityKind::User, &name))?;
        let groups = paged(identities.groups_of(user), page, |group| group.name.clone())?;
        Ok(listed(Members::new(), "Groups", groups, |group| shown::group(group, state.partition())))
    }

    fn access_keys(&self, named: Option<&str>, page: &Page) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, name) = (self.authority.account(), user_or_caller(self.authority, named)?);
        let user = if let Some(name) = &name {
            self.allow_on(&Entity { account, kind: EntityKind::User, name: name.clone() })?;
            let found = state.identities().user(account, name);
            Some(found.ok_or_else(|| refusals::no_such(EntityKind::User, name))?)
        } else {
            self.authority.allow(&self.action, &root_arn(state, account), &Facts::default())?;
            None
        };
        let keys = state.identities().access_keys_of(account, user.map(|user| &user.id));
        let keys = paged(keys, page, |key| key.id.clone())?;
        Ok(listed(Members::new(), "AccessKeyMetadata", keys, |key| shown::access_key(key, name.as_ref())))
    }

    fn inline_policy(&self, entity: &Entity, named: &str) -> Result<Members, ServiceError> {
        self.allow_on(entity)?;
        let name = name(named)?;
        let document = self.policies_within(entity)?.inline.get(&name);
        let document = document.ok_or_else(|| refusals::no_such_inline_policy(entity, &name))?;
        let (name_member, _) = shown::name_and_id(entity.kind);
        Ok(Members::new()
            .text(name_member, &entity.name)
            .text("PolicyName", &name)
            .with("PolicyDocument", Value::Document(document.text().to_owned())))
    }

    fn inline_policies(&self, entity: &Entity, page: &Page) -> Result<Members, ServiceError> {
        self.allow_on(entity)?;
        let names = paged(self.policies_within(entity)?.inline.keys(), page, |name| EntityName::clone(name))?;
        let (items, next_marker) = (names.items, names.next_marker);
        let members = Members::new().texts("PolicyNames", items.into_iter().map(ToString::to_string));
        Ok(with_position(members, next_marker))
    }

    fn attached(&self, entity: &Entity, prefix: Option<&str>, page: &Page) -> Result<Members, ServiceError> {
        self.allow_on(entity)?;
        let is_within = |arn: &&PolicyArn| arn.path().starts_with(prefix.unwrap_or("/"));
        let attached = self.policies_within(entity)?.attached.iter().filter(is_within);
        let mut numbered = attached.enumerate(); // at most ten, whose ARNs are too long for a marker
        let arns = paged(&mut numbered, page, |(at, _)| *at)?;
        Ok(listed(Members::new(), "AttachedPolicies", arns, |(_, arn)| {
            Members::new().text("PolicyName", arn.name()).text("PolicyArn", arn)
        }))
    }

    fn tags(&self, target: &Tagged, page: &Page) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let none = Tags::new();
        let tags = match target {
            Tagged::Entity(named) => {
                let entity = entity(self.authority, named)?;
                self.allow_on(&entity)?;
                entity_tags(state, &entity).ok_or_else(|| refusals::no_such(entity.kind, &entity.name))?
            }
            Tagged::Policy(arn) => {
                let arn = policy_arn(state, arn)?;
                self.authority.allow_on_policy(&self.action, &arn, Facts::default())?;
                match arn.owner() {
                    Some(_) => &self.own_policy(&arn)?.tags,
                    None => managed_policies::find_provided(&arn, state.partition()).map(|_| &none)?,
                }
            }
        };
        let tags = paged(tags.iter(), page, |(key, _)| (*key).clone())?;
        Ok(listed(Members::new(), "Tags", tags, shown::tag))
    }

    fn policy(&self, arn: &str) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let arn = self.allowed_policy(arn)?;
        let uses = managed_policies::uses(state, self.authority.account(), &arn);
        let policy = if arn.owner().is_some() {
            shown::policy(self.own_policy(&arn)?, state.partition(), uses)
        } else {
            let provided = managed_policies::find_provided(&arn, state.partition())?;
            shown::provided_policy(&provided, uses).text("Description", provided.description)
        };
        Ok(Members::new().nested("Policy", policy))
    }

    /// Those of the account come first, then those of the provider.
    fn policies(&self, filter: &PolicyFilter, page: &Page) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, partition, prefix) = (self.authority.account(), state.partition(), filter.path_prefix.as_deref());
        let arn = list_arn(state, account, "policy", prefix);
        self.authority.allow(&self.action, &arn, &Facts::default())?;
        let is_within = |path: &str| path.starts_with(prefix.unwrap_or("/"));
        let is_wanted = |uses: shown::Uses| {
            let is_used = match filter.usage {
                Some(PolicyUsage::Permissions) => uses.attached > 0,
                Some(PolicyUsage::Boundary) => uses.as_boundary > 0,
                None => uses.attached + uses.as_boundary > 0,
            };
            is_used || !filter.only_attached && filter.usage.is_none()
        };
        let own =
            state.identities().policies(account, None).filter(|row| filter.with_local && is_within(row.path.as_str()));
        let own = own.map(|row| {
            let uses = managed_policies::uses(state, account, &row.arn(partition));
            (Position(0, row.name.folded()), uses, shown::listed_policy(row, partition, uses))
        });
        let provided = managed_policies::provided(partition);
        let provided = provided.filter(|policy| filter.with_aws && is_within(policy.arn.path())).map(|policy| {
            let uses = managed_policies::uses(state, account, &policy.arn);
            (Position(1, policy.arn.name()), uses, shown::provided_policy(&policy, uses))
        });
        let all = own.chain(provided).filter(|(_, uses, _)| is_wanted(*uses));
        let policies = paged(all, page, |(position, _, _)| position.clone())?;
        Ok(listed(Members::new(), "Policies", policies, |(_, _, shown)| shown))
    }

    fn policy_version(&self, arn: &str, version: &str) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let arn = self.allowed_policy(arn)?;
        let number = version_number(version)?;
        let (shown, document) = if arn.owner().is_some() {
            let row = self.own_policy(&arn)?;
            let found = state.identities().policy_version(row, number);
            let found = found.ok_or_else(|| refusals::no_such_version(&arn, number))?;
            (shown::version(found, row.default_version == number), found.document.text())
        } else {
            let provided = managed_policies::find_provided(&arn, state.partition())?;
            if number != managed_policies::PROVIDED_VERSION {
                return Err(refusals::no_such_version(&arn, number));
            }
            (shown::listed_version(number, true, managed_policies::PROVIDED_AT), provided.document)
        };
        let shown = shown.with("Document", Value::Document(document.to_owned()));
        Ok(Members::new().nested("PolicyVersion", shown))
    }

    /// The newest comes first.
    fn policy_versions(&self, arn: &str, page: &Page) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let arn = self.allowed_policy(arn)?;
        let versions: Vec<Members> = if arn.owner().is_some() {
            let row = self.own_policy(&arn)?;
            let versions = state.identities().policy_versions(row);
            versions.map(|version| shown::version(version, row.default_version == version.version)).collect()
        } else {
            managed_policies::find_provided(&arn, state.partition())?;
            vec![shown::listed_version(managed_policies::PROVIDED_VERSION, true, managed_policies::PROVIDED_AT)]
        };
        let versions = paged(versions.into_iter().rev().enumerate(), page, |(at, _)| *at)?;
        Ok(listed(Members::new(), "Versions", versions, |(_, version)| version))
    }

    fn entities_of_policy(&self, arn: &str, filter: &EntityFilter, page: &Page) -> Result<Members, ServiceError> {
        let Authority { state, .. } = self.authority;
        let (account, prefix) = (self.authority.account(), filter.path_prefix.as_deref().unwrap_or("/"));
        let arn = self.allowed_policy(arn)?;
        match arn.owner() {
            Some(_) => drop(self.own_policy(&arn)?),
            None => drop(managed_policies::find_provided(&arn, state.partition())?),
        }
        let is_used_so = |policy_use: PolicyUse| match filter.usage {
            Some(PolicyUsage::Permissions) => policy_use == PolicyUse::Attached,
            Some(PolicyUsage::Boundary) => policy_use == PolicyUse::Boundary,
            None => true,
        };
        let users = state.identities().users_of_policy(&arn);
        let users = users.filter(|(policy_use, entity)| is_used_so(*policy_use) && entity.account == account);
        let of_kind = users.filter(|(_, entity)| filter.kind.is_none_or(|kind| kind == Some(entity.kind)));
        let mut found: Vec<Found> = of_kind.filter_map(|(_, entity)| self.found(&entity)).collect();
        found.retain(|found| found.path.starts_with(prefix));
        found.sort_by(|one, other| one.position.cmp(&other.position));
        found.dedup_by(|one, other| one.position == other.position); // attached, and boundary as well
        let found = paged(found.into_iter(), page, |found| found.position.clone())?;
        let of = |kind: EntityKind| {
            let (name_member, id_member) = shown::name_and_id(kind);
            let of_kind = found.items.iter().filter(move |found| found.kind == kind);
            of_kind.map(move |found| Members::new().text(name_member, &found.name).text(id_member, &found.id))
        };
        let members = Members::new()
            .list("PolicyGroups", of(EntityKind::Group))
            .list("PolicyUsers", of(EntityKind::User))
            .list("PolicyRoles", of(EntityKind::Role));
        Ok(with_position(members, found.next_marker.clone()))
    }

    fn found(&self, entity: &Entity) -> Option<Found> {
        let Entity { account, kind, name } = entity;
        let identities = self.authority.state.identities();
        let (path, id) = match kind {
            EntityKind::User => identities.user(*account, name).map(|row| (&row.path, &row.id))?,
            EntityKind::Group => identities.group(*account, name).map(|row| (&row.path, &row.id))?,
            EntityKind::Role => identities.role(*account, name).map(|row| (&row.path, &row.id))?,
        };
        let position = Position(*kind as u8, name.folded());
        Some(Found { position, kind: *kind, name: name.to_string(), path: path.to_string(), id: id.to_string() })
    }

    /// `GetAccountSummary`: what there is, and the quotas.
    fn summary(&self) -> Result<Members, ServiceError> {
        self.authority.allow(&self.action, "*", &Facts::default())?;
        let (account, identities) = (self.authority.account(), self.authority.state.identities());
        let root_keys = identities.access_keys_of(account, None).count();
        let numbers = [
            ("AccessKeysPerUserQuota", quotas::ACCESS_KEYS_PER_USER),
            ("AccountAccessKeysPresent", usize::from(root_keys > 0)),
            ("AssumeRolePolicySizeQuota", quotas::TRUST_POLICY_SIZE),
            ("AttachedPoliciesPerGroupQuota", quotas::ATTACHED_POLICIES),
            ("AttachedPoliciesPerRoleQuota", quotas::ATTACHED_POLICIES),
            ("AttachedPoliciesPerUserQuota", quotas::ATTACHED_POLICIES),
            ("GroupPolicySizeQuota", quotas::INLINE_SIZE_PER_GROUP),
            ("Groups", identities.groups(account, None).count()),
            ("GroupsPerUserQuota", quotas::GROUPS_PER_USER),
            ("GroupsQuota", quotas::GROUPS_PER_ACCOUNT),
            ("Policies", identities.policies(account, None).count()),
            ("PoliciesQuota", quotas::POLICIES_PER_ACCOUNT),
            ("PolicySizeQuota", quotas::MANAGED_POLICY_SIZE),
            ("RolePolicySizeQuota", quotas::INLINE_SIZE_PER_ROLE),
            ("Roles", identities.roles(account, None).count()),
            ("RolesQuota", quotas::ROLES_PER_ACCOUNT),
            ("UserPolicySizeQuota", quotas::INLINE_SIZE_PER_USER),
            ("Users", identities.users(account, None).count()),
            ("UsersQuota", quotas::USERS_PER_ACCOUNT),
            ("VersionsPerPolicyQuota", quotas::VERSIONS_PER_POLICY),
        ];
        let numbers = numbers.into_iter().map(|(name, number)| (name.to_owned(), number as u64)).collect();
        Ok(Members::new().with("SummaryMap", Value::Numbers(numbers)))
    }

    fn allow_on(&self, entity: &Entity) -> Result<(), ServiceError> {
        self.authority.allow_on(&self.action, entity, Facts::default())
    }

    /// The ARN of a policy that the caller may look at.
    fn allowed_policy(&self, arn: &str) -> Result<PolicyArn, ServiceError> {
        let arn = policy_arn(&self.authority.state, arn)?;
        self.authority.allow_on_policy(&self.action, &arn, Facts::default())?;
        Ok(arn)
    }

    fn own_policy(&self, arn: &PolicyArn) -> Result<&ManagedPolicyRecord, ServiceError> {
        let found = self.authority.state.identities().policy_by_arn(arn);
        found.map(AsRef::as_ref).ok_or_else(|| refusals::no_such_policy(arn))
    }

    fn policies_within(&self, entity: &Entity) -> Result<&meridian_state::identities::Policies, ServiceError> {
        let policies = self.authority.state.identities().policies_within(entity);
        policies.ok_or_else(|| refusals::no_such(entity.kind, &entity.name))
    }
}

impl Authority<'_> {
    /// Whether the caller may perform `action` on a user, group or role of its account, be there one of that name or not.
    pub(super) fn allow_on(&self, action: &str, entity: &Entity, facts: Facts) -> Result<(), ServiceError> {
        let facts = match entity_tags(&self.state, entity) {
            Some(tags) => facts.with_resource_tags(tags),
            None => facts,
        };
        let facts = match boundary(&self.state, entity) {
            Some(arn) => facts.with_default("iam:permissionsboundary", arn),
            None => facts,
        };
        self.allow(action, &entity_arn(&self.state, entity), &facts)
    }

    /// Whether the caller may perform `action` on a managed policy, which nobody may but its own account and, if it is one of the
    /// provider, everybody.
    pub(super) fn allow_on_policy(&self, action: &str, arn: &PolicyArn, facts: Facts) -> Result<(), ServiceError> {
        let facts = match self.state.identities().policy_by_arn(arn) {
            Some(row) => facts.with_resource_tags(&row.tags),
            None => facts,
        };
        self.allow_of(arn.owner().unwrap_or(self.account()), action, arn.as_str(), &facts)
    }
}

/// A user, group or role that a policy is attached to.
struct Found {
    position: Position,
    kind: EntityKind,
    name: String,
    path: String,
    id: String,
}

/// Where something stands in a list of several kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position(u8, EntityName);

impl Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

impl FromStr for Position {
    type Err = meridian_model::ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once('/').unwrap_or(("", text));
        Ok(Self(kind.parse().unwrap_or(u8::MAX), name.parse()?))
    }
}

/// The number of a version: 1 of `v1`. What follows a dot has no meaning here.
pub(super) fn version_number(version: &str) -> Result<u32, ServiceError> {
    let number = version.strip_prefix('v').and_then(|number| number.parse().ok());
    number.ok_or_else(|| refusals::invalid_input(&format!("The version {version} is not valid.")))
}

/// One page of `items`, which are in the ascending order of their keys.
fn paged<T, K: FromStr + Display + PartialOrd>(
    items: impl Iterator<Item = T>,
    page: &Page,
    key: impl Fn(&T) -> K,
) -> Result<pages::Page<T>, ServiceError> {
    let after: Option<K> = pages::after(page.marker.as_deref())?;
    let rest = items.filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
    Ok(pages::page(rest, page.items_max, |item| key(item).to_string()))
}

/// With the items of a page, and where the next one starts.
fn listed<T>(members: Members, name: &'static str, page: pages::Page<T>, show: impl Fn(T) -> Members) -> Members {
    let pages::Page { items, next_marker } = page;
    with_position(members.list(name, items.into_iter().map(show)), next_marker)
}

fn with_position(members: Members, next_marker: Option<String>) -> Members {
    members.with("IsTruncated", Value::Flag(next_marker.is_some())).optional("Marker", next_marker)
}
