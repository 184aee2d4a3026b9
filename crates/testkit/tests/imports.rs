//! Imported material over time: it expires for every node, and so do the tokens it comes with. No test waits for it.

use std::time::Duration;

use meridian_model::time::days;
use meridian_model::{ErrorCode, ExpirationModelType, KeyId, KeyState, Region};
use meridian_state::RegionState;
use meridian_testkit::waiting::{assert_refused, retried};
use meridian_testkit::{Client, Cluster};

const MATERIAL: [u8; 32] = *b"material that somebody else made";
const MOMENT: Duration = Duration::from_millis(1);

fn is(state: KeyState, key_id: KeyId) -> impl Fn(&RegionState) -> bool {
    move |region| region.key(key_id).is_some_and(|key| key.state == state)
}

async fn imported(client: &Client, key_id: KeyId, valid_to: Option<meridian_model::Timestamp>) {
    let parameters = client.import_parameters(key_id).await.expect("a wrapping key");
    client.import(&parameters, &MATERIAL, valid_to).await.expect("imported");
}

/// How many `DeleteExpiredKeyMaterial` records of the key the trails of the Region hold.
fn expiry_records(cluster: &Cluster, region: &Region, key_id: KeyId) -> usize {
    let arn = format!("arn:aws:kms:{region}:000000000001:key/{key_id}");
    let is_expiry = |record: &&serde_json::Value| {
        record["eventName"] == "DeleteExpiredKeyMaterial"
            && record["eventType"] == "AwsServiceEvent"
            && record["responseElements"].is_null()
            && record["serviceEventDetails"]["keyId"] == key_id.to_string().as_str()
            && record["resources"][0]["ARN"] == arn.as_str()
    };
    cluster.audit_records(region).iter().filter(is_expiry).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn material_expires_at_its_moment_on_every_node() {
    let cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let key_id = client.create_external_key(false).await.expect("created");
    let kept = client.create_external_key(false).await.expect("created");
    imported(&client, kept, None).await;
    let made = client.describe(key_id).await.expect("described").creation_date;
    let end = made.plus(days(10));
    imported(&client, key_id, Some(end)).await;
    let ciphertext = client.encrypt(key_id, b"readable until then").await.expect("encrypted");
    let kept_ciphertext = client.encrypt(kept, b"readable").await.expect("encrypted");

    cluster.clock().advance(days(10).checked_sub(MOMENT).expect("shorter"));
    client.create_key("so that the leader has seen this moment").await.expect("created");
    assert_eq!(client.describe(key_id).await.expect("described").key_state, KeyState::Enabled);
    for name in cluster.running(&region) {
        // Every node has prepared the material by now, and has to forget it.
        let client = cluster.client_on(&name);
        let text = retried(|| client.decrypt(&ciphertext)).await.expect("not a moment too early");
        assert_eq!(text, b"readable until then");
    }
    cluster.clock().advance(MOMENT);
    cluster.await_state(&region, "the material is gone", is(KeyState::PendingImport, key_id)).await;
    cluster.await_quiet().await;
    for name in cluster.running(&region) {
        assert_eq!(cluster.state(&name).materials_of(key_id).count(), 0, "{name}");
        let client = cluster.client_on(&name);
        assert_refused(client.decrypt(&ciphertext).await, ErrorCode::KmsInvalidState);
        assert_refused(client.encrypt(key_id, b"late").await, ErrorCode::KmsInvalidState);
        assert_eq!(client.decrypt(&kept_ciphertext).await.expect("decrypted"), b"readable");
    }
    let described = client.describe(key_id).await.expect("described");
    assert_eq!(described.expiration_model, Some(ExpirationModelType::KeyMaterialExpires));
    assert_eq!((described.valid_to, described.enabled), (Some(end), false));
    assert_eq!(expiry_records(&cluster, &region, key_id), 1);
    assert_eq!(expiry_records(&cluster, &region, kept), 0);

    imported(&client, key_id, None).await;
    assert_eq!(client.decrypt(&ciphertext).await.expect("decrypted"), b"readable until then");
    cluster.assert_equal_rows(&region).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn material_expires_though_the_region_was_down() {
    let mut cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let key_id = client.create_external_key(false).await.expect("created");
    let made = client.describe(key_id).await.expect("described").creation_date;
    imported(&client, key_id, Some(made.plus(days(1)))).await;
    cluster.kill(&region).await;
    cluster.clock().advance(days(2));
    cluster.restart(&region).await;
    cluster.await_state(&region, "the material is gone", is(KeyState::PendingImport, key_id)).await;
    cluster.await_quiet().await;
    assert!(expiry_records(&cluster, &region, key_id) >= 1);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lives_for_a_day_and_longer_than_the_nodes_that_made_it() {
    let mut cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let key_id = client.create_external_key(false).await.expect("created");
    let made = client.describe(key_id).await.expect("described").creation_date;
    let parameters = client.import_parameters(key_id).await.expect("a wrapping key");
    assert_eq!(parameters.parameters_valid_to, made.plus(days(1)));

    // The whole Region starts again, and a day has all but passed.
    cluster.kill(&region).await;
    cluster.clock().advance(days(1).checked_sub(MOMENT).expect("shorter"));
    cluster.restart(&region).await;
    cluster.await_ready().await;
    let client = cluster.client(&region);
    retried(|| client.import(&parameters, &MATERIAL, None)).await.expect("imported");
    let described = client.describe(key_id).await.expect("described");
    assert_eq!(described.key_state, KeyState::Enabled);

    cluster.clock().advance(MOMENT);
    let before = described;
    assert_refused(client.import(&parameters, &MATERIAL, None).await, ErrorCode::ExpiredImportToken);
    assert_eq!(client.describe(key_id).await.expect("described"), before);
    cluster.shutdown().await;
}
