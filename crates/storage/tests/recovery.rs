//! What a node starts from after a clean stop, a crash, and damage to any of its files.
//!
//! Wherever one good copy is left, the state after the start is byte for byte the state before it; where none is,
//! the node refuses to start and names the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use meridian_model::{KeyId, KeySpec, KeyUsageType, OriginType, Partition, Region, Timestamp};
use meridian_state::command::CreateKey;
use meridian_state::{Command, Op};
use meridian_storage::raft_types::{Entry, Payload, Proposal, TypeConfig, Vote, log_id};
use meridian_storage::{NodeStorage, StorageError};
use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine, StorageHelper};
use openraft::type_config::TypeConfigExt;
use openraft::{RaftLogReader, RaftSnapshotBuilder};
use tempfile::TempDir;

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn region() -> Region {
    "eu-west-1".parse().unwrap()
}

fn open(folder: &Path) -> Result<NodeStorage, StorageError> {
    NodeStorage::open(folder, &region(), Partition::Aws)
}

fn entry(index: u64) -> Entry {
    let mut random = [0; 16];
    random[..8].copy_from_slice(&index.to_be_bytes());
    let op = Op::CreateKey(CreateKey {
        key_id: KeyId::single_region(random),
        account: "000000000000".parse().unwrap(),
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsageType::EncryptDecrypt,
        origin: OriginType::External,
        description: format!("key {index}"),
        policy: None,
        tags: BTreeMap::from([("index".to_owned(), index.to_string())]),
        material: None,
    });
    let command = Command { at: Timestamp::from_millis(index), op };
    Entry { log_id: log_id(1, 1, index), payload: Payload::Normal(Proposal(Bytes::from(command.encode()))) }
}

/// Appends, commits and applies entries, as the engine would.
async fn grow(storage: &mut NodeStorage, indexes: std::ops::Range<u64>) {
    let last = indexes.end - 1;
    let entries: Vec<_> = indexes.map(entry).collect();
    let (sender, flushed) = TypeConfig::oneshot();
    storage.log.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    storage.log.append(entries.clone(), IOFlushed::signal(sender)).await.unwrap();
    flushed.await.unwrap().unwrap();
    storage.log.save_committed(Some(log_id(1, 1, last))).await.unwrap();
    storage.machine.apply(futures::stream::iter(entries.into_iter().map(|entry| Ok((entry, None))))).await.unwrap();
}

fn rows(storage: &NodeStorage) -> Rows {
    storage.handle.reader().state().rows().collect()
}

/// Lets the engine replay the log, and tells what the state is then.
async fn recovered(mut storage: NodeStorage) -> Rows {
    let mut helper = StorageHelper::new(&mut storage.log, &mut storage.machine).with_id(1);
    helper.get_initial_state().await.unwrap();
    let rows = rows(&storage);
    storage.handle.close(false).await;
    rows
}

/// A closed node that has applied 300 entries; if `compacted`, a snapshot reaches to 200 and the log begins there.
async fn prepared(compacted: bool, clean: bool) -> (TempDir, Rows) {
    let temp = tempfile::tempdir().unwrap();
    let mut storage = open(temp.path()).unwrap();
    grow(&mut storage, 0..201).await;
    if compacted {
        storage.machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
        storage.log.purge(log_id(1, 1, 200)).await.unwrap();
    }
    grow(&mut storage, 201..300).await;
    let rows = rows(&storage);
    storage.handle.close(clean).await;
    (temp, rows)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x55;
    std::fs::write(path, bytes).unwrap();
}

fn wal(folder: &Path) -> PathBuf {
    files(&folder.join("raft")).into_iter().find(|path| path.extension().is_some_and(|it| it == "wal")).unwrap()
}

