//! Messages between Regions: what is sent, what arrives, and how both are counted.
//!
//! A message stands in the outbox from the commit that caused it until the other Region has applied it. Messages of
//! one link are applied in order, each once; a repeated or early one changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use meridian_crypto::{SealedMaterial, SealedSecret};
use meridian_model::{
    AccountId, ErrorCode, KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Region, RotationType, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::apply::{Done, Draft};
use crate::identities::messages::{IdentityMessage, SecretReference};
use crate::rows::{AutomaticRotation, Change, LinkCursor, PendingRotation, ReplicaStatus, Rotated, Row, RowId};
use crate::{identities, multi_region, primary_region, shared_rotation};

/// What one Region tells another. New variants go to the end: the position is part of the encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Make a replica of a key of mine.
    CreateReplica(NewReplica),
    /// Take this version of the material. The bytes are not here: the sender opens and re-seals them for each try.
    TransferMaterial(MaterialReference),
    /// This is the membership of a set now.
    SetMembership(Membership),
    /// The replica that you asked for is there.
    ReplicaCreated(KeyId),
    /// The replica that you asked for cannot be made.
    ReplicaRefused {
        /// The key.
        key_id: KeyId,
        /// Why.
        code: ErrorCode,
    },
    /// The replica of this Region is gone; said in the first epoch of a set.
    ReplicaDeleted(KeyId),
    /// To this Region itself, for its audit trail: a key was deleted because its waiting period ended.
    KeyDeleted {
        /// Owner of the key.
        account: AccountId,
        /// The key.
        key_id: KeyId,
    },
    /// This is how the key is rotated now.
    SetRotation(SharedRotation),
    /// The replica of this Region holds the version that is pending.
    MaterialInstalled(MaterialReference),
    /// To this Region itself, for its audit trail: the material of a key was rotated.
    KeyRotated(RotatedKey),
    /// To this Region itself, for its audit trail: shared properties of a primary went to its replicas.
    KeySynchronized {
        /// Owner of the key.
        account: AccountId,
        /// The key.
        key_id: KeyId,
    },
    /// Be the primary.
    HandOver(HandOver),
    /// No: the key is gone, not enabled, or not complete.
    HandOverRefused {
        /// The key.
        key_id: KeyId,
        /// The epoch that was offered.
        epoch: u64,
    },
    /// I am the primary now.
    PrimaryChanged(Membership),
    /// There is no key of the set here any more.
    ReplicaMissing {
        /// The key.
        key_id: KeyId,
        /// The epoch in which the key was deleted, or of the announcement that this answers.
        epoch: u64,
    },
    /// To this Region itself, for its audit trail: its key became the primary.
    PrimaryUpdated(NewPrimary),
    /// Make a replica of a key of mine whose material is imported: the ids go with the key, the material never does.
    CreateImportedReplica {
        /// The replica; its list of material to come is empty.
        replica: NewReplica,
        /// Every version of the material, in the order of their ids.
        versions: Vec<ImportedVersion>,
    },
    /// To this Region itself, for its audit trail: imported material expired.
    ImportedMaterialExpired {
        /// Owner of the key.
        account: AccountId,
        /// The key.
        key_id: KeyId,
        /// The version.
        material_id: KeyMaterialId,
    },
    /// Of identities.
    Identity(Box<IdentityMessage>),
}

/// A message as it arrives: the same as [`Message`], but material comes with its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivered {
    /// Any message that arrives as it was sent: without material and without a secret.
    Plain(Message),
    /// A version of the material, sealed by a domain key of the receiving Region.
    Material {
        /// Which one.
        reference: MaterialReference,
        /// Its bytes.
        sealed: SealedMaterial,
    },
    /// A row of an identity, its secret sealed by a domain key of the receiving Region.
    Secret {
        /// Which one.
        reference: SecretReference,
        /// Its secret.
        sealed: SealedSecret,
    },
}

