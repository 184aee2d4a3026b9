//! Links between Regions that are real Raft groups on disk: what was acknowledged arrives whichever leader dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meridian_consensus::tls::{ClusterCa, PeerTls};
use meridian_consensus::{Group, GroupConfig, NodeId, NodeName, PeerListener, PeerServer, Timing};
use meridian_crypto::SecretBytes;
use meridian_model::{Clock as _, KeyId, KeyState, Partition, Region};
use meridian_replication::{PeerAddress, Replicator};
use meridian_state::{Command, Op, Outcome};
use meridian_storage::NodeStorage;
use tempfile::TempDir;
use tonic::service::Routes;

use crate::regions::{Gate, Keeper, PATIENCE, Plan, SystemClock, loopback, node_tls, region};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const NODES: u64 = 3;

struct Node {
    group: Group,
    replicator: Replicator,
    server: PeerServer,
}

struct RealRegion {
    keeper: Arc<Keeper>,
    nodes: BTreeMap<NodeId, Node>,
}

struct RealCluster {
    _folder: TempDir,
    gate: Arc<Gate>,
    regions: BTreeMap<Region, RealRegion>,
}

type Bound = BTreeMap<Region, BTreeMap<NodeId, (PeerListener, PeerTls, String)>>;

async fn bind(ca: &ClusterCa) -> Bound {
    let mut bound = Bound::new();
    for region in [EAST, WEST].map(region) {
        for node in (1..=NODES).map(NodeId) {
            let tls = node_tls(ca, &NodeName { region: region.clone(), node });
            let listener = PeerListener::bind(loopback(), tls.clone()).await.expect("a free port");
            let address = listener.local_addr().expect("bound").to_string();
            bound.entry(region.clone()).or_default().insert(node, (listener, tls, address));
        }
    }
    bound
}

impl RealCluster {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (plan, gate) = (Plan::of(&[]), Arc::new(Gate::default()));
        let bound = bind(&plan.ca).await;
        let peers: BTreeMap<Region, Vec<PeerAddress>> = bound
            .iter()
            .map(|(region, nodes)| {
                let address = |(node, (_, _, address)): (&NodeId, &(_, _, String))| PeerAddress {
                    node: *node,
                    address: address.clone(),
                };
                (region.clone(), nodes.iter().map(address).collect())
            })
            .collect();
        let mut regions = BTreeMap::new();
        for (region, nodes) in bound {
            let keeper = Arc::new(Keeper::new());
            let identity = plan.identity_of(&region);
            let members: BTreeMap<NodeId, String> =
                nodes.iter().map(|(node, (_, _, address))| (*node, address.clone())).collect();
            let mut started = BTreeMap::new();
            for (node, (listener, tls, _)) in nodes {
                let data = folder.path().join(format!("{region}-{node}"));
                let own = region.clone();
                let storage = tokio::task::spawn_blocking(move || NodeStorage::open(&data, &own, Partition::Aws));
                let storage = storage.await.expect("no panic").expect("a new folder");
                let config = GroupConfig {
                    members: members.clone(),
                    timing: Timing::default(),
                    tls: tls.clone(),
                    faults: Arc::new(meridian_consensus::NoFaults),
                };
                let group = Group::start(config, storage).await.expect("started");
                let local = Arc::new(group.clone());
                let replicator = plan.replicator(tls, &identity, &peers, &gate, local, &keeper);
                let routes = Routes::new(group.service()).add_service(replicator.link_service());
                started.insert(node, Node { group, replicator, server: listener.serve(routes) });
            }
            regions.insert(region, RealRegion { keeper, nodes: started });
        }
        Self { _folder: folder, gate, regions }
    }

    async fn shutdown(self) {
        for node in self.regions.into_values().flat_map(|region| region.nodes.into_values()) {
            node.replicator.shutdown().await;
            node.group.shutdown().await;
            node.server.shutdown().await;
        }
    }
}

impl RealRegion {
    async fn leader(&self) -> NodeId {
        let mut watches: Vec<_> = self.nodes.iter().map(|(node, of)| (*node, of.group.leadership())).collect();
        let somebody = async {
            loop {
                if let Some((node, _)) = watches.iter().find(|(_, watch)| watch.borrow().am_leader) {
                    return *node;
                }
                let changes = watches.iter_mut().map(|(_, watch)| Box::pin(watch.changed()));
                futures::future::select_all(changes).await.0.expect("the group runs");
            }
        };
        tokio::time::timeout(PATIENCE, somebody).await.expect("a leader in time")
    }

