//! One session at the receiving leader: envelopes in, commands proposed in order, acknowledgements out.
//!
//! Proposals overlap: an envelope is proposed without waiting for the one before. The state machine applies a message
//! only if it is the next one, so whatever goes wrong on the way can delay a message but never skip or repeat it.
//!
//! Always true: an acknowledgement is sent only after the message was applied, and material is opened only to be sealed
//! again at once.

use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use meridian_crypto::{RegionVerifier, SealedMaterial, SealedSecret};
use meridian_model::Timestamp;
use meridian_state::identities::messages::{IdentityMessage, SecretReference};
use meridian_state::links::{Delivered, MaterialReference, Message};
use meridian_state::{Command, Op};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::envelope::{self, Route};
use crate::local::KeeperError;
use crate::local::ProposeError;
use crate::receiver::Frames;
use crate::site::{Link, Site};
use crate::transport_keys::{NotOpened, TransportKeys};
use crate::wire::link_frame::Body;
use crate::wire::{self, LinkFrame, Reason};
use meridian_consensus::NodeId;

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The sender did something that is refused.
    Refused { reason: Reason, sequence: u64 },
    /// This node is not, or no longer, the leader.
    NotLeader(Option<NodeId>),
    /// The sender closed the stream, or the connection broke.
    Closed,
    /// Nothing was heard for too long.
    Silent,
    /// This node stops.
    Stopped,
}

impl Ended {
    pub(crate) const fn refused(reason: Reason) -> Self {
        Self::Refused { reason, sequence: 0 }
    }

    /// What the sender is told.
    pub(crate) fn last_frame(&self) -> Option<LinkFrame> {
        match self {
            Self::Refused { reason, sequence } => {
                Some(LinkFrame::new(wire::Refused { reason: (*reason).into(), sequence: *sequence }))
            }
            Self::NotLeader(leader) => {
                Some(LinkFrame::new(wire::NotLeader { leader: leader.map_or(0, |node| node.0) }))
            }
            Self::Closed | Self::Silent | Self::Stopped => None,
        }
    }
}

/// What comes out of the pipeline, in the order in which it went in.
#[derive(Clone, Copy)]
enum Step {
    /// An envelope was proposed.
    Proposed { sequence: u64, committed_at: Timestamp, result: Result<(), ProposeError> },
    /// A heartbeat: whatever was committed over there before this time has come out before.
    CompleteAsOf(Timestamp),
}

pub(crate) struct ReceiverSession<'a> {
    site: &'a Site,
    link: &'a Link,
    route: Route,
    verifier: RegionVerifier,
    frames: Frames,
    out: &'a mpsc::Sender<LinkFrame>,
    keys: TransportKeys,
    session: Bytes,
    /// The next sequence number to be proposed.
    expected: u64,
    last_applied: u64,
    pipeline: FuturesOrdered<BoxFuture<'a, Step>>,
    superseded: CancellationToken,
}

impl<'a> ReceiverSession<'a> {
    #[allow(clippy::too_many_arguments)] // one call, from the handshake, which is what gathers them
    pub(crate) fn new(
        site: &'a Site,
        link: &'a Link,
        route: Route,
        verifier: RegionVerifier,
        frames: Frames,
        out: &'a mpsc::Sender<LinkFrame>,
        keys: TransportKeys,
        session: Bytes,
        last_applied: u64,
        superseded: CancellationToken,
    ) -> Self {
        let (expected, pipeline) = (last_applied + 1, FuturesOrdered::new());
        Self { site, link, route, verifier, frames, out, keys, session, expected, last_applied, pipeline, superseded }
    }

    /// Serves the sender until something ends the session.
    pub(crate) async fn run(mut self) -> Ended {
        let ended = match self.serve().await {
            Ok(()) => Ended::Closed,
            Err(ended) => ended,
        };
        self.link.board.incoming.send_modify(|status| {
            // Whoever took over has cancelled the token before it said that it is connected.
            status.connected &= self.superseded.is_cancelled();
        });
        self.superseded.cancel();
        ended
    }

