//! A trail as its callers see it: written at once, chained across restarts, and honest about what happened to it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use meridian_audit::verify::{read, verify};
use meridian_audit::{
    AuditRecord, EventType, Fault, Head, OpenError, SourceAddress, Trail, TrailConfig, TrailError, UserIdentity,
    VerifyError, ids,
};
use meridian_model::{Region, Timestamp};

fn config(directory: &Path) -> TrailConfig {
    TrailConfig { sync_interval: Duration::from_millis(20), ..TrailConfig::new(directory, "us-east-1/1") }
}

async fn record(trail: &Trail, request_id: &str) -> Result<(), TrailError> {
    let region: Region = "us-east-1".parse().unwrap();
    let account = "111122223333".parse().unwrap();
    let record = AuditRecord {
        identity: &UserIdentity::internal(account),
        event_time: Timestamp::from_millis(1_660_171_107_475),
        event_source: meridian_audit::record::EVENT_SOURCE_KMS,
        event_name: "DescribeKey",
        region: &region,
        source_address: SourceAddress::Ip("127.0.0.1".parse().unwrap()),
        user_agent: None,
        error: None,
        request_parameters: None,
        response_elements: None,
        additional_event_data: None,
        request_id: Some(request_id),
        event_id: ids::unique_id(),
        read_only: true,
        resources: Some(&[]),
        event_type: EventType::AwsApiCall,
        recipient_account: account,
        service_event_details: None,
        tls: None,
        vpc_endpoint_id: None,
    };
    let written = trail.record(&record);
    written.await
}

async fn written(directory: &Path, ids: std::ops::Range<u32>) -> Head {
    let trail = Trail::open(config(directory)).unwrap();
    for id in ids {
        record(&trail, &id.to_string()).await.unwrap();
    }
    trail.close().await.unwrap();
    trail.head()
}

fn request_ids(directory: &Path) -> Vec<String> {
    let mut ids = Vec::new();
    let visited = read(directory, None, |line| {
        let record: serde_json::Value = serde_json::from_slice(line.record).unwrap();
        ids.push(record["requestID"].as_str().unwrap().to_owned());
    });
    visited.unwrap();
    ids
}

fn files(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_str().unwrap().contains(suffix)).collect();
    files.sort();
    files
}

fn fault(directory: &Path, noted: Option<Head>) -> (u64, Fault) {
    match verify(directory, noted) {
        Err(VerifyError::Broken(found)) => (found.line, found.fault),
        other => panic!("expected a break, got {other:?}"),
    }
}

fn edit(directory: &Path, change: impl FnOnce(String) -> String) {
    let file = files(directory, ".jsonl").pop().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, change(text)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_records_are_in_the_file_when_their_futures_resolve() {
    let directory = tempfile::tempdir().unwrap();
    let trail = std::sync::Arc::new(Trail::open(config(directory.path())).unwrap());
    let tasks = (0..32).map(|task| {
        let (trail, directory) = (trail.clone(), directory.path().to_owned());
        tokio::spawn(async move {
            for turn in 0..50 {
                record(&trail, &format!("{task}-{turn}")).await.unwrap();
            }
            let file = std::fs::read_to_string(files(&directory, ".jsonl").pop().unwrap()).unwrap();
            assert!(file.contains(&format!("\"{task}-49\"")));
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let verified = verify(directory.path(), Some(trail.head())).unwrap();
    assert_eq!((verified.records, verified.head.sequence, verified.unfinished_bytes), (1600, 1600, 0));
    let mode = std::fs::metadata(files(directory.path(), ".jsonl").pop().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(trail.is_healthy());
}

#[tokio::test]
async fn a_restart_continues_the_chain() {
    let directory = tempfile::tempdir().unwrap();
    let first = written(directory.path(), 0..3).await;
    let second = written(directory.path(), 3..5).await;
    let verified = verify(directory.path(), Some(first)).unwrap();
    assert_eq!((verified.files, verified.records, verified.head), (1, 5, second));
    assert_eq!(request_ids(directory.path()), ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_full_file_is_followed_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let trail = Trail::open(TrailConfig { rotate_bytes: 0, ..config(directory.path()) }).unwrap();
    for id in 0..5 {
        record(&trail, &id.to_string()).await.unwrap();
    }
    trail.close().await.unwrap();
    assert_eq!(verify(directory.path(), Some(trail.head())).unwrap().files, 5);
    assert_eq!(request_ids(directory.path()).len(), 5);

    let oldest = files(directory.path(), ".jsonl").swap_remove(0);
    std::fs::remove_file(oldest).unwrap(); // archived elsewhere
    let rest = verify(directory.path(), None).unwrap();
    assert_eq!((rest.start.sequence, rest.records), (1, 4));

    let middle = files(directory.path(), ".jsonl").swap_remove(1);
    std::fs::remove_file(middle).unwrap();
    assert!(matches!(fault(directory.path(), None), (1, Fault::Discontinuous { .. })));
}

#[tokio::test]
async fn rotation_that_fails_refuses_and_recovers() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, away) = (parent.path().join("trail"), parent.path().join("away"));
    let trail = Trail::open(TrailConfig { rotate_bytes: 0, ..config(&directory) }).unwrap();
    record(&trail, "0").await.unwrap();
    std::fs::rename(&directory, &away).unwrap();
    assert!(matches!(record(&trail, "1").await, Err(TrailError::Write(_))));
    assert!(!trail.is_healthy());
    std::fs::rename(&away, &directory).unwrap();
    record(&trail, "2").await.unwrap();
    assert!(trail.is_healthy());
    assert_eq!(request_ids(&directory), ["0", "2"]);
}

#[tokio::test]
async fn a_torn_last_line_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), 0..2).await;
    let file = files(directory.path(), ".jsonl").pop().unwrap();
    let torn = b"{\"sequence\":3,\"hash\":\"00";
    OpenOptions::new().append(true).open(&file).unwrap().write_all(torn).unwrap();
    assert_eq!(verify(directory.path(), None).unwrap().unfinished_bytes, torn.len() as u64);

    let trail = Trail::open(config(directory.path())).unwrap();
    let aside = trail.recovery().set_aside.clone().unwrap();
    assert_eq!(std::fs::read(aside).unwrap(), torn);
    assert_eq!(trail.recovery().damage, None);
    record(&trail, "2").await.unwrap();
    assert_eq!(request_ids(directory.path()), ["0", "1", "2"]);
}

#[tokio::test]
async fn a_file_that_was_only_begun_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let head = written(directory.path(), 0..2).await;
    std::fs::write(directory.path().join("audit-00000000000000000003.jsonl"), b"{\"trail\":\"mer").unwrap();
    assert_eq!(verify(directory.path(), Some(head)).unwrap().records, 2);
    let trail = Trail::open(config(directory.path())).unwrap();
    assert!(trail.recovery().set_aside.is_some());
    assert_eq!(trail.head(), head);
}

#[tokio::test]
async fn damage_before_the_end_stays_visible_while_the_chain_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let head = written(directory.path(), 0..5).await;
    edit(directory.path(), |text| text.replacen("DescribeKey", "DescribeKex", 2).replacen("Kex", "Key", 1));
    let trail = Trail::open(config(directory.path())).unwrap();
    let damage = trail.recovery().damage.clone().unwrap();
    assert_eq!((damage.line, damage.fault), (3, Fault::WrongHash { sequence: 2 }));
    assert_eq!(trail.head(), head);
    record(&trail, "5").await.unwrap();
    assert_eq!(files(directory.path(), ".jsonl").len(), 2);
    assert_eq!(fault(directory.path(), None), (3, Fault::WrongHash { sequence: 2 }));
}

