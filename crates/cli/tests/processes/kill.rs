//! `kill -9` while clients write: whatever was acknowledged is there afterwards.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;

use crate::client::Client;
use crate::cluster::{DevOptions, text};
use crate::disk::overwrite_middle;
use crate::process::{Ended, Process, wait_for};

/// How often the cluster is killed.
const ROUNDS: usize = 3;
/// Writes that must be acknowledged in a round before the cluster is killed.
const WRITES_PER_ROUND: usize = 25;
/// Clients that write at the same time.
const WRITERS: usize = 3;

#[test]
fn acknowledged_writes_survive_kills() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let options = DevOptions::one_region(3).data_dir(&temp.path().join("data"));
    let record = Arc::new(Record::default());
    for round in 0..ROUNDS {
        let dev = options.start();
        println!("round {round}: ready after {:?}", dev.ready_after);
        let client = dev.client("us-east-1");
        record.assert_kept(&client);
        let before = record.count();
        let writers: Vec<_> = (0..WRITERS).map(|writer| write(&client, &record, round, writer)).collect();
        wait_for("enough writes", || (record.count() >= before + WRITES_PER_ROUND).then_some(()));
        dev.process.kill();
        for writer in writers {
            writer.join().expect("writers do not panic");
        }
        println!("round {round}: {} writes are acknowledged", record.count());
    }
    let dev = options.start();
    record.assert_kept(&dev.client("us-east-1"));
    dev.process.end(Signal::TERM).assert_clean();

    let trail = |node: u8| temp.path().join(format!("data/us-east-1/node-{node}/audit"));
    for node in 1..=3 {
        let verified = verify(&trail(node));
        assert_eq!(verified.code, Some(0), "the trail of node {node}: {}", verified.stderr);
        println!("{}", verified.stdout.lines().next().unwrap_or_default());
    }
    record.assert_recorded(&(1..=3).map(|node| records(&trail(node))).collect::<String>());
    let first = trail(1).join("audit-00000000000000000001.jsonl");
    overwrite_middle(&first, 2);
    verify(&trail(1)).assert_refused(&[&text(&first)]);
}

fn verify(trail: &Path) -> Ended {
    Process::start("audit verify", &["audit", "verify", "--directory", &text(trail)]).wait_end()
}

/// Everything that was acknowledged.
#[derive(Default)]
struct Record {
    count: AtomicUsize,
    keys: Mutex<Vec<(String, String)>>,
    aliases: Mutex<Vec<(String, String)>>,
}

impl Record {
    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn key(&self, id: &str, ciphertext: &str) {
        self.keys.lock().expect("no panics").push((id.to_owned(), ciphertext.to_owned()));
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    fn alias(&self, alias: &str, key: &str) {
        self.aliases.lock().expect("no panics").push((alias.to_owned(), key.to_owned()));
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// The record of a write comes before its answer.
    fn assert_recorded(&self, records: &str) {
        let created: Vec<_> = records.lines().filter(|line| line.contains("\"CreateKey\"")).collect();
        for (id, _) in self.keys.lock().expect("no panics").iter() {
            assert!(created.iter().any(|record| record.contains(id)), "no record tells who created {id}");
        }
    }

    fn assert_kept(&self, client: &Client) {
        for (id, ciphertext) in self.keys.lock().expect("no panics").iter() {
            if ciphertext.is_empty() {
                client.call("DescribeKey", &json!({"KeyId": id}));
            } else {
                assert_eq!(&client.decrypt(ciphertext), id);
            }
        }
        for (alias, key) in self.aliases.lock().expect("no panics").iter() {
            let described = client.call("DescribeKey", &json!({"KeyId": alias}));
            assert_eq!(described["KeyMetadata"]["KeyId"], key.as_str(), "{alias}");
        }
    }
}

/// All records of a trail.
fn records(trail: &Path) -> String {
    let files = std::fs::read_dir(trail).expect("a trail").map(|entry| entry.expect("readable").path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.map(|path| std::fs::read_to_string(path).expect("readable")).collect()
}

/// Writes until the service is gone.
fn write(client: &Client, record: &Arc<Record>, round: usize, writer: usize) -> JoinHandle<()> {
    let (client, record) = (client.clone(), Arc::clone(record));
    std::thread::spawn(move || {
        let call = |operation: &str, request: serde_json::Value| {
            loop {
                let answer = client.try_call(operation, &request).ok()?;
                if answer.status == 200 {
                    return Some(answer);
                }
                // Another node made the key a moment ago, and the one that was asked has not heard of it yet.
                assert_eq!((operation, answer.code().as_str()), ("Encrypt", "NotFoundException"), "{}", answer.text());
            }
        };
        for number in 0.. {
            let Some(created) = call("CreateKey", json!({})) else { return };
            let key = created.json()["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
            record.key(&key, "");
            let alias = format!("alias/{round}-{writer}-{number}");
            let Some(_) = call("CreateAlias", json!({"AliasName": alias, "TargetKeyId": key})) else { return };
            record.alias(&alias, &key);
            let text = STANDARD.encode(&key);
            let Some(encrypted) = call("Encrypt", json!({"KeyId": key, "Plaintext": text})) else { return };
            record.key(&key, encrypted.json()["CiphertextBlob"].as_str().expect("a ciphertext"));
        }
    })
}
