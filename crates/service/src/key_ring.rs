//! The keys of a node in memory: the root key, opened domain keys, and prepared key material.
//!
//! Always true: material is handed out only against a permission for the key at hand, and what is cached is dropped
//! once the key may not be used any more.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use lru::LruCache;
use meridian_crypto::{
    DomainKey, DomainKeyId, GrantTokenKey, ImportParameters, ImportToken, KeyMaterial, MaterialBinding, MaterialCipher,
    PreparedKey, RootKey, SealedMaterial, SealedSecret, SecretBytes, SecretPlace, WrappedDomainKey, WrappingKey,
    random,
};
use meridian_model::{AccountId, ErrorCode, KeyArn, KeyId, KeyMaterialId, Region, ServiceError, Timestamp};
use meridian_policy::Allowed;
use meridian_state::command::NewMaterial;
use meridian_state::key_states::Requirement;
use meridian_state::{KeyRecord, RegionState};

/// Prepared materials kept at most; each takes a few hundred bytes of locked memory.
const CACHED_MATERIALS: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");

/// Prepared HMAC and private keys kept at most; each takes up to some ten kilobytes.
const CACHED_KEYS: NonZeroUsize = NonZeroUsize::new(5_000).expect("not zero");

/// Opens, seals and prepares key material for one node.
#[derive(Debug)]
pub struct KeyRing {
    root_key: RootKey,
    region: Region,
    grant_tokens: Arc<GrantTokenKey>,
    domain_keys: RwLock<BTreeMap<DomainKeyId, Arc<DomainKey>>>,
    ciphers: Cache<MaterialCipher>,
    keys: Cache<PreparedKey>,
}

impl KeyRing {
    /// The key ring of a node of `region`, opened by its root key.
    #[must_use]
    pub fn new(root_key: RootKey, region: Region) -> Self {
        let (ciphers, keys) = (Cache::new(CACHED_MATERIALS), Cache::new(CACHED_KEYS));
        let grant_tokens = Arc::new(root_key.grant_token_key(&region));
        Self { root_key, region, grant_tokens, domain_keys: RwLock::default(), ciphers, keys }
    }

    /// What makes and verifies the grant tokens of the Region.
    pub(crate) fn grant_tokens(&self) -> &Arc<GrantTokenKey> {
        &self.grant_tokens
    }

    /// The current material of `key`, ready to encrypt.
    pub(crate) fn current<A>(
        &self,
        allowed: &Allowed<A>,
        state: &RegionState,
        key: &KeyRecord,
    ) -> Result<Arc<MaterialCipher>, ServiceError> {
        let material_id = key.current_material.ok_or_else(|| unavailable(allowed))?;
        self.version(allowed, state, key, material_id)
    }

    /// One version of the material of `key`, ready to decrypt.
    pub(crate) fn version<A>(
        &self,
        allowed: &Allowed<A>,
        state: &RegionState,
        key: &KeyRecord,
        material_id: KeyMaterialId,
    ) -> Result<Arc<MaterialCipher>, ServiceError> {
        debug_assert_eq!(allowed.key().key_id, key.key_id, "a permission for another key");
        let slot = (key.key_id, material_id);
        if let Some(cipher) = self.ciphers.get(slot) {
            return Ok(cipher);
        }
        let material = self.opened(allowed, state, key, material_id)?;
        let cipher = MaterialCipher::of(&material, key.key_id, material_id).ok_or_else(ServiceError::internal)?;
        Ok(self.ciphers.put(slot, cipher))
    }

    /// The HMAC key or private key of `key`, ready for its usage. Blocks for about a millisecond with RSA if it was not
    /// prepared yet.
    pub(crate) fn prepared<A>(
        &self,
        allowed: &Allowed<A>,
        state: &RegionState,
        key: &KeyRecord,
    ) -> Result<Arc<PreparedKey>, ServiceError> {
        debug_assert_eq!(allowed.key().key_id, key.key_id, "a permission for another key");
        let material_id = key.current_material.ok_or_else(|| unavailable(allowed))?;
        let slot = (key.key_id, material_id);
        if let Some(prepared) = self.keys.get(slot) {
            return Ok(prepared);
        }
        let material = self.opened(allowed, state, key, material_id)?;
        let prepared = PreparedKey::new(&material, key.usage).map_err(log_internal("preparing a key"))?;
        Ok(self.keys.put(slot, prepared))
    }

    /// Whether [`KeyRing::prepared`] has the key at hand.
    pub(crate) fn is_prepared(&self, key: &KeyRecord) -> bool {
        key.current_material.is_some_and(|material_id| self.keys.contains((key.key_id, material_id)))
    }

