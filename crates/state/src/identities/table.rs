//! The read view of identities: rows by account and name, and what is found through indexes.
//!
//! Names are looked up as they were given: a name in another case finds nothing, although it cannot be taken either.

use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use meridian_crypto::SessionKeyId;
use meridian_model::{AccessKeyId, AccountId, EntityKind, EntityName, PolicyArn, Timestamp, UniqueId};
use meridian_policy::StoredPolicy;

use super::change::Entity;
use super::records::{
    AccessKeyRecord, ClusterRegions, GroupRecord, ManagedPolicyRecord, Policies, PolicyVersionRecord, RoleRecord,
    SessionKeyRecord, UserRecord,
};
use super::session_keys::is_settled;
use super::{IdentityRow, IdentityRowId};

/// An account and a name in lower case.
type Named = (AccountId, EntityName);

/// Every identity that a Region knows.
#[derive(Clone, Debug, Default)]
pub struct IdentityTable {
    regions: Option<Arc<ClusterRegions>>,
    users: OrdMap<Named, Arc<UserRecord>>,
    groups: OrdMap<Named, Arc<GroupRecord>>,
    roles: OrdMap<Named, Arc<RoleRecord>>,
    policies: OrdMap<Named, Arc<ManagedPolicyRecord>>,
    versions: OrdMap<(AccountId, EntityName, u32), Arc<PolicyVersionRecord>>,
    access_keys: OrdMap<AccessKeyId, Arc<AccessKeyRecord>>,
    session_keys: OrdMap<SessionKeyId, Arc<SessionKeyRecord>>,
    // Indexes, derived from the tables above.
    members: OrdSet<(AccountId, EntityName, EntityName)>,
    keys_of_owners: OrdSet<(AccountId, Option<EntityName>, AccessKeyId)>,
    uses_of_policies: OrdSet<(PolicyArn, PolicyUse, Entity)>,
    by_unique_id: OrdMap<UniqueId, Entity>,
    counts: OrdMap<(AccountId, Kind), usize>,
}

/// How an entity uses a managed policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyUse {
    /// It is attached.
    Attached,
    /// It is the permissions boundary.
    Boundary,
}

/// What is counted for the quotas of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    User,
    Group,
    Role,
    Policy,
}

/// The identity policies that count for a principal, and its boundary. A managed policy that is not known here, or whose default
/// version is not, stands for one that denies everything: see [`AttachedPolicy`].
#[derive(Clone, Debug, Default)]
pub struct PrincipalPolicies<'a> {
    /// Inline and attached ones of the principal and of its groups.
    pub identity: Vec<AttachedPolicy<'a>>,
    /// The permissions boundary.
    pub boundary: Option<AttachedPolicy<'a>>,
}

/// A policy that counts, and where it comes from.
#[derive(Clone, Debug)]
pub struct AttachedPolicy<'a> {
    /// Where the policy stands.
    pub origin: PolicyOrigin<'a>,
    /// The policy; `None` for one of the provider, which the policy engine knows, and for one that has not arrived here yet.
    pub document: Option<&'a StoredPolicy>,
}

/// Where a policy stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOrigin<'a> {
    /// Inline, in a user, group or role.
    Inline(EntityKind, &'a EntityName, &'a EntityName),
    /// A managed policy.
    Managed(&'a PolicyArn),
}

impl IdentityTable {
    /// The Regions of the cluster; `None` until the leader has said so.
    #[must_use]
    pub fn regions(&self) -> Option<&Arc<ClusterRegions>> {
        self.regions.as_ref()
    }

    /// A user.
    #[must_use]
    pub fn user(&self, account: AccountId, name: &EntityName) -> Option<&Arc<UserRecord>> {
        self.users.get(&(account, name.folded())).filter(|row| row.name == *name)
    }

    /// A group.
    #[must_use]
    pub fn group(&self, account: AccountId, name: &EntityName) -> Option<&Arc<GroupRecord>> {
        self.groups.get(&(account, name.folded())).filter(|row| row.name == *name)
    }

