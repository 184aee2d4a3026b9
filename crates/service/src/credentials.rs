//! Access keys of identities as the state of this Region has them, and session tokens: made, read, and still good.
//!
//! What was opened is kept beside the very row that it was opened from: once the state has another row, or none, it is not found
//! any more. So whatever takes an access key away counts on a node from the moment that it has applied it.
//!
//! A temporary access key stands in no state: its token says whose it is. It is good as long as that user or role exists.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lru::LruCache;
use meridian_crypto::session_token::{PAYLOAD_LEN_MAX, TOKEN_LEN_MAX};
use meridian_crypto::{SealTokenError, SecretBytes, SecretPlace, SessionKey, SessionToken, identity_secret};
use meridian_identity::{
    AccessKey, Caller, CallerKind, CallerSource, Claimed, CredentialFault, CredentialStore, SecretAccessKey, Session,
};
use meridian_model::entities::id_prefix;
use meridian_model::{AccountId, EntityKind, EntityName, ErrorCode, Region, ServiceError, Timestamp, UniqueId};
use meridian_state::RegionState;
use meridian_state::identities::{AccessKeyRecord, AccessKeyStatus, Entity, RoleRecord, SessionKeyRecord, UserRecord};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::call::Service;
use crate::key_ring::{KeyRing, log_internal};

/// Whose temporary credentials are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionHolder {
    /// The root user.
    Root,
    /// A user (`GetSessionToken`).
    User {
        /// Its name.
        name: EntityName,
        /// Its unique id.
        id: UniqueId,
    },
    /// A role (`AssumeRole`).
    Role {
        /// Its name.
        name: EntityName,
        /// Its unique id.
        id: UniqueId,
        /// The name of the session.
        session_name: String,
    },
    /// A federated user (`GetFederationToken`).
    Federated {
        /// The name of the session.
        name: String,
        /// The user who asked for it; `None` for the root user.
        issuer: Option<(EntityName, UniqueId)>,
    },
}

/// Temporary credentials to be issued.
#[derive(Clone, Debug)]
pub struct SessionGrant {
    /// The account.
    pub account: AccountId,
    /// Whose they are.
    pub holder: SessionHolder,
    /// What else belongs to them; says when they are issued and expire.
    pub session: Session,
}

/// Temporary credentials.
#[derive(Clone, Debug)]
pub struct TemporaryCredentials {
    /// `ASIA…`
    pub access_key_id: String,
    /// The secret.
    pub secret: SecretAccessKey,
    /// What belongs into `x-amz-security-token`.
    pub session_token: String,
    /// When they expire.
    pub expires_at: Timestamp,
    /// How much of what a token can carry is taken, in percent.
    pub packed_percent: u32,
}

/// What a token carries.
#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    access_key_id: &'a str,
    secret: &'a str,
    account: AccountId,
    holder: SessionHolder,
    session: Session,
}

/// Access keys that were opened, and the keys that seal session tokens. What is dropped wipes itself.
pub(crate) struct CredentialCache {
    opened: Mutex<LruCache<Box<str>, Opened>>,
    session_keys: Mutex<LruCache<[u8; 16], (Arc<SessionKeyRecord>, Arc<SessionKey>)>>,
}

/// One access key, with what it was opened from.
struct Opened {
    origin: Origin,
    key: AccessKey,
}

enum Origin {
    LongTerm(Arc<AccessKeyRecord>),
    Temporary { token: Box<str>, holder: Holder },
}

/// The row that a temporary access key depends on.
enum Holder {
    Root,
    User(AccountId, EntityName, UniqueId),
    Role(AccountId, EntityName, UniqueId),
}

/// Access keys that are kept open on one node; a further one costs some microseconds.
const OPENED_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");

/// There are two at most, and one that goes while its successor comes.
const SESSION_KEYS_MAX: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");

/// Characters of the longest session token.
const TOKEN_TEXT_LEN_MAX: usize = TOKEN_LEN_MAX.div_ceil(3) * 4;

impl CredentialCache {
    pub(crate) fn new() -> Self {
        Self {
            opened: Mutex::new(LruCache::new(OPENED_MAX)),
            session_keys: Mutex::new(LruCache::new(SESSION_KEYS_MAX)),
        }
    }

    /// Drops what `state` does not have any more, so that secrets do not stay in memory longer than they count.
    pub(crate) fn forget_unusable(&self, state: &RegionState) {
        let mut opened = self.opened();
        let is_gone = |opened: &Opened| match &opened.origin {
            Origin::LongTerm(row) => !is_current(state, row),
            Origin::Temporary { holder, .. } => !holder.exists(state),
        };
        let gone: Vec<Box<str>> = opened.iter().filter(|(_, held)| is_gone(held)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            opened.pop(&id);
        }
    }

