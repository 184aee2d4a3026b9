//! Secrets of identities: those of access keys, and the keys that seal session tokens.
//!
//! They are kept and travel like key material: at rest under a domain key of the Region, between Regions under a transport key.
//!
//! Always true: a sealed secret opens only in the place that it was sealed for.

use meridian_model::{AccessKeyId, AccountId, Region, UniqueId};

use crate::canonical::Canonical;
use crate::hierarchy::{DomainKey, UnsealError};
use crate::labels;
use crate::random::{self, RandomError};
use crate::sealed::{DomainKeyId, SealedSecret};
use crate::secret::SecretBytes;
use crate::session_token::SessionKeyId;

/// The one place that a secret belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// The secret of an access key.
    AccessKey {
        /// The account.
        account: AccountId,
        /// The unique id of the user; `None` for the root user of the account.
        user: Option<UniqueId>,
        /// The access key.
        id: AccessKeyId,
    },
    /// A key that seals session tokens.
    SessionKey(SessionKeyId),
}

impl SecretPlace {
    fn encode(&self, label: &[u8]) -> Canonical {
        let text = Canonical::labelled(label);
        match self {
            Self::AccessKey { account, user, id } => text
                .field(b"access key")
                .field(account.to_string().as_bytes())
                .field(user.as_ref().map_or("", UniqueId::as_str).as_bytes()) // no user has an empty id
                .field(id.as_str().as_bytes()),
            Self::SessionKey(id) => text.field(b"session key").field(&id.0),
        }
    }

    fn sealed_by(&self, domain_key_id: DomainKeyId) -> Vec<u8> {
        self.encode(labels::SEALED_SECRET).field(&domain_key_id.0).finish()
    }
}

/// What one secret on its way to another Region is about. Every field is authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretTransport {
    /// Which secret.
    pub place: SecretPlace,
    /// Region that sends.
    pub from: Region,
    /// Region that may open.
    pub to: Region,
    /// Number of the envelope on its link.
    pub sequence: u64,
}

impl SecretTransport {
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.place
            .encode(labels::SECRET_TRANSPORT)
            .field(self.from.as_str().as_bytes())
            .field(self.to.as_str().as_bytes())
            .field(&self.sequence.to_be_bytes())
            .finish()
    }
}

impl DomainKey {
    /// Seals `secret` for one place.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn seal_secret(&self, secret: &SecretBytes, place: &SecretPlace) -> Result<SealedSecret, RandomError> {
        let (nonce, ciphertext) = self.seal_bytes(&place.sealed_by(self.id()), secret)?;
        Ok(SealedSecret { domain_key_id: self.id(), nonce, ciphertext })
    }

    /// Opens a secret that [`DomainKey::seal_secret`] sealed for the same place.
    ///
    /// # Errors
    /// If another domain key sealed it, or any part of it or of `place` differs.
    pub fn open_secret(&self, sealed: &SealedSecret, place: &SecretPlace) -> Result<SecretBytes, UnsealError> {
        if sealed.domain_key_id != self.id() {
            return Err(UnsealError::OtherDomainKey { sealed_by: sealed.domain_key_id, opened_by: self.id() });
        }
        Ok(self.open_bytes(&place.sealed_by(self.id()), &sealed.nonce, &sealed.ciphertext)?)
    }
}

/// Characters of a new secret access key: 40 of base64, as AWS has them, which hold 240 random bits.
pub const SECRET_ACCESS_KEY_LEN: usize = 40;

/// A new secret access key, in ASCII.
///
/// # Errors
/// If the generator fails.
pub fn generate_secret_access_key() -> Result<SecretBytes, RandomError> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut secret = SecretBytes::random(SECRET_ACCESS_KEY_LEN)?;
    secret.map_bytes(|byte| ALPHABET[usize::from(byte % 64)]); // 256 is a multiple of 64, so that no character is favoured
    Ok(secret)
}

