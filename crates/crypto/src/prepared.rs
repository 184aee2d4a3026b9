//! Prepared keys: key material that has been parsed for the one usage that its KMS key was created for.
//!
//! Preparing costs up to a third of a signature for RSA, so prepared keys are worth keeping. One that is dropped wipes its
//! secrets. Where they live meanwhile depends on the engine:
//!
//! | keys | private operations run on | secrets of a prepared key |
//! |---|---|---|
//! | HMAC | `hmac` | locked memory |
//! | RSA | AWS-LC (`rsa` checks what is imported) | heap of AWS-LC: wiped when freed, not locked |
//! | NIST curves | AWS-LC | heap of AWS-LC: wiped when freed, not locked |
//! | secp256k1 | `k256` | locked memory |
//! | Ed25519 | `ed25519-dalek` | locked memory |
//! | ML-DSA | AWS-LC, `ml-dsa` for external mu | seed in locked memory, expanded key in the heap of AWS-LC |
//! | ML-KEM | `ml-kem` | heap: wiped when freed, not locked |
//! | SM2 | `sm2` | locked memory |
//!
//! What is not locked may reach swap space; a host that holds such keys should have none.
//!
//! Always true: a prepared key does only what its spec and usage allow, in the algorithms that
//! [`algorithms_for`] lists.

use std::fmt;

use meridian_model::{
    EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType,
    MacAlgorithmSpec, MessageType, SigningAlgorithmSpec, WireEnum,
};

use crate::algorithms::{Signed, algorithms_for, usages};
use crate::asymmetric::{ed25519, ml_dsa, ml_kem, nist, rsa, secp256k1, sm2};
use crate::hmac_key::HmacKey;
use crate::key_errors::{KeyUseError, MaterialError};
use crate::material::KeyMaterial;
use crate::public_key::PublicKey;
use crate::secret::SecretBytes;

/// A shared secret and what carries it to the holder of the private key.
#[derive(Debug)]
pub struct Encapsulated {
    /// For `Decapsulate`: 768, 1088 or 1568 bytes, by spec.
    pub ciphertext: Vec<u8>,
    /// The secret: 32 bytes.
    pub shared_secret: SecretBytes,
}

/// An HMAC key or a private key, ready for the usage of its KMS key.
///
/// Symmetric encryption keys are prepared by [`MaterialCipher`](crate::MaterialCipher).
pub struct PreparedKey {
    spec: KeySpec,
    usage: KeyUsageType,
    key: Family,
    public: Option<PublicKey>,
}

enum Family {
    Hmac(HmacKey),
    RsaSigner(rsa::Signer),
    RsaDecrypter(rsa::Decrypter),
    NistSigner(nist::Signer),
    NistAgreement(nist::Agreement),
    Secp256k1(secp256k1::Signer),
    Ed25519(ed25519::Signer),
    MlDsa(ml_dsa::Signer),
    MlKem(ml_kem::Decapsulator),
    Sm2(sm2::Private),
}

impl PreparedKey {
    /// Prepares `material` of a KMS key that was created for `usage`. Blocks for about a millisecond with RSA.
    ///
    /// # Errors
    /// [`MaterialError::WrongUsage`] if keys of that spec cannot have that usage, and for symmetric encryption keys;
    /// [`MaterialError::Malformed`] if the bytes are no sound key.
    pub fn new(material: &KeyMaterial, usage: KeyUsageType) -> Result<Self, MaterialError> {
        let spec = material.spec();
        if !usages(spec).contains(&usage) {
            return Err(MaterialError::WrongUsage { spec, usage });
        }
        let key = match material {
            KeyMaterial::Symmetric(_) | KeyMaterial::Sm4(_) => return Err(MaterialError::WrongUsage { spec, usage }),
            KeyMaterial::Hmac(material) => HmacKey::new(spec, material.bytes().expose()).map(Family::Hmac),
            KeyMaterial::Private(material) => Family::private(spec, usage, material.bytes().expose()),
        };
        let key = key.ok_or(MaterialError::Malformed(spec))?;
        let public = material.public_key_der()?.map(|der| PublicKey::from_der(spec, &der)).transpose()?;
        Ok(Self { spec, usage, key, public })
    }

    /// The spec of the key.
    #[must_use]
    pub const fn spec(&self) -> KeySpec {
        self.spec
    }

    /// What the key may be used for.
    #[must_use]
    pub const fn usage(&self) -> KeyUsageType {
        self.usage
    }

