//! Changes of the primary while clients use the keys of the set, and while the new primary's Region is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use meridian_model::shapes::{DisableKeyRequest, RotateKeyOnDemandRequest, UpdatePrimaryRegionRequest};
use meridian_model::{ErrorCode, KeyId, KeyState, MultiRegionKeyType, Region};
use meridian_state::RegionState;
use meridian_testkit::waiting::{assert_refused, retried};
use meridian_testkit::{Client, Cluster, Place, region};
use serde_json::Value;

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const SOUTH: &str = "ap-southeast-1";

async fn change_primary(client: &Client, key_id: KeyId, to: &Region) -> Result<(), meridian_model::ServiceError> {
    let request = UpdatePrimaryRegionRequest { key_id: key_id.to_string(), primary_region: to.to_string() };
    client.call(request).await.map(drop)
}

/// Whether the key is enabled, and its set has this primary.
fn has_primary(state: &RegionState, key_id: KeyId, primary: &Region) -> bool {
    let key = state.key(key_id);
    key.is_some_and(|key| {
        key.state == KeyState::Enabled && key.multi_region.as_ref().is_some_and(|set| &set.primary == primary)
    })
}

/// A set of three, its primary in the east.
async fn set_of_three(cluster: &Cluster) -> KeyId {
    let client = cluster.client(&region(EAST));
    let key_id = client.create_multi_region_key().await.expect("created");
    for replica in [WEST, SOUTH] {
        client.replicate(key_id, replica).await.expect("replicated");
    }
    let is_made = |state: &RegionState| has_primary(state, key_id, &region(EAST));
    cluster.await_state(Place::Everywhere, "every key of the set is made", is_made).await;
    cluster.await_quiet().await;
    key_id
}

