//! The read view of identities: rows by account and name, and what is found through indexes.
//!
//! Names are looked up as they were given: a name in another case finds nothing, although it cannot be taken either.

use std::sync::{Arc, LazyLock};

use imbl::{OrdMap, OrdSet};
use meridian_crypto::SessionKeyId;
use meridian_model::{AccessKeyId, AccountId, EntityKind, EntityName, PolicyArn, Timestamp, UniqueId};
use meridian_policy::{StoredPolicy, managed};

use super::change::Entity;
use super::records::{
    AccessKeyRecord, ClusterRegions, GroupRecord, ManagedPolicyRecord, Policies, PolicyVersionRecord, RoleRecord,
    SessionKeyRecord, UserRecord,
};
use super::session_keys::is_settled;
use super::{IdentityRow, IdentityRowId};

/// Every identity that a Region knows.
#[derive(Clone, Debug, Default)]
pub struct IdentityTable {
    regions: Option<Arc<ClusterRegions>>,
    users: OrdMap<UniqueId, Arc<UserRecord>>,
    groups: OrdMap<UniqueId, Arc<GroupRecord>>,
    roles: OrdMap<UniqueId, Arc<RoleRecord>>,
    policies: OrdMap<UniqueId, Arc<ManagedPolicyRecord>>,
    versions: OrdMap<(UniqueId, u32), Arc<PolicyVersionRecord>>,
    access_keys: OrdMap<AccessKeyId, Arc<AccessKeyRecord>>,
    session_keys: OrdMap<SessionKeyId, Arc<SessionKeyRecord>>,
    // Indexes, derived from the tables above. Names in them are in lower case. Everything is told apart by its id, so that it does
    // not matter in which order rows of one name come and go.
    by_name: OrdSet<(AccountId, Kind, EntityName, UniqueId)>,
    members: OrdSet<(UniqueId, EntityName, UniqueId)>,
    keys_of_owners: OrdSet<(AccountId, Option<UniqueId>, AccessKeyId)>,
    uses_of_policies: OrdSet<(PolicyArn, PolicyUse, UniqueId)>,
    counts: OrdMap<(AccountId, Kind), usize>,
    changes: u64,
}

/// How an entity uses a managed policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyUse {
    /// It is attached.
    Attached,
    /// It is the permissions boundary.
    Boundary,
}

/// What has a name in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    User,
    Group,
    Role,
    Policy,
}

