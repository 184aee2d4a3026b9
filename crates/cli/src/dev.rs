//! `meridian dev`: a whole cluster for development, with one gateway and a port per Region.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use meridian_audit::Metrics;
use meridian_consensus::Timing;
use meridian_identity::{CredentialStore, DevCredentials, EitherStore, Verifier};
use meridian_model::clock::VirtualClock;
use meridian_model::{Clock, Region};
use meridian_replication::LinkTiming;
use meridian_server::{Endpoint, Gateway, Limits, Listener, SharedVerifier};
use meridian_service::{OnStale, ServiceConfig, WorkshopConfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::SystemClock;
use crate::attestation;
use crate::clock_control;
use crate::commands::{ClockKind, DevArguments};
use crate::endpoint::IdentityCredentials;
use crate::link_delay::LinkDelay;
use crate::local_cluster::{LocalCluster, LocalClusterConfig};
use crate::node::{Termination, register_links};

/// How long the cluster may take to elect its leaders.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Runs a local cluster until it is told to stop.
///
/// # Errors
/// If a port or the folder is in use, or a node cannot be started.
pub async fn run(arguments: DevArguments) -> Result<()> {
    // From now on: a signal during the start ends the cluster as soon as it can be ended in order.
    let mut termination = Termination::listen()?;
    let sockets = bind_all(&arguments).await?;
    let temporary = arguments.ephemeral.then(TemporaryFolder::make).transpose()?;
    let data_dir = temporary.as_ref().map_or_else(|| arguments.data_dir.clone(), |folder| folder.0.clone());
    let metrics = Metrics::new();
    let (clock, virtual_clock) = clocks(&arguments);
    let cluster = LocalCluster::start(cluster_config(&arguments, data_dir.clone(), clock, &metrics)?).await?;
    let stop = CancellationToken::new();
    let mut serving = serve(&arguments, sockets, &cluster, &metrics, &stop);
    let _control = match virtual_clock {
        Some(clock) => Some(AbortOnDrop(tokio::spawn(clock_control::serve(clock_control::listen(&data_dir)?, clock)))),
        None => None,
    };
    let outcome = tokio::select! {
        outcome = run_until_failure(&arguments, &cluster, &mut serving) => outcome,
        () = termination.requested() => {
            say("Stopping ...\n");
            Ok(())
        }
    };
    stop.cancel();
    while serving.join_next().await.is_some() {}
    cluster.shutdown().await;
    outcome
}

/// Says when the cluster is ready; returns only if something goes wrong.
async fn run_until_failure(arguments: &DevArguments, cluster: &LocalCluster, serving: &mut JoinSet<()>) -> Result<()> {
    let failed = async {
        let (node, reason) = cluster.failed().await;
        Err::<(), _>(anyhow!("{node} stopped by itself: {reason}"))
    };
    let served = async {
        cluster.wait_ready(READY_LIMIT).await?;
        say(&welcome(arguments));
        match serving.join_next().await {
            Some(ended) => ended.context("a listener ended abnormally"),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        failed = failed => failed,
        served = served => served,
    }
}

/// The clock of the Regions, and the same once more if it can be moved.
fn clocks(arguments: &DevArguments) -> (Arc<dyn Clock>, Option<Arc<VirtualClock>>) {
    match arguments.clock {
        ClockKind::System => (Arc::new(SystemClock), None),
        ClockKind::Virtual => {
            let clock = Arc::new(VirtualClock::starting_at(SystemClock.now()));
            (Arc::clone(&clock) as Arc<dyn Clock>, Some(clock))
        }
    }
}

fn cluster_config(
    arguments: &DevArguments,
    data_dir: PathBuf,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> Result<LocalClusterConfig> {
    let attestation_roots = attestation::roots(&arguments.attestation_roots, &[])?;
    Ok(LocalClusterConfig {
        regions: arguments.regions.clone(),
        nodes_per_region: arguments.nodes_per_region,
        peer_ip: Ipv4Addr::LOCALHOST.into(),
        data_dir,
        clock,
        gate: Arc::new(LinkDelay(Duration::from_millis(arguments.link_delay_ms))),
        timing: Timing::default(),
        link_timing: LinkTiming::default(),
        service: ServiceConfig {
            max_staleness: Duration::from_secs(1),
            on_stale: OnStale::Refuse,
            first_administrator: None,
            attestation_roots: Arc::new(attestation_roots),
        },
        workshop: WorkshopConfig::default(),
        link_metrics: register_links(metrics),
        metrics: metrics.clone(),
    })
}

/// The sockets of the gateway and of each Region, bound before anything else is started.
async fn bind_all(arguments: &DevArguments) -> Result<Vec<TcpListener>> {
    ensure!(arguments.listen.port() != 0, "--listen needs a port: the Regions' ports follow it");
    let mut unique = arguments.regions.clone();
    unique.sort();
    unique.dedup();
    ensure!(unique.len() == arguments.regions.len(), "--regions names a Region twice");
    let mut sockets = Vec::new();
    for offset in 0..=arguments.regions.len() {
        let address = address(arguments, offset)?;
        let socket = TcpListener::bind(address).await;
        sockets.push(socket.with_context(|| format!("listening on {address}; choose another with --listen"))?);
    }
    Ok(sockets)
}

/// The address of the gateway (0) or of the Region number `offset`.
fn address(arguments: &DevArguments, offset: usize) -> Result<SocketAddr> {
    let port = u16::try_from(offset).ok().and_then(|offset| arguments.listen.port().checked_add(offset));
    let port = port.context("--listen leaves too few ports for the Regions")?;
    Ok(SocketAddr::new(arguments.listen.ip(), port))
}

fn serve(
    arguments: &DevArguments,
    sockets: Vec<TcpListener>,
    cluster: &LocalCluster,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let identities = arguments.regions.iter().filter_map(|region| cluster.endpoint(region)).collect();
    let store = EitherStore(DevCredentials::danger_well_known(), IdentityCredentials::new(identities));
    let store: Arc<dyn CredentialStore> = Arc::new(store);
    let verifier: SharedVerifier = Arc::new(Verifier::new(store));
    let endpoint = |region: &Region| -> Arc<dyn Endpoint> {
        cluster.endpoint(region).expect("the cluster consists of these Regions")
    };
    let all = arguments.regions.iter().map(endpoint).collect();
    let gateways = std::iter::once(all).chain(arguments.regions.iter().map(|region| vec![endpoint(region)]));
    let limits = Limits::default();
    let listener = Listener::new(&limits, None);
    let mut serving = JoinSet::new();
    for (socket, endpoints) in sockets.into_iter().zip(gateways) {
        // Signatures carry real time, whatever clock the Regions live by.
        let clock = Arc::new(SystemClock);
        let (home, verifier) = (&arguments.regions[0], Arc::clone(&verifier));
        let gateway = Gateway::new(endpoints, home, verifier, clock, metrics.clone(), limits.clone());
        let (listener, gateway, stop) = (listener.clone(), Arc::new(gateway), stop.clone());
        serving.spawn(async move { listener.serve(socket, gateway, stop).await });
    }
    serving
}

fn welcome(arguments: &DevArguments) -> String {
    let gateway = arguments.listen;
    let (regions, nodes) = (arguments.regions.len(), arguments.nodes_per_region);
    let mut text = format!(
        "Meridian is ready. Regions: {regions}, nodes in each: {nodes}.\n\n  \
         every Region    http://{gateway}   (chosen by the Region that a request is signed for)\n"
    );
    for (offset, region) in arguments.regions.iter().enumerate() {
        if let Ok(address) = address(arguments, offset + 1) {
            let _ = writeln!(text, "  {:<15} http://{address}", region.as_str());
        }
    }
    let region = &arguments.regions[0];
    let _ = writeln!(
        text,
        "\nCredentials, for development only: access key `test`, secret `test` (account 000000000000).\n\
         Any 12-digit access key with secret `test` is the root of that account.\n\n\
         Try it:\n\n  \
         export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION={region} AWS_ENDPOINT_URL=http://{gateway}\n  \
         aws kms create-key --multi-region --description hello\n  \
         aws kms list-keys\n  \
         aws kms generate-random --number-of-bytes 16\n\n\
         Ctrl-C stops the cluster."
    );
    text
}

/// Tells whoever started the cluster; it goes on if nobody listens any more, unlike with `println!`.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A folder that goes with its owner.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn make() -> Result<Self> {
        let name = format!(
            "meridian-dev-{}-{}",
            std::process::id(),
            hex::encode(meridian_crypto::random::random_bytes::<8>()?)
        );
        let folder = std::env::temp_dir().join(name);
        crate::secrets_on_disk::private_folder(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "the temporary folder could not be removed");
        }
    }
}
