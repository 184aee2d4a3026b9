//! The service on one node, and the life of a request within it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use meridian_audit::Trail;
use meridian_consensus::Group;
use meridian_crypto::{AttestationRoots, AttestedRecipient};
use meridian_model::{Clock, ErrorCode, Request, Response, ServiceError, Timestamp};
use meridian_replication::Replicator;
use meridian_state::RegionState;
use meridian_state::identities::ClusterRegions;
use tokio::time::Instant;

use crate::access::{Access, Asked};
use crate::audit::{CallContext, Told};
use crate::credentials::CredentialCache;
use crate::grant_tokens::NamedGrants;
use crate::identities::FirstAdministrator;
use crate::key_ring::KeyRing;
use crate::route::Route;
use crate::trace::Trace;
use crate::usage::NotedUses;
use crate::work::Work;
use crate::workshop::Workshop;
use crate::writes::unsupported;
use crate::{cryptography, data_key_pairs, grants, key_stores, macs, shared_secrets, signatures};

/// What a node does with cryptography when it has not heard of its leader for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStale {
    /// Ask the leader; if there is none, refuse with a retryable error.
    #[default]
    Refuse,
    /// Serve from the state that the node last knew; a key that was disabled meanwhile still works here.
    Serve,
}

/// Settings of a node's service.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// How old the knowledge of a node may be before it asks the leader. A change that takes access away holds on
    /// every node within this time.
    pub max_staleness: Duration,
    /// What happens when the leader cannot be asked.
    pub on_stale: OnStale,
    /// Whose word is taken for attested recipients; without any, there are none.
    pub attestation_roots: Arc<AttestationRoots>,
    /// The user that is made as long as its account has none; where identities have their home, and nowhere else.
    pub first_administrator: Option<FirstAdministrator>,
}

/// How long a read or a stale node waits for the leader.
const READ_DEADLINE: Duration = Duration::from_secs(3);

/// The service on one node of a Region. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    config: ServiceConfig,
    cluster_regions: ClusterRegions,
    group: Group,
    ring: Option<Arc<KeyRing>>,
    clock: Arc<dyn Clock>,
    trail: Arc<Trail>,
    workshop: Arc<Workshop>,
    replicator: OnceLock<Replicator>,
    noted_uses: NotedUses,
    credentials: CredentialCache,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(self.0.group.name()).finish()
    }
}

/// Whether a node can serve, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // four independent facts, shown one by one
pub struct Readiness {
    /// The node has no root key.
    pub is_sealed: bool,
    /// The node knows a leader of its Region.
    pub has_leader: bool,
    /// The node has heard of its leader within the allowed staleness.
    pub is_fresh: bool,
    /// Audit records can be written.
    pub can_record: bool,
}

impl Readiness {
    /// Whether the node can serve every kind of request.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        !self.is_sealed && self.has_leader && self.is_fresh && self.can_record
    }
}

impl Service {
    /// The service of a node. Without a key ring the node is sealed and refuses everything. `cluster_regions` is what the
    /// configuration says; the leader proposes it.
    #[must_use]
    pub fn new(
        config: ServiceConfig,
        cluster_regions: ClusterRegions,
        group: Group,
        ring: Option<Arc<KeyRing>>,
        clock: Arc<dyn Clock>,
        trail: Arc<Trail>,
        workshop: Arc<Workshop>,
    ) -> Self {
        Self(Arc::new(Inner {
            config,
            cluster_regions,
            group,
            ring,
            clock,
            trail,
            workshop,
            replicator: OnceLock::new(),
            noted_uses: NotedUses::new(),
            credentials: CredentialCache::new(),
        }))
    }

    /// Connects the service with the links of its node; once, before the first request.
    pub fn connect(&self, replicator: Replicator) {
        let is_first = self.0.replicator.set(replicator).is_ok();
        assert!(is_first, "a node has one replicator");
    }

    /// Serves one authenticated, well-formed request: authorize, execute, record. Gives the answer.
    ///
    /// A change goes on even if the caller stops waiting, so that whatever was committed is also recorded.
    ///
    /// # Errors
    /// The service's own exceptions.
    pub async fn call(&self, context: CallContext, request: Request) -> Result<Response, ServiceError> {
        if Route::of(request.operation()) != Route::Change {
            return self.execute_and_record(&context, request).await;
        }
        let service = self.clone();
        let task = tokio::spawn(async move { service.execute_and_record(&context, request).await });
        task.await.unwrap_or_else(|panic| {
            tracing::error!(%panic, "a change ended abnormally");
            Err(ServiceError::internal())
        })
    }

