//! One session of the sending leader: outbox rows out, in order and within a window; acknowledgements in.
//!
//! A row is turned into an envelope when it is sent and forgotten at once: what a session holds is bounded by its window,
//! and key material in clear exists only for the moment between opening and sealing it.
//!
//! Always true: rows are sent in order without gaps, beginning behind what the other Region says it has applied.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use meridian_crypto::RegionVerifier;
use meridian_crypto::random::random_bytes;
use meridian_state::identities::messages::{IdentityMessage, SecretReference};
use meridian_state::links::Message;
use meridian_state::{Command, Op, OutboxRow, RegionState};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::dialer::Peers;
use crate::envelope::{self, Route};
use crate::local::KeeperError;
use crate::local::ProposeError;
use crate::receiver::SESSION_ID_LEN;
use crate::sender::node_hint;
use crate::site::{Link, Site};
use crate::status::{LinkProblem, outbox_length};
use crate::transport_keys::OfferedKey;
use crate::wire::link_frame::Body;
use crate::wire::{self, LinkFrame, Reason};
use meridian_consensus::{NodeId, NodeName};

/// Why a session ended, or did not begin.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The node that was asked does not lead its Region.
    NotLeader(Option<NodeId>),
    /// See [`LinkProblem`]; and whether there was a Welcome before.
    Problem { problem: LinkProblem, was_connected: bool },
    /// This node does not lead its Region any more, or stops.
    Stopped,
}

impl From<LinkProblem> for Ended {
    fn from(problem: LinkProblem) -> Self {
        Self::Problem { problem, was_connected: false }
    }
}

/// Runs one session with `node`.
pub(crate) async fn run(
    site: &Site,
    peers: &Peers,
    link: &Link,
    node: &NodeName,
    term: u64,
    stop: &CancellationToken,
) -> Ended {
    let begun = tokio::select! {
        () = stop.cancelled() => return Ended::Stopped,
        begun = tokio::time::timeout(site.timing.connect, SenderSession::begin(site, peers, link, node, term)) => begun,
    };
    let mut session = match begun {
        Ok(Ok(session)) => session,
        Ok(Err(ended)) => return ended,
        Err(_) => return LinkProblem::Silent.into(),
    };
    link.set_leader_hint(Some(node.node));
    link.outgoing.connected.set(1);
    link.outgoing.sessions.inc();
    let last_acked = session.last_acked;
    link.board.outgoing.send_modify(|status| {
        status.connected = true;
        status.peer_leader = Some(node.node);
        status.last_acked = last_acked;
        status.sessions += 1;
        status.problem = None;
    });
    match session.serve(stop).await {
        Ended::Problem { problem, .. } => Ended::Problem { problem, was_connected: true },
        ended => ended,
    }
}

struct SenderSession<'a> {
    site: &'a Site,
    link: &'a Link,
    route: Route,
    verifier: RegionVerifier,
    session: Bytes,
    frames: Streaming<LinkFrame>,
    out: mpsc::Sender<LinkFrame>,
    offered: OfferedKey,
    /// Sequence number and size of what is sent and not acknowledged.
    in_flight: VecDeque<(u64, usize)>,
    in_flight_bytes: usize,
    last_sent: u64,
    last_acked: u64,
    /// When acknowledged rows are dropped from the outbox, unless enough of them come together earlier.
    acknowledge_at: tokio::time::Instant,
    /// False after dropping rows has failed.
    acknowledge_at_once: bool,
    heartbeats: u64,
    heartbeat_sent_at: Instant,
}

