//! The ciphertext blob of symmetric encryption keys: self-describing, versioned, committed to its key.
//!
//! | offset | bytes | format version 1 |
//! |---|---|---|
//! | 0 | 3 | `MRD` |
//! | 3 | 1 | format version, 1 |
//! | 4 | 1 | algorithm, 1 = AES-256-GCM, 2 = SM4-GCM |
//! | 5 | 17 | key ID |
//! | 22 | 32 | key material ID |
//! | 54 | 16 | salt |
//! | 70 | 12 | iv |
//! | 82 | 32 | commitment |
//! | 114 | n + 16 | ciphertext and tag |
//!
//! Key and commitment of each message are derived from the key material and the salt ([`crate::kdf`]), so no number of
//! messages wears a key out. The commitment makes one blob open under one key material only, which AES-GCM alone does not
//! (Albertini and others, "How to Abuse and Fix Authenticated Encryption Without Key Commitment", 2022). The associated
//! data is everything before the ciphertext, then the encryption context.
//!
//! The algorithm is that of the key material, never one that a request or a blob chooses: AES-256-GCM, or SM4-GCM for material
//! that was made in the partition `aws-cn`. An SM4 key of a message is the first half of what is derived.
//!
//! Always true: nothing in a blob names a Region or account, so every key of a multi-Region set opens it.

use std::collections::BTreeMap;

use meridian_model::{KeyId, KeyMaterialId};
use subtle::ConstantTimeEq;

use crate::aead::{AeadKey, NONCE_LEN, NotAuthentic, Sm4Gcm, TAG_LEN};
use crate::mac::MacKey;
use crate::material::KeyMaterial;
use crate::random::{self, RandomError};
use crate::secret::{Secret, SecretBytes};
use crate::{canonical, kdf, labels};

/// By how many bytes a blob is longer than its plaintext: the largest plaintext of `Encrypt`, 4096 bytes, gives 4226.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// Longest plaintext in bytes: 4096 from callers of `Encrypt`, more for the private keys of data key pairs.
pub const PLAINTEXT_LEN_MAX: usize = 64 * 1024;

/// Why a blob was not opened. Callers learn only that it is invalid; the reason is for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCiphertext {
    /// Shorter than an empty plaintext makes it, or longer than the longest.
    #[error("{len} bytes cannot be a ciphertext blob")]
    Length {
        /// Length of the blob in bytes.
        len: usize,
    },
    /// Does not begin like a blob of this service.
    #[error("not a ciphertext blob of this service")]
    Foreign,
    /// Made by a version that this one does not know.
    #[error("format version {version} with algorithm {algorithm} is not known to this version")]
    UnknownFormat {
        /// Format version.
        version: u8,
        /// Algorithm byte.
        algorithm: u8,
    },
    /// The key ID is malformed.
    #[error("the key ID is malformed")]
    MalformedKeyId,
    /// Names another KMS key or key material than the one it was to be opened with.
    #[error("encrypted under other key material")]
    OtherMaterial,
    /// Damaged, or the encryption context or key material differs.
    #[error("the ciphertext or its encryption context is not authentic")]
    NotAuthentic,
}

/// Why nothing was encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// The plaintext is longer than [`PLAINTEXT_LEN_MAX`].
    #[error("a plaintext of {len} bytes is longer than the maximum of {PLAINTEXT_LEN_MAX}")]
    TooLong {
        /// Length of the plaintext in bytes.
        len: usize,
    },
    /// The generator failed.
    #[error("no salt could be drawn")]
    Random(#[source] RandomError),
}

/// What a blob says about itself. Nothing in it is authenticated before the blob is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CiphertextHeader {
    /// The KMS key it was encrypted under.
    pub key_id: KeyId,
    /// The key material it was encrypted under.
    pub material_id: KeyMaterialId,
    algorithm: Algorithm,
    salt: [u8; SALT_LEN],
    iv: [u8; NONCE_LEN],
    commitment: [u8; COMMITMENT_LEN],
}

