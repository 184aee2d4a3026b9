//! Key material on its way from one Region to another: HPKE (RFC 9180) in base mode, sealed to a short-lived key.
//!
//! KEM X-Wing (X25519 and ML-KEM-768 together, so that breaking one of them is not enough), HKDF-SHA-256, AES-256-GCM.
//! The destination makes a [`TransportKeyPair`], publishes its public half signed by its Region identity, and drops it
//! soon: a recorded envelope is useless from then on. Base mode does not say who sealed, so the source signs
//! [`SealedEnvelope::signed_text`] with its own Region identity; see [`crate::region_identity`].
//!
//! Always true: an envelope opens only for the very binding it was sealed for.

use std::convert::Infallible;
use std::fmt;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng,
};
use meridian_model::{AccountId, KeyId, KeyMaterialId, Region};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::canonical::Canonical;
use crate::identity_secret::SecretTransport;
use crate::labels;
use crate::random::{self, RandomError};
use crate::secret::{Secret, SecretBytes, on_wiped_stack};

/// Length of an encoded public key in bytes.
pub const PUBLIC_KEY_LEN: usize = 1216;

/// Why an envelope was not sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The bytes are no public key of the KEM.
    #[error("not a transport public key")]
    MalformedPublicKey,
    /// The public key is well formed, but nothing can be encapsulated to it.
    #[error("nothing can be sealed to this transport public key")]
    UnusablePublicKey,
    /// Damaged, sealed to another key, or for another binding.
    #[error("not sealed to this transport key for this binding, or damaged")]
    NotAuthentic,
    /// The generator failed.
    #[error("no randomness for sealing")]
    Random(#[source] RandomError),
}

/// What one envelope is about. Every field is authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportBinding {
    /// Account that owns the multi-Region key.
    pub account: AccountId,
    /// The multi-Region key.
    pub key_id: KeyId,
    /// Which of its key materials.
    pub material_id: KeyMaterialId,
    /// Region that sends.
    pub from: Region,
    /// Region that may open.
    pub to: Region,
    /// Fencing number of primacy within the set.
    pub epoch: u64,
    /// Number of the envelope on its link.
    pub sequence: u64,
}

impl TransportBinding {
    fn encode(&self, label: &[u8]) -> Canonical {
        Canonical::labelled(label)
            .field(self.account.to_string().as_bytes())
            .field(&self.key_id.to_bytes())
            .field(self.material_id.as_bytes())
            .field(self.from.as_str().as_bytes())
            .field(self.to.as_str().as_bytes())
            .field(&self.epoch.to_be_bytes())
            .field(&self.sequence.to_be_bytes())
    }
}

/// The receiving half of a transport key: opens envelopes until it is dropped, which is what forward secrecy rests on.
#[derive(Debug)]
pub struct TransportKeyPair {
    seed: Secret<SEED_LEN>, // the expanded private key is made when needed and wiped after use
    public: TransportPublicKey,
}

impl TransportKeyPair {
    /// A new key pair.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn generate() -> Result<Self, RandomError> {
        let seed = Secret::random()?;
        let public = on_wiped_stack::<KEM_STACK, _>(|| XWing::sk_to_pk(&expand(&seed)).to_bytes().to_vec());
        let public = TransportPublicKey(public);
        Ok(Self { seed, public })
    }

    /// The half to publish.
    #[must_use]
    pub const fn public(&self) -> &TransportPublicKey {
        &self.public
    }

    /// Opens an envelope that was sealed to this key for exactly `binding`.
    ///
    /// # Errors
    /// [`TransportError::NotAuthentic`] if any part of the envelope or of `binding` differs, or another key was meant.
    pub fn open(&self, envelope: &SealedEnvelope, binding: &TransportBinding) -> Result<SecretBytes, TransportError> {
        self.open_bound(envelope, &binding.encode(labels::TRANSPORT).finish())
    }

    /// As [`TransportKeyPair::open`], for a secret of an identity.
    ///
    /// # Errors
    /// As [`TransportKeyPair::open`].
    pub fn open_secret(
        &self,
        envelope: &SealedEnvelope,
        binding: &SecretTransport,
    ) -> Result<SecretBytes, TransportError> {
        self.open_bound(envelope, &binding.encode())
    }

    fn open_bound(&self, envelope: &SealedEnvelope, bound: &[u8]) -> Result<SecretBytes, TransportError> {
        let not_authentic = |_| TransportError::NotAuthentic;
        let encapsulated = EncapsulatedKey::from_bytes(&envelope.encapsulated_key).map_err(not_authentic)?;
        let (mode, sealed) = (OpModeR::Base, &envelope.ciphertext);
        on_wiped_stack::<KEM_STACK, _>(|| {
            let private = expand(&self.seed);
            single_shot_open::<AesGcm256, HkdfSha256, XWing>(&mode, &private, &encapsulated, bound, sealed, bound)
                .map(SecretBytes::take)
                .map_err(not_authentic)
        })
    }
}

