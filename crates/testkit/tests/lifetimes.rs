//! What time does to keys: waiting periods that end, domain keys that are a day old. No test waits for it.

use std::collections::BTreeSet;
use std::time::Duration;

use meridian_model::shapes::{
    CancelKeyDeletionRequest, CreateAliasRequest, CreateGrantRequest, DecryptRequest, EnableKeyRequest,
    ListAliasesRequest, ListResourceTagsRequest, PutKeyPolicyRequest, Tag, TagResourceRequest,
    UpdateKeyDescriptionRequest,
};
use meridian_model::time::days;
use meridian_model::{Blob, ErrorCode, GrantOperation, KeyId, KeyState, Region};
use meridian_state::RegionState;
use meridian_testkit::waiting::{assert_refused, retried};
use meridian_testkit::{Client, Cluster, Place};

/// A key with everything that a key can have.
async fn furnished_key(client: &Client, alias: &str) -> (KeyId, Blob) {
    let key_id = client.create_key("to be deleted").await.expect("created").key_id;
    let create = CreateAliasRequest { alias_name: alias.to_owned(), target_key_id: key_id.clone() };
    client.call(create).await.expect("an alias");
    let tags = vec![Tag { tag_key: "purpose".to_owned(), tag_value: "deletion".to_owned() }];
    client.call(TagResourceRequest { key_id: key_id.clone(), tags }).await.expect("a tag");
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}"#.to_owned();
    let put = PutKeyPolicyRequest { key_id: key_id.clone(), policy, ..PutKeyPolicyRequest::default() };
    client.call(put).await.expect("a policy");
    let grant = CreateGrantRequest {
        key_id: key_id.clone(),
        grantee_principal: Some("arn:aws:iam::000000000002:root".to_owned()),
        operations: vec![GrantOperation::Decrypt],
        ..CreateGrantRequest::default()
    };
    client.call(grant).await.expect("a grant");
    let ciphertext = client.encrypt(alias, b"soon unreadable").await.expect("encrypted");
    (key_id.parse().expect("a key ID"), ciphertext)
}

fn is_gone(state: &RegionState, key_id: KeyId) -> bool {
    state.key(key_id).is_none()
}

/// The rows that mention the key, in their id or in their value.
fn traces(state: &RegionState, key_id: KeyId) -> Vec<Vec<u8>> {
    let bytes = key_id.to_bytes();
    let mentions = |text: &[u8]| text.windows(bytes.len()).any(|window| window == bytes);
    let rows = state.rows().filter(|(id, value)| mentions(id) || mentions(value));
    rows.map(|(id, _)| id).collect()
}

