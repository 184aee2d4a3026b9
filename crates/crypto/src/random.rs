//! The operating system's generator: the one door through which randomness enters.
//!
//! It blocks until the system has gathered entropy after boot, and there is no second source to fall back on.

use meridian_model::{GrantId, KeyId, KeyMaterialId};
use ml_dsa::signature::rand_core::{TryCryptoRng, TryRng};

/// The operating system's generator failed. Nothing that was to be random has been made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random number generator failed")]
pub struct RandomError(#[source] getrandom::Error);

/// Fills `bytes` with random bytes.
///
/// # Errors
/// If the generator fails; `bytes` may then be half filled.
#[allow(clippy::disallowed_methods)] // this is the door
pub fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(bytes).map_err(RandomError)
}

/// `N` random bytes for salts, nonces and ids. Keys are made by [`Secret::random`](crate::Secret::random).
///
/// # Errors
/// If the generator fails.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// A new key ID of a single-Region key.
///
/// # Errors
/// If the generator fails.
pub fn single_region_key_id() -> Result<KeyId, RandomError> {
    random_bytes().map(KeyId::single_region)
}

/// A new key ID of a multi-Region key.
///
/// # Errors
/// If the generator fails.
pub fn multi_region_key_id() -> Result<KeyId, RandomError> {
    random_bytes().map(KeyId::multi_region)
}

/// A new key material ID.
///
/// Drawn at random rather than derived: ids stand in ciphertexts and audit records for everybody to read, so one
/// that depended on the material would let a holder of both test guesses, and would tie two keys that share material.
///
/// # Errors
/// If the generator fails.
pub fn key_material_id() -> Result<KeyMaterialId, RandomError> {
    random_bytes().map(KeyMaterialId::from_bytes)
}

/// A new grant ID.
///
/// # Errors
/// If the generator fails.
pub fn grant_id() -> Result<GrantId, RandomError> {
    random_bytes().map(GrantId::from_bytes)
}

/// The same door for engines that draw for themselves.
pub(crate) struct SystemGenerator;

impl TryRng for SystemGenerator {
    type Error = RandomError;

    fn try_next_u32(&mut self) -> Result<u32, RandomError> {
        random_bytes().map(u32::from_le_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, RandomError> {
        random_bytes().map(u64::from_le_bytes)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), RandomError> {
        fill(bytes)
    }
}

impl TryCryptoRng for SystemGenerator {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ() {
        assert_ne!(random_bytes::<16>(), random_bytes::<16>());
        assert_ne!(key_material_id(), key_material_id());
        assert!(multi_region_key_id().expect("random").is_multi_region());
        assert!(!single_region_key_id().expect("random").is_multi_region());
    }
}