    /// A role.
    #[must_use]
    pub fn role(&self, account: AccountId, name: &EntityName) -> Option<&Arc<RoleRecord>> {
        self.roles.get(&(account, name.folded())).filter(|row| row.name == *name)
    }

    /// A managed policy of an account.
    #[must_use]
    pub fn policy(&self, account: AccountId, name: &EntityName) -> Option<&Arc<ManagedPolicyRecord>> {
        self.policies.get(&(account, name.folded())).filter(|row| row.name == *name)
    }

    /// The managed policy of an account with this ARN, path included; `None` for those of the provider.
    #[must_use]
    pub fn policy_by_arn(&self, arn: &PolicyArn) -> Option<&Arc<ManagedPolicyRecord>> {
        let row = self.policy(arn.owner()?, &arn.name())?;
        (arn.path() == row.path.as_str()).then_some(row)
    }

    /// One version of a managed policy.
    #[must_use]
    pub fn policy_version(
        &self,
        account: AccountId,
        policy: &EntityName,
        version: u32,
    ) -> Option<&Arc<PolicyVersionRecord>> {
        self.versions.get(&(account, policy.folded(), version)).filter(|row| row.policy == *policy)
    }

    /// The versions of a managed policy, oldest first.
    pub fn policy_versions(
        &self,
        account: AccountId,
        policy: &EntityName,
    ) -> impl Iterator<Item = &Arc<PolicyVersionRecord>> + '_ {
        let folded = policy.folded();
        self.versions
            .range((account, folded.clone(), 0)..)
            .take_while(move |((owner, name, _), _)| *owner == account && *name == folded)
            .map(|(_, row)| row)
    }

    /// The users of `account` whose names come after `after`, in the order of their names in lower case.
    pub fn users(
        &self,
        account: AccountId,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<UserRecord>> + '_ {
        of_account(&self.users, account, after)
    }

    /// The groups of `account`, as [`IdentityTable::users`].
    pub fn groups(
        &self,
        account: AccountId,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<GroupRecord>> + '_ {
        of_account(&self.groups, account, after)
    }

    /// The roles of `account`, as [`IdentityTable::users`].
    pub fn roles(
        &self,
        account: AccountId,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<RoleRecord>> + '_ {
        of_account(&self.roles, account, after)
    }

    /// The managed policies of `account`, as [`IdentityTable::users`].
    pub fn policies(
        &self,
        account: AccountId,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<ManagedPolicyRecord>> + '_ {
        of_account(&self.policies, account, after)
    }

    /// The users in a group after the user `after`, in the order of their names.
    pub fn users_in(
        &self,
        account: AccountId,
        group: &EntityName,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<UserRecord>> + '_ {
        let group = group.clone();
        let start = match after {
            Some(after) => Bound::Excluded((account, group.clone(), after.folded())),
            None => Bound::Included((account, group.clone(), EntityName::lowest())),
        };
        self.members
            .range((start, Bound::Unbounded))
            .take_while(move |(owner, name, _)| *owner == account && *name == group)
            .filter_map(move |(_, _, user)| self.users.get(&(account, user.clone())))
    }

    /// The groups that a user is in, in the order of their names.
    pub fn groups_of<'a>(&'a self, user: &'a UserRecord) -> impl Iterator<Item = &'a Arc<GroupRecord>> + 'a {
        user.groups.iter().filter_map(|name| self.group(user.account, name))
    }

    /// An access key, whoever it belongs to.
    #[must_use]
    pub fn access_key(&self, id: &str) -> Option<&Arc<AccessKeyRecord>> {
        self.access_keys.get(id)
    }

    /// The access keys of a user, or of the root user of `account` for `None`; at most two, in the order of their ids.
    pub fn access_keys_of(
        &self,
        account: AccountId,
        user: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<AccessKeyRecord>> + '_ {
        let user = user.cloned();
        self.keys_of_owners
            .range((Bound::Included((account, user.clone(), AccessKeyId::lowest())), Bound::Unbounded))
            .take_while(move |(owner, name, _)| *owner == account && *name == user)
            .filter_map(|(_, _, id)| self.access_keys.get(id))
    }

    /// A key that seals session tokens.
    #[must_use]
    pub fn session_key(&self, id: SessionKeyId) -> Option<&Arc<SessionKeyRecord>> {
        self.session_keys.get(&id)
    }

    /// Every key that seals session tokens, in the order of their ids.
    pub fn session_keys(&self) -> impl Iterator<Item = &Arc<SessionKeyRecord>> + '_ {
        self.session_keys.values()
    }

    /// The key that seals new session tokens: the newest one that every Region has had the time to hear of, or else the oldest.
    #[must_use]
    pub fn sealing_session_key(&self, now: Timestamp) -> Option<&Arc<SessionKeyRecord>> {
        let age = |key: &&Arc<SessionKeyRecord>| (key.created_at, key.id);
        let settled = self.session_keys.values().filter(|key| is_settled(key, now)).max_by_key(age);
        settled.or_else(|| self.session_keys.values().min_by_key(age))
    }

    /// The user, group or role with a unique id.
    #[must_use]
    pub fn by_unique_id(&self, id: &str) -> Option<&Entity> {
        self.by_unique_id.get(id)
    }

    /// Whether there is a user, group or role.
    #[must_use]
    pub fn exists(&self, entity: &Entity) -> bool {
        self.policies_within(entity).is_some()
    }

    /// The policies of a user, group or role itself.
    #[must_use]
    pub fn policies_within(&self, Entity { account, kind, name }: &Entity) -> Option<&Policies> {
        match kind {
            EntityKind::User => self.user(*account, name).map(|row| &row.policies),
            EntityKind::Group => self.group(*account, name).map(|row| &row.policies),
            EntityKind::Role => self.role(*account, name).map(|row| &row.policies),
        }
    }

    /// Who uses a managed policy, as attached one or as boundary.
    pub fn users_of_policy(&self, arn: &PolicyArn) -> impl Iterator<Item = (PolicyUse, &Entity)> + '_ {
        let arn = arn.clone();
        let start = (arn.clone(), PolicyUse::Attached, Entity::lowest());
        self.uses_of_policies
            .range(start..)
            .take_while(move |(used, _, _)| *used == arn)
            .map(|(_, policy_use, entity)| (*policy_use, entity))
    }

    /// The policies that count for a user: its own and those of its groups.
    #[must_use]
    pub fn policies_of_user<'a>(&'a self, user: &'a UserRecord) -> PrincipalPolicies<'a> {
        let own = self.attached(EntityKind::User, &user.name, &user.policies);
        let groups = self.groups_of(user).flat_map(|group| self.attached(EntityKind::Group, &group.name, &group.policies));
        PrincipalPolicies { identity: own.chain(groups).collect(), boundary: self.boundary(user.boundary.as_ref()) }
    }

    /// The policies that count for a role.
    #[must_use]
    pub fn policies_of_role<'a>(&'a self, role: &'a RoleRecord) -> PrincipalPolicies<'a> {
        let identity = self.attached(EntityKind::Role, &role.name, &role.policies).collect();
        PrincipalPolicies { identity, boundary: self.boundary(role.boundary.as_ref()) }
    }

    /// A managed policy in the version that counts now.
    #[must_use]
    pub fn managed<'a>(&'a self, arn: &'a PolicyArn) -> AttachedPolicy<'a> {
        let current = self.policy_by_arn(arn).and_then(|row| self.policy_version(row.account, &row.name, row.default_version));
        AttachedPolicy { origin: PolicyOrigin::Managed(arn), document: current.map(|version| &version.document) }
    }

    fn boundary<'a>(&'a self, arn: Option<&'a PolicyArn>) -> Option<AttachedPolicy<'a>> {
        arn.map(|arn| self.managed(arn))
    }

    fn attached<'a>(
        &'a self,
        kind: EntityKind,
        name: &'a EntityName,
        policies: &'a Policies,
    ) -> impl Iterator<Item = AttachedPolicy<'a>> + 'a {
        let inline = policies.inline.iter().map(move |(policy, document)| AttachedPolicy {
            origin: PolicyOrigin::Inline(kind, name, policy),
            document: Some(document),
        });
        inline.chain(policies.attached.iter().map(|arn| self.managed(arn)))
    }
}

