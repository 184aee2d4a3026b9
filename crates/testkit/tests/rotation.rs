//! Rotation as time passes: years of it, in Regions that agree and in Regions that cannot be reached.

use meridian_model::shapes::{
    DescribeKeyRequest, DisableKeyRequest, EnableKeyRequest, EnableKeyRotationRequest, GetKeyRotationStatusRequest,
    GetKeyRotationStatusResponse, ListKeyRotationsRequest, RotateKeyOnDemandRequest, RotationsListEntry,
};
use meridian_model::time::days;
use meridian_model::{Blob, ErrorCode, IncludeKeyMaterial, KeyId, KeyMaterialState, KeyState, Region, RotationType};
use meridian_state::RegionState;
use meridian_testkit::waiting::assert_refused;
use meridian_testkit::{Client, Cluster, Place, region};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const SOUTH: &str = "ap-southeast-1";

async fn enable(client: &Client, key_id: KeyId, period: Option<u32>) {
    let request = EnableKeyRotationRequest { key_id: key_id.to_string(), rotation_period_in_days: period };
    client.call(request).await.expect("switched on");
}

async fn status(client: &Client, key_id: KeyId) -> GetKeyRotationStatusResponse {
    client.call(GetKeyRotationStatusRequest { key_id: key_id.to_string() }).await.expect("a status")
}

async fn rotations(client: &Client, key_id: KeyId) -> Vec<RotationsListEntry> {
    let request = ListKeyRotationsRequest {
        key_id: key_id.to_string(),
        include_key_material: Some(IncludeKeyMaterial::AllKeyMaterial),
        ..ListKeyRotationsRequest::default()
    };
    client.call(request).await.expect("listed").rotations
}

async fn current(client: &Client, key_id: KeyId) -> String {
    let request = DescribeKeyRequest { key_id: key_id.to_string(), ..DescribeKeyRequest::default() };
    client.call(request).await.expect("described").key_metadata.current_key_material_id.expect("has material")
}

/// How many versions of the material the Region holds.
fn versions(state: &RegionState, key_id: KeyId) -> usize {
    state.materials_of(key_id).count()
}

