//! Multi-Region keys through everything that can happen to Regions and to the lines between them.

use std::time::Duration;

use meridian_model::shapes::{CancelKeyDeletionRequest, ReplicateKeyRequest, Tag};
use meridian_model::time::days;
use meridian_model::{ErrorCode, KeyId, KeyState, MultiRegionKeyType, Region};
use meridian_state::{RegionState, ReplicaStatus};
use meridian_testkit::waiting::{assert_refused, retried};
use meridian_testkit::{Cluster, PATIENCE, Place, region};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const SOUTH: &str = "ap-southeast-1";

fn is_in_state(state: &RegionState, key_id: KeyId, expected: KeyState) -> bool {
    state.key(key_id).is_some_and(|key| key.state == expected)
}

/// Whether the set of the key has exactly these members, all of them made.
fn has_members(state: &RegionState, key_id: KeyId, primary: &Region, replicas: &[&Region]) -> bool {
    let set = state.key(key_id).and_then(|key| key.multi_region.as_ref());
    set.is_some_and(|set| {
        let all_made = set.replicas.values().all(|status| *status == ReplicaStatus::Created);
        set.primary == *primary && all_made && set.replicas.keys().eq(replicas.iter().copied())
    })
}

fn reservation(state: &RegionState, key_id: KeyId, region: &Region) -> Option<ReplicaStatus> {
    state.key(key_id)?.multi_region.as_ref()?.replicas.get(region).copied()
}

/// Repeats `ReplicateKey` until the replica is there, as a client would after an error.
async fn replicate(cluster: &Cluster, key_id: KeyId, from: &Region, to: &Region) {
    let client = cluster.client(from);
    match retried(|| client.replicate(key_id, to)).await {
        Ok(answer) => assert_eq!(answer.replica_key_metadata.key_id, key_id.to_string()),
        Err(error) => assert_eq!(error.code, ErrorCode::AlreadyExists, "{error}"), // an earlier attempt did it
    }
}

