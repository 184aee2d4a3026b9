//! Imported key material on its way in: wrapping keys, import tokens, unwrapping, and the id of what was imported.
//!
//! A wrapping key is an RSA key, or an SM2 key in Regions of aws-cn, made for one import. Its private half is kept nowhere: it travels inside of the import
//! token, sealed by a domain key, so that any node of the Region can finish what another one began, and nothing has to be
//! remembered or cleaned up.
//!
//! Always true: a token opens for the one KMS key that it was made for, and says what it said when it was made.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use meridian_model::{
    AccountId, AlgorithmSpec, EncryptionAlgorithmSpec, KeyArn, KeyId, KeyMaterialId, KeySpec, KeyUsageType, Partition,
    Timestamp, WireEnum, WrappingKeySpec,
};

use crate::aead::{KEY_LEN, NONCE_LEN, TAG_LEN};
use crate::asymmetric::rsa::MAX_PKCS8_LEN;
use crate::canonical::Canonical;
use crate::hierarchy::DomainKey;
use crate::mac::MacKey;
use crate::material::KeyMaterial;
use crate::prepared::PreparedKey;
use crate::random::RandomError;
use crate::sealed::DomainKeyId;
use crate::secret::{AEAD_STACK, SecretBytes, on_wiped_stack};
use crate::{kdf, labels};

/// Longest import token in bytes, by the API model.
pub const MAX_TOKEN_LEN: usize = 6_144;

/// The length of a block of AES key wrapping (RFC 5649): wrapped keys are two or more of them.
const SEMIBLOCK: usize = 8;

/// Not a token of this domain key for this KMS key, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an import token for this key")]
pub struct InvalidImportToken;

/// The key material does not unwrap, for whatever reason; which step failed must not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key material does not unwrap")]
pub struct NotUnwrapped;

/// How material is to be wrapped, and until when it may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportParameters {
    /// Kind of the wrapping key.
    pub wrapping_spec: WrappingKeySpec,
    /// How it wraps.
    pub algorithm: AlgorithmSpec,
    /// When the token expires.
    pub valid_to: Timestamp,
}

/// Whether AWS KMS takes imports of keys of `spec` in Regions of `partition`: in aws-cn of symmetric encryption keys alone.
#[must_use]
pub const fn is_importable(partition: Partition, spec: KeySpec) -> bool {
    match partition {
        Partition::AwsCn => matches!(spec, KeySpec::SymmetricDefault),
        Partition::Aws | Partition::AwsUsGov => is_rsa(spec) || is_ecc(spec) || is_symmetric(spec),
    }
}

/// Whether material of `spec` may be wrapped like this (AWS KMS Developer Guide, "Select a wrapping algorithm").
///
/// The guide lists the hybrid algorithms for private keys only, and says beside the list that they serve every type.
#[must_use]
pub const fn is_offered(
    partition: Partition,
    spec: KeySpec,
    wrapping_spec: WrappingKeySpec,
    algorithm: AlgorithmSpec,
) -> bool {
    if !is_importable(partition, spec) {
        return false;
    }
    match (algorithm, wrapping_spec) {
        (AlgorithmSpec::Sm2pke, WrappingKeySpec::Sm2) => matches!(partition, Partition::AwsCn),
        (AlgorithmSpec::RsaesPkcs1V15 | AlgorithmSpec::Sm2pke, _) | (_, WrappingKeySpec::Sm2) => false,
        (AlgorithmSpec::RsaAesKeyWrapSha1 | AlgorithmSpec::RsaAesKeyWrapSha256, _) => true,
        // A private key on P-521 is too long for what one block of a 2048-bit key encrypts.
        (AlgorithmSpec::RsaesOaepSha1 | AlgorithmSpec::RsaesOaepSha256, WrappingKeySpec::Rsa2048) => {
            !is_rsa(spec) && !matches!(spec, KeySpec::EccNistP521)
        }
        (AlgorithmSpec::RsaesOaepSha1 | AlgorithmSpec::RsaesOaepSha256, _) => !is_rsa(spec),
    }
}

/// The spec of the key that serves as a wrapping key.
#[must_use]
pub const fn key_spec(wrapping_spec: WrappingKeySpec) -> KeySpec {
    match wrapping_spec {
        WrappingKeySpec::Rsa2048 => KeySpec::Rsa2048,
        WrappingKeySpec::Rsa3072 => KeySpec::Rsa3072,
        WrappingKeySpec::Rsa4096 => KeySpec::Rsa4096,
        WrappingKeySpec::Sm2 => KeySpec::Sm2,
    }
}

impl KeyMaterial {
    /// The id of this material as imported material of one KMS key: the same for the same material, for ever and in every
    /// Region, and different for any other material or key.
    ///
    /// A pseudorandom function keyed by the material, so that it tells nothing about material that cannot be guessed. Who
    /// imports a guessable secret has to know that the id confirms a right guess.
    #[must_use]
    pub fn imported_id(&self, account: AccountId, key_id: KeyId) -> KeyMaterialId {
        let context = Canonical::labelled(labels::IMPORTED_MATERIAL_ID)
            .field(account.to_string().as_bytes())
            .field(&key_id.to_bytes())
            .field(self.spec().as_str().as_bytes())
            .finish();
        let derive = || *kdf::derive(&MacKey::new(self.encode().expose()), labels::IMPORTED_MATERIAL_ID, &context);
        KeyMaterialId::from_bytes(on_wiped_stack::<AEAD_STACK, _>(derive))
    }
}

