//! Regions for the tests of links: the real state machine, committed in memory, behind real sockets with mutual TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use meridian_consensus::tls::{ClusterCa, PeerTls};
use meridian_consensus::{Cut, FaultGate, Leadership, NodeId, NodeName, PeerListener, PeerServer};
use meridian_crypto::{
    DomainKey, KeyMaterial, MaterialBinding, SealedMaterial, SealedSecret, SecretBytes, SecretPlace, random,
};
use meridian_model::{
    AccountId, Clock, KeyId, KeySpec, KeyState, KeyUsageType, OriginType, Partition, Region, Timestamp,
};
use meridian_replication::{
    AskHandler, Authority, CannotAnswer, KeeperError, LinkMetrics, LinkTiming, LocalRegion, MaterialKeeper, NotCurrent,
    PeerAddress, ProposeError, RegionIdentity, Replicator, ReplicatorConfig,
};
use meridian_state::command::{CreateKey, NewMaterial, ReserveReplica};
use meridian_state::identities::SessionKeyRecord;
use meridian_state::identities::messages::SecretReference;
use meridian_state::{Command, Op, Outcome, RegionState, apply};
use tokio::sync::watch;
use tonic::service::Routes;

/// No state is waited for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn region(name: &str) -> Region {
    name.parse().expect("a valid Region")
}

pub(crate) fn account() -> AccountId {
    "000000000000".parse().expect("12 digits")
}

#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        Timestamp::from_millis(u64::try_from(since.as_millis()).expect("before the year 500 million"))
    }
}

/// What all nodes of a Region have agreed on.
pub(crate) struct RegionLog {
    state: Mutex<Arc<RegionState>>,
    applied: watch::Sender<u64>,
    /// While true, proposals wait.
    pub(crate) held: watch::Sender<bool>,
    /// How long a commit takes.
    pub(crate) commit_takes: Mutex<Duration>,
    /// Proposals are committed in the order in which they were made.
    order: tokio::sync::Mutex<()>,
}

impl RegionLog {
    fn new(region: &Region) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(Arc::new(RegionState::new(region.clone(), Partition::Aws))),
            applied: watch::Sender::new(0),
            held: watch::Sender::new(false),
            commit_takes: Mutex::new(Duration::ZERO),
            order: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn state(&self) -> Arc<RegionState> {
        Arc::clone(&self.state.lock().expect("not poisoned"))
    }

    pub(crate) fn commit(&self, op: Op) -> Outcome {
        self.apply(&Command { at: SystemClock.now(), op })
    }

    fn apply(&self, command: &Command) -> Outcome {
        let command = Command::decode(&command.encode()).expect("own bytes");
        let mut state = self.state.lock().expect("not poisoned");
        let mut next = RegionState::clone(&state);
        let applied = apply(&mut next, &command);
        *state = Arc::new(next);
        drop(state);
        self.applied.send_modify(|index| *index += 1);
        applied.outcome
    }

    /// Replaces the state, as a restored backup does.
    pub(crate) fn restore(&self, state: Arc<RegionState>) {
        *self.state.lock().expect("not poisoned") = state;
        self.applied.send_modify(|index| *index += 1);
    }

    /// Waits until the state is as `wanted`.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&RegionState) -> bool) -> Arc<RegionState> {
        let mut applied = self.applied.subscribe();
        let waiting = applied.wait_for(|_| wanted(&self.state()));
        let Ok(met) = tokio::time::timeout(PATIENCE, waiting).await else { panic!("never came: {what}") };
        met.expect("the log lives");
        self.state()
    }
}

/// One node's view of its Region.
pub(crate) struct NodeView {
    log: Arc<RegionLog>,
    pub(crate) leadership: watch::Sender<Leadership>,
}

#[async_trait]
impl LocalRegion for NodeView {
    fn state(&self) -> Arc<RegionState> {
        self.log.state()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.log.applied.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        let _turn = self.log.order.lock().await;
        let takes = *self.log.commit_takes.lock().expect("not poisoned");
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let mut held = self.log.held.subscribe();
        held.wait_for(|held| !held).await.expect("the log lives");
        let now = *self.leadership.borrow();
        if !now.am_leader {
            return Err(ProposeError::NotLeader { leader: now.leader });
        }
        Ok(self.log.apply(&command))
    }

    async fn read_barrier(&self, _: Duration) -> Result<(), NotCurrent> {
        Ok(())
    }
}

