//! A cluster of a test: starting it, and taking its nodes apart and back.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use meridian::local_cluster::{LocalCluster, LocalClusterConfig};
use meridian::node::{Node, register_links};
use meridian_audit::Metrics;
use meridian_consensus::{FaultGate, Group, NodeName, Timing};
use meridian_model::clock::VirtualClock;
use meridian_model::{Clock, Region, Timestamp};
use meridian_replication::LinkTiming;
use meridian_service::{OnStale, ServiceConfig, WorkshopConfig};
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use crate::Seed;
use crate::client::Client;
use crate::http_endpoint::HttpEndpoint;
use crate::place::{Place, region};
use crate::switchboard::Switchboard;
use crate::waiting::PATIENCE;

/// Where the virtual clock of every cluster starts: 2026-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// What a cluster shall be like.
#[derive(Clone)]
pub struct ClusterBuilder {
    regions: Vec<Region>,
    nodes_per_region: u64,
    seed: Seed,
    timing: Timing,
    link_timing: LinkTiming,
    service: ServiceConfig,
}

impl ClusterBuilder {
    /// The Regions, by name; `us-east-1` unless told otherwise.
    #[must_use]
    pub fn regions(mut self, names: &[&str]) -> Self {
        self.regions = names.iter().map(|name| region(name)).collect();
        self
    }

    /// Nodes in each Region; 3 unless told otherwise.
    #[must_use]
    pub fn nodes(mut self, nodes_per_region: u64) -> Self {
        self.nodes_per_region = nodes_per_region;
        self
    }

    /// What everything random follows from; [`Seed::of_this_run`] unless told otherwise.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// What nodes do without their leader; they refuse unless told otherwise.
    #[must_use]
    pub fn on_stale(mut self, on_stale: OnStale) -> Self {
        self.service.on_stale = on_stale;
        self
    }

    /// Writes a snapshot after so many entries of the log and keeps only a few entries below it.
    #[must_use]
    pub fn snapshot_after(mut self, entries: u64) -> Self {
        self.timing.snapshot_after_entries = entries;
        self.timing.entries_kept = entries / 10;
        self
    }

    /// Starts the cluster and waits until every node is ready.
    ///
    /// # Panics
    /// If it cannot be started, or is not ready in time.
    pub async fn start(self) -> Cluster {
        log_to_the_test_output();
        println!("a cluster with {}; set it in the environment to repeat the run", self.seed);
        let folder = tempfile::Builder::new().prefix("meridian-testkit-").tempdir().expect("a temporary folder");
        let clock = Arc::new(VirtualClock::starting_at(START));
        let switchboard = Arc::new(Switchboard::new(self.seed));
        let metrics = Metrics::new();
        let config = LocalClusterConfig {
            regions: self.regions.clone(),
            nodes_per_region: self.nodes_per_region,
            peer_ip: own_loopback_ip(),
            data_dir: folder.path().to_owned(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            gate: Arc::clone(&switchboard) as Arc<dyn FaultGate>,
            timing: self.timing,
            link_timing: self.link_timing,
            service: self.service,
            // Every test is a process of its own: keys ahead of need would only take time from the others.
            workshop: WorkshopConfig { rsa_keys_ahead: 0, ..WorkshopConfig::default() },
            link_metrics: register_links(&metrics),
            metrics,
        };
        let local = LocalCluster::start(config).await.expect("the cluster starts");
        let cluster = Cluster { local, folder, clock, switchboard, seed: self.seed, regions: self.regions };
        cluster.await_ready().await;
        cluster
    }
}

/// A running cluster in a folder of its own, which goes with it.
pub struct Cluster {
    local: LocalCluster,
    folder: TempDir,
    clock: Arc<VirtualClock>,
    switchboard: Arc<Switchboard>,
    seed: Seed,
    regions: Vec<Region>,
}

impl Cluster {
    /// One Region of three nodes, to be changed before it is started.
    #[must_use]
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder {
            regions: vec![region("us-east-1")],
            nodes_per_region: 3,
            seed: Seed::of_this_run(),
            timing: Timing::default(),
            link_timing: LinkTiming::default(),
            service: ServiceConfig {
                max_staleness: Duration::from_secs(1),
                on_stale: OnStale::Refuse,
                first_administrator: None,
                attestation_roots: Arc::default(),
            },
        }
    }

    /// Waits until every running node knows a leader and has heard of it.
    ///
    /// # Panics
    /// If that does not happen in time.
    pub async fn await_ready(&self) {
        self.local.wait_ready(PATIENCE).await.expect("every node is ready in time");
    }

