//! The rows that a Region's state consists of, their ids and their bytes.
//!
//! One row per resource. A value starts with the version of its encoding; the id never changes its form.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_crypto::{DomainKeyId, SealedMaterial, WrappedDomainKey};
use meridian_model::{
    AccountId, AliasName, GrantId, KeyId, KeyMaterialId, KeySpec, KeyState, KeyUsageType, MultiRegionKeyType,
    OriginType, Region, RotationType, Timestamp, UniqueId,
};
use meridian_policy::StoredPolicy;
use serde::{Deserialize, Serialize};

use crate::command::DecodeError;
use crate::grants::GrantRecord;
use crate::identities::{IdentityRow, IdentityRowId};
use crate::links::Message;
use crate::usage::UsageRecord;

/// The newest version of the encoding of rows. Each row is written in the oldest version that has it.
pub const ROW_FORMAT: u8 = 3;

/// One changed row, as a storage engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// Id of the row.
    pub key: Vec<u8>,
    /// New value below 64 KiB, or `None` if the row is gone.
    pub value: Option<Vec<u8>>,
}

/// What holds for the Region as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The latest time that any command carried; never runs backwards.
    pub clock: Timestamp,
}

/// A KMS key of this Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Key ID.
    pub key_id: KeyId,
    /// Owner.
    pub account: AccountId,
    /// When the key was made in this Region.
    pub created_at: Timestamp,
    /// Description, 0 to 8,192 characters.
    pub description: String,
    /// Kind of the material; fixed for ever.
    pub spec: KeySpec,
    /// Purpose; fixed for ever.
    pub usage: KeyUsageType,
    /// Where the material comes from; fixed for ever.
    pub origin: OriginType,
    /// The one state that the key is in.
    pub state: KeyState,
    /// Set exactly while the state is `PendingDeletion` or `PendingReplicaDeletion`.
    pub deletion: Option<Deletion>,
    /// The version of the material that encrypts; `None` while the key waits for its material.
    pub current_material: Option<KeyMaterialId>,
    /// The set that the key belongs to; `None` for a single-Region key.
    pub multi_region: Option<MultiRegion>,
}

/// A deletion that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The waiting period, 7 to 30 days.
    pub window_days: u32,
    /// When the period ends; `None` while a primary waits for its replicas to be deleted first.
    pub due: Option<Timestamp>,
}

/// What a key knows of its multi-Region set. Equal in every key of the set once announcements have arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiRegion {
    /// Fencing number of primacy: grows with every change of the primary.
    pub epoch: u64,
    /// Grows with every change of the membership within an epoch.
    pub version: u64,
    /// The Region of the primary.
    pub primary: Region,
    /// The Regions of the replicas.
    pub replicas: BTreeMap<Region, ReplicaStatus>,
    /// Versions of the material that this key still waits for.
    pub missing_materials: BTreeSet<KeyMaterialId>,
}

impl MultiRegion {
    /// The role of the key of `region` in the set.
    #[must_use]
    pub fn role(&self, region: &Region) -> MultiRegionKeyType {
        if &self.primary == region { MultiRegionKeyType::Primary } else { MultiRegionKeyType::Replica }
    }

    /// Every Region that holds a key of the set, the primary's first.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        std::iter::once(&self.primary).chain(self.replicas.keys())
    }
}

/// How far the making of a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaStatus {
    /// The primary has committed to it; the other Region has not answered yet.
    Reserved,
    /// The other Region holds the key.
    Created,
}

/// One version of a key's material, sealed by a domain key of this Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterialRecord {
    /// The key.
    pub key_id: KeyId,
    /// The version.
    pub material_id: KeyMaterialId,
    /// When this Region got it.
    pub created_at: Timestamp,
    /// The sealed bytes.
    pub sealed: SealedMaterial,
}

/// What is known of one version of a key's material besides its bytes. It outlives them: imported material that was deleted
/// or has expired may come back, but no other in its place.
///
/// A generated version that no rotation made current, such as the first one of a key, has no such row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The key.
    pub key_id: KeyId,
    /// The version.
    pub material_id: KeyMaterialId,
    /// The rotation that made the version the one that encrypts; `None` for the first one and for one that waits for it.
    pub rotation: Option<Rotated>,
    /// How the version was imported; `None` for generated material, and for imported material that only other Regions of the
    /// set have had.
    pub import: Option<Imported>,
}

/// A rotation that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// When the version began to encrypt.
    pub at: Timestamp,
    /// What asked for it.
    pub kind: RotationType,
}

/// What came with an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The importer's description, 0 to 256 characters.
    pub description: Option<String>,
    /// When the bytes expire; `None` if they do not.
    pub valid_to: Option<Timestamp>,
}