    fn opened(&self) -> MutexGuard<'_, LruCache<Box<str>, Opened>> {
        // Every state of a cache is a good state.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, id: &str, origin: Origin, key: &AccessKey) {
        let evicted = self.opened().push(id.into(), Opened { origin, key: key.clone() });
        drop(evicted); // wiped outside of the lock
    }

    /// The key in `row`, ready to seal and open tokens.
    fn session_key(
        &self,
        ring: &KeyRing,
        state: &RegionState,
        row: &Arc<SessionKeyRecord>,
    ) -> Result<Arc<SessionKey>, ServiceError> {
        let mut keys = self.session_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((opened_from, key)) = keys.get(&row.id.0)
            && Arc::ptr_eq(opened_from, row)
        {
            return Ok(Arc::clone(key));
        }
        let secret = ring.open_secret(state, &SecretPlace::SessionKey(row.id), &row.sealed)?;
        let key = Arc::new(SessionKey::from_secret(row.id, &secret).ok_or_else(ServiceError::internal)?);
        keys.put(row.id.0, (Arc::clone(row), Arc::clone(&key)));
        Ok(key)
    }
}

impl fmt::Debug for CredentialCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialCache").finish_non_exhaustive()
    }
}

/// Looks access keys up in one state, through the cache.
struct Lookup<'a> {
    state: &'a RegionState,
    ring: &'a KeyRing,
    cache: &'a CredentialCache,
    /// By the clock that sessions are issued by.
    now: Timestamp,
}

impl Lookup<'_> {
    fn access_key(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        match claimed.session_token {
            None => self.long_term(claimed.access_key_id),
            Some(token) => self.temporary(claimed.access_key_id, token),
        }
    }

    fn long_term(&self, id: &str) -> Result<AccessKey, CredentialFault> {
        let row = self.state.identities().access_key(id).filter(|row| row.status == AccessKeyStatus::Active);
        let row = row.ok_or(CredentialFault::Unrecognized)?;
        if let Some(Opened { origin: Origin::LongTerm(opened_from), key }) = self.cache.opened().get(id)
            && Arc::ptr_eq(opened_from, row)
        {
            return Ok(key.clone());
        }
        let caller = Arc::new(self.owner(row).ok_or(CredentialFault::Unrecognized)?);
        let secret = self.ring.open_secret(self.state, &row.place(), &row.sealed);
        let secret = secret_text(&secret.map_err(|_| CredentialFault::Unavailable)?)?;
        let key = AccessKey { secret, caller };
        self.cache.put(id, Origin::LongTerm(Arc::clone(row)), &key);
        Ok(key)
    }

    fn owner(&self, row: &AccessKeyRecord) -> Option<Caller> {
        let (partition, id) = (self.state.partition(), row.id.as_str());
        match &row.user {
            None => Some(Caller::root(partition, row.account, id)),
            Some(name) => self.state.identities().user(row.account, name).map(|user| user_caller(self.state, user, id)),
        }
    }

    fn temporary(&self, id: &str, token: &str) -> Result<AccessKey, CredentialFault> {
        if !id.starts_with(id_prefix::TEMPORARY_ACCESS_KEY) || token.len() > TOKEN_TEXT_LEN_MAX {
            return Err(CredentialFault::Unrecognized);
        }
        let key = match self.remembered(id, token) {
            Some(key) => key,
            None => self.read_token(id, token)?,
        };
        let expires_at = key.caller.session.as_ref().map(|session| session.expires_at);
        if expires_at.is_some_and(|at| self.now < at) { Ok(key) } else { Err(CredentialFault::Expired) }
    }

    /// What this very token was found to say before, if its holder still exists.
    fn remembered(&self, id: &str, token: &str) -> Option<AccessKey> {
        let mut opened = self.cache.opened();
        let Some(Opened { origin: Origin::Temporary { token: known, holder }, key }) = opened.get(id) else {
            return None;
        };
        let is_same = bool::from(known.as_bytes().ct_eq(token.as_bytes()));
        (is_same && holder.exists(self.state)).then(|| key.clone())
    }

    fn read_token(&self, id: &str, text: &str) -> Result<AccessKey, CredentialFault> {
        let unrecognized = CredentialFault::Unrecognized;
        let bytes = STANDARD.decode(text).map_err(|_| unrecognized)?;
        let token = SessionToken::parse(&bytes).map_err(|_| unrecognized)?;
        let row = self.state.identities().session_key(token.key_id()).ok_or(unrecognized)?;
        let session_key = self.cache.session_key(self.ring, self.state, row);
        let opened = session_key.map_err(|_| CredentialFault::Unavailable)?.open(&token).map_err(|_| unrecognized)?;
        let payload: Payload<'_> = postcard::from_bytes(opened.expose()).map_err(|_| unrecognized)?;
        if payload.access_key_id != id {
            return Err(unrecognized);
        }
        let secret = SecretAccessKey::from(payload.secret);
        let holder = Holder::of(payload.account, &payload.holder);
        let caller = session_caller(self.state, id, payload.account, payload.holder, payload.session);
        let key = AccessKey { secret, caller: Arc::new(caller.ok_or(unrecognized)?) };
        self.cache.put(id, Origin::Temporary { token: text.into(), holder }, &key);
        Ok(key)
    }
}

