//! Who may speak to a node: only certified nodes, and of those only its own group about Raft.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, PATIENCE};
use meridian_consensus::tls::{CertifiedPem, ClusterCa, PeerTls};
use meridian_consensus::{NodeId, NodeName, connect};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// Calls one method with an empty message, as the holder of `own`.
async fn call(cluster: &Cluster, trusted: &str, own: &CertifiedPem, to: NodeId) -> Result<(), Status> {
    let tls = PeerTls::new(trusted, own).unwrap();
    let status = cluster.group(NodeId(1)).status();
    let address = status.members.iter().find(|member| member.node == to).unwrap().address.clone();
    let mut client = Grpc::new(connect(&tls, &Cluster::name(to), address).unwrap());
    let ready = tokio::time::timeout(PATIENCE, client.ready()).await.unwrap();
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/meridian.raft.v1.Raft/Describe");
    let mut request = Request::new(());
    request.set_timeout(Duration::from_secs(5));
    client.unary(request, path, ProstCodec::<(), ()>::default()).await.map(drop)
}

/// The connection ended before any service could answer.
fn is_cut_off(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_nodes_of_the_group_are_answered() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    let authority = cluster.ca.pem().cert_pem.clone();
    let node = |region: &str, number| NodeName { region: region.parse().unwrap(), node: NodeId(number) };
    let issue = |ca: &ClusterCa, name| ca.issue_node(&name, &[], &[]).unwrap();
    let to = NodeId(2);

    let member = issue(&cluster.ca, node("us-east-1", 1));
    call(&cluster, &authority, &member, to).await.expect("a member is answered");
    let other_region = issue(&cluster.ca, node("us-west-2", 1));
    let refused = call(&cluster, &authority, &other_region, to).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let stranger = issue(&cluster.ca, node("us-east-1", 9));
    let refused = call(&cluster, &authority, &stranger, to).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let other_authority = ClusterCa::generate().unwrap();
    let forged = issue(&other_authority, node("us-east-1", 1));
    let refused = call(&cluster, &authority, &forged, to).await.unwrap_err();
    assert!(is_cut_off(&refused), "{refused}");
    let refused = call(&cluster, &other_authority.pem().cert_pem, &member, to).await.unwrap_err();
    assert!(is_cut_off(&refused), "{refused}");
    cluster.stop_all().await;
}
