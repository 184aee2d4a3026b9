//! What was acknowledged stays: through killed leaders, restarts of everything and lost disks, on every node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use meridian_consensus::NodeName;
use meridian_model::shapes::{ListResourceTagsRequest, Tag, TagResourceRequest, UpdateKeyDescriptionRequest};
use meridian_model::{KeyId, ServiceError};
use meridian_state::RegionState;
use meridian_state::rows::Row;
use meridian_testkit::waiting::retried;
use meridian_testkit::{Client, Cluster, PATIENCE, Seed};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout};

/// What one writer knows about one of its keys. Nobody else writes to it.
#[derive(Debug, Default)]
struct Known {
    /// The description that was acknowledged last, and those of later writes whose outcome nobody knows.
    descriptions: BTreeSet<String>,
    /// Tags that were acknowledged.
    tags: BTreeMap<String, String>,
}

/// Writes until it is told to stop, and remembers what was acknowledged.
struct Writer {
    client: Client,
    number: u64,
    seed: Seed,
    acknowledged: Arc<watch::Sender<u64>>,
    keys: BTreeMap<KeyId, Known>,
    /// Outcomes that nobody knows.
    unknown: u64,
}

impl Writer {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Self {
        for write in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let written = match self.pick() {
                None => self.create(write).await,
                Some(key_id) if self.seed.below(2) == 0 => self.describe(key_id, write).await,
                Some(key_id) => self.tag(key_id, write).await,
            };
            match written {
                Ok(()) => self.acknowledged.send_modify(|count| *count += 1),
                Err(error) if error.is_retryable() => self.unknown += 1,
                Err(error) => panic!("a write was refused: {}: {error}", error.code),
            }
            tokio::task::yield_now().await;
        }
        self
    }

    /// A key to write to; `None` to make another one.
    fn pick(&mut self) -> Option<KeyId> {
        let keys: Vec<KeyId> = self.keys.keys().copied().collect();
        if keys.is_empty() || self.seed.below(4) == 0 { None } else { Some(*self.seed.pick(&keys)) }
    }

    async fn create(&mut self, write: u64) -> Result<(), ServiceError> {
        let description = format!("writer {} write {write}", self.number);
        let made = self.client.create_key(&description).await?;
        let known = Known { descriptions: BTreeSet::from([description]), ..Known::default() };
        self.keys.insert(made.key_id.parse().expect("a key ID"), known);
        Ok(())
    }

    async fn describe(&mut self, key_id: KeyId, write: u64) -> Result<(), ServiceError> {
        let description = format!("writer {} write {write}", self.number);
        let known = self.keys.get_mut(&key_id).expect("one of its own");
        known.descriptions.insert(description.clone());
        let request = UpdateKeyDescriptionRequest { key_id: key_id.to_string(), description: description.clone() };
        self.client.call(request).await?;
        known.descriptions = BTreeSet::from([description]);
        Ok(())
    }

    async fn tag(&mut self, key_id: KeyId, write: u64) -> Result<(), ServiceError> {
        let known = self.keys.get_mut(&key_id).expect("one of its own");
        let tag_key = format!("tag-{}", known.tags.len() % 40);
        let tag_value = write.to_string();
        let tags = vec![Tag { tag_key: tag_key.clone(), tag_value: tag_value.clone() }];
        known.tags.remove(&tag_key); // its value is not known before this write is acknowledged
        self.client.call(TagResourceRequest { key_id: key_id.to_string(), tags }).await?;
        known.tags.insert(tag_key, tag_value);
        Ok(())
    }

    fn assert_kept_by(&self, state: &RegionState, name: &NodeName) {
        for (key_id, known) in &self.keys {
            let key = state.key(*key_id).unwrap_or_else(|| panic!("{name} has lost {key_id}"));
            assert!(known.descriptions.contains(&key.description), "{name}: {key_id}: {:?} {known:?}", key.description);
            for (tag_key, tag_value) in &known.tags {
                let found = state.tags(*key_id).and_then(|tags| tags.get(tag_key));
                assert_eq!(found, Some(tag_value), "{name}: {key_id}: {tag_key}");
            }
        }
    }
}