impl CiphertextHeader {
    /// Reads the header of `blob`.
    ///
    /// # Errors
    /// If `blob` cannot be a ciphertext of this service in a format known to this version.
    pub fn parse(blob: &[u8]) -> Result<Self, InvalidCiphertext> {
        if !(OVERHEAD..=OVERHEAD + PLAINTEXT_LEN_MAX).contains(&blob.len()) {
            return Err(InvalidCiphertext::Length { len: blob.len() });
        }
        let mut rest = blob;
        if take::<3>(&mut rest) != *MAGIC {
            return Err(InvalidCiphertext::Foreign);
        }
        let [version, algorithm] = take(&mut rest);
        let known = Algorithm::from_byte(algorithm).filter(|_| version == FORMAT_VERSION);
        Ok(Self {
            algorithm: known.ok_or(InvalidCiphertext::UnknownFormat { version, algorithm })?,
            key_id: KeyId::from_bytes(take(&mut rest)).ok_or(InvalidCiphertext::MalformedKeyId)?,
            material_id: KeyMaterialId::from_bytes(take(&mut rest)),
            salt: take(&mut rest),
            iv: take(&mut rest),
            commitment: take(&mut rest),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[FORMAT_VERSION, self.algorithm as u8]);
        out.extend_from_slice(&self.key_id.to_bytes());
        out.extend_from_slice(self.material_id.as_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.iv);
        out.extend_from_slice(&self.commitment);
    }
}

/// The key material of a symmetric encryption key, prepared for encrypting and decrypting many times.
///
/// Lives in memory for secrets. Whoever caches one drops it as soon as the key may not be used any more.
#[derive(Debug)]
pub struct MaterialCipher {
    algorithm: Algorithm,
    prepared: MacKey,
    key_id: KeyId,
    material_id: KeyMaterialId,
}

impl MaterialCipher {
    /// Prepares `material`, which is that of `key_id` with the id `material_id`, for AES-256-GCM.
    #[must_use]
    pub fn new(material: &Secret<32>, key_id: KeyId, material_id: KeyMaterialId) -> Self {
        Self { algorithm: Algorithm::Aes256Gcm, prepared: MacKey::new(material.expose()), key_id, material_id }
    }

    /// Prepares `material`, which is that of `key_id` with the id `material_id`, for the algorithm that it was made for; `None` if
    /// it is not that of a symmetric encryption key.
    #[must_use]
    pub fn of(material: &KeyMaterial, key_id: KeyId, material_id: KeyMaterialId) -> Option<Self> {
        match material {
            KeyMaterial::Symmetric(bytes) => Some(Self::new(bytes, key_id, material_id)),
            KeyMaterial::Sm4(bytes) => {
                let prepared = MacKey::new(bytes.expose());
                Some(Self { algorithm: Algorithm::Sm4Gcm, prepared, key_id, material_id })
            }
            KeyMaterial::Hmac(_) | KeyMaterial::Private(_) => None,
        }
    }

    /// The KMS key whose material this is.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Which key material this is.
    #[must_use]
    pub const fn material_id(&self) -> KeyMaterialId {
        self.material_id
    }

    /// Encrypts `plaintext`, at most [`PLAINTEXT_LEN_MAX`] bytes, so that it opens with the same `context` only.
    ///
    /// # Errors
    /// If the plaintext is too long or the generator fails.
    pub fn encrypt(&self, context: &BTreeMap<String, String>, plaintext: &[u8]) -> Result<Vec<u8>, EncryptError> {
        if plaintext.len() > PLAINTEXT_LEN_MAX {
            return Err(EncryptError::TooLong { len: plaintext.len() });
        }
        let drawn = random::random_bytes::<{ SALT_LEN + NONCE_LEN }>().map_err(EncryptError::Random)?;
        let mut rest = &drawn[..];
        let (salt, iv) = (take(&mut rest), take(&mut rest));
        Ok(self.encrypt_with(salt, iv, context, plaintext))
    }

    /// Decrypts a blob that [`MaterialCipher::encrypt`] made with the same material and `context`.
    ///
    /// # Errors
    /// If the blob is malformed, names other key material, or is not authentic.
    pub fn decrypt(&self, blob: &[u8], context: &BTreeMap<String, String>) -> Result<SecretBytes, InvalidCiphertext> {
        let header = CiphertextHeader::parse(blob)?;
        if (header.key_id, header.material_id) != (self.key_id, self.material_id) {
            return Err(InvalidCiphertext::OtherMaterial);
        }
        if header.algorithm != self.algorithm {
            return Err(InvalidCiphertext::NotAuthentic);
        }
        if !bool::from(self.commitment(header.salt).ct_eq(&header.commitment)) {
            return Err(InvalidCiphertext::NotAuthentic);
        }
        let (head, sealed) = blob.split_at(HEADER_LEN);
        self.message_key(header.salt)
            .open(&header.iv, &associated_data(head, context), sealed)
            .map_err(|_| InvalidCiphertext::NotAuthentic)
    }