type Edit = Box<dyn Fn(String) -> String>;

#[tokio::test]
async fn every_kind_of_tampering_is_found() {
    let line = |text: &str, number: usize| text.lines().nth(number).unwrap().to_owned() + "\n";
    let cases: [(&str, Edit, u64); 6] = [
        ("changed", Box::new(|text| text.replacen("\"readOnly\":true", "\"readOnly\":null", 1)), 2),
        ("dropped", Box::new(move |text| text.replace(&line(&text, 2), "")), 3),
        ("swapped", Box::new(move |text| line(&text, 0) + &line(&text, 2) + &line(&text, 1) + &line(&text, 3)), 2),
        ("repeated", Box::new(move |text| text.clone() + &line(&text, 3)), 5),
        ("junk", Box::new(|text| text.replacen("{\"sequence\":2", "{\"sequenz\":2", 1)), 3),
        ("other node", Box::new(|text| text.replacen("us-east-1/1", "us-east-1/2", 1)), 1),
    ];
    for (name, change, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), 0..3).await;
        edit(directory.path(), change);
        assert_eq!(fault(directory.path(), None).0, expected, "{name}");
    }
}

#[tokio::test]
async fn a_cut_end_is_found_by_a_noted_head_only() {
    let directory = tempfile::tempdir().unwrap();
    let head = written(directory.path(), 0..3).await;
    edit(directory.path(), |text| text.split_inclusive('\n').take(3).collect());
    assert_eq!(verify(directory.path(), None).unwrap().records, 2);
    assert!(matches!(fault(directory.path(), Some(head)).1, Fault::HeadMissing { expected, .. } if expected == head));
}

#[tokio::test]
async fn a_directory_serves_one_trail_of_one_node() {
    let directory = tempfile::tempdir().unwrap();
    let trail = Trail::open(config(directory.path())).unwrap();
    assert!(matches!(Trail::open(config(directory.path())), Err(OpenError::InUse { .. })));
    trail.close().await.unwrap();
    assert!(matches!(record(&trail, "late").await, Err(TrailError::Closed)));
    let other = TrailConfig { node: "us-east-1/2".to_owned(), ..config(directory.path()) };
    assert!(matches!(Trail::open(other), Err(OpenError::OtherNode { .. })));
    drop(Trail::open(config(directory.path())).unwrap());
}

#[tokio::test]
async fn an_oversized_record_is_refused_and_a_small_queue_only_waits() {
    let directory = tempfile::tempdir().unwrap();
    let trail = Trail::open(TrailConfig { queue_bytes_max: 1, ..config(directory.path()) }).unwrap();
    assert!(matches!(record(&trail, &"x".repeat(3 << 20)).await, Err(TrailError::TooLong { .. })));
    let half = "x".repeat(1 << 20);
    let waiting: Vec<_> = (0..4).map(|_| record(&trail, &half)).collect();
    for written in waiting {
        written.await.unwrap();
    }
    assert_eq!(verify(directory.path(), None).unwrap().records, 4);
}
