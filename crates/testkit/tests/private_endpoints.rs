//! Private endpoints: what their policies let pass, what key policies see of them, and what of it is recorded.

use meridian_consensus::NodeName;
use meridian_model::shapes::{CreateKeyRequest, PutKeyPolicyRequest};
use meridian_model::{ErrorCode, ServiceError};
use meridian_service::{Simulation, VpcEndpoint, simulate};
use meridian_testkit::{Client, Cluster, account};

const ALICE: &str = "arn:aws:iam::000000000001:user/alice";

fn endpoint(policy: Option<&str>) -> VpcEndpoint {
    let (id, network) = ("vpce-1234abcdf5678c90a".to_owned(), Some("vpc-12345678".to_owned()));
    VpcEndpoint::new(id, network, policy.map(str::to_owned)).expect("a policy")
}

fn assert_denied<T>(answer: Result<T, ServiceError>, words: &str) {
    let Err(error) = answer else { panic!("not denied") };
    assert_eq!(error.code, ErrorCode::AccessDenied, "{error}");
    assert!(error.message.ends_with(words), "{error}");
}

/// A cluster of three nodes, and two of them, of which the first leads.
async fn cluster() -> (Cluster, NodeName, NodeName) {
    let cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let leader = cluster.await_agreement(&cluster.running(&region)).await;
    let follower = cluster.running(&region).into_iter().find(|name| *name != leader).expect("three nodes");
    (cluster, leader, follower)
}

async fn put_policy(owner: &Client, key: &str, policy: &str) {
    let request = PutKeyPolicyRequest { key_id: key.to_owned(), policy: policy.to_owned(), ..Default::default() };
    owner.call(request).await.expect("the owner may");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_of_an_endpoint_bounds_what_passes_and_gives_nothing() {
    let (cluster, leader, follower) = cluster().await;
    let alice = cluster.create_user(account(1), "alice").await;
    let key = cluster.client_on(&leader).create_key("behind an endpoint").await.expect("created").key_id;
    let allows = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:CreateKey"],"Resource":"*"}]}"#;
    cluster.set_policy(&alice, Some(allows)).await;
    let only_encrypt = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*"}]}"#;
    for node in [&leader, &follower] {
        let direct = cluster.client_on(node).with_caller(&alice.caller);
        let open = direct.through(endpoint(None));
        let bounded = direct.through(endpoint(Some(only_encrypt)));
        for client in [&direct, &open, &bounded] {
            client.encrypt(&key, b"text").await.expect("allowed everywhere");
        }
        // A change is decided by the leader, who knows nothing of the endpoints of other nodes but what comes with it.
        open.call(CreateKeyRequest::default()).await.expect("an endpoint without a policy bounds nothing");
        let words = "because no VPC endpoint policy allows the kms:CreateKey action";
        assert_denied(bounded.call(CreateKeyRequest::default()).await, words);
        let words = "because no identity-based policy allows the kms:DescribeKey action";
        assert_denied(open.describe(&key).await, words);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_policy_sees_the_endpoint() {
    let (cluster, leader, _) = cluster().await;
    let owner = cluster.client_on(&leader);
    let key = owner.create_key("behind an endpoint").await.expect("created").key_id;
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"AWS":["000000000001"]},"Action":"kms:*","Resource":"*"},
        {"Effect":"Deny","Principal":"*","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*",
         "Condition":{"StringNotEquals":{"aws:sourceVpce":"vpce-1234abcdf5678c90a"}}}]}"#;
    put_policy(&owner, &key, policy).await;
    assert_denied(owner.encrypt(&key, b"text").await, "with an explicit deny in a resource-based policy");
    owner.describe(&key).await.expect("not denied");
    owner.through(endpoint(None)).encrypt(&key, b"text").await.expect("through the endpoint");
    let other = VpcEndpoint::new("vpce-other".to_owned(), None, None).expect("no policy");
    assert_denied(
        owner.through(other).encrypt(&key, b"text").await,
        "with an explicit deny in a resource-based policy",
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_decides_as_the_service_does_and_says_why() {
    let (cluster, leader, _) = cluster().await;
    let owner = cluster.client_on(&leader);
    let alice = cluster.create_user(account(1), "alice").await;
    let key = owner.create_key("to be explained").await.expect("created").key_id;
    let condition = r#"{"Version":"2012-10-17","Statement":[{"Sid":"WithApp","Effect":"Allow","Action":"kms:Encrypt",
        "Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:app":"web"}}}]}"#;
    cluster.set_policy(&alice, Some(condition)).await;
    let state = cluster.state(&leader);
    let ask = |action: &str, context: &[(&str, &str)]| {
        let simulation = Simulation {
            principal: ALICE.to_owned(),
            action: action.to_owned(),
            key: Some(key.clone()),
            context: context.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect(),
        };
        simulate(&state, &simulation, owner_clock(&cluster)).expect("everything is known")
    };
    let allowed = ask("kms:Encrypt", &[("kms:EncryptionContext:app", "web")]);
    assert!(allowed.allowed, "{allowed:?}");
    let with_app = allowed.statements.iter().find(|statement| statement.sid.as_deref() == Some("WithApp"));
    let with_app = with_app.expect("every statement is told");
    assert!(with_app.applies && with_app.policy == "inline policy inline of user alice", "{with_app:?}");
    let denied = ask("kms:Encrypt", &[]);
    assert!(!denied.allowed && denied.message.is_some(), "{denied:?}");
    let with_app = denied.statements.iter().find(|statement| statement.sid.as_deref() == Some("WithApp"));
    let reason = &with_app.expect("every statement is told").reason;
    assert!(reason.contains("StringEquals") && reason.contains("app"), "{reason}");
    let client = owner.with_caller(&alice.caller);
    assert_denied(
        client.encrypt(&key, b"text").await,
        "because no identity-based policy allows the kms:Encrypt action",
    );
    cluster.shutdown().await;
}

fn owner_clock(cluster: &Cluster) -> meridian_model::Timestamp {
    use meridian_model::Clock as _;
    cluster.clock().now()
}