impl Message {
    /// The version of the encodings of commands, rows and envelopes that brought this message.
    #[must_use]
    pub const fn format(&self) -> u8 {
        match self {
            Self::CreateReplica(_)
            | Self::TransferMaterial(_)
            | Self::SetMembership(_)
            | Self::ReplicaCreated(_)
            | Self::ReplicaRefused { .. }
            | Self::ReplicaDeleted(_)
            | Self::KeyDeleted { .. } => 1,
            Self::SetRotation(_)
            | Self::MaterialInstalled(_)
            | Self::KeyRotated(_)
            | Self::KeySynchronized { .. }
            | Self::HandOver(_)
            | Self::HandOverRefused { .. }
            | Self::PrimaryChanged(_)
            | Self::ReplicaMissing { .. }
            | Self::PrimaryUpdated(_)
            | Self::CreateImportedReplica { .. }
            | Self::ImportedMaterialExpired { .. } => 2,
            Self::Identity(_) => 3,
        }
    }
}

impl Delivered {
    /// The version of the encoding of commands that brought this message.
    pub(crate) const fn format(&self) -> u8 {
        match self {
            Self::Plain(message) => message.format(),
            Self::Material { .. } => 1,
            Self::Secret { .. } => 3,
        }
    }
}

/// The shared properties of a set, and the independent ones that its new replica starts with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewReplica {
    /// Owner.
    pub account: AccountId,
    /// Kind of the material.
    pub spec: KeySpec,
    /// Purpose.
    pub usage: KeyUsageType,
    /// Where the material comes from.
    pub origin: OriginType,
    /// Every version of the material, to come one by one.
    pub materials: Vec<KeyMaterialId>,
    /// The version that encrypts.
    pub current_material: Option<KeyMaterialId>,
    /// Creation date of the replica.
    pub created_at: Timestamp,
    /// The set, the new replica included.
    pub membership: Membership,
    /// Description of the replica.
    pub description: String,
    /// Policy of the replica; `None` for the default policy.
    pub policy: Option<String>,
    /// Tags of the replica.
    pub tags: BTreeMap<String, String>,
}

/// A version of the imported material of a set: the only material that a replica accepts under that id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedVersion {
    /// The version.
    pub material_id: KeyMaterialId,
    /// The rotation that made it current; `None` for the first one.
    pub rotation: Option<Rotated>,
}

/// Names one version of the material of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaterialReference {
    /// Owner of the keys of the set.
    pub account: AccountId,
    /// The key.
    pub key_id: KeyId,
    /// The version.
    pub material_id: KeyMaterialId,
    /// Epoch of the set in which it is sent.
    pub epoch: u64,
}

/// What every key of a set knows of its rotation. Sent as a whole whenever a part of it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedRotation {
    /// The key ID of the set.
    pub key_id: KeyId,
    /// Epoch of the set in which it is sent.
    pub epoch: u64,
    /// The version that encrypts.
    pub current_material: Option<KeyMaterialId>,
    /// Automatic rotation; `None` while it is off.
    pub automatic: Option<AutomaticRotation>,
    /// Rotations on demand so far.
    pub on_demand: u32,
    /// The version that is to become current next.
    pub pending: Option<PendingRotation>,
    /// Since when each version has been the current one; the first version of a key is not among them.
    pub versions: BTreeMap<KeyMaterialId, Rotated>,
}

/// A rotation that was done, for the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotatedKey {
    /// Owner of the key.
    pub account: AccountId,
    /// The key.
    pub key_id: KeyId,
    /// Where its material comes from.
    pub origin: OriginType,
    /// What asked for the rotation.
    pub kind: RotationType,
    /// The version that encrypted until now.
    pub previous: Option<KeyMaterialId>,
    /// The version that encrypts from now on.
    pub current: KeyMaterialId,
}

/// The offer of the primary to another Region to be the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The set as it shall be, in its next epoch.
    pub membership: Membership,
    /// Owner of the keys of the set.
    pub account: AccountId,
    /// See [`UpdatePrimaryRegion::request`](crate::command::UpdatePrimaryRegion).
    pub request: Vec<u8>,
}

/// A key that became the primary, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPrimary {
    /// Owner of the key.
    pub account: AccountId,
    /// The key.
    pub key_id: KeyId,
    /// See [`UpdatePrimaryRegion::request`](crate::command::UpdatePrimaryRegion).
    pub request: Vec<u8>,
}

/// Who belongs to a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The key ID of the set.
    pub key_id: KeyId,
    /// Epoch of primacy.
    pub epoch: u64,
    /// Number of the change within the epoch.
    pub version: u64,
    /// Region of the primary.
    pub primary: Region,
    /// Regions of the replicas.
    pub replicas: BTreeMap<Region, ReplicaStatus>,
}

