//! Group commit: proposals made at the same time share their fsyncs and messages.

mod cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cluster::{Cluster, create_key};
use meridian_consensus::Group;

/// Commits per second of `clients` that each wait for their answer before they propose again.
async fn rate(group: &Group, next: &Arc<AtomicU64>, clients: u64, each: u64) -> f64 {
    let begun = Instant::now();
    let clients = (0..clients).map(|_| {
        let (group, next) = (group.clone(), Arc::clone(next));
        tokio::spawn(async move {
            for _ in 0..each {
                let number = next.fetch_add(1, Ordering::Relaxed);
                group.propose(&create_key(number)).await.unwrap().outcome.unwrap();
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let commits = u32::try_from(clients.len() as u64 * each).unwrap();
    for client in clients {
        client.await.unwrap();
    }
    f64::from(commits) / begun.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_at_the_same_time_share_their_commits() {
    let mut cluster = Cluster::start(3).await;
    let group = cluster.group(cluster.leader().await);
    let next = Arc::new(AtomicU64::new(0));
    rate(&group, &next, 8, 5).await;
    let alone = rate(&group, &next, 1, 50).await;
    let together = rate(&group, &next, 64, 12).await;
    println!("{alone:.0} commits/s with 1 client, {together:.0} with 64");
    assert!(together > 3.0 * alone, "{alone:.0}/s with 1 client, {together:.0}/s with 64");
    cluster.stop_all().await;
}
