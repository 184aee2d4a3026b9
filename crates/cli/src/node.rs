//! One node: storage, its part in the Raft group, links, service, audit trail and peer listener, wired together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use meridian_audit::{Metrics, Trail, TrailConfig};
use meridian_consensus::tls::{CertifiedPem, PeerTls, verify_region_certificate};
use meridian_consensus::{FaultGate, Group, GroupConfig, NoFaults, NodeId, NodeName, PeerListener, PeerServer, Timing};
use meridian_crypto::{RegionSigner, RootKey};
use meridian_identity::{ClientCredentials, CredentialStore, EitherStore, StaticCredentials, Verifier};
use meridian_model::{Clock, Partition, Region};
use meridian_replication::{
    Authority, LinkMetrics, LinkTiming, PeerAddress, RegionIdentity, Replicator, ReplicatorConfig,
};
use meridian_server::{Endpoint, Gateway, Limits, Listener, SharedVerifier};
use meridian_service::{
    FirstAdministrator, Forwarding, KeyRing, Service, ServiceConfig, VpcEndpoint, Workshop, WorkshopConfig,
};
use meridian_state::identities::ClusterRegions;
use meridian_storage::NodeStorage;
use meridian_storage::vault::FileSeal;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::SystemClock;
use crate::attestation;
use crate::config::{AdministratorSection, NodeConfig, SealSection};
use crate::endpoint::{BehindVpcEndpoint, IdentityCredentials, RegionEndpoint};

/// Everything that a node is started with.
pub struct NodeSetup {
    /// Partition of the Region.
    pub partition: Partition,
    /// Folder of the node's data.
    pub data_dir: PathBuf,
    /// Peer addresses of the nodes of the Region, this one included.
    pub members: BTreeMap<NodeId, String>,
    /// Peer addresses of the nodes of the other Regions.
    pub peers: BTreeMap<Region, Vec<PeerAddress>>,
    /// Certificate of the node; names it.
    pub tls: PeerTls,
    /// Certificate of the cluster CA, PEM.
    pub authority_pem: String,
    /// Certificate and key of the Region.
    pub region_identity: CertifiedPem,
    /// The root key of the Region; a node without it is sealed.
    pub root_key: Option<RootKey>,
    /// Timing of Raft.
    pub timing: Timing,
    /// Timing of links.
    pub link_timing: LinkTiming,
    /// Settings of the service.
    pub service: ServiceConfig,
    /// The Region where identities are changed; the same on every node of the cluster.
    pub identity_home: Region,
    /// Where keys are made and used that take long; one for all nodes of the process.
    pub workshop: Arc<Workshop>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Faults to inject.
    pub gate: Arc<dyn FaultGate>,
    /// Where links count.
    pub link_metrics: LinkMetrics,
    /// Where everything else counts.
    pub metrics: Metrics,
    /// The bound peer listener.
    pub listener: PeerListener,
}