    async fn propose(&self, op: Op) -> Outcome {
        let command = Command { at: SystemClock.now(), op };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = self.leader().await;
            match self.nodes[&leader].group.propose(&command).await {
                Ok(committed) => return committed.outcome,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
    }

    /// Makes a key and commits to its replica in `to`.
    async fn create_and_reserve(&self, to: &str) -> (KeyId, SecretBytes) {
        let (create, material) = self.keeper.new_key();
        let key_id = create.key_id;
        // Repeated after a change of leadership, it may find itself done.
        let _ = self.propose(Op::CreateKey(create)).await;
        let _ = self.propose(crate::regions::reserve(key_id, to)).await;
        (key_id, material)
    }

    /// Waits until every node of the Region can use `key_id`.
    async fn until_enabled(&self, key_id: KeyId, material: &SecretBytes) {
        for node in self.nodes.values() {
            until_enabled_on(node, key_id).await;
            assert_eq!(self.keeper.material(&node.group.state(), key_id)[0].expose(), material.expose());
        }
    }

    async fn kill_leader(&mut self) {
        let leader = self.leader().await;
        let node = self.nodes.remove(&leader).expect("it leads");
        node.group.halt().await;
        node.replicator.shutdown().await;
        node.server.shutdown().await;
    }
}

async fn until_enabled_on(node: &Node, key_id: KeyId) {
    let mut applied = node.group.applied();
    let is_enabled = || node.group.state().key(key_id).is_some_and(|key| key.state == KeyState::Enabled);
    let waiting = applied.wait_for(|_| is_enabled());
    tokio::time::timeout(PATIENCE, waiting).await.expect("enabled in time").expect("the group runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_arrive_whichever_leader_dies() {
    let mut cluster = RealCluster::start().await;
    let mut expected = Vec::new();
    for round in 0..3 {
        for _ in 0..10 {
            expected.push(cluster.regions[&region(EAST)].create_and_reserve(WEST).await);
        }
        let victim = [None, Some(WEST), Some(EAST)][round];
        if let Some(victim) = victim {
            cluster.regions.get_mut(&region(victim)).expect("there").kill_leader().await;
        }
    }
    for (key_id, material) in &expected {
        cluster.regions[&region(WEST)].until_enabled(*key_id, material).await;
    }
    let images: Vec<Vec<_>> = cluster.regions[&region(WEST)]
        .nodes
        .values()
        .map(|node| node.group.state().rows().filter(|(key, _)| key[0] == 2 || key[0] == 3).collect())
        .collect();
    assert!(images.windows(2).all(|pair| pair[0] == pair[1]), "keys and materials are equal on every node");
    cluster.shutdown().await;
}

/// Prints what links do on this machine; the numbers depend on it, so only the order of magnitude is asserted.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_usable_soon_after_it_was_asked_for() {
    let cluster = RealCluster::start().await;
    let (east, west) = (&cluster.regions[&region(EAST)], &cluster.regions[&region(WEST)]);
    let (first, material) = east.create_and_reserve(WEST).await;
    west.until_enabled(first, &material).await;
    for one_way in [0, 50].map(Duration::from_millis) {
        *cluster.gate.one_way.lock().expect("not poisoned") = one_way;
        let (mut at_leader, mut everywhere) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let (create, material) = east.keeper.new_key();
            let key_id = create.key_id;
            east.propose(Op::CreateKey(create)).await.expect("created");
            east.propose(crate::regions::reserve(key_id, WEST)).await.expect("reserved");
            let answered = Instant::now();
            until_enabled_on(&west.nodes[&west.leader().await], key_id).await;
            at_leader.push(answered.elapsed());
            west.until_enabled(key_id, &material).await;
            everywhere.push(answered.elapsed());
        }
        at_leader.sort_unstable();
        everywhere.sort_unstable();
        let (median, of_all) = (at_leader[10], everywhere[10]);
        println!("usable after the answer, {one_way:?} one way: leader p50 {median:?}, every node p50 {of_all:?}");
        assert!(median < one_way * 6 + Duration::from_secs(1), "{at_leader:?}");
    }
    *cluster.gate.one_way.lock().expect("not poisoned") = Duration::ZERO;
    let keys: Vec<_> = (0..200).map(|_| east.keeper.new_key()).collect();
    let start = Instant::now();
    let made = keys.iter().map(|(create, _)| async {
        east.propose(Op::CreateKey(create.clone())).await.expect("created");
        east.propose(crate::regions::reserve(create.key_id, WEST)).await.expect("reserved");
    });
    futures::future::join_all(made).await;
    for (create, _) in &keys {
        until_enabled_on(&west.nodes[&west.leader().await], create.key_id).await;
    }
    let sessions = east.nodes[&east.leader().await].replicator.status()[0].outgoing.sessions;
    println!("{:.0} replicas per second in {sessions} session", 200.0 / start.elapsed().as_secs_f64());
    cluster.shutdown().await;
}
