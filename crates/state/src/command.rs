//! Commands: the deterministic changes that go through Raft, and their versioned encoding.

use std::collections::{BTreeMap, BTreeSet};

use meridian_crypto::{SealedMaterial, WrappedDomainKey};
use meridian_model::{
    AccountId, AliasName, GrantId, KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Region, RotationType,
    Timestamp,
};
use meridian_policy::GrantTerms;
use serde::{Deserialize, Serialize};

use crate::identities::IdentityChange;
use crate::links::Delivered;
use crate::usage::UsageRecord;

/// The newest version of the encoding of commands. Each command is written in the oldest version that has it, so that
/// nodes of an earlier build go on reading whatever they know.
pub const COMMAND_FORMAT: u8 = 3;

/// Why bytes are not a command or a row of this build.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A newer build wrote this; upgrade this node.
    #[error("encoding version {0} is not known to this build; upgrade this node")]
    UnknownVersion(u8),
    /// A newer build wrote this; upgrade this node.
    #[error("table {0} is not known to this build; upgrade this node")]
    UnknownTable(u8),
    /// The value of a row belongs to another row.
    #[error("a row stands under the id of another row")]
    MisplacedRow,
    /// No bytes where some must be.
    #[error("the bytes end too early")]
    Truncated,
    /// The bytes are damaged.
    #[error("the bytes are damaged")]
    Damaged(#[from] postcard::Error),
}

/// A change proposed to the Raft group of a Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The proposing leader's time.
    pub at: Timestamp,
    /// What to do.
    pub op: Op,
}

impl Command {
    /// The bytes of the command: the version, then its postcard form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![self.op.format()]).expect("commands hold nothing that postcard cannot encode")
    }

    /// The inverse of [`Command::encode`].
    ///
    /// # Errors
    /// If the version is unknown or the bytes are damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((1..=COMMAND_FORMAT, body)) => Ok(postcard::from_bytes(body)?),
            Some((version, _)) => Err(DecodeError::UnknownVersion(*version)),
            None => Err(DecodeError::Truncated),
        }
    }
}

/// What a command does. New variants go to the end: the position is part of the encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Makes a key.
    CreateKey(CreateKey),
    /// Replaces the description of a key.
    UpdateKeyDescription {
        /// The key.
        key_id: KeyId,
        /// 0 to 8,192 characters.
        description: String,
    },
    /// Makes a key usable.
    EnableKey(KeyId),
    /// Makes a key unusable until it is enabled again.
    DisableKey(KeyId),
    /// Starts the waiting period of a deletion.
    ScheduleKeyDeletion {
        /// The key.
        key_id: KeyId,
        /// 7 to 30 days.
        window_days: u32,
    },
    /// Ends the waiting period of a deletion; the key stays, disabled.
    CancelKeyDeletion(KeyId),
    /// Makes an alias.
    CreateAlias(AliasTarget),
    /// Points an alias at another key.
    UpdateAlias(AliasTarget),
    /// Removes an alias.
    DeleteAlias {
        /// Owner.
        account: AccountId,
        /// Name.
        name: AliasName,
    },
    /// Adds or replaces tags.
    TagResource {
        /// The key.
        key_id: KeyId,
        /// Tag key to value.
        tags: BTreeMap<String, String>,
    },
    /// Removes tags.
    UntagResource {
        /// The key.
        key_id: KeyId,
        /// Tag keys; unknown ones are passed over.
        tag_keys: BTreeSet<String>,
    },
    /// Replaces the key policy.
    PutKeyPolicy {
        /// The key.
        key_id: KeyId,
        /// The document, verbatim.
        policy: String,
    },
    /// Adds a domain key; the newest one seals new material.
    AddDomainKey(WrappedDomainKey),
    /// Lets time pass: whatever is due at the command's time is done.
    Tick,
    /// Commits a primary to a replica in another Region.
    ReserveReplica(ReserveReplica),
    /// Applies one message of another Region.
    ApplyMessage {
        /// The Region that sent it.
        from: Region,
        /// Its place in the link.
        sequence: u64,
        /// When it was committed over there.
        committed_at: Timestamp,
        /// The message, its material (if any) sealed for this Region.
        message: Delivered,
    },
    /// Drops messages that the other Region has applied.
    AcknowledgeOutbox {
        /// The other Region; this Region's own name for published events.
        to: Region,
        /// The newest sequence number that is done.
        through: u64,
    },
    /// Switches automatic rotation on, or changes its period.
    EnableKeyRotation {
        /// The key.
        key_id: KeyId,
        /// 90 to 2,560 days.
        period_days: u32,
    },
    /// Switches automatic rotation off.
    DisableKeyRotation(KeyId),
    /// Rotates the material of a key.
    RotateKey(RotateKey),
    /// Hands the role of the primary of a set to another Region.
    UpdatePrimaryRegion(UpdatePrimaryRegion),
    /// Makes a grant, or finds the one that a named request made before.
    CreateGrant(CreateGrant),
    /// Ends a grant.
    EndGrant {
        /// The key.
        key_id: KeyId,
        /// The grant.
        grant_id: GrantId,
    },
    /// Takes in the last uses of keys that a node has gathered.
    RecordUsage(Vec<UsageRecord>),
    /// Imports a version of the material of a key.
    ImportMaterial(ImportMaterial),
    /// Removes a version of imported material; the key stays.
    DeleteImportedMaterial {
        /// The key.
        key_id: KeyId,
        /// The version; `None` for the one that encrypts.
        material_id: Option<KeyMaterialId>,
    },
    /// Changes identities.
    Identity(Box<IdentityChange>),
}

