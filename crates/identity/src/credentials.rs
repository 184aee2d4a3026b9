//! Access keys: which there are, whose they are, and their secrets.
//!
//! [`StaticCredentials`] come from configuration; [`DevCredentials`] are well known and belong to dev mode alone. Whoever
//! keeps users in replicated state implements [`CredentialStore`] over it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use meridian_model::{AccountId, Partition, Region};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::caller::{Caller, CallerSource};

/// The longest access key id that is looked up; those of AWS have 20 characters.
pub const ACCESS_KEY_ID_LENGTH_MAX: usize = 128;

/// The secret half of an access key. Wiped when its last holder drops it; clones share one copy of the bytes.
#[derive(Clone)]
pub struct SecretAccessKey(Arc<Zeroizing<String>>);

impl SecretAccessKey {
    /// The only door to the secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A reference that does not keep the secret in memory.
    pub(crate) fn downgrade(&self) -> WeakSecret {
        WeakSecret(Arc::downgrade(&self.0))
    }

    /// Whether both are the same secret, in constant time unless they are one and the same copy.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

/// A secret that others may have dropped, and so wiped.
pub(crate) struct WeakSecret(Weak<Zeroizing<String>>);

impl WeakSecret {
    /// Whether the secret is still there and the same as `other`.
    pub(crate) fn is_same(&self, other: &SecretAccessKey) -> bool {
        self.0.upgrade().is_some_and(|held| SecretAccessKey(held).is_same(other))
    }
}

impl From<String> for SecretAccessKey {
    fn from(secret: String) -> Self {
        Self(Arc::new(Zeroizing::new(secret)))
    }
}

impl From<&str> for SecretAccessKey {
    fn from(secret: &str) -> Self {
        secret.to_owned().into()
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretAccessKey({} bytes)", self.0.len())
    }
}

/// An access key that exists: its secret and the principal that it stands for.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The secret that the principal signs with.
    pub secret: SecretAccessKey,
    /// The principal.
    pub caller: Arc<Caller>,
}

/// What a request says of its credentials. Nothing of it is proved yet.
#[derive(Clone, Copy)]
pub struct Claimed<'a> {
    /// The access key id of the credential scope, at most [`ACCESS_KEY_ID_LENGTH_MAX`] bytes.
    pub access_key_id: &'a str,
    /// The session token (`x-amz-security-token`); needed by temporary access keys, refused with any other.
    pub session_token: Option<&'a str>,
    /// The Region that the request is meant for.
    pub region: &'a Region,
}

/// Why there is no access key to verify a request with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialFault {
    /// The access key does not exist or is not active, or the token is not one of this access key and this cluster.
    Unrecognized,
    /// The temporary credentials have expired.
    Expired,
    /// Nothing can be looked up just now.
    Unavailable,
    /// Nothing can be looked up on this node, which has no root key.
    Sealed,
}

/// Where access keys are looked up, on every request and on any thread.
pub trait CredentialStore: Send + Sync {
    /// The access key that a caller claims to have who has proved nothing yet.
    ///
    /// # Errors
    /// If there is none, it is inactive, or it has expired.
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault>;

    /// The user or role `arn`, on whose behalf `service` calls, whose signature was verified.
    ///
    /// # Errors
    /// If there is no such principal.
    fn represented(&self, service: &Caller, arn: &str, region: &Region) -> Result<Caller, CredentialFault>;
}

impl<S: CredentialStore + ?Sized> CredentialStore for Arc<S> {
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        (**self).lookup(claimed)
    }

    fn represented(&self, service: &Caller, arn: &str, region: &Region) -> Result<Caller, CredentialFault> {
        (**self).represented(service, arn, region)
    }
}

/// What a client signs its requests with.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret: SecretAccessKey,
}

impl ClientCredentials {
    /// The credentials made of both halves.
    #[must_use]
    pub fn new(access_key_id: &str, secret: &str) -> Self {
        Self { access_key_id: access_key_id.to_owned(), secret: secret.into() }
    }
}

/// The credentials of dev mode: access key `test` with secret `test` is an administrator of account 000000000000; any
/// 12-digit access key id with secret `test` is the root user of that account.
///
/// Dangerous anywhere else, because everybody knows them, and because principals who share a secret can pass for each
/// other. Signatures are verified all the same.
#[derive(Debug)]
pub struct DevCredentials {
    secret: SecretAccessKey,
    administrators: BTreeMap<Partition, Arc<Caller>>,
}

/// Access key id and secret of the administrator in dev mode.
pub const DEV_ACCESS_KEY: &str = "test";

/// Unique id of the administrator in dev mode, in the form of a user's: `AIDA` and 17 characters of base32.
const DEV_PRINCIPAL_ID: &str = "AIDAMERIDIANDEVADMINS";

