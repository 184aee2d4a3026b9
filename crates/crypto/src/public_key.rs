//! Public keys of KMS keys: verifying, encrypting and encapsulating need no secret.

use std::fmt;

use meridian_model::{EncryptionAlgorithmSpec, KeySpec, MessageType, SigningAlgorithmSpec, WireEnum};

use crate::algorithms::{Signed, algorithms};
use crate::asymmetric::{ed25519, ml_dsa, ml_kem, nist, rsa, secp256k1, sm2};
use crate::key_errors::{KeyUseError, MaterialError};
use crate::prepared::Encapsulated;

/// A public key, parsed and known to be one of its spec.
pub struct PublicKey {
    spec: KeySpec,
    der: Vec<u8>,
    key: Family,
}

enum Family {
    Rsa(rsa::Public),
    Nist(nist::Public),
    Secp256k1(secp256k1::Public),
    Ed25519(ed25519::Public),
    MlDsa(ml_dsa::Public),
    MlKem(ml_kem::Public),
    Sm2(sm2::Public),
}

impl PublicKey {
    /// From a `SubjectPublicKeyInfo` in DER. Its algorithm, curve and size have to be those of `spec`.
    ///
    /// # Errors
    /// [`MaterialError::Malformed`] if it is no public key of `spec`.
    pub fn from_der(spec: KeySpec, der: &[u8]) -> Result<Self, MaterialError> {
        let key = match spec {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => rsa::Public::new(spec, der).map(Family::Rsa),
            KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 => {
                nist::Public::new(spec, der).map(Family::Nist)
            }
            KeySpec::EccSecgP256k1 => secp256k1::Public::new(der).map(Family::Secp256k1),
            KeySpec::EccNistEdwards25519 => ed25519::Public::new(der).map(Family::Ed25519),
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => ml_dsa::Public::new(spec, der).map(Family::MlDsa),
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => {
                ml_kem::Public::new(spec, der).map(Family::MlKem)
            }
            KeySpec::Sm2 => sm2::Public::new(der).map(Family::Sm2),
            _ => None,
        };
        let key = key.ok_or(MaterialError::Malformed(spec))?;
        Ok(Self { spec, der: der.to_vec(), key })
    }

    /// The spec of the key.
    #[must_use]
    pub const fn spec(&self) -> KeySpec {
        self.spec
    }

    /// The key as a `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Verifies `signature`, in the encodings of [`PreparedKey::sign`](crate::PreparedKey::sign).
    ///
    /// # Errors
    /// [`KeyUseError::InvalidSignature`] if it does not verify; those of [`PreparedKey::sign`](crate::PreparedKey::sign)
    /// if algorithm, message type and length do not fit.
    pub fn verify(
        &self,
        algorithm: SigningAlgorithmSpec,
        message_type: MessageType,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyUseError> {
        if !algorithms(self.spec).signing.contains(&algorithm) {
            return Err(self.lacks(algorithm));
        }
        let signed = Signed::new(algorithm, message_type, message)?;
        match &self.key {
            Family::Rsa(key) => key.verify(&self.der, algorithm, signed, signature),
            Family::Nist(key) => key.verify(signed, signature),
            Family::Secp256k1(key) => key.verify(signed, signature),
            Family::Ed25519(key) => key.verify(signed, signature),
            Family::MlDsa(key) => key.verify(&self.der, signed, signature),
            Family::Sm2(key) => key.verify(signed, signature),
            Family::MlKem(_) => Err(self.lacks(algorithm)),
        }
    }

    /// Encrypts `plaintext` of at most [`max_plaintext_len`](crate::algorithms::max_plaintext_len) bytes.
    ///
    /// # Errors
    /// [`KeyUseError::PlaintextTooLong`]; [`KeyUseError::WrongAlgorithm`] if the spec does not have `algorithm`.
    pub fn encrypt(&self, algorithm: EncryptionAlgorithmSpec, plaintext: &[u8]) -> Result<Vec<u8>, KeyUseError> {
        if !algorithms(self.spec).encryption.contains(&algorithm) {
            return Err(self.lacks(algorithm));
        }
        match &self.key {
            Family::Rsa(key) => key.encrypt(algorithm, plaintext),
            Family::Sm2(key) => key.encrypt(plaintext),
            _ => Err(self.lacks(algorithm)),
        }
    }

    /// Makes a shared secret and encapsulates it for the holder of the private key.
    ///
    /// # Errors
    /// [`KeyUseError::WrongAlgorithm`] if this is no key of ML-KEM.
    pub fn encapsulate(&self) -> Result<Encapsulated, KeyUseError> {
        match &self.key {
            Family::MlKem(key) => key.encapsulate(),
            _ => Err(self.lacks(meridian_model::EncapsulationAlgorithmSpec::MlKem)),
        }
    }

    fn lacks(&self, algorithm: impl WireEnum) -> KeyUseError {
        KeyUseError::WrongAlgorithm { spec: self.spec, algorithm: algorithm.as_str() }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.spec)
    }
}
