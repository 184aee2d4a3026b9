//! The last use of a key: known on every node of the Region, and after all of them were started again.

use meridian_model::KeyLastUsageTrackingOperation::{Decrypt, Encrypt};
use meridian_model::shapes::{GetKeyLastUsageRequest, GetKeyLastUsageResponse};
use meridian_model::{KeyId, KeyLastUsageTrackingOperation, Region};
use meridian_testkit::{Client, Cluster};

async fn last_usage(client: &Client, key_id: KeyId) -> GetKeyLastUsageResponse {
    client.call(GetKeyLastUsageRequest { key_id: key_id.to_string() }).await.expect("told")
}

async fn await_use(cluster: &Cluster, region: &Region, key_id: KeyId, operation: KeyLastUsageTrackingOperation) {
    let is_known = move |state: &meridian_state::RegionState| {
        state.usage().last(key_id).is_some_and(|used| used.operation == operation)
    };
    cluster.await_state(region, "the use is brought in", is_known).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_are_region_wide_and_survive_restarts() {
    let mut cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let nodes = cluster.nodes(&region);
    let key_id: KeyId =
        cluster.client(&region).create_key("used").await.expect("created").key_id.parse().expect("an ID");
    for name in &nodes {
        let told = last_usage(&cluster.client_on(name), key_id).await;
        assert!(told.key_last_usage.is_none(), "{name}");
        assert!(told.tracking_start_date <= told.key_creation_date, "{name}");
    }
    // The asked node knows at once, the others as soon as the use is brought in; from whichever node it came.
    let mut ciphertext = None;
    for name in &nodes {
        cluster.clock().advance(std::time::Duration::from_secs(1));
        let client = cluster.client_on(name);
        ciphertext = Some(client.encrypt(key_id, b"x").await.expect("encrypted"));
        let own = last_usage(&client, key_id).await.key_last_usage.expect("a use");
        assert_eq!(own.operation, Some(Encrypt));
        let at = own.timestamp.expect("a time");
        let is_known =
            move |state: &meridian_state::RegionState| state.usage().last(key_id).is_some_and(|used| used.at == at);
        cluster.await_state(&region, "the use is brought in", is_known).await;
        for other in &nodes {
            let told = last_usage(&cluster.client_on(other), key_id).await.key_last_usage.expect("a use");
            assert_eq!(told, own, "{other}");
        }
    }
    // A node that stops in good order brings in what it has noted.
    cluster.clock().advance(std::time::Duration::from_secs(1));
    cluster.client_on(&nodes[2]).decrypt(&ciphertext.expect("one")).await.expect("decrypted");
    cluster.stop(&nodes[2]).await;
    await_use(&cluster, &region, key_id, Decrypt).await;
    cluster.kill(&region).await;
    cluster.restart(&region).await;
    cluster.await_ready().await;
    for name in &nodes {
        let told = last_usage(&cluster.client_on(name), key_id).await.key_last_usage.expect("a use");
        assert_eq!(told.operation, Some(Decrypt), "{name}");
    }
    cluster.shutdown().await;
}