/// A Region's one domain key.
pub(crate) struct Keeper {
    domain_key: DomainKey,
    pub(crate) sealed: watch::Sender<bool>,
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self { domain_key: DomainKey::generate().expect("random"), sealed: watch::Sender::new(false) }
    }

    /// A new multi-Region primary key and its material.
    pub(crate) fn new_key(&self) -> (CreateKey, SecretBytes) {
        let key_id = random::multi_region_key_id().expect("random");
        let material_id = random::key_material_id().expect("random");
        let material = KeyMaterial::generate_symmetric(Partition::Aws).expect("random");
        let binding = MaterialBinding { account: account(), key_id, material_id };
        let sealed = self.domain_key.seal(&material, &binding).expect("random");
        let create = CreateKey {
            key_id,
            account: account(),
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsageType::EncryptDecrypt,
            origin: OriginType::AwsKms,
            description: String::new(),
            policy: None,
            tags: BTreeMap::new(),
            material: Some(NewMaterial { id: material_id, sealed }),
        };
        (create, material.encode())
    }

    /// Seals the secret of an identity.
    pub(crate) fn seal_for(&self, place: &SecretPlace, secret: &SecretBytes) -> SealedSecret {
        self.domain_key.seal_secret(secret, place).expect("random")
    }

    /// The secret of an access key that `state` holds.
    pub(crate) fn access_key(&self, state: &RegionState, id: &str) -> SecretBytes {
        let row = state.identities().access_key(id).expect("an access key");
        self.domain_key.open_secret(&row.sealed, &row.place()).expect("sealed here")
    }

    /// The key in `row`.
    pub(crate) fn session_key(&self, row: &SessionKeyRecord) -> SecretBytes {
        self.domain_key.open_secret(&row.sealed, &SecretPlace::SessionKey(row.id)).expect("sealed here")
    }

    fn check(&self) -> Result<(), KeeperError> {
        if *self.sealed.borrow() { Err(KeeperError::Sealed) } else { Ok(()) }
    }

    pub(crate) fn material(&self, state: &RegionState, key_id: KeyId) -> Vec<SecretBytes> {
        let binding = |material_id| MaterialBinding { account: account(), key_id, material_id };
        state
            .materials_of(key_id)
            .map(|row| self.domain_key.open(&row.sealed, &binding(row.material_id)).expect("sealed here").encode())
            .collect()
    }
}

impl MaterialKeeper for Keeper {
    fn open(&self, state: &RegionState, binding: &MaterialBinding) -> Result<SecretBytes, KeeperError> {
        self.check()?;
        let row = state.material(binding.key_id, binding.material_id).ok_or(KeeperError::Missing)?;
        let material = self.domain_key.open(&row.sealed, binding);
        material.map(|material| material.encode()).map_err(|error| KeeperError::Refused(error.into()))
    }

    fn seal(
        &self,
        _: &RegionState,
        binding: &MaterialBinding,
        material: &SecretBytes,
    ) -> Result<SealedMaterial, KeeperError> {
        self.check()?;
        let material = KeyMaterial::decode(material).map_err(|error| KeeperError::Refused(error.into()))?;
        self.domain_key.seal(&material, binding).map_err(|error| KeeperError::Refused(error.into()))
    }

    fn open_secret(&self, state: &RegionState, reference: &SecretReference) -> Result<SecretBytes, KeeperError> {
        self.check()?;
        let sealed = reference.sealed_in(state).ok_or(KeeperError::Missing)?;
        let opened = self.domain_key.open_secret(sealed, &reference.place());
        opened.map_err(|error| KeeperError::Refused(error.into()))
    }

    fn seal_secret(
        &self,
        _: &RegionState,
        reference: &SecretReference,
        secret: &SecretBytes,
    ) -> Result<SealedSecret, KeeperError> {
        self.check()?;
        let sealed = self.domain_key.seal_secret(secret, &reference.place());
        sealed.map_err(|error| KeeperError::Refused(error.into()))
    }
}

/// Commits the primary to a replica of `key_id` in `to`.
pub(crate) fn reserve(key_id: KeyId, to: &str) -> Op {
    Op::ReserveReplica(ReserveReplica {
        key_id,
        region: region(to),
        created_at: SystemClock.now(),
        description: "a replica".to_owned(),
        policy: None,
        tags: BTreeMap::new(),
    })
}

/// Answers with the Region's name and the question.
struct Echo(Region);

