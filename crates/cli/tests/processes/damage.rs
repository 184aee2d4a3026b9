//! Files that were damaged, and a disk that is full: what was acknowledged is kept, or the node says that it is not.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;

use crate::client::Client;
use crate::cluster::{Deployment, DevOptions, READY, text};
use crate::disk::{SmallDisk, length, overwrite_middle, truncate};
use crate::process::{END_LIMIT, Process, complaints, wait_for};

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let options = DevOptions::one_region(3).data_dir(&disk.path().join("data"));
    let dev = options.start();
    let client = dev.client("us-east-1");
    let mut kept: Vec<String> = (0..5).map(|_| client.create_key()).collect();
    let ciphertext = client.encrypt(&kept[0], "before the disk was full");
    let ballast = disk.fill_but(256 << 10); // so that it becomes full in the middle of something

    let mut refusals = 0;
    for number in 0..2_000 {
        let request = json!({"Description": format!("{number}{}", "x".repeat(4_000))});
        match client.try_call("CreateKey", &request) {
            Ok(answer) if answer.status == 200 => {
                kept.push(answer.json()["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned());
            }
            Ok(answer) => {
                assert!(answer.status >= 500, "a full disk is no fault of the client: {}", answer.text());
                refusals += 1;
            }
            Err(_) => refusals += 1, // the process has given up
        }
        if refusals == 3 {
            break;
        }
    }
    assert_eq!(refusals, 3, "{} writes found room on a full disk", kept.len());
    println!("{} keys are acknowledged", kept.len());
    assert!(kept.len() > 5, "the disk was full before anything was written to it");
    let ended = dev.process.wait_end(); // by itself: its nodes cannot keep what they promise
    ended.assert_refused(&["us-east-1/", "stopped by itself", "No space left on device"]);

    std::fs::remove_file(ballast).expect("ours");
    let dev = options.start();
    let client = dev.client("us-east-1");
    assert_eq!(client.decrypt(&ciphertext), "before the disk was full");
    for key in &kept {
        client.call("DescribeKey", &json!({"KeyId": key}));
    }
    client.create_key();
    let ended = dev.process.end(Signal::TERM);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = complaints(&ended.stderr, &["a half-written end of the audit trail", "the state image is unusable"]);
    assert!(said.is_empty(), "{said:?}");
    for node in 1..=3 {
        let trail = text(&disk.path().join(format!("data/us-east-1/node-{node}/audit")));
        let verified = Process::start("audit verify", &["audit", "verify", "--directory", &trail]).wait_end();
        assert_eq!(verified.code, Some(0), "the trail of node {node}: {}", verified.stderr);
    }
}

#[test]
fn a_node_whose_disk_is_full_stops_and_its_region_goes_on() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let temp = tempfile::tempdir().expect("a temporary folder");
    let mut deployment = Deployment::init(temp.path());
    deployment.data[2] = disk.path().join("data");
    let [first, second, third] = deployment.start();
    let ballast = disk.fill_but(64 << 10);
    let client = deployment.client(1);
    let mut third = third;
    let description = "x".repeat(4_000);
    let keys: Vec<_> =
        (0..40).map(|_| client.call_until_done("CreateKey", &json!({"Description": description}))).collect();
    wait_for("node 3 gives up", || (!third.is_running()).then_some(()));
    third.wait_end().assert_refused(&["stopped by itself", "No space left on device"]);
    client.call("DescribeKey", &json!({"KeyId": keys[0]["KeyMetadata"]["KeyId"]}));

    std::fs::remove_file(ballast).expect("ours");
    let third = deployment.launch(3);
    deployment.wait_ready(3);
    for key in &keys {
        deployment.client(3).call("DescribeKey", &json!({"KeyId": key["KeyMetadata"]["KeyId"]}));
    }
    for node in [first, second, third] {
        assert_eq!(node.end(Signal::TERM).code, Some(0));
    }
}

