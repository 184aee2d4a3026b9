//! ML-KEM-512, ML-KEM-768 and ML-KEM-1024 (FIPS 203).
//!
//! Material is the seed of 64 bytes (d, then z). A ciphertext of the right length always decapsulates: one that was not
//! made for the key gives a secret that nobody else has (implicit rejection), and takes as long.

use meridian_model::KeySpec;
use ml_kem::kem::Decapsulate;
use ml_kem::pkcs8::{DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ml_kem::{B32, DecapsulationKey, EncapsulationKey, MlKem512, MlKem768, MlKem1024, Seed, SharedKey};
use zeroize::Zeroize;

use crate::key_errors::KeyUseError;
use crate::prepared::Encapsulated;
use crate::random;
use crate::secret::{SecretBytes, on_wiped_stack};

/// Length of a seed in bytes.
pub(crate) const SEED_LEN: usize = 64;

/// The private key as PKCS#8, in the form that holds the seed (RFC 9935).
pub(crate) fn private_der(spec: KeySpec, seed: &[u8]) -> Option<SecretBytes> {
    let decapsulator = Decapsulator::new(spec, seed)?;
    on_wiped_stack::<KEM_STACK, _>(|| {
        let der = match &decapsulator {
            Decapsulator::MlKem512(key) => key.to_pkcs8_der(),
            Decapsulator::MlKem768(key) => key.to_pkcs8_der(),
            Decapsulator::MlKem1024(key) => key.to_pkcs8_der(),
        };
        Some(SecretBytes::copy_from(der.ok()?.as_bytes()))
    })
}

/// The `SubjectPublicKeyInfo` (RFC 9935) of the private key `seed`.
pub(crate) fn public_der(spec: KeySpec, seed: &[u8]) -> Option<Vec<u8>> {
    let der = match Decapsulator::new(spec, seed)? {
        Decapsulator::MlKem512(key) => key.encapsulation_key().to_public_key_der(),
        Decapsulator::MlKem768(key) => key.encapsulation_key().to_public_key_der(),
        Decapsulator::MlKem1024(key) => key.encapsulation_key().to_public_key_der(),
    };
    Some(der.ok()?.into_vec())
}

/// A private key that decapsulates. The engine keeps its parts on the heap and wipes them.
pub(crate) enum Decapsulator {
    MlKem512(Box<DecapsulationKey<MlKem512>>),
    MlKem768(Box<DecapsulationKey<MlKem768>>),
    MlKem1024(Box<DecapsulationKey<MlKem1024>>),
}

impl Decapsulator {
    pub(crate) fn new(spec: KeySpec, seed: &[u8]) -> Option<Self> {
        on_wiped_stack::<KEM_STACK, _>(|| {
            let mut seed = Seed::try_from(seed).ok()?;
            let key = match spec {
                KeySpec::MlKem512 => Some(Self::MlKem512(Box::new(DecapsulationKey::from_seed(seed)))),
                KeySpec::MlKem768 => Some(Self::MlKem768(Box::new(DecapsulationKey::from_seed(seed)))),
                KeySpec::MlKem1024 => Some(Self::MlKem1024(Box::new(DecapsulationKey::from_seed(seed)))),
                _ => None,
            };
            seed.zeroize();
            key
        })
    }

    /// The shared secret of 32 bytes. Only the length of the ciphertext can be wrong.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretBytes, KeyUseError> {
        on_wiped_stack::<KEM_STACK, _>(|| {
            let shared = match self {
                Self::MlKem512(key) => key.decapsulate_slice(ciphertext),
                Self::MlKem768(key) => key.decapsulate_slice(ciphertext),
                Self::MlKem1024(key) => key.decapsulate_slice(ciphertext),
            };
            let mut shared = shared.map_err(|_| KeyUseError::InvalidCiphertext)?;
            let secret = SecretBytes::copy_from(&shared);
            shared.zeroize();
            Ok(secret)
        })
    }
}

/// A public key that encapsulates.
pub(crate) enum Public {
    MlKem512(Box<EncapsulationKey<MlKem512>>),
    MlKem768(Box<EncapsulationKey<MlKem768>>),
    MlKem1024(Box<EncapsulationKey<MlKem1024>>),
}

impl Public {
    pub(crate) fn new(spec: KeySpec, der: &[u8]) -> Option<Self> {
        match spec {
            KeySpec::MlKem512 => EncapsulationKey::from_public_key_der(der).ok().map(Box::new).map(Self::MlKem512),
            KeySpec::MlKem768 => EncapsulationKey::from_public_key_der(der).ok().map(Box::new).map(Self::MlKem768),
            KeySpec::MlKem1024 => EncapsulationKey::from_public_key_der(der).ok().map(Box::new).map(Self::MlKem1024),
            _ => None,
        }
    }

    pub(crate) fn encapsulate(&self) -> Result<Encapsulated, KeyUseError> {
        on_wiped_stack::<KEM_STACK, _>(|| {
            let mut drawn = B32::default();
            random::fill(&mut drawn).map_err(|_| KeyUseError::Engine)?;
            let (ciphertext, mut shared) = match self {
                Self::MlKem512(key) => with_plain_ciphertext(key.encapsulate_deterministic(&drawn)),
                Self::MlKem768(key) => with_plain_ciphertext(key.encapsulate_deterministic(&drawn)),
                Self::MlKem1024(key) => with_plain_ciphertext(key.encapsulate_deterministic(&drawn)),
            };
            drawn.zeroize();
            let shared_secret = SecretBytes::copy_from(&shared);
            shared.zeroize();
            Ok(Encapsulated { ciphertext, shared_secret })
        })
    }
}

fn with_plain_ciphertext<C: AsRef<[u8]>>((ciphertext, shared): (C, SharedKey)) -> (Vec<u8>, SharedKey) {
    (ciphertext.as_ref().to_vec(), shared)
}

/// The stack that `ml-kem` uses in unoptimised builds.
const KEM_STACK: usize = 128 * 1024;