impl Holder {
    fn of(account: AccountId, holder: &SessionHolder) -> Self {
        match holder {
            SessionHolder::Root | SessionHolder::Federated { issuer: None, .. } => Self::Root,
            SessionHolder::User { name, id } | SessionHolder::Federated { issuer: Some((name, id)), .. } => {
                Self::User(account, name.clone(), id.clone())
            }
            SessionHolder::Role { name, id, .. } => Self::Role(account, name.clone(), id.clone()),
        }
    }

    /// Whether the entity is still there, and not another one of its name.
    fn exists(&self, state: &RegionState) -> bool {
        match self {
            Self::Root => true,
            Self::User(account, name, id) => state.identities().user(*account, name).is_some_and(|row| row.id == *id),
            Self::Role(account, name, id) => state.identities().role(*account, name).is_some_and(|row| row.id == *id),
        }
    }
}

/// Whether `state` has this very row, and the key is active.
fn is_current(state: &RegionState, row: &Arc<AccessKeyRecord>) -> bool {
    let current = state.identities().access_key(row.id.as_str());
    row.status == AccessKeyStatus::Active && current.is_some_and(|current| Arc::ptr_eq(current, row))
}

fn user_caller(state: &RegionState, user: &UserRecord, access_key_id: &str) -> Caller {
    let caller = Caller::user(state.partition(), user.account, user.name.as_str(), user.id.as_str(), access_key_id);
    Caller { arn: user.arn(state.partition()), ..caller }
}

fn role_caller(state: &RegionState, role: &RoleRecord, session_name: &str, access_key_id: &str) -> Caller {
    let (partition, account) = (state.partition(), role.account);
    Caller {
        account,
        arn: format!("arn:{partition}:sts::{account}:assumed-role/{}/{session_name}", role.name),
        principal_id: format!("{}:{session_name}", role.id),
        access_key_id: access_key_id.to_owned(),
        kind: CallerKind::AssumedRole { role_arn: role.arn(partition), session_name: session_name.to_owned() },
        source: CallerSource::Iam,
        session: None,
        service_call: None,
    }
}

/// Who the holder of a session is now; `None` if it does not exist any more.
fn session_caller(
    state: &RegionState,
    access_key_id: &str,
    account: AccountId,
    holder: SessionHolder,
    session: Session,
) -> Option<Caller> {
    if !Holder::of(account, &holder).exists(state) {
        return None;
    }
    let partition = state.partition();
    let caller = match holder {
        SessionHolder::Root => Caller::root(partition, account, access_key_id),
        SessionHolder::User { name, .. } => user_caller(state, state.identities().user(account, &name)?, access_key_id),
        SessionHolder::Role { name, session_name, .. } => {
            role_caller(state, state.identities().role(account, &name)?, &session_name, access_key_id)
        }
        SessionHolder::Federated { name, issuer } => {
            let user_arn = match issuer {
                Some((user, _)) => state.identities().user(account, &user)?.arn(partition),
                None => format!("arn:{partition}:iam::{account}:root"),
            };
            Caller {
                account,
                arn: format!("arn:{partition}:sts::{account}:federated-user/{name}"),
                principal_id: format!("{account}:{name}"),
                access_key_id: access_key_id.to_owned(),
                kind: CallerKind::FederatedUser { user_arn, name },
                source: CallerSource::Iam,
                session: None,
                service_call: None,
            }
        }
    };
    Some(Caller { session: Some(session), ..caller })
}

fn secret_text(secret: &SecretBytes) -> Result<SecretAccessKey, CredentialFault> {
    std::str::from_utf8(secret.expose()).map(SecretAccessKey::from).map_err(|_| CredentialFault::Unavailable)
}