/// How the material of one key is rotated. Only symmetric encryption keys have this row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationRecord {
    /// The key.
    pub key_id: KeyId,
    /// Automatic rotation; `None` while it is off.
    pub automatic: Option<AutomaticRotation>,
    /// Rotations on demand so far, at most 25.
    pub on_demand: u32,
    /// The version that is to become current next.
    pub pending: Option<PendingRotation>,
}

/// Automatic rotation that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutomaticRotation {
    /// 90 to 2,560 days.
    pub period_days: u32,
    /// When the next rotation is due. It waits while the key is not enabled.
    pub next: Timestamp,
}

/// A version of the material that is to become current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRotation {
    /// The version.
    pub material_id: KeyMaterialId,
    /// When the rotation was asked for and by what; `None` for imported material that waits to be asked for.
    pub started: Option<Rotated>,
    /// Regions of the set that have not confirmed that they hold the version.
    pub waiting_for: BTreeSet<Region>,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// Owner.
    pub account: AccountId,
    /// Name with its prefix.
    pub name: AliasName,
    /// The key that it names.
    pub target: KeyId,
    /// When the alias was made.
    pub created_at: Timestamp,
    /// When it was last pointed at a key.
    pub updated_at: Timestamp,
}

/// The tags of one key: at most 50, keys of 1 to 128 and values of 0 to 256 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagsRecord {
    /// The key.
    pub key_id: KeyId,
    /// Tag key to tag value.
    pub tags: BTreeMap<String, String>,
}

/// The key policy of one key, verbatim; a key without this row has the default policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// The key.
    pub key_id: KeyId,
    /// The document, at most 32,768 bytes.
    pub policy: StoredPolicy,
}

/// One message that waits to be delivered to a Region, or, under this Region's own name, to be published here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// The Region that it is for.
    pub to: Region,
    /// Its place in the link: 1, 2, 3, ... without gaps.
    pub sequence: u64,
    /// When the change that caused it was committed.
    pub committed_at: Timestamp,
    /// The message.
    pub message: Message,
}

/// How far a link to and from one Region is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCursor {
    /// Sequence number of the newest message ever put into the outbox for that Region.
    pub last_sent: u64,
    /// Sequence number of the newest message of that Region applied here.
    pub last_applied: u64,
    /// Commit time, over there, of that message.
    pub last_applied_committed_at: Timestamp,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// See [`Meta`].
    Meta(Meta),
    /// See [`KeyRecord`].
    Key(Arc<KeyRecord>),
    /// See [`MaterialRecord`].
    Material(Arc<MaterialRecord>),
    /// See [`AliasRecord`].
    Alias(Arc<AliasRecord>),
    /// See [`TagsRecord`].
    Tags(Arc<TagsRecord>),
    /// See [`PolicyRecord`].
    Policy(Arc<PolicyRecord>),
    /// See [`WrappedDomainKey`].
    DomainKey(Arc<WrappedDomainKey>),
    /// See [`OutboxRow`].
    Outbox(Arc<OutboxRow>),
    /// See [`LinkCursor`]; with the Region at the other end.
    Cursor(Region, LinkCursor),
    /// See [`VersionRecord`].
    Version(Arc<VersionRecord>),
    /// See [`RotationRecord`].
    Rotation(Arc<RotationRecord>),
    /// See [`GrantRecord`].
    Grant(Arc<GrantRecord>),
    /// Since when the uses of keys are kept.
    UsageTracking(Timestamp),
    /// See [`UsageRecord`].
    Usage(Arc<UsageRecord>),
    /// See [`IdentityRow`].
    Identity(IdentityRow),
}

/// Names a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowId {
    /// The one [`Meta`].
    Meta,
    /// A key.
    Key(KeyId),
    /// A version of a key's material.
    Material(KeyId, KeyMaterialId),
    /// An alias of an account.
    Alias(AccountId, AliasName),
    /// The tags of a key.
    Tags(KeyId),
    /// The policy of a key.
    Policy(KeyId),
    /// A domain key.
    DomainKey(DomainKeyId),
    /// A message to a Region.
    Outbox(Region, u64),
    /// The cursor of the link with a Region.
    Cursor(Region),
    /// What is known of a version of a key's material.
    Version(KeyId, KeyMaterialId),
    /// How a key is rotated.
    Rotation(KeyId),
    /// A grant of a key.
    Grant(KeyId, GrantId),
    /// Since when the uses of keys are kept.
    UsageTracking,
    /// The last use of a key.
    Usage(KeyId),
    /// A row of an identity.
    Identity(IdentityRowId),
}

/// A change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The row is new or replaced.
    Put(Row),
    /// The row is gone.
    Delete(RowId),
}