impl<'a> SenderSession<'a> {
    /// Connects, and goes through the handshake.
    async fn begin(site: &'a Site, peers: &Peers, link: &'a Link, node: &NodeName, term: u64) -> Result<Self, Ended> {
        let session = Bytes::from(random_bytes::<SESSION_ID_LEN>().map_err(|_| LinkProblem::NoRandomness)?.to_vec());
        let route = site.route_to(&node.region);
        let (out, receive) = mpsc::channel(WINDOW_ENVELOPES + CONTROL_FRAMES_MAX);
        let hello = LinkFrame::new(wire::Hello {
            version_min: wire::VERSION_MIN,
            version_max: wire::VERSION_MAX,
            from: route.from.to_string(),
            to: route.to.to_string(),
            cluster_id: route.cluster_id.clone(),
            term,
            session: session.clone(),
            region_certificate: site.identity.certificate.clone(),
        });
        out.try_send(hello).map_err(|_| LinkProblem::Disconnected)?;
        let gated = crate::paced::gated(receive, std::sync::Arc::clone(&site.gate), site.name.clone(), node.clone())
            .filter_map(|passed| std::future::ready(passed.ok()));
        let mut client = peers.client(node).ok_or(LinkProblem::Disconnected)?;
        let mut frames = client.exchange(gated).await.map_err(disconnected)?.into_inner();
        let first = frames.message().await.map_err(disconnected)?.and_then(|frame| frame.body);
        let welcome = match first {
            Some(Body::Welcome(welcome)) => welcome,
            Some(Body::NotLeader(not_leader)) => return Err(Ended::NotLeader(node_hint(not_leader.leader))),
            Some(Body::Refused(refused)) => return Err(LinkProblem::Refused(refused.reason()).into()),
            Some(_) => return Err(LinkProblem::PeerProtocol("no Welcome after Hello").into()),
            None => return Err(LinkProblem::Disconnected.into()),
        };
        let (verifier, offered) = check_welcome(site, &route, &session, &welcome)?;
        check_cursor(site, &route, welcome.last_applied).await?;
        Ok(Self {
            site,
            link,
            route,
            verifier,
            session,
            frames,
            out,
            offered,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            last_sent: welcome.last_applied,
            last_acked: welcome.last_applied,
            acknowledge_at: tokio::time::Instant::now(),
            acknowledge_at_once: true,
            heartbeats: 0,
            heartbeat_sent_at: Instant::now(),
        })
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Ended {
        let timing = &self.site.timing;
        let mut applied = self.site.local.applied();
        let mut heartbeat = tokio::time::interval(timing.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent_at = tokio::time::Instant::now() + timing.silence_max;
        let mut proposal: Option<Proposal<'a>> = None;
        loop {
            applied.mark_unchanged(); // before looking, so that a change in between wakes this task again
            if let Err(ended) = self.send_waiting() {
                return ended;
            }
            let acknowledge_at = if proposal.is_none() { self.acknowledge_when() } else { None };
            let happened = tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                frame = self.frames.message() => {
                    silent_at = tokio::time::Instant::now() + timing.silence_max;
                    frame.map_err(disconnected).and_then(|frame| self.take(frame))
                }
                result = async { proposal.as_mut().expect("guarded").await }, if proposal.is_some() => {
                    proposal = None;
                    self.acknowledgement_proposed(&result);
                    Ok(())
                }
                changed = applied.changed() => changed.map_err(|_| Ended::Stopped),
                _ = heartbeat.tick() => self.send_heartbeat(),
                () = tokio::time::sleep_until(acknowledge_at.unwrap_or(silent_at)), if acknowledge_at.is_some() => {
                    proposal = Some(self.propose_acknowledgement());
                    Ok(())
                }
                () = tokio::time::sleep_until(silent_at) => Err(LinkProblem::Silent.into()),
            };
            if let Err(ended) = happened {
                return ended;
            }
        }
    }

    /// Sends what the window has room for.
    fn send_waiting(&mut self) -> Result<(), Ended> {
        let has_room = |in_flight: usize, bytes: usize| in_flight < WINDOW_ENVELOPES && bytes < WINDOW_BYTES;
        if !has_room(self.in_flight.len(), self.in_flight_bytes) {
            return Ok(());
        }
        let state = self.site.local.state();
        for row in state.outbox_after(&self.route.to, self.last_sent) {
            if !has_room(self.in_flight.len(), self.in_flight_bytes) {
                break;
            }
            if row.sequence != self.last_sent + 1 {
                let (applied, oldest) = (self.last_sent, row.sequence);
                return Err(LinkProblem::PeerLostState { applied, oldest }.into());
            }
            let envelope = match self.envelope(&state, row) {
                // What was sent before is carried through first: it needs nothing that has to be opened.
                Err(Ended::Problem { problem: LinkProblem::CannotOpenMaterial, .. }) if !self.in_flight.is_empty() => {
                    break;
                }
                envelope => envelope?,
            };
            let frame = LinkFrame::new(envelope);
            let size = frame.encoded_len();
            self.out.try_send(frame).map_err(|_| LinkProblem::Disconnected)?;
            self.in_flight.push_back((row.sequence, size));
            self.in_flight_bytes += size;
            self.last_sent = row.sequence;
            self.link.outgoing.sent.inc();
        }
        self.show(&state);
        Ok(())
    }

    /// The signed envelope of `row`, its material sealed to the newest transport key.
    fn envelope(&self, state: &RegionState, row: &OutboxRow) -> Result<wire::Envelope, Ended> {
        let sealed = match &row.message {
            Message::TransferMaterial(reference) => {
                // Deleted with its key since it was put into the outbox: the message goes without, and changes nothing.
                let is_here = state.material(reference.key_id, reference.material_id).is_some();
                if is_here { Some(self.sealed_material(state, row.sequence, reference)?) } else { None }
            }
            Message::Identity(message) => match message.as_ref() {
                // The same holds for a secret that is gone.
                IdentityMessage::Secret(reference) if reference.sealed_in(state).is_some() => {
                    Some(self.sealed_secret(state, row.sequence, reference)?)
                }
                _ => None,
            },
            _ => None,
        };
        envelope::signed_envelope(&self.site.identity.signer, &self.route, row, sealed)
            .map_err(|_| LinkProblem::NoRandomness.into())
    }

    fn sealed_material(
        &self,
        state: &RegionState,
        sequence: u64,
        reference: &meridian_state::links::MaterialReference,
    ) -> Result<wire::SealedMaterial, Ended> {
        if !self.offered.is_usable(Instant::now()) {
            return Err(LinkProblem::Refused(Reason::TransportKey).into()); // a new session has a new key
        }
        let binding = envelope::material_binding(reference);
        let material = self.site.keeper.open(state, &binding).map_err(|error: KeeperError| {
            tracing::warn!(key_id = %reference.key_id, %error, "key material cannot be sent");
            LinkProblem::CannotOpenMaterial
        })?;
        let binding = envelope::transport_binding(&self.route, reference, sequence);
        let sealed = self.offered.public.seal(&binding, &material).map_err(|error| {
            tracing::warn!(to = %self.route.to, %error, "key material cannot be sealed");
            LinkProblem::PeerProtocol("the transport key cannot be used")
        })?;
        Ok(wire::SealedMaterial::new(self.offered.id.clone(), sealed))
    }

    fn sealed_secret(
        &self,
        state: &RegionState,
        sequence: u64,
        reference: &SecretReference,
    ) -> Result<wire::SealedMaterial, Ended> {
        if !self.offered.is_usable(Instant::now()) {
            return Err(LinkProblem::Refused(Reason::TransportKey).into()); // a new session has a new key
        }
        let secret = self.site.keeper.open_secret(state, reference).map_err(|error: KeeperError| {
            tracing::warn!(place = ?reference.place(), %error, "the secret of an identity cannot be sent");
            LinkProblem::CannotOpenMaterial
        })?;
        let binding = envelope::secret_transport(&self.route, reference, sequence);
        let sealed = self.offered.public.seal_secret(&binding, &secret).map_err(|error| {
            tracing::warn!(to = %self.route.to, %error, "the secret of an identity cannot be sealed");
            LinkProblem::PeerProtocol("the transport key cannot be used")
        })?;
        Ok(wire::SealedMaterial::new(self.offered.id.clone(), sealed))
    }

    fn take(&mut self, frame: Option<LinkFrame>) -> Result<(), Ended> {
        match frame.ok_or(LinkProblem::Disconnected)?.body {
            Some(Body::Ack(ack)) => self.take_ack(ack.last_applied),
            Some(Body::HeartbeatAck(ack)) => {
                if ack.number == self.heartbeats {
                    self.note_round_trip(self.heartbeat_sent_at.elapsed());
                }
                Ok(())
            }
            Some(Body::TransportKey(offer)) => {
                self.offered = OfferedKey::verified(&offer, &self.verifier, &self.route, &self.session, Instant::now())
                    .ok_or(LinkProblem::PeerProtocol("a transport key that its Region did not sign"))?;
                Ok(())
            }
            Some(Body::NotLeader(not_leader)) => Err(Ended::NotLeader(node_hint(not_leader.leader))),
            Some(Body::Refused(refused)) => {
                let (to, reason, sequence) = (&self.route.to, refused.reason().label(), refused.sequence);
                tracing::warn!(%to, reason, sequence, "the other Region refused");
                Err(LinkProblem::Refused(refused.reason()).into())
            }
            _ => Err(LinkProblem::PeerProtocol("a frame that only senders send").into()),
        }
    }

    fn take_ack(&mut self, last_applied: u64) -> Result<(), Ended> {
        if last_applied > self.last_sent {
            return Err(LinkProblem::PeerProtocol("an acknowledgement of what was never sent").into());
        }
        while let Some((_, size)) = self.in_flight.pop_front_if(|(sequence, _)| *sequence <= last_applied) {
            self.in_flight_bytes -= size;
        }
        self.last_acked = self.last_acked.max(last_applied);
        self.acknowledge_at = tokio::time::Instant::now() + self.site.timing.acknowledge_after;
        Ok(())
    }

    fn send_heartbeat(&mut self) -> Result<(), Ended> {
        let state = self.site.local.state();
        let now = self.site.clock.now();
        let all_sent = state.cursor(&self.route.to).last_sent == self.last_sent;
        self.heartbeats += 1;
        self.heartbeat_sent_at = Instant::now();
        let complete_as_of_ms = if all_sent { now.as_millis() } else { 0 };
        let heartbeat = wire::Heartbeat { number: self.heartbeats, complete_as_of_ms };
        match self.out.try_send(LinkFrame::new(heartbeat)) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()), // a full link needs none
            Err(mpsc::error::TrySendError::Closed(_)) => Err(LinkProblem::Disconnected.into()),
        }
    }

    /// When to drop acknowledged rows from the outbox; `None` if there are none.
    fn acknowledge_when(&self) -> Option<tokio::time::Instant> {
        let oldest = self.site.local.state().outbox_for(&self.route.to).next()?.sequence;
        match (self.last_acked + 1).saturating_sub(oldest) {
            0 => None,
            ACKNOWLEDGE_AT_ONCE.. if self.acknowledge_at_once => Some(tokio::time::Instant::now()),
            _ => Some(self.acknowledge_at),
        }
    }

    fn propose_acknowledgement(&self) -> Proposal<'a> {
        let op = Op::AcknowledgeOutbox { to: self.route.to.clone(), through: self.last_acked };
        let command = Command { at: self.site.clock.now(), op };
        let local = &self.site.local;
        Box::pin(async move { local.propose(command).await.map(|_| ()) })
    }

    /// Acknowledged rows that could not be dropped just now are dropped later, or by the next session.
    fn acknowledgement_proposed(&mut self, result: &Result<(), ProposeError>) {
        self.acknowledge_at_once = result.is_ok();
        if let Err(error) = result {
            tracing::debug!(to = %self.route.to, %error, "acknowledged messages stay in the outbox for now");
            self.acknowledge_at = tokio::time::Instant::now() + ACKNOWLEDGE_AGAIN_AFTER;
        }
    }

    fn note_round_trip(&self, round_trip: Duration) {
        self.link.outgoing.round_trip.set(round_trip.as_secs_f64());
        self.link.board.outgoing.send_modify(|status| status.round_trip = Some(round_trip));
    }

    fn show(&self, state: &RegionState) {
        let outbox = outbox_length(state, &self.route.to);
        self.link.outgoing.outbox.set(i64::try_from(outbox).unwrap_or(i64::MAX));
        let (last_acked, in_flight) = (self.last_acked, self.in_flight.len());
        self.link.board.outgoing.send_if_modified(|status| {
            let is_new = (status.last_acked, status.in_flight) != (last_acked, in_flight);
            (status.last_acked, status.in_flight) = (last_acked, in_flight);
            is_new
        });
    }
}

