//! Sealed forms: the only shapes in which key bytes may be stored, logged by Raft, backed up or sent.

use std::fmt;

use meridian_model::Timestamp;
use serde::{Deserialize, Serialize};

/// Id of a domain key: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DomainKeyId(pub [u8; 16]);

impl fmt::Display for DomainKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DomainKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A domain key wrapped by the Region's root key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedDomainKey {
    /// Which domain key this is.
    pub id: DomainKeyId,
    /// When it was made; the newest one seals new material.
    pub created_at: Timestamp,
    /// AES-256-GCM nonce of the wrapping.
    pub nonce: [u8; 12],
    /// The wrapped key and its tag.
    pub ciphertext: Vec<u8>,
}

/// Key material sealed by a domain key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedMaterial {
    /// The domain key that seals it.
    pub domain_key_id: DomainKeyId,
    /// AES-256-GCM nonce of the sealing.
    pub nonce: [u8; 12],
    /// The sealed material and its tag.
    pub ciphertext: Vec<u8>,
}

/// A secret of an identity sealed by a domain key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// The domain key that seals it.
    pub domain_key_id: DomainKeyId,
    /// AES-256-GCM nonce of the sealing.
    pub nonce: [u8; 12],
    /// The sealed secret and its tag.
    pub ciphertext: Vec<u8>,
}