impl Op {
    /// The version of the encoding that brought this operation.
    const fn format(&self) -> u8 {
        match self {
            Self::CreateKey(_)
            | Self::UpdateKeyDescription { .. }
            | Self::EnableKey(_)
            | Self::DisableKey(_)
            | Self::ScheduleKeyDeletion { .. }
            | Self::CancelKeyDeletion(_)
            | Self::CreateAlias(_)
            | Self::UpdateAlias(_)
            | Self::DeleteAlias { .. }
            | Self::TagResource { .. }
            | Self::UntagResource { .. }
            | Self::PutKeyPolicy { .. }
            | Self::AddDomainKey(_)
            | Self::Tick
            | Self::ReserveReplica(_)
            | Self::AcknowledgeOutbox { .. } => 1,
            Self::ApplyMessage { message, .. } => message.format(),
            Self::EnableKeyRotation { .. }
            | Self::DisableKeyRotation(_)
            | Self::RotateKey(_)
            | Self::UpdatePrimaryRegion(_)
            | Self::CreateGrant(_)
            | Self::EndGrant { .. }
            | Self::RecordUsage(_)
            | Self::ImportMaterial(_)
            | Self::DeleteImportedMaterial { .. } => 2,
            Self::Identity(_) => 3,
        }
    }
}

/// A new key, with its material sealed by the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateKey {
    /// Key ID, drawn by the leader; its form tells whether the key is multi-Region.
    pub key_id: KeyId,
    /// Owner.
    pub account: AccountId,
    /// Kind of the material.
    pub spec: KeySpec,
    /// Purpose.
    pub usage: KeyUsageType,
    /// Where the material comes from.
    pub origin: OriginType,
    /// Description.
    pub description: String,
    /// Policy, verbatim; `None` for the default policy.
    pub policy: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The first version of the material; `None` for keys that wait for an import.
    pub material: Option<NewMaterial>,
}

/// A new version of key material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMaterial {
    /// Its id.
    pub id: KeyMaterialId,
    /// Its sealed bytes.
    pub sealed: SealedMaterial,
}

/// A rotation: one that is due, or one that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateKey {
    /// The key.
    pub key_id: KeyId,
    /// A rotation that is not due any more changes nothing; one on demand may be refused.
    pub kind: RotationType,
    /// The new version; `None` for imported material, which waits in the state.
    pub material: Option<NewMaterial>,
}

/// A change of the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatePrimaryRegion {
    /// The primary.
    pub key_id: KeyId,
    /// Where the replica is that shall be the primary.
    pub region: Region,
    /// Who asked, for the audit trail of the other Region, as the service writes it down. The state machine does not read it.
    pub request: Vec<u8>,
}

/// A new grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateGrant {
    /// The key.
    pub key_id: KeyId,
    /// Grant ID, drawn by the leader.
    pub grant_id: GrantId,
    /// The name that makes repeated requests one.
    pub name: Option<String>,
    /// The account that makes it.
    pub issuing_account: AccountId,
    /// What it gives.
    pub terms: GrantTerms,
}

/// Material that somebody else made, unwrapped, checked and sealed by the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportMaterial {
    /// The key.
    pub key_id: KeyId,
    /// The material. Its id follows from key and bytes, so that the same material always has the same id.
    pub material: NewMaterial,
    /// What the importer says that it is; `None` for new with a key that never had any, for known with any other.
    pub kind: Option<ImportKind>,
    /// Its description; `None` to keep the one that it has.
    pub description: Option<String>,
    /// When it expires; `None` if it does not.
    pub valid_to: Option<Timestamp>,
}

/// Whether a key has known the material before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportKind {
    /// Never before: the first one, or one that is to become current.
    New,
    /// It was imported before.
    Existing,
}

/// An alias and the key that it shall name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasTarget {
    /// Owner of both.
    pub account: AccountId,
    /// Name.
    pub name: AliasName,
    /// The key.
    pub target: KeyId,
}

/// A replica that a primary shall get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveReplica {
    /// The primary.
    pub key_id: KeyId,
    /// Where the replica shall be.
    pub region: Region,
    /// Creation date of the replica.
    pub created_at: Timestamp,
    /// Description of the replica.
    pub description: String,
    /// Policy of the replica, verbatim; `None` for the default policy.
    pub policy: Option<String>,
    /// Tags of the replica.
    pub tags: BTreeMap<String, String>,
}