#[async_trait]
impl AskHandler for Echo {
    async fn answer(&self, from: &Region, question: Bytes) -> Result<Bytes, CannotAnswer> {
        if &question[..] == b"not now" {
            return Err(CannotAnswer);
        }
        Ok(format!("{} to {from}: {}", self.0, String::from_utf8_lossy(&question)).into())
    }
}

/// Cuts and delays by pair of Regions.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) cut: Mutex<Vec<(Region, Region)>>,
    pub(crate) one_way: Mutex<Duration>,
}

impl Gate {
    pub(crate) fn cut_both_ways(&self, a: &str, b: &str) {
        let (a, b) = (region(a), region(b));
        self.cut.lock().expect("not poisoned").extend([(a.clone(), b.clone()), (b, a)]);
    }

    pub(crate) fn heal(&self) {
        self.cut.lock().expect("not poisoned").clear();
    }
}

#[async_trait]
impl FaultGate for Gate {
    async fn pass(&self, from: &NodeName, to: &NodeName) -> Result<(), Cut> {
        let one_way = *self.one_way.lock().expect("not poisoned");
        if !one_way.is_zero() {
            tokio::time::sleep(one_way).await;
        }
        let is_cut = |ends: &(Region, Region)| ends.0 == from.region && ends.1 == to.region;
        if self.cut.lock().expect("not poisoned").iter().any(is_cut) { Err(Cut) } else { Ok(()) }
    }
}

pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) address: SocketAddr,
    pub(crate) view: Arc<NodeView>,
    pub(crate) replicator: Replicator,
    server: PeerServer,
}

pub(crate) struct RegionOfNodes {
    pub(crate) log: Arc<RegionLog>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) nodes: Vec<Node>,
}

impl RegionOfNodes {
    /// Makes node number `number` the leader of `term`.
    pub(crate) fn lead(&self, number: u64, term: u64) {
        for node in &self.nodes {
            let leadership =
                Leadership { leader: Some(NodeId(number)), am_leader: node.name.node == NodeId(number), term };
            node.view.leadership.send_replace(leadership);
        }
    }

    pub(crate) fn replicator(&self) -> &Replicator {
        let leader = self.nodes.iter().find(|node| node.view.leadership.borrow().am_leader);
        &leader.expect("somebody leads").replicator
    }

    /// Makes a multi-Region primary key here and tells its material.
    pub(crate) fn create_key(&self) -> (KeyId, SecretBytes) {
        let (create, material) = self.keeper.new_key();
        let key_id = create.key_id;
        self.log.commit(Op::CreateKey(create)).expect("created");
        (key_id, material)
    }

    /// Commits this Region to a replica of `key_id` in `to`.
    pub(crate) fn reserve(&self, key_id: KeyId, to: &str) {
        self.log.commit(reserve(key_id, to)).expect("reserved");
    }

    /// Waits until the replica of `key_id` can be used here.
    pub(crate) async fn until_enabled(&self, key_id: KeyId) -> Arc<RegionState> {
        let is_enabled = |state: &RegionState| state.key(key_id).is_some_and(|key| key.state == KeyState::Enabled);
        self.log.until("an enabled key", is_enabled).await
    }

    /// Waits until nothing waits for `peer` here.
    pub(crate) async fn until_delivered(&self, peer: &str) {
        let peer = region(peer);
        self.log.until("an empty outbox", |state| state.outbox_for(&peer).next().is_none()).await;
    }
}

/// A whole cluster; the first node of each Region leads.
pub(crate) struct Cluster {
    pub(crate) ca: ClusterCa,
    pub(crate) gate: Arc<Gate>,
    pub(crate) regions: BTreeMap<Region, RegionOfNodes>,
}

