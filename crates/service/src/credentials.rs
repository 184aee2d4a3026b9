//! Access keys of identities as the state of this Region has them, and session tokens: made, read, and still good.
//!
//! What was opened is kept beside the very row that it was opened from: once the state has another row, or none, it is not found
//! any more. So whatever takes an access key away counts on a node from the moment that it has applied it.
//!
//! A temporary access key stands in no state: its token says whose it is. It is good as long as that user or role exists.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lru::LruCache;
use meridian_crypto::session_token::{PAYLOAD_LEN_MAX, TOKEN_LEN_MAX};
use meridian_crypto::{
    SealTokenError, SecretBytes, SecretPlace, SessionKey, SessionKeyId, SessionToken, identity_secret,
};
use meridian_identity::{
    AccessKey, Caller, CallerKind, CallerSource, Claimed, CredentialFault, CredentialStore, SecretAccessKey, Session,
};
use meridian_model::entities::id_prefix;
use meridian_model::{AccountId, EntityName, ErrorCode, Region, ServiceError, Timestamp, UniqueId};
use meridian_state::RegionState;
use meridian_state::identities::{
    AccessKeyRecord, AccessKeyStatus, RoleRecord, SESSION_SECONDS_MAX, SessionKeyRecord, UserRecord,
};
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
        /// Its unique id.
        id: UniqueId,
    },
    /// A role (`AssumeRole`).
    Role {
        /// Its unique id.
        id: UniqueId,
        /// The name of the session.
        session_name: String,
    },
    /// A federated user (`GetFederationToken`).
    Federated {
        /// The name of the session.
        name: String,
        /// The unique id of the user who asked for it; `None` for the root user.
        issuer: Option<UniqueId>,
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

/// Temporary credentials. `Debug` shows neither secret nor token.
#[derive(Clone)]
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

impl fmt::Debug for TemporaryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut credentials = f.debug_struct("TemporaryCredentials");
        credentials.field("access_key_id", &self.access_key_id).field("expires_at", &self.expires_at);
        credentials.finish_non_exhaustive()
    }
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
    session_keys: Mutex<LruCache<SessionKeyId, OpenedSessionKey>>,
}

/// One session key, with the row that it was opened from.
type OpenedSessionKey = (Arc<SessionKeyRecord>, Arc<SessionKey>);

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
    User(UniqueId),
    Role(UniqueId),
}

/// Access keys that are kept open on one node; a further one costs some microseconds.
const OPENED_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");

/// There are two at most, and one that goes while its successor comes.
const SESSION_KEYS_MAX: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");

/// What a token carries is written here before its length is known; tells how much too large something is, within reason.
const PAYLOAD_BUFFER_LEN: usize = 16 * PAYLOAD_LEN_MAX;

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
    pub(crate) fn forget_unusable(&self, state: &RegionState, now: Timestamp) {
        let mut opened = self.opened();
        let is_gone = |opened: &Opened| match &opened.origin {
            Origin::LongTerm(row) => !is_current(state, row),
            Origin::Temporary { holder, .. } => {
                let session = opened.key.caller.session.as_ref();
                !holder.exists(state) || session.is_some_and(|session| session.expires_at <= now)
            }
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
        if let Some((opened_from, key)) = keys.get(&row.id)
            && Arc::ptr_eq(opened_from, row)
        {
            return Ok(Arc::clone(key));
        }
        let secret = ring.open_secret(state, &SecretPlace::SessionKey(row.id), &row.sealed)?;
        let key = Arc::new(SessionKey::from_secret(row.id, &secret).ok_or_else(ServiceError::internal)?);
        keys.put(row.id, (Arc::clone(row), Arc::clone(&key)));
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
            && is_named_as_now(self.state, &key.caller)
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
            Some(user) => {
                self.state.identities().user_by_id(user.as_str()).map(|user| user_caller(self.state, user, id))
            }
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
        if expires_at.is_some_and(|at| self.now < at) {
            return Ok(key);
        }
        self.cache.opened().pop(id);
        Err(CredentialFault::Expired)
    }

    /// What this very token was found to say before, if its holder still exists.
    fn remembered(&self, id: &str, token: &str) -> Option<AccessKey> {
        let mut opened = self.cache.opened();
        let Some(Opened { origin: Origin::Temporary { token: known, holder }, key }) = opened.get(id) else {
            return None;
        };
        let is_same = bool::from(known.as_bytes().ct_eq(token.as_bytes()));
        let is_current = holder.exists(self.state) && is_named_as_now(self.state, &key.caller);
        (is_same && is_current).then(|| key.clone())
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
        let holder = Holder::of(&payload.holder);
        let caller = session_caller(self.state, id, payload.account, payload.holder, payload.session);
        let key = AccessKey { secret, caller: Arc::new(caller.ok_or(unrecognized)?) };
        self.cache.put(id, Origin::Temporary { token: text.into(), holder }, &key);
        Ok(key)
    }
}

