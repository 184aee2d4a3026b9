//! Users and access keys of the home of identities arrive in every Region, their secrets sealed anew, and go from there again.

use meridian_crypto::identity_secret::generate_secret_access_key;
use meridian_crypto::{SecretBytes, SecretPlace, SessionKey};
use meridian_model::{EntityName, Region, UniqueId};
use meridian_state::identities::IdentityChange;
use meridian_state::identities::change::{NewAccessKey, NewSessionKey, NewUser};
use meridian_state::{Op, RegionState};

use crate::regions::{Cluster, Plan, account, region};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const EUROPE: &str = "eu-west-1";
const KEY: &str = "AKIA0000000000000001";

fn alice() -> EntityName {
    "alice".parse().expect("valid")
}

fn alice_id() -> UniqueId {
    "AIDA0000000000000001".parse().expect("valid")
}

fn change(cluster: &Cluster, at: &str, change: IdentityChange) {
    cluster.region(at).log.commit(Op::Identity(Box::new(change))).expect("not refused");
}

/// Three Regions that agree on the home.
async fn start() -> Cluster {
    let cluster = Plan::of(&[(EAST, 1), (WEST, 1), (EUROPE, 1)]).start().await;
    for at in [EAST, WEST, EUROPE] {
        set_regions(&cluster, at);
    }
    cluster
}

fn set_regions(cluster: &Cluster, at: &str) {
    let regions: std::collections::BTreeSet<Region> = [EAST, WEST, EUROPE].map(region).into();
    change(cluster, at, IdentityChange::SetRegions { home: region(EAST), regions });
}

/// Makes alice and her access key at home, and tells its secret.
fn create_alice(cluster: &Cluster) -> SecretBytes {
    let user = NewUser {
        account: account(),
        name: alice(),
        path: "/".parse().expect("valid"),
        id: alice_id(),
        tags: std::collections::BTreeMap::new(),
        boundary: None,
    };
    change(cluster, EAST, IdentityChange::CreateUser(user));
    let (id, secret) = (KEY.parse().expect("valid"), generate_secret_access_key().expect("random"));
    let place = SecretPlace::AccessKey { account: account(), user: Some(alice_id()), id };
    let sealed = cluster.region(EAST).keeper.seal_for(&place, &secret);
    let id = KEY.parse().expect("valid");
    let key = NewAccessKey { id, account: account(), user: Some(alice_id()), sealed };
    change(cluster, EAST, IdentityChange::CreateAccessKey(key));
    secret
}

fn knows_key(state: &RegionState) -> bool {
    state.identities().user(account(), &alice()).is_some() && state.identities().access_key(KEY).is_some()
}

fn delete_alice(cluster: &Cluster) {
    let id = KEY.parse().expect("valid");
    change(cluster, EAST, IdentityChange::DeleteAccessKey { account: account(), user: Some(alice_id()), id });
    let entity = meridian_state::identities::Entity {
        account: account(),
        kind: meridian_model::EntityKind::User,
        name: alice(),
    };
    change(cluster, EAST, IdentityChange::DeleteEntity(entity));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_home_is_known_everywhere_and_gone_everywhere() {
    let cluster = start().await;
    let secret = create_alice(&cluster);
    for at in [WEST, EUROPE] {
        let here = cluster.region(at);
        let state = here.log.until("alice and her access key", knows_key).await;
        assert_eq!(here.keeper.access_key(&state, KEY).expose(), secret.expose(), "{at}");
        let sealed = |state: &RegionState| state.identities().access_key(KEY).expect("there").sealed.clone();
        assert_ne!(sealed(&state), sealed(&cluster.region(EAST).log.state()), "sealed anew");
    }
    delete_alice(&cluster);
    for at in [WEST, EUROPE] {
        let gone = |state: &RegionState| state.identities().user(account(), &alice()).is_none();
        let state = cluster.region(at).log.until("alice is gone", gone).await;
        assert!(state.identities().access_key(KEY).is_none(), "{at}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_was_cut_off_learns_of_both_afterwards() {
    let cluster = start().await;
    cluster.gate.cut_both_ways(EAST, EUROPE);
    let secret = create_alice(&cluster);
    cluster.region(WEST).log.until("alice and her access key", knows_key).await;
    assert!(!knows_key(&cluster.region(EUROPE).log.state()));
    cluster.gate.heal();
    let state = cluster.region(EUROPE).log.until("alice and her access key", knows_key).await;
    assert_eq!(cluster.region(EUROPE).keeper.access_key(&state, KEY).expose(), secret.expose());
    cluster.gate.cut_both_ways(EAST, EUROPE);
    delete_alice(&cluster);
    cluster.region(WEST).log.until("alice is gone", |state| !knows_key(state)).await;
    assert!(knows_key(&cluster.region(EUROPE).log.state()), "nobody told it");
    cluster.gate.heal();
    cluster.region(EUROPE).log.until("alice is gone", |state| !knows_key(state)).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_joins_later_learns_everything() {
    let cluster = Plan::of(&[(EAST, 1), (WEST, 1), (EUROPE, 1)]).start().await;
    let regions: std::collections::BTreeSet<Region> = [EAST, WEST].map(region).into();
    change(&cluster, EAST, IdentityChange::SetRegions { home: region(EAST), regions });
    let secret = create_alice(&cluster);
    set_regions(&cluster, EUROPE);
    set_regions(&cluster, EAST);
    let state = cluster.region(EUROPE).log.until("alice and her access key", knows_key).await;
    assert_eq!(cluster.region(EUROPE).keeper.access_key(&state, KEY).expose(), secret.expose());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_region_opens_the_session_tokens_of_every_other() {
    let cluster = start().await;
    let key = SessionKey::generate().expect("random");
    let sealed = cluster.region(EAST).keeper.seal_for(&SecretPlace::SessionKey(key.id()), &key.to_secret());
    change(&cluster, EAST, IdentityChange::AddSessionKey(NewSessionKey { id: key.id(), sealed }));
    for at in [WEST, EUROPE] {
        let here = cluster.region(at);
        let known = |state: &RegionState| state.identities().session_key(key.id()).is_some();
        let state = here.log.until("the key for session tokens", known).await;
        let row = state.identities().session_key(key.id()).expect("there");
        let secret = here.keeper.session_key(row);
        assert_eq!(secret.expose(), key.to_secret().expose(), "{at}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_waits_while_its_sender_is_sealed() {
    let cluster = start().await;
    let secret = create_alice_while_sealed(&cluster).await;
    cluster.region(EAST).keeper.sealed.send_replace(false);
    let state = cluster.region(WEST).log.until("alice and her access key", knows_key).await;
    assert_eq!(cluster.region(WEST).keeper.access_key(&state, KEY).expose(), secret.expose());
    cluster.shutdown().await;
}

async fn create_alice_while_sealed(cluster: &Cluster) -> SecretBytes {
    cluster.region(EAST).keeper.sealed.send_replace(true);
    let secret = create_alice(cluster);
    let user_alone = |state: &RegionState| state.identities().user(account(), &alice()).is_some();
    let state = cluster.region(WEST).log.until("alice", user_alone).await;
    assert!(state.identities().access_key(KEY).is_none(), "her key cannot be opened");
    secret
}