/// The identity policies that count for a principal, and its boundary.
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
    /// The policy; `None` for one that has not arrived here yet.
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

    /// How many rows have come and gone since the table was made: another number means that something has changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// A user.
    #[must_use]
    pub fn user(&self, account: AccountId, name: &EntityName) -> Option<&Arc<UserRecord>> {
        self.of_name(account, Kind::User, name).filter_map(|id| self.users.get(id)).find(|row| row.name == *name)
    }

    /// A user, by its unique id.
    #[must_use]
    pub fn user_by_id(&self, id: &str) -> Option<&Arc<UserRecord>> {
        self.users.get(id)
    }

    /// A group.
    #[must_use]
    pub fn group(&self, account: AccountId, name: &EntityName) -> Option<&Arc<GroupRecord>> {
        self.of_name(account, Kind::Group, name).filter_map(|id| self.groups.get(id)).find(|row| row.name == *name)
    }

    /// A role.
    #[must_use]
    pub fn role(&self, account: AccountId, name: &EntityName) -> Option<&Arc<RoleRecord>> {
        self.of_name(account, Kind::Role, name).filter_map(|id| self.roles.get(id)).find(|row| row.name == *name)
    }

    /// A role, by its unique id.
    #[must_use]
    pub fn role_by_id(&self, id: &str) -> Option<&Arc<RoleRecord>> {
        self.roles.get(id)
    }

    /// A managed policy of an account.
    #[must_use]
    pub fn policy(&self, account: AccountId, name: &EntityName) -> Option<&Arc<ManagedPolicyRecord>> {
        self.of_name(account, Kind::Policy, name).filter_map(|id| self.policies.get(id)).find(|row| row.name == *name)
    }

    /// One id; two while another Region has told of a new row of a name before the old one's new name.
    fn of_name(&self, account: AccountId, kind: Kind, name: &EntityName) -> impl Iterator<Item = &UniqueId> + use<'_> {
        let start = (account, kind, name.folded(), LOWEST_ID.clone());
        let same = start.clone();
        self.by_name
            .range(start..)
            .take_while(move |(owner, of, name, _)| (owner, of, name) == (&same.0, &same.1, &same.2))
            .map(|(_, _, _, id)| id)
    }

    /// The managed policy of an account with this ARN, path included; `None` for those of the provider.
    #[must_use]
    pub fn policy_by_arn(&self, arn: &PolicyArn) -> Option<&Arc<ManagedPolicyRecord>> {
        let row = self.policy(arn.owner()?, &arn.name())?;
        (arn.path() == row.path.as_str()).then_some(row)
    }

    /// One version of a managed policy.
    #[must_use]
    pub fn policy_version(&self, policy: &ManagedPolicyRecord, version: u32) -> Option<&Arc<PolicyVersionRecord>> {
        self.versions.get(&(policy.id.clone(), version))
    }

    /// The versions of a managed policy, oldest first.
    pub fn policy_versions(
        &self,
        policy: &ManagedPolicyRecord,
    ) -> impl Iterator<Item = &Arc<PolicyVersionRecord>> + use<'_> {
        let id = policy.id.clone();
        self.versions.range((id.clone(), 0)..).take_while(move |((owner, _), _)| *owner == id).map(|(_, row)| row)
    }

    /// The users of `account` whose names come after `after`, in the order of their names in lower case.
    pub fn users(&self, account: AccountId, after: Option<&EntityName>) -> impl Iterator<Item = &Arc<UserRecord>> + '_ {
        self.named(Kind::User, account, after).filter_map(|id| self.users.get(id))
    }

    /// The groups of `account`, as [`IdentityTable::users`].
    pub fn groups(
        &self,
        account: AccountId,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<GroupRecord>> + '_ {
        self.named(Kind::Group, account, after).filter_map(|id| self.groups.get(id))
    }

    /// The roles of `account`, as [`IdentityTable::users`].
    pub fn roles(&self, account: AccountId, after: Option<&EntityName>) -> impl Iterator<Item = &Arc<RoleRecord>> + '_ {
        self.named(Kind::Role, account, after).filter_map(|id| self.roles.get(id))
    }

    /// The managed policies of `account`, as [`IdentityTable::users`].
    pub fn policies(
        &self,
        account: AccountId,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<ManagedPolicyRecord>> + '_ {
        self.named(Kind::Policy, account, after).filter_map(|id| self.policies.get(id))
    }

    /// The ids of what has a name, in the order of the names.
    fn named(
        &self,
        kind: Kind,
        account: AccountId,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &UniqueId> + use<'_> {
        let after = after.map(EntityName::folded);
        let start = (account, kind, after.clone().unwrap_or_else(EntityName::lowest), LOWEST_ID.clone());
        self.by_name
            .range(start..)
            .take_while(move |(owner, of, _, _)| *owner == account && *of == kind)
            .filter(move |(_, _, name, _)| after.as_ref() != Some(name))
            .map(|(_, _, _, id)| id)
    }

    /// The users in a group whose names come after `after`, in the order of their names in lower case.
    pub fn users_in(
        &self,
        group: &GroupRecord,
        after: Option<&EntityName>,
    ) -> impl Iterator<Item = &Arc<UserRecord>> + use<'_> {
        let id = group.id.clone();
        let after = after.map(EntityName::folded);
        let start = (id.clone(), after.clone().unwrap_or_else(EntityName::lowest), LOWEST_ID.clone());
        self.members
            .range(start..)
            .take_while(move |(group, _, _)| *group == id)
            .filter(move |(_, name, _)| after.as_ref() != Some(name))
            .filter_map(|(_, _, user)| self.users.get(user))
    }

    /// The groups that a user is in, in the order of their ids.
    pub fn groups_of<'a>(&'a self, user: &'a UserRecord) -> impl Iterator<Item = &'a Arc<GroupRecord>> + 'a {
        user.groups.iter().filter_map(|id| self.groups.get(id))
    }

    /// An access key, whoever it belongs to.
    #[must_use]
    pub fn access_key(&self, id: &str) -> Option<&Arc<AccessKeyRecord>> {
        self.access_keys.get(id)
    }

    /// The access keys of the user with a unique id, or of the root user of `account` for `None`; at most two, in the order of their ids.
    pub fn access_keys_of(
        &self,
        account: AccountId,
        user: Option<&UniqueId>,
    ) -> impl Iterator<Item = &Arc<AccessKeyRecord>> + use<'_> {
        let user = user.cloned();
        self.keys_of_owners
            .range((account, user.clone(), AccessKeyId::lowest())..)
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
    pub fn by_unique_id(&self, id: &str) -> Option<Entity> {
        let entity = |kind, account, name: &EntityName| Entity { account, kind, name: name.clone() };
        let user = self.users.get(id).map(|row| entity(EntityKind::User, row.account, &row.name));
        let group = || self.groups.get(id).map(|row| entity(EntityKind::Group, row.account, &row.name));
        let role = || self.roles.get(id).map(|row| entity(EntityKind::Role, row.account, &row.name));
        user.or_else(group).or_else(role)
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
    pub fn users_of_policy(&self, arn: &PolicyArn) -> impl Iterator<Item = (PolicyUse, Entity)> + use<'_> {
        let arn = arn.clone();
        let start = (arn.clone(), PolicyUse::Attached, LOWEST_ID.clone());
        self.uses_of_policies
            .range(start..)
            .take_while(move |(used, _, _)| *used == arn)
            .filter_map(|(_, policy_use, id)| Some((*policy_use, self.by_unique_id(id.as_str())?)))
    }

    /// The policies that count for a user: its own and those of its groups.
    #[must_use]
    pub fn policies_of_user<'a>(&'a self, user: &'a UserRecord) -> PrincipalPolicies<'a> {
        let own = self.attached(EntityKind::User, &user.name, &user.policies);
        let groups =
            self.groups_of(user).flat_map(|group| self.attached(EntityKind::Group, &group.name, &group.policies));
        PrincipalPolicies { identity: own.chain(groups).collect(), boundary: self.boundary(user.boundary.as_ref()) }
    }

    /// The policies that count for a role.
    #[must_use]
    pub fn policies_of_role<'a>(&'a self, role: &'a RoleRecord) -> PrincipalPolicies<'a> {
        let identity = self.attached(EntityKind::Role, &role.name, &role.policies).collect();
        PrincipalPolicies { identity, boundary: self.boundary(role.boundary.as_ref()) }
    }

    /// A managed policy, in the version that counts now.
    #[must_use]
    pub fn managed<'a>(&'a self, arn: &'a PolicyArn) -> AttachedPolicy<'a> {
        let document = if arn.owner().is_none() {
            managed::document_of(arn.name().as_str())
        } else {
            let row = self.policy_by_arn(arn);
            row.and_then(|row| self.policy_version(row, row.default_version)).map(|version| &version.document)
        };
        AttachedPolicy { origin: PolicyOrigin::Managed(arn), document }
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

/// The first of all unique ids in their order.
static LOWEST_ID: LazyLock<UniqueId> = LazyLock::new(|| "0000000000000000".parse().expect("sixteen digits"));

impl IdentityTable {
    /// Whether an entity of the kind has the name, in whatever case.
    pub(super) fn is_taken(&self, kind: Kind, account: AccountId, name: &EntityName) -> bool {
        self.of_name(account, kind, name).next().is_some()
    }

    /// Whether anything has the unique id, now.
    pub(super) fn is_id_taken(&self, id: &UniqueId) -> bool {
        self.by_unique_id(id.as_str()).is_some() || self.policies.contains_key(id)
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
            IdentityRow::User(row) => drop(self.users.insert(row.id.clone(), row)),
            IdentityRow::Group(row) => drop(self.groups.insert(row.id.clone(), row)),
            IdentityRow::Role(row) => drop(self.roles.insert(row.id.clone(), row)),
            IdentityRow::Policy(row) => drop(self.policies.insert(row.id.clone(), row)),
            IdentityRow::PolicyVersion(row) => drop(self.versions.insert((row.policy.clone(), row.version), row)),
            IdentityRow::AccessKey(row) => drop(self.access_keys.insert(row.id.clone(), row)),
            IdentityRow::SessionKey(row) => drop(self.session_keys.insert(row.id, row)),
        }
    }

    pub(crate) fn delete(&mut self, id: &IdentityRowId) {
        let former = match id {
            IdentityRowId::Regions => self.regions.take().map(IdentityRow::Regions),
            IdentityRowId::User(id) => self.users.remove(id).map(IdentityRow::User),
            IdentityRowId::Group(id) => self.groups.remove(id).map(IdentityRow::Group),
            IdentityRowId::Role(id) => self.roles.remove(id).map(IdentityRow::Role),
            IdentityRowId::Policy(id) => self.policies.remove(id).map(IdentityRow::Policy),
            IdentityRowId::PolicyVersion(id, version) => {
                self.versions.remove(&(id.clone(), *version)).map(IdentityRow::PolicyVersion)
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
        self.changes += 1;
        match row {
            IdentityRow::User(row) => {
                self.index_name(Kind::User, row.account, &row.name, &row.id, comes);
                self.index_policies(&row.id, &row.policies, row.boundary.as_ref(), comes);
                for group in &row.groups {
                    toggle(&mut self.members, (group.clone(), row.name.folded(), row.id.clone()), comes);
                }
            }
            IdentityRow::Group(row) => {
                self.index_name(Kind::Group, row.account, &row.name, &row.id, comes);
                self.index_policies(&row.id, &row.policies, None, comes);
            }
            IdentityRow::Role(row) => {
                self.index_name(Kind::Role, row.account, &row.name, &row.id, comes);
                self.index_policies(&row.id, &row.policies, row.boundary.as_ref(), comes);
            }
            IdentityRow::Policy(row) => self.index_name(Kind::Policy, row.account, &row.name, &row.id, comes),
            IdentityRow::AccessKey(row) => {
                toggle(&mut self.keys_of_owners, (row.account, row.user.clone(), row.id.clone()), comes);
            }
            IdentityRow::Regions(_) | IdentityRow::PolicyVersion(_) | IdentityRow::SessionKey(_) => {}
        }
    }

    fn index_name(&mut self, kind: Kind, account: AccountId, name: &EntityName, id: &UniqueId, comes: bool) {
        toggle(&mut self.by_name, (account, kind, name.folded(), id.clone()), comes);
        let count = self.count(account, kind);
        match if comes { count + 1 } else { count.saturating_sub(1) } {
            0 => drop(self.counts.remove(&(account, kind))),
            count => drop(self.counts.insert((account, kind), count)),
        }
    }

    fn index_policies(&mut self, id: &UniqueId, policies: &Policies, boundary: Option<&PolicyArn>, comes: bool) {
        let attached = policies.attached.iter().map(|arn| (arn, PolicyUse::Attached));
        for (arn, policy_use) in attached.chain(boundary.map(|arn| (arn, PolicyUse::Boundary))) {
            toggle(&mut self.uses_of_policies, (arn.clone(), policy_use, id.clone()), comes);
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