    fn encrypt_with(
        &self,
        salt: [u8; SALT_LEN],
        iv: [u8; NONCE_LEN],
        context: &BTreeMap<String, String>,
        plaintext: &[u8],
    ) -> Vec<u8> {
        let (key_id, material_id) = (self.key_id, self.material_id);
        let (algorithm, commitment) = (self.algorithm, self.commitment(salt));
        let header = CiphertextHeader { key_id, material_id, algorithm, salt, iv, commitment };
        let mut blob = Vec::with_capacity(plaintext.len() + OVERHEAD);
        header.write(&mut blob);
        let associated_data = associated_data(&blob, context);
        blob.extend_from_slice(plaintext);
        let tag = self.message_key(salt).seal_in_place(&iv, &associated_data, &mut blob[HEADER_LEN..]);
        blob.extend_from_slice(&tag);
        blob
    }

    fn message_key(&self, salt: [u8; SALT_LEN]) -> MessageKey {
        match self.algorithm {
            Algorithm::Aes256Gcm => {
                MessageKey::Aes256Gcm(AeadKey::new(&kdf::derive(&self.prepared, labels::MESSAGE_KEY, &salt)))
            }
            Algorithm::Sm4Gcm => {
                let derived = kdf::derive(&self.prepared, labels::SM4_MESSAGE_KEY, &salt);
                let key = derived.first_chunk().expect("256 bits were derived");
                MessageKey::Sm4Gcm(AeadKey::sm4(key))
            }
        }
    }

    fn commitment(&self, salt: [u8; SALT_LEN]) -> [u8; COMMITMENT_LEN] {
        let label = match self.algorithm {
            Algorithm::Aes256Gcm => labels::MESSAGE_COMMITMENT,
            Algorithm::Sm4Gcm => labels::SM4_MESSAGE_COMMITMENT,
        };
        *kdf::derive(&self.prepared, label, &salt)
    }
}

/// The algorithm byte of a blob. A value means the same for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Aes256Gcm = 1,
    Sm4Gcm = 2,
}

impl Algorithm {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Aes256Gcm, Self::Sm4Gcm].into_iter().find(|algorithm| *algorithm as u8 == byte)
    }
}

/// The expanded key of one message.
#[allow(clippy::large_enum_variant)] // it lives on the stack for one message, and the large variant is the common one
enum MessageKey {
    Aes256Gcm(AeadKey),
    Sm4Gcm(AeadKey<Sm4Gcm>),
}

impl MessageKey {
    fn open(&self, iv: &[u8; NONCE_LEN], associated_data: &[u8], sealed: &[u8]) -> Result<SecretBytes, NotAuthentic> {
        match self {
            Self::Aes256Gcm(key) => key.open(iv, associated_data, sealed),
            Self::Sm4Gcm(key) => key.open(iv, associated_data, sealed),
        }
    }

    fn seal_in_place(&self, iv: &[u8; NONCE_LEN], associated_data: &[u8], buffer: &mut [u8]) -> [u8; TAG_LEN] {
        match self {
            Self::Aes256Gcm(key) => key.seal_in_place(iv, associated_data, buffer),
            Self::Sm4Gcm(key) => key.seal_in_place(iv, associated_data, buffer),
        }
    }
}

/// The header has a fixed length, so appending the context keeps the whole injective.
fn associated_data(header: &[u8], context: &BTreeMap<String, String>) -> Vec<u8> {
    let mut data = Vec::with_capacity(header.len() + canonical::context_len(context));
    data.extend_from_slice(header);
    canonical::push_context(&mut data, context);
    data
}

/// Cuts `N` bytes off the front of `rest`.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (front, back) = rest.split_first_chunk().expect("the length was checked before the first field was read");
    *rest = back;
    *front
}

const MAGIC: &[u8; 3] = b"MRD";
const FORMAT_VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const COMMITMENT_LEN: usize = 32;
const HEADER_LEN: usize = MAGIC.len() + 2 + 17 + 32 + SALT_LEN + NONCE_LEN + COMMITMENT_LEN;

#[cfg(test)]
mod tests;