    /// The Regions, in the order given.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// All nodes of `place`, running or not.
    #[must_use]
    pub fn nodes(&self, place: impl Into<Place>) -> Vec<NodeName> {
        let place = place.into();
        self.local.names().into_iter().filter(|name| place.contains(name)).collect()
    }

    /// The running nodes of `place`.
    #[must_use]
    pub fn running(&self, place: impl Into<Place>) -> Vec<NodeName> {
        self.nodes(place).into_iter().filter(|name| self.local.node(name).is_some()).collect()
    }

    /// A running node.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> &Node {
        self.local.node(name).unwrap_or_else(|| panic!("{name} does not run"))
    }

    /// The part of a running node in its Raft group.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn group(&self, name: &NodeName) -> &Group {
        self.node(name).group()
    }

    /// The clock that all nodes live by.
    #[must_use]
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// The network between the nodes.
    #[must_use]
    pub fn switchboard(&self) -> &Switchboard {
        &self.switchboard
    }

    /// What everything random follows from.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// A client whose requests go to the running nodes of `region` in turn.
    ///
    /// # Panics
    /// If there is no such Region.
    #[must_use]
    pub fn client(&self, region: &Region) -> Client {
        Client::of_region(self.local.endpoint(region).unwrap_or_else(|| panic!("there is no {region}")))
    }

    /// A client whose requests go to one node, until that stops.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn client_on(&self, name: &NodeName) -> Client {
        Client::of_node(self.node(name).service().clone())
    }

    /// Puts `region` behind HTTP on a port of its own, with the credentials of dev mode.
    ///
    /// # Panics
    /// If there is no such Region, or no port.
    pub async fn http_endpoint(&self, region: &Region) -> HttpEndpoint {
        let endpoint = self.local.endpoint(region).unwrap_or_else(|| panic!("there is no {region}"));
        HttpEndpoint::serve(endpoint).await
    }

    /// The folder that everything on disk lies below.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of a node.
    #[must_use]
    pub fn data_dir(&self, name: &NodeName) -> PathBuf {
        self.local.data_dir(name)
    }

    /// The file that keeps the root key of a Region.
    #[must_use]
    pub fn root_key_file(&self, region: &Region) -> PathBuf {
        self.folder().join(region.as_str()).join("root.key")
    }

    /// Ends nodes as a crash would, one after the other.
    pub async fn kill(&mut self, place: impl Into<Place>) {
        for name in self.running(place) {
            self.local.kill(&name).await;
        }
    }

    /// Ends nodes in good order, one after the other.
    pub async fn stop(&mut self, place: impl Into<Place>) {
        for name in self.running(place) {
            self.local.stop(&name).await;
        }
    }

    /// Starts the nodes of `place` that do not run, with their data and former addresses. Does not wait for leaders.
    ///
    /// # Panics
    /// If one cannot be started.
    pub async fn restart(&mut self, place: impl Into<Place>) {
        for name in self.nodes(place) {
            if self.local.node(&name).is_none() {
                self.local.restart(&name).await.unwrap_or_else(|error| panic!("{name} starts again: {error:?}"));
            }
        }
    }

    /// Removes everything that a node has on disk, as a lost disk would; the node must not run.
    ///
    /// # Panics
    /// If it runs, or its folder cannot be removed.
    pub fn wipe(&self, name: &NodeName) {
        assert!(self.local.node(name).is_none(), "{name} runs");
        std::fs::remove_dir_all(self.data_dir(name)).expect("the folder can be removed");
    }

    /// Ends everything in good order.
    pub async fn shutdown(self) {
        self.local.shutdown().await;
    }
}

/// A loopback address that no other cluster on this machine has, so that nobody takes the port of a node that is down. On
/// Linux all of 127.0.0.0/8 is this machine.
fn own_loopback_ip() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Process ids have at most 22 bits; four clusters of a process get addresses of their own.
    let number = std::process::id() << 2 | (NEXT.fetch_add(1, Ordering::Relaxed) & 3);
    let [_, a, b, c] = number.to_be_bytes();
    Ipv4Addr::new(127, a, b, c).into()
}

/// Shows what the nodes log where a failed test shows its output; `RUST_LOG` says how much. A test that has its own
/// subscriber keeps it.
fn log_to_the_test_output() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,meridian=info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_test_writer();
    drop(subscriber.try_init());
}