    async fn serve(&mut self) -> Result<(), Ended> {
        let mut leadership = self.site.local.leadership();
        if !leadership.borrow_and_update().am_leader {
            return Err(Ended::NotLeader(self.site.known_leader()));
        }
        let mut silent_at = tokio::time::Instant::now() + self.site.timing.silence_max;
        loop {
            let may_read = self.pipeline.len() < PIPELINE_MAX;
            tokio::select! {
                biased;
                () = self.site.stop.cancelled() => return Err(Ended::Stopped),
                () = self.superseded.cancelled() => return Err(Ended::refused(Reason::Superseded)),
                changed = leadership.changed() => {
                    let still = changed.is_ok() && leadership.borrow_and_update().am_leader;
                    if !still {
                        return Err(Ended::NotLeader(self.site.known_leader()));
                    }
                }
                Some(step) = self.pipeline.next(), if !self.pipeline.is_empty() => self.finish(step).await?,
                frame = self.frames.next(), if may_read => {
                    let Some(Ok(frame)) = frame else { return Ok(()) };
                    silent_at = tokio::time::Instant::now() + self.site.timing.silence_max;
                    self.take(frame).await?;
                }
                () = tokio::time::sleep_until(self.keys.next_refresh().into()) => {}
                () = tokio::time::sleep_until(silent_at), if may_read => return Err(Ended::Silent),
            }
            self.refresh_keys().await?;
        }
    }

    async fn take(&mut self, frame: LinkFrame) -> Result<(), Ended> {
        match frame.body {
            Some(Body::Envelope(envelope)) => self.take_envelope(&envelope).await,
            Some(Body::Heartbeat(heartbeat)) => {
                if heartbeat.complete_as_of_ms != 0 {
                    let as_of = Timestamp::from_millis(heartbeat.complete_as_of_ms);
                    self.pipeline.push_back(std::future::ready(Step::CompleteAsOf(as_of)).boxed());
                }
                self.send(LinkFrame::new(wire::HeartbeatAck { number: heartbeat.number })).await
            }
            _ => Err(Ended::refused(Reason::Protocol)),
        }
    }

    async fn take_envelope(&mut self, envelope: &wire::Envelope) -> Result<(), Ended> {
        let sequence = envelope.sequence;
        if sequence < self.expected {
            self.link.incoming.duplicates.inc();
            self.link.board.incoming.send_modify(|status| status.duplicates += 1);
            return self.acknowledge().await;
        }
        let message = self.checked(envelope).map_err(|reason| Ended::Refused { reason, sequence })?;
        self.expected = sequence + 1;
        let committed_at = envelope.committed_at();
        let from = self.route.from.clone();
        let op = Op::ApplyMessage { from, sequence, committed_at, message };
        let command = Command { at: self.site.clock.now(), op };
        // The pipeline polls proposals for the first time in the order of their arrival, and the first poll hands the
        // command to the log; without a budget that could end just there, so that none overtakes another.
        let proposed = tokio::task::unconstrained(self.site.local.propose(command));
        self.pipeline.push_back(
            proposed.map(move |result| Step::Proposed { sequence, committed_at, result: result.map(|_| ()) }).boxed(),
        );
        Ok(())
    }

    /// The message of the next envelope, its material sealed for this Region.
    fn checked(&mut self, envelope: &wire::Envelope) -> Result<Delivered, Reason> {
        if envelope.sequence != self.expected {
            return Err(Reason::Sequence);
        }
        envelope::verify_envelope(&self.verifier, &self.route, envelope).map_err(|_| Reason::Signature)?;
        let message = envelope::decode_message(&envelope.message).map_err(|error| {
            tracing::warn!(from = %self.route.from, sequence = envelope.sequence, %error, "message refused");
            Reason::Message
        })?;
        match (message, &envelope.sealed) {
            (Message::TransferMaterial(reference), Some(sealed)) => {
                let sealed = self.reseal(&reference, envelope.sequence, sealed)?;
                Ok(Delivered::Material { reference, sealed })
            }
            (Message::Identity(message), Some(sealed)) => match *message {
                IdentityMessage::Secret(reference) => {
                    let sealed = self.reseal_secret(&reference, envelope.sequence, sealed)?;
                    Ok(Delivered::Secret { reference, sealed })
                }
                _ => Err(Reason::Message),
            },
            // Material that its sender no longer has: the message only moves the cursor.
            (message, None) => Ok(Delivered::Plain(message)),
            (_, Some(_)) => Err(Reason::Message),
        }
    }

    /// Opens material with the transport key and seals it with a domain key, within one call and locked memory.
    fn reseal(
        &mut self,
        reference: &MaterialReference,
        sequence: u64,
        sealed: &wire::SealedMaterial,
    ) -> Result<SealedMaterial, Reason> {
        let binding = envelope::transport_binding(&self.route, reference, sequence);
        let material = self.keys.open(sealed, &binding).map_err(not_opened)?;
        let state = self.site.local.state();
        self.site.keeper.seal(&state, &envelope::material_binding(reference), &material).map_err(|error| {
            tracing::warn!(from = %self.route.from, key_id = %reference.key_id, %error, "key material not taken");
            not_kept(&error)
        })
    }

