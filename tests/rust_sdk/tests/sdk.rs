//! The AWS SDK for Rust against clusters of its own: typed requests, typed errors, pages, and retries through failures.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::operation::create_alias::CreateAliasError;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::operation::encrypt::EncryptError;
use aws_sdk_kms::operation::schedule_key_deletion::ScheduleKeyDeletionError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeyMetadata, KeyState, MultiRegionKeyType, Tag};
use meridian_model::KeyId;
use meridian_sdk_tests::client;
use meridian_testkit::{Cluster, HttpEndpoint, region};

const ACCOUNT: &str = "111122223333";

/// A cluster of one Region, with a client of it.
async fn one_region() -> (Cluster, HttpEndpoint, Client) {
    let cluster = Cluster::builder().start().await;
    let home = region("us-east-1");
    let endpoint = cluster.http_endpoint(&home).await;
    let kms = client(&endpoint, &home, ACCOUNT, 3);
    (cluster, endpoint, kms)
}

async fn create_key(kms: &Client) -> KeyMetadata {
    kms.create_key().send().await.expect("a key is made").key_metadata.expect("the answer describes it")
}

async fn state_of(kms: &Client, key_id: &str) -> KeyState {
    let answer = kms.describe_key().key_id(key_id).send().await.expect("the key is described");
    answer.key_metadata.and_then(|metadata| metadata.key_state).expect("every key has a state")
}

