//! The state of a Region: persistent maps, so that a clone costs nothing and readers never lock.
//!
//! Tables hold the rows; indexes are derived from them and rebuilt whenever rows are loaded.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use meridian_crypto::{DomainKeyId, WrappedDomainKey};
use meridian_model::{AccountId, AliasName, KeyArn, KeyId, KeyMaterialId, Partition, Region, Timestamp};
use meridian_policy::StoredPolicy;

use crate::command::DecodeError;
use crate::grants::GrantTable;
use crate::identities::IdentityTable;
use crate::rows::{
    AliasRecord, Change, KeyRecord, LinkCursor, MaterialRecord, Meta, OutboxRow, PolicyRecord, RotationRecord, Row,
    RowId, TagsRecord, VersionRecord,
};
use crate::schedule::{Due, due_of};
use crate::usage::UsageTable;

/// Everything that the Raft group of a Region has agreed on.
#[derive(Clone, Debug)]
pub struct RegionState {
    region: Region,
    partition: Partition,
    clock: Timestamp,
    keys: OrdMap<KeyId, Arc<KeyRecord>>,
    materials: OrdMap<(KeyId, KeyMaterialId), Arc<MaterialRecord>>,
    aliases: OrdMap<(AccountId, AliasName), Arc<AliasRecord>>,
    tags: OrdMap<KeyId, Arc<TagsRecord>>,
    policies: OrdMap<KeyId, Arc<PolicyRecord>>,
    domain_keys: OrdMap<DomainKeyId, Arc<WrappedDomainKey>>,
    outbox: OrdMap<(Region, u64), Arc<OutboxRow>>,
    cursors: OrdMap<Region, LinkCursor>,
    versions: OrdMap<(KeyId, KeyMaterialId), Arc<VersionRecord>>,
    rotations: OrdMap<KeyId, Arc<RotationRecord>>,
    grants: GrantTable,
    usage: UsageTable,
    identities: IdentityTable,
    // Indexes, derived from the tables above.
    keys_by_account: OrdSet<(AccountId, KeyId)>,
    key_counts: OrdMap<AccountId, usize>,
    aliases_by_key: OrdMap<(KeyId, AliasName), AccountId>,
    schedule: OrdSet<(Timestamp, Due)>,
    newest_domain_key: Option<Arc<WrappedDomainKey>>,
}

impl RegionState {
    /// The state of a Region in which nothing has happened yet.
    #[must_use]
    pub fn new(region: Region, partition: Partition) -> Self {
        Self {
            region,
            partition,
            clock: Timestamp::default(),
            keys: OrdMap::new(),
            materials: OrdMap::new(),
            aliases: OrdMap::new(),
            tags: OrdMap::new(),
            policies: OrdMap::new(),
            domain_keys: OrdMap::new(),
            outbox: OrdMap::new(),
            cursors: OrdMap::new(),
            versions: OrdMap::new(),
            rotations: OrdMap::new(),
            grants: GrantTable::default(),
            usage: UsageTable::default(),
            identities: IdentityTable::default(),
            keys_by_account: OrdSet::new(),
            key_counts: OrdMap::new(),
            aliases_by_key: OrdMap::new(),
            schedule: OrdSet::new(),
            newest_domain_key: None,
        }
    }

    /// The state that consists of `rows`, each an id and a value as [`RegionState::rows`] gives them.
    ///
    /// # Errors
    /// If a row is damaged or of a version that this build does not know.
    pub fn from_rows<I, B>(region: Region, partition: Partition, rows: I) -> Result<Self, DecodeError>
    where
        I: IntoIterator<Item = (B, B)>,
        B: AsRef<[u8]>,
    {
        let mut state = Self::new(region, partition);
        for (id, value) in rows {
            state.commit(Change::Put(Row::decode(id.as_ref(), value.as_ref())?));
        }
        Ok(state)
    }

