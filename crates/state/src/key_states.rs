//! Which key state allows what: the key-state table of the AWS KMS Developer Guide as data.

use std::sync::Arc;

use meridian_model::{KeyArn, KeyId, KeyState, ServiceError};

use crate::apply::Draft;
use crate::rows::KeyRecord;

/// What an operation needs of the state of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Works in every state: reading, key policies, grants that end, aliases that go.
    Any,
    /// Cryptography, GetPublicKey and UpdatePrimaryRegion: enabled, or enabled and updating.
    Usable,
    /// CreateGrant: as [`Requirement::Usable`], or only the key store of the key is out of reach.
    Grantable,
    /// ReplicateKey: usable and not just changing its primary.
    Replicable,
    /// EnableKey, DisableKey.
    Switchable,
    /// Description, tags, and being the target of an alias: anything but pending deletion.
    Editable,
    /// ScheduleKeyDeletion.
    Deletable,
    /// CancelKeyDeletion.
    PendingDeletion,
    /// GetParametersForImport: anything but pending deletion, creating and updating.
    Wrappable,
    /// ImportKeyMaterial: as before, and while updating.
    Importable,
    /// DeleteImportedKeyMaterial: anything but creating and updating.
    Emptiable,
}

impl Requirement {
    /// Whether a key in `state` meets the requirement.
    #[must_use]
    pub const fn allows(self, state: KeyState) -> bool {
        use KeyState as S;
        match self {
            Self::Any => true,
            Self::Usable => matches!(state, S::Enabled | S::Updating),
            Self::Grantable => matches!(state, S::Enabled | S::Updating | S::Unavailable),
            Self::Replicable => matches!(state, S::Enabled),
            Self::Switchable => matches!(state, S::Enabled | S::Disabled | S::Unavailable),
            Self::Editable => !matches!(state, S::PendingDeletion | S::PendingReplicaDeletion),
            Self::Deletable => !matches!(state, S::PendingDeletion | S::PendingReplicaDeletion | S::Updating),
            Self::PendingDeletion => matches!(state, S::PendingDeletion | S::PendingReplicaDeletion),
            Self::Wrappable => matches!(state, S::Enabled | S::Disabled | S::PendingImport),
            Self::Importable => matches!(state, S::Enabled | S::Disabled | S::PendingImport | S::Updating),
            Self::Emptiable => !matches!(state, S::Creating | S::Updating | S::Unavailable),
        }
    }

    /// Checks `state` of `key`.
    ///
    /// # Errors
    /// The service's own exception for the state, with its exact message.
    pub fn check(self, key: &KeyArn, state: KeyState) -> Result<(), ServiceError> {
        match self {
            _ if self.allows(state) => Ok(()),
            Self::PendingDeletion => Err(ServiceError::not_pending_deletion(key)),
            _ => Err(ServiceError::key_state(key, state)),
        }
    }
}

impl<'a> Draft<'a> {
    /// The key, if its state meets `requirement`.
    pub(crate) fn require(&self, key_id: KeyId, requirement: Requirement) -> Result<&'a Arc<KeyRecord>, ServiceError> {
        let key = self.key(key_id)?;
        requirement.check(&self.state.key_arn(key), key.state)?;
        Ok(key)
    }
}
