//! A right that was taken away is gone in the whole Region within `max_staleness` of its acknowledgement, whatever the network does.

use std::sync::Arc;
use std::time::Duration;

use meridian_consensus::NodeName;
use meridian_identity::Caller;
use meridian_model::shapes::{CreateGrantRequest, PutKeyPolicyRequest, RevokeGrantRequest};
use meridian_model::{ErrorCode, GrantOperation, Region, ServiceError};
use meridian_testkit::identities::Identity;
use meridian_testkit::waiting::retried;
use meridian_testkit::{Client, Cluster, account};
use tokio::time::Instant;

/// What the caller's right to encrypt rests on.
#[derive(Clone, Copy, Debug)]
enum Right {
    KeyPolicy,
    IdentityPolicy,
    Grant,
    Existence,
    AccessKey,
}

/// A Region of three nodes, a key, Alice with her right to it, and one follower about to be cut off.
struct Scene {
    cluster: Cluster,
    region: Region,
    follower: NodeName,
    key: String,
    alice: Identity,
    caller: Arc<Caller>,
    grant: String,
}

impl Scene {
    async fn set(right: Right) -> Self {
        let cluster = Cluster::builder().start().await;
        let region = cluster.regions()[0].clone();
        let owner = cluster.client(&region);
        let key = owner.create_key("to be used by Alice").await.expect("created").key_id;
        let alice = cluster.create_user(account(1), "alice").await;
        let mut grant = String::new();
        match right {
            Right::KeyPolicy => put_key_policy(&owner, &key, ALLOWS_ALICE).await,
            Right::IdentityPolicy | Right::Existence | Right::AccessKey => {
                cluster.set_policy(&alice, Some(ALLOWS)).await;
            }
            Right::Grant => {
                let request = CreateGrantRequest {
                    key_id: key.clone(),
                    grantee_principal: Some(alice.caller.arn.clone()),
                    operations: vec![GrantOperation::Encrypt],
                    ..CreateGrantRequest::default()
                };
                grant = owner.call(request).await.expect("granted").grant_id;
            }
        }
        let caller = match right {
            Right::AccessKey => cluster.create_access_key(&alice).await,
            _ => Arc::clone(&alice.caller),
        };
        let leader = cluster.await_agreement(&cluster.running(&region)).await;
        let follower = cluster.running(&region).into_iter().find(|name| *name != leader).expect("three nodes");
        cluster.await_current(&region).await;
        Self { cluster, region, follower, key, alice, caller, grant }
    }

    fn others(&self) -> Vec<NodeName> {
        self.cluster.running(&self.region).into_iter().filter(|name| *name != self.follower).collect()
    }

    /// Takes the right away on the nodes that still see each other; gives the moment of the acknowledgement.
    async fn take_away(&self, right: Right) -> Instant {
        let leader = self.cluster.await_leader_among(&self.others()).await;
        let owner = self.cluster.client_on(&leader);
        match right {
            Right::KeyPolicy => put_key_policy(&owner, &self.key, ALLOWS_NOBODY).await,
            Right::IdentityPolicy => self.cluster.set_policy_on(&leader, &self.alice, None).await,
            Right::Existence => self.cluster.delete_on(&leader, &self.alice).await,
            Right::AccessKey => {
                let key = format!("UserName=alice&AccessKeyId={}", self.caller.access_key_id);
                owner.iam("DeleteAccessKey", &key).await;
            }
            Right::Grant => {
                let request =
                    RevokeGrantRequest { key_id: self.key.clone(), grant_id: self.grant.clone(), dry_run: None };
                retried(|| owner.call(request.clone())).await.expect("revoked");
            }
        }
        Instant::now()
    }

    async fn use_on(&self, name: &NodeName) -> Result<(), ServiceError> {
        let client = self.cluster.client_on(name).with_caller(&self.caller);
        client.encrypt(&self.key, b"text").await.map(drop)
    }
}

async fn put_key_policy(owner: &Client, key: &str, policy: &str) {
    let request =
        PutKeyPolicyRequest { key_id: key.to_owned(), policy: policy.to_owned(), ..PutKeyPolicyRequest::default() };
    retried(|| owner.call(request.clone())).await.expect("the owner may");
}

async fn check(right: Right) {
    let scene = Scene::set(right).await;
    scene.use_on(&scene.follower).await.expect("Alice may");
    scene.cluster.switchboard().isolate(&scene.follower);
    let lost = scene.take_away(right).await;
    for name in scene.others() {
        assert_eq!(first_refusal(&scene, &name, lost).await.code, refusal(right), "{right:?}: the others know");
    }
    let refused = first_refusal(&scene, &scene.follower, lost).await;
    assert_eq!(refused.code, ErrorCode::DependencyTimeout, "{right:?}: {refused}");
    scene.cluster.switchboard().heal();
    // From now on it may ask again for a moment, but must never serve.
    let refused = retried(|| scene.use_on(&scene.follower)).await.expect_err("the follower knows, too");
    assert_eq!(refused.code, refusal(right), "{right:?}: {refused}");
    scene.cluster.shutdown().await;
}

/// Uses the key on a node until it is refused. The promise counts from the acknowledgement, `lost`: before its time is over,
/// either answer is right.
async fn first_refusal(scene: &Scene, name: &NodeName, lost: Instant) -> ServiceError {
    loop {
        let asked = Instant::now();
        match scene.use_on(name).await {
            Ok(()) => assert!(asked < lost + MAX_STALENESS, "{name}: served {:?} after", asked - lost),
            Err(error) => return error,
        }
        tokio::task::yield_now().await;
    }
}

fn refusal(right: Right) -> ErrorCode {
    match right {
        Right::Existence | Right::AccessKey => ErrorCode::UnrecognizedClient,
        Right::KeyPolicy | Right::IdentityPolicy | Right::Grant => ErrorCode::AccessDenied,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_policy_that_was_replaced() {
    check(Right::KeyPolicy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_policy_that_was_removed() {
    check(Right::IdentityPolicy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_was_revoked() {
    check(Right::Grant).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_key_that_was_deleted() {
    check(Right::AccessKey).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_was_deleted() {
    check(Right::Existence).await;
}

/// As every cluster of the testkit is configured.
const MAX_STALENESS: Duration = Duration::from_secs(1);

const ALLOWS: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*"}]}"#;
const ALLOWS_ALICE: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000001:root"},"Action":"kms:*","Resource":"*"},
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000001:user/alice"},"Action":"kms:Encrypt","Resource":"*"}]}"#;
const ALLOWS_NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000001:root"},"Action":"kms:*","Resource":"*"}]}"#;
