//! Questions to the leader of another Region: asked until somebody who leads answers, or patience ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use meridian_model::Region;
use tokio::time::Instant;
use tonic::Status;

use crate::backoff::Backoff;
use crate::dialer::Peers;
use crate::site::Site;
use crate::wire::{self, ask_reply};
use meridian_consensus::{NodeId, NodeName};

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No link with that Region is configured.
    #[error("there is no link with {0}")]
    UnknownRegion(Region),
    /// No leader over there answered in time.
    #[error("the leader of {region} did not answer within {within:?}")]
    Unreachable {
        /// The Region that was asked.
        region: Region,
        /// How long was tried.
        within: Duration,
    },
    /// More than 1 MiB.
    #[error("a question of {0} bytes is too long")]
    TooLong(usize),
}

/// Answers a question of the node `peer`.
pub(crate) async fn answer(
    site: &Arc<Site>,
    peer: &NodeName,
    request: wire::AskRequest,
) -> Result<wire::AskReply, Status> {
    let is_of_this_link = request.cluster_id == site.cluster_id
        && request.from == peer.region.as_str()
        && request.to == site.region().as_str();
    if !is_of_this_link {
        crate::receiver::count_refusal(&site.links[&peer.region], wire::Reason::Route);
        return Err(Status::permission_denied("the Regions named are not those of the connection"));
    }
    let body = if site.is_leader() {
        match site.ask_handler.answer(&peer.region, request.question).await {
            Ok(answer) => ask_reply::Body::Answer(answer),
            Err(error) => return Err(Status::unavailable(error.to_string())),
        }
    } else {
        ask_reply::Body::NotLeader(wire::NotLeader { leader: site.known_leader().map_or(0, |node| node.0) })
    };
    let passed = site.gate.pass(&site.name, peer).await;
    passed.map_err(|_| Status::unavailable("cut")).map(|()| wire::AskReply { body: Some(body) })
}

/// Asks the leader of `region`, following the hints of nodes that do not lead.
pub(crate) async fn ask(
    site: &Site,
    peers: &Peers,
    region: &Region,
    question: Bytes,
    within: Duration,
) -> Result<Bytes, AskError> {
    let Some(link) = site.links.get(region) else { return Err(AskError::UnknownRegion(region.clone())) };
    if question.len() > wire::ASK_BYTES_MAX {
        return Err(AskError::TooLong(question.len()));
    }
    let deadline = Instant::now() + within;
    let asking = async {
        let mut backoff = Backoff::new(site.timing.backoff_min, site.timing.backoff_max, site.jitter_seed);
        let mut hints = 0_u32;
        for attempt in 0_u32.. {
            let hint = link.leader_hint();
            let Some(node) = peers.choose(region, hint, attempt) else { break };
            match ask_node(site, peers, &node, question.clone()).await {
                Some(ask_reply::Body::Answer(answer)) => {
                    link.set_leader_hint(Some(node.node));
                    return Some(answer);
                }
                Some(ask_reply::Body::NotLeader(wire::NotLeader { leader })) => {
                    let leader = Some(NodeId(leader)).filter(|leader| leader.0 != 0 && Some(*leader) != hint);
                    link.set_leader_hint(leader);
                    hints += 1;
                    if leader.is_some() && !hints.is_multiple_of(crate::sender::HINTS_AT_ONCE_MAX) {
                        continue;
                    }
                }
                None => link.set_leader_hint(None),
            }
            tokio::time::sleep(backoff.next_pause()).await;
        }
        None
    };
    let answer = tokio::time::timeout_at(deadline, asking).await;
    answer.ok().flatten().ok_or_else(|| AskError::Unreachable { region: region.clone(), within })
}

/// What `node` says; `None` if it could not be asked.
async fn ask_node(site: &Site, peers: &Peers, node: &NodeName, question: Bytes) -> Option<ask_reply::Body> {
    site.gate.pass(&site.name, node).await.ok()?;
    let request = wire::AskRequest {
        from: site.region().to_string(),
        to: node.region.to_string(),
        cluster_id: site.cluster_id.clone(),
        question,
    };
    let mut client = peers.client(node)?;
    match tokio::time::timeout(site.timing.connect, client.ask(request)).await {
        Ok(Ok(reply)) => reply.into_inner().body,
        Ok(Err(status)) => {
            tracing::debug!(region = %node.region, node = node.node.0, %status, "question not answered");
            None
        }
        Err(_) => None,
    }
}