/// A running node.
pub struct Node {
    name: NodeName,
    service: Service,
    group: Group,
    replicator: Replicator,
    server: PeerServer,
    schedule: JoinHandle<()>,
    trail: Arc<Trail>,
}

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// Says which part could not be started, and why.
    pub async fn start(setup: NodeSetup) -> Result<Self> {
        let name = setup.tls.name().clone();
        let region = name.region.clone();
        let trail = Trail::open(TrailConfig::new(setup.data_dir.join("audit"), name.to_string()));
        let storage = open_storage(&setup.data_dir, &region, setup.partition).await?;
        let config = GroupConfig {
            members: setup.members,
            timing: setup.timing,
            tls: setup.tls.clone(),
            faults: Arc::clone(&setup.gate),
        };
        let trail = Arc::new(trail.context("opening the audit trail")?);
        register_trail(&setup.metrics, &name, &trail);
        let group = Group::start(config, storage).await.context("starting the Raft group")?;
        let ring = setup.root_key.map(|root_key| Arc::new(KeyRing::new(root_key, region.clone())));
        let clock = Arc::clone(&setup.clock);
        let (own_clock, own_trail) = (Arc::clone(&clock), Arc::clone(&trail));
        let regions = setup.peers.keys().cloned().chain([region.clone()]).collect();
        let regions = ClusterRegions { home: setup.identity_home, regions };
        let service = Service::new(setup.service, regions, group.clone(), ring, own_clock, own_trail, setup.workshop);
        group.on_forward(Arc::new(Forwarding::new(service.clone())));
        let links = ReplicatorConfig {
            cluster_id: cluster_id(&setup.authority_pem),
            peers: setup.peers,
            tls: setup.tls,
            identity: RegionIdentity::from_pem(&setup.region_identity.cert_pem, &setup.region_identity.key_pem)
                .context("the Region's identity")?,
            authority: Authority(setup.authority_pem),
            gate: setup.gate,
            clock,
            metrics: setup.link_metrics,
            timing: setup.link_timing,
            jitter_seed: name.node.0,
        };
        let local = Arc::new(group.clone());
        let replicator = Replicator::start(links, local, Arc::new(service.clone()), Arc::new(service.clone()))?;
        service.connect(replicator.clone());
        let routes = tonic::service::Routes::new(group.service()).add_service(replicator.link_service());
        let server = setup.listener.serve(routes);
        let scheduled = service.clone();
        let schedule = tokio::spawn(async move { scheduled.run_schedule().await });
        Ok(Self { name, service, group, replicator, server, schedule, trail })
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The service on this node.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The node's part in the Raft group.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// The node's links.
    #[must_use]
    pub fn replicator(&self) -> &Replicator {
        &self.replicator
    }

    /// Hands over what the node leads, and stops cleanly.
    pub async fn shutdown(self) {
        self.schedule.abort();
        self.service.flush_usage().await;
        self.replicator.shutdown().await;
        self.group.shutdown().await;
        self.finish().await;
    }

    /// Stops cleanly together with all nodes of its Region: nobody is left to hand anything over to.
    pub async fn shutdown_with_region(self) {
        self.schedule.abort();
        self.replicator.shutdown().await;
        self.group.close().await;
        self.finish().await;
    }

    async fn finish(self) {
        self.server.shutdown().await;
        if let Err(error) = self.trail.close().await {
            tracing::warn!(%error, "the audit trail could not be closed cleanly");
        }
    }

    /// Stops at once and leaves what a crash would leave.
    pub async fn halt(self) {
        self.schedule.abort();
        self.group.halt().await;
        self.replicator.shutdown().await;
        self.server.shutdown().await;
        // The trail's own thread writes what it has taken; a crash would lose no more than that.
        if let Err(error) = self.trail.close().await {
            tracing::debug!(%error, "the audit trail was not closed cleanly");
        }
    }
}

async fn open_storage(folder: &Path, region: &Region, partition: Partition) -> Result<NodeStorage> {
    let (folder, region) = (folder.to_owned(), region.clone());
    let opened = tokio::task::spawn_blocking(move || NodeStorage::open(&folder, &region, partition)).await;
    opened.context("opening the node's data")?.context("opening the node's data")
}

/// Names the cluster on links: the fingerprint of its CA.
fn cluster_id(authority_pem: &str) -> String {
    hex::encode(&Sha256::digest(authority_pem.trim().as_bytes())[..16])
}

/// Runs the node of a configuration until it is told to stop.
///
/// # Errors
/// If the node cannot be started, or stopped by itself.
pub async fn run(config: NodeConfig) -> Result<()> {
    let mut termination = Termination::listen()?;
    let metrics = Metrics::new();
    let api = TcpListener::bind(config.api.listen);
    let api = api.await.with_context(|| format!("listening on {} ([api] listen)", config.api.listen))?;
    let tls = match (&config.api.tls_certificate, &config.api.tls_key) {
        (Some(certificate), Some(key)) => Some(meridian_server::tls::server_config_from_files(certificate, key)?),
        _ => None,
    };
    if tls.is_none() {
        tracing::warn!("the API listener speaks plain HTTP; see [api] tls_certificate");
    }
    let private = bind_vpc_endpoints(&config).await?;
    let (configured, home) = (credentials(&config)?, config.identity_home());
    let limits = limits(&config);
    let workshop =
        WorkshopConfig { rsa_keys_ahead: config.limits.rsa_keys_ahead, filling: config.limits.rsa_keys_filling };
    let workshop = Arc::new(Workshop::start(workshop).context("starting the threads for keys")?);
    let node = Node::start(setup(config, &metrics, Arc::clone(&workshop)).await?).await?;
    let endpoint = Arc::new(RegionEndpoint::new(node.name().region.clone()));
    endpoint.add(node.name().clone(), node.service().clone());
    let identities = IdentityCredentials::new(vec![Arc::clone(&endpoint)]);
    let store: Arc<dyn CredentialStore> = Arc::new(EitherStore(configured, identities));
    let verifier: SharedVerifier = Arc::new(Verifier::new(store));
    let stop = CancellationToken::new();
    let listener = Listener::new(&limits, tls);
    let public: (TcpListener, Arc<dyn Endpoint>) = (api, Arc::clone(&endpoint) as Arc<dyn Endpoint>);
    let behind = |(socket, vpc)| {
        let nodes = Arc::clone(&endpoint);
        (socket, Arc::new(BehindVpcEndpoint::new(nodes, vpc)) as Arc<dyn Endpoint>)
    };
    let mut serving = JoinSet::new();
    for (socket, endpoint) in std::iter::once(public).chain(private.into_iter().map(behind)) {
        let (clock, verifier) = (Arc::new(SystemClock), Arc::clone(&verifier));
        let gateway = Gateway::new(vec![endpoint], &home, verifier, clock, metrics.clone(), limits.clone());
        let (listener, gateway, stopped) = (listener.clone(), Arc::new(gateway), stop.clone());
        serving.spawn(async move { listener.serve(socket, gateway, stopped).await });
    }
    tracing::info!(node = %node.name(), "serving");
    let failure = tokio::select! {
        () = termination.requested() => None,
        failure = node.group().stopped() => Some(failure.unwrap_or_default()),
    };
    stop.cancel();
    while serving.join_next().await.is_some() {} // a panic there was logged, and the node stops anyway
    node.shutdown().await;
    close(workshop).await;
    match failure {
        Some(failure) => bail!("the node stopped by itself: {failure}"),
        None => Ok(()),
    }
}

