//! Questions to the leader of another Region.

use std::time::Duration;

use bytes::Bytes;
use meridian_replication::AskError;
use meridian_replication::wire::AskRequest;
use tonic::Code;

use crate::impostor::Impostor;
use crate::regions::{Cluster, PATIENCE, Plan, region};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";

async fn ask(cluster: &Cluster, question: &'static str, within: Duration) -> Result<Bytes, AskError> {
    cluster.region(EAST).nodes[1].replicator.ask(&region(WEST), question.into(), within).await
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_may_ask_and_the_leader_answers_wherever_it_is() {
    let cluster = Plan::of(&[(EAST, 2), (WEST, 3)]).start().await;
    for (term, leader) in [(2, 3), (3, 1), (4, 2)] {
        cluster.region(WEST).lead(leader, term);
        let answer = ask(&cluster, "may I?", PATIENCE).await.expect("answered");
        assert_eq!(answer, "us-west-2 to us-east-1: may I?");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_ends_when_nobody_can_answer() {
    let cluster = Plan::of(&[(EAST, 2), (WEST, 3)]).start().await;
    let within = Duration::from_millis(100);
    let unreachable = Err(AskError::Unreachable { region: region(WEST), within });
    assert_eq!(ask(&cluster, "not now", within).await, unreachable);
    cluster.gate.cut_both_ways(EAST, WEST);
    assert_eq!(ask(&cluster, "may I?", within).await, unreachable);
    cluster.gate.heal();
    ask(&cluster, "may I?", PATIENCE).await.expect("answered");

    let replicator = &cluster.region(EAST).nodes[0].replicator;
    let nowhere = region("eu-west-1");
    let unknown = replicator.ask(&nowhere, Bytes::new(), within).await;
    assert_eq!(unknown, Err(AskError::UnknownRegion(nowhere)));
    let too_long = replicator.ask(&region(WEST), vec![0; (1 << 20) + 1].into(), within).await;
    assert_eq!(too_long, Err(AskError::TooLong((1 << 20) + 1)));
    let longest = replicator.ask(&region(WEST), vec![b'x'; 1_000_000].into(), PATIENCE).await;
    assert_eq!(longest.expect("answered").len(), "us-west-2 to us-east-1: ".len() + 1_000_000);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_the_name_of_another_region_is_refused() {
    let cluster = Plan::of(&[(EAST, 2), (WEST, 3)]).start().await;
    let node = &cluster.region(WEST).nodes[0];
    let impostor = Impostor::new(&cluster.ca, EAST, WEST, (&node.name, node.address));
    let right = AskRequest { from: EAST.into(), to: WEST.into(), cluster_id: "test".into(), question: "may I?".into() };
    impostor.client().ask(right.clone()).await.expect("answered");
    let wrong = [
        AskRequest { from: "eu-west-1".into(), ..right.clone() },
        AskRequest { to: "eu-west-1".into(), ..right.clone() },
        AskRequest { cluster_id: "another".into(), ..right },
    ];
    for request in wrong {
        let refused = impostor.client().ask(request).await.expect_err("refused");
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    cluster.shutdown().await;
}