/// How many `DeleteKey` records of the key the trails of the Region hold.
fn deletion_records(cluster: &Cluster, region: &Region, key_id: KeyId) -> usize {
    let arn = format!("arn:aws:kms:{region}:000000000001:key/{key_id}");
    let records = cluster.audit_records(region);
    let is_deletion = |record: &&serde_json::Value| {
        record["eventName"] == "DeleteKey"
            && record["eventType"] == "AwsServiceEvent"
            && record["resources"][0]["ARN"] == arn.as_str()
    };
    records.iter().filter(is_deletion).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_goes_with_everything_it_has_when_its_window_ends() {
    let cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let (key_id, ciphertext) = furnished_key(&client, "alias/doomed").await;
    let (kept, kept_ciphertext) = furnished_key(&client, "alias/kept").await;
    let scheduled = client.schedule_deletion(key_id, 7).await.expect("scheduled");
    let made = client.describe(key_id).await.expect("described").creation_date;
    assert_eq!(scheduled.deletion_date, Some(made.plus(days(7))));
    cluster.clock().advance(days(7).checked_sub(Duration::from_millis(1)).expect("shorter"));
    client.create_key("so that the leader has seen this moment").await.expect("created");
    let described = client.describe(key_id).await.expect("not gone a moment too early");
    assert_eq!(described.key_state, KeyState::PendingDeletion);
    cluster.clock().advance(Duration::from_millis(1));
    cluster.await_state(&region, "the key is gone", |state| is_gone(state, key_id)).await;
    cluster.await_quiet().await;
    for name in cluster.running(&region) {
        assert_eq!(traces(&cluster.state(&name), key_id), [[0; 0]; 0], "{name} still holds rows of the key");
        assert_gone(&cluster.client_on(&name), key_id, &ciphertext).await;
        assert_eq!(cluster.client_on(&name).decrypt(&kept_ciphertext).await.expect("decrypted"), b"soon unreadable");
    }
    let aliases = client.call(ListAliasesRequest::default()).await.expect("listed").aliases;
    let names: Vec<&str> = aliases.iter().map(|alias| alias.alias_name.as_str()).collect();
    assert_eq!(names, ["alias/kept"]);
    let again = CreateAliasRequest { alias_name: "alias/doomed".to_owned(), target_key_id: kept.to_string() };
    client.call(again).await.expect("the name is free");
    assert_eq!(deletion_records(&cluster, &region, key_id), 1, "nothing failed, so there is one record");
    assert_eq!(deletion_records(&cluster, &region, kept), 0);
    cluster.shutdown().await;
}

/// Asserts that no operation finds the key.
async fn assert_gone(client: &Client, key_id: KeyId, ciphertext: &Blob) {
    let id = key_id.to_string();
    assert_refused(client.describe(&id).await, ErrorCode::NotFound);
    assert_refused(client.encrypt(&id, b"text").await, ErrorCode::NotFound);
    assert_refused(client.encrypt("alias/doomed", b"text").await, ErrorCode::NotFound);
    assert_refused(client.data_key(&id).await, ErrorCode::NotFound);
    assert_refused(client.schedule_deletion(&id, 7).await, ErrorCode::NotFound);
    assert_refused(client.call(CancelKeyDeletionRequest { key_id: id.clone() }).await, ErrorCode::NotFound);
    assert_refused(client.call(EnableKeyRequest { key_id: id.clone() }).await, ErrorCode::NotFound);
    let update = UpdateKeyDescriptionRequest { key_id: id.clone(), description: "late".to_owned() };
    assert_refused(client.call(update).await, ErrorCode::NotFound);
    let tags = ListResourceTagsRequest { key_id: id.clone(), ..ListResourceTagsRequest::default() };
    assert_refused(client.call(tags).await, ErrorCode::NotFound);
    // A ciphertext alone must not tell whether there ever was such a key.
    assert_refused(client.decrypt(ciphertext).await, ErrorCode::AccessDenied);
    let ciphertext_blob = Some(ciphertext.clone());
    let named = DecryptRequest { ciphertext_blob, key_id: Some(id), ..DecryptRequest::default() };
    assert_refused(client.call(named).await, ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_deletion_is_recorded_though_leaders_are_killed_around_it() {
    let mut cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let mut keys = Vec::new();
    for window in [7, 8] {
        for _ in 0..10 {
            let key_id = client.create_key("to be deleted").await.expect("created").key_id;
            client.schedule_deletion(&key_id, window).await.expect("scheduled");
            keys.push(key_id.parse::<KeyId>().expect("a key ID"));
        }
    }
    // The first ten: the leader dies as soon as it has deleted them, perhaps before it has recorded that.
    let leader = cluster.await_leader(&region).await;
    cluster.clock().advance(days(7));
    cluster.await_state(&leader, "ten keys are gone", |state| state.total_keys() == 10).await;
    cluster.kill(&leader).await;
    cluster.restart(&region).await;
    cluster.await_ready().await;
    // The others: the whole Region is down when their windows end.
    cluster.kill(&region).await;
    cluster.clock().advance(days(1));
    cluster.restart(&region).await;
    cluster.await_state(&region, "all keys are gone", |state| state.total_keys() == 0).await;
    cluster.await_quiet().await;
    let counts: Vec<usize> = keys.iter().map(|key_id| deletion_records(&cluster, &region, *key_id)).collect();
    println!("records per deleted key: {counts:?}");
    assert!(counts.iter().all(|count| *count >= 1), "{counts:?}");
    cluster.assert_equal_rows(&region).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_brings_a_new_domain_key_and_old_ciphertexts_still_open() {
    let mut cluster = Cluster::builder().start().await;
    let region = cluster.regions()[0].clone();
    let client = cluster.client(&region);
    let mut ciphertexts = Vec::new();
    let mut sealed_by = BTreeSet::new();
    for day in 0..4 {
        let key_id = client.create_key(&format!("made on day {day}")).await.expect("created").key_id;
        let parsed: KeyId = key_id.parse().expect("a key ID");
        ciphertexts.push(client.encrypt(&key_id, format!("day {day}").as_bytes()).await.expect("encrypted"));
        cluster.await_current(&region).await;
        let state = cluster.state(&cluster.running(&region)[0]);
        let newest = state.newest_domain_key().expect("there is one").id;
        let rows: Vec<_> = state.materials_of(parsed).map(|row| row.sealed.domain_key_id).collect();
        assert_eq!(rows, [newest], "new material is sealed by the newest domain key");
        assert!(sealed_by.insert(newest), "a new day, a new domain key");
        cluster.clock().advance(days(1));
        let is_newer = |state: &RegionState| state.newest_domain_key().is_some_and(|key| key.id != newest);
        cluster.await_state(&region, "there is a newer domain key", is_newer).await;
    }
    cluster.kill(Place::Everywhere).await; // so that nothing opened is left in memory
    cluster.restart(Place::Everywhere).await;
    cluster.await_ready().await;
    for name in cluster.running(&region) {
        let client = cluster.client_on(&name);
        for (day, ciphertext) in ciphertexts.iter().enumerate() {
            let text = retried(|| client.decrypt(ciphertext)).await.expect("decrypted");
            assert_eq!(text, format!("day {day}").as_bytes(), "{name}");
        }
    }
    cluster.shutdown().await;
}