/// The listeners of the private ways to the node, each with its name and its policy.
async fn bind_vpc_endpoints(config: &NodeConfig) -> Result<Vec<(TcpListener, VpcEndpoint)>> {
    let mut bound = Vec::new();
    for section in &config.vpc_endpoints {
        let id = &section.vpc_endpoint_id;
        let policy = match &section.policy_file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                Some(text.with_context(|| format!("reading {} ([[vpc_endpoints]] {id})", file.display()))?)
            }
            None => None,
        };
        let endpoint = VpcEndpoint::new(id.clone(), section.vpc_id.clone(), policy)
            .with_context(|| format!("the policy_file of {id} in [[vpc_endpoints]]"))?;
        let socket = TcpListener::bind(section.listen).await;
        let socket = socket.with_context(|| format!("listening on {} ([[vpc_endpoints]] {id})", section.listen))?;
        bound.push((socket, endpoint));
    }
    Ok(bound)
}

/// Joins the threads for keys; a key that is being made is made to its end.
pub(crate) async fn close(workshop: Arc<Workshop>) {
    if let Err(error) = tokio::task::spawn_blocking(move || workshop.stop()).await {
        tracing::warn!(%error, "the threads for keys could not be stopped cleanly");
    }
}

/// The wish that the process ends, SIGINT or SIGTERM; noticed from the moment that this is made.
#[derive(Debug)]
pub struct Termination {
    interrupt: Signal,
    terminate: Signal,
}