impl DevCredentials {
    /// The well-known credentials. Only dev mode may call this.
    #[must_use]
    pub fn danger_well_known() -> Self {
        let account: AccountId = "000000000000".parse().expect("twelve digits");
        let administrator = |partition| {
            let user = Caller::user(partition, account, "administrator", DEV_PRINCIPAL_ID, DEV_ACCESS_KEY);
            Arc::new(Caller { source: CallerSource::Configuration, ..user })
        };
        let partitions = [Partition::Aws, Partition::AwsCn, Partition::AwsUsGov];
        let administrators = partitions.into_iter().map(|partition| (partition, administrator(partition))).collect();
        Self { secret: DEV_ACCESS_KEY.into(), administrators }
    }
}

impl CredentialStore for DevCredentials {
    /// Elsewhere an account belongs to one partition; in dev mode every account is in every one, under the same id.
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        let (id, partition) = (claimed.access_key_id, claimed.region.usual_partition());
        if claimed.session_token.is_some() {
            return Err(CredentialFault::Unrecognized);
        }
        let caller = if id == DEV_ACCESS_KEY {
            Arc::clone(&self.administrators[&partition])
        } else {
            let account = id.parse().map_err(|_| CredentialFault::Unrecognized)?;
            Arc::new(Caller { source: CallerSource::Configuration, ..Caller::root(partition, account, id) })
        };
        Ok(AccessKey { secret: self.secret.clone(), caller })
    }

    fn represented(&self, _: &Caller, _: &str, _: &Region) -> Result<Caller, CredentialFault> {
        Err(CredentialFault::Unrecognized)
    }
}

/// Access keys from configuration.
#[derive(Debug, Default)]
pub struct StaticCredentials(BTreeMap<String, AccessKey>);

/// Why an access key of the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaticCredentialsError {
    /// Two principals cannot share an access key id.
    #[error("access key id {access_key_id} is given twice")]
    Duplicate {
        /// The id in question.
        access_key_id: String,
    },
    /// The id cannot stand in a credential scope.
    #[error("access key id {access_key_id:?} must have 1 to 128 letters and digits")]
    InvalidId {
        /// The id in question.
        access_key_id: String,
    },
    /// A signature does not cover the access key id, so principals who share a secret could pass for each other.
    #[error("access key ids {access_key_id} and {other} have the same secret")]
    SharedSecret {
        /// The id in question.
        access_key_id: String,
        /// The id that has the secret already.
        other: String,
    },
    /// A secret that can be guessed is none.
    #[error("the secret of access key id {access_key_id} must have at least {SECRET_LENGTH_MIN} characters")]
    WeakSecret {
        /// The id in question.
        access_key_id: String,
    },
}

/// Secrets of AWS have 40 characters of base64; 32 hold at least 128 bits in any sensible alphabet.
const SECRET_LENGTH_MIN: usize = 32;

impl StaticCredentials {
    /// No access keys yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the access key of the user `user_name` of `account`, or of the root user of that account for `None`.
    ///
    /// # Errors
    /// If the id is malformed or taken, or the secret is too short or taken.
    pub fn insert(
        &mut self,
        partition: Partition,
        account: AccountId,
        user_name: Option<&str>,
        credentials: ClientCredentials,
    ) -> Result<(), StaticCredentialsError> {
        let id = &credentials.access_key_id;
        let caller = match user_name {
            Some(name) => Caller::user(partition, account, name, &user_id(account, name), id),
            None => Caller::root(partition, account, id),
        };
        self.add(credentials, Caller { source: CallerSource::Configuration, ..caller })
    }

    /// Adds the access key of the service `name`, such as `s3.amazonaws.com`, whose resources belong to `account`. Whoever signs
    /// with it may call on behalf of any user and role: see [`crate::service_calls`].
    ///
    /// # Errors
    /// As [`StaticCredentials::insert`].
    pub fn danger_insert_service(
        &mut self,
        account: AccountId,
        name: &str,
        credentials: ClientCredentials,
    ) -> Result<(), StaticCredentialsError> {
        let caller = Caller::service(account, name, &credentials.access_key_id);
        self.add(credentials, caller)
    }

    fn add(&mut self, credentials: ClientCredentials, caller: Caller) -> Result<(), StaticCredentialsError> {
        let ClientCredentials { access_key_id, secret } = credentials;
        let is_well_formed = (1..=ACCESS_KEY_ID_LENGTH_MAX).contains(&access_key_id.len())
            && access_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_well_formed {
            return Err(StaticCredentialsError::InvalidId { access_key_id });
        }
        if secret.expose().len() < SECRET_LENGTH_MIN {
            return Err(StaticCredentialsError::WeakSecret { access_key_id });
        }
        if self.0.contains_key(&access_key_id) {
            return Err(StaticCredentialsError::Duplicate { access_key_id });
        }
        if let Some((other, _)) = self.0.iter().find(|(_, key)| key.secret.is_same(&secret)) {
            return Err(StaticCredentialsError::SharedSecret { access_key_id, other: other.clone() });
        }
        self.0.insert(access_key_id, AccessKey { secret, caller: Arc::new(caller) });
        Ok(())
    }
}