#[tokio::test]
async fn a_clean_stop_is_continued_without_replaying() {
    for compacted in [false, true] {
        let (temp, expected) = prepared(compacted, true).await;
        let mut storage = open(temp.path()).unwrap();
        assert_eq!(storage.machine.applied_state().await.unwrap().0, Some(log_id(1, 1, 299)));
        assert_eq!(rows(&storage), expected);
        grow(&mut storage, 300..310).await;
        let expected = rows(&storage);
        storage.handle.close(true).await;
        assert_eq!(recovered(open(temp.path()).unwrap()).await, expected);
    }
}

#[tokio::test]
async fn a_crash_is_recovered_from_whatever_was_written() {
    for compacted in [false, true] {
        let (temp, expected) = prepared(compacted, false).await;
        assert_eq!(recovered(open(temp.path()).unwrap()).await, expected);
        assert_eq!(recovered(open(temp.path()).unwrap()).await, expected, "a second time");
    }
}

#[tokio::test]
async fn a_damaged_image_is_rebuilt() {
    for (clean, compacted) in [(true, false), (true, true), (false, false), (false, true)] {
        let (temp, expected) = prepared(compacted, clean).await;
        for round in 0..4 {
            for path in files(&temp.path().join("state")) {
                let length = std::fs::metadata(&path).unwrap().len();
                if length > 0 {
                    flip(&path, usize::try_from((length / 5) * round).unwrap());
                }
            }
            let storage = open(temp.path()).unwrap();
            assert_eq!(recovered(storage).await, expected, "clean {clean}, compacted {compacted}, round {round}");
        }
    }
}

#[tokio::test]
async fn an_image_that_killed_the_last_start_is_not_tried_again() {
    let (temp, expected) = prepared(true, true).await;
    std::fs::write(temp.path().join("state/LOADING"), []).unwrap();
    let mut storage = open(temp.path()).unwrap();
    assert_eq!(storage.machine.applied_state().await.unwrap().0, Some(log_id(1, 1, 200)), "from the snapshot");
    assert_eq!(recovered(storage).await, expected);
}

#[tokio::test]
async fn an_image_ahead_of_the_log_is_not_believed() {
    let (temp, _) = prepared(true, true).await;
    let (shorter, expected) = {
        let shorter = tempfile::tempdir().unwrap();
        let mut storage = open(shorter.path()).unwrap();
        grow(&mut storage, 0..250).await;
        let rows = rows(&storage);
        storage.handle.close(true).await;
        (shorter, rows)
    };
    std::fs::remove_dir_all(shorter.path().join("state")).unwrap();
    std::fs::rename(temp.path().join("state"), shorter.path().join("state")).unwrap();
    assert_eq!(recovered(open(shorter.path()).unwrap()).await, expected);
}

#[tokio::test]
async fn a_damaged_snapshot_matters_only_if_it_is_needed() {
    let (temp, expected) = prepared(true, true).await;
    let snapshot = files(&temp.path().join("snapshots")).remove(0);
    let length = usize::try_from(std::fs::metadata(&snapshot).unwrap().len()).unwrap();
    flip(&snapshot, length / 2);
    let mut storage = open(temp.path()).unwrap();
    assert_eq!(storage.machine.applied_state().await.unwrap().0, Some(log_id(1, 1, 299)), "from the image");
    storage.handle.close(true).await;
    std::fs::remove_dir_all(temp.path().join("state")).unwrap();
    let error = open(temp.path()).unwrap_err();
    assert!(matches!(error, StorageError::SnapshotUnusable { .. }), "{error}");
    assert!(error.to_string().contains(snapshot.to_str().unwrap()), "{error}");
    flip(&snapshot, length / 2);
    assert_eq!(recovered(open(temp.path()).unwrap()).await, expected, "repaired by hand");
    std::fs::remove_dir_all(temp.path().join("state")).unwrap();
    std::fs::remove_file(&snapshot).unwrap();
    let error = open(temp.path()).unwrap_err();
    assert!(matches!(error, StorageError::Gap { purged: 200, applied: 0, .. }), "{error}");
}

