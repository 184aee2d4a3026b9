//! Session tokens: what a temporary access key stands for, sealed, so that any node of any Region can read it and nobody else.
//!
//! Form before base64: version (1), id of the session key (16), nonce (12), ciphertext and tag. What is in it is a matter of
//! the layer above; here it is bytes. Version and key id are authenticated.
//!
//! Always true: a token opens only under the key that sealed it, and not with any bit changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::aead::{AeadKey, KEY_LEN, NONCE_LEN, TAG_LEN};
use crate::canonical::Canonical;
use crate::labels;
use crate::random::{self, RandomError};
use crate::secret::{AEAD_STACK, Secret, SecretBytes, on_wiped_stack};

/// The version that this build makes and reads.
const VERSION: u8 = 1;

const ID_LEN: usize = 16;
const HEAD_LEN: usize = 1 + ID_LEN + NONCE_LEN;

/// Most bytes that one token carries. In base64 a token stays below 6 KiB, which fits into a request head.
pub const PAYLOAD_LEN_MAX: usize = 4_096;

/// Most bytes of a token before base64.
pub const TOKEN_LEN_MAX: usize = HEAD_LEN + PAYLOAD_LEN_MAX + TAG_LEN;

/// Id of a session key: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionKeyId(pub [u8; ID_LEN]);

impl fmt::Display for SessionKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a token was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealTokenError {
    /// More than [`PAYLOAD_LEN_MAX`] bytes.
    #[error("{0} bytes are too many for a session token")]
    TooLong(usize),
    /// The generator failed.
    #[error("no randomness for sealing")]
    Random(#[from] RandomError),
}

/// Not a token of this key, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session token of this key")]
pub struct InvalidSessionToken;

/// A key that seals session tokens.
///
/// Nonces are random, so one key may seal 2^32 tokens.
#[derive(Debug)]
pub struct SessionKey {
    id: SessionKeyId,
    key: Secret<KEY_LEN>,
}

impl SessionKey {
    /// A new key with a random id.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self { id: SessionKeyId(random::random_bytes()?), key: Secret::random()? })
    }

    /// The key that consists of `bytes`; `None` unless there are 32 of them.
    #[must_use]
    pub fn from_secret(id: SessionKeyId, bytes: &SecretBytes) -> Option<Self> {
        let bytes: &[u8; KEY_LEN] = bytes.expose().try_into().ok()?;
        Some(Self { id, key: Secret::init(|key| key.copy_from_slice(bytes)) })
    }

    /// The bytes of the key, to be sealed at once.
    #[must_use]
    pub fn to_secret(&self) -> SecretBytes {
        SecretBytes::copy_from(self.key.expose())
    }

    /// The id that tokens name.
    #[must_use]
    pub const fn id(&self) -> SessionKeyId {
        self.id
    }

    /// A token that carries `payload`.
    ///
    /// # Errors
    /// If the payload is too long, or the generator fails.
    pub fn seal(&self, payload: &[u8]) -> Result<Vec<u8>, SealTokenError> {
        if payload.len() > PAYLOAD_LEN_MAX {
            return Err(SealTokenError::TooLong(payload.len()));
        }
        let nonce: [u8; NONCE_LEN] = random::random_bytes()?;
        let seal = || AeadKey::new(self.key.expose()).seal(&nonce, &bound(self.id), payload);
        let ciphertext = on_wiped_stack::<AEAD_STACK, _>(seal);
        Ok([&[VERSION][..], &self.id.0, &nonce, &ciphertext].concat())
    }

    /// What a token of this key carries.
    ///
    /// # Errors
    /// If another key sealed it, or any bit of it differs.
    pub fn open(&self, token: &SessionToken<'_>) -> Result<SecretBytes, InvalidSessionToken> {
        if token.key_id != self.id {
            return Err(InvalidSessionToken);
        }
        let open = || AeadKey::new(self.key.expose()).open(token.nonce, &bound(self.id), token.ciphertext);
        on_wiped_stack::<AEAD_STACK, _>(open).map_err(|_| InvalidSessionToken)
    }
}

/// A token as it came: its parts, none of which is to be believed before it was opened.
#[derive(Debug)]
pub struct SessionToken<'a> {
    key_id: SessionKeyId,
    nonce: &'a [u8; NONCE_LEN],
    ciphertext: &'a [u8],
}

impl<'a> SessionToken<'a> {
    /// Finds the parts of a token.
    ///
    /// # Errors
    /// If the bytes cannot be one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidSessionToken> {
        let parse = || {
            let (version, rest) = bytes.split_first()?;
            let (id, rest) = rest.split_first_chunk::<ID_LEN>()?;
            let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>()?;
            let fits = *version == VERSION && bytes.len() <= TOKEN_LEN_MAX && ciphertext.len() >= TAG_LEN;
            fits.then_some(Self { key_id: SessionKeyId(*id), nonce, ciphertext })
        };
        parse().ok_or(InvalidSessionToken)
    }

    /// The key that the token says it was sealed by.
    #[must_use]
    pub const fn key_id(&self) -> SessionKeyId {
        self.key_id
    }
}

fn bound(id: SessionKeyId) -> Vec<u8> {
    Canonical::labelled(labels::SESSION_TOKEN).field(&[VERSION]).field(&id.0).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(payload: &[u8]) -> (SessionKey, Vec<u8>) {
        let key = SessionKey::generate().expect("random");
        let token = key.seal(payload).expect("sealed");
        (key, token)
    }

    fn open(key: &SessionKey, token: &[u8]) -> Option<Vec<u8>> {
        let opened = key.open(&SessionToken::parse(token).ok()?).ok()?;
        Some(opened.expose().to_vec())
    }

    #[test]
    fn a_token_opens_under_its_key_wherever_the_key_went() {
        let (key, token) = sealed(b"who and until when");
        assert_eq!(open(&key, &token).as_deref(), Some(&b"who and until when"[..]));
        let elsewhere = SessionKey::from_secret(key.id(), &key.to_secret()).expect("32 bytes");
        assert_eq!(open(&elsewhere, &token).as_deref(), Some(&b"who and until when"[..]));
        assert!(SessionKey::from_secret(key.id(), &SecretBytes::copy_from(b"short")).is_none());
    }

    #[test]
    fn another_key_opens_nothing_even_under_the_same_id() {
        let (key, token) = sealed(b"payload");
        let other = SessionKey::generate().expect("random");
        assert!(open(&other, &token).is_none());
        let impostor = SessionKey::from_secret(key.id(), &other.to_secret()).expect("32 bytes");
        assert!(open(&impostor, &token).is_none());
    }

    #[test]
    fn a_token_with_any_bit_changed_is_none() {
        let (key, token) = sealed(b"payload");
        for bit in 0..token.len() * 8 {
            let mut forged = token.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key, &forged).is_none(), "bit {bit}");
        }
        for length in 0..token.len() {
            assert!(open(&key, &token[..length]).is_none(), "length {length}");
        }
        assert!(open(&key, &[&token[..], &[0]].concat()).is_none());
    }

    #[test]
    fn tokens_are_bounded() {
        let (key, longest) = sealed(&[7; PAYLOAD_LEN_MAX]);
        assert_eq!(longest.len(), TOKEN_LEN_MAX);
        assert!(open(&key, &longest).is_some());
        assert_eq!(key.seal(&[7; PAYLOAD_LEN_MAX + 1]), Err(SealTokenError::TooLong(PAYLOAD_LEN_MAX + 1)));
        assert!(SessionToken::parse(&[&longest[..], &[0]].concat()).is_err());
    }
}
