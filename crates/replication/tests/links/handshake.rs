//! Who may open a session, and with which words.

use meridian_consensus::tls::ClusterCa;
use meridian_consensus::{NodeId, NodeName};
use meridian_model::Region;
use meridian_replication::wire::link_frame::Body;
use meridian_replication::wire::{Ack, Heartbeat, Hello, LinkFrame, Reason};
use tonic::Code;

use crate::impostor::Impostor;
use crate::regions::{Cluster, Plan, region};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";

async fn two_regions() -> Cluster {
    Plan::of(&[(EAST, 1), (WEST, 3)]).start().await
}

fn impostor(cluster: &Cluster, from: &'static str, number: usize) -> Impostor {
    let node = &cluster.region(WEST).nodes[number - 1];
    Impostor::new(&cluster.ca, from, WEST, (&node.name, node.address))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_with_one_mistake_is_refused_for_that_mistake() {
    let cluster = two_regions().await;
    let impostor = impostor(&cluster, EAST, 1);
    let of_another_cluster = ClusterCa::generate().expect("random").issue_region(&region(EAST)).expect("valid");
    let of_another_region = cluster.ca.issue_region(&region("eu-west-1")).expect("valid");
    let of_a_node = cluster.ca.issue_node(&impostor.node, &[], &[]).expect("valid");
    let mistakes: [(Reason, Hello); 10] = [
        (Reason::Version, Hello { version_min: 2, version_max: 3, ..impostor.hello() }),
        (Reason::Version, Hello { version_min: 0, version_max: 0, ..impostor.hello() }),
        (Reason::Cluster, Hello { cluster_id: "another".into(), ..impostor.hello() }),
        (Reason::Route, Hello { from: "eu-west-1".into(), ..impostor.hello() }),
        (Reason::Route, Hello { to: "eu-west-1".into(), ..impostor.hello() }),
        (Reason::Protocol, Hello { session: vec![1; 15].into(), ..impostor.hello() }),
        (Reason::Certificate, Hello { region_certificate: of_another_cluster.cert_pem.into(), ..impostor.hello() }),
        (Reason::Certificate, Hello { region_certificate: of_another_region.cert_pem.into(), ..impostor.hello() }),
        (Reason::Certificate, Hello { region_certificate: of_a_node.cert_pem.into(), ..impostor.hello() }),
        (Reason::Certificate, Hello { region_certificate: vec![0xff; 9].into(), ..impostor.hello() }),
    ];
    for (reason, hello) in mistakes {
        let mut session = impostor.open(LinkFrame::new(hello.clone())).await.expect("connected");
        assert_eq!(session.refusal().await, Some(reason), "{hello:?}");
    }
    let mut session = impostor.open(LinkFrame::new(Ack { last_applied: 1 })).await.expect("connected");
    assert_eq!(session.refusal().await, Some(Reason::Protocol));
    let (mut session, ..) = impostor.welcome().await;
    session.send(LinkFrame::new(impostor.hello())).await;
    assert_eq!(session.refusal().await, Some(Reason::Protocol));
    let (mut session, ..) = impostor.welcome().await;
    session.send(LinkFrame { body: None }).await;
    assert_eq!(session.refusal().await, Some(Reason::Protocol));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_the_same_and_of_unknown_regions_may_not_link() {
    let cluster = two_regions().await;
    for from in [WEST, "eu-west-1"] {
        let impostor = impostor(&cluster, from, 1);
        let refused = impostor.open(LinkFrame::new(impostor.hello())).await.err().expect("refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{from}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_lead_names_the_one_that_does() {
    let cluster = two_regions().await;
    let impostor = impostor(&cluster, EAST, 2);
    let mut session = impostor.open(LinkFrame::new(impostor.hello())).await.expect("connected");
    let Some(Body::NotLeader(not_leader)) = session.next().await else { panic!("served by a follower") };
    assert_eq!(not_leader.leader, 1);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_its_receiver_loses_the_lead() {
    let cluster = two_regions().await;
    let (mut session, ..) = impostor(&cluster, EAST, 1).welcome().await;
    cluster.region(WEST).lead(3, 2);
    let Some(Body::NotLeader(not_leader)) = session.next().await else { panic!("served by a follower") };
    assert_eq!(not_leader.leader, 3);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_leaders_the_newer_one_is_heard() {
    let cluster = two_regions().await;
    let impostor = impostor(&cluster, EAST, 1);
    let (mut first, ..) = impostor.welcome().await;
    let older = Hello { term: 5, ..impostor.hello() };
    let mut session = impostor.open(LinkFrame::new(older)).await.expect("connected");
    assert_eq!(session.refusal().await, Some(Reason::Superseded));
    first.send(LinkFrame::new(Heartbeat { number: 1, complete_as_of_ms: 0 })).await;
    assert!(matches!(first.next().await, Some(Body::HeartbeatAck(_))));

    let (second, ..) = impostor.welcome().await;
    assert_eq!(first.refusal().await, Some(Reason::Superseded));
    drop(second);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_certificate_is_needed_and_it_must_be_of_the_node_that_was_dialled() {
    let cluster = two_regions().await;
    let node = &cluster.region(WEST).nodes[0];
    let other = NodeName { region: Region::clone(&node.name.region), node: NodeId(7) };
    let impostor = Impostor::new(&cluster.ca, EAST, WEST, (&other, node.address));
    assert!(impostor.open(LinkFrame::new(impostor.hello())).await.is_err());
    let stranger = ClusterCa::generate().expect("random");
    let impostor = Impostor::new(&stranger, EAST, WEST, (&node.name, node.address));
    assert!(impostor.open(LinkFrame::new(impostor.hello())).await.is_err());
    cluster.shutdown().await;
}
