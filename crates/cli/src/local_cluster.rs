//! A whole cluster in one process: real nodes, real Raft over loopback with mutual TLS, real files.
//!
//! What `meridian dev` runs, and what tests take apart: nodes can be stopped, killed and started again.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use futures::future::try_join_all;
use futures::stream::FuturesUnordered;
use meridian_audit::Metrics;
use meridian_consensus::tls::{CertifiedPem, ClusterCa, PeerTls};
use meridian_consensus::{FaultGate, NodeId, NodeName, PeerListener, Timing};
use meridian_model::{Clock, Region};
use meridian_replication::{LinkMetrics, LinkTiming, PeerAddress};
use meridian_service::{ServiceConfig, Workshop, WorkshopConfig};
use meridian_storage::vault::FileSeal;

use crate::cluster_files::{RegionFiles, load_or_make_ca};
use crate::endpoint::RegionEndpoint;
use crate::node::{Node, NodeSetup, close};
use crate::secrets_on_disk::{private_folder, read_or_make};

/// What a local cluster consists of.
#[derive(Clone)]
pub struct LocalClusterConfig {
    /// The Regions; the first one is the home of identities.
    pub regions: Vec<Region>,
    /// Nodes in each Region.
    pub nodes_per_region: u64,
    /// The address of this machine at which nodes listen for each other, on ports that the system picks.
    pub peer_ip: IpAddr,
    /// Folder of the cluster's data.
    pub data_dir: PathBuf,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Faults to inject.
    pub gate: Arc<dyn FaultGate>,
    /// Timing of Raft.
    pub timing: Timing,
    /// Timing of links.
    pub link_timing: LinkTiming,
    /// Settings of the service.
    pub service: ServiceConfig,
    /// What the process keeps ready for keys.
    pub workshop: WorkshopConfig,
    /// Where links count.
    pub link_metrics: LinkMetrics,
    /// Where everything else counts.
    pub metrics: Metrics,
}

/// A running local cluster.
pub struct LocalCluster {
    config: LocalClusterConfig,
    authority: ClusterCa,
    regions: BTreeMap<Region, LocalRegionFiles>,
    addresses: BTreeMap<NodeName, SocketAddr>,
    nodes: BTreeMap<NodeName, Node>,
    workshop: Arc<Workshop>,
    /// Held as long as the cluster runs.
    _lock: File,
}

struct LocalRegionFiles {
    endpoint: Arc<RegionEndpoint>,
    files: RegionFiles,
}

impl LocalCluster {
    /// Starts every node; returns before Regions have elected leaders.
    ///
    /// # Errors
    /// If the folder is in use or damaged, or a node cannot be started.
    pub async fn start(config: LocalClusterConfig) -> Result<Self> {
        ensure!(!config.regions.is_empty(), "a cluster has at least one Region");
        private_folder(&config.data_dir)?;
        let lock = lock_folder(&config.data_dir)?;
        let authority = load_or_make_ca(&config.data_dir)?;
        let mut regions = BTreeMap::new();
        for region in &config.regions {
            let files = RegionFiles::load_or_make(&authority, &config.data_dir, region)?;
            check_size(&config.data_dir.join(region.as_str()), config.nodes_per_region)?;
            let endpoint = Arc::new(RegionEndpoint::new(region.clone()));
            regions.insert(region.clone(), LocalRegionFiles { endpoint, files });
        }
        let addresses = BTreeMap::new();
        let workshop = Workshop::start(config.workshop).context("starting the threads for keys")?;
        let (nodes, workshop) = (BTreeMap::new(), Arc::new(workshop));
        let mut cluster = Self { config, authority, regions, addresses, nodes, workshop, _lock: lock };
        cluster.start_all().await?;
        Ok(cluster)
    }

    async fn start_all(&mut self) -> Result<()> {
        let mut listeners = Vec::new();
        for name in self.names() {
            let listener = self.bind(&name, SocketAddr::new(self.config.peer_ip, 0)).await?;
            self.addresses.insert(name.clone(), listener.1.local_addr()?);
            listeners.push((name, listener));
        }
        let setups = listeners.into_iter().map(|(name, (tls, listener))| self.setup(&name, tls, listener));
        let setups = setups.collect::<Result<Vec<_>>>()?;
        for node in try_join_all(setups.into_iter().map(Node::start)).await? {
            self.insert(node);
        }
        Ok(())
    }

    fn insert(&mut self, node: Node) {
        let name = node.name().clone();
        self.regions[&name.region].endpoint.add(name.clone(), node.service().clone());
        self.nodes.insert(name, node);
    }

    /// The names of all nodes, running or not.
    #[must_use]
    pub fn names(&self) -> Vec<NodeName> {
        let nodes_of = |region: &Region| {
            let region = region.clone();
            (1..=self.config.nodes_per_region).map(move |node| NodeName { region: region.clone(), node: NodeId(node) })
        };
        self.config.regions.iter().flat_map(nodes_of).collect()
    }

    /// The endpoint of a Region, whichever of its nodes run.
    #[must_use]
    pub fn endpoint(&self, region: &Region) -> Option<Arc<RegionEndpoint>> {
        self.regions.get(region).map(|region| Arc::clone(&region.endpoint))
    }

    /// A running node.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The folder of a node's data.
    #[must_use]
    pub fn data_dir(&self, name: &NodeName) -> PathBuf {
        self.config.data_dir.join(name.region.as_str()).join(format!("node-{}", name.node))
    }