/// Applies message number `sequence` of `from`, if it is the next one.
pub(crate) fn apply_message(
    draft: &mut Draft<'_>,
    from: &Region,
    sequence: u64,
    committed_at: Timestamp,
    message: &Delivered,
) -> Done {
    let cursor = draft.cursor(from);
    if sequence != cursor.last_applied + 1 {
        return Done::Nothing; // seen before, or too early; the sender learns the cursor and goes on from there
    }
    draft.put_cursor(from, LinkCursor { last_applied: sequence, last_applied_committed_at: committed_at, ..cursor });
    match message {
        Delivered::Plain(Message::CreateReplica(replica)) => {
            multi_region::create_replica(draft, from, replica);
        }
        Delivered::Plain(Message::CreateImportedReplica { replica, versions }) => {
            multi_region::create_imported_replica(draft, from, replica, versions);
        }
        Delivered::Plain(Message::SetMembership(membership)) => multi_region::set_membership(draft, from, membership),
        Delivered::Plain(Message::ReplicaCreated(key_id)) => multi_region::replica_created(draft, from, *key_id),
        // A replica is refused only while it is reserved, and meanwhile the primary does not change.
        Delivered::Plain(Message::ReplicaRefused { key_id, .. }) => multi_region::replica_gone(draft, from, *key_id),
        Delivered::Plain(Message::ReplicaDeleted(key_id)) => {
            multi_region::replica_missing(draft, from, *key_id, multi_region::FIRST_EPOCH);
        }
        Delivered::Material { reference, sealed } => multi_region::install_material(draft, from, reference, sealed),
        Delivered::Plain(Message::SetRotation(shared)) => shared_rotation::set_rotation(draft, from, shared),
        Delivered::Plain(Message::MaterialInstalled(reference)) => {
            shared_rotation::material_installed(draft, from, reference);
        }
        Delivered::Plain(Message::HandOver(hand_over)) => primary_region::take(draft, from, hand_over),
        Delivered::Plain(Message::HandOverRefused { key_id, epoch }) => {
            primary_region::take_back(draft, from, *key_id, *epoch);
        }
        Delivered::Plain(Message::PrimaryChanged(membership)) => primary_region::learn(draft, from, membership),
        Delivered::Plain(Message::ReplicaMissing { key_id, epoch }) => {
            multi_region::replica_missing(draft, from, *key_id, *epoch);
        }
        Delivered::Plain(Message::Identity(message)) => identities::messages::receive(draft, from, message),
        Delivered::Secret { reference, sealed } => {
            identities::messages::receive_secret(draft, from, reference, sealed);
        }
        // None is ever sent like this: material travels sealed, events stay in their Region.
        Delivered::Plain(
            Message::TransferMaterial(_)
            | Message::KeyDeleted { .. }
            | Message::KeyRotated(_)
            | Message::KeySynchronized { .. }
            | Message::PrimaryUpdated(_)
            | Message::ImportedMaterialExpired { .. },
        ) => {}
    }
    Done::Nothing
}

/// Drops the messages for `to` up to number `through`.
pub(crate) fn acknowledge_outbox(draft: &mut Draft<'_>, to: &Region, through: u64) -> Done {
    let done: Vec<RowId> = draft
        .state
        .outbox_for(to)
        .take_while(|row| row.sequence <= through)
        .map(|row| RowId::Outbox(to.clone(), row.sequence))
        .collect();
    draft.changes.extend(done.into_iter().map(Change::Delete));
    Done::Nothing
}

impl Draft<'_> {
    /// The cursor of the link with `region`, changes of this draft included.
    pub(crate) fn cursor(&self, region: &Region) -> LinkCursor {
        self.cursors.get(region).cloned().unwrap_or_else(|| self.state.cursor(region))
    }

    pub(crate) fn put_cursor(&mut self, region: &Region, cursor: LinkCursor) {
        self.cursors.insert(region.clone(), cursor.clone());
        self.changes.push(Change::Put(Row::Cursor(region.clone(), cursor)));
    }

    /// Puts `message` for `to` into the outbox.
    pub(crate) fn send(&mut self, to: &Region, message: Message) {
        let mut cursor = self.cursor(to);
        cursor.last_sent += 1;
        let row =
            crate::rows::OutboxRow { to: to.clone(), sequence: cursor.last_sent, committed_at: self.now, message };
        self.put_cursor(to, cursor);
        self.put(Row::Outbox(Arc::new(row)));
    }
}