    /// Every row, ordered by table and id: what a snapshot consists of.
    pub fn rows(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
        let meta = std::iter::once(Row::Meta(Meta { clock: self.clock }));
        meta.chain(self.keys.values().cloned().map(Row::Key))
            .chain(self.materials.values().cloned().map(Row::Material))
            .chain(self.aliases.values().cloned().map(Row::Alias))
            .chain(self.tags.values().cloned().map(Row::Tags))
            .chain(self.policies.values().cloned().map(Row::Policy))
            .chain(self.domain_keys.values().cloned().map(Row::DomainKey))
            .chain(self.outbox.values().cloned().map(Row::Outbox))
            .chain(self.cursors.iter().map(|(region, cursor)| Row::Cursor(region.clone(), cursor.clone())))
            .chain(self.versions.values().cloned().map(Row::Version))
            .chain(self.rotations.values().cloned().map(Row::Rotation))
            .chain(self.grants.rows().cloned().map(Row::Grant))
            .chain(self.usage.rows())
            .chain(self.identities.rows().map(Row::Identity))
            .map(|row| (row.id().encode(), row.encode()))
    }

    /// The Region.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The partition of the Region.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The latest time that any command carried.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// A key.
    #[must_use]
    pub fn key(&self, key_id: KeyId) -> Option<&Arc<KeyRecord>> {
        self.keys.get(&key_id)
    }

    /// The ARN of a key of this Region.
    #[must_use]
    pub fn key_arn(&self, key: &KeyRecord) -> KeyArn {
        KeyArn { partition: self.partition, region: self.region.clone(), account: key.account, key_id: key.key_id }
    }

    /// How many keys `account` has here, in any state.
    #[must_use]
    pub fn key_count(&self, account: AccountId) -> usize {
        self.key_counts.get(&account).copied().unwrap_or_default()
    }