#[tokio::test(flavor = "multi_thread")]
async fn life_of_a_key() {
    let (cluster, _endpoint, kms) = one_region().await;
    let tag = Tag::builder().tag_key("Project").tag_value("Alpha").build().expect("a whole tag");
    let made = kms.create_key().description("of the SDK").tags(tag.clone()).send().await.expect("a key is made");
    let key = made.key_metadata.expect("the answer describes it");
    assert_eq!(key.description.as_deref(), Some("of the SDK"));
    assert_eq!(key.key_state, Some(KeyState::Enabled));
    let tags = kms.list_resource_tags().key_id(&key.key_id).send().await.expect("tags are listed");
    assert_eq!(tags.tags(), [tag]);

    kms.disable_key().key_id(&key.key_id).send().await.expect("the key is disabled");
    cluster.await_current(&region("us-east-1")).await;
    let refused = kms.encrypt().key_id(&key.key_id).plaintext(Blob::new("x")).send().await;
    let error = refused.expect_err("a disabled key encrypts nothing").into_service_error();
    let disabled = format!("{} is disabled.", key.arn.as_deref().expect("every key has an ARN"));
    assert!(matches!(&error, EncryptError::DisabledException(_)), "{error:?}");
    assert_eq!(error.message(), Some(disabled.as_str()));

    kms.enable_key().key_id(&key.key_id).send().await.expect("the key is enabled");
    let scheduled = kms.schedule_key_deletion().key_id(&key.key_id).pending_window_in_days(7).send().await;
    let scheduled = scheduled.expect("deletion is scheduled");
    assert_eq!(scheduled.key_state, Some(KeyState::PendingDeletion));
    assert!(scheduled.deletion_date.is_some());
    let again = kms.schedule_key_deletion().key_id(&key.key_id).send().await;
    let error = again.expect_err("it is scheduled already").into_service_error();
    assert!(matches!(error, ScheduleKeyDeletionError::KmsInvalidStateException(_)), "{error:?}");
    kms.cancel_key_deletion().key_id(&key.key_id).send().await.expect("deletion is cancelled");
    assert_eq!(state_of(&kms, &key.key_id).await, KeyState::Disabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypt_and_decrypt() {
    let (_cluster, _endpoint, kms) = one_region().await;
    let (key, second) = (create_key(&kms).await, create_key(&kms).await);
    let encrypt = kms.encrypt().key_id(&key.key_id).plaintext(Blob::new("a secret"));
    let encrypted = encrypt.encryption_context("tenant", "42").send().await.expect("encrypted");
    let blob = encrypted.ciphertext_blob.expect("the answer holds a ciphertext");
    let opened = kms.decrypt().ciphertext_blob(blob.clone()).encryption_context("tenant", "42").send().await;
    let opened = opened.expect("decrypted");
    assert_eq!(opened.plaintext.expect("the answer holds a plaintext").as_ref(), b"a secret");
    assert_eq!(opened.key_id, key.arn);

    let wrong = kms.decrypt().ciphertext_blob(blob.clone()).encryption_context("tenant", "43").send().await;
    let error = wrong.expect_err("another context").into_service_error();
    assert!(matches!(error, DecryptError::InvalidCiphertextException(_)), "{error:?}");
    let decrypt = kms.decrypt().ciphertext_blob(blob).encryption_context("tenant", "42");
    let error = decrypt.key_id(&second.key_id).send().await.expect_err("another key").into_service_error();
    assert!(matches!(error, DecryptError::IncorrectKeyException(_)), "{error:?}");

    let data_key = kms.generate_data_key().key_id(&key.key_id).key_spec(DataKeySpec::Aes256).send().await;
    let data_key = data_key.expect("a data key");
    let sealed = data_key.ciphertext_blob.expect("its ciphertext");
    let opened = kms.decrypt().ciphertext_blob(sealed).send().await.expect("decrypted");
    assert_eq!(opened.plaintext, data_key.plaintext);
    assert_eq!(opened.plaintext.expect("a plaintext").as_ref().len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_a_type_and_a_request_id() {
    let (_cluster, endpoint, kms) = one_region().await;
    let key = create_key(&kms).await;
    let create_alias = || kms.create_alias().alias_name("alias/sdk").target_key_id(&key.key_id).send();
    create_alias().await.expect("the alias is made");
    let error = create_alias().await.expect_err("the name is taken");
    assert!(error.request_id().is_some_and(|id| id.len() == 36), "{error:?}");
    assert!(matches!(error.into_service_error(), CreateAliasError::AlreadyExistsException(_)));

    let stranger = client(&endpoint, &region("us-east-1"), "AKIAUNKNOWN00000EXAM", 1);
    let error = stranger.list_keys().send().await.expect_err("nobody knows this access key");
    assert_eq!(error.code(), Some("UnrecognizedClientException"));
    let other = client(&endpoint, &region("us-east-1"), "444455556666", 1);
    let arn = key.arn.expect("every key has an ARN");
    let error = other.describe_key().key_id(arn).send().await.expect_err("the key of another account");
    assert_eq!(error.code(), Some("AccessDeniedException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages() {
    let (_cluster, _endpoint, kms) = one_region().await;
    let mut made = Vec::new();
    for _ in 0..7 {
        made.push(create_key(&kms).await.key_id);
    }
    let mut pages = kms.list_keys().into_paginator().page_size(3).send();
    let mut listed = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("a page");
        assert!(page.keys().len() <= 3);
        listed.extend(page.keys().iter().filter_map(|entry| entry.key_id.clone()));
    }
    made.sort();
    listed.sort();
    assert_eq!(listed, made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_opens_what_its_primary_made() {
    let cluster = Cluster::builder().regions(&["us-east-1", "eu-west-1"]).start().await;
    let (home, away) = (region("us-east-1"), region("eu-west-1"));
    let (home_endpoint, away_endpoint) = (cluster.http_endpoint(&home).await, cluster.http_endpoint(&away).await);
    let kms = client(&home_endpoint, &home, ACCOUNT, 3);
    let europe = client(&away_endpoint, &away, ACCOUNT, 3);

    let made = kms.create_key().multi_region(true).send().await.expect("a key is made");
    let primary = made.key_metadata.expect("the answer describes it");
    let replicated = kms.replicate_key().key_id(&primary.key_id).replica_region("eu-west-1").send().await;
    let replica = replicated.expect("a replica").replica_key_metadata.expect("the answer describes it");
    assert_eq!(replica.key_id, primary.key_id);
    let configuration = replica.multi_region_configuration.expect("it belongs to a set");
    assert_eq!(configuration.multi_region_key_type, Some(MultiRegionKeyType::Replica));

    let key_id: KeyId = primary.key_id.parse().expect("an id of a key");
    let is_enabled = |state: &meridian_state::RegionState| {
        state.key(key_id).is_some_and(|key| key.state == meridian_model::KeyState::Enabled)
    };
    cluster.await_state(&away, "the replica is enabled", is_enabled).await;
    assert_eq!(state_of(&europe, &primary.key_id).await, KeyState::Enabled);

    let encrypted = kms.encrypt().key_id(&primary.key_id).plaintext(Blob::new("from afar")).send().await;
    let blob = encrypted.expect("encrypted").ciphertext_blob.expect("a ciphertext");
    let opened = europe.decrypt().ciphertext_blob(blob).key_id(&primary.key_id).send().await.expect("decrypted");
    assert_eq!(opened.plaintext.expect("a plaintext").as_ref(), b"from afar");
    assert_eq!(opened.key_id, replica.arn);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_carry_a_program_over_a_lost_leader() {
    let (mut cluster, endpoint, kms) = one_region().await;
    let home = region("us-east-1");
    let patient = client(&endpoint, &home, ACCOUNT, 12);
    let first = create_key(&kms).await;
    for _ in 0..2 {
        let leader = cluster.await_leader(&home).await;
        cluster.kill(&leader).await;
        // Nothing waits for the election here: that is what the client's retries are for.
        let made = create_key(&patient).await;
        assert_eq!(state_of(&patient, &made.key_id).await, KeyState::Enabled);
        assert_eq!(state_of(&patient, &first.key_id).await, KeyState::Enabled);
        cluster.restart(&leader).await;
        cluster.await_ready().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_writes_fail_with_an_error_worth_a_retry() {
    let (mut cluster, endpoint, kms) = one_region().await;
    let home = region("us-east-1");
    let key = create_key(&kms).await;
    let nodes = cluster.running(&home);
    for node in &nodes[..2] {
        cluster.kill(node).await;
    }
    let impatient = client(&endpoint, &home, ACCOUNT, 1);
    let error = impatient.disable_key().key_id(&key.key_id).send().await.expect_err("nobody can commit that");
    let SdkError::ServiceError(refusal) = &error else { panic!("an answer, not a broken connection: {error:?}") };
    assert_eq!(refusal.raw().status().as_u16() / 100, 5, "a failure of ours, which clients retry: {error:?}");

    for node in &nodes[..2] {
        cluster.restart(node).await;
    }
    cluster.await_ready().await;
    let patient = client(&endpoint, &home, ACCOUNT, 12);
    patient.disable_key().key_id(&key.key_id).send().await.expect("the majority is back");
    assert_eq!(state_of(&patient, &key.key_id).await, KeyState::Disabled);
}
