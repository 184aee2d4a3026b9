//! Ed25519 and Ed25519ph without a context (RFC 8032).
//!
//! The message of Ed25519ph is the digest that a caller made: AWS KMS hashes it once more with SHA-512, as the algorithm does with
//! any message. Whoever verifies elsewhere gives the digest, not what was digested, to an Ed25519ph that hashes by itself.
//!
//! Material is the private key of the RFC: 32 random bytes, from which scalar and prefix are hashed. Verifying refuses
//! points of small order, so that a signature fits one message and one key.

use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use p256::pkcs8::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use sha2::{Digest, Sha512};

use crate::algorithms::Signed;
use crate::key_errors::KeyUseError;
use crate::locked::LockedBox;
use crate::secret::{AEAD_STACK, SecretBytes, on_wiped_stack};

/// Length of a private key in bytes.
pub(crate) const SEED_LEN: usize = 32;

/// The private key as PKCS#8, version 1 (RFC 8410), which every reader takes.
pub(crate) fn private_der(seed: &[u8]) -> Option<SecretBytes> {
    if seed.len() != SEED_LEN {
        return None;
    }
    Some(SecretBytes::init(PKCS8_PREFIX.len() + SEED_LEN, |der| {
        der[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
        der[PKCS8_PREFIX.len()..].copy_from_slice(seed);
    }))
}

/// The `SubjectPublicKeyInfo` of the private key `seed`.
pub(crate) fn public_der(seed: &[u8]) -> Option<Vec<u8>> {
    let seed: &[u8; SEED_LEN] = seed.try_into().ok()?;
    let public = on_wiped_stack::<AEAD_STACK, _>(|| SigningKey::from_bytes(seed).verifying_key());
    Some(public.to_public_key_der().ok()?.into_vec())
}

/// A private key that signs.
pub(crate) struct Signer(LockedBox<SigningKey>);

impl Signer {
    pub(crate) fn new(seed: &[u8]) -> Option<Self> {
        let seed: &[u8; SEED_LEN] = seed.try_into().ok()?;
        Some(on_wiped_stack::<AEAD_STACK, _>(|| Self(LockedBox::new(SigningKey::from_bytes(seed)))))
    }

    pub(crate) fn sign(&self, signed: Signed<'_>) -> Result<Vec<u8>, KeyUseError> {
        let made = on_wiped_stack::<AEAD_STACK, _>(|| match signed {
            Signed::Raw(message) => self.0.try_sign(message),
            Signed::Digest(digest) => self.0.sign_prehashed(Sha512::new_with_prefix(digest), None),
            Signed::Mu(_) => Err(ed25519_dalek::SignatureError::new()),
        });
        made.map(|signature| signature.to_bytes().to_vec()).map_err(|_| KeyUseError::Engine)
    }
}

/// A public key that verifies.
pub(crate) struct Public(VerifyingKey);

impl Public {
    pub(crate) fn new(der: &[u8]) -> Option<Self> {
        let info = SubjectPublicKeyInfoRef::try_from(der).ok()?;
        if info.algorithm.oid != ED25519 || info.algorithm.parameters.is_some() {
            return None;
        }
        let point = info.subject_public_key.as_bytes()?.try_into().ok()?;
        VerifyingKey::from_bytes(point).ok().map(Self)
    }

    pub(crate) fn verify(&self, signed: Signed<'_>, signature: &[u8]) -> Result<(), KeyUseError> {
        let signature = Signature::from_slice(signature).map_err(|_| KeyUseError::InvalidSignature)?;
        let verified = match signed {
            Signed::Raw(message) => self.0.verify_strict(message, &signature),
            Signed::Digest(digest) => self.0.verify_prehashed_strict(Sha512::new_with_prefix(digest), None, &signature),
            Signed::Mu(_) => return Err(KeyUseError::Engine),
        };
        verified.map_err(|_| KeyUseError::InvalidSignature)
    }
}

/// RFC 8410, section 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// PKCS#8 up to the private key: version 0, the algorithm, an octet string in an octet string.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
