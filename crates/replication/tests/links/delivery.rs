//! What was committed arrives: once, in order, in every Region, whatever breaks on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meridian_model::Region;
use meridian_replication::{LinkProblem, TransportKeyLimits};

use crate::regions::{Cluster, PATIENCE, Plan, RegionOfNodes, region};
use crate::relay::Relay;

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const EUROPE: &str = "eu-west-1";

async fn until_connected(from: &RegionOfNodes, to: &str, connected: bool) {
    let mut status = from.replicator().watch_outgoing(&region(to)).expect("linked");
    let waiting = status.wait_for(|status| status.connected == connected);
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("the link lives");
}

async fn replicate(cluster: &Cluster, keys: usize) {
    let (east, west) = (cluster.region(EAST), cluster.region(WEST));
    let keys: Vec<_> = (0..keys).map(|_| east.create_key()).collect();
    for (key_id, _) in &keys {
        east.reserve(*key_id, WEST);
    }
    for (key_id, material) in &keys {
        let state = west.until_enabled(*key_id).await;
        assert_eq!(west.keeper.material(&state, *key_id)[0].expose(), material.expose());
    }
    west.until_delivered(EAST).await; // its answer makes the first Region announce the membership
    east.until_delivered(WEST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_arrives_with_its_material_and_every_region_knows_the_set() {
    let cluster = Plan::of(&[(EAST, 1), (WEST, 1), (EUROPE, 1)]).start().await;
    let east = cluster.region(EAST);
    let (key_id, material) = east.create_key();
    east.reserve(key_id, WEST);
    cluster.region(WEST).until_enabled(key_id).await;
    east.reserve(key_id, EUROPE);
    cluster.region(EUROPE).until_enabled(key_id).await;

    let everybody: Vec<Region> = [EUROPE, EAST, WEST].map(region).to_vec();
    for here in cluster.regions.values() {
        let state = here
            .log
            .until("the whole set", |state| {
                let Some(set) = state.key(key_id).and_then(|key| key.multi_region.clone()) else { return false };
                let mut regions: Vec<Region> = set.regions().cloned().collect();
                regions.sort();
                regions == everybody && set.primary == region(EAST)
            })
            .await;
        assert_eq!(here.keeper.material(&state, key_id)[0].expose(), material.expose());
    }
    for (from, to) in [(EAST, WEST), (EAST, EUROPE), (WEST, EAST), (EUROPE, EAST)] {
        cluster.region(from).until_delivered(to).await;
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_on_the_wire_or_in_a_row_holds_the_material() {
    let mut plan = Plan::of(&[(EAST, 1), (WEST, 1)]);
    let (relay, address, server) = Relay::start(&plan.ca, &region(EAST), &region(WEST)).await;
    plan.detours.push((region(EAST), region(WEST), address));
    let cluster = plan.start().await;
    let (east, west) = (cluster.region(EAST), cluster.region(WEST));
    relay.leads_to(&west.nodes[0].name, west.nodes[0].address);
    let (key_id, material) = east.create_key();
    east.reserve(key_id, WEST);
    let there = west.until_enabled(key_id).await;
    east.until_delivered(WEST).await;

    let bytes = &material.expose()[1..]; // behind the byte that tells its kind
    let holds = |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
    let frames = relay.seen();
    assert!(frames.len() >= 6, "{}", frames.len()); // Hello, Welcome, two envelopes, an Ack, heartbeats
    assert!(frames.iter().any(|frame| holds(frame, EAST.as_bytes())), "the search itself works");
    for part in bytes.chunks(8) {
        assert!(!frames.iter().any(|frame| holds(frame, part)));
        for (_, row) in there.rows().chain(east.log.state().rows()) {
            assert!(!holds(&row, part));
        }
    }
    cluster.shutdown().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healed_partition_delivers_what_was_committed_meanwhile() {
    let cluster = Plan::of(&[(EAST, 1), (WEST, 1)]).start().await;
    let (east, west) = (cluster.region(EAST), cluster.region(WEST));
    until_connected(east, WEST, true).await;
    cluster.gate.cut_both_ways(EAST, WEST);
    until_connected(east, WEST, false).await;
    let (key_id, _) = east.create_key();
    east.reserve(key_id, WEST);
    let status = &east.replicator().status()[0];
    assert_eq!((status.outbox, status.outgoing.connected), (2, false));
    assert!(status.waiting_since.is_some());
    assert!(west.log.state().key(key_id).is_none());

    cluster.gate.heal();
    west.until_enabled(key_id).await;
    east.until_delivered(WEST).await;
    assert_eq!(east.replicator().status()[0].outbox, 0);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_leader_may_change_at_any_time() {
    let cluster = Plan::of(&[(EAST, 3), (WEST, 3)]).start().await;
    let (east, west) = (cluster.region(EAST), cluster.region(WEST));
    for term in 2..=7 {
        let (key_id, _) = east.create_key();
        east.reserve(key_id, WEST);
        if term % 2 == 0 {
            west.lead(term % 3 + 1, term);
        } else {
            east.lead(term % 3 + 1, term);
        }
        west.until_enabled(key_id).await;
    }
    west.until_delivered(EAST).await; // its answer makes the first Region announce the membership
    east.until_delivered(WEST).await;
    let cursor = (east.log.state().cursor(&region(WEST)), west.log.state().cursor(&region(EAST)));
    assert_eq!(cursor.0.last_sent, cursor.1.last_applied);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_bounded_while_the_other_region_does_not_commit() {
    let mut plan = Plan::of(&[(EAST, 1), (WEST, 1)]);
    let (relay, address, server) = Relay::start(&plan.ca, &region(EAST), &region(WEST)).await;
    plan.detours.push((region(EAST), region(WEST), address));
    let cluster = plan.start().await;
    let (east, west) = (cluster.region(EAST), cluster.region(WEST));
    relay.leads_to(&west.nodes[0].name, west.nodes[0].address);
    until_connected(east, WEST, true).await;
    west.log.held.send_replace(true);
    let keys: Vec<_> = (0..300).map(|_| east.create_key().0).collect();
    for key_id in &keys {
        east.reserve(*key_id, WEST);
    }
    let mut status = east.replicator().watch_outgoing(&region(WEST)).expect("linked");
    let full = status.wait_for(|status| status.in_flight == 256);
    tokio::time::timeout(PATIENCE, full).await.expect("in time").expect("the link lives");
    let mut envelopes = relay.envelopes();
    let all = envelopes.wait_for(|envelopes| envelopes.len() >= 256);
    assert_eq!(tokio::time::timeout(PATIENCE, all).await.expect("in time").expect("the relay lives").len(), 256);
    assert_eq!(east.replicator().status()[0].outbox, 600);

    west.log.held.send_replace(false);
    for key_id in &keys {
        west.until_enabled(*key_id).await;
    }
    west.until_delivered(EAST).await;
    east.until_delivered(WEST).await;
    // A replica, its material and the membership per key, each sent once.
    let numbers: Vec<u64> = relay.envelopes().borrow().iter().map(|envelope| envelope.sequence).collect();
    assert_eq!(numbers, (1..=900).collect::<Vec<_>>());
    cluster.shutdown().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_outlive_transport_keys_that_serve_one_envelope() {
    let mut plan = Plan::of(&[(EAST, 1), (WEST, 1)]);
    plan.timing.transport_keys =
        TransportKeyLimits { envelopes: 1, grace: Duration::ZERO, ..plan.timing.transport_keys };
    let cluster = plan.start().await;
    replicate(&cluster, 10).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_keys_are_replaced_without_ending_the_session() {
    let mut plan = Plan::of(&[(EAST, 1), (WEST, 1)]);
    plan.timing.transport_keys.envelopes = 5;
    plan.timing.transport_keys.lifetime = Duration::from_millis(200);
    let cluster = plan.start().await;
    replicate(&cluster, 40).await;
    assert_eq!(cluster.region(EAST).replicator().status()[0].outgoing.sessions, 1);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_region_takes_nothing_until_it_is_unsealed() {
    let cluster = Plan::of(&[(EAST, 1), (WEST, 1)]).start().await;
    let (east, west) = (cluster.region(EAST), cluster.region(WEST));
    west.keeper.sealed.send_replace(true);
    let (key_id, _) = east.create_key();
    east.reserve(key_id, WEST);
    let mut status = east.replicator().watch_outgoing(&region(WEST)).expect("linked");
    let refused = LinkProblem::Refused(meridian_replication::wire::Reason::Sealed);
    let waiting = status.wait_for(|status| status.problem.as_ref() == Some(&refused));
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("the link lives");
    west.keeper.sealed.send_replace(false);
    west.until_enabled(key_id).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_lost_state_is_noticed_at_either_end() {
    let cluster = Plan::of(&[(EAST, 1), (WEST, 1)]).start().await;
    let (east, west) = (cluster.region(EAST), cluster.region(WEST));
    let (before_east, before_west) = (east.log.state(), west.log.state());
    let (key_id, _) = east.create_key();
    east.reserve(key_id, WEST);
    west.until_enabled(key_id).await;
    west.until_delivered(EAST).await; // its answer makes the first Region announce the membership
    east.until_delivered(WEST).await;
    let until_problem = |wanted: LinkProblem| async move {
        let mut status = east.replicator().watch_outgoing(&region(WEST)).expect("linked");
        let waiting = status.wait_for(|status| status.problem.as_ref() == Some(&wanted));
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("the link lives");
    };

    let after_east = east.log.state();
    east.log.restore(before_east);
    east.lead(1, 2);
    // Three: the new replica, its material, and the membership.
    until_problem(LinkProblem::LostState { applied: 3, sent: 0 }).await;

    east.log.restore(Arc::clone(&after_east));
    west.log.restore(before_west);
    let (another, _) = east.create_key();
    east.reserve(another, WEST);
    until_problem(LinkProblem::PeerLostState { applied: 0, oldest: 4 }).await;
    cluster.shutdown().await;
}

/// On a link with a one-way delay, a replica can be used after half a round trip and two commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_usable_within_three_round_trips_and_four_commits() {
    let cluster = Plan::of(&[(EAST, 1), (WEST, 1)]).start().await;
    let (east, west) = (cluster.region(EAST), cluster.region(WEST));
    let (one_way, commit) = (Duration::from_millis(40), Duration::from_millis(5));
    *cluster.gate.one_way.lock().expect("not poisoned") = one_way;
    *west.log.commit_takes.lock().expect("not poisoned") = commit;
    until_connected(east, WEST, true).await;
    let mut status = east.replicator().watch_outgoing(&region(WEST)).expect("linked");
    let measured = status.wait_for(|status| status.round_trip.is_some_and(|trip| trip >= one_way));
    tokio::time::timeout(PATIENCE, measured).await.expect("in time").expect("the link lives");

    let mut took = Duration::MAX; // the best of five: the machine may be busy with something else
    for _ in 0..5 {
        let (key_id, _) = east.create_key();
        let start = Instant::now();
        east.reserve(key_id, WEST);
        west.until_enabled(key_id).await;
        took = took.min(start.elapsed());
    }
    println!("usable after {took:?} with {one_way:?} one way and {commit:?} per commit");
    assert!(took >= one_way && took < one_way * 6 + commit * 4, "{took:?}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_measured_while_messages_flow_and_while_they_do_not() {
    let cluster = Plan::of(&[(EAST, 1), (WEST, 1)]).start().await;
    let west = cluster.region(WEST);
    replicate(&cluster, 3).await;
    let idle_from = west.replicator().status()[0].incoming.complete_as_of;
    let mut status = west.replicator().watch_incoming(&region(EAST)).expect("linked");
    let beats = status.wait_for(|status| status.complete_as_of > idle_from);
    tokio::time::timeout(PATIENCE, beats).await.expect("in time").expect("the link lives");
    let lag = west.replicator().status()[0].incoming.lag;
    assert!(lag.samples >= 7, "{lag:?}"); // 3 times 3 messages, less what shares a moment, and heartbeats
    assert!(lag.p50 <= lag.p99 && lag.p99 < Duration::from_secs(10), "{lag:?}");
    cluster.shutdown().await;
}