    /// The public half; `None` for HMAC keys.
    #[must_use]
    pub const fn public_key(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// Signs `message`, which is what `message_type` says: the message, its digest, or its representative mu.
    ///
    /// RSA signatures are as long as the modulus; those of ECDSA and SM2 are ASN.1 DER (RFC 3279); those of Ed25519 64 bytes; those
    /// of ML-DSA 2420, 3309 or 4627 bytes.
    ///
    /// # Errors
    /// [`KeyUseError::WrongAlgorithm`], [`KeyUseError::MessageType`] or [`KeyUseError::DigestLength`] if these do not fit
    /// each other; [`KeyUseError::Engine`] if the generator fails.
    pub fn sign(
        &self,
        algorithm: SigningAlgorithmSpec,
        message_type: MessageType,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyUseError> {
        self.permit(self.algorithms().signing, algorithm)?;
        let signed = Signed::new(algorithm, message_type, message)?;
        match &self.key {
            Family::RsaSigner(key) => key.sign(algorithm, signed),
            Family::NistSigner(key) => key.sign(signed),
            Family::Secp256k1(key) => key.sign(signed),
            Family::Ed25519(key) => key.sign(signed),
            Family::MlDsa(key) => key.sign(signed),
            Family::Sm2(key) => key.sign(signed),
            _ => Err(self.lacks(algorithm)),
        }
    }

    /// Verifies `signature` of `message`.
    ///
    /// # Errors
    /// [`KeyUseError::InvalidSignature`] if it does not verify; otherwise as for [`PreparedKey::sign`].
    pub fn verify(
        &self,
        algorithm: SigningAlgorithmSpec,
        message_type: MessageType,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyUseError> {
        self.permit(self.algorithms().signing, algorithm)?;
        let public = self.public.as_ref().ok_or_else(|| self.lacks(algorithm))?;
        public.verify(algorithm, message_type, message, signature)
    }

    /// Encrypts `plaintext` of at most [`max_plaintext_len`](crate::algorithms::max_plaintext_len) bytes.
    ///
    /// # Errors
    /// [`KeyUseError::PlaintextTooLong`]; [`KeyUseError::WrongAlgorithm`] if spec or usage do not have `algorithm`.
    pub fn encrypt(&self, algorithm: EncryptionAlgorithmSpec, plaintext: &[u8]) -> Result<Vec<u8>, KeyUseError> {
        self.permit(self.algorithms().encryption, algorithm)?;
        self.public.as_ref().ok_or_else(|| self.lacks(algorithm))?.encrypt(algorithm, plaintext)
    }

    /// Decrypts what [`PreparedKey::encrypt`] or any other implementation encrypted.
    ///
    /// # Errors
    /// [`KeyUseError::InvalidCiphertext`] whatever is wrong with it; [`KeyUseError::WrongAlgorithm`] if spec or usage do not
    /// have `algorithm`.
    pub fn decrypt(&self, algorithm: EncryptionAlgorithmSpec, ciphertext: &[u8]) -> Result<SecretBytes, KeyUseError> {
        self.permit(self.algorithms().encryption, algorithm)?;
        match &self.key {
            Family::RsaDecrypter(key) => key.decrypt(algorithm, ciphertext),
            Family::Sm2(key) => key.decrypt(ciphertext),
            _ => Err(self.lacks(algorithm)),
        }
    }

    /// The full tag of `message`: 28, 32, 48 or 64 bytes.
    ///
    /// # Errors
    /// [`KeyUseError::WrongAlgorithm`] if this is no HMAC key of that digest.
    pub fn mac(&self, algorithm: MacAlgorithmSpec, message: &[u8]) -> Result<Vec<u8>, KeyUseError> {
        self.hmac(algorithm).map(|key| key.tag(message))
    }

    /// Verifies that `mac` is the full tag of `message`, in constant time.
    ///
    /// # Errors
    /// [`KeyUseError::InvalidMac`] if not; otherwise as for [`PreparedKey::mac`].
    pub fn verify_mac(&self, algorithm: MacAlgorithmSpec, message: &[u8], mac: &[u8]) -> Result<(), KeyUseError> {
        self.hmac(algorithm)?.verify(message, mac).then_some(()).ok_or(KeyUseError::InvalidMac)
    }

    /// The raw secret shared with the holder of the private key to `public_der`, a `SubjectPublicKeyInfo`: the x coordinate
    /// of the shared point, 32, 48 or 66 bytes.
    ///
    /// # Errors
    /// [`KeyUseError::InvalidPublicKey`] if that is no point on this key's curve; [`KeyUseError::WrongAlgorithm`] if this is
    /// no key for key agreement.
    pub fn derive_shared_secret(
        &self,
        algorithm: KeyAgreementAlgorithmSpec,
        public_der: &[u8],
    ) -> Result<SecretBytes, KeyUseError> {
        self.permit(self.algorithms().agreement, algorithm)?;
        match &self.key {
            Family::NistAgreement(key) => key.derive(public_der),
            Family::Sm2(key) => key.derive(public_der),
            _ => Err(self.lacks(algorithm)),
        }
    }

    /// Makes a shared secret and encapsulates it under this key.
    ///
    /// # Errors
    /// [`KeyUseError::WrongAlgorithm`] if this is no key of ML-KEM; [`KeyUseError::Engine`] if the generator fails.
    pub fn encapsulate(&self, algorithm: EncapsulationAlgorithmSpec) -> Result<Encapsulated, KeyUseError> {
        self.permit(self.algorithms().encapsulation, algorithm)?;
        self.public.as_ref().ok_or_else(|| self.lacks(algorithm))?.encapsulate()
    }

    /// The secret that was encapsulated. A ciphertext that was not made for this key gives a secret that nobody has.
    ///
    /// # Errors
    /// [`KeyUseError::InvalidCiphertext`] if its length is not that of the spec; [`KeyUseError::WrongAlgorithm`] if this is
    /// no key of ML-KEM.
    pub fn decapsulate(
        &self,
        algorithm: EncapsulationAlgorithmSpec,
        ciphertext: &[u8],
    ) -> Result<SecretBytes, KeyUseError> {
        self.permit(self.algorithms().encapsulation, algorithm)?;
        match &self.key {
            Family::MlKem(key) => key.decapsulate(ciphertext),
            _ => Err(self.lacks(algorithm)),
        }
    }

    fn hmac(&self, algorithm: MacAlgorithmSpec) -> Result<&HmacKey, KeyUseError> {
        self.permit(self.algorithms().mac, algorithm)?;
        match &self.key {
            Family::Hmac(key) => Ok(key),
            _ => Err(self.lacks(algorithm)),
        }
    }

    const fn algorithms(&self) -> crate::algorithms::Algorithms {
        algorithms_for(self.spec, self.usage)
    }

    fn permit<A: WireEnum + PartialEq>(&self, allowed: &[A], algorithm: A) -> Result<(), KeyUseError> {
        if allowed.contains(&algorithm) { Ok(()) } else { Err(self.lacks(algorithm)) }
    }

    fn lacks(&self, algorithm: impl WireEnum) -> KeyUseError {
        KeyUseError::WrongAlgorithm { spec: self.spec, algorithm: algorithm.as_str() }
    }
}

impl Family {
    fn private(spec: KeySpec, usage: KeyUsageType, bytes: &[u8]) -> Option<Self> {
        match (spec, usage) {
            (KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096, KeyUsageType::SignVerify) => {
                rsa::Signer::new(spec, bytes).map(Self::RsaSigner)
            }
            (KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096, KeyUsageType::EncryptDecrypt) => {
                rsa::Decrypter::new(spec, bytes).map(Self::RsaDecrypter)
            }
            (KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521, KeyUsageType::SignVerify) => {
                nist::Signer::new(spec, bytes).map(Self::NistSigner)
            }
            (KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521, KeyUsageType::KeyAgreement) => {
                nist::Agreement::new(spec, bytes).map(Self::NistAgreement)
            }
            (KeySpec::EccSecgP256k1, _) => secp256k1::Signer::new(bytes).map(Self::Secp256k1),
            (KeySpec::EccNistEdwards25519, _) => ed25519::Signer::new(bytes).map(Self::Ed25519),
            (KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87, _) => {
                ml_dsa::Signer::new(spec, bytes).map(Self::MlDsa)
            }
            (KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024, _) => {
                ml_kem::Decapsulator::new(spec, bytes).map(Self::MlKem)
            }
            (KeySpec::Sm2, _) => sm2::Private::new(bytes).map(Self::Sm2),
            _ => None,
        }
    }
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreparedKey({}, {})", self.spec, self.usage)
    }
}