pub(crate) struct Plan {
    pub(crate) regions: Vec<(&'static str, u64)>,
    pub(crate) timing: LinkTiming,
    /// Instead of their own addresses, nodes of `.1` are reached by those of `.0` here.
    pub(crate) detours: Vec<(Region, Region, PeerAddress)>,
    pub(crate) ca: ClusterCa,
}

impl Plan {
    pub(crate) fn of(regions: &[(&'static str, u64)]) -> Self {
        let timing = LinkTiming {
            heartbeat: Duration::from_millis(100),
            silence_max: Duration::from_secs(2),
            backoff_min: Duration::from_millis(5),
            backoff_max: Duration::from_millis(100),
            ..LinkTiming::default()
        };
        let ca = ClusterCa::generate().expect("random");
        Self { regions: regions.to_vec(), timing, detours: Vec::new(), ca }
    }

    pub(crate) async fn start(self) -> Cluster {
        let gate = Arc::new(Gate::default());
        let mut bound: BTreeMap<Region, Vec<(NodeName, PeerListener, PeerTls)>> = BTreeMap::new();
        let mut addresses: BTreeMap<Region, Vec<PeerAddress>> = BTreeMap::new();
        for (name, nodes) in &self.regions {
            for number in 1..=*nodes {
                let name = NodeName { region: region(name), node: NodeId(number) };
                let tls = node_tls(&self.ca, &name);
                let listener = PeerListener::bind(loopback(), tls.clone()).await.expect("a free port");
                let address = listener.local_addr().expect("bound").to_string();
                addresses.entry(name.region.clone()).or_default().push(PeerAddress { node: name.node, address });
                bound.entry(name.region.clone()).or_default().push((name, listener, tls));
            }
        }
        let mut regions = BTreeMap::new();
        for (region, nodes) in bound {
            let mut peers = addresses.clone();
            for (_, to, address) in self.detours.iter().filter(|(from, ..)| *from == region) {
                peers.insert(to.clone(), vec![address.clone()]);
            }
            let region_of_nodes = start_region(&self, &gate, &region, nodes, &peers);
            region_of_nodes.lead(1, 1);
            regions.insert(region, region_of_nodes);
        }
        Cluster { ca: self.ca, gate, regions }
    }
}

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("valid")
}

pub(crate) fn node_tls(ca: &ClusterCa, name: &NodeName) -> PeerTls {
    let certified = ca.issue_node(name, &[], &[]).expect("valid names");
    PeerTls::new(&ca.pem().cert_pem, &certified).expect("its own certificate")
}

fn start_region(
    plan: &Plan,
    gate: &Arc<Gate>,
    region: &Region,
    nodes: Vec<(NodeName, PeerListener, PeerTls)>,
    peers: &BTreeMap<Region, Vec<PeerAddress>>,
) -> RegionOfNodes {
    let (log, keeper, identity) = (RegionLog::new(region), Arc::new(Keeper::new()), plan.identity_of(region));
    let nodes = nodes
        .into_iter()
        .map(|(name, listener, tls)| {
            let view = Arc::new(NodeView { log: Arc::clone(&log), leadership: watch::Sender::default() });
            let replicator = plan.replicator(tls, &identity, peers, gate, Arc::clone(&view) as _, &keeper);
            let address = listener.local_addr().expect("bound");
            let server = listener.serve(Routes::new(replicator.link_service()));
            Node { name, address, view, replicator, server }
        })
        .collect();
    RegionOfNodes { log, keeper, nodes }
}

impl Plan {
    pub(crate) fn identity_of(&self, region: &Region) -> RegionIdentity {
        let identity = self.ca.issue_region(region).expect("valid");
        RegionIdentity::from_pem(&identity.cert_pem, &identity.key_pem).expect("a P-256 key")
    }

    /// The links of the node that `tls` certifies.
    pub(crate) fn replicator(
        &self,
        tls: PeerTls,
        identity: &RegionIdentity,
        peers: &BTreeMap<Region, Vec<PeerAddress>>,
        gate: &Arc<Gate>,
        local: Arc<dyn LocalRegion>,
        keeper: &Arc<Keeper>,
    ) -> Replicator {
        let handler = Arc::new(Echo(tls.name().region.clone()));
        let config = ReplicatorConfig {
            cluster_id: "test".to_owned(),
            peers: peers.clone(),
            tls,
            identity: identity.clone(),
            authority: Authority(self.ca.pem().cert_pem.clone()),
            gate: Arc::clone(gate) as _,
            clock: Arc::new(SystemClock),
            metrics: LinkMetrics::unregistered(),
            timing: self.timing,
            jitter_seed: 1,
        };
        Replicator::start(config, local, Arc::clone(keeper) as _, handler).expect("valid addresses")
    }
}

impl Cluster {
    pub(crate) fn region(&self, name: &str) -> &RegionOfNodes {
        &self.regions[&region(name)]
    }

    pub(crate) async fn shutdown(self) {
        for node in self.regions.into_values().flat_map(|region| region.nodes) {
            node.replicator.shutdown().await;
            node.server.shutdown().await;
        }
    }
}
