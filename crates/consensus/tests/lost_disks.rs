//! Nodes that lost their disk: they come back as newcomers, get everything again, and only then vote.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, create_key, create_key_with, deadline, holds, rows};
use meridian_consensus::{Group, NodeId, Timing};
use tokio::time::Instant;

/// Few entries are kept, so that a node that lost everything needs a snapshot.
fn hasty_snapshots() -> Timing {
    Timing { snapshot_after_entries: 40, entries_kept: 5, ..Timing::default() }
}

async fn until(group: &Group, what: &str, is_so: impl Fn(&meridian_consensus::GroupStatus) -> bool) {
    let until = deadline();
    let mut applied = group.applied();
    while !is_so(&group.status()) {
        assert!(Instant::now() < until, "{what} did not happen: {:?}", group.status());
        // Whatever changes shows in the status; looked at again whenever something was applied, or soon.
        let _ = tokio::time::timeout(Duration::from_millis(20), applied.changed()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_disk_is_sent_a_snapshot_and_votes_again() {
    let mut cluster = Cluster::start_with(3, hasty_snapshots()).await;
    let leader = cluster.leader().await;
    for number in 0..90 {
        // Rows of some size, so that the snapshot has several blocks.
        cluster.propose(&[leader], &create_key_with(number, "x".repeat(8_000))).await;
    }
    until(&cluster.group(leader), "a snapshot", |status| status.snapshot_index > 40).await;
    let lost = cluster.ids().into_iter().find(|node| *node != leader).unwrap();
    cluster.kill(lost).await;
    std::fs::remove_dir_all(cluster.data(lost)).unwrap();
    let index = cluster.propose(&[leader], &create_key(1_000)).await;
    cluster.restart(lost).await;
    let returned = cluster.group(lost);
    returned.wait_applied(index, deadline()).await.unwrap();
    assert_eq!(rows(&returned), rows(&cluster.group(leader)));
    assert!(std::fs::read_dir(cluster.data(lost).join("snapshots")).unwrap().count() > 0, "no snapshot was needed");
    until(&returned, "catching up", |status| !status.is_newcomer).await;
    // Its vote is needed now.
    cluster.kill(leader).await;
    cluster.propose(&cluster.ids(), &create_key(1_001)).await;
    cluster.restart(leader).await;
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_elects_nobody_before_it_has_caught_up() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let index = cluster.propose(&[leader], &create_key(1)).await;
    let [lost, other] = *cluster.ids().into_iter().filter(|node| *node != leader).collect::<Vec<_>>() else {
        panic!("three nodes");
    };
    cluster.group(other).wait_applied(index, deadline()).await.unwrap();
    cluster.kill(lost).await;
    std::fs::remove_dir_all(cluster.data(lost)).unwrap();
    cluster.switch.isolate([leader]);
    cluster.restart(lost).await;
    // Together they are a majority; but what one of them had promised is forgotten.
    let elected = tokio::time::timeout(Duration::from_millis(2_500), cluster.leader_among(&[lost, other])).await;
    assert!(elected.is_err(), "{elected:?} was elected by a newcomer");
    assert!(cluster.group(lost).status().is_newcomer);
    cluster.switch.isolate([]);
    until(&cluster.group(lost), "catching up", |status| !status.is_newcomer).await;
    assert!(holds(&cluster.group(lost).state(), 1));
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lowest_node_forms_no_second_group_when_it_lost_its_disk() {
    let mut cluster = Cluster::start(3).await;
    let index = cluster.propose(&cluster.ids(), &create_key(1)).await;
    let lowest = NodeId(1);
    cluster.kill(lowest).await;
    std::fs::remove_dir_all(cluster.data(lowest)).unwrap();
    cluster.propose(&cluster.ids(), &create_key(2)).await;
    cluster.restart(lowest).await;
    let group = cluster.group(lowest);
    group.wait_applied(index, deadline()).await.unwrap();
    group.read_barrier(deadline()).await.unwrap();
    assert!(holds(&group.state(), 1) && holds(&group.state(), 2));
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_is_noticed_by_its_receiver_and_written_anew() {
    let mut cluster = Cluster::start_with(3, hasty_snapshots()).await;
    let leader = cluster.leader().await;
    for number in 0..100 {
        cluster.propose(&[leader], &create_key(number)).await;
    }
    until(&cluster.group(leader), "a snapshot", |status| status.snapshot_index > 40).await;
    let lost = cluster.ids().into_iter().find(|node| *node != leader).unwrap();
    cluster.kill(lost).await;
    std::fs::remove_dir_all(cluster.data(lost)).unwrap();
    let snapshots = std::fs::read_dir(cluster.data(leader).join("snapshots")).unwrap();
    for path in snapshots.map(|entry| entry.unwrap().path()) {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let index = cluster.propose(&[leader], &create_key(1_000)).await;
    cluster.restart(lost).await;
    cluster.group(lost).wait_applied(index, deadline()).await.unwrap();
    assert_eq!(rows(&cluster.group(lost)), rows(&cluster.group(leader)));
    cluster.stop_all().await;
}
