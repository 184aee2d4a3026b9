//! A whole Region in one process: real sockets, real TLS, real files; only the fault gate is a test's own.

#![allow(dead_code, unreachable_pub)] // every test file uses its part

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use meridian_consensus::tls::{ClusterCa, PeerTls};
use meridian_consensus::{
    Cut, FaultGate, Group, GroupConfig, NodeId, NodeName, PeerListener, PeerServer, ProposeError, Timing,
};
use meridian_model::{AccountId, KeyId, KeySpec, KeyUsageType, OriginType, Partition, Region, Timestamp};
use meridian_state::Op;
use meridian_state::command::CreateKey;
use meridian_state::{Command, RegionState};
use meridian_storage::{LogStore, NodeStorage};
use tempfile::TempDir;
use tokio::time::Instant;
use tonic::service::Routes;

/// Long enough for a busy machine; reached only by tests that fail.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

pub fn region() -> Region {
    "us-east-1".parse().unwrap()
}

/// A command that makes the `number`th key.
pub fn create_key(number: u64) -> Command {
    create_key_with(number, format!("key {number}"))
}

pub fn create_key_with(number: u64, description: String) -> Command {
    let account: AccountId = "000000000000".parse().unwrap();
    let op = Op::CreateKey(CreateKey {
        key_id: key_id(number),
        account,
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsageType::EncryptDecrypt,
        origin: OriginType::External,
        description,
        policy: None,
        tags: BTreeMap::new(),
        material: None,
    });
    Command { at: Timestamp::from_millis(1_000 + number), op }
}

pub fn key_id(number: u64) -> KeyId {
    let mut random = [7; 16];
    random[..8].copy_from_slice(&number.to_be_bytes());
    KeyId::single_region(random)
}

pub fn holds(state: &RegionState, number: u64) -> bool {
    state.key(key_id(number)).is_some()
}

/// All rows, for comparing nodes byte by byte.
pub fn rows(group: &Group) -> Vec<(Vec<u8>, Vec<u8>)> {
    group.state().rows().collect()
}

/// Cuts every connection between two sides.
#[derive(Default)]
pub struct Switch(Mutex<BTreeSet<NodeId>>);

impl Switch {
    /// The nodes on the other side; none heals everything.
    pub fn isolate(&self, nodes: impl IntoIterator<Item = NodeId>) {
        *self.0.lock().unwrap() = nodes.into_iter().collect();
    }
}

#[async_trait]
impl FaultGate for Switch {
    async fn pass(&self, from: &NodeName, to: &NodeName) -> Result<(), Cut> {
        let isolated = self.0.lock().unwrap();
        if isolated.contains(&from.node) == isolated.contains(&to.node) { Ok(()) } else { Err(Cut) }
    }
}

pub struct Running {
    pub group: Group,
    /// For breaking it under the running engine.
    pub log: LogStore,
    server: PeerServer,
}

pub struct Cluster {
    pub folder: TempDir,
    pub ca: ClusterCa,
    pub switch: Arc<Switch>,
    pub timing: Timing,
    pub nodes: BTreeMap<NodeId, Running>,
    addresses: BTreeMap<NodeId, String>,
}

impl Cluster {
    pub async fn start(size: u64) -> Self {
        Self::start_with(size, Timing::default()).await
    }

    pub async fn start_with(size: u64, timing: Timing) -> Self {
        let mut cluster = Self {
            folder: tempfile::tempdir().unwrap(),
            ca: ClusterCa::generate().unwrap(),
            switch: Arc::default(),
            timing,
            nodes: BTreeMap::new(),
            addresses: BTreeMap::new(),
        };
        let mut listeners = BTreeMap::new();
        for node in (1..=size).map(NodeId) {
            let listener = cluster.bind(node, "127.0.0.1:0").await;
            cluster.addresses.insert(node, listener.local_addr().unwrap().to_string());
            listeners.insert(node, listener);
        }
        for (node, listener) in listeners {
            cluster.start_on(node, listener).await;
        }
        cluster
    }