    async fn execute_and_record(&self, context: &CallContext, request: Request) -> Result<Response, ServiceError> {
        let operation = request.operation();
        let parameters = meridian_audit::request_parameters(&request);
        let additional = grants::additional_event_data(&request);
        let mut trace = Trace::default();
        let result = self.execute(context, &request, &mut trace).await;
        let told = Told { parameters: parameters.as_ref(), additional: additional.as_ref() };
        if trace.is_unrecorded {
            return result;
        }
        let event_id = self.record(context, operation, told, result.as_ref(), &trace.keys).await?;
        if result.is_ok() {
            self.note_use(context, operation, &trace.keys, event_id);
        }
        result
    }

    async fn execute(
        &self,
        context: &CallContext,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Response, ServiceError> {
        self.ring()?; // a sealed node does nothing at all
        match Route::of(request.operation()) {
            Route::Cryptography => self.use_key(context, request, trace).await,
            Route::Read => self.read(context, request, trace).await,
            Route::Change => self.write(&context.caller, &context.origin(), request, trace).await,
            Route::Unsupported => {
                let asked = self.asked(context, request);
                let mut access = Access::open(self.fresh_state().await?, asked, NamedGrants::default())?;
                let answer = key_stores::answer(&mut access, request);
                *trace = access.trace;
                answer
            }
        }
    }

    /// Cryptography: here, on the newest applied state, as long as that is fresh.
    ///
    /// Nobody is refused for what another node has just acknowledged: a refusal that newer state could turn around is
    /// only given once this node has everything that was acknowledged before.
    async fn use_key(
        &self,
        context: &CallContext,
        request: &Request,
        trace: &mut Trace,
    ) -> Result<Response, ServiceError> {
        let recipient = self.recipient_of(request).await?;
        let state = self.fresh_state().await?;
        let (response, lacks_version) =
            self.use_key_in(Arc::clone(&state), context, request, recipient.clone(), trace).await;
        match &response {
            Err(refusal) if lacks_version || depends_on_state(refusal) => {}
            _ => return response,
        }
        // Without the leader the state at hand, which is fresh enough, decides.
        let is_current = self.0.group.read_barrier(read_deadline()).await.is_ok();
        let newest = self.state();
        if is_current && !Arc::ptr_eq(&state, &newest) {
            return self.use_key_in(newest, context, request, recipient, trace).await.0;
        }
        response
    }

    /// The answer from `state`, and whether it lacks the version of the material that the request names.
    async fn use_key_in(
        &self,
        state: Arc<RegionState>,
        context: &CallContext,
        request: &Request,
        recipient: Option<Arc<AttestedRecipient>>,
        trace: &mut Trace,
    ) -> (Result<Response, ServiceError>, bool) {
        let named = self.ring().and_then(|ring| NamedGrants::of(ring.grant_tokens(), request));
        let opened = named.and_then(|named| Access::open(state, self.asked(context, request), named));
        let mut access = match opened {
            Ok(access) => access.answering(recipient),
            Err(error) => return (Err(error), false),
        };
        let work = self.permit_use(&mut access, request);
        *trace = access.trace;
        let response = match work {
            Ok(work) => work.finish(self.workshop()).await,
            Err(refusal) => Err(refusal),
        };
        (response, access.lacks_version)
    }

    /// What a request is, as decisions see it.
    pub(crate) fn asked<'a>(&self, context: &'a CallContext, request: &'a Request) -> Asked<'a> {
        Asked { caller: &context.caller, origin: context.view(), request, now: self.now() }
    }

    fn permit_use(&self, access: &mut Access<'_>, request: &Request) -> Result<Work, ServiceError> {
        let ring = self.shared_ring()?;
        match request {
            Request::Encrypt(request) => cryptography::encrypt(access, ring, request),
            Request::Decrypt(request) => cryptography::decrypt(access, ring, request),
            Request::ReEncrypt(request) => cryptography::re_encrypt(access, ring, request),
            Request::GenerateDataKey(request) => cryptography::generate_data_key(access, ring, request).map(Work::Done),
            Request::GenerateDataKeyWithoutPlaintext(request) => {
                cryptography::generate_data_key_without_plaintext(access, ring, request).map(Work::Done)
            }
            Request::GenerateRandom(request) => cryptography::generate_random(access, request).map(Work::Done),
            Request::GenerateDataKeyPair(request) => data_key_pairs::generate(access, ring, request),
            Request::GenerateDataKeyPairWithoutPlaintext(request) => {
                data_key_pairs::generate_without_plaintext(access, ring, request)
            }
            Request::Sign(request) => signatures::sign(access, ring, request),
            Request::Verify(request) => signatures::verify(access, ring, request),
            Request::GetPublicKey(request) => signatures::get_public_key(access, ring, request),
            Request::GenerateMac(request) => macs::generate(access, ring, request),
            Request::VerifyMac(request) => macs::verify(access, ring, request),
            Request::DeriveSharedSecret(request) => shared_secrets::derive(access, ring, request),
            Request::Encapsulate(request) => shared_secrets::encapsulate(access, ring, request),
            Request::Decapsulate(request) => shared_secrets::decapsulate(access, ring, request),
            other => Err(unsupported(other)),
        }
    }

    /// The newest applied state, if it is known to be younger than the allowed staleness.
    async fn fresh_state(&self) -> Result<Arc<RegionState>, ServiceError> {
        let config = &self.0.config;
        if config.on_stale == OnStale::Refuse && !self.is_fresh() {
            self.0.group.read_barrier(read_deadline()).await.map_err(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "this node is cut off from its leader");
                let message = "This node has lost contact with its Region. Try the request again.";
                ServiceError::new(ErrorCode::DependencyTimeout, message)
            })?;
        }
        Ok(self.state())
    }

    /// Whether this node can serve.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness {
            is_sealed: self.0.ring.is_none(),
            has_leader: self.0.group.leadership().borrow().leader.is_some(),
            is_fresh: self.0.config.on_stale == OnStale::Serve || self.is_fresh(),
            can_record: self.0.trail.is_healthy(),
        }
    }

    /// Whether this node knows its leader's commits of less than the allowed staleness ago.
    fn is_fresh(&self) -> bool {
        self.0.group.freshness().is_some_and(|age| age <= self.0.config.max_staleness)
    }

    pub(crate) fn group(&self) -> &Group {
        &self.0.group
    }

    pub(crate) fn state(&self) -> Arc<RegionState> {
        self.0.group.state()
    }

    /// Whether changes are decided here.
    pub(crate) fn is_leader(&self) -> bool {
        self.0.group.is_established_leader()
    }

    pub(crate) fn replicator(&self) -> Option<&Replicator> {
        self.0.replicator.get()
    }

    pub(crate) fn noted_uses(&self) -> &NotedUses {
        &self.0.noted_uses
    }

    pub(crate) fn credentials(&self) -> &CredentialCache {
        &self.0.credentials
    }

    pub(crate) fn cluster_regions(&self) -> &ClusterRegions {
        &self.0.cluster_regions
    }

    /// The index of the newest command that this node has applied.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        *self.0.group.applied().borrow()
    }

    pub(crate) fn trail(&self) -> &Trail {
        &self.0.trail
    }

    pub(crate) fn first_administrator(&self) -> Option<&FirstAdministrator> {
        self.0.config.first_administrator.as_ref()
    }

    pub(crate) fn attestation_roots(&self) -> &Arc<AttestationRoots> {
        &self.0.config.attestation_roots
    }

    pub(crate) fn workshop(&self) -> &Workshop {
        &self.0.workshop
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The keys of this node.
    pub(crate) fn ring(&self) -> Result<&KeyRing, ServiceError> {
        self.shared_ring().map(Arc::as_ref)
    }

    /// The keys of this node, for work that goes on elsewhere.
    fn shared_ring(&self) -> Result<&Arc<KeyRing>, ServiceError> {
        self.0.ring.as_ref().ok_or_else(|| {
            let message = "This node is sealed: it has no root key. An operator has to unseal it.";
            ServiceError::new(ErrorCode::KmsInternal, message)
        })
    }
}

/// Whether a refusal of cryptography may be due to what this node has not applied yet: a key, alias or permission that is
/// new, a key that was enabled, an alias that moved, material that arrived.
fn depends_on_state(refusal: &ServiceError) -> bool {
    matches!(
        refusal.code,
        ErrorCode::NotFound
            | ErrorCode::AccessDenied
            | ErrorCode::Disabled
            | ErrorCode::KmsInvalidState
            | ErrorCode::KeyUnavailable
            | ErrorCode::IncorrectKey
    )
}

/// Until when a read that starts now may wait for the leader.
pub(crate) fn read_deadline() -> Instant {
    Instant::now() + READ_DEADLINE
}
