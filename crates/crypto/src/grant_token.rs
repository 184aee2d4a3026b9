//! Grant tokens: texts that name one grant and that only the Region of the grant can make.
//!
//! A token is no secret and reveals nothing but ids. It carries everything that a node needs to tell a true one from a
//! forged one, so that any node of the Region accepts it, even one that has not applied the grant yet.
//!
//! Form before base64: version (1), key ID (17), grant ID (32), salt (16), HMAC-SHA-256 tag (32). The salt makes every
//! token of a grant a new text; all of them mean the same.

use meridian_model::{GrantId, KeyId};

use crate::canonical::Canonical;
use crate::labels;
use crate::mac::{MAC_LEN, MacKey};

/// The version that this build makes and reads.
const VERSION: u8 = 1;

/// Bytes of the salt.
pub const SALT_LEN: usize = 16;

/// Bytes of a key ID and of a grant ID.
const KEY_ID_LEN: usize = 17;
const GRANT_ID_LEN: usize = 32;

/// Bytes of a token before base64.
pub const TOKEN_LEN: usize = 1 + KEY_ID_LEN + GRANT_ID_LEN + SALT_LEN + MAC_LEN;

/// The key under which the nodes of one Region authenticate grant tokens.
#[derive(Debug)]
pub struct GrantTokenKey(MacKey);

impl GrantTokenKey {
    pub(crate) fn new(key: &[u8; MAC_LEN]) -> Self {
        Self(MacKey::new(key))
    }

    /// The token of a grant that belongs to `salt`, which was drawn at random.
    #[must_use]
    pub fn issue(&self, key_id: KeyId, grant_id: GrantId, salt: [u8; SALT_LEN]) -> [u8; TOKEN_LEN] {
        let token = GrantToken { key_id, grant_id, salt };
        let tag = self.0.tag(&[&token.authenticated()]);
        let mut bytes = [0; TOKEN_LEN];
        bytes[0] = VERSION;
        bytes[1..18].copy_from_slice(&key_id.to_bytes());
        bytes[18..50].copy_from_slice(grant_id.as_bytes());
        bytes[50..66].copy_from_slice(&token.salt);
        bytes[66..].copy_from_slice(&tag);
        bytes
    }

    /// The grant that `bytes` name; `None` if they are no token of this Region. Compares in constant time.
    #[must_use]
    pub fn open(&self, bytes: &[u8]) -> Option<GrantToken> {
        let token = GrantToken::parse_unverified(bytes)?;
        self.0.verify(&[&token.authenticated()], &bytes[TOKEN_LEN - MAC_LEN..]).then_some(token)
    }
}

/// What a grant token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantToken {
    /// The key that the grant is for.
    pub key_id: KeyId,
    /// The grant.
    pub grant_id: GrantId,
    salt: [u8; SALT_LEN],
}

impl GrantToken {
    /// What `bytes` say, whether or not that is true: enough to tell what a request was about, not to act upon.
    #[must_use]
    pub fn parse_unverified(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; TOKEN_LEN] = bytes.try_into().ok()?;
        if bytes[0] != VERSION {
            return None;
        }
        let key_id = KeyId::from_bytes(bytes[1..18].try_into().ok()?)?;
        let grant_id = GrantId::from_bytes(bytes[18..50].try_into().ok()?);
        Some(Self { key_id, grant_id, salt: bytes[50..66].try_into().ok()? })
    }

    fn authenticated(&self) -> Vec<u8> {
        Canonical::labelled(labels::GRANT_TOKEN)
            .field(&[VERSION])
            .field(&self.key_id.to_bytes())
            .field(self.grant_id.as_bytes())
            .field(&self.salt)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RootKey;

    fn key_id() -> KeyId {
        KeyId::multi_region([7; 16])
    }

    fn grant_id() -> GrantId {
        GrantId::from_bytes([9; 32])
    }

    #[test]
    fn every_node_of_the_region_accepts_a_token_and_no_other_region_does() {
        let root = RootKey::generate().expect("random");
        let key = |region: &str| root.grant_token_key(&region.parse().expect("a Region"));
        let token = key("us-east-1").issue(key_id(), grant_id(), [3; SALT_LEN]);
        let opened = key("us-east-1").open(&token).expect("own token");
        assert_eq!((opened.key_id, opened.grant_id), (key_id(), grant_id()));
        assert!(key("eu-west-1").open(&token).is_none(), "another Region");
        let other_root = RootKey::generate().expect("random");
        assert!(other_root.grant_token_key(&"us-east-1".parse().expect("a Region")).open(&token).is_none());
    }

    #[test]
    fn tokens_of_one_grant_differ() {
        let key = RootKey::generate().expect("random").grant_token_key(&"us-east-1".parse().expect("a Region"));
        let tokens = [[1; SALT_LEN], [2; SALT_LEN]].map(|salt| key.issue(key_id(), grant_id(), salt));
        assert_ne!(tokens[0], tokens[1]);
        let [one, two] = tokens.map(|token| key.open(&token).expect("own token").grant_id);
        assert_eq!(one, two);
    }

    #[test]
    fn a_token_with_any_bit_changed_is_none() {
        let key = RootKey::generate().expect("random").grant_token_key(&"us-east-1".parse().expect("a Region"));
        let token = key.issue(key_id(), grant_id(), [3; SALT_LEN]);
        for bit in 0..TOKEN_LEN * 8 {
            let mut forged = token;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&forged).is_none(), "bit {bit}");
        }
        for length in 0..TOKEN_LEN {
            assert!(key.open(&token[..length]).is_none(), "length {length}");
        }
        assert!(key.open(&[token.as_slice(), &[0]].concat()).is_none());
    }
}
