//! The curve secp256k1: ECDSA with SHA-256 and ASN.1 DER signatures.
//!
//! Material is the private scalar, 32 bytes, big-endian. Signing is deterministic (RFC 6979), and s is the lower of its
//! two possible values, which Bitcoin and Ethereum insist on; verifying takes both values, as plain ECDSA does.

use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};
use k256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use k256::{PublicKey, SecretKey};
use meridian_model::KeySpec;
use sha2::{Digest, Sha256};

use crate::algorithms::Signed;
use crate::key_errors::{KeyUseError, MaterialError};
use crate::locked::LockedBox;
use crate::random;
use crate::secret::{AEAD_STACK, SecretBytes, on_wiped_stack};

/// Length of a private scalar in bytes.
pub(crate) const SCALAR_LEN: usize = 32;

/// A new private scalar: drawn again in the one case of 2^128 in which it is 0 or not below the order.
pub(crate) fn generate() -> Result<SecretBytes, MaterialError> {
    for _ in 0..MAX_DRAWS {
        let scalar = SecretBytes::try_init(SCALAR_LEN, random::fill)?;
        if secret_key(scalar.expose()).is_some() {
            return Ok(scalar);
        }
    }
    Err(MaterialError::NotGenerated(KeySpec::EccSecgP256k1))
}

/// The scalar in a PKCS#8 private key.
pub(crate) fn import(pkcs8: &[u8]) -> Option<SecretBytes> {
    on_wiped_stack::<AEAD_STACK, _>(|| {
        let key = SecretKey::from_pkcs8_der(pkcs8).ok()?;
        Some(SecretBytes::copy_from(&zeroize::Zeroizing::new(key.to_bytes())[..]))
    })
}

/// The private key as PKCS#8, with the public key in it.
pub(crate) fn private_der(scalar: &[u8]) -> Option<SecretBytes> {
    on_wiped_stack::<AEAD_STACK, _>(|| {
        let der = secret_key(scalar)?.to_pkcs8_der().ok()?;
        Some(SecretBytes::copy_from(der.as_bytes()))
    })
}

/// The `SubjectPublicKeyInfo` of the private key `scalar`.
pub(crate) fn public_der(scalar: &[u8]) -> Option<Vec<u8>> {
    let public = on_wiped_stack::<AEAD_STACK, _>(|| secret_key(scalar).map(|key| key.public_key()))?;
    Some(public.to_public_key_der().ok()?.into_vec())
}

/// A private key that signs.
pub(crate) struct Signer(LockedBox<SigningKey>);

impl Signer {
    pub(crate) fn new(scalar: &[u8]) -> Option<Self> {
        on_wiped_stack::<AEAD_STACK, _>(|| secret_key(scalar).map(|key| Self(LockedBox::new(SigningKey::from(&key)))))
    }

    pub(crate) fn sign(&self, signed: Signed<'_>) -> Result<Vec<u8>, KeyUseError> {
        let digest = digest_of(signed)?;
        let sign = || PrehashSigner::<Signature>::sign_prehash(&*self.0, &digest);
        let signature = on_wiped_stack::<AEAD_STACK, _>(sign).map_err(|_| KeyUseError::Engine)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// A public key that verifies.
pub(crate) struct Public(VerifyingKey);

impl Public {
    pub(crate) fn new(der: &[u8]) -> Option<Self> {
        PublicKey::from_public_key_der(der).ok().map(|key| Self(VerifyingKey::from(&key)))
    }

    pub(crate) fn verify(&self, signed: Signed<'_>, signature: &[u8]) -> Result<(), KeyUseError> {
        let digest = digest_of(signed)?;
        let signature = Signature::from_der(signature).map_err(|_| KeyUseError::InvalidSignature)?;
        // `k256` refuses the higher value of s; both are valid signatures.
        self.0.verify_prehash(&digest, &signature.normalize_s()).map_err(|_| KeyUseError::InvalidSignature)
    }
}

fn secret_key(scalar: &[u8]) -> Option<SecretKey> {
    if scalar.len() != SCALAR_LEN {
        return None; // `k256` would take shorter ones
    }
    SecretKey::from_slice(scalar).ok()
}

fn digest_of(signed: Signed<'_>) -> Result<[u8; 32], KeyUseError> {
    match signed {
        Signed::Raw(message) => Ok(Sha256::digest(message).into()),
        Signed::Digest(digest) => digest.try_into().map_err(|_| KeyUseError::Engine),
        Signed::Mu(_) => Err(KeyUseError::Engine),
    }
}

/// A generator that draws an invalid scalar this often is broken.
const MAX_DRAWS: usize = 8;