/// Characters of new unique ids and access key ids after their prefix: 16 of base32, which hold 80 random bits.
const ID_RANDOM_LEN: usize = 16;

/// A new id of IAM: `prefix`, then 16 capitals and digits.
///
/// # Errors
/// If the generator fails.
pub fn generate_id(prefix: &str) -> Result<String, RandomError> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random: [u8; ID_RANDOM_LEN] = random::random_bytes()?;
    Ok(prefix.chars().chain(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{SealedEnvelope, TransportKeyPair};

    fn region(name: &str) -> Region {
        name.parse().expect("valid")
    }

    fn place() -> SecretPlace {
        SecretPlace::AccessKey {
            account: "111122223333".parse().expect("valid"),
            user: Some("AIDA0000000000000001".parse().expect("valid")),
            id: "AKIA0000000000000001".parse().expect("valid"),
        }
    }

    /// Every other place that differs in one part.
    fn elsewhere() -> Vec<SecretPlace> {
        let SecretPlace::AccessKey { account, user, id } = place() else { unreachable!("made above") };
        let other_account = "444455556666".parse().expect("valid");
        let other_user = Some("AIDA0000000000000002".parse().expect("valid"));
        let other_id = "AKIA0000000000000002".parse().expect("valid");
        vec![
            SecretPlace::AccessKey { account: other_account, user: user.clone(), id: id.clone() },
            SecretPlace::AccessKey { account, user: other_user, id: id.clone() },
            SecretPlace::AccessKey { account, user: None, id },
            SecretPlace::AccessKey { account, user, id: other_id },
            SecretPlace::SessionKey(SessionKeyId([0; 16])),
        ]
    }

    #[test]
    fn a_secret_opens_in_its_own_place_only() {
        let (domain_key, other) = (DomainKey::generate().expect("random"), DomainKey::generate().expect("random"));
        let secret = generate_secret_access_key().expect("random");
        let sealed = domain_key.seal_secret(&secret, &place()).expect("sealed");
        assert_eq!(domain_key.open_secret(&sealed, &place()).expect("opens").expose(), secret.expose());
        for place in elsewhere() {
            assert_eq!(domain_key.open_secret(&sealed, &place).err(), Some(UnsealError::NotAuthentic), "{place:?}");
        }
        assert!(matches!(other.open_secret(&sealed, &place()), Err(UnsealError::OtherDomainKey { .. })));
    }

    #[test]
    fn a_secret_on_its_way_opens_at_its_destination_only() {
        let pair = TransportKeyPair::generate().expect("random");
        let transport =
            SecretTransport { place: place(), from: region("us-east-1"), to: region("eu-west-1"), sequence: 7 };
        let secret = generate_secret_access_key().expect("random");
        let sent: SealedEnvelope = pair.public().seal_secret(&transport, &secret).expect("sealed");
        assert_eq!(pair.open_secret(&sent, &transport).expect("opens").expose(), secret.expose());
        let mut others: Vec<SecretTransport> =
            elsewhere().into_iter().map(|place| SecretTransport { place, ..transport.clone() }).collect();
        others.push(SecretTransport { sequence: 8, ..transport.clone() });
        others.push(SecretTransport { to: region("us-west-2"), ..transport.clone() });
        others.push(SecretTransport { from: region("us-west-2"), ..transport });
        for other in others {
            assert!(pair.open_secret(&sent, &other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn new_secrets_and_ids_have_the_form_that_clients_expect() {
        let secret = generate_secret_access_key().expect("random");
        assert_eq!(secret.len(), SECRET_ACCESS_KEY_LEN);
        assert!(secret.expose().iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte)));
        assert_ne!(secret.expose(), generate_secret_access_key().expect("random").expose());
        let id = generate_id("AKIA").expect("random");
        assert!(id.starts_with("AKIA") && id.len() == 20 && id.parse::<AccessKeyId>().is_ok(), "{id}");
        assert!(generate_id("AIDA").expect("random").parse::<UniqueId>().is_ok());
    }
}
