//! Messages between Regions: what is sent, what arrives, and how both are counted.
//!
//! A message stands in the outbox from the commit that caused it until the other Region has applied it. Messages of
//! one link are applied in order, each once; a repeated or early one changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use meridian_crypto::SealedMaterial;
use meridian_model::{
    AccountId, ErrorCode, KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Region, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::apply::{Done, Draft};
use crate::multi_region;
use crate::rows::{Change, LinkCursor, ReplicaStatus, Row, RowId};

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
    /// The replica of this Region is gone.
    ReplicaDeleted(KeyId),
    /// To this Region itself, for its audit trail: a key was deleted because its waiting period ended.
    KeyDeleted {
        /// Owner of the key.
        account: AccountId,
        /// The key.
        key_id: KeyId,
    },
}

/// A message as it arrives: the same as [`Message`], but material comes with its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivered {
    /// Any message but `TransferMaterial`.
    Plain(Message),
    /// A version of the material, sealed by a domain key of the receiving Region.
    Material {
        /// Which one.
        reference: MaterialReference,
        /// Its bytes.
        sealed: SealedMaterial,
    },
}

impl Message {
    /// The version of the encodings of commands and rows that brought this message.
    pub(crate) const fn format(&self) -> u8 {
        match self {
            Self::CreateReplica(_)
            | Self::TransferMaterial(_)
            | Self::SetMembership(_)
            | Self::ReplicaCreated(_)
            | Self::ReplicaRefused { .. }
            | Self::ReplicaDeleted(_)
            | Self::KeyDeleted { .. } => 1,
        }
    }
}

impl Delivered {
    /// The version of the encoding of commands that brought this message.
    pub(crate) const fn format(&self) -> u8 {
        match self {
            Self::Plain(message) => message.format(),
            Self::Material { .. } => 1,
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
        Delivered::Plain(Message::CreateReplica(replica)) => multi_region::create_replica(draft, from, replica),
        Delivered::Plain(Message::SetMembership(membership)) => multi_region::set_membership(draft, from, membership),
        Delivered::Plain(Message::ReplicaCreated(key_id)) => multi_region::replica_created(draft, from, *key_id),
        Delivered::Plain(Message::ReplicaRefused { key_id, .. } | Message::ReplicaDeleted(key_id)) => {
            multi_region::replica_gone(draft, from, *key_id);
        }
        Delivered::Material { reference, sealed } => multi_region::install_material(draft, from, reference, sealed),
        // Neither is ever sent like this: material travels sealed, events stay in their Region.
        Delivered::Plain(Message::TransferMaterial(_) | Message::KeyDeleted { .. }) => {}
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