    /// The running nodes of a Region.
    pub fn nodes_of<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a Node> + 'a {
        self.nodes.values().filter(move |node| &node.name().region == region)
    }

    /// Stops a node cleanly; nothing happens if it does not run.
    pub async fn stop(&mut self, name: &NodeName) {
        if let Some(node) = self.take(name) {
            node.shutdown().await;
        }
    }

    /// Stops a node as a crash would.
    pub async fn kill(&mut self, name: &NodeName) {
        if let Some(node) = self.take(name) {
            node.halt().await;
        }
    }

    fn take(&mut self, name: &NodeName) -> Option<Node> {
        self.regions.get(&name.region)?.endpoint.remove(name);
        self.nodes.remove(name)
    }

    /// Starts a node that was stopped or killed, at its former address and with its data.
    ///
    /// # Errors
    /// If it runs already or cannot be started.
    pub async fn restart(&mut self, name: &NodeName) -> Result<()> {
        if self.nodes.contains_key(name) {
            bail!("{name} runs already");
        }
        let address = *self.addresses.get(name).with_context(|| format!("there is no node {name}"))?;
        let (tls, listener) = self.bind(name, address).await?;
        let node = Node::start(self.setup(name, tls, listener)?).await?;
        self.insert(node);
        Ok(())
    }

    /// Waits until every running node knows a leader and has heard of it.
    ///
    /// # Errors
    /// If that does not happen within `limit`; names the nodes that are not ready.
    pub async fn wait_ready(&self, limit: Duration) -> Result<()> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let waiting: Vec<String> = self
                .nodes
                .values()
                .filter(|node| !node.service().readiness().is_ready())
                .map(|node| format!("{} ({:?})", node.name(), node.service().readiness()))
                .collect();
            if waiting.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                bail!("not ready within {limit:?}: {}", waiting.join(", "));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Resolves when a node has stopped by itself, with its name and the reason.
    pub async fn failed(&self) -> (NodeName, String) {
        let mut stopped: FuturesUnordered<_> = self
            .nodes
            .values()
            .map(|node| async move { (node.name().clone(), node.group().stopped().await) })
            .collect();
        while let Some((name, reason)) = stopped.next().await {
            if let Some(reason) = reason {
                return (name, reason);
            }
        }
        std::future::pending().await
    }

    /// Stops every node cleanly.
    pub async fn shutdown(mut self) {
        // First everybody's uses of keys, as long as there are leaders to take them in.
        futures::future::join_all(self.nodes.values().map(|node| node.service().flush_usage())).await;
        let nodes = std::mem::take(&mut self.nodes);
        futures::future::join_all(nodes.into_values().map(Node::shutdown_with_region)).await;
        close(self.workshop).await;
    }

    async fn bind(&self, name: &NodeName, address: SocketAddr) -> Result<(PeerTls, PeerListener)> {
        let own: CertifiedPem = self.authority.issue_node(name, &[], &[self.config.peer_ip])?;
        let tls = PeerTls::new(&self.authority.pem().cert_pem, &own)?;
        let listener = PeerListener::bind(address, tls.clone()).await;
        Ok((tls, listener.with_context(|| format!("the peer listener of {name}"))?))
    }

    fn setup(&self, name: &NodeName, tls: PeerTls, listener: PeerListener) -> Result<NodeSetup> {
        let region = &self.regions[&name.region].files;
        let address = |name: &NodeName| self.addresses[name].to_string();
        let names = self.names();
        let members = names.iter().filter(|member| member.region == name.region);
        let mut peers: BTreeMap<Region, Vec<PeerAddress>> = BTreeMap::new();
        for peer in names.iter().filter(|peer| peer.region != name.region) {
            let peer_address = PeerAddress { node: peer.node, address: address(peer) };
            peers.entry(peer.region.clone()).or_default().push(peer_address);
        }
        let config = &self.config;
        Ok(NodeSetup {
            partition: name.region.usual_partition(),
            data_dir: self.data_dir(name),
            members: members.map(|member| (member.node, address(member))).collect(),
            peers,
            tls,
            authority_pem: self.authority.pem().cert_pem.clone(),
            region_identity: region.identity.clone(),
            root_key: Some(FileSeal::at(&region.root_key_file).open().context("the root key of the Region")?),
            timing: config.timing.clone(),
            link_timing: config.link_timing,
            service: config.service.clone(),
            identity_home: config.regions[0].clone(),
            workshop: Arc::clone(&self.workshop),
            clock: Arc::clone(&config.clock),
            gate: Arc::clone(&config.gate),
            link_metrics: config.link_metrics.clone(),
            metrics: config.metrics.clone(),
            listener,
        })
    }
}

/// Readiness changes with heartbeats; looking more often than this shows nothing new.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A Region keeps the number of nodes that it was formed with: fewer would have no majority, and more are not members.
fn check_size(folder: &Path, nodes: u64) -> Result<()> {
    let formed = read_or_make(&folder.join("nodes"), || Ok(nodes.to_string()))?;
    let is_same = formed.trim() == nodes.to_string();
    ensure!(
        is_same,
        "{} holds a Region of {} nodes; start it with --nodes-per-region {1}, or choose another --data-dir",
        folder.display(),
        formed.trim()
    );
    Ok(())
}

fn lock_folder(folder: &Path) -> Result<File> {
    let path = folder.join("cluster.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("{} is in use by another cluster; stop it, or choose another --data-dir", folder.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}
