//! A Region of three processes: leaders that die, nodes without their root key, and what `meridian health` says of it.

use std::time::{Duration, Instant};

use meridian_identity::ClientCredentials;
use rustix::process::Signal;
use serde_json::json;

use crate::client::Client;
use crate::cluster::Deployment;
use crate::process::{Ended, Process, complaints};

#[test]
fn writes_go_on_when_nodes_are_killed_and_the_killed_catch_up() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::init(temp.path());
    let started = Instant::now();
    let mut nodes = deployment.start().map(Some);
    println!("three nodes are ready {:?} after their start", started.elapsed());

    // One after the other: whichever leads, at least one of them does when it is killed.
    for victim in 1..=3_u8 {
        let survivor = deployment.client(victim % 3 + 1);
        let before = survivor.create_key();
        nodes[usize::from(victim) - 1].take().expect("it runs").kill();
        let killed = Instant::now();
        let created = survivor.call_until_done("CreateKey", &json!({}));
        println!("node {victim} was killed: a write is acknowledged after {:?}", killed.elapsed());
        assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
        let during = created["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
        let ciphertext = survivor.encrypt(&during, "written without you");
        survivor.call("DescribeKey", &json!({"KeyId": before}));

        let restarted = Instant::now();
        nodes[usize::from(victim) - 1] = Some(deployment.launch(victim));
        deployment.wait_ready(victim);
        println!("node {victim} is ready again {:?} after its start", restarted.elapsed());
        let client = deployment.client(victim);
        client.call("DescribeKey", &json!({"KeyId": before})); // behind a read barrier: it has caught up
        assert_eq!(client.decrypt(&ciphertext), "written without you");
    }
    for node in nodes.iter_mut().flatten() {
        assert!(node.is_running());
    }
    for node in nodes.into_iter().flatten() {
        let ended = node.end(Signal::TERM);
        assert_clean_node(&ended, &["the leader did not answer a change"]); // it was killed
        assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
    }
}

/// What every node of these tests says loudly: they are no example for production.
const EXPECTED: &[&str] = &["speaks plain HTTP", "sealed by nothing but the permissions"];

#[test]
fn a_rolling_restart_loses_nothing_and_complains_of_nothing() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::init(temp.path());
    let mut nodes = deployment.start().map(Some);
    let key = deployment.client(1).create_key();
    for node in 1..=3_u8 {
        let ended = nodes[usize::from(node) - 1].take().expect("it runs").end(Signal::TERM);
        println!("node {node} ended {:?} after SIGTERM", ended.took);
        assert_clean_node(&ended, &[]);
        let stopped = Instant::now();
        let other = deployment.client(node % 3 + 1);
        other.call_until_done("UpdateKeyDescription", &json!({"KeyId": key, "Description": node.to_string()}));
        println!("a write is acknowledged {:?} after node {node} has ended", stopped.elapsed());
        nodes[usize::from(node) - 1] = Some(deployment.launch(node));
        deployment.wait_ready(node);
    }
    let described = deployment.client(2).call("DescribeKey", &json!({"KeyId": key}));
    assert_eq!(described["KeyMetadata"]["Description"], "3");
    for node in nodes.into_iter().flatten() {
        assert_eq!(node.complaints(EXPECTED), Vec::<String>::new());
    }
}