    fn opened<A>(
        &self,
        allowed: &Allowed<A>,
        state: &RegionState,
        key: &KeyRecord,
        material_id: KeyMaterialId,
    ) -> Result<KeyMaterial, ServiceError> {
        let row = state.material(key.key_id, material_id).ok_or_else(|| unavailable(allowed))?;
        let binding = MaterialBinding { account: key.account, key_id: key.key_id, material_id };
        self.open_material(state, &binding, &row.sealed)
    }

    /// A new version of the material of a symmetric encryption key of this Region's partition, sealed by the newest domain key.
    pub(crate) fn new_version(&self, state: &RegionState, key: &KeyRecord) -> Result<NewMaterial, ServiceError> {
        let material = KeyMaterial::generate_symmetric(state.partition());
        let material = material.map_err(log_internal("generating key material"))?;
        self.new_material(state, key.account, key.key_id, &material)
    }

    /// Material for a key that is being made, sealed by the newest domain key.
    pub(crate) fn new_material(
        &self,
        state: &RegionState,
        account: AccountId,
        key_id: KeyId,
        material: &KeyMaterial,
    ) -> Result<NewMaterial, ServiceError> {
        let id = random::key_material_id().map_err(log_internal("drawing a key material id"))?;
        let binding = MaterialBinding { account, key_id, material_id: id };
        Ok(NewMaterial { id, sealed: self.seal_material(state, &binding, material)? })
    }

    /// A new domain key, wrapped by the root key.
    pub(crate) fn new_domain_key(&self, now: Timestamp) -> Result<WrappedDomainKey, ServiceError> {
        let domain_key = DomainKey::generate().map_err(log_internal("generating a domain key"))?;
        self.root_key.wrap(&domain_key, &self.region, now).map_err(log_internal("wrapping a domain key"))
    }

    /// Opens sealed material of this Region.
    pub(crate) fn open_material(
        &self,
        state: &RegionState,
        binding: &MaterialBinding,
        sealed: &SealedMaterial,
    ) -> Result<KeyMaterial, ServiceError> {
        let domain_key = self.domain_key(state, sealed.domain_key_id)?;
        domain_key.open(sealed, binding).map_err(log_internal("opening key material"))
    }

    /// Seals material for this Region under its newest domain key.
    pub(crate) fn seal_material(
        &self,
        state: &RegionState,
        binding: &MaterialBinding,
        material: &KeyMaterial,
    ) -> Result<SealedMaterial, ServiceError> {
        let newest = state.newest_domain_key().ok_or_else(no_domain_key)?;
        self.domain_key(state, newest.id)?.seal(material, binding).map_err(log_internal("sealing key material"))
    }

    /// Opens the secret of an identity of this Region.
    pub(crate) fn open_secret(
        &self,
        state: &RegionState,
        place: &SecretPlace,
        sealed: &SealedSecret,
    ) -> Result<SecretBytes, ServiceError> {
        let domain_key = self.domain_key(state, sealed.domain_key_id)?;
        domain_key.open_secret(sealed, place).map_err(log_internal("opening the secret of an identity"))
    }

    /// Seals the secret of an identity for this Region under its newest domain key.
    pub(crate) fn seal_secret(
        &self,
        state: &RegionState,
        place: &SecretPlace,
        secret: &SecretBytes,
    ) -> Result<SealedSecret, ServiceError> {
        let newest = state.newest_domain_key().ok_or_else(no_domain_key)?;
        let domain_key = self.domain_key(state, newest.id)?;
        domain_key.seal_secret(secret, place).map_err(log_internal("sealing the secret of an identity"))
    }

    /// An import token for `key` that any node of this Region can open.
    pub(crate) fn seal_import_token(
        &self,
        state: &RegionState,
        key: &KeyArn,
        parameters: &ImportParameters,
        private: &KeyMaterial,
    ) -> Result<Vec<u8>, ServiceError> {
        let newest = state.newest_domain_key().ok_or_else(no_domain_key)?;
        let domain_key = self.domain_key(state, newest.id)?;
        domain_key.seal_import_token(key, parameters, private).map_err(log_internal("sealing an import token"))
    }

    /// The wrapping key in a token that was made for `key` in this Region.
    pub(crate) fn open_import_token(
        &self,
        state: &RegionState,
        key: &KeyArn,
        token: &[u8],
    ) -> Result<WrappingKey, ServiceError> {
        let invalid = || {
            let message = format!("The import token is not valid, or is not for {key}.");
            ServiceError::new(ErrorCode::InvalidImportToken, message)
        };
        let token = ImportToken::parse(token).map_err(|_| invalid())?;
        state.domain_key(token.domain_key_id()).ok_or_else(invalid)?; // made up, or of another Region
        self.domain_key(state, token.domain_key_id())?.open_import_token(key, &token).map_err(|_| invalid())
    }