/// Encrypts and decrypts until told to stop; gives how often.
async fn use_all_the_time(clients: Vec<Client>, key_id: KeyId, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (encrypts, decrypts) = (&clients[turn % clients.len()], &clients[(turn + 1) % clients.len()]);
        let ciphertext = encrypts.encrypt(key_id, b"all the time").await.expect("encryption never stops");
        assert_eq!(decrypts.decrypt(&ciphertext).await.expect("decryption never stops"), b"all the time");
        done.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_goes_round_while_every_region_is_used() {
    let cluster = Cluster::builder().regions(&[EAST, WEST, SOUTH]).nodes(1).start().await;
    let key_id = set_of_three(&cluster).await;
    let places = [region(EAST), region(WEST), region(SOUTH)];
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = places.iter().map(|place| cluster.client(place)).collect();
    let user = tokio::spawn(use_all_the_time(clients, key_id, Arc::clone(&stop), Arc::clone(&done)));
    for round in 0..6 {
        let (from, to) = (&places[round % 3], &places[(round + 1) % 3]);
        change_primary(&cluster.client(from), key_id, to).await.expect("changed");
        let is_changed = |state: &RegionState| has_primary(state, key_id, to);
        cluster.await_state(Place::Everywhere, "every Region knows the new primary", is_changed).await;
        assert_refused(change_primary(&cluster.client(from), key_id, to).await, ErrorCode::UnsupportedOperation);
        let described = cluster.client(to).describe(key_id).await.expect("described");
        let set = described.multi_region_configuration.expect("a set");
        assert_eq!((set.multi_region_key_type, set.replica_keys.len()), (MultiRegionKeyType::Primary, 2));
        cluster.client(to).call(RotateKeyOnDemandRequest { key_id: key_id.to_string() }).await.expect("begun");
        let is_rotated = |state: &RegionState| {
            state.rotation(key_id).is_some_and(|rotation| rotation.pending.is_none())
                && state.versions_of(key_id).count() == round + 1
        };
        cluster.await_state(Place::Everywhere, "the new primary rotates", is_rotated).await;
    }
    stop.store(true, Ordering::Relaxed);
    user.await.expect("nothing was refused");
    println!("{} uses during six changes of the primary", done.load(Ordering::Relaxed));
    assert!(done.load(Ordering::Relaxed) > 6);
    cluster.await_quiet().await;
    let records = |place: &str| {
        let records = cluster.audit_records(&region(place)).into_iter();
        records
            .filter(|record| record["eventName"] == "UpdatePrimaryRegion" && record["errorCode"].is_null())
            .collect::<Vec<_>>()
    };
    // A Region that gets the role writes that down a moment later, possibly after it has been asked to pass it on.
    let (in_east, in_west) = (records(EAST), records(WEST));
    let is_of_caller = |record: &&Value| record["userIdentity"].get("invokedBy").is_none();
    let of_caller = in_east.iter().find(is_of_caller).expect("the record of the caller");
    let is_of_target = |record: &&Value| record["requestID"] == of_caller["requestID"];
    let of_target = in_west.iter().find(is_of_target).expect("the record of the new primary");
    assert_ne!(of_caller["eventID"], of_target["eventID"]);
    assert_eq!(of_target["userIdentity"]["invokedBy"], "kms.amazonaws.com");
    assert_eq!(of_target["userIdentity"]["arn"], of_caller["userIdentity"]["arn"]);
    assert_eq!(of_caller["requestParameters"]["keyId"], key_id.to_string());
    assert_eq!(of_target["requestParameters"]["keyId"], format!("arn:aws:kms:{WEST}:000000000001:key/{key_id}"));
    assert_eq!(of_target["requestParameters"]["primaryRegion"], WEST);
    assert_eq!(of_target.get("resources"), None);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_committed_is_completed_when_the_other_region_is_back() {
    let mut cluster = Cluster::builder().regions(&[EAST, WEST, SOUTH]).nodes(1).start().await;
    let key_id = set_of_three(&cluster).await;
    let (east, west, south) = (region(EAST), region(WEST), region(SOUTH));
    let ciphertext = cluster.client(&east).encrypt(key_id, b"text").await.expect("encrypted");
    // Nothing is committed while the other Region cannot be asked.
    cluster.kill(&west).await;
    assert_refused(change_primary(&cluster.client(&east), key_id, &west).await, ErrorCode::KmsInternal);
    let name = cluster.running(&east)[0].clone();
    assert!(has_primary(&cluster.state(&name), key_id, &east));
    cluster.restart(&west).await;
    cluster.await_ready().await;
    // Committed, and the Region is gone before it hears of it.
    let late = std::time::Duration::from_millis(300);
    cluster.switchboard().delay(&east, &west, late, std::time::Duration::ZERO);
    let client = cluster.client(&east);
    retried(|| change_primary(&client, key_id, &west)).await.expect("committed");
    cluster.switchboard().partition(&east, &west);
    cluster.kill(&west).await;
    cluster.switchboard().heal();
    cluster.switchboard().clear_delays();
    let updating = |state: &RegionState| state.key(key_id).is_some_and(|key| key.state == KeyState::Updating);
    cluster.await_state(&east, "the former primary waits", updating).await;
    assert_eq!(client.decrypt(&ciphertext).await.expect("cryptography goes on"), b"text");
    client.encrypt(key_id, b"more").await.expect("cryptography goes on");
    assert_refused(client.call(DisableKeyRequest { key_id: key_id.to_string() }).await, ErrorCode::KmsInvalidState);
    change_primary(&client, key_id, &west).await.expect("repeating it succeeds");
    assert_refused(change_primary(&client, key_id, &south).await, ErrorCode::KmsInvalidState);
    cluster.restart(Place::Everywhere).await;
    let is_changed = |state: &RegionState| has_primary(state, key_id, &west);
    cluster.await_state(Place::Everywhere, "the change is complete", is_changed).await;
    cluster.await_quiet().await;
    for place in [&east, &west, &south] {
        assert_eq!(cluster.client(place).decrypt(&ciphertext).await.expect("decrypted"), b"text");
        cluster.assert_equal_rows(place).await;
    }
    cluster.shutdown().await;
}