fn of_account<'a, T>(
    table: &'a OrdMap<Named, Arc<T>>,
    account: AccountId,
    after: Option<&EntityName>,
) -> impl Iterator<Item = &'a Arc<T>> + 'a {
    let start = match after {
        Some(after) => Bound::Excluded((account, after.folded())),
        None => Bound::Included((account, EntityName::lowest())),
    };
    table.range((start, Bound::Unbounded)).take_while(move |((owner, _), _)| *owner == account).map(|(_, row)| row)
}

impl IdentityTable {
    /// Whether an entity of the kind has the name, in whatever case.
    pub(super) fn is_taken(&self, kind: Kind, account: AccountId, name: &EntityName) -> bool {
        let named = (account, name.folded());
        match kind {
            Kind::User => self.users.contains_key(&named),
            Kind::Group => self.groups.contains_key(&named),
            Kind::Role => self.roles.contains_key(&named),
            Kind::Policy => self.policies.contains_key(&named),
        }
    }

    /// How many there are of a kind in an account.
    pub(super) fn count(&self, account: AccountId, kind: Kind) -> usize {
        self.counts.get(&(account, kind)).copied().unwrap_or_default()
    }

    /// Every row that all Regions have, in the order of their ids.
    pub(super) fn shared_rows(&self) -> impl Iterator<Item = IdentityRow> + '_ {
        let users = self.users.values().cloned().map(IdentityRow::User);
        users
            .chain(self.groups.values().cloned().map(IdentityRow::Group))
            .chain(self.roles.values().cloned().map(IdentityRow::Role))
            .chain(self.policies.values().cloned().map(IdentityRow::Policy))
            .chain(self.versions.values().cloned().map(IdentityRow::PolicyVersion))
            .chain(self.access_keys.values().cloned().map(IdentityRow::AccessKey))
            .chain(self.session_keys.values().cloned().map(IdentityRow::SessionKey))
    }

    /// Every row, in the order of their ids.
    pub(crate) fn rows(&self) -> impl Iterator<Item = IdentityRow> + '_ {
        self.regions.iter().cloned().map(IdentityRow::Regions).chain(self.shared_rows())
    }

    pub(crate) fn put(&mut self, row: IdentityRow) {
        self.delete(&row.id());
        self.index(&row, true);
        match row {
            IdentityRow::Regions(row) => self.regions = Some(row),
            IdentityRow::User(row) => drop(self.users.insert((row.account, row.name.folded()), row)),
            IdentityRow::Group(row) => drop(self.groups.insert((row.account, row.name.folded()), row)),
            IdentityRow::Role(row) => drop(self.roles.insert((row.account, row.name.folded()), row)),
            IdentityRow::Policy(row) => drop(self.policies.insert((row.account, row.name.folded()), row)),
            IdentityRow::PolicyVersion(row) => {
                drop(self.versions.insert((row.account, row.policy.folded(), row.version), row));
            }
            IdentityRow::AccessKey(row) => drop(self.access_keys.insert(row.id.clone(), row)),
            IdentityRow::SessionKey(row) => drop(self.session_keys.insert(row.id, row)),
        }
    }

    pub(crate) fn delete(&mut self, id: &IdentityRowId) {
        let named = |account: &AccountId, name: &EntityName| (*account, name.clone());
        let former = match id {
            IdentityRowId::Regions => self.regions.take().map(IdentityRow::Regions),
            IdentityRowId::User(account, name) => self.users.remove(&named(account, name)).map(IdentityRow::User),
            IdentityRowId::Group(account, name) => self.groups.remove(&named(account, name)).map(IdentityRow::Group),
            IdentityRowId::Role(account, name) => self.roles.remove(&named(account, name)).map(IdentityRow::Role),
            IdentityRowId::Policy(account, name) => self.policies.remove(&named(account, name)).map(IdentityRow::Policy),
            IdentityRowId::PolicyVersion(account, name, version) => {
                self.versions.remove(&(*account, name.clone(), *version)).map(IdentityRow::PolicyVersion)
            }
            IdentityRowId::AccessKey(id) => self.access_keys.remove(id).map(IdentityRow::AccessKey),
            IdentityRowId::SessionKey(id) => self.session_keys.remove(id).map(IdentityRow::SessionKey),
        };
        if let Some(row) = former {
            self.index(&row, false);
        }
    }

    /// Brings the indexes in line with a row that comes, or goes.
    fn index(&mut self, row: &IdentityRow, comes: bool) {
        match row {
            IdentityRow::User(row) => {
                self.index_entity(EntityKind::User, row.account, &row.name, &row.id, comes);
                self.index_policies(EntityKind::User, row.account, &row.name, &row.policies, row.boundary.as_ref(), comes);
                for group in &row.groups {
                    toggle(&mut self.members, (row.account, group.clone(), row.name.folded()), comes);
                }
            }
            IdentityRow::Group(row) => {
                self.index_entity(EntityKind::Group, row.account, &row.name, &row.id, comes);
                self.index_policies(EntityKind::Group, row.account, &row.name, &row.policies, None, comes);
            }
            IdentityRow::Role(row) => {
                self.index_entity(EntityKind::Role, row.account, &row.name, &row.id, comes);
                self.index_policies(EntityKind::Role, row.account, &row.name, &row.policies, row.boundary.as_ref(), comes);
            }
            IdentityRow::Policy(row) => self.add_to_count(row.account, Kind::Policy, comes),
            IdentityRow::AccessKey(row) => {
                toggle(&mut self.keys_of_owners, (row.account, row.user.clone(), row.id.clone()), comes);
            }
            IdentityRow::Regions(_) | IdentityRow::PolicyVersion(_) | IdentityRow::SessionKey(_) => {}
        }
    }

    fn index_entity(&mut self, kind: EntityKind, account: AccountId, name: &EntityName, id: &UniqueId, comes: bool) {
        let counted = match kind {
            EntityKind::User => Kind::User,
            EntityKind::Group => Kind::Group,
            EntityKind::Role => Kind::Role,
        };
        self.add_to_count(account, counted, comes);
        if comes {
            self.by_unique_id.insert(id.clone(), Entity { account, kind, name: name.clone() });
        } else {
            self.by_unique_id.remove(id);
        }
    }

    fn index_policies(
        &mut self,
        kind: EntityKind,
        account: AccountId,
        name: &EntityName,
        policies: &Policies,
        boundary: Option<&PolicyArn>,
        comes: bool,
    ) {
        let attached = policies.attached.iter().map(|arn| (arn, PolicyUse::Attached));
        for (arn, policy_use) in attached.chain(boundary.map(|arn| (arn, PolicyUse::Boundary))) {
            let entity = Entity { account, kind, name: name.clone() };
            toggle(&mut self.uses_of_policies, (arn.clone(), policy_use, entity), comes);
        }
    }

    fn add_to_count(&mut self, account: AccountId, kind: Kind, comes: bool) {
        let count = self.count(account, kind);
        match if comes { count + 1 } else { count.saturating_sub(1) } {
            0 => drop(self.counts.remove(&(account, kind))),
            count => drop(self.counts.insert((account, kind), count)),
        }
    }
}

fn toggle<T: Ord + Clone>(set: &mut OrdSet<T>, item: T, comes: bool) {
    if comes {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}