impl Holder {
    fn of(holder: &SessionHolder) -> Self {
        match holder {
            SessionHolder::Root | SessionHolder::Federated { issuer: None, .. } => Self::Root,
            SessionHolder::User { id } | SessionHolder::Federated { issuer: Some(id), .. } => Self::User(id.clone()),
            SessionHolder::Role { id, .. } => Self::Role(id.clone()),
        }
    }

    /// Whether the entity is still there; another one of its name is another one.
    fn exists(&self, state: &RegionState) -> bool {
        match self {
            Self::Root => true,
            Self::User(id) => state.identities().user_by_id(id.as_str()).is_some(),
            Self::Role(id) => state.identities().role_by_id(id.as_str()).is_some(),
        }
    }
}

/// Whether `state` has this very row, and the key is active.
fn is_current(state: &RegionState, row: &Arc<AccessKeyRecord>) -> bool {
    let current = state.identities().access_key(row.id.as_str());
    row.status == AccessKeyStatus::Active && current.is_some_and(|current| Arc::ptr_eq(current, row))
}

/// Whether the user whose policies count for `caller` exists, and has the name by which `caller` knows it. Policies find
/// principals by name, so a former name must not count.
fn is_named_as_now(state: &RegionState, caller: &Caller) -> bool {
    let Some(id) = caller.user_id() else { return true };
    state.identities().user_by_id(id).is_some_and(|user| user.is_still_named(caller.entity_arn()))
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
    let (partition, identities) = (state.partition(), state.identities());
    let caller = match holder {
        SessionHolder::Root => Caller::root(partition, account, access_key_id),
        SessionHolder::User { id } => user_caller(state, identities.user_by_id(id.as_str())?, access_key_id),
        SessionHolder::Role { id, session_name } => {
            role_caller(state, identities.role_by_id(id.as_str())?, &session_name, access_key_id)
        }
        SessionHolder::Federated { name, issuer } => {
            let user_arn = match &issuer {
                Some(user) => identities.user_by_id(user.as_str())?.arn(partition),
                None => format!("arn:{partition}:iam::{account}:root"),
            };
            Caller {
                account,
                arn: format!("arn:{partition}:sts::{account}:federated-user/{name}"),
                principal_id: format!("{account}:{name}"),
                access_key_id: access_key_id.to_owned(),
                kind: CallerKind::FederatedUser { user_arn, user_id: issuer.map(|id| id.as_str().to_owned()), name },
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
        Some(id) => identities.user_by_id(id).is_some() || identities.role_by_id(id).is_some(),
        None => true,
    };
    if is_current && exists && is_named_as_now(state, caller) {
        return Ok(());
    }
    Err(ServiceError::new(ErrorCode::UnrecognizedClient, "The security token included in the request is invalid."))
}

impl Service {
    /// Issues temporary credentials. Whether they may be issued was decided before.
    ///
    /// # Errors
    /// `PackedPolicyTooLarge` if no token can carry them.
    pub fn issue_session(&self, grant: SessionGrant) -> Result<TemporaryCredentials, ServiceError> {
        let state = self.state();
        Lookup { state: &state, ring: self.ring()?, cache: self.credentials(), now: self.now() }.issue(grant)
    }
}

impl Lookup<'_> {
    fn issue(&self, grant: SessionGrant) -> Result<TemporaryCredentials, ServiceError> {
        let row = self.state.identities().sealing_session_key(self.now).ok_or_else(|| {
            let message = "This Region has no key for session tokens yet. Try the request again.";
            ServiceError::new(ErrorCode::IamServiceFailure, message)
        })?;
        let session_key = self.cache.session_key(self.ring, self.state, row)?;
        let access_key_id = identity_secret::generate_id(id_prefix::TEMPORARY_ACCESS_KEY);
        let access_key_id = access_key_id.map_err(log_internal("drawing temporary credentials"))?;
        let secret = identity_secret::generate_secret_access_key();
        let secret = secret_text(&secret.map_err(log_internal("drawing temporary credentials"))?);
        let secret = secret.map_err(|_| ServiceError::internal())?;
        let SessionGrant { account, holder, session } = grant;
        let expires_at = session.expires_at;
        if expires_at.since(self.now) > Duration::from_secs(SESSION_SECONDS_MAX.into()) {
            return Err(ServiceError::internal()); // the session key would be gone before
        }
        let payload = Payload { access_key_id: &access_key_id, secret: secret.expose(), account, holder, session };
        // Written where it is wiped: a buffer that grew would leave copies of the secret behind.
        let mut buffer = Zeroizing::new(vec![0; PAYLOAD_BUFFER_LEN]);
        let packed = postcard::to_slice(&payload, &mut buffer).map_err(|_| too_large(PAYLOAD_BUFFER_LEN))?;
        let packed_percent = percent(packed.len());
        let token = session_key.seal(packed).map_err(not_sealed)?;
        let session_token = STANDARD.encode(token);
        Ok(TemporaryCredentials { access_key_id, secret, session_token, expires_at, packed_percent })
    }
}

fn not_sealed(error: SealTokenError) -> ServiceError {
    match error {
        SealTokenError::TooLong(len) => too_large(len),
        SealTokenError::Random(error) => log_internal("sealing a session token")(error),
    }
}

fn too_large(len: usize) -> ServiceError {
    let used = percent(len);
    let message = format!("Packed size of session policies and tags consumes {used}% of allotted space.");
    ServiceError::new(ErrorCode::StsPackedPolicyTooLarge, message)
}

fn percent(len: usize) -> u32 {
    u32::try_from((len * 100).div_ceil(PAYLOAD_LEN_MAX)).unwrap_or(u32::MAX)
}

/// The access keys of the identities of this Region, as this node has applied them.
impl CredentialStore for Service {
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        let ring = self.ring().map_err(|_| CredentialFault::Sealed)?;
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
    let identities = state.identities();
    let caller = if resource.starts_with("user/") {
        user_caller(state, identities.user(account, &name)?, key)
    } else {
        role_caller(state, identities.role(account, &name)?, service_session_name(service), key)
    };
    (caller.entity_arn() == arn).then_some(caller)
}

/// The name of the session of a role in which a service carries out its requests.
fn service_session_name(service: &Caller) -> &str {
    service.arn.split('.').next().unwrap_or(&service.arn)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use meridian_crypto::RootKey;
    use meridian_model::{AccessKeyId, EntityKind, Partition};
    use meridian_state::identities::change::{NewAccessKey, NewRole, NewSessionKey, NewUser};
    use meridian_state::identities::{Entity, IdentityChange};
    use meridian_state::{Command, Op, apply};

    use super::*;

    const KEY: &str = "AKIA0000000000000001";

    /// A Region with the user alice and the role reader.
    struct Fixture {
        ring: KeyRing,
        state: RegionState,
        cache: CredentialCache,
        now: Timestamp,
    }

    fn account() -> AccountId {
        "111122223333".parse().expect("valid")
    }

    fn region() -> Region {
        "us-east-1".parse().expect("valid")
    }

    fn name(text: &str) -> EntityName {
        text.parse().expect("valid")
    }

    fn unique_id(prefix: &str, number: u8) -> UniqueId {
        format!("{prefix}{number:017}").parse().expect("valid")
    }

    impl Fixture {
        fn new() -> Self {
            let ring = KeyRing::new(RootKey::generate().expect("random"), region());
            let (state, now) = (RegionState::new(region(), Partition::Aws), Timestamp::from_millis(1_700_000_000_000));
            let mut fixture = Self { ring, state, cache: CredentialCache::new(), now };
            let wrapped = fixture.ring.new_domain_key(now).expect("random");
            fixture.run(Op::AddDomainKey(wrapped));
            fixture.change(IdentityChange::SetRegions { home: region(), regions: BTreeSet::from([region()]) });
            fixture.create_alice(1);
            fixture.create_reader(1);
            fixture.add_session_key();
            fixture
        }

        fn run(&mut self, op: Op) {
            apply(&mut self.state, &Command { at: self.now, op }).outcome.expect("accepted");
        }

        fn change(&mut self, change: IdentityChange) {
            self.run(Op::Identity(Box::new(change)));
        }

        fn create_alice(&mut self, number: u8) {
            let path = "/team/".parse().expect("valid");
            let (account, name, id) = (account(), name("alice"), unique_id("AIDA", number));
            let user = NewUser { account, name, path, id, tags: BTreeMap::new(), boundary: None };
            self.change(IdentityChange::CreateUser(user));
        }

        fn create_reader(&mut self, number: u8) {
            self.change(IdentityChange::CreateRole(NewRole {
                account: account(),
                name: name("reader"),
                path: "/team/".parse().expect("valid"),
                id: unique_id("AROA", number),
                tags: BTreeMap::new(),
                boundary: None,
                trust: "{}".into(),
                description: String::new(),
                session_seconds_max: 3_600,
                linked_service: None,
                attached: BTreeSet::new(),
            }));
        }

        fn add_session_key(&mut self) {
            let key = SessionKey::generate().expect("random");
            let place = SecretPlace::SessionKey(key.id());
            let sealed = self.ring.seal_secret(&self.state, &place, &key.to_secret()).expect("sealed");
            self.change(IdentityChange::AddSessionKey(NewSessionKey { id: key.id(), sealed }));
        }

        fn create_key(&mut self, is_alice: bool, text: &str) -> String {
            let (id, user): (AccessKeyId, _) = (text.parse().expect("valid"), is_alice.then(|| unique_id("AIDA", 1)));
            let secret = identity_secret::generate_secret_access_key().expect("random");
            let place = SecretPlace::AccessKey { account: account(), user: user.clone(), id: id.clone() };
            let sealed = self.ring.seal_secret(&self.state, &place, &secret).expect("sealed");
            self.change(IdentityChange::CreateAccessKey(NewAccessKey { id, account: account(), user, sealed }));
            String::from_utf8(secret.expose().to_vec()).expect("ASCII")
        }

        fn set_status(&mut self, status: AccessKeyStatus) {
            let (account, user, id) = (account(), Some(unique_id("AIDA", 1)), KEY.parse().expect("valid"));
            self.change(IdentityChange::UpdateAccessKey { account, user, id, status });
        }

        fn lookup(&self) -> Lookup<'_> {
            Lookup { state: &self.state, ring: &self.ring, cache: &self.cache, now: self.now }
        }

        fn look_up(&self, access_key_id: &str, session_token: Option<&str>) -> Result<AccessKey, CredentialFault> {
            let region = region();
            self.lookup().access_key(Claimed { access_key_id, session_token, region: &region })
        }

        fn session(&self) -> Session {
            Session {
                issued_at: self.now,
                expires_at: self.now.plus(Duration::from_hours(1)),
                mfa_at: None,
                tags: BTreeMap::from([("Project".to_owned(), "Alpha".to_owned())]),
                transitive: BTreeSet::new(),
                policies: vec!["{}".into()],
                policy_arns: Vec::new(),
                source_identity: Some("alice".to_owned()),
                federated_provider: None,
            }
        }

        fn issue(&self, holder: SessionHolder) -> TemporaryCredentials {
            let grant = SessionGrant { account: account(), holder, session: self.session() };
            self.lookup().issue(grant).expect("issued")
        }

        fn issue_reader(&self) -> TemporaryCredentials {
            self.issue(SessionHolder::Role { id: unique_id("AROA", 1), session_name: "work".to_owned() })
        }
    }

    /// Deny statements and boundaries are found by what a caller is called.
    #[test]
    fn a_user_who_was_renamed_is_known_by_the_new_name_at_once() {
        let mut fixture = Fixture::new();
        fixture.create_key(true, KEY);
        let session =
            fixture.issue(SessionHolder::Federated { name: "bob".to_owned(), issuer: Some(unique_id("AIDA", 1)) });
        let ask = |fixture: &Fixture| {
            let federated = fixture.look_up(&session.access_key_id, Some(&session.session_token)).expect("issued");
            (fixture.look_up(KEY, None).expect("there").caller, federated.caller)
        };
        let (before, federated_before) = ask(&fixture);
        check_current(&fixture.state, &before).expect("alice");
        let alice = Entity { account: account(), kind: EntityKind::User, name: "alice".parse().expect("valid") };
        let (path, name) = (Some("/".parse().expect("valid")), Some("alicia".parse().expect("valid")));
        fixture.change(IdentityChange::UpdateEntity { entity: alice, path, name });
        let (after, federated_after) = ask(&fixture);
        assert_eq!(after.arn, "arn:aws:iam::111122223333:user/alicia");
        assert_eq!(federated_after.entity_arn(), after.arn);
        for known in [&after, &federated_after] {
            check_current(&fixture.state, known).expect("alicia");
        }
        for former in [&before, &federated_before] {
            check_current(&fixture.state, former).expect_err("a former name");
        }
    }

    #[test]
    fn an_access_key_has_the_secret_that_it_was_made_with() {
        let mut fixture = Fixture::new();
        let secret = fixture.create_key(true, KEY);
        let root_secret = fixture.create_key(false, "AKIA0000000000000002");
        let key = fixture.look_up(KEY, None).expect("there");
        assert_eq!(key.secret.expose(), secret);
        assert_eq!(key.caller.arn, "arn:aws:iam::111122223333:user/team/alice");
        assert_eq!(
            (key.caller.user_name(), key.caller.entity_id()),
            (Some("alice"), Some(unique_id("AIDA", 1).as_str()))
        );
        let root = fixture.look_up("AKIA0000000000000002", None).expect("there");
        assert_eq!((root.secret.expose(), &root.caller.kind), (root_secret.as_str(), &CallerKind::Root));
        let again = fixture.look_up(KEY, None).expect("at hand");
        assert!(Arc::ptr_eq(&key.caller, &again.caller), "opened once");
    }

    #[test]
    fn what_is_taken_out_of_use_is_not_found_from_then_on() {
        let mut fixture = Fixture::new();
        fixture.create_key(true, KEY);
        let caller = fixture.look_up(KEY, None).expect("there").caller;
        assert_eq!(check_current(&fixture.state, &caller), Ok(()));
        fixture.set_status(AccessKeyStatus::Inactive);
        assert_eq!(fixture.look_up(KEY, None).err(), Some(CredentialFault::Unrecognized));
        assert_eq!(check_current(&fixture.state, &caller).expect_err("inactive").code, ErrorCode::UnrecognizedClient);
        fixture.set_status(AccessKeyStatus::Active);
        assert!(fixture.look_up(KEY, None).is_ok());
        let (account, user, key_id) = (account(), Some(unique_id("AIDA", 1)), KEY.parse().expect("valid"));
        fixture.change(IdentityChange::DeleteAccessKey { account, user, id: key_id });
        assert_eq!(fixture.look_up(KEY, None).err(), Some(CredentialFault::Unrecognized));
        assert!(check_current(&fixture.state, &caller).is_err());
    }

    #[test]
    fn secrets_that_do_not_count_any_more_leave_the_memory() {
        let mut fixture = Fixture::new();
        fixture.create_key(true, KEY);
        let key = fixture.look_up(KEY, None).expect("there");
        fixture.cache.forget_unusable(&fixture.state, fixture.now);
        assert_eq!(Arc::strong_count(&key.caller), 2, "kept");
        fixture.set_status(AccessKeyStatus::Inactive);
        fixture.cache.forget_unusable(&fixture.state, fixture.now);
        assert_eq!(Arc::strong_count(&key.caller), 1, "nobody else holds it");
    }

    #[test]
    fn a_token_says_who_its_holder_is() {
        let fixture = Fixture::new();
        let user_id = unique_id("AIDA", 1);
        for (holder, arn, principal_id) in [
            (SessionHolder::Root, "arn:aws:iam::111122223333:root", "111122223333".to_owned()),
            (
                SessionHolder::User { id: user_id.clone() },
                "arn:aws:iam::111122223333:user/team/alice",
                user_id.to_string(),
            ),
            (
                SessionHolder::Role { id: unique_id("AROA", 1), session_name: "work".to_owned() },
                "arn:aws:sts::111122223333:assumed-role/reader/work",
                format!("{}:work", unique_id("AROA", 1)),
            ),
            (
                SessionHolder::Federated { name: "bob".to_owned(), issuer: Some(unique_id("AIDA", 1)) },
                "arn:aws:sts::111122223333:federated-user/bob",
                "111122223333:bob".to_owned(),
            ),
        ] {
            let issued = fixture.issue(holder);
            let key = fixture.look_up(&issued.access_key_id, Some(&issued.session_token)).expect("valid");
            assert_eq!(key.secret.expose(), issued.secret.expose());
            assert_eq!((key.caller.arn.as_str(), &key.caller.principal_id), (arn, &principal_id));
            assert_eq!(key.caller.session.as_ref(), Some(&fixture.session()));
            assert_eq!(check_current(&fixture.state, &key.caller), Ok(()));
        }
    }

    #[test]
    fn a_role_session_names_its_role() {
        let fixture = Fixture::new();
        let issued = fixture.issue_reader();
        let caller = fixture.look_up(&issued.access_key_id, Some(&issued.session_token)).expect("valid").caller;
        assert_eq!(caller.entity_arn(), "arn:aws:iam::111122223333:role/team/reader");
        assert_eq!(caller.entity_id(), Some(unique_id("AROA", 1).as_str()));
    }

    #[test]
    fn tokens_expire_to_the_millisecond() {
        let mut fixture = Fixture::new();
        let issued = fixture.issue_reader();
        let fault = |fixture: &Fixture| fixture.look_up(&issued.access_key_id, Some(&issued.session_token)).err();
        fixture.now = Timestamp::from_millis(issued.expires_at.as_millis() - 1);
        assert_eq!(fault(&fixture), None);
        fixture.now = issued.expires_at;
        assert_eq!(fault(&fixture), Some(CredentialFault::Expired));
        assert!(fixture.cache.opened().is_empty(), "and its secret leaves the memory");
    }

    #[test]
    fn forged_tokens_and_those_of_others_are_not_recognized() {
        let mut fixture = Fixture::new();
        fixture.create_key(true, KEY);
        let (issued, other) = (fixture.issue_reader(), fixture.issue_reader());
        let elsewhere = Fixture::new().issue_reader();
        let token = issued.session_token.as_str();
        let flipped: String =
            token.char_indices().map(|(at, c)| if at == 60 { if c == 'A' { 'B' } else { 'A' } } else { c }).collect();
        let long = "A".repeat(1 << 20);
        for (id, token) in [
            (issued.access_key_id.as_str(), None),
            (&issued.access_key_id, Some(other.session_token.as_str())),
            (&elsewhere.access_key_id, Some(&elsewhere.session_token)),
            (&issued.access_key_id, Some(&flipped)),
            (&issued.access_key_id, Some(&token[..token.len() - 4])),
            (&issued.access_key_id, Some("")),
            (&issued.access_key_id, Some("not base64")),
            (&issued.access_key_id, Some(&long)),
            (KEY, Some(token)),
            ("test", None),
        ] {
            assert_eq!(fixture.look_up(id, token).err(), Some(CredentialFault::Unrecognized), "{id} {token:?}");
        }
        assert!(fixture.look_up(&issued.access_key_id, Some(token)).is_ok());
        assert_eq!(
            fixture.look_up(&issued.access_key_id, Some(&flipped)).err(),
            Some(CredentialFault::Unrecognized),
            "also when the right one is remembered"
        );
    }

    #[test]
    fn a_session_ends_with_its_role_even_if_another_one_gets_the_name() {
        let mut fixture = Fixture::new();
        let issued = fixture.issue_reader();
        let look_up = |fixture: &Fixture| fixture.look_up(&issued.access_key_id, Some(&issued.session_token));
        let caller = look_up(&fixture).expect("valid").caller;
        let (account, kind) = (account(), EntityKind::Role);
        fixture.change(IdentityChange::DeleteEntity(Entity { account, kind, name: name("reader") }));
        assert_eq!(look_up(&fixture).err(), Some(CredentialFault::Unrecognized));
        fixture.create_reader(2);
        assert_eq!(look_up(&fixture).err(), Some(CredentialFault::Unrecognized));
        assert!(check_current(&fixture.state, &caller).is_err());
        fixture.cache.forget_unusable(&fixture.state, fixture.now);
        assert_eq!(Arc::strong_count(&caller), 1, "and its secret leaves the memory");
    }

    #[test]
    fn what_no_token_can_carry_is_refused() {
        let fixture = Fixture::new();
        let holder = SessionHolder::Role { id: unique_id("AROA", 1), session_name: "work".to_owned() };
        let session = Session { policies: vec!["x".repeat(PAYLOAD_LEN_MAX).as_str().into()], ..fixture.session() };
        let error = fixture.lookup().issue(SessionGrant { account: account(), holder, session }).expect_err("too long");
        assert_eq!(error.code, ErrorCode::StsPackedPolicyTooLarge);
        assert!(error.message.contains("10") && error.message.contains('%'), "{error}");
        let session = Session { policies: vec!["x".repeat(1 << 20).as_str().into()], ..fixture.session() };
        let holder = SessionHolder::Root;
        let error = fixture.lookup().issue(SessionGrant { account: account(), holder, session }).expect_err("too long");
        assert_eq!(error.code, ErrorCode::StsPackedPolicyTooLarge);
    }

    #[test]
    fn services_call_for_principals_that_are_there() {
        let fixture = Fixture::new();
        let service = Caller::service(account(), "s3.amazonaws.com", "AKIASERVICE");
        let find = |arn: &str| represented(&fixture.state, &service, arn);
        let alice = find("arn:aws:iam::111122223333:user/team/alice").expect("there");
        assert_eq!((alice.user_name(), alice.access_key_id.as_str()), (Some("alice"), "AKIASERVICE"));
        let reader = find("arn:aws:iam::111122223333:role/team/reader").expect("there");
        assert_eq!(reader.arn, "arn:aws:sts::111122223333:assumed-role/reader/s3");
        assert_eq!(find("arn:aws:iam::444455556666:root").expect("every account has one").kind, CallerKind::Root);
        for arn in [
            "",
            "alice",
            "arn:aws:iam::111122223333:user/alice",
            "arn:aws:iam::111122223333:user/team/bob",
            "arn:aws:iam::444455556666:user/team/alice",
            "arn:aws-cn:iam::111122223333:user/team/alice",
            "arn:aws:iam::111122223333:group/alice",
            "arn:aws:sts::111122223333:assumed-role/reader/work",
        ] {
            assert!(find(arn).is_none(), "{arn}");
        }
    }
}