    /// Drops the prepared material of every key that is gone or may not be used in `state`, and every version that is gone.
    pub(crate) fn forget_unusable(&self, state: &RegionState) {
        let is_unusable = |(key_id, material_id): (KeyId, KeyMaterialId)| {
            state.key(key_id).is_none_or(|key| !Requirement::Usable.allows(key.state))
                || state.material(key_id, material_id).is_none()
        };
        self.ciphers.forget(is_unusable);
        self.keys.forget(is_unusable);
    }

    fn domain_key(&self, state: &RegionState, id: DomainKeyId) -> Result<Arc<DomainKey>, ServiceError> {
        let opened = self.domain_keys.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(domain_key) = opened {
            return Ok(domain_key);
        }
        let wrapped = state.domain_key(id).ok_or_else(no_domain_key)?;
        let opened = self.root_key.unwrap(wrapped, &self.region).map_err(log_internal("opening a domain key"))?;
        let opened = Arc::new(opened);
        let mut domain_keys = self.domain_keys.write().unwrap_or_else(PoisonError::into_inner);
        domain_keys.insert(id, Arc::clone(&opened));
        Ok(opened)
    }
}

/// Prepared material by key and version, up to a number of them; the ones used longest ago go first. What is dropped wipes itself.
#[derive(Debug)]
struct Cache<T>(Mutex<LruCache<(KeyId, KeyMaterialId), Arc<T>>>);