/// The `RotateKey` records of the key in the trails of the Region.
fn rotation_records(cluster: &Cluster, region: &Region, key_id: KeyId) -> Vec<serde_json::Value> {
    let records = cluster.audit_records(region).into_iter().filter(|record| record["eventName"] == "RotateKey");
    records.filter(|record| record["serviceEventDetails"]["keyId"] == key_id.to_string().as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_rotates_every_year_and_every_version_decrypts() {
    let mut cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let key_id: KeyId = client.create_key("to be rotated").await.expect("created").key_id.parse().expect("a key ID");
    enable(&client, key_id, None).await;
    let mut made: Vec<(String, Blob)> = Vec::new();
    for year in 0..4 {
        let text = format!("year {year}");
        made.push((text.clone(), client.encrypt(key_id, text.as_bytes()).await.expect("encrypted")));
        cluster.clock().advance(days(365));
        let is_rotated = |state: &RegionState| versions(state, key_id) == year + 2;
        cluster.await_state(&region, "the key is rotated", is_rotated).await;
    }
    cluster.await_quiet().await;
    let listed = rotations(&client, key_id).await;
    assert_eq!(listed.len(), 5);
    for pair in listed[1..].windows(2) {
        let [earlier, later] = [&pair[0], &pair[1]].map(|entry| entry.rotation_date.expect("a date"));
        assert!(later.since(earlier) >= days(365) && later.since(earlier) < days(366), "{earlier:?} {later:?}");
    }
    assert_eq!(listed[4].key_material_state, Some(KeyMaterialState::Current));
    assert_eq!(listed[4].rotation_type, Some(RotationType::Automatic));
    cluster.kill(Place::Everywhere).await; // so that nothing opened is left in memory
    cluster.restart(Place::Everywhere).await;
    cluster.await_ready().await;
    for name in cluster.running(&region) {
        for (text, ciphertext) in &made {
            let opened = cluster.client_on(&name).decrypt(ciphertext).await.expect("decrypted");
            assert_eq!(opened, text.as_bytes(), "{name}");
        }
    }
    let records = rotation_records(&cluster, &region, key_id);
    assert_eq!(records.len(), 4, "one record per rotation, as nothing failed");
    assert_eq!(records[0]["eventType"], "AwsServiceEvent");
    assert_eq!(records[0]["userIdentity"]["invokedBy"], "AWS Internal");
    assert_eq!(records[0]["serviceEventDetails"]["rotationType"], "AUTOMATIC");
    assert_eq!(records[0]["responseElements"]["keyId"], format!("arn:aws:kms:{region}:000000000001:key/{key_id}"));
    assert_eq!(records[0].get("requestID"), None);
    cluster.assert_equal_rows(&region).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overdue_rotation_comes_when_the_key_is_enabled_again() {
    let cluster = Cluster::builder().nodes(1).start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let key_id: KeyId = client.create_key("to be rotated").await.expect("created").key_id.parse().expect("a key ID");
    enable(&client, key_id, Some(90)).await;
    let ciphertext = client.encrypt(key_id, b"old").await.expect("encrypted");
    client.call(DisableKeyRequest { key_id: key_id.to_string() }).await.expect("disabled");
    cluster.clock().advance(days(200));
    client.create_key("so that the leader has seen this moment").await.expect("created");
    assert_eq!(versions(&cluster.state(&cluster.running(&region)[0]), key_id), 1);
    client.call(EnableKeyRequest { key_id: key_id.to_string() }).await.expect("enabled");
    let is_rotated = |state: &RegionState| versions(state, key_id) == 2;
    cluster.await_state(&region, "the key is rotated", is_rotated).await;
    let next = status(&client, key_id).await.next_rotation_date.expect("a date");
    let rotated_at = rotations(&client, key_id).await[1].rotation_date.expect("a date");
    assert_eq!(next, rotated_at.plus(days(90)));
    assert_eq!(client.decrypt(&ciphertext).await.expect("decrypted"), b"old");
    let request = RotateKeyOnDemandRequest { key_id: key_id.to_string() };
    let before = current(&client, key_id).await;
    client.call(request.clone()).await.expect("rotated on demand");
    assert_ne!(current(&client, key_id).await, before);
    assert_eq!(status(&client, key_id).await.next_rotation_date, Some(next), "the schedule stands");
    cluster.clock().advance(days(89) + std::time::Duration::from_mins(23 * 60 + 41));
    assert_refused(client.call(request).await, ErrorCode::Conflict);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_that_are_due_at_once_are_all_rotated() {
    const KEYS: usize = 120;
    let cluster = Cluster::builder().nodes(1).start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        let key_id: KeyId = client.create_key("").await.expect("created").key_id.parse().expect("a key ID");
        enable(&client, key_id, Some(90)).await;
        keys.push(key_id);
    }
    let doomed: KeyId = client.create_key("doomed").await.expect("created").key_id.parse().expect("a key ID");
    client.schedule_deletion(doomed, 30).await.expect("scheduled");
    cluster.clock().advance(days(91));
    let all = |state: &RegionState| keys.iter().all(|key_id| versions(state, *key_id) == 2);
    cluster.await_state(&region, "every key is rotated", all).await;
    cluster.await_state(&region, "rotations hold up no deletion", |state| state.key(doomed).is_none()).await;
    cluster.shutdown().await;
}

/// A key with a replica in each of `replicas`, all of them made.
async fn replicated_key(cluster: &Cluster, primary: &Region, replicas: &[&Region]) -> KeyId {
    let client = cluster.client(primary);
    let key_id = client.create_multi_region_key().await.expect("created");
    for replica in replicas {
        client.replicate(key_id, replica).await.expect("replicated");
        let is_made = |state: &RegionState| state.key(key_id).is_some_and(|key| key.state == KeyState::Enabled);
        cluster.await_state(*replica, "the replica is made", is_made).await;
    }
    cluster.await_quiet().await;
    key_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_rotates_once_every_region_has_the_new_material() {
    let mut cluster = Cluster::builder().regions(&[EAST, WEST, SOUTH]).nodes(1).start().await;
    let (east, west, south) = (region(EAST), region(WEST), region(SOUTH));
    let key_id = replicated_key(&cluster, &east, &[&west, &south]).await;
    enable(&cluster.client(&east), key_id, None).await;
    cluster.await_quiet().await;
    for replica in [&west, &south] {
        let client = cluster.client(replica);
        assert_eq!(status(&client, key_id).await, status(&cluster.client(&east), key_id).await);
        let request = EnableKeyRotationRequest { key_id: key_id.to_string(), rotation_period_in_days: None };
        assert_refused(client.call(request).await, ErrorCode::UnsupportedOperation);
        let request = RotateKeyOnDemandRequest { key_id: key_id.to_string() };
        assert_refused(client.call(request).await, ErrorCode::UnsupportedOperation);
    }
    let before = current(&cluster.client(&east), key_id).await;
    cluster.kill(&south).await;
    cluster.clock().advance(days(365));
    // The reachable Regions have the new version, and nobody uses it.
    for place in [&east, &west] {
        cluster.await_state(place, "the new version is here", |state| versions(state, key_id) == 2).await;
    }
    let mut made = Vec::new();
    for place in [&east, &west] {
        let client = cluster.client(place);
        assert_eq!(current(&client, key_id).await, before, "{place}");
        made.push(client.encrypt(key_id, b"meanwhile").await.expect("rotation holds nobody up"));
    }
    cluster.restart(&south).await;
    let is_rotated = |state: &RegionState| {
        let current = state.key(key_id).and_then(|key| key.current_material).map(|id| id.to_string());
        current.is_some_and(|current| current != before)
    };
    cluster.await_state(Place::Everywhere, "the new version encrypts", is_rotated).await;
    cluster.await_quiet().await;
    for place in [&east, &west, &south] {
        made.push(cluster.client(place).encrypt(key_id, b"meanwhile").await.expect("encrypted"));
    }
    for place in [&east, &west, &south] {
        let client = cluster.client(place);
        assert_eq!(rotations(&client, key_id).await, rotations(&cluster.client(&east), key_id).await, "{place}");
        for ciphertext in &made {
            assert_eq!(client.decrypt(ciphertext).await.expect("any key of the set opens it"), b"meanwhile");
        }
    }
    assert_eq!(rotation_records(&cluster, &east, key_id).len(), 1);
    let synchronized = |place: &Region| {
        let records = cluster.audit_records(place).into_iter();
        records.filter(|record| record["eventName"] == "SynchronizeMultiRegionKey").collect::<Vec<_>>()
    };
    assert_eq!(synchronized(&west).len(), 0);
    for record in synchronized(&east) {
        assert_eq!(record["resources"].as_array().map(Vec::len), Some(1));
        assert_eq!(record["resources"][0]["ARN"], format!("arn:aws:kms:{EAST}:000000000001:key/{key_id}"));
        assert_eq!(record["eventType"], "AwsApiCall");
        assert!(record["requestID"].is_string() && record["requestParameters"].is_null());
    }
    assert!(synchronized(&east).len() >= 3, "switched on, staged, rotated");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_replica_opens_what_was_encrypted_before_it_was_made() {
    let cluster = Cluster::builder().regions(&[EAST, WEST]).nodes(1).start().await;
    let (east, west) = (region(EAST), region(WEST));
    let client = cluster.client(&east);
    let key_id = client.create_multi_region_key().await.expect("created");
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(client.encrypt(key_id, b"early").await.expect("encrypted"));
        client.call(RotateKeyOnDemandRequest { key_id: key_id.to_string() }).await.expect("rotated");
    }
    client.replicate(key_id, &west).await.expect("replicated");
    let is_made = |state: &RegionState| state.key(key_id).is_some_and(|key| key.state == KeyState::Enabled);
    cluster.await_state(&west, "the replica is made", is_made).await;
    cluster.await_quiet().await;
    let replica = cluster.client(&west);
    for ciphertext in &made {
        assert_eq!(replica.decrypt(ciphertext).await.expect("decrypted"), b"early");
    }
    assert_eq!(current(&replica, key_id).await, current(&client, key_id).await);
    assert_eq!(rotations(&replica, key_id).await, rotations(&client, key_id).await);
    cluster.shutdown().await;
}
