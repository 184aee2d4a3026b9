//! A group of three nodes: elections, proposals, reads on every node, restarts, partitions.

mod cluster;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::{Cluster, PATIENCE, create_key, deadline, holds, rows};
use meridian_consensus::{ForwardError, ForwardHandler, NodeId, NodeName, ProposeError, Unavailable};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_on_the_leader_are_read_on_every_node() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let index = cluster.propose(&[leader], &create_key(1)).await;
    for node in cluster.ids() {
        let group = cluster.group(node);
        group.wait_applied(index, deadline()).await.unwrap();
        assert!(holds(&group.state(), 1));
        group.read_barrier(deadline()).await.unwrap();
        assert_eq!(rows(&group), rows(&cluster.group(leader)));
    }
    let follower = cluster.ids().into_iter().find(|node| *node != leader).unwrap();
    let refused = cluster.group(follower).propose(&create_key(2)).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: Some(leader) }));
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_on_a_follower_sees_what_was_acknowledged_before() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let followers: Vec<_> = cluster.ids().into_iter().filter(|node| *node != leader).collect();
    for number in 0..50 {
        cluster.propose(&[leader], &create_key(number)).await;
        let group = cluster.group(followers[usize::from(number % 2 == 0)]);
        group.read_barrier(deadline()).await.unwrap();
        assert!(holds(&group.state(), number), "key {number}");
    }
    cluster.stop_all().await;
}

struct Echo;

