//! A change that takes access away holds on every node within `max_staleness`, whatever the network does.

use std::time::Duration;

use meridian_consensus::NodeName;
use meridian_model::shapes::{DisableKeyRequest, EnableKeyRequest};
use meridian_model::{Blob, ErrorCode, Region, ServiceError};
use meridian_service::OnStale;
use meridian_testkit::waiting::{assert_refused, retried};
use meridian_testkit::{Client, Cluster, PATIENCE};
use tokio::time::Instant;

/// A Region of three nodes with a key, and one follower about to be cut off.
struct Scene {
    cluster: Cluster,
    region: Region,
    follower: NodeName,
    key_id: String,
    ciphertext: Blob,
}

impl Scene {
    async fn set(on_stale: OnStale) -> Self {
        let cluster = Cluster::builder().on_stale(on_stale).start().await;
        let region = cluster.regions()[0].clone();
        let client = cluster.client(&region);
        let key_id = client.create_key("to be disabled").await.expect("created").key_id;
        let ciphertext = client.encrypt(&key_id, b"secret text").await.expect("encrypted");
        let leader = cluster.await_agreement(&cluster.running(&region)).await;
        let follower = cluster.running(&region).into_iter().find(|name| *name != leader).expect("three nodes");
        Self { cluster, region, follower, key_id, ciphertext }
    }

    fn others(&self) -> Vec<NodeName> {
        self.cluster.running(&self.region).into_iter().filter(|name| *name != self.follower).collect()
    }

    /// Cuts the follower off and disables the key on the others; gives the moment of the acknowledgement.
    async fn disable_behind_the_followers_back(&self) -> Instant {
        self.cluster.switchboard().isolate(&self.follower);
        let leader = self.cluster.await_leader_among(&self.others()).await;
        let request = DisableKeyRequest { key_id: self.key_id.clone() };
        let client = self.cluster.client_on(&leader);
        retried(|| client.call(request.clone())).await.expect("disabled by the other two");
        Instant::now()
    }

    async fn use_on(&self, client: &Client) -> Result<(), ServiceError> {
        assert_eq!(client.decrypt(&self.ciphertext).await?, b"secret text");
        client.encrypt(&self.key_id, b"more").await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_refuses_within_max_staleness() {
    let scene = Scene::set(OnStale::Refuse).await;
    let client = scene.cluster.client_on(&scene.follower);
    scene.use_on(&client).await.expect("the follower serves");
    let disabled = scene.disable_behind_the_followers_back().await;
    // The promise counts from the acknowledgement; before that moment has come, either answer is right.
    let served_last = loop {
        let asked = Instant::now();
        match scene.use_on(&client).await {
            Ok(()) => assert!(asked < disabled + MAX_STALENESS, "served {:?} after", asked - disabled),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::DependencyTimeout, "{error}");
                assert!(error.is_retryable());
                break asked;
            }
        }
        tokio::task::yield_now().await;
    };
    println!("refused {:?} after the key was disabled", served_last - disabled);
    assert_refused(scene.use_on(&client).await, ErrorCode::DependencyTimeout);
    assert!(
        !scene.cluster.node(&scene.follower).service().readiness().is_ready(),
        "the node says that it is not ready"
    );
    for name in scene.others() {
        assert_refused(scene.use_on(&scene.cluster.client_on(&name)).await, ErrorCode::Disabled);
    }
    scene.cluster.switchboard().heal();
    // From now on it may ask again for a moment, but must never serve the key.
    let refused = retried(|| scene.use_on(&client)).await;
    assert_refused(refused, ErrorCode::Disabled);
    let request = EnableKeyRequest { key_id: scene.key_id.clone() };
    scene.cluster.client(&scene.region).call(request).await.expect("enabled");
    scene.cluster.await_current(&scene.region).await;
    scene.use_on(&client).await.expect("the follower serves again");
    scene.cluster.assert_equal_rows(&scene.region).await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_key_is_refused_everywhere_within_max_staleness_of_its_acknowledgement() {
    let scene = Scene::set(OnStale::Refuse).await;
    let clients: Vec<_> =
        scene.cluster.running(&scene.region).iter().map(|name| scene.cluster.client_on(name)).collect();
    // Below the time between heartbeats; a node further away would not belong to the Region.
    let slow = Duration::from_millis(30);
    scene.cluster.switchboard().delay(&scene.region, &scene.follower, slow, slow);
    for round in 0..3 {
        let request = DisableKeyRequest { key_id: scene.key_id.clone() };
        let leader = scene.cluster.client_on(&scene.cluster.await_leader_among(&scene.others()).await);
        leader.call(request).await.expect("disabled");
        let disabled = Instant::now();
        for client in &clients {
            loop {
                let asked = Instant::now();
                assert!(asked < disabled + PATIENCE, "neither served nor refused as disabled");
                match scene.use_on(client).await {
                    Ok(()) => assert!(asked < disabled + MAX_STALENESS, "round {round}: {:?}", asked - disabled),
                    Err(error) if error.code == ErrorCode::DependencyTimeout => {}
                    refused => break assert_refused(refused, ErrorCode::Disabled),
                }
                tokio::task::yield_now().await;
            }
        }
        leader.call(EnableKeyRequest { key_id: scene.key_id.clone() }).await.expect("enabled");
        scene.cluster.await_current(&scene.region).await;
    }
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_told_to_serve_stale_state_goes_on_without_its_leader() {
    let scene = Scene::set(OnStale::Serve).await;
    let client = scene.cluster.client_on(&scene.follower);
    scene.disable_behind_the_followers_back().await;
    let group = scene.cluster.group(&scene.follower);
    while group.freshness().is_none_or(|age| age <= 2 * MAX_STALENESS) {
        // Availability is what this setting buys, at the price of a key that was disabled elsewhere.
        scene.use_on(&client).await.expect("served from the state that the node last knew");
        tokio::task::yield_now().await;
    }
    scene.use_on(&client).await.expect("served however old the state is");
    assert!(client.describe(&scene.key_id).await.is_err(), "reads are linearizable under either setting");
    scene.cluster.switchboard().heal();
    scene.cluster.await_current(&scene.region).await;
    assert_refused(scene.use_on(&client).await, ErrorCode::Disabled);
    scene.cluster.shutdown().await;
}

/// As every cluster of the testkit is configured.
const MAX_STALENESS: Duration = Duration::from_secs(1);