#[test]
fn a_damaged_state_image_is_rebuilt() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let data = temp.path().join("data");
    let options = DevOptions::one_region(3).data_dir(&data);
    let dev = options.start();
    let client = dev.client("us-east-1");
    let keys: Vec<_> = (0..12).map(|_| client.create_key()).collect();
    let ciphertexts: Vec<_> = keys.iter().map(|key| client.encrypt(key, key)).collect();
    client.call("CreateAlias", &json!({"AliasName": "alias/kept", "TargetKeyId": keys[7]}));
    dev.process.end(Signal::TERM).assert_clean();

    let image = |node: u8| image_file(&data.join("us-east-1").join(format!("node-{node}")));
    overwrite_middle(&image(1), 2);
    truncate(&image(2), length(&image(2)) / 2);
    std::fs::write(image(3), vec![0_u8; 100]).expect("writable");

    for round in 0..2 {
        let dev = options.start();
        let client = dev.client("us-east-1");
        // Each node is asked in turn, and about everything.
        for (key, ciphertext) in keys.iter().zip(&ciphertexts) {
            for _ in 0..3 {
                assert_eq!(&client.decrypt(ciphertext), key);
            }
        }
        let described = client.call("DescribeKey", &json!({"KeyId": "alias/kept"}));
        assert_eq!(described["KeyMetadata"]["KeyId"], keys[7].as_str());
        let ended = dev.process.end(Signal::TERM);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let said = complaints(&ended.stderr, &["state image"]);
        assert!(said.is_empty(), "round {round}: {said:?}");
        let rebuilt = complaints(&ended.stderr, &[]).len();
        assert!(if round == 0 { rebuilt >= 1 } else { rebuilt == 0 }, "round {round}: {}", ended.stderr);
    }
}

fn image_file(node: &Path) -> PathBuf {
    let entries = std::fs::read_dir(node.join("state")).expect("a node's data");
    let mut images: Vec<_> = entries.map(|entry| entry.expect("readable").path().join("db")).collect();
    images.retain(|path| path.is_file());
    assert_eq!(images.len(), 1, "{images:?}");
    images.remove(0)
}

#[test]
fn a_damaged_log_stops_its_node_and_no_other() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::init(temp.path());
    let [first, second, third] = deployment.start();
    let keys: Vec<_> = (0..10).map(|_| deployment.client(1).create_key()).collect();
    let ciphertext = deployment.client(3).encrypt(&keys[9], "kept by the others");
    assert_eq!(third.end(Signal::TERM).code, Some(0));

    let log = deployment.data(3).join("raft");
    let file = log_file(&log);
    let whole = std::fs::read(&file).expect("readable");
    let folder = text(&log);
    let refused = |what: &str| {
        let ended = deployment.launch(3).wait_end();
        println!("{what}: {}", ended.stderr.lines().last().unwrap_or_default());
        ended.assert_refused(&[&folder, "damaged", "peers", "backup"]);
        assert!(!ended.stdout.contains(READY) && ended.took < END_LIMIT);
        std::fs::write(&file, &whole).expect("writable");
    };
    overwrite_middle(&file, 2);
    refused("its middle is overwritten");
    overwrite_middle(&file, 100);
    refused("its beginning is overwritten");
    truncate(&file, length(&file) / 2);
    refused("half of it is gone");
    truncate(&file, length(&file) * 3 / 4);
    refused("a quarter of it is gone");
    std::fs::remove_file(&file).expect("ours");
    refused("it is gone");

    // The others do not care.
    deployment.client(1).create_key();
    deployment.client(2).call("DescribeKey", &json!({"KeyId": keys[0]}));

    // What power loss leaves behind the last acknowledged byte is no damage.
    let torn: &[&[u8]] = &[&[0; 300], &whole[..7]];
    for tail in torn {
        let file = log_file(&log);
        let content = std::fs::read(&file).expect("readable");
        std::fs::write(&file, [content.as_slice(), tail].concat()).expect("writable");
        let third = deployment.launch(3);
        deployment.wait_ready(3);
        assert_eq!(deployment.client(3).decrypt(&ciphertext), "kept by the others");
        assert_eq!(third.end(Signal::TERM).code, Some(0));
    }

    // What the message says helps.
    std::fs::remove_dir_all(deployment.data(3)).expect("ours");
    let third = deployment.launch(3);
    deployment.wait_ready(3);
    let client: Client = deployment.client(3);
    for key in &keys {
        client.call("DescribeKey", &json!({"KeyId": key}));
    }
    assert_eq!(client.decrypt(&ciphertext), "kept by the others");
    for node in [first, second, third] {
        let ended = node.end(Signal::TERM);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

/// The newest file of a log, which is the one being written.
fn log_file(log: &Path) -> PathBuf {
    let entries = std::fs::read_dir(log).expect("a node's log");
    let files = entries.map(|entry| entry.expect("readable").path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "wal"));
    files.max().expect("a log has a file")
}