#[async_trait]
impl ForwardHandler for Echo {
    async fn handle(&self, from: &NodeName, body: Bytes) -> Bytes {
        format!("{from}: {}", String::from_utf8_lossy(&body)).into()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_forwarded_to_the_leader() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for node in cluster.ids() {
        let group = cluster.group(node);
        let mut leadership = group.leadership();
        let known = leadership.wait_for(|now| now.leader == Some(leader));
        tokio::time::timeout(PATIENCE, known).await.unwrap().unwrap();
        assert_eq!(group.forward(Bytes::from_static(b"hello")).await, Err(ForwardError::NotLeader(leader)));
    }
    cluster.group(leader).on_forward(Arc::new(Echo));
    for node in cluster.ids() {
        let answer = cluster.group(node).forward(Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!(answer, format!("us-east-1/{node}: hello"));
    }
    cluster.stop_all().await;
}

/// Answers with what it was sent, but "slow" only once it may.
struct Gate(tokio::sync::Semaphore);

#[async_trait]
impl ForwardHandler for Gate {
    async fn handle(&self, _from: &NodeName, body: Bytes) -> Bytes {
        if body.starts_with(b"slow") {
            drop(self.0.acquire().await);
        }
        body
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarded_together_each_request_gets_its_own_answer_and_waits_for_no_other() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let gate = Arc::new(Gate(tokio::sync::Semaphore::new(0)));
    cluster.group(leader).on_forward(Arc::clone(&gate) as Arc<dyn ForwardHandler>);
    let follower = cluster.group(cluster.ids().into_iter().find(|node| *node != leader).unwrap());
    let mut leadership = follower.leadership();
    tokio::time::timeout(PATIENCE, leadership.wait_for(|now| now.leader == Some(leader))).await.unwrap().unwrap();
    let dispatch = |name: &str, number: u32| {
        let (group, body) = (follower.clone(), Bytes::from(format!("{name} {number}")));
        tokio::spawn(async move { (group.forward(body.clone()).await, body) })
    };
    // More than fit into one message, a slow one among each few.
    let (mut slow, mut quick) = (Vec::new(), Vec::new());
    for number in 0..100 {
        if number % 7 == 0 {
            slow.push(dispatch("slow", number));
        } else {
            quick.push(dispatch("quick", number));
        }
    }
    for request in quick {
        let (answer, sent) = tokio::time::timeout(PATIENCE, request).await.unwrap().unwrap();
        assert_eq!(answer, Ok(sent));
    }
    assert!(slow.iter().all(|request| !request.is_finished()));
    gate.0.add_permits(slow.len());
    for request in slow {
        let (answer, sent) = tokio::time::timeout(PATIENCE, request).await.unwrap().unwrap();
        assert_eq!(answer, Ok(sent));
    }
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_and_catches_up_when_it_returns() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    cluster.propose(&[first], &create_key(1)).await;
    cluster.kill(first).await;
    let killed = Instant::now();
    let index = cluster.propose(&cluster.ids(), &create_key(2)).await;
    println!("writes were accepted again {:?} after the leader was gone", killed.elapsed());
    cluster.restart(first).await;
    let returned = cluster.group(first);
    returned.wait_applied(index, deadline()).await.unwrap();
    assert!(holds(&returned.state(), 1) && holds(&returned.state(), 2));
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_survives_a_restart_of_all_nodes() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..20 {
        cluster.propose(&cluster.ids(), &create_key(number)).await;
    }
    let before = rows(&cluster.group(cluster.leader().await));
    for node in cluster.ids() {
        cluster.kill(node).await;
    }
    for node in 1..=3 {
        cluster.restart(NodeId(node)).await;
    }
    for node in cluster.ids() {
        let group = cluster.group(node);
        group.read_barrier(deadline()).await.unwrap();
        assert_eq!(rows(&group), before);
    }
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_minority_side_of_a_partition_neither_writes_nor_reads() {
    let mut cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    cluster.propose(&[old], &create_key(1)).await;
    let majority: Vec<_> = cluster.ids().into_iter().filter(|node| *node != old).collect();
    cluster.switch.isolate([old]);
    let index = cluster.propose(&majority, &create_key(2)).await;
    let soon = Instant::now() + Duration::from_secs(1);
    let refused = cluster.group(old).read_barrier(soon).await;
    assert!(
        matches!(refused, Err(Unavailable::NoQuorum | Unavailable::NoLeader | Unavailable::Timeout)),
        "{refused:?}"
    );
    assert!(!holds(&cluster.group(old).state(), 2));
    assert!(cluster.group(old).freshness().is_none_or(|age| age > Duration::from_millis(500)));
    cluster.switch.isolate([]);
    cluster.group(old).wait_applied(index, deadline()).await.unwrap();
    cluster.group(old).read_barrier(deadline()).await.unwrap();
    assert_eq!(rows(&cluster.group(old)), rows(&cluster.group(majority[0])));
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_on_request_and_on_shutdown() {
    let mut cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    cluster.propose(&[first], &create_key(1)).await;
    let second = cluster.ids().into_iter().find(|node| *node != first).unwrap();
    assert_eq!(cluster.group(first).transfer_leadership(Some(second)).await, Ok(second));
    assert!(cluster.group(second).leadership().borrow().am_leader);
    let watched = cluster.ids().into_iter().find(|node| *node != second).unwrap();
    let mut leadership = cluster.group(watched).leadership();
    cluster.stop(second).await;
    let moved = leadership.wait_for(|now| now.leader.is_some_and(|leader| leader != second));
    tokio::time::timeout(PATIENCE, moved).await.unwrap().unwrap();
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_forms_a_group() {
    let mut cluster = Cluster::start(1).await;
    cluster.propose(&cluster.ids(), &create_key(1)).await;
    let group = cluster.group(NodeId(1));
    group.read_barrier(deadline()).await.unwrap();
    assert_eq!(group.freshness().map(|age| age < Duration::from_secs(1)), Some(true));
    cluster.kill(NodeId(1)).await;
    cluster.restart(NodeId(1)).await;
    let group = cluster.group(NodeId(1));
    group.read_barrier(deadline()).await.unwrap();
    assert!(holds(&group.state(), 1));
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_added_and_removed() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.propose(&[leader], &create_key(1)).await;
    let fourth = NodeId(4);
    let address = cluster.start_stranger(fourth).await;
    cluster.group(leader).add_member(fourth, address).await.unwrap();
    let removed = cluster.ids().into_iter().find(|node| *node != leader && *node != fourth).unwrap();
    cluster.kill(removed).await;
    cluster.group(leader).remove_member(removed).await.unwrap();
    let index = cluster.propose(&[leader], &create_key(2)).await;
    let group = cluster.group(fourth);
    group.wait_applied(index, deadline()).await.unwrap();
    group.read_barrier(deadline()).await.unwrap();
    assert!(holds(&group.state(), 1) && holds(&group.state(), 2));
    let members: Vec<_> = group.status().members.iter().map(|member| (member.node, member.is_voter)).collect();
    let expected: Vec<_> = cluster.ids().into_iter().map(|node| (node, true)).collect();
    assert_eq!(members, expected);
    assert_eq!(cluster.group(leader).transfer_leadership(Some(fourth)).await, Ok(fourth));
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_knows_how_fresh_it_is() {
    let mut cluster = Cluster::start(3).await;
    cluster.propose(&cluster.ids(), &create_key(1)).await;
    let (acknowledged, until) = (Instant::now(), deadline());
    for node in cluster.ids() {
        let group = cluster.group(node);
        while group.freshness().is_none_or(|age| age >= acknowledged.elapsed()) {
            assert!(Instant::now() < until, "node {node} is never fresh: {:?}", group.freshness());
            tokio::time::sleep(Duration::from_millis(10)).await; // nothing announces that time has passed
        }
        assert!(holds(&group.state(), 1), "fresh, and yet without what was acknowledged before");
    }
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_fails_stops_and_says_why() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.propose(&[leader], &create_key(1)).await;
    cluster.nodes[&leader].log.close();
    let refused = cluster.group(leader).propose(&create_key(2)).await;
    assert!(matches!(refused, Err(ProposeError::Stopped | ProposeError::Unknown)), "{refused:?}");
    let reason = tokio::time::timeout(PATIENCE, cluster.group(leader).stopped()).await.unwrap();
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("the log is closed")), "{reason:?}");
    let rest: Vec<_> = cluster.ids().into_iter().filter(|node| *node != leader).collect();
    cluster.propose(&rest, &create_key(2)).await;
    cluster.kill(leader).await;
    assert_eq!(tokio::time::timeout(PATIENCE, cluster.group(rest[0]).read_barrier(deadline())).await.unwrap(), Ok(()));
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_cut_off_disturbs_nobody_when_it_returns() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.propose(&[leader], &create_key(1)).await;
    let before = *cluster.group(leader).leadership().borrow();
    let cut_off = cluster.ids().into_iter().find(|node| *node != leader).unwrap();
    cluster.switch.isolate([cut_off]);
    // Long enough for it to stand for election a few times; only time can show that it does not.
    tokio::time::sleep(cluster.timing.election_max * 4).await;
    let index = cluster.propose(&[leader], &create_key(2)).await;
    cluster.switch.isolate([]);
    cluster.group(cut_off).wait_applied(index, deadline()).await.unwrap();
    cluster.group(cut_off).read_barrier(deadline()).await.unwrap();
    assert_eq!(*cluster.group(leader).leadership().borrow(), before, "the term grew, or the leader changed");
    cluster.stop_all().await;
}
