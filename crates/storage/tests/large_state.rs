//! How long a start takes with many keys. Slow to prepare, so only run when asked for:
//! `cargo test --release -p meridian-storage --test large_state -- --ignored --nocapture`

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use meridian_model::{KeyId, KeySpec, KeyUsageType, OriginType, Partition, Timestamp};
use meridian_state::command::CreateKey;
use meridian_state::{Command, Op};
use meridian_storage::NodeStorage;
use meridian_storage::raft_types::{Entry, Payload, Proposal, TypeConfig, Vote, log_id};
use openraft::RaftSnapshotBuilder;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;

/// The goal for a start, with a million keys.
const GOAL: Duration = Duration::from_secs(10);
/// Keys per account: below the account's quota.
const KEYS_PER_ACCOUNT: u64 = 50_000;

fn open(folder: &Path) -> NodeStorage {
    NodeStorage::open(folder, &"us-east-1".parse().unwrap(), Partition::Aws).unwrap()
}

fn entry(index: u64) -> Entry {
    let mut random = [3; 16];
    random[..8].copy_from_slice(&index.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    let op = Op::CreateKey(CreateKey {
        key_id: KeyId::single_region(random),
        account: format!("{:012}", index / KEYS_PER_ACCOUNT).parse().unwrap(),
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsageType::EncryptDecrypt,
        origin: OriginType::External,
        description: format!("{index:0300}"),
        policy: Some(format!("{{\"Id\":\"{index:0500}\"}}")),
        tags: BTreeMap::new(),
        material: None,
    });
    let command = Command { at: Timestamp::from_millis(index), op };
    Entry { log_id: log_id(1, 1, index), payload: Payload::Normal(Proposal(Bytes::from(command.encode()))) }
}

async fn grow(storage: &mut NodeStorage, keys: u64) {
    storage.log.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    for begin in (0..keys).step_by(1_000) {
        let entries: Vec<_> = (begin..keys.min(begin + 1_000)).map(entry).collect();
        let (sender, flushed) = TypeConfig::oneshot();
        storage.log.append(entries.clone(), IOFlushed::signal(sender)).await.unwrap();
        flushed.await.unwrap().unwrap();
        let entries = futures::stream::iter(entries.into_iter().map(|entry| Ok((entry, None))));
        storage.machine.apply(entries).await.unwrap();
    }
    storage.log.save_committed(Some(log_id(1, 1, keys - 1))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prepares a million keys; run it in release when starts may have become slower"]
async fn a_start_with_a_million_keys_takes_ten_seconds_at_most() {
    let keys = std::env::var("MERIDIAN_KEYS").map_or(1_000_000, |text| text.parse().unwrap());
    let temp = tempfile::tempdir().unwrap();
    let mut storage = open(temp.path());
    let begun = Instant::now();
    grow(&mut storage, keys).await;
    println!("{keys} keys were made in {:?}", begun.elapsed());
    let begun = Instant::now();
    storage.machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    println!("a snapshot took {:?}", begun.elapsed());
    storage.log.purge(log_id(1, 1, keys - 1)).await.unwrap();
    let begun = Instant::now();
    storage.handle.close(true).await;
    drop(storage);
    println!("closing took {:?}", begun.elapsed());
    for (what, without_image) in [("from the image", false), ("from the snapshot", true)] {
        if without_image {
            std::fs::remove_dir_all(temp.path().join("state")).unwrap();
        }
        let begun = Instant::now();
        let storage = open(temp.path());
        let taken = begun.elapsed();
        println!("a start {what} took {taken:?}");
        assert_eq!(storage.handle.reader().state().total_keys() as u64, keys);
        assert!(taken < GOAL, "a start {what} took {taken:?}");
        storage.handle.close(true).await;
    }
}