impl Row {
    /// The id of the row.
    #[must_use]
    pub fn id(&self) -> RowId {
        match self {
            Self::Meta(_) => RowId::Meta,
            Self::Key(row) => RowId::Key(row.key_id),
            Self::Material(row) => RowId::Material(row.key_id, row.material_id),
            Self::Alias(row) => RowId::Alias(row.account, row.name.clone()),
            Self::Tags(row) => RowId::Tags(row.key_id),
            Self::Policy(row) => RowId::Policy(row.key_id),
            Self::DomainKey(row) => RowId::DomainKey(row.id),
            Self::Outbox(row) => RowId::Outbox(row.to.clone(), row.sequence),
            Self::Cursor(region, _) => RowId::Cursor(region.clone()),
            Self::Version(row) => RowId::Version(row.key_id, row.material_id),
            Self::Rotation(row) => RowId::Rotation(row.key_id),
            Self::Grant(row) => RowId::Grant(row.key_id, row.grant_id),
            Self::UsageTracking(_) => RowId::UsageTracking,
            Self::Usage(row) => RowId::Usage(row.key_id),
            Self::Identity(row) => RowId::Identity(row.id()),
        }
    }

    /// The bytes of the row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Meta(row) => encode(1, row),
            Self::Key(row) => encode(1, row),
            Self::Material(row) => encode(1, row),
            Self::Alias(row) => encode(1, row),
            Self::Tags(row) => encode(1, row),
            Self::Policy(row) => encode(1, row),
            Self::DomainKey(row) => encode(1, row),
            Self::Outbox(row) => encode(row.message.format(), row),
            Self::Cursor(region, row) => encode(1, &(region, row)),
            Self::Version(row) => encode(2, row),
            Self::Rotation(row) => encode(2, row),
            Self::Grant(row) => encode(2, row),
            Self::UsageTracking(row) => encode(2, row),
            Self::Usage(row) => encode(2, row),
            Self::Identity(row) => encode_identity(row),
        }
    }

    /// The row that `id` and `value` stand for.
    ///
    /// # Errors
    /// If the table or the version of the encoding is unknown, or the bytes are not such a row.
    pub fn decode(id: &[u8], value: &[u8]) -> Result<Self, DecodeError> {
        let table = *id.first().ok_or(DecodeError::Truncated)?;
        let row = match table {
            table::META => Self::Meta(decode(value)?),
            table::KEY => Self::Key(Arc::new(decode(value)?)),
            table::MATERIAL => Self::Material(Arc::new(decode(value)?)),
            table::ALIAS => Self::Alias(Arc::new(decode(value)?)),
            table::TAGS => Self::Tags(Arc::new(decode(value)?)),
            table::POLICY => Self::Policy(Arc::new(decode(value)?)),
            table::DOMAIN_KEY => Self::DomainKey(Arc::new(decode(value)?)),
            table::OUTBOX => Self::Outbox(Arc::new(decode(value)?)),
            table::CURSOR => decode(value).map(|(region, cursor)| Self::Cursor(region, cursor))?,
            table::VERSION => Self::Version(Arc::new(decode(value)?)),
            table::ROTATION => Self::Rotation(Arc::new(decode(value)?)),
            table::GRANT => Self::Grant(Arc::new(decode(value)?)),
            table::USAGE if id.len() == 1 => Self::UsageTracking(decode(value)?),
            table::USAGE => Self::Usage(Arc::new(decode(value)?)),
            _ => Self::Identity(decode_identity(table, value)?),
        };
        if row.id().encode() == id { Ok(row) } else { Err(DecodeError::MisplacedRow) }
    }
}

impl RowId {
    /// The bytes of the id: the table, then the key of the row in a form without ambiguity.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Meta => vec![table::META],
            Self::Key(key_id) => joined(table::KEY, &[&key_id.to_bytes()]),
            Self::Material(key_id, material) => joined(table::MATERIAL, &[&key_id.to_bytes(), material.as_bytes()]),
            Self::Alias(account, name) => {
                joined(table::ALIAS, &[account.to_string().as_bytes(), name.as_str().as_bytes()])
            }
            Self::Tags(key_id) => joined(table::TAGS, &[&key_id.to_bytes()]),
            Self::Policy(key_id) => joined(table::POLICY, &[&key_id.to_bytes()]),
            Self::DomainKey(id) => joined(table::DOMAIN_KEY, &[&id.0]),
            Self::Outbox(region, sequence) => {
                joined(table::OUTBOX, &[region.as_str().as_bytes(), &[0], &sequence.to_be_bytes()])
            }
            Self::Cursor(region) => joined(table::CURSOR, &[region.as_str().as_bytes()]),
            Self::Version(key_id, material) => joined(table::VERSION, &[&key_id.to_bytes(), material.as_bytes()]),
            Self::Rotation(key_id) => joined(table::ROTATION, &[&key_id.to_bytes()]),
            Self::Grant(key_id, grant_id) => joined(table::GRANT, &[&key_id.to_bytes(), grant_id.as_bytes()]),
            Self::UsageTracking => vec![table::USAGE],
            Self::Usage(key_id) => joined(table::USAGE, &[&key_id.to_bytes()]),
            Self::Identity(id) => identity_id(id),
        }
    }
}

