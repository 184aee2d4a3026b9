//! The types that parameterize the Raft engine, and the short names the rest of the crate uses for them.
//!
//! None of these types is written to disk or sent to a peer as the engine would write it: see `codec.rs`.

use std::fmt;

use bytes::Bytes;
use meridian_state::Outcome;

/// What a client proposes: one encoded [`meridian_state::Command`].
///
/// It stays encoded on its way through log and network, so that what was acknowledged is byte for byte what
/// every node applies.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal(pub Bytes);

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry answers: the outcome of its command, or nothing for an entry that carries none.
#[derive(Debug)]
pub struct Response(pub Option<Outcome>);

/// A member of the group, as the log remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `host:port` of the member's peer listener when it was added. Configuration overrides it.
    pub address: String,
}

openraft::declare_raft_types!(
    /// The engine's type parameters.
    pub TypeConfig:
        D = Proposal,
        R = Response,
        NodeId = u64,
        Node = Member,
);

/// Term and leader that created an entry.
pub type LeaderId = openraft::type_config::alias::CommittedLeaderIdOf<TypeConfig>;
/// Position of an entry and the leader that created it.
pub type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
/// A vote: the newest leader or candidate a node follows.
pub type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
/// One entry of the log.
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
/// What an entry carries.
pub type Payload = openraft::EntryPayload<Proposal, u64, Member>;
/// Who belongs to the group.
pub type Membership = openraft::Membership<u64, Member>;
/// A membership with the position of the entry that set it.
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
/// Up to where a snapshot reaches, and the membership there.
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// A log id from its parts.
#[must_use]
pub fn log_id(term: u64, node: u64, index: u64) -> LogId {
    LogId::new(LeaderId { term, node_id: node }, index)
}