impl DomainKey {
    /// An import token for `key`, with the private half of the wrapping key `private` in it.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn seal_import_token(
        &self,
        key: &KeyArn,
        parameters: &ImportParameters,
        private: &KeyMaterial,
    ) -> Result<Vec<u8>, RandomError> {
        let head = Head { domain_key_id: self.id(), parameters: *parameters }.encode();
        let (nonce, ciphertext) = self.seal_bytes(&bound(&head, key), &private.encode())?;
        Ok([&head[..], &nonce, &ciphertext].concat())
    }

    /// The wrapping key in a token that [`DomainKey::seal_import_token`] made for `key`.
    ///
    /// # Errors
    /// If the token is for another key, was made by another domain key, or differs in any bit.
    pub fn open_import_token(&self, key: &KeyArn, token: &ImportToken<'_>) -> Result<WrappingKey, InvalidImportToken> {
        let opened = self.open_bytes(&bound(token.head, key), token.nonce, token.ciphertext);
        let private = KeyMaterial::decode(&opened.map_err(|_| InvalidImportToken)?).map_err(|_| InvalidImportToken)?;
        Ok(WrappingKey { parameters: token.parsed.parameters, private })
    }
}

fn bound(head: &[u8], key: &KeyArn) -> Vec<u8> {
    Canonical::labelled(labels::IMPORT_TOKEN).field(head).field(key.to_string().as_bytes()).finish()
}

/// A token as it came: its parts, none of which is to be believed before it was opened.
#[derive(Debug)]
pub struct ImportToken<'a> {
    parsed: Head,
    head: &'a [u8],
    nonce: &'a [u8; NONCE_LEN],
    ciphertext: &'a [u8],
}

impl<'a> ImportToken<'a> {
    /// Finds the parts of a token.
    ///
    /// # Errors
    /// If the bytes cannot be one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidImportToken> {
        if bytes.len() > MAX_TOKEN_LEN {
            return Err(InvalidImportToken);
        }
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>().ok_or(InvalidImportToken)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(InvalidImportToken)?;
        if ciphertext.len() <= TAG_LEN {
            return Err(InvalidImportToken);
        }
        Ok(Self { parsed: Head::decode(head).ok_or(InvalidImportToken)?, head, nonce, ciphertext })
    }

    /// The domain key that the token says it was sealed by.
    #[must_use]
    pub const fn domain_key_id(&self) -> DomainKeyId {
        self.parsed.domain_key_id
    }
}

/// What a token says in clear, which is authenticated: version, domain key, wrapping spec, algorithm, expiry.
#[derive(Clone, Copy, Debug)]
struct Head {
    domain_key_id: DomainKeyId,
    parameters: ImportParameters,
}

const HEAD_LEN: usize = 1 + 16 + 1 + 1 + 8;
const TOKEN_VERSION: u8 = 1;

/// Numbers of the wrapping specs in tokens.
const WRAPPING_SPECS: [(u8, WrappingKeySpec); 4] = [
    (1, WrappingKeySpec::Rsa2048),
    (2, WrappingKeySpec::Rsa3072),
    (3, WrappingKeySpec::Rsa4096),
    (4, WrappingKeySpec::Sm2),
];
/// Numbers of the wrapping algorithms in tokens.
const ALGORITHMS: [(u8, AlgorithmSpec); 5] = [
    (1, AlgorithmSpec::RsaesOaepSha1),
    (2, AlgorithmSpec::RsaesOaepSha256),
    (3, AlgorithmSpec::RsaAesKeyWrapSha1),
    (4, AlgorithmSpec::RsaAesKeyWrapSha256),
    (5, AlgorithmSpec::Sm2pke),
];

impl Head {
    fn encode(&self) -> [u8; HEAD_LEN] {
        let ImportParameters { wrapping_spec, algorithm, valid_to } = self.parameters;
        let mut bytes = [0; HEAD_LEN];
        bytes[0] = TOKEN_VERSION;
        bytes[1..17].copy_from_slice(&self.domain_key_id.0);
        bytes[17] = number_of(&WRAPPING_SPECS, wrapping_spec);
        bytes[18] = number_of(&ALGORITHMS, algorithm);
        bytes[19..].copy_from_slice(&valid_to.as_millis().to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEAD_LEN]) -> Option<Self> {
        if bytes[0] != TOKEN_VERSION {
            return None;
        }
        let parameters = ImportParameters {
            wrapping_spec: value_of(&WRAPPING_SPECS, bytes[17])?,
            algorithm: value_of(&ALGORITHMS, bytes[18])?,
            valid_to: Timestamp::from_millis(u64::from_be_bytes(bytes[19..].try_into().ok()?)),
        };
        Some(Self { domain_key_id: DomainKeyId(bytes[1..17].try_into().ok()?), parameters })
    }
}