impl CredentialStore for StaticCredentials {
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        let key = self.0.get(claimed.access_key_id).filter(|_| claimed.session_token.is_none());
        key.cloned().ok_or(CredentialFault::Unrecognized)
    }

    fn represented(&self, _: &Caller, _: &str, _: &Region) -> Result<Caller, CredentialFault> {
        Err(CredentialFault::Unrecognized)
    }
}

/// Two stores, the first one asked first: what it does not recognize is looked up in the second one.
#[derive(Debug)]
pub struct EitherStore<A, B>(pub A, pub B);

impl<A: CredentialStore, B: CredentialStore> CredentialStore for EitherStore<A, B> {
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        match self.0.lookup(claimed) {
            Err(CredentialFault::Unrecognized) => self.1.lookup(claimed),
            found => found,
        }
    }

    fn represented(&self, service: &Caller, arn: &str, region: &Region) -> Result<Caller, CredentialFault> {
        match self.0.represented(service, arn, region) {
            Err(CredentialFault::Unrecognized) => self.1.represented(service, arn, region),
            found => found,
        }
    }
}

/// The unique id of a user from configuration: `AIDA` and 17 characters of base32, the same on every node.
fn user_id(account: AccountId, user_name: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(format!("{account}:{user_name}"));
    let letters = digest.iter().take(17).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    "AIDA".chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallerKind;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn account() -> AccountId {
        "111122223333".parse().expect("valid")
    }

    fn region(name: &str) -> Region {
        name.parse().expect("valid")
    }

    fn look_up(store: &impl CredentialStore, access_key_id: &str, name: &str) -> Option<AccessKey> {
        store.lookup(Claimed { access_key_id, session_token: None, region: &region(name) }).ok()
    }

    #[test]
    fn dev_mode_knows_the_administrator_and_every_root_user() {
        let dev = DevCredentials::danger_well_known();
        let administrator = look_up(&dev, "test", "eu-west-1").expect("well known").caller;
        assert_eq!(administrator.arn, "arn:aws:iam::000000000000:user/administrator");
        let root = look_up(&dev, "111122223333", "eu-west-1").expect("twelve digits");
        assert_eq!(
            (root.caller.arn.as_str(), &root.caller.kind),
            ("arn:aws:iam::111122223333:root", &CallerKind::Root)
        );
        assert_eq!(root.secret.expose(), "test");
        let arn = |id, name| look_up(&dev, id, name).expect("well known").caller.arn.clone();
        assert_eq!(arn("test", "cn-north-1"), "arn:aws-cn:iam::000000000000:user/administrator");
        assert_eq!(arn("111122223333", "us-gov-west-1"), "arn:aws-us-gov:iam::111122223333:root");
        for unknown in ["", "Test", "11112222333", "1111222233334", "AKIDEXAMPLE"] {
            assert!(look_up(&dev, unknown, "eu-west-1").is_none(), "{unknown:?}");
        }
    }

    #[test]
    fn configured_keys_are_found_by_their_id() {
        let mut credentials = StaticCredentials::new();
        let key = ClientCredentials::new("AKIDEXAMPLE", SECRET);
        credentials.insert(Partition::Aws, account(), Some("alice"), key).expect("valid");
        let key = ClientCredentials::new("AKIDROOT", &SECRET.to_lowercase());
        credentials.insert(Partition::Aws, account(), None, key).expect("valid");
        let alice = look_up(&credentials, "AKIDEXAMPLE", "eu-west-1").expect("configured").caller;
        assert_eq!(alice.user_name(), Some("alice"));
        assert_eq!((alice.principal_id.len(), &alice.principal_id[..4]), (21, "AIDA"));
        assert_eq!(look_up(&credentials, "AKIDROOT", "eu-west-1").expect("configured").caller.kind, CallerKind::Root);
        assert!(look_up(&credentials, "test", "eu-west-1").is_none());
    }

    #[test]
    fn unusable_keys_are_refused() {
        let mut credentials = StaticCredentials::new();
        let mut insert = |id: &str, secret: &str| {
            credentials.insert(Partition::Aws, account(), None, ClientCredentials::new(id, secret))
        };
        assert_eq!(insert("AKID", SECRET), Ok(()));
        assert!(matches!(insert("AKID", SECRET), Err(StaticCredentialsError::Duplicate { .. })));
        assert!(matches!(insert("AKIE", SECRET), Err(StaticCredentialsError::SharedSecret { .. })));
        assert!(matches!(insert("AK/ID", SECRET), Err(StaticCredentialsError::InvalidId { .. })));
        assert!(matches!(insert("", SECRET), Err(StaticCredentialsError::InvalidId { .. })));
        assert!(matches!(insert("AKIE", "test"), Err(StaticCredentialsError::WeakSecret { .. })));
    }

    #[test]
    fn debug_of_a_secret_tells_its_length_only() {
        assert_eq!(format!("{:?}", SecretAccessKey::from(SECRET)), "SecretAccessKey(40 bytes)");
    }
}