    /// The keys of `account` after `after`, in the order of their ids.
    pub fn keys_of(&self, account: AccountId, after: Option<KeyId>) -> impl Iterator<Item = KeyId> + '_ {
        let lowest = KeyId::from_bytes([0; 17]).expect("kind byte 0 is known");
        let start = after.map_or(Bound::Included((account, lowest)), |key_id| Bound::Excluded((account, key_id)));
        self.keys_by_account
            .range((start, Bound::Unbounded))
            .take_while(move |(owner, _)| *owner == account)
            .map(|(_, key_id)| *key_id)
    }

    /// The number of keys in the Region.
    #[must_use]
    pub fn total_keys(&self) -> usize {
        self.keys.len()
    }

    /// One version of a key's material.
    #[must_use]
    pub fn material(&self, key_id: KeyId, material_id: KeyMaterialId) -> Option<&Arc<MaterialRecord>> {
        self.materials.get(&(key_id, material_id))
    }

    /// Every version of a key's material that is here.
    pub fn materials_of(&self, key_id: KeyId) -> impl Iterator<Item = &Arc<MaterialRecord>> + '_ {
        let start = (key_id, KeyMaterialId::from_bytes([0; 32]));
        self.materials.range(start..).take_while(move |((owner, _), _)| *owner == key_id).map(|(_, row)| row)
    }

    /// An alias.
    #[must_use]
    pub fn alias(&self, account: AccountId, name: &AliasName) -> Option<&Arc<AliasRecord>> {
        self.aliases.get(&(account, name.clone()))
    }

    /// The ARN of an alias of this Region.
    #[must_use]
    pub fn alias_arn(&self, account: AccountId, name: &AliasName) -> String {
        name.arn(self.partition, &self.region, account)
    }

    /// The aliases of `account` after `after`, in the order of their names.
    pub fn aliases_in(
        &self,
        account: AccountId,
        after: Option<&AliasName>,
    ) -> impl Iterator<Item = &Arc<AliasRecord>> + '_ {
        let lowest = || "alias/-".parse().expect("a valid name"); // '-' is the lowest character of an alias name
        let start = match after {
            Some(name) => Bound::Excluded((account, name.clone())),
            None => Bound::Included((account, lowest())),
        };
        self.aliases
            .range((start, Bound::Unbounded))
            .take_while(move |((owner, _), _)| *owner == account)
            .map(|(_, row)| row)
    }

    /// The aliases of one key, in the order of their names.
    pub fn aliases_of(&self, key_id: KeyId) -> impl Iterator<Item = &Arc<AliasRecord>> + '_ {
        let start = (key_id, "alias/-".parse().expect("a valid name"));
        self.aliases_by_key
            .range(start..)
            .take_while(move |((target, _), _)| *target == key_id)
            .filter_map(|((_, name), account)| self.alias(*account, name))
    }

    /// The tags of a key; `None` if it has none.
    #[must_use]
    pub fn tags(&self, key_id: KeyId) -> Option<&BTreeMap<String, String>> {
        self.tags.get(&key_id).map(|row| &row.tags)
    }

    /// The policy that a key was given; `None` if it has the default policy.
    #[must_use]
    pub fn policy(&self, key_id: KeyId) -> Option<&str> {
        self.key_policy(key_id).map(StoredPolicy::text)
    }

    /// As [`RegionState::policy`], with what it was compiled to.
    #[must_use]
    pub fn key_policy(&self, key_id: KeyId) -> Option<&StoredPolicy> {
        self.policies.get(&key_id).map(|row| &row.policy)
    }

    /// The grants of all keys.
    #[must_use]
    pub fn grants(&self) -> &GrantTable {
        &self.grants
    }

    /// The last uses of all keys.
    #[must_use]
    pub fn usage(&self) -> &UsageTable {
        &self.usage
    }

    /// Users, groups, roles, their policies and access keys.
    #[must_use]
    pub fn identities(&self) -> &IdentityTable {
        &self.identities
    }

    /// A domain key.
    #[must_use]
    pub fn domain_key(&self, id: DomainKeyId) -> Option<&Arc<WrappedDomainKey>> {
        self.domain_keys.get(&id)
    }

    /// The domain key that seals new material.
    #[must_use]
    pub fn newest_domain_key(&self) -> Option<&Arc<WrappedDomainKey>> {
        self.newest_domain_key.as_ref()
    }

    /// The messages that wait for `to`, oldest first.
    pub fn outbox_for(&self, to: &Region) -> impl Iterator<Item = &Arc<OutboxRow>> + '_ {
        self.outbox_after(to, 0)
    }

    /// The messages that wait for `to` with a sequence number above `after`, oldest first.
    pub fn outbox_after(&self, to: &Region, after: u64) -> impl Iterator<Item = &Arc<OutboxRow>> + '_ {
        let to = to.clone();
        self.outbox
            .range((Bound::Excluded((to.clone(), after)), Bound::Unbounded))
            .take_while(move |((region, _), _)| *region == to)
            .map(|(_, row)| row)
    }

    /// How far the link with `region` is.
    #[must_use]
    pub fn cursor(&self, region: &Region) -> LinkCursor {
        self.cursors.get(region).cloned().unwrap_or_default()
    }

    /// What is known of a version of a key's material besides its bytes.
    #[must_use]
    pub fn version(&self, key_id: KeyId, material_id: KeyMaterialId) -> Option<&Arc<VersionRecord>> {
        self.versions.get(&(key_id, material_id))
    }

    /// The versions of a key's material that something is known of, in the order of their ids.
    pub fn versions_of(&self, key_id: KeyId) -> impl Iterator<Item = &Arc<VersionRecord>> + '_ {
        let start = (key_id, KeyMaterialId::from_bytes([0; 32]));
        self.versions.range(start..).take_while(move |((owner, _), _)| *owner == key_id).map(|(_, row)| row)
    }

    /// How the material of a key is rotated; `None` if it never was and is not to be.
    #[must_use]
    pub fn rotation(&self, key_id: KeyId) -> Option<&Arc<RotationRecord>> {
        self.rotations.get(&key_id)
    }

    /// What is due by `now`, the longest overdue first.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = Due> + '_ {
        self.schedule.iter().take_while(move |(at, _)| *at <= now).map(|(_, due)| *due)
    }

    /// When the next thing is due; `None` if nothing is scheduled.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.schedule.get_min().map(|(due, _)| *due)
    }

    /// Makes a change that was decided; cannot fail.
    pub(crate) fn commit(&mut self, change: Change) {
        match change {
            Change::Put(row) => self.put(row),
            Change::Delete(id) => self.delete(&id),
        }
    }

    fn put(&mut self, row: Row) {
        match row {
            Row::Meta(meta) => self.clock = meta.clock,
            Row::Key(key) => self.rescheduling(key.key_id, |state| state.put_key(key)),
            Row::Material(row) => self.rescheduling(row.key_id, |state| {
                state.materials.insert((row.key_id, row.material_id), row);
            }),
            Row::Alias(row) => self.put_alias(row),
            Row::Tags(row) => {
                self.tags.insert(row.key_id, row);
            }
            Row::Policy(row) => {
                self.policies.insert(row.key_id, row);
            }
            Row::DomainKey(row) => self.put_domain_key(row),
            Row::Outbox(row) => {
                self.outbox.insert((row.to.clone(), row.sequence), row);
            }
            Row::Cursor(region, cursor) => {
                self.cursors.insert(region, cursor);
            }
            Row::Version(row) => self.rescheduling(row.key_id, |state| {
                state.versions.insert((row.key_id, row.material_id), row);
            }),
            Row::Grant(row) => self.grants.put(row),
            Row::UsageTracking(since) => self.usage.set_tracked_since(Some(since)),
            Row::Usage(row) => self.usage.put(row),
            Row::Identity(row) => self.identities.put(row),
            Row::Rotation(row) => self.rescheduling(row.key_id, |state| {
                state.rotations.insert(row.key_id, row);
            }),
        }
    }

    fn delete(&mut self, id: &RowId) {
        match id {
            RowId::Meta => self.clock = Timestamp::default(),
            RowId::Key(key_id) => self.rescheduling(*key_id, |state| state.delete_key(*key_id)),
            RowId::Material(key_id, material_id) => self.rescheduling(*key_id, |state| {
                state.materials.remove(&(*key_id, *material_id));
            }),
            RowId::Alias(account, name) => self.delete_alias(*account, name),
            RowId::Tags(key_id) => {
                self.tags.remove(key_id);
            }
            RowId::Policy(key_id) => {
                self.policies.remove(key_id);
            }
            RowId::DomainKey(id) => {
                self.domain_keys.remove(id);
            }
            RowId::Outbox(region, sequence) => {
                self.outbox.remove(&(region.clone(), *sequence));
            }
            RowId::Cursor(region) => {
                self.cursors.remove(region);
            }
            RowId::Version(key_id, material_id) => self.rescheduling(*key_id, |state| {
                state.versions.remove(&(*key_id, *material_id));
            }),
            RowId::Grant(key_id, grant_id) => self.grants.delete(*key_id, *grant_id),
            RowId::UsageTracking => self.usage.set_tracked_since(None),
            RowId::Usage(key_id) => self.usage.delete(*key_id),
            RowId::Identity(id) => self.identities.delete(id),
            RowId::Rotation(key_id) => self.rescheduling(*key_id, |state| {
                state.rotations.remove(key_id);
            }),
        }
    }

    /// Makes a change to the rows of a key and brings the schedule in line with them.
    fn rescheduling(&mut self, key_id: KeyId, change: impl FnOnce(&mut Self)) {
        for due in due_of(self, key_id) {
            self.schedule.remove(&due);
        }
        change(self);
        for due in due_of(self, key_id) {
            self.schedule.insert(due);
        }
    }

    fn put_key(&mut self, key: Arc<KeyRecord>) {
        let (account, key_id) = (key.account, key.key_id);
        if self.keys.insert(key_id, key).is_none() {
            self.keys_by_account.insert((account, key_id));
            *self.key_counts.entry(account).or_default() += 1;
        }
    }

    fn delete_key(&mut self, key_id: KeyId) {
        let Some(former) = self.keys.remove(&key_id) else { return };
        self.keys_by_account.remove(&(former.account, key_id));
        let count = self.key_counts.entry(former.account).or_default();
        *count -= 1;
        if *count == 0 {
            self.key_counts.remove(&former.account);
        }
    }

    fn put_alias(&mut self, row: Arc<AliasRecord>) {
        self.delete_alias(row.account, &row.name.clone());
        self.aliases_by_key.insert((row.target, row.name.clone()), row.account);
        self.aliases.insert((row.account, row.name.clone()), row);
    }

    fn delete_alias(&mut self, account: AccountId, name: &AliasName) {
        if let Some(former) = self.aliases.remove(&(account, name.clone())) {
            self.aliases_by_key.remove(&(former.target, name.clone()));
        }
    }

    fn put_domain_key(&mut self, row: Arc<WrappedDomainKey>) {
        let age = |key: &WrappedDomainKey| (key.created_at, key.id);
        if self.newest_domain_key.as_ref().is_none_or(|newest| age(newest) < age(&row)) {
            self.newest_domain_key = Some(Arc::clone(&row));
        }
        self.domain_keys.insert(row.id, row);
    }
}