impl<T> Cache<T> {
    fn new(capacity: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(capacity)))
    }

    fn get(&self, slot: (KeyId, KeyMaterialId)) -> Option<Arc<T>> {
        self.lock().get(&slot).cloned()
    }

    fn contains(&self, slot: (KeyId, KeyMaterialId)) -> bool {
        self.lock().contains(&slot)
    }

    fn put(&self, slot: (KeyId, KeyMaterialId), prepared: T) -> Arc<T> {
        let prepared = Arc::new(prepared);
        let evicted = self.lock().push(slot, Arc::clone(&prepared));
        drop(evicted); // wiped outside of the lock
        prepared
    }

    fn forget(&self, is_unusable: impl Fn((KeyId, KeyMaterialId)) -> bool) {
        let mut cached = self.lock();
        let unusable: Vec<_> = cached.iter().map(|(slot, _)| *slot).filter(|slot| is_unusable(*slot)).collect();
        for slot in unusable {
            cached.pop(&slot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<(KeyId, KeyMaterialId), Arc<T>>> {
        // A panic while the lock was held left at worst a stale place in the order of use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable<A>(allowed: &Allowed<A>) -> ServiceError {
    ServiceError::new(ErrorCode::KeyUnavailable, format!("{} has no key material here yet.", allowed.key()))
}

fn no_domain_key() -> ServiceError {
    tracing::error!("a domain key is missing from the state of the Region");
    ServiceError::internal()
}

/// Logs why something of ours failed, and makes the error that the client sees.
pub(crate) fn log_internal<E: std::error::Error + 'static>(doing: &'static str) -> impl FnOnce(E) -> ServiceError {
    move |error| {
        tracing::error!(error = &error as &dyn std::error::Error, "{doing} failed");
        ServiceError::internal()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use meridian_model::{KeySpec, KeyState, KeyUsageType, OriginType, Partition};
    use meridian_policy::{Inquiry, NoContext, PolicySet, Principal, PrincipalKind, RequestContext, action};
    use meridian_state::command::CreateKey;
    use meridian_state::{Command, Op, apply};

    use super::*;

    const USAGES: [(KeySpec, KeyUsageType); 3] = [
        (KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac),
        (KeySpec::EccNistP256, KeyUsageType::SignVerify),
        (KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt),
    ];

    /// A Region with one key of each of `USAGES`.
    struct Fixture {
        ring: KeyRing,
        state: RegionState,
        keys: Vec<KeyId>,
    }

    impl Fixture {
        fn new() -> Self {
            let region: Region = "us-east-1".parse().expect("valid");
            let ring = KeyRing::new(RootKey::generate().expect("random"), region.clone());
            let mut fixture = Self { ring, state: RegionState::new(region, Partition::Aws), keys: Vec::new() };
            let wrapped = fixture.ring.new_domain_key(Timestamp::from_millis(1)).expect("random");
            fixture.run(Op::AddDomainKey(wrapped));
            for (spec, usage) in USAGES {
                fixture.create(spec, usage);
            }
            fixture
        }

        fn run(&mut self, op: Op) {
            apply(&mut self.state, &Command { at: Timestamp::from_millis(2), op }).outcome.expect("accepted");
        }

        fn create(&mut self, spec: KeySpec, usage: KeyUsageType) {
            let account: AccountId = "111122223333".parse().expect("valid");
            let key_id = random::single_region_key_id().expect("random");
            let material = match spec {
                KeySpec::SymmetricDefault => KeyMaterial::generate_symmetric(Partition::Aws).expect("random"),
                _ => KeyMaterial::generate(spec).expect("random"),
            };
            let material = self.ring.new_material(&self.state, account, key_id, &material).expect("sealed");
            self.run(Op::CreateKey(CreateKey {
                key_id,
                account,
                spec,
                usage,
                origin: OriginType::AwsKms,
                description: String::new(),
                policy: None,
                tags: BTreeMap::new(),
                material: Some(material),
            }));
            self.keys.push(key_id);
        }

        fn key(&self, index: usize) -> (&Arc<KeyRecord>, Allowed<action::Sign>) {
            let key = self.state.key(self.keys[index]).expect("created");
            let arn = "arn:aws:iam::111122223333:root";
            let kind = PrincipalKind::Root;
            let principal = Principal { account: key.account, arn, kind, unique_id: None };
            let policy = crate::policies::compiled(&self.state, key);
            let policies = PolicySet { resource: Some(&policy), ..PolicySet::default() };
            let inquiry = Inquiry { principal, policies, context: &NoContext };
            let arn = self.state.key_arn(key);
            (key, inquiry.authorize(arn, &RequestContext::default(), []).expect("the owner"))
        }

        fn prepare(&self, index: usize) -> Result<Arc<PreparedKey>, ServiceError> {
            let (key, allowed) = self.key(index);
            self.ring.prepared(&allowed, &self.state, key)
        }

        fn cipher(&self, index: usize) -> Result<Arc<MaterialCipher>, ServiceError> {
            let (key, allowed) = self.key(index);
            self.ring.current(&allowed, &self.state, key)
        }
    }

    #[test]
    fn a_key_is_prepared_once() {
        let fixture = Fixture::new();
        for index in [0, 1] {
            assert!(!fixture.ring.is_prepared(fixture.key(index).0));
            let first = fixture.prepare(index).expect("opens");
            assert!(fixture.ring.is_prepared(fixture.key(index).0));
            assert!(Arc::ptr_eq(&first, &fixture.prepare(index).expect("at hand")));
            assert_eq!((first.spec(), first.usage()), USAGES[index]);
        }
    }

    #[test]
    fn material_serves_its_own_kind_only() {
        let fixture = Fixture::new();
        assert!(fixture.prepare(2).is_err(), "a symmetric encryption key signs nothing");
        assert!(fixture.cipher(2).is_ok());
        assert!(fixture.cipher(0).is_err() && fixture.cipher(1).is_err(), "other keys encrypt nothing");
    }

    #[test]
    fn what_may_not_be_used_is_forgotten() {
        let mut fixture = Fixture::new();
        let kept = (fixture.prepare(0).expect("opens"), fixture.prepare(1).expect("opens"));
        let cipher = fixture.cipher(2).expect("opens");
        fixture.ring.forget_unusable(&fixture.state);
        assert!(Arc::ptr_eq(&kept.1, &fixture.prepare(1).expect("at hand")), "it is enabled");
        for index in [1, 2] {
            fixture.run(Op::DisableKey(fixture.keys[index]));
        }
        fixture.ring.forget_unusable(&fixture.state);
        assert_eq!(fixture.key(1).0.state, KeyState::Disabled);
        assert!(!fixture.ring.is_prepared(fixture.key(1).0));
        assert_eq!((Arc::strong_count(&kept.1), Arc::strong_count(&cipher)), (1, 1), "nobody else holds them");
        assert!(Arc::ptr_eq(&kept.0, &fixture.prepare(0).expect("at hand")));
    }

    #[test]
    fn a_cache_holds_as_many_as_it_may() {
        let cache = Cache::new(NonZeroUsize::new(2).expect("not zero"));
        let slot = |number| (KeyId::multi_region([number; 16]), KeyMaterialId::from_bytes([number; 32]));
        let first = cache.put(slot(1), 1);
        cache.put(slot(2), 2);
        assert_eq!(cache.get(slot(1)).as_deref(), Some(&1), "used, so the other one goes first");
        cache.put(slot(3), 3);
        assert_eq!([1, 2, 3].map(|number| cache.contains(slot(number))), [true, false, true]);
        cache.forget(|(key_id, _)| key_id == slot(1).0);
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