    /// As [`Self::reseal`], for a secret of an identity.
    fn reseal_secret(
        &mut self,
        reference: &SecretReference,
        sequence: u64,
        sealed: &wire::SealedMaterial,
    ) -> Result<SealedSecret, Reason> {
        let binding = envelope::secret_transport(&self.route, reference, sequence);
        let secret = self.keys.open_secret(sealed, &binding).map_err(not_opened)?;
        let state = self.site.local.state();
        self.site.keeper.seal_secret(&state, reference, &secret).map_err(|error| {
            tracing::warn!(from = %self.route.from, %error, "the secret of an identity was not taken");
            not_kept(&error)
        })
    }

    /// Takes `step` and whatever else is done, then acknowledges all of it at once.
    async fn finish(&mut self, step: Step) -> Result<(), Ended> {
        let before = self.last_applied;
        let mut next = Some(step);
        while let Some(step) = next {
            self.note(step)?;
            next = if self.pipeline.is_empty() { None } else { self.pipeline.next().now_or_never().flatten() };
        }
        if self.last_applied > before { self.acknowledge().await } else { Ok(()) }
    }

    fn note(&mut self, step: Step) -> Result<(), Ended> {
        let as_of = match step {
            Step::CompleteAsOf(as_of) => as_of,
            Step::Proposed { result: Err(ProposeError::NotLeader { leader }), .. } => {
                return Err(Ended::NotLeader(leader));
            }
            Step::Proposed { sequence, result: Err(_), .. } => {
                return Err(Ended::Refused { reason: Reason::Unavailable, sequence });
            }
            Step::Proposed { sequence, committed_at, result: Ok(()) } => {
                let applied = self.site.local.state().cursor(&self.route.from).last_applied;
                if applied < sequence {
                    // One before it was lost on its way to the log, so the state machine passed over this one.
                    return Err(Ended::Refused { reason: Reason::Unavailable, sequence });
                }
                self.last_applied = self.last_applied.max(sequence);
                self.link.incoming.applied.inc();
                committed_at
            }
        };
        let lag = self.site.clock.now().since(as_of);
        self.link.incoming.lag.observe(lag.as_secs_f64());
        self.link.board.record_lag(lag);
        let last_applied = self.last_applied;
        self.link.board.incoming.send_modify(|status| {
            status.last_applied = last_applied;
            status.complete_as_of = status.complete_as_of.max(Some(as_of));
        });
        Ok(())
    }

    async fn refresh_keys(&mut self) -> Result<(), Ended> {
        let replaced = self.keys.refresh(Instant::now()).map_err(|_| Ended::refused(Reason::Unavailable))?;
        if !replaced {
            return Ok(());
        }
        let offer = self
            .keys
            .offer(&self.site.identity.signer, &self.route, &self.session)
            .map_err(|_| Ended::refused(Reason::Unavailable))?;
        self.send(LinkFrame::new(offer)).await
    }

    async fn acknowledge(&mut self) -> Result<(), Ended> {
        self.send(LinkFrame::new(wire::Ack { last_applied: self.last_applied })).await
    }

    async fn send(&mut self, frame: LinkFrame) -> Result<(), Ended> {
        match tokio::time::timeout(self.site.timing.silence_max, self.out.send(frame)).await {
            Ok(sent) => sent.map_err(|_| Ended::Closed),
            Err(_) => Err(Ended::Silent),
        }
    }
}

/// What the sender is told of material or a secret that does not open.
#[allow(clippy::needless_pass_by_value)] // to be given to map_err
fn not_opened(why: NotOpened) -> Reason {
    match why {
        NotOpened::UnknownKey => Reason::TransportKey,
        NotOpened::NotAuthentic => Reason::Material,
    }
}

/// What the sender is told of material or a secret that this Region cannot keep.
fn not_kept(why: &KeeperError) -> Reason {
    match why {
        KeeperError::Sealed => Reason::Sealed,
        KeeperError::Missing | KeeperError::Refused(_) => Reason::Material,
    }
}

/// Proposals and heartbeats under way for one link; at this number the session reads no further frames. More than the
/// window of a sender, so that heartbeats are answered while the log is slow.
const PIPELINE_MAX: usize = 512;