    pub fn name(node: NodeId) -> NodeName {
        NodeName { region: region(), node }
    }

    pub fn tls(&self, node: NodeId) -> PeerTls {
        let pem = self.ca.issue_node(&Self::name(node), &[], &[]).unwrap();
        PeerTls::new(&self.ca.pem().cert_pem, &pem).unwrap()
    }

    pub fn data(&self, node: NodeId) -> std::path::PathBuf {
        self.folder.path().join(format!("node-{node}"))
    }

    async fn bind(&self, node: NodeId, address: &str) -> PeerListener {
        PeerListener::bind(address.parse().unwrap(), self.tls(node)).await.unwrap()
    }

    async fn start_on(&mut self, node: NodeId, listener: PeerListener) {
        let data = self.data(node);
        let storage =
            tokio::task::spawn_blocking(move || NodeStorage::open(&data, &region(), Partition::Aws)).await.unwrap();
        let config = GroupConfig {
            members: self.addresses.clone(),
            timing: self.timing.clone(),
            tls: self.tls(node),
            faults: Arc::clone(&self.switch) as Arc<dyn FaultGate>,
        };
        let storage = storage.unwrap();
        let log = storage.log.clone();
        let group = Group::start(config, storage).await.unwrap();
        let server = listener.serve(Routes::new(group.service()));
        self.nodes.insert(node, Running { group, log, server });
    }

    /// Starts a node that the group does not know yet; gives back its address.
    pub async fn start_stranger(&mut self, node: NodeId) -> String {
        let listener = self.bind(node, "127.0.0.1:0").await;
        let address = listener.local_addr().unwrap().to_string();
        self.addresses.insert(node, address.clone());
        self.start_on(node, listener).await;
        address
    }

    /// Starts a node again, on its old address.
    pub async fn restart(&mut self, node: NodeId) {
        let address = self.addresses[&node].clone();
        let listener = self.bind(node, &address).await;
        self.start_on(node, listener).await;
    }

    /// Ends a node as a crash would.
    pub async fn kill(&mut self, node: NodeId) {
        let running = self.nodes.remove(&node).unwrap();
        running.group.halt().await;
        running.server.shutdown().await;
    }

    /// Ends a node in good order.
    pub async fn stop(&mut self, node: NodeId) {
        let running = self.nodes.remove(&node).unwrap();
        running.group.shutdown().await;
        running.server.shutdown().await;
    }

    pub async fn stop_all(&mut self) {
        for node in self.ids() {
            self.stop(node).await;
        }
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub fn group(&self, node: NodeId) -> Group {
        self.nodes[&node].group.clone()
    }

    /// A node that leads, as soon as one of `among` does and has had a proposal accepted by the others.
    pub async fn leader_among(&self, among: &[NodeId]) -> NodeId {
        let mut watches: Vec<_> = among.iter().map(|node| (*node, self.group(*node).leadership())).collect();
        let until = deadline();
        loop {
            if let Some((node, _)) = watches.iter().find(|(_, watch)| watch.borrow().am_leader) {
                return *node;
            }
            let changes = watches.iter_mut().map(|(_, watch)| Box::pin(watch.changed()));
            let change = futures::future::select_all(changes);
            tokio::time::timeout_at(until, change).await.expect("a leader in time").0.unwrap();
        }
    }

    pub async fn leader(&self) -> NodeId {
        self.leader_among(&self.ids()).await
    }

    /// Proposes on whoever leads, again after a change of leadership. For commands that may be repeated.
    pub async fn propose(&self, among: &[NodeId], command: &Command) -> u64 {
        let until = deadline();
        loop {
            let leader = self.leader_among(among).await;
            let mut leadership = self.group(leader).leadership();
            match self.group(leader).propose(command).await {
                Ok(committed) => return committed.log_index,
                Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) => {
                    let pause = until.min(Instant::now() + Duration::from_millis(50));
                    let _ = tokio::time::timeout_at(pause, leadership.changed()).await;
                    assert!(Instant::now() < until, "nobody takes the proposal");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}