/// The sealing half of a transport key, as published by the destination: 1216 bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct TransportPublicKey(Vec<u8>);

impl TransportPublicKey {
    /// The public key that consists of `bytes`.
    ///
    /// # Errors
    /// [`TransportError::MalformedPublicKey`] if they are not an encoded X-Wing public key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TransportError> {
        <XWing as Kem>::PublicKey::from_bytes(bytes).map_err(|_| TransportError::MalformedPublicKey)?;
        Ok(Self(bytes.to_vec()))
    }

    /// The encoded public key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Seals `secret` so that only the holder of the private half can open it, and only for `binding`.
    ///
    /// # Errors
    /// If the generator fails, or the public key is unusable.
    pub fn seal(&self, binding: &TransportBinding, secret: &SecretBytes) -> Result<SealedEnvelope, TransportError> {
        self.seal_bound(&binding.encode(labels::TRANSPORT).finish(), secret)
    }

    /// As [`TransportPublicKey::seal`], for a secret of an identity.
    ///
    /// # Errors
    /// As [`TransportPublicKey::seal`].
    pub fn seal_secret(
        &self,
        binding: &SecretTransport,
        secret: &SecretBytes,
    ) -> Result<SealedEnvelope, TransportError> {
        self.seal_bound(&binding.encode(), secret)
    }

    fn seal_bound(&self, bound: &[u8], secret: &SecretBytes) -> Result<SealedEnvelope, TransportError> {
        let public = <XWing as Kem>::PublicKey::from_bytes(&self.0).map_err(|_| TransportError::MalformedPublicKey)?;
        let mut randomness = DrawnBytes::draw().map_err(TransportError::Random)?;
        let (encapsulated_key, ciphertext) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, XWing>(
            &OpModeS::Base,
            &public,
            bound,
            secret.expose(),
            bound,
            &mut randomness,
        )
        .map_err(|_: HpkeError| TransportError::UnusablePublicKey)?;
        Ok(SealedEnvelope { encapsulated_key: encapsulated_key.to_bytes().to_vec(), ciphertext })
    }
}

impl TryFrom<Vec<u8>> for TransportPublicKey {
    type Error = TransportError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        Self::from_bytes(&bytes)
    }
}

impl From<TransportPublicKey> for Vec<u8> {
    fn from(key: TransportPublicKey) -> Self {
        key.0
    }
}

impl fmt::Debug for TransportPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportPublicKey(X-Wing)")
    }
}

/// Key material sealed for another Region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedEnvelope {
    /// The KEM's encapsulated key: 1120 bytes.
    pub encapsulated_key: Vec<u8>,
    /// The sealed secret and its tag.
    pub ciphertext: Vec<u8>,
}

impl SealedEnvelope {
    /// What the sending Region signs: the envelope, what it is about, and the key it was sealed to.
    #[must_use]
    pub fn signed_text(&self, binding: &TransportBinding, sealed_to: &TransportPublicKey) -> Vec<u8> {
        binding
            .encode(labels::SIGNED_ENVELOPE)
            .field(sealed_to.as_bytes())
            .field(&self.encapsulated_key)
            .field(&self.ciphertext)
            .finish()
    }
}

/// Random bytes drawn before sealing begins, so that a failing generator is an error and not a panic half-way.
struct DrawnBytes {
    bytes: Zeroizing<[u8; ENCAPSULATION_RANDOMNESS_LEN]>,
    used: usize,
}

impl DrawnBytes {
    fn draw() -> Result<Self, RandomError> {
        Ok(Self { bytes: Zeroizing::new(random::random_bytes()?), used: 0 })
    }

    fn next<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, out: &mut [u8]) {
        let end = self.used + out.len();
        out.copy_from_slice(self.bytes.get(self.used..end).expect("X-Wing encapsulates with exactly 64 random bytes"));
        self.used = end;
    }
}

impl TryRng for DrawnBytes {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.next()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.next()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for DrawnBytes {}

fn expand(seed: &Secret<SEED_LEN>) -> <XWing as Kem>::PrivateKey {
    Deserializable::from_bytes(seed.expose()).expect("any 32 bytes are an X-Wing private key")
}

type EncapsulatedKey = <XWing as Kem>::EncappedKey;

const SEED_LEN: usize = 32;
/// An expanded ML-KEM-768 key and its matrix take some 30 KiB, several times in unoptimised builds.
const KEM_STACK: usize = 128 * 1024;
const ENCAPSULATION_RANDOMNESS_LEN: usize = 64;