/// Uses and reads a key on one node until it is told to stop; gives the number of times it had to repeat itself.
async fn keep_using(client: Client, key_id: String, stop: Arc<AtomicBool>) -> u64 {
    let (mut uses, refusals) = (0_u64, AtomicU64::new(0));
    while !stop.load(Ordering::Relaxed) {
        let text = uses.to_be_bytes();
        let round = || async {
            let ciphertext = client.encrypt(&key_id, &text).await?;
            assert_eq!(client.decrypt(&ciphertext).await?, text);
            client.describe(&key_id).await.map(drop)
        };
        let counted = || async { round().await.inspect_err(|_| count_in(&refusals)) };
        retried(counted).await.expect("a key that is there can be used on every node");
        uses += 1;
    }
    assert!(uses > 0, "the key was never used");
    refusals.into_inner()
}

fn count_in(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Waits until `count` more writes are acknowledged.
async fn await_writes(acknowledged: &watch::Sender<u64>, count: u64) {
    let target = *acknowledged.borrow() + count;
    let mut watch = acknowledged.subscribe();
    let reached = timeout(PATIENCE, watch.wait_for(|written| *written >= target)).await;
    reached.expect("writes go on").expect("the writers run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_killed_leaders() {
    let mut cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let key_id = cluster.client(&region).create_key("used all the time").await.expect("created").key_id;
    let (acknowledged, stop) = (Arc::new(watch::Sender::new(0)), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for number in 0..4 {
        let writer = Writer {
            client: cluster.client(&region),
            number,
            seed: cluster.seed().of(&format!("writer {number}")),
            acknowledged: Arc::clone(&acknowledged),
            keys: BTreeMap::new(),
            unknown: 0,
        };
        writers.spawn(writer.run(Arc::clone(&stop)));
    }
    for round in 1..=3 {
        await_writes(&acknowledged, 50).await;
        let leader = cluster.await_leader(&region).await;
        cluster.kill(&leader).await;
        let killed = Instant::now();
        let used = Arc::new(AtomicBool::new(false));
        let mut users = JoinSet::new();
        for survivor in cluster.running(&region) {
            users.spawn(keep_using(cluster.client_on(&survivor), key_id.clone(), Arc::clone(&used)));
        }
        let client = cluster.client(&region);
        let alone = retried(|| client.create_key("after the leader")).await;
        alone.expect("a key is made without the old leader");
        let gap = killed.elapsed();
        await_writes(&acknowledged, 50).await;
        used.store(true, Ordering::Relaxed);
        let refusals: u64 = users.join_all().await.into_iter().sum();
        println!("round {round}: {leader} killed; writes again after {gap:?}; {refusals} uses had to be repeated");
        assert!(gap < Duration::from_secs(10), "writes were accepted only after {gap:?}");
        cluster.restart(&leader).await;
        cluster.await_ready().await;
    }
    stop.store(true, Ordering::Relaxed);
    let writers = writers.join_all().await;
    cluster.await_current(&region).await;
    for name in cluster.running(&region) {
        let state = cluster.state(&name);
        for writer in &writers {
            writer.assert_kept_by(&state, &name);
        }
    }
    let unknown: u64 = writers.iter().map(|writer| writer.unknown).sum();
    println!("{} writes acknowledged, {unknown} of unknown outcome", *acknowledged.borrow());
    cluster.assert_equal_rows(&region).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_sees_what_any_node_has_acknowledged() {
    let cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let clients: Vec<Client> = cluster.running(&region).iter().map(|name| cluster.client_on(name)).collect();
    for number in 0..30 {
        let (writer, reader) = (&clients[number % 3], &clients[(number + 1 + number / 3 % 2) % 3]);
        let made = writer.create_key("first").await.expect("created");
        let ciphertext = reader.encrypt(&made.key_id, b"at once").await.expect("a new key can be used everywhere");
        assert_eq!(writer.decrypt(&ciphertext).await.expect("decrypted"), b"at once");
        assert_eq!(reader.describe(&made.key_id).await.expect("seen elsewhere").description, "first");
        let description = format!("second {number}");
        let update = UpdateKeyDescriptionRequest { key_id: made.key_id.clone(), description: description.clone() };
        writer.call(update).await.expect("updated");
        assert_eq!(writer.describe(&made.key_id).await.expect("its own write").description, description);
        assert_eq!(reader.describe(&made.key_id).await.expect("seen elsewhere").description, description);
    }
    cluster.shutdown().await;
}

/// The rows that only a request changes: all but the clock and the last uses, which nodes report from time to time.
fn lasting_rows(state: &RegionState) -> Vec<(Vec<u8>, Vec<u8>)> {
    let lasts = |(id, value): &(Vec<u8>, Vec<u8>)| {
        !matches!(Row::decode(id, value).expect("own rows"), Row::Meta(_) | Row::Usage(_) | Row::UsageTracking(_))
    };
    state.rows().filter(lasts).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_survives_a_restart_of_all_nodes() {
    let mut cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let key = client.create_key("kept").await.expect("created");
    let ciphertext = client.encrypt(&key.key_id, b"kept as well").await.expect("encrypted");
    for number in 0..20 {
        client.create_key(&format!("key {number}")).await.expect("created");
    }
    cluster.assert_equal_rows(&region).await;
    let before = lasting_rows(&cluster.state(&cluster.running(&region)[0]));
    for is_crash in [true, false] {
        if is_crash {
            cluster.kill(&region).await;
        } else {
            cluster.stop(&region).await;
        }
        assert!(cluster.running(&region).is_empty());
        cluster.restart(&region).await;
        cluster.await_ready().await;
        cluster.assert_equal_rows(&region).await;
        for name in cluster.running(&region) {
            assert_eq!(lasting_rows(&cluster.state(&name)), before, "{name}");
            assert_eq!(cluster.client_on(&name).decrypt(&ciphertext).await.expect("decrypted"), b"kept as well");
        }
    }
    client.create_key("after the restarts").await.expect("the Region takes writes again");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_disk_comes_back_with_equal_rows() {
    let mut cluster = Cluster::builder().snapshot_after(100).start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let key = client.create_key("kept").await.expect("created");
    let ciphertext = client.encrypt(&key.key_id, b"kept as well").await.expect("encrypted");
    let lost = cluster.await_leader(&region).await;
    cluster.kill(&lost).await;
    cluster.wipe(&lost);
    let mut writers = JoinSet::new();
    for writer in 0..10 {
        let (client, key_id) = (client.clone(), key.key_id.clone());
        writers.spawn(async move {
            for write in 0..60 {
                let tags = vec![Tag { tag_key: format!("writer-{writer}"), tag_value: write.to_string() }];
                let request = TagResourceRequest { key_id: key_id.clone(), tags };
                retried(|| client.call(request.clone())).await.expect("two of three nodes suffice");
            }
        });
    }
    writers.join_all().await;
    cluster.restart(&lost).await;
    cluster.await_ready().await;
    cluster.assert_equal_rows(&region).await;
    let snapshot = cluster.group(&lost).status().snapshot_index;
    assert!(snapshot > 100, "the node was brought up by a snapshot, not by the whole log: {snapshot}");
    let returned = cluster.client_on(&lost);
    assert_eq!(returned.decrypt(&ciphertext).await.expect("decrypted"), b"kept as well");
    let tags =
        returned.call(ListResourceTagsRequest { key_id: key.key_id, ..Default::default() }).await.expect("listed");
    assert!(tags.tags.len() == 10 && tags.tags.iter().all(|tag| tag.tag_value == "59"), "{tags:?}");
    // It counts as a member again: together with one other node it makes a majority.
    let other = cluster.running(&region).into_iter().find(|name| *name != lost).expect("three nodes");
    cluster.kill(&other).await;
    retried(|| client.create_key("with the returned node")).await.expect("the returned node votes");
    cluster.shutdown().await;
}
