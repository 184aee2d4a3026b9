//! HMAC-SHA-256 (FIPS 198-1) with the key prepared once.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::locked::LockedBox;
use crate::secret::{AEAD_STACK, on_wiped_stack};

/// Length of a full tag in bytes.
pub const MAC_LEN: usize = 32;

/// A prepared HMAC-SHA-256 key: both padded blocks are already hashed, so that a short message costs two compressions.
///
/// Lives in memory for secrets and is wiped when dropped, like a [`Secret`](crate::Secret).
pub struct MacKey(LockedBox<Hmac<Sha256>>);

impl MacKey {
    /// Prepares `key`, which may have any length; 32 bytes and more give full strength.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        on_wiped_stack::<AEAD_STACK, _>(|| {
            let prepared = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
            Self(LockedBox::new(prepared))
        })
    }

    /// The tag of `parts` one after the other. The caller makes sure that their boundaries are unambiguous.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        let mut mac = (*self.0).clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is the full tag of `parts`; compares in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.tag(parts).ct_eq(tag).into()
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey(HMAC-SHA-256)")
    }
}
