//! Identities in a whole cluster: what is made at home is known everywhere, tokens are good in every Region, and what is removed
//! is removed everywhere, through a partition and a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meridian_identity::{AccessKey, Claimed, CredentialFault, CredentialStore, Session};
use meridian_model::{AccountId, Clock as _, EntityKind, EntityName, Region, UniqueId};
use meridian_service::{SessionGrant, SessionHolder, TemporaryCredentials};
use meridian_state::identities::change::NewRole;
use meridian_state::identities::{Entity, IdentityChange};
use meridian_state::{Command, Op, RegionState};
use meridian_testkit::{Cluster, Place};

fn account() -> AccountId {
    "111122223333".parse().expect("12 digits")
}

fn reader() -> EntityName {
    "reader".parse().expect("a valid name")
}

fn reader_id() -> UniqueId {
    "AROA0000000000000001".parse().expect("a valid id")
}

fn knows_reader(state: &RegionState) -> bool {
    state.identities().role(account(), &reader()).is_some()
}

async fn change(cluster: &Cluster, home: &Region, change: IdentityChange) {
    let leader = cluster.await_leader(home).await;
    let command = Command { at: cluster.clock().now(), op: Op::Identity(Box::new(change)) };
    let committed = cluster.group(&leader).propose(&command).await.expect("committed");
    committed.outcome.expect("not refused");
}

fn create_reader() -> IdentityChange {
    IdentityChange::CreateRole(NewRole {
        account: account(),
        name: reader(),
        path: "/".parse().expect("a valid path"),
        id: reader_id(),
        tags: BTreeMap::new(),
        boundary: None,
        trust: "{}".into(),
        description: String::new(),
        session_seconds_max: 3_600,
        linked_service: None,
        attached: BTreeSet::new(),
    })
}

fn delete_reader() -> IdentityChange {
    IdentityChange::DeleteEntity(Entity { account: account(), kind: EntityKind::Role, name: reader() })
}

/// Temporary credentials of the role, issued in a Region.
fn issue(cluster: &Cluster, region: &Region) -> TemporaryCredentials {
    let issued_at = cluster.clock().now();
    let session = Session {
        issued_at,
        expires_at: issued_at.plus(Duration::from_hours(1)),
        mfa_at: None,
        tags: BTreeMap::new(),
        transitive: BTreeSet::new(),
        policies: Vec::new(),
        policy_arns: Vec::new(),
        source_identity: None,
        federated_provider: None,
    };
    let holder = SessionHolder::Role { id: reader_id(), session_name: "work".to_owned() };
    let node = cluster.node(&cluster.running(region)[0]);
    node.service().issue_session(SessionGrant { account: account(), holder, session }).expect("issued")
}

/// What every node of a Region says of the credentials.
fn look_up(
    cluster: &Cluster,
    region: &Region,
    issued: &TemporaryCredentials,
) -> Vec<Result<AccessKey, CredentialFault>> {
    let (access_key_id, session_token) = (issued.access_key_id.as_str(), Some(issued.session_token.as_str()));
    let claimed = Claimed { access_key_id, session_token, region };
    cluster.running(region).iter().map(|name| cluster.node(name).service().lookup(claimed)).collect()
}

async fn start() -> Cluster {
    let cluster = Cluster::builder().regions(&["us-east-1", "eu-west-1"]).nodes(3).start().await;
    let has_key = |state: &RegionState| state.identities().session_keys().next().is_some();
    cluster.await_state(Place::Everywhere, "a key for session tokens", has_key).await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_one_region_is_good_in_every_other_until_it_expires() {
    let mut cluster = start().await;
    let [home, away] = [0, 1].map(|at| cluster.regions()[at].clone());
    change(&cluster, &home, create_reader()).await;
    cluster.await_state(Place::Everywhere, "the role is known", knows_reader).await;
    let issued = issue(&cluster, &away);
    for region in [&home, &away] {
        for found in look_up(&cluster, region, &issued) {
            let key = found.expect("recognized");
            assert_eq!(key.caller.arn, "arn:aws:sts::111122223333:assumed-role/reader/work");
            assert_eq!(key.secret.expose(), issued.secret.expose());
        }
    }
    cluster.kill(Place::Everywhere).await; // so that nothing opened is left in memory
    cluster.restart(Place::Everywhere).await;
    cluster.await_ready().await;
    cluster.await_state(Place::Everywhere, "the role is known", knows_reader).await;
    assert!(look_up(&cluster, &home, &issued).iter().all(Result::is_ok));
    cluster.clock().advance(Duration::from_hours(1));
    for found in look_up(&cluster, &home, &issued) {
        assert_eq!(found.err(), Some(CredentialFault::Expired));
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_removed_at_home_is_removed_everywhere_once_the_regions_talk() {
    let cluster = start().await;
    let [home, away] = [0, 1].map(|at| cluster.regions()[at].clone());
    cluster.switchboard().partition(&home, &away);
    change(&cluster, &home, create_reader()).await;
    cluster.await_state(&home, "the role is known at home", knows_reader).await;
    assert!(cluster.running(&away).iter().all(|name| !knows_reader(&cluster.state(name))), "nobody told it");
    cluster.switchboard().heal();
    cluster.await_state(&away, "the role is known", knows_reader).await;
    let issued = issue(&cluster, &away);
    assert!(look_up(&cluster, &away, &issued).iter().all(Result::is_ok));

    cluster.switchboard().partition(&home, &away);
    change(&cluster, &home, delete_reader()).await;
    cluster.await_state(&home, "the role is gone at home", |state| !knows_reader(state)).await;
    for found in look_up(&cluster, &home, &issued) {
        assert_eq!(found.err(), Some(CredentialFault::Unrecognized), "at once");
    }
    cluster.switchboard().heal();
    cluster.await_state(&away, "the role is gone", |state| !knows_reader(state)).await;
    for found in look_up(&cluster, &away, &issued) {
        assert_eq!(found.err(), Some(CredentialFault::Unrecognized));
    }
    for region in [&home, &away] {
        cluster.assert_equal_rows(region).await;
    }
    cluster.shutdown().await;
}