/// Checks that what a caller was recognized by still counts in `state`, which may be newer than the one of its signature.
///
/// # Errors
/// As for a signature with an access key that does not exist.
pub fn check_current(state: &RegionState, caller: &Caller) -> Result<(), ServiceError> {
    if caller.is_configured() || matches!(caller.kind, CallerKind::Service { .. }) {
        return Ok(());
    }
    let identities = state.identities();
    let is_current = match (&caller.session, &caller.service_call) {
        // Whom a service calls for signs nothing.
        (None, None) => identities
            .access_key(&caller.access_key_id)
            .is_some_and(|row| row.status == AccessKeyStatus::Active && row.account == caller.account),
        _ => true,
    };
    let exists = match caller.entity_id() {
        Some(id) => identities.by_unique_id(id).is_some_and(|entity| entity.account == caller.account),
        None => true,
    };
    if is_current && exists {
        return Ok(());
    }
    Err(ServiceError::new(ErrorCode::UnrecognizedClient, "The security token included in the request is invalid."))
}

impl Service {
    /// Issues temporary credentials. Whether they may be issued was decided before.
    ///
    /// # Errors
    /// `PackedPolicyTooLarge` if the token cannot carry them.
    pub fn issue_session(&self, grant: SessionGrant) -> Result<TemporaryCredentials, ServiceError> {
        let state = self.state();
        let row = state.identities().sealing_session_key(grant.session.issued_at).ok_or_else(|| {
            let message = "This Region has no key for session tokens yet. Try the request again.";
            ServiceError::new(ErrorCode::IamServiceFailure, message)
        })?;
        let session_key = self.credentials().session_key(self.ring()?, &state, row)?;
        let random = log_internal("drawing temporary credentials");
        let access_key_id = identity_secret::generate_id(id_prefix::TEMPORARY_ACCESS_KEY).map_err(random)?;
        let secret = identity_secret::generate_secret_access_key();
        let secret = secret.map_err(log_internal("drawing temporary credentials"))?;
        let secret = secret_text(&secret).map_err(|_| ServiceError::internal())?;
        let expires_at = grant.session.expires_at;
        let SessionGrant { account, holder, session } = grant;
        let payload = Payload { access_key_id: &access_key_id, secret: secret.expose(), account, holder, session };
        let payload = Zeroizing::new(postcard::to_stdvec(&payload).map_err(log_internal("encoding a session token"))?);
        let packed_percent = percent(payload.len());
        let token = session_key.seal(&payload).map_err(|error| match error {
            SealTokenError::TooLong(len) => {
                let used = percent(len);
                let message = format!("Packed size of session policies and tags consumes {used}% of allotted space.");
                ServiceError::new(ErrorCode::StsPackedPolicyTooLarge, message)
            }
            SealTokenError::Random(error) => log_internal("sealing a session token")(error),
        })?;
        let session_token = STANDARD.encode(token);
        Ok(TemporaryCredentials { access_key_id, secret, session_token, expires_at, packed_percent })
    }
}

fn percent(len: usize) -> u32 {
    u32::try_from((len * 100).div_ceil(PAYLOAD_LEN_MAX)).unwrap_or(u32::MAX)
}

/// The access keys of the identities of this Region, as this node has applied them.
impl CredentialStore for Service {
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        let ring = self.ring().map_err(|_| CredentialFault::Unavailable)?;
        let state = self.state();
        Lookup { state: &state, ring, cache: self.credentials(), now: self.now() }.access_key(claimed)
    }

    fn represented(&self, service: &Caller, arn: &str, _: &Region) -> Result<Caller, CredentialFault> {
        represented(&self.state(), service, arn).ok_or(CredentialFault::Unrecognized)
    }
}

/// The user, role or root user `arn`, for whom `service` calls.
pub(crate) fn represented(state: &RegionState, service: &Caller, arn: &str) -> Option<Caller> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, "iam", "", account, resource] = parts[..] else { return None };
    let account: AccountId = account.parse().ok()?;
    let key = service.access_key_id.as_str();
    if resource == "root" {
        return Some(Caller::root(state.partition(), account, key)).filter(|caller| caller.arn == arn);
    }
    let name: EntityName = resource.rsplit('/').next()?.parse().ok()?;
    let kind = if resource.starts_with("user/") { EntityKind::User } else { EntityKind::Role };
    let Entity { account, name, .. } = Entity { account, kind, name };
    let caller = match kind {
        EntityKind::User => user_caller(state, state.identities().user(account, &name)?, key),
        _ => role_caller(state, state.identities().role(account, &name)?, service_session_name(service), key),
    };
    (caller.entity_arn() == arn).then_some(caller)
}

/// The name of the session of a role in which a service carries out its requests.
fn service_session_name(service: &Caller) -> &str {
    service.arn.split('.').next().unwrap_or(&service.arn)
}
