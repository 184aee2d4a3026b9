//! The receiving side of links: the gRPC service, and the handshake that begins each session.
//!
//! Always true: a session is served by the leader only, and only to a node whose certificate is of the Region that the
//! session claims to come from.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use meridian_crypto::random::RandomError;
use meridian_model::Region;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::receiver_session::{Ended, ReceiverSession};
use crate::site::{Link, Site};
use crate::transport_keys::TransportKeys;
use crate::wire::link_frame::Body;
use crate::wire::{self, LinkFrame, Reason};
use meridian_consensus::NodeName;
use meridian_consensus::tls::PeerIdentity;

/// Frames from the other Region.
pub(crate) type Frames = Pin<Box<dyn Stream<Item = Result<LinkFrame, Status>> + Send>>;

/// The gRPC service of links.
#[derive(Clone)]
pub struct LinkServer {
    pub(crate) site: Arc<Site>,
}

#[tonic::async_trait]
impl wire::link_server::Link for LinkServer {
    type ExchangeStream = Frames;

    async fn exchange(&self, request: Request<Streaming<LinkFrame>>) -> Result<Response<Frames>, Status> {
        let peer = self.peer(&request)?;
        let site = Arc::clone(&self.site);
        let (send, receive) = mpsc::channel(OUTGOING_FRAMES_MAX);
        let gated = crate::paced::gated(receive, Arc::clone(&site.gate), site.name.clone(), peer.clone());
        let frames: Frames = request.into_inner().boxed();
        self.site.tasks.spawn(serve(site, peer, frames, send));
        Ok(Response::new(gated.map(|passed| passed.map_err(|_| Status::unavailable("cut"))).boxed()))
    }

    async fn ask(&self, request: Request<wire::AskRequest>) -> Result<Response<wire::AskReply>, Status> {
        let peer = self.peer(&request)?;
        crate::ask::answer(&self.site, &peer, request.into_inner()).await.map(Response::new)
    }
}

impl LinkServer {
    /// The node at the other end, from its certificate; only nodes of Regions that this one is linked with may talk.
    fn peer<T>(&self, request: &Request<T>) -> Result<NodeName, Status> {
        let PeerIdentity { name: peer } = request
            .extensions()
            .get::<PeerIdentity>()
            .cloned()
            .ok_or_else(|| Status::unauthenticated("a node certificate of the cluster is needed"))?;
        if self.site.links.contains_key(&peer.region) {
            return Ok(peer);
        }
        Err(Status::permission_denied("this Region has no link with the Region of the certificate"))
    }
}

/// Runs one session from its first frame to its last.
pub(crate) async fn serve(site: Arc<Site>, peer: NodeName, frames: Frames, out: mpsc::Sender<LinkFrame>) {
    let link = &site.links[&peer.region];
    let opened = tokio::select! {
        () = site.stop.cancelled() => Err(Ended::Stopped),
        opened = open(&site, link, &peer, frames, &out) => opened,
    };
    let ended = match opened {
        Err(ended) => ended,
        Ok(session) => {
            link.board.incoming.send_modify(|status| {
                status.connected = true;
                status.peer_leader = Some(peer.node);
            });
            session.run().await
        }
    };
    tracing::debug!(from = %peer.region, node = peer.node.0, ?ended, "link session ended");
    if let Ended::Refused { reason, .. } = ended {
        count_refusal(link, reason);
    }
    if let Some(frame) = ended.last_frame() {
        let _ = tokio::time::timeout(site.timing.silence_max, out.send(frame)).await; // the other side may be gone
    }
}

/// Waits for what material and secrets are sealed with; tells whether it is there.
async fn await_keeper(site: &Site) -> bool {
    let mut applied = site.local.applied();
    let prepared = async {
        while !site.keeper.is_prepared(&site.local.state()) {
            if applied.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(site.timing.connect, prepared).await.is_ok()
}

/// From the first frame to the Welcome.
async fn open<'a>(
    site: &'a Site,
    link: &'a Link,
    peer: &NodeName,
    mut frames: Frames,
    out: &'a mpsc::Sender<LinkFrame>,
) -> Result<ReceiverSession<'a>, Ended> {
    let first = tokio::time::timeout(site.timing.connect, frames.next()).await;
    let Ok(Some(Ok(LinkFrame { body: Some(Body::Hello(hello)) }))) = first else {
        return Err(Ended::refused(Reason::Protocol));
    };
    let verifier = check_hello(site, &peer.region, &hello)?;
    if !site.is_leader() {
        return Err(Ended::NotLeader(site.known_leader()));
    }
    let Some(superseded) = link.heard.take_over(hello.term) else {
        return Err(Ended::refused(Reason::Superseded));
    };
    let guard = superseded.clone().drop_guard();
    // A new leader may still have to apply what its predecessor acknowledged; the cursor must not run behind that.
    if site.local.read_barrier(site.timing.connect).await.is_err() {
        return Err(Ended::NotLeader(site.known_leader()));
    }
    if !await_keeper(site).await {
        return Err(Ended::NotLeader(site.known_leader()));
    }
    let last_applied = site.local.state().cursor(&peer.region).last_applied;
    let route = site.route_from(&peer.region);
    let keys = TransportKeys::new(site.timing.transport_keys, std::time::Instant::now())
        .map_err(|RandomError { .. }| Ended::refused(Reason::Unavailable))?;
    let transport_key =
        keys.offer(&site.identity.signer, &route, &hello.session).map_err(|_| Ended::refused(Reason::Unavailable))?;
    let welcome = wire::Welcome {
        version: hello.version_max.min(wire::VERSION_MAX),
        last_applied,
        transport_key: Some(transport_key),
        region_certificate: site.identity.certificate.clone(),
    };
    out.send(LinkFrame::new(welcome)).await.map_err(|_| Ended::Closed)?;
    guard.disarm();
    Ok(ReceiverSession::new(site, link, route, verifier, frames, out, keys, hello.session, last_applied, superseded))
}

fn check_hello(site: &Site, peer: &Region, hello: &wire::Hello) -> Result<meridian_crypto::RegionVerifier, Ended> {
    let speaks = hello.version_min <= wire::VERSION_MAX && hello.version_max >= wire::VERSION_MIN;
    if !speaks {
        return Err(Ended::refused(Reason::Version));
    }
    if hello.cluster_id != site.cluster_id {
        return Err(Ended::refused(Reason::Cluster));
    }
    if hello.from != peer.as_str() || hello.to != site.region().as_str() {
        return Err(Ended::refused(Reason::Route));
    }
    if hello.session.len() != SESSION_ID_LEN {
        return Err(Ended::refused(Reason::Protocol));
    }
    site.authority.verifier_of(peer, &hello.region_certificate).map_err(|error| {
        tracing::warn!(from = %peer, %error, "link refused");
        Ended::refused(Reason::Certificate)
    })
}

pub(crate) fn count_refusal(link: &Link, reason: Reason) {
    let label = reason.label();
    link.incoming.refused(label);
    link.board.incoming.send_modify(|status| *status.refused.entry(label).or_default() += 1);
}

/// Length of a session's id in bytes.
pub(crate) const SESSION_ID_LEN: usize = 16;

/// Acknowledgements and heartbeat answers that wait to be sent; when it is full, the session reads no further frames.
const OUTGOING_FRAMES_MAX: usize = 64;