/// An acknowledgement on its way through the Region's log.
type Proposal<'a> = Pin<Box<dyn Future<Output = Result<(), ProposeError>> + Send + 'a>>;

/// Whether the Welcome is by the other Region's identity and meant for this session.
fn check_welcome(
    site: &Site,
    route: &Route,
    session: &[u8],
    welcome: &wire::Welcome,
) -> Result<(RegionVerifier, OfferedKey), LinkProblem> {
    if !(wire::VERSION_MIN..=wire::VERSION_MAX).contains(&welcome.version) {
        return Err(LinkProblem::PeerProtocol("a protocol version that was not offered"));
    }
    let verifier = site
        .authority
        .verifier_of(&route.to, &welcome.region_certificate)
        .map_err(|_| LinkProblem::PeerProtocol("a certificate that is not of its Region"))?;
    let offer = welcome.transport_key.as_ref().ok_or(LinkProblem::PeerProtocol("no transport key"))?;
    let offered = OfferedKey::verified(offer, &verifier, route, session, Instant::now())
        .ok_or(LinkProblem::PeerProtocol("a transport key that its Region did not sign"))?;
    Ok((verifier, offered))
}

/// Whether both Regions can go on from `applied`: neither has lost what the other one relies on.
async fn check_cursor(site: &Site, route: &Route, applied: u64) -> Result<(), LinkProblem> {
    if site.local.state().cursor(&route.to).last_sent >= applied {
        return Ok(());
    }
    // A new leader may still have to apply what its predecessor sent.
    site.local.read_barrier(site.timing.connect).await.map_err(|_| LinkProblem::Disconnected)?;
    let sent = site.local.state().cursor(&route.to).last_sent;
    if sent >= applied { Ok(()) } else { Err(LinkProblem::LostState { applied, sent }) }
}

#[allow(clippy::needless_pass_by_value)] // to be given to map_err
fn disconnected(status: tonic::Status) -> Ended {
    tracing::debug!(%status, "link connection");
    LinkProblem::Disconnected.into()
}

/// Envelopes that may be sent and not acknowledged.
const WINDOW_ENVELOPES: usize = 256;
/// Bytes that may be sent and not acknowledged, exceeded by less than one envelope.
const WINDOW_BYTES: usize = 1024 * 1024;
/// Acknowledged messages that are dropped from the outbox without waiting for more.
const ACKNOWLEDGE_AT_ONCE: u64 = 64;
/// Pause after the Region's log did not take an acknowledgement.
const ACKNOWLEDGE_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Room for Hello and heartbeats beside a full window.
const CONTROL_FRAMES_MAX: usize = 16;