fn number_of<T: Copy + PartialEq>(table: &[(u8, T)], value: T) -> u8 {
    let found = table.iter().find(|(_, of)| *of == value);
    found.expect("parameters are checked by `is_offered` before a token is made").0
}

fn value_of<T: Copy>(table: &[(u8, T)], number: u8) -> Option<T> {
    table.iter().find(|(known, _)| *known == number).map(|(_, value)| *value)
}

/// The private half of a wrapping key, out of its token.
#[derive(Debug)]
pub struct WrappingKey {
    parameters: ImportParameters,
    private: KeyMaterial,
}

impl WrappingKey {
    /// What the token was made for.
    #[must_use]
    pub const fn parameters(&self) -> ImportParameters {
        self.parameters
    }

    /// Unwraps key material. Blocks for some milliseconds.
    ///
    /// # Errors
    /// If it was wrapped by another key or in another way, or was damaged.
    pub fn unwrap_material(&self, wrapped: &[u8]) -> Result<SecretBytes, NotUnwrapped> {
        match self.parameters.algorithm {
            AlgorithmSpec::RsaesOaepSha1 => self.decrypt(EncryptionAlgorithmSpec::RsaesOaepSha1, wrapped),
            AlgorithmSpec::RsaesOaepSha256 => self.decrypt(EncryptionAlgorithmSpec::RsaesOaepSha256, wrapped),
            AlgorithmSpec::Sm2pke => self.decrypt(EncryptionAlgorithmSpec::Sm2pke, wrapped),
            AlgorithmSpec::RsaAesKeyWrapSha1 => self.unwrap_hybrid(EncryptionAlgorithmSpec::RsaesOaepSha1, wrapped),
            AlgorithmSpec::RsaAesKeyWrapSha256 => self.unwrap_hybrid(EncryptionAlgorithmSpec::RsaesOaepSha256, wrapped),
            AlgorithmSpec::RsaesPkcs1V15 => Err(NotUnwrapped),
        }
    }

    /// An AES key under the wrapping key, then the material under the AES key.
    fn unwrap_hybrid(&self, oaep: EncryptionAlgorithmSpec, wrapped: &[u8]) -> Result<SecretBytes, NotUnwrapped> {
        let by_rsa = modulus_len(self.parameters.wrapping_spec).ok_or(NotUnwrapped)?;
        let (encrypted, by_aes) = wrapped.split_at_checked(by_rsa).ok_or(NotUnwrapped)?;
        let is_possible = by_aes.len() >= 2 * SEMIBLOCK && by_aes.len() <= MAX_PKCS8_LEN + 2 * SEMIBLOCK;
        if !is_possible || !by_aes.len().is_multiple_of(SEMIBLOCK) {
            return Err(NotUnwrapped);
        }
        unwrap_with_padding(&self.decrypt(oaep, encrypted)?, by_aes)
    }

    fn decrypt(&self, algorithm: EncryptionAlgorithmSpec, encrypted: &[u8]) -> Result<SecretBytes, NotUnwrapped> {
        let key = PreparedKey::new(&self.private, KeyUsageType::EncryptDecrypt).map_err(|_| NotUnwrapped)?;
        key.decrypt(algorithm, encrypted).map_err(|_| NotUnwrapped)
    }
}

/// AES-256 key unwrapping with padding (RFC 5649, NIST SP 800-38F section 6.3).
fn unwrap_with_padding(key: &SecretBytes, wrapped: &[u8]) -> Result<SecretBytes, NotUnwrapped> {
    if key.len() != KEY_LEN {
        return Err(NotUnwrapped);
    }
    let mut len = 0;
    let mut unwrap = |buffer: &mut [u8]| {
        let kek = AesKek::new(&AES_256, key.expose())?; // wipes its copy of the key
        len = kek.unwrap_with_padding(wrapped, buffer)?.len();
        Ok::<_, aws_lc_rs::error::Unspecified>(())
    };
    let buffer = on_wiped_stack::<AEAD_STACK, _>(|| SecretBytes::try_init(wrapped.len(), &mut unwrap));
    let buffer = buffer.map_err(|_| NotUnwrapped)?;
    Ok(SecretBytes::copy_from(&buffer.expose()[..len]))
}

/// Length of what an RSA key of a wrapping spec encrypts to.
const fn modulus_len(spec: WrappingKeySpec) -> Option<usize> {
    match spec {
        WrappingKeySpec::Rsa2048 => Some(256),
        WrappingKeySpec::Rsa3072 => Some(384),
        WrappingKeySpec::Rsa4096 => Some(512),
        WrappingKeySpec::Sm2 => None,
    }
}

const fn is_rsa(spec: KeySpec) -> bool {
    matches!(spec, KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096)
}

const fn is_ecc(spec: KeySpec) -> bool {
    matches!(spec, KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 | KeySpec::EccSecgP256k1)
}

const fn is_symmetric(spec: KeySpec) -> bool {
    matches!(
        spec,
        KeySpec::SymmetricDefault | KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512
    )
}

#[cfg(test)]
mod tests;