/// Asserts that the replication of a key with one version of material into one Region has come to its end, once.
async fn assert_replicated_once(cluster: &Cluster, key_id: KeyId, primary: &Region, replica: &Region) {
    let usable = |state: &RegionState| is_in_state(state, key_id, KeyState::Enabled);
    cluster.await_state(replica, "the replica is enabled", usable).await;
    for place in [primary, replica] {
        let members = |state: &RegionState| has_members(state, key_id, primary, &[replica]);
        cluster.await_state(place, "the membership is known", members).await;
    }
    cluster.await_quiet().await;
    for name in cluster.running(replica) {
        let state = cluster.state(&name);
        let key = state.key(key_id).expect("there");
        let set = key.multi_region.as_ref().expect("a set");
        assert!(set.missing_materials.is_empty() && key.deletion.is_none(), "{name}: {key:?}");
        assert_eq!(state.materials_of(key_id).count(), 1, "{name}");
        assert_eq!(state.total_keys(), 1, "{name}");
    }
    let ciphertext = cluster.client(primary).encrypt(key_id, b"over there").await.expect("encrypted");
    assert_eq!(cluster.client(replica).decrypt(&ciphertext).await.expect("decrypted"), b"over there");
    assert_refused(cluster.client(primary).replicate(key_id, replica).await, ErrorCode::AlreadyExists);
    for place in [primary, replica] {
        cluster.assert_equal_rows(place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_decrypts_while_the_primarys_region_is_gone() {
    let mut cluster = Cluster::builder().regions(&[EAST, WEST, SOUTH]).nodes(1).start().await;
    let (east, west, south) = (region(EAST), region(WEST), region(SOUTH));
    let key_id = cluster.client(&east).create_multi_region_key().await.expect("created");
    let ciphertext = cluster.client(&east).encrypt(key_id, b"carried over").await.expect("encrypted");
    let request = ReplicateKeyRequest {
        key_id: key_id.to_string(),
        replica_region: west.to_string(),
        description: Some("its own".to_owned()),
        tags: vec![Tag { tag_key: "where".to_owned(), tag_value: "west".to_owned() }],
        ..ReplicateKeyRequest::default()
    };
    let answer = cluster.client(&east).call(request).await.expect("replicated");
    let replica = answer.replica_key_metadata;
    assert_eq!(replica.key_state, KeyState::Creating);
    assert_eq!(replica.arn, format!("arn:aws:kms:{WEST}:000000000001:key/{key_id}"));
    assert_eq!(answer.replica_tags.len(), 1);
    replicate(&cluster, key_id, &east, &south).await;
    for place in [&east, &west, &south] {
        let members = |state: &RegionState| {
            has_members(state, key_id, &east, &[&south, &west]) && is_in_state(state, key_id, KeyState::Enabled)
        };
        cluster.await_state(place, "every Region knows the whole set", members).await;
        let described = cluster.client(place).describe(key_id).await.expect("described");
        let set = described.multi_region_configuration.expect("a set");
        let role = if place == &east { MultiRegionKeyType::Primary } else { MultiRegionKeyType::Replica };
        assert_eq!((set.multi_region_key_type, set.primary_key.region.as_str()), (role, EAST));
        let replicas: Vec<&str> = set.replica_keys.iter().map(|key| key.region.as_str()).collect();
        assert_eq!(replicas, [SOUTH, WEST]);
        let description = if place == &west { "its own" } else { "" };
        assert_eq!(described.description, description, "descriptions are not shared");
    }
    cluster.kill(&east).await;
    for place in [&west, &south] {
        let client = cluster.client(place);
        assert_eq!(client.decrypt(&ciphertext).await.expect("decrypted"), b"carried over");
        let more = client.encrypt(key_id, b"made there").await.expect("encrypted");
        let other = if place == &west { &south } else { &west };
        assert_eq!(cluster.client(other).decrypt(&more).await.expect("any key of the set opens it"), b"made there");
        client.create_key("no Region waits for another").await.expect("created");
    }
    assert_refused(cluster.client(&west).replicate(key_id, &south).await, ErrorCode::UnsupportedOperation);
    cluster.shutdown().await;
}

/// When a leader is killed while `ReplicateKey` is under way.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The primary's Region has committed to the replica, the other one knows nothing.
    Reserved,
    /// The other Region holds the key; the primary's Region has not heard of it.
    Unconfirmed,
    /// The other Region can use the key; the primary's Region has not heard of it.
    UsableUnconfirmed,
}

/// Whose leader is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Source,
    Destination,
}

async fn replication_survives_a_killed_leader(victim: Victim, moment: Moment) {
    let mut cluster = Cluster::builder().regions(&[EAST, WEST]).start().await;
    let (east, west) = (region(EAST), region(WEST));
    let key_id = cluster.client(&east).create_multi_region_key().await.expect("created");
    // Slow enough to stop between any two steps; what is on its way back is lost with the cut.
    let late = Duration::from_millis(100);
    cluster.switchboard().delay(&east, &west, late, late);
    cluster.switchboard().delay(&west, &east, 4 * late, late);
    let client = cluster.client(&east);
    let attempt = tokio::spawn(async move { client.replicate(key_id, WEST).await.map(drop) });
    let reserved = |state: &RegionState| reservation(state, key_id, &region(WEST)).is_some();
    let source = cluster.await_leader(&east).await;
    cluster.await_state(&source, "the replica is reserved", reserved).await;
    let destination = cluster.await_leader(&west).await;
    match moment {
        Moment::Reserved => {}
        Moment::Unconfirmed => {
            let there = |state: &RegionState| state.key(key_id).is_some();
            cluster.await_state(&destination, "the replica is there", there).await;
        }
        Moment::UsableUnconfirmed => {
            let usable = |state: &RegionState| is_in_state(state, key_id, KeyState::Enabled);
            cluster.await_state(&destination, "the replica is usable", usable).await;
        }
    }
    cluster.switchboard().partition(&east, &west);
    assert_eq!(reservation(&cluster.state(&source), key_id, &west), Some(ReplicaStatus::Reserved));
    let killed = match victim {
        Victim::Source => source,
        Victim::Destination => destination,
    };
    cluster.kill(&killed).await;
    cluster.switchboard().heal();
    cluster.switchboard().clear_delays();
    // The replica comes whatever becomes of the request, and the caller may repeat it.
    match victim {
        Victim::Source => attempt.abort(),
        Victim::Destination => {
            let told = timeout(PATIENCE, attempt).await.expect("an answer in time").expect("no panic");
            println!("{victim:?} killed when {moment:?}: the caller was told {told:?}");
        }
    }
    replicate(&cluster, key_id, &east, &west).await;
    cluster.restart(Place::Everywhere).await;
    cluster.await_ready().await;
    assert_replicated_once(&cluster, key_id, &east, &west).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replication_survives_the_source_leader_killed_after_the_reservation() {
    replication_survives_a_killed_leader(Victim::Source, Moment::Reserved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replication_survives_the_source_leader_killed_before_the_confirmation() {
    replication_survives_a_killed_leader(Victim::Source, Moment::UsableUnconfirmed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replication_survives_the_destination_leader_killed_before_it_hears_of_it() {
    replication_survives_a_killed_leader(Victim::Destination, Moment::Reserved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replication_survives_the_destination_leader_killed_while_it_makes_the_key() {
    replication_survives_a_killed_leader(Victim::Destination, Moment::Unconfirmed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replication_waits_out_a_partition_and_can_be_repeated_meanwhile() {
    let cluster = Cluster::builder().regions(&[EAST, WEST]).nodes(1).start().await;
    let (east, west) = (region(EAST), region(WEST));
    let key_id = cluster.client(&east).create_multi_region_key().await.expect("created");
    // Nothing is reserved while the other Region cannot even be asked.
    cluster.switchboard().partition(&east, &west);
    assert_refused(cluster.client(&east).replicate(key_id, WEST).await, ErrorCode::KmsInternal);
    assert_eq!(reservation(&cluster.state(&cluster.running(&east)[0]), key_id, &west), None);
    cluster.switchboard().heal();
    // The line breaks right after the other Region has agreed.
    let late = Duration::from_millis(100);
    cluster.switchboard().delay(&east, &west, late, Duration::ZERO);
    let (first, second) = (cluster.client(&east), cluster.client(&east));
    let first = tokio::spawn(async move { retried(|| first.replicate(key_id, WEST)).await.map(drop) });
    let reserved = |state: &RegionState| reservation(state, key_id, &region(WEST)).is_some();
    cluster.await_state(&east, "the replica is reserved", reserved).await;
    cluster.switchboard().partition(&east, &west);
    let second = tokio::spawn(async move { retried(|| second.replicate(key_id, WEST)).await.map(drop) });
    let client = cluster.client(&east);
    let ciphertext = client.encrypt(key_id, b"meanwhile").await.expect("the primary serves all the time");
    assert!(cluster.state(&cluster.running(&west)[0]).key(key_id).is_none(), "nothing has arrived");
    cluster.switchboard().heal();
    for told in [first, second] {
        match timeout(PATIENCE, told).await.expect("in time").expect("no panic") {
            Ok(()) => {}
            Err(error) => assert_eq!(error.code, ErrorCode::AlreadyExists, "{error}"),
        }
    }
    assert_replicated_once(&cluster, key_id, &east, &west).await;
    assert_eq!(cluster.client(&west).decrypt(&ciphertext).await.expect("decrypted"), b"meanwhile");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_outlives_its_replicas_and_can_have_new_ones() {
    let cluster = Cluster::builder().regions(&[EAST, WEST]).nodes(1).start().await;
    let (east, west) = (region(EAST), region(WEST));
    let (primary, replica) = (cluster.client(&east), cluster.client(&west));
    let key_id = primary.create_multi_region_key().await.expect("created");
    let ciphertext = primary.encrypt(key_id, b"for ever").await.expect("encrypted");
    replicate(&cluster, key_id, &east, &west).await;
    assert_replicated_once(&cluster, key_id, &east, &west).await;
    // A deletion of the primary waits for the replica, and can be taken back meanwhile.
    let scheduled = primary.schedule_deletion(key_id, 7).await.expect("scheduled");
    assert_eq!((scheduled.key_state, scheduled.deletion_date), (KeyState::PendingReplicaDeletion, None));
    assert_refused(primary.encrypt(key_id, b"no").await, ErrorCode::KmsInvalidState);
    primary.call(CancelKeyDeletionRequest { key_id: key_id.to_string() }).await.expect("cancelled");
    assert_eq!(primary.describe(key_id).await.expect("described").key_state, KeyState::Disabled);
    assert_eq!(replica.decrypt(&ciphertext).await.expect("replicas have states of their own"), b"for ever");
    // Deleted in earnest: the replica after its window, then the primary after its own.
    primary.schedule_deletion(key_id, 8).await.expect("scheduled");
    replica.schedule_deletion(key_id, 7).await.expect("scheduled");
    cluster.clock().advance(days(7));
    cluster.await_state(&west, "the replica is gone", |state| state.key(key_id).is_none()).await;
    let waits = |state: &RegionState| is_in_state(state, key_id, KeyState::PendingDeletion);
    cluster.await_state(&east, "the primary's own window has begun", waits).await;
    let described = primary.describe(key_id).await.expect("described");
    let window = described.deletion_date.expect("a date").since(described.creation_date);
    assert_eq!(window, days(7 + 8), "the window starts when the last replica is gone");
    assert_refused(replica.decrypt(&ciphertext).await, ErrorCode::AccessDenied);
    // Taken back at the last moment, it takes a new replica under the same key ID.
    primary.call(CancelKeyDeletionRequest { key_id: key_id.to_string() }).await.expect("cancelled");
    let enable = meridian_model::shapes::EnableKeyRequest { key_id: key_id.to_string() };
    primary.call(enable).await.expect("enabled");
    replicate(&cluster, key_id, &east, &west).await;
    assert_replicated_once(&cluster, key_id, &east, &west).await;
    assert_eq!(replica.decrypt(&ciphertext).await.expect("the new replica opens old ciphertexts"), b"for ever");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_are_replicated_at_once() {
    const KEYS: usize = 50;
    let cluster = Cluster::builder().regions(&[EAST, WEST]).nodes(1).start().await;
    let (east, west) = (region(EAST), region(WEST));
    let client = cluster.client(&east);
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        keys.push(client.create_multi_region_key().await.expect("created"));
    }
    let began = Instant::now();
    let mut attempts = JoinSet::new();
    for key_id in keys.clone() {
        let client = client.clone();
        attempts.spawn(async move { client.replicate(key_id, WEST).await.expect("replicated") });
    }
    attempts.join_all().await;
    let all_usable = |state: &RegionState| keys.iter().all(|key_id| is_in_state(state, *key_id, KeyState::Enabled));
    cluster.await_state(&west, "all replicas are enabled", all_usable).await;
    println!("{KEYS} keys replicated in {:?}", began.elapsed());
    cluster.await_quiet().await;
    for place in [&east, &west] {
        let complete = |state: &RegionState| keys.iter().all(|key_id| has_members(state, *key_id, &east, &[&west]));
        cluster.await_state(place, "every set is complete", complete).await;
    }
    for key_id in &keys {
        let ciphertext = cluster.client(&west).encrypt(key_id, b"back").await.expect("encrypted");
        assert_eq!(client.decrypt(&ciphertext).await.expect("decrypted"), b"back");
    }
    cluster.shutdown().await;
}
