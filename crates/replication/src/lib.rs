//! Replication between Regions: links that carry the outbox of one Region to the state machine of another.
//!
//! Each Region's leader runs one link to every other Region: a gRPC stream over mutual TLS on which it sends its outbox
//! in order, and on which the other leader acknowledges what it has applied. A link resumes behind the last message
//! applied, whatever broke: the connection, either leader, or both.
//!
//! | module | what it holds |
//! |---|---|
//! | [`replicator`] | the links of one node: start, status, shutdown |
//! | [`local`] | what links need of their own Region |
//! | [`wire`] | the frames, generated from `proto/link.proto` |
//! | [`envelope`] | messages with their place, material and signature |
//! | [`transport_keys`] | the short-lived keys that material travels under |
//! | [`status`], [`metrics`] | what is known about links |
//! | `sender`, `sender_session` | the sending side |
//! | `receiver`, `receiver_session` | the receiving side |
//! | `ask` | questions to the leader of another Region |
//!
//! What it leaves out: what messages mean (`state`), which domain key seals material (the layer above), and messages of
//! a Region to itself, which its own event publisher takes from the outbox.
//!
//! Always true: material leaves a Region only sealed to a key that the other Region signed for this very session; a
//! message is applied once, in its place, or not at all.

mod ask;
mod authority;
mod backoff;
mod dialer;
pub mod envelope;
mod group;
#[cfg(test)]
mod hostile_envelopes;
pub mod local;
pub mod metrics;
mod paced;
mod receiver;
mod receiver_session;
pub mod replicator;
mod sender;
mod sender_session;
mod session_rank;
mod site;
pub mod status;
pub mod transport_keys;
pub mod wire;

pub use ask::AskError;
pub use authority::{Authority, RegionIdentity};
pub use dialer::{InvalidAddress, PeerAddress};
pub use local::{AskHandler, CannotAnswer, KeeperError, LocalRegion, MaterialKeeper, NotCurrent, ProposeError};
pub use metrics::LinkMetrics;
pub use receiver::LinkServer;
pub use replicator::{Replicator, ReplicatorConfig};
pub use site::LinkTiming;
pub use status::{IncomingStatus, LagSummary, LinkProblem, LinkStatus, OutgoingStatus};
pub use transport_keys::TransportKeyLimits;