#[test]
fn a_node_without_its_root_key_is_sealed_and_says_so() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::init(temp.path());
    let root_key = deployment.node_folder(3).join("root.key");
    let aside = temp.path().join("root.key");
    std::fs::rename(&root_key, &aside).expect("made by init");
    let nodes = [1, 2, 3].map(|node| deployment.launch(node));
    deployment.wait_ready(1);
    deployment.wait_ready(2);
    deployment.wait_for_administrator(1);
    let key = deployment.client(1).create_key();

    let sealed = deployment.client(3);
    let answer = crate::process::wait_for("node 3 answers", || sealed.get("/readyz").ok());
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("\"sealed\":true"), "{}", answer.text());
    assert_eq!(sealed.get("/healthz").expect("an answer").status, 200, "the process lives");
    for (operation, request) in [
        ("CreateKey", json!({})),
        ("DescribeKey", json!({"KeyId": key})),
        ("Encrypt", json!({"KeyId": key, "Plaintext": "YQ=="})),
    ] {
        let answer = sealed.try_call(operation, &request).expect("an answer");
        assert!(answer.status >= 500, "{operation}: {}", answer.text());
        assert!(answer.text().contains("sealed"), "{operation}: {}", answer.text());
    }
    let health = health(&sealed, "/readyz");
    health.assert_refused(&["503", "sealed"]);

    let [first, second, third] = nodes;
    let ended = third.end(Signal::TERM);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("root.key"), "the log names the file: {}", ended.stderr);
    std::fs::rename(&aside, &root_key).expect("ours");
    let third = deployment.launch(3);
    deployment.wait_ready(3);
    deployment.client(3).encrypt(&key, "open again");
    for node in [first, second, third] {
        assert_eq!(node.end(Signal::TERM).code, Some(0));
    }
}

#[test]
fn health_succeeds_only_for_a_node_that_is_ready() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::init(temp.path());
    let client = deployment.client(1);
    health(&client, "/readyz").assert_refused(&[&client.address.to_string()]);
    let first = deployment.launch(1); // alone: no leader
    crate::process::wait_for("node 1 answers", || client.get("/healthz").ok());
    health(&client, "/readyz").assert_refused(&["503"]);
    assert_eq!(health(&client, "/healthz").code, Some(0));
    let others = [2, 3].map(|node| deployment.launch(node));
    deployment.wait_ready(1);
    assert_eq!(health(&client, "/readyz").code, Some(0));
    health(&client, "/nowhere").assert_refused(&["404"]);
    for (url, part) in [
        ("https://127.0.0.1:1/readyz", "http://"),
        ("127.0.0.1:1", "http://"),
        ("http://127.0.0.1/readyz", "127.0.0.1"),
        ("http://", ""),
        ("http://127.0.0.1:99999/readyz", "127.0.0.1:99999"),
    ] {
        Process::start("health", &["health", "--url", url]).wait_end().assert_refused(&[part]);
    }
    drop((first, others));
}

fn health(client: &crate::client::Client, path: &str) -> Ended {
    Process::start("health", &["health", "--url", &format!("http://{}{path}", client.address)]).wait_end()
}

fn assert_clean_node(ended: &Ended, expected: &[&str]) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(complaints(&ended.stderr, &[EXPECTED, expected].concat()), Vec::<String>::new());
}

#[test]
fn a_node_alone_waits_and_ends_when_asked() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::init(temp.path());
    // Without a leader nobody has made the administrator; a platform outside of IAM is known all the same.
    let (id, secret) = ("AKIAPLATFORMOFATEST1", "0123456789abcdef0123456789abcdef");
    let file = deployment.configuration(2);
    let configuration = std::fs::read_to_string(&file).expect("made by init");
    let platform = format!("access_key_id = \"{id}\"\nsecret_access_key = \"{secret}\"\naccount = \"111122223333\"\n");
    std::fs::write(&file, format!("{configuration}\n[[credentials]]\n{platform}")).expect("writable");
    let node = deployment.launch(2);
    let client = Client { credentials: ClientCredentials::new(id, secret), ..deployment.client(2) };
    crate::process::wait_for("node 2 answers", || client.get("/healthz").ok());
    let answer = client.try_call("CreateKey", &json!({})).expect("an answer");
    assert!(answer.status >= 500, "{}", answer.text());
    let second = deployment.launch(2).wait_end();
    second.assert_refused(&[&deployment.api(2).to_string(), "[api] listen"]);
    assert_clean_node(&node.end(Signal::INT), &[]);
}