impl Change {
    /// The change as a storage engine sees it.
    #[must_use]
    pub fn encode(&self) -> RowChange {
        match self {
            Self::Put(row) => RowChange { key: row.id().encode(), value: Some(row.encode()) },
            Self::Delete(id) => RowChange { key: id.encode(), value: None },
        }
    }
}

fn encode_identity(row: &IdentityRow) -> Vec<u8> {
    match row {
        IdentityRow::Regions(row) => encode(3, row),
        IdentityRow::User(row) => encode(3, row),
        IdentityRow::Group(row) => encode(3, row),
        IdentityRow::Role(row) => encode(3, row),
        IdentityRow::Policy(row) => encode(3, row),
        IdentityRow::PolicyVersion(row) => encode(3, row),
        IdentityRow::AccessKey(row) => encode(3, row),
        IdentityRow::SessionKey(row) => encode(3, row),
    }
}

fn decode_identity(table: u8, value: &[u8]) -> Result<IdentityRow, DecodeError> {
    Ok(match table {
        table::REGIONS => IdentityRow::Regions(Arc::new(decode(value)?)),
        table::USER => IdentityRow::User(Arc::new(decode(value)?)),
        table::GROUP => IdentityRow::Group(Arc::new(decode(value)?)),
        table::ROLE => IdentityRow::Role(Arc::new(decode(value)?)),
        table::MANAGED_POLICY => IdentityRow::Policy(Arc::new(decode(value)?)),
        table::POLICY_VERSION => IdentityRow::PolicyVersion(Arc::new(decode(value)?)),
        table::ACCESS_KEY => IdentityRow::AccessKey(Arc::new(decode(value)?)),
        table::SESSION_KEY => IdentityRow::SessionKey(Arc::new(decode(value)?)),
        unknown => return Err(DecodeError::UnknownTable(unknown)),
    })
}

fn identity_id(id: &IdentityRowId) -> Vec<u8> {
    let of = |table, id: &UniqueId| joined(table, &[id.as_str().as_bytes()]);
    match id {
        IdentityRowId::Regions => vec![table::REGIONS],
        IdentityRowId::User(id) => of(table::USER, id),
        IdentityRowId::Group(id) => of(table::GROUP, id),
        IdentityRowId::Role(id) => of(table::ROLE, id),
        IdentityRowId::Policy(id) => of(table::MANAGED_POLICY, id),
        IdentityRowId::PolicyVersion(id, version) => {
            joined(table::POLICY_VERSION, &[id.as_str().as_bytes(), &[0], &version.to_be_bytes()]) // no id has a byte 0
        }
        IdentityRowId::AccessKey(id) => joined(table::ACCESS_KEY, &[id.as_str().as_bytes()]),
        IdentityRowId::SessionKey(id) => joined(table::SESSION_KEY, &[&id.0]),
    }
}

fn joined(table: u8, parts: &[&[u8]]) -> Vec<u8> {
    std::iter::once(table).chain(parts.iter().flat_map(|part| part.iter().copied())).collect()
}

fn encode(format: u8, row: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(row, vec![format]).expect("rows hold nothing that postcard cannot encode")
}

fn decode<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, DecodeError> {
    match value.split_first() {
        Some((1..=ROW_FORMAT, bytes)) => Ok(postcard::from_bytes(bytes)?),
        Some((version, _)) => Err(DecodeError::UnknownVersion(*version)),
        None => Err(DecodeError::Truncated),
    }
}

/// First byte of a row's id. A number is never given a second meaning.
mod table {
    pub(super) const META: u8 = 1;
    pub(super) const KEY: u8 = 2;
    pub(super) const MATERIAL: u8 = 3;
    pub(super) const ALIAS: u8 = 4;
    pub(super) const TAGS: u8 = 5;
    pub(super) const POLICY: u8 = 6;
    pub(super) const DOMAIN_KEY: u8 = 7;
    pub(super) const OUTBOX: u8 = 8;
    pub(super) const CURSOR: u8 = 9;
    pub(super) const VERSION: u8 = 10;
    pub(super) const ROTATION: u8 = 11;
    pub(super) const GRANT: u8 = 12;
    pub(super) const USAGE: u8 = 13;
    pub(super) const REGIONS: u8 = 14;
    pub(super) const USER: u8 = 15;
    pub(super) const GROUP: u8 = 16;
    pub(super) const ROLE: u8 = 17;
    pub(super) const MANAGED_POLICY: u8 = 18;
    pub(super) const POLICY_VERSION: u8 = 19;
    pub(super) const ACCESS_KEY: u8 = 20;
    pub(super) const SESSION_KEY: u8 = 21;
}
