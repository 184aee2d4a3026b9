//! The key that signs requests of one access key, day, Region and service, and a bounded cache of such keys.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use lru::LruCache;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::credentials::{SecretAccessKey, WeakSecret};
use crate::sigv4::TERMINATOR;

/// Keys that are kept: one per access key that called today, Region and service. A further one costs four hashes.
const CACHED_KEYS_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// A derived signing key. Good for one day, one Region and one service only; wiped on drop.
pub(crate) struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    /// Derives the key for `date` (`YYYYMMDD`), `region` and `service`.
    pub(crate) fn derive(secret: &SecretAccessKey, date: &str, region: &str, service: &str) -> Self {
        let prefixed = Zeroizing::new(["AWS4", secret.expose()].concat());
        let date_key = hmac(prefixed.as_bytes(), &[date.as_bytes()]);
        let region_key = hmac(&*date_key, &[region.as_bytes()]);
        let service_key = hmac(&*region_key, &[service.as_bytes()]);
        Self(hmac(&*service_key, &[TERMINATOR.as_bytes()]))
    }

    /// The signature of a message given in pieces.
    pub(crate) fn sign(&self, pieces: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        hmac(&*self.0, pieces)
    }

    fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

fn hmac(key: &[u8], pieces: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for piece in pieces {
        mac.update(piece);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Signing keys of recent callers. An entry knows the secret that it was derived from, so that it is useless once the access
/// key has another one, and keeps it from nobody who wipes it.
pub(crate) struct SigningKeyCache(Mutex<LruCache<Box<str>, Entry>>);

struct Entry {
    secret: WeakSecret,
    key: SigningKey,
}

impl SigningKeyCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(CACHED_KEYS_MAX)))
    }

    /// The key under `credential` (`keyid/date/region/service/term`), if it was derived from `secret`.
    pub(crate) fn get(&self, credential: &str, secret: &SecretAccessKey) -> Option<SigningKey> {
        let mut entries = self.entries();
        let entry = entries.get(credential)?;
        entry.secret.is_same(secret).then(|| entry.key.duplicate())
    }

    /// Keeps `key`. Only keys that have verified a signature belong here, so that strangers cannot fill the cache.
    pub(crate) fn put(&self, credential: &str, secret: &SecretAccessKey, key: SigningKey) {
        self.entries().put(credential.into(), Entry { secret: secret.downgrade(), key });
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<Box<str>, Entry>> {
        // Every state of a cache is a good state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_is_derived() {
        // AWS General Reference, "Deriving the signing key", with the secret and scope of its example.
        let secret = SecretAccessKey::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let key = SigningKey::derive(&secret, "20150830", "us-east-1", "iam");
        assert_eq!(hex::encode(*key.0), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }

    #[test]
    fn a_changed_secret_finds_nothing() {
        let (old, new) = (SecretAccessKey::from("old"), SecretAccessKey::from("new"));
        let cache = SigningKeyCache::new();
        cache.put("a/d/r/s/t", &old, SigningKey::derive(&old, "d", "r", "s"));
        assert!(cache.get("a/d/r/s/t", &SecretAccessKey::from("old")).is_some());
        assert!(cache.get("a/d/r/s/t", &new).is_none());
        assert!(cache.get("b/d/r/s/t", &old).is_none());
        drop(old);
        assert!(cache.get("a/d/r/s/t", &SecretAccessKey::from("old")).is_none(), "nobody holds the secret any more");
    }
}
