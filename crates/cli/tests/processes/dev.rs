//! `meridian dev`: how it starts, ends, and says why it does not start.

use std::collections::BTreeMap;
use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::json;

use crate::client::Client;
use crate::cluster::{DevOptions, READY, text};
use crate::disk::SmallDisk;
use crate::process::{PATIENCE, Process, wait_for};

#[test]
fn a_cluster_is_ready_soon_and_its_data_survive_restarts() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let options = DevOptions::default_regions().data_dir(&temp.path().join("data"));
    let first = options.start();
    println!("ready for the first time after {:?}", first.ready_after);
    assert!(first.ready_after.as_secs() < 20, "{:?}", first.ready_after);
    let client = first.client("eu-west-1");
    let key = client.create_key();
    let ciphertext = client.encrypt(&key, "before");
    let ended = first.process.end(Signal::INT);
    println!("ended by SIGINT after {:?}", ended.took);
    ended.assert_clean();

    let second = options.start();
    println!("ready again after {:?}", second.ready_after);
    assert!(second.ready_after.as_secs() < 20, "{:?}", second.ready_after);
    let client = second.client("eu-west-1");
    assert_eq!(client.decrypt(&ciphertext), "before");
    let elsewhere = second.client("us-west-2").try_call("DescribeKey", &json!({"KeyId": key})).expect("an answer");
    assert_eq!(elsewhere.code(), "NotFoundException", "keys belong to their Region");
    let ended = second.process.end(Signal::TERM);
    println!("ended by SIGTERM after {:?}", ended.took);
    ended.assert_clean();
}

#[test]
fn a_cluster_that_is_stopped_or_killed_while_it_forms_is_formed_at_the_next_start() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    for signal in [Signal::INT, Signal::KILL] {
        let options = DevOptions::default_regions().data_dir(&temp.path().join(format!("{signal:?}")));
        let mut process = options.launch(&BTreeMap::new());
        process.wait_stderr("the group is formed"); // of the first Region of four
        let ended = process.end(signal);
        if signal == Signal::INT {
            ended.assert_clean();
        }
        let dev = options.start();
        println!("ready after {:?}, having been interrupted by {signal:?}", dev.ready_after);
        dev.client("ap-southeast-1").create_key();
    }
}

#[test]
fn a_second_cluster_on_the_same_folder_is_refused() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let folder = temp.path().join("data");
    let first = DevOptions::one_region(1).data_dir(&folder).start();
    let key = first.client("us-east-1").create_key();
    let second = DevOptions::one_region(1).data_dir(&folder).launch(&BTreeMap::new()).wait_end();
    second.assert_refused(&[&text(&folder), "in use", "--data-dir"]);
    assert!(!second.stdout.contains(READY));
    first.client("us-east-1").encrypt(&key, "still there");
    first.process.end(Signal::INT).assert_clean();
}

#[test]
fn a_cluster_keeps_the_number_of_its_nodes() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let folder = temp.path().join("data");
    DevOptions::one_region(1).data_dir(&folder).start().process.end(Signal::INT).assert_clean();
    let ended = DevOptions::one_region(3).data_dir(&folder).launch(&BTreeMap::new()).wait_end();
    ended.assert_refused(&[&text(&folder), "--nodes-per-region 1", "--data-dir"]);
    DevOptions::one_region(1).data_dir(&folder).start().process.end(Signal::INT).assert_clean();
}

#[test]
fn nobody_has_to_read_what_a_cluster_says() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let options = DevOptions::one_region(3).data_dir(&temp.path().join("data"));
    let process = options.launch_unread();
    let client = Client::dev(options.address, "us-east-1");
    wait_for("the cluster is ready", || client.get("/readyz").ok().filter(|answer| answer.status == 200));
    let key = client.create_key();
    client.encrypt(&key, "unheard");
    let ended = process.end(Signal::TERM);
    assert_eq!(ended.code, Some(0));
    options.start().process.end(Signal::TERM).assert_clean();
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let options = DevOptions::one_region(1).ephemeral();
    let gateway = TcpListener::bind(options.address).expect("a free port");
    let address = options.address.to_string();
    options.launch(&BTreeMap::new()).wait_end().assert_refused(&[&address, "--listen", "in use"]);
    drop(gateway);

    let region_address = std::net::SocketAddr::new(options.address.ip(), options.address.port() + 1);
    let _region = TcpListener::bind(region_address).expect("a free port");
    let address = region_address.to_string();
    options.launch(&BTreeMap::new()).wait_end().assert_refused(&[&address, "--listen", "in use"]);
}

#[test]
fn a_data_folder_that_cannot_be_is_named() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let file = temp.path().join("file");
    std::fs::write(&file, "in the way").expect("writable");
    for folder in [file.join("data"), file.clone()] {
        let ended = DevOptions::one_region(1).data_dir(&folder).launch(&BTreeMap::new()).wait_end();
        ended.assert_refused(&[&text(&folder)]);
    }
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let fresh = DevOptions::one_region(1).data_dir(&disk.path().join("fresh"));
    let used = DevOptions::one_region(1).data_dir(&disk.path().join("used"));
    used.start().process.end(Signal::INT).assert_clean();
    disk.make_read_only();
    let folder = text(disk.path());
    for options in [fresh, used] {
        options.launch(&BTreeMap::new()).wait_end().assert_refused(&[&folder, "Read-only file system"]);
    }
}

#[test]
fn an_ephemeral_cluster_leaves_nothing_behind() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let count = || std::fs::read_dir(temp.path()).expect("readable").count();
    for signal in [Signal::INT, Signal::TERM] {
        let environment = BTreeMap::from([("TMPDIR", text(temp.path()))]);
        let mut process = DevOptions::one_region(1).ephemeral().launch(&environment);
        process.wait_stdout(READY);
        assert_eq!(count(), 1, "its folder is where temporary folders belong");
        process.end(signal).assert_clean();
        assert_eq!(count(), 0, "its folder went with it");
    }
    // A start that fails late cleans up as well.
    let options = DevOptions::one_region(1).ephemeral();
    let _in_use = TcpListener::bind(options.address).expect("a free port");
    let environment = BTreeMap::from([("TMPDIR", text(temp.path()))]);
    options.launch(&environment).wait_end().assert_refused(&["--listen"]);
    assert_eq!(count(), 0);
}

#[test]
fn impossible_arguments_are_refused_with_what_would_be_right() {
    let check = |arguments: &[&str], parts: &[&str]| {
        let mut all = vec!["dev", "--ephemeral"];
        all.extend(arguments);
        let ended = Process::start("dev", &all).wait_end();
        assert!(ended.took < PATIENCE);
        ended.assert_refused(parts);
    };
    check(&["--listen", "127.0.0.1:0"], &["--listen", "port"]);
    check(&["--listen", "127.0.0.1:65534"], &["--listen", "ports"]);
    check(&["--listen", "localhost"], &["--listen", "localhost"]);
    check(&["--regions", "us-east-1,us-east-1"], &["--regions", "twice"]);
    check(&["--regions", "moon"], &["--regions", "moon"]);
    check(&["--regions", ""], &["--regions"]);
    check(&["--nodes-per-region", "0"], &["--nodes-per-region", "1..=7"]);
    check(&["--nodes-per-region", "8"], &["--nodes-per-region", "1..=7"]);
    check(&["--clock", "broken"], &["--clock", "system", "virtual"]);
    check(&["--colour"], &["--colour"]);
}