#[tokio::test]
async fn every_single_damaged_byte_of_a_snapshot_is_noticed() {
    let (temp, _) = prepared(true, true).await;
    let path = files(&temp.path().join("snapshots")).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    let storage = open(temp.path()).unwrap();
    for at in (0..bytes.len()).step_by(97).chain(bytes.len() - 40..bytes.len()).chain(0..64) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let mut receiver = storage.handle.snapshots().receive().unwrap();
        receiver.write(&damaged).unwrap();
        let result = receiver.finish().and_then(|file| file.verify());
        assert!(result.is_err(), "byte {at}");
    }
    for cut in [0, 1, 100, bytes.len() - 1] {
        let mut receiver = storage.handle.snapshots().receive().unwrap();
        receiver.write(&bytes[..cut]).unwrap();
        assert!(receiver.finish().is_err(), "cut to {cut}");
    }
    storage.handle.close(false).await;
}

#[tokio::test]
async fn a_snapshot_of_another_region_is_refused() {
    let (temp, _) = prepared(true, true).await;
    std::fs::remove_dir_all(temp.path().join("state")).unwrap();
    let other = "us-east-1".parse().unwrap();
    let error = NodeStorage::open(temp.path(), &other, Partition::Aws).unwrap_err();
    assert!(error.to_string().contains("eu-west-1"), "{error}");
}

#[tokio::test]
async fn damage_to_acknowledged_records_stops_the_node() {
    let (temp, _) = prepared(false, true).await;
    let (path, bytes) = (wal(temp.path()), std::fs::read(wal(temp.path())).unwrap());
    for at in (20..bytes.len() - 60).step_by(bytes.len() / 23) {
        flip(&path, at);
        let error = open(temp.path()).unwrap_err();
        assert!(matches!(error, StorageError::LogDamaged { .. }), "byte {at}: {error}");
        assert!(error.to_string().contains("damaged at byte"), "{error}");
        std::fs::write(&path, &bytes).unwrap();
    }
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(open(temp.path()).unwrap_err(), StorageError::LogDamaged { .. }), "cut in the middle");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(open(temp.path()).unwrap_err(), StorageError::LogDamaged { .. }), "removed");
}

#[tokio::test]
async fn damage_without_a_mark_is_still_noticed() {
    let (temp, _) = prepared(false, true).await;
    std::fs::remove_file(temp.path().join("raft/ACKNOWLEDGED")).unwrap();
    let path = wal(temp.path());
    let length = std::fs::read(&path).unwrap().len();
    flip(&path, length / 2);
    assert!(matches!(open(temp.path()).unwrap_err(), StorageError::LogUnreadable { .. }));
}

#[tokio::test]
async fn a_tail_that_was_never_acknowledged_is_cut() {
    let (temp, expected) = prepared(false, true).await;
    let (path, bytes) = (wal(temp.path()), std::fs::read(wal(temp.path())).unwrap());
    let half_a_record = bytes[bytes.len() / 3..bytes.len() / 3 + 7].to_vec();
    for tail in [vec![0; 5_000], vec![0, 0, 0, 1, 0, 0], half_a_record[..3].to_vec()] {
        std::fs::write(&path, [bytes.as_slice(), &tail].concat()).unwrap();
        let mut storage = open(temp.path()).unwrap();
        assert_eq!(storage.log.try_get_log_entries(299..).await.unwrap(), [entry(299)]);
        assert_eq!(rows(&storage), expected);
        storage.handle.close(true).await;
        for extra in files(&temp.path().join("raft")) {
            if extra.extension().is_some_and(|it| it == "wal") && extra != path {
                std::fs::remove_file(extra).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn an_undecodable_command_is_an_error_of_the_state_machine() {
    let temp = tempfile::tempdir().unwrap();
    let mut storage = open(temp.path()).unwrap();
    let payload = Payload::Normal(Proposal(Bytes::from_static(&[99, 1, 2, 3])));
    let entry = Entry { log_id: log_id(1, 1, 0), payload };
    let error = storage.machine.apply(futures::stream::iter([Ok((entry, None))])).await.unwrap_err();
    assert!(error.to_string().contains("entry 0 cannot be applied"), "{error}");
    storage.handle.close(false).await;
}