impl Termination {
    /// Begins to listen.
    ///
    /// # Errors
    /// If the system does not permit that.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for SIGINT and SIGTERM");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Resolves when a signal has come.
    pub async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn setup(config: NodeConfig, metrics: &Metrics, workshop: Arc<Workshop>) -> Result<NodeSetup> {
    let authority_pem = read(&config.tls.ca, "ca")?;
    let own = CertifiedPem {
        cert_pem: read(&config.tls.certificate, "certificate")?,
        key_pem: read(&config.tls.key, "key")?,
    };
    let tls = PeerTls::new(&authority_pem, &own).context("the certificates in [tls]")?;
    let configured = NodeName { region: config.node.region.clone(), node: NodeId(config.node.id) };
    if tls.name() != &configured {
        bail!("[node] says {configured}, but the certificate in [tls] is for {}", tls.name());
    }
    let SealSection::File { path } = &config.seal;
    let root_key = if path.exists() {
        Some(FileSeal::at(path).open().context("opening the seal")?)
    } else {
        tracing::error!(file = %path.display(), "there is no root key: the node starts sealed and refuses everything");
        None
    };
    let listener = PeerListener::bind(config.peer.listen, tls.clone()).await;
    let listener = listener.with_context(|| format!("listening on {} ([peer] listen)", config.peer.listen))?;
    let region_identity = region_identity(&config, &authority_pem)?;
    let attestation_roots = attestation::roots(&config.attestation.roots, &config.attestation.root_fingerprints)
        .context("[attestation]")?;
    let identity_home = config.identity_home();
    let first_administrator = config.administrator.as_ref().map(first_administrator).transpose()?;
    Ok(NodeSetup {
        identity_home,
        partition: config.node.partition,
        data_dir: config.node.data_dir,
        members: config.members.iter().map(|member| (NodeId(member.id), member.address.clone())).collect(),
        peers: config.peer_regions.into_iter().map(|peer| (peer.region, peer_addresses(&peer.members))).collect(),
        tls,
        authority_pem,
        region_identity,
        root_key,
        timing: Timing {
            heartbeat: std::time::Duration::from_millis(config.raft.heartbeat_ms),
            election_min: std::time::Duration::from_millis(config.raft.election_timeout_ms_min),
            election_max: std::time::Duration::from_millis(config.raft.election_timeout_ms_max),
            ..Timing::default()
        },
        link_timing: LinkTiming::default(),
        service: ServiceConfig {
            max_staleness: config.consistency.max_staleness(),
            on_stale: config.consistency.on_stale,
            attestation_roots: Arc::new(attestation_roots),
            first_administrator,
        },
        workshop,
        clock: Arc::new(SystemClock),
        gate: Arc::new(NoFaults),
        link_metrics: register_links(metrics),
        metrics: metrics.clone(),
        listener,
    })
}

fn read(path: &Path, setting: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {} ([tls] {setting})", path.display()))
}

/// The Region's certificate and key, proven to belong to each other, to the Region and to the cluster: links would fail
/// with any other, one by one and much later.
fn region_identity(config: &NodeConfig, authority_pem: &str) -> Result<CertifiedPem> {
    let (certificate, key) = (&config.tls.region_certificate, &config.tls.region_key);
    let identity =
        CertifiedPem { cert_pem: read(certificate, "region_certificate")?, key_pem: read(key, "region_key")? };
    let certified = verify_region_certificate(authority_pem, &identity.cert_pem, &config.node.region)
        .with_context(|| format!("{} ([tls] region_certificate)", certificate.display()))?;
    let signer = RegionSigner::from_pkcs8_pem(&identity.key_pem);
    let signer = signer.with_context(|| format!("{} ([tls] region_key)", key.display()))?;
    if signer.verifier().spki_der() != certified {
        bail!("{} ([tls] region_key) is not the key of {}", key.display(), certificate.display());
    }
    Ok(identity)
}

fn peer_addresses(members: &[crate::config::MemberSection]) -> Vec<PeerAddress> {
    let address = |member: &crate::config::MemberSection| PeerAddress {
        node: NodeId(member.id),
        address: member.address.clone(),
    };
    members.iter().map(address).collect()
}

fn register_trail(metrics: &Metrics, name: &NodeName, trail: &Trail) {
    let region = ("region".into(), name.region.to_string().into());
    let node = ("node".into(), name.node.to_string().into());
    metrics.register(|registry| trail.register(registry.sub_registry_with_labels([region, node].into_iter())));
}

/// Registers the metrics of links among those of the process.
#[must_use]
pub fn register_links(metrics: &Metrics) -> LinkMetrics {
    let mut links = None;
    metrics.register(|registry| links = Some(LinkMetrics::register(registry)));
    links.expect("the registry was just used")
}

fn first_administrator(section: &AdministratorSection) -> Result<FirstAdministrator> {
    let file = &section.secret_access_key_file;
    let secret = std::fs::read_to_string(file);
    let secret = secret.with_context(|| format!("reading the secret in [administrator] from {}", file.display()))?;
    Ok(FirstAdministrator {
        account: section.account,
        user: section.user.clone(),
        access_key_id: section.access_key_id.clone(),
        secret: secret.trim().into(),
    })
}

fn credentials(config: &NodeConfig) -> Result<StaticCredentials> {
    let mut credentials = StaticCredentials::new();
    for credential in &config.credentials {
        let id = &credential.access_key_id;
        let secret = match (&credential.secret_access_key, &credential.secret_access_key_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .with_context(|| format!("reading the secret of {id} from {}", file.display()))?,
            (None, None) => bail!("the access key {id} has no secret"),
        };
        let client = ClientCredentials::new(id, secret.trim());
        let (account, user) = (credential.account, credential.user.as_deref());
        let inserted = match &credential.service {
            Some(service) => credentials.danger_insert_service(account, service, client),
            None => credentials.insert(config.node.partition, account, user, client),
        };
        inserted.with_context(|| format!("the access key {id} in [[credentials]]"))?;
    }
    Ok(credentials)
}

fn limits(config: &NodeConfig) -> Limits {
    Limits {
        body_bytes_max: config.limits.body_bytes_max,
        body_time_max: std::time::Duration::from_millis(config.limits.request_timeout_ms),
        connections_max: config.limits.connections_max,
        ..Limits::default()
    }
}
