//! HMAC (FIPS 198-1) with SHA-224, SHA-256, SHA-384 and SHA-512 under HMAC KMS keys.
//!
//! The key is prepared once and lives in memory for secrets; the service's own HMAC-SHA-256 is in [`crate::mac`].

use hmac::{Hmac, KeyInit, Mac};
use meridian_model::KeySpec;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use crate::locked::LockedBox;
use crate::secret::{AEAD_STACK, on_wiped_stack};

/// A prepared HMAC key.
pub(crate) enum HmacKey {
    Sha224(LockedBox<Hmac<Sha224>>),
    Sha256(LockedBox<Hmac<Sha256>>),
    Sha384(LockedBox<Hmac<Sha384>>),
    Sha512(LockedBox<Hmac<Sha512>>),
}

impl HmacKey {
    /// Prepares `key`; `None` if `spec` is none of HMAC.
    pub(crate) fn new(spec: KeySpec, key: &[u8]) -> Option<Self> {
        match spec {
            KeySpec::Hmac224 => Some(Self::Sha224(prepared(key))),
            KeySpec::Hmac256 => Some(Self::Sha256(prepared(key))),
            KeySpec::Hmac384 => Some(Self::Sha384(prepared(key))),
            KeySpec::Hmac512 => Some(Self::Sha512(prepared(key))),
            _ => None,
        }
    }

    /// The tag of `message`, as long as the digest.
    pub(crate) fn tag(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha224(key) => tag(&**key, message),
            Self::Sha256(key) => tag(&**key, message),
            Self::Sha384(key) => tag(&**key, message),
            Self::Sha512(key) => tag(&**key, message),
        }
    }

    /// Whether `claimed` is the full tag of `message`; compares in constant time.
    pub(crate) fn verify(&self, message: &[u8], claimed: &[u8]) -> bool {
        self.tag(message).ct_eq(claimed).into()
    }
}

fn prepared<M: KeyInit>(key: &[u8]) -> LockedBox<M> {
    on_wiped_stack::<AEAD_STACK, _>(|| LockedBox::new(M::new_from_slice(key).expect("HMAC takes keys of any length")))
}

fn tag<M: Mac + Clone>(key: &M, message: &[u8]) -> Vec<u8> {
    key.clone().chain_update(message).finalize().into_bytes().to_vec()
}
