//! The bytes of log ids, memberships and entries, as they stand on disk and travel between nodes.
//!
//! Every encoding starts with a version and refuses one it does not know, so that an older node stops with a
//! clear error instead of misreading what a newer one wrote. Integrity is not this module's business: records of
//! the log, blocks of a snapshot and rows of the image each carry their own checksum, TLS protects the wire.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::raft_types::{Entry, LogId, Member, Membership, Payload, Proposal, StoredMembership, log_id};

/// The version written by this build.
const VERSION: u8 = 1;

/// Bytes in front of an entry's payload: version, kind, term, node, index.
const ENTRY_HEADER: usize = 2 + 3 * 8;

/// Why bytes are not what they were taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A newer build wrote this.
    #[error("{what} has format version {found}, this build knows up to {known}")]
    UnknownVersion {
        /// What was being read.
        what: &'static str,
        /// The version found.
        found: u8,
        /// The newest version this build reads.
        known: u8,
    },
    /// The bytes end too early, or say something impossible.
    #[error("{what} is malformed")]
    Malformed {
        /// What was being read.
        what: &'static str,
    },
}

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// What kind of payload an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: a new leader's first entry.
    Blank,
    /// One encoded command.
    Command,
    /// A change of members.
    Membership,
}

impl Kind {
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Command => 1,
            Self::Membership => 2,
        }
    }

    pub(crate) const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Self::Blank),
            1 => Some(Self::Command),
            2 => Some(Self::Membership),
            _ => None,
        }
    }
}

/// Splits a payload into its kind and its bytes.
pub(crate) fn payload_to_parts(payload: &Payload) -> (Kind, Bytes) {
    match payload {
        Payload::Blank => (Kind::Blank, Bytes::new()),
        Payload::Normal(Proposal(bytes)) => (Kind::Command, bytes.clone()),
        Payload::Membership(membership) => (Kind::Membership, encode_membership(membership).into()),
    }
}

/// Puts a payload together again.
pub(crate) fn payload_from_parts(kind: Kind, bytes: Bytes) -> Result<Payload, CodecError> {
    match kind {
        Kind::Blank => Ok(Payload::Blank),
        Kind::Command => Ok(Payload::Normal(Proposal(bytes))),
        Kind::Membership => decode_membership(&bytes).map(Payload::Membership),
    }
}

/// Encodes one entry for the wire: version, kind, term, node, index (big endian), then the payload to the end.
#[must_use]
pub fn encode_entry(entry: &Entry) -> Bytes {
    let (kind, payload) = payload_to_parts(&entry.payload);
    let mut bytes = Vec::with_capacity(ENTRY_HEADER + payload.len());
    bytes.extend([VERSION, kind.tag()]);
    bytes.extend(entry.log_id.leader_id.term.to_be_bytes());
    bytes.extend(entry.log_id.leader_id.node_id.to_be_bytes());
    bytes.extend(entry.log_id.index.to_be_bytes());
    bytes.extend_from_slice(&payload);
    bytes.into()
}

/// Reads what [`encode_entry`] wrote; the command's bytes are shared with the input, not copied.
///
/// # Errors
/// [`CodecError`] if the bytes are too short, of an unknown version or of an unknown kind.
pub fn decode_entry(bytes: &Bytes) -> Result<Entry, CodecError> {
    const WHAT: &str = "a log entry";
    let malformed = CodecError::Malformed { what: WHAT };
    let Some(header) = bytes.first_chunk::<ENTRY_HEADER>() else { return Err(malformed) };
    check_version(WHAT, header[0])?;
    let kind = Kind::from_tag(header[1]).ok_or(malformed)?;
    let number = |at: usize| u64::from_be_bytes(header[at..at + 8].try_into().expect("eight bytes of the header"));
    Ok(Entry {
        log_id: log_id(number(2), number(10), number(18)),
        payload: payload_from_parts(kind, bytes.slice(ENTRY_HEADER..))?,
    })
}

fn check_version(what: &'static str, found: u8) -> Result<(), CodecError> {
    if found == VERSION { Ok(()) } else { Err(CodecError::UnknownVersion { what, found, known: VERSION }) }
}

/// A log id in a form of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PlainLogId {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) index: u64,
}

impl From<&LogId> for PlainLogId {
    fn from(id: &LogId) -> Self {
        Self { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
    }
}

impl From<PlainLogId> for LogId {
    fn from(id: PlainLogId) -> Self {
        log_id(id.term, id.node, id.index)
    }
}

#[derive(Serialize, Deserialize)]
struct PlainMembership {
    configs: Vec<BTreeSet<u64>>,
    members: BTreeMap<u64, String>,
}

impl From<&Membership> for PlainMembership {
    fn from(membership: &Membership) -> Self {
        Self {
            configs: membership.get_joint_config().clone(),
            members: membership.nodes().map(|(id, member)| (*id, member.address.clone())).collect(),
        }
    }
}

impl TryFrom<PlainMembership> for Membership {
    type Error = CodecError;

    fn try_from(plain: PlainMembership) -> Result<Self, CodecError> {
        if plain.configs.is_empty() && plain.members.is_empty() {
            return Ok(Self::default());
        }
        let members: BTreeMap<u64, Member> =
            plain.members.into_iter().map(|(id, address)| (id, Member { address })).collect();
        Self::new(plain.configs, members).map_err(|_| CodecError::Malformed { what: "a membership" })
    }
}

/// Encodes a value with the version in front.
fn to_versioned<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("plain structs of numbers and strings always encode")
}

fn from_versioned<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, CodecError> {
    let (version, rest) = bytes.split_first().ok_or(CodecError::Malformed { what })?;
    check_version(what, *version)?;
    match postcard::take_from_bytes(rest) {
        Ok((value, [])) => Ok(value),
        _ => Err(CodecError::Malformed { what }),
    }
}

pub(crate) fn encode_membership(membership: &Membership) -> Vec<u8> {
    to_versioned(&PlainMembership::from(membership))
}

pub(crate) fn decode_membership(bytes: &[u8]) -> Result<Membership, CodecError> {
    from_versioned::<PlainMembership>("a membership", bytes)?.try_into()
}

#[derive(Serialize, Deserialize)]
struct PlainPosition {
    applied: Option<PlainLogId>,
    membership_at: Option<PlainLogId>,
    membership: PlainMembership,
}

/// How far a state has got: the last applied entry and the newest membership applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last applied entry.
    pub applied: Option<LogId>,
    /// The newest membership applied.
    pub membership: StoredMembership,
}

impl Position {
    pub(crate) fn encode(&self) -> Vec<u8> {
        to_versioned(&PlainPosition {
            applied: self.applied.as_ref().map(PlainLogId::from),
            membership_at: self.membership.log_id().as_ref().map(PlainLogId::from),
            membership: self.membership.membership().into(),
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let plain: PlainPosition = from_versioned("a position in the log", bytes)?;
        let membership = plain.membership.try_into()?;
        Ok(Self {
            applied: plain.applied.map(LogId::from),
            membership: StoredMembership::new(plain.membership_at.map(LogId::from), membership),
        })
    }

    /// The index of the last applied entry; 0 before there is one.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.applied.as_ref().map_or(0, |id| id.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership() -> Membership {
        let members = BTreeMap::from([(1, Member { address: "a:1".into() }), (2, Member { address: "b:2".into() })]);
        Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2])], members).unwrap()
    }

    #[test]
    fn entries_survive_the_wire() {
        for payload in [
            Payload::Blank,
            Payload::Normal(Proposal(Bytes::from_static(b"command"))),
            Payload::Membership(membership()),
        ] {
            let entry = Entry { log_id: log_id(3, 2, 77), payload };
            assert_eq!(decode_entry(&encode_entry(&entry)), Ok(entry));
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let mut bytes = encode_entry(&Entry { log_id: log_id(1, 1, 1), payload: Payload::Blank }).to_vec();
        bytes[0] = 9;
        let error = decode_entry(&bytes.into()).unwrap_err();
        assert_eq!(error.to_string(), "a log entry has format version 9, this build knows up to 1");
    }

    #[test]
    fn cut_or_extended_bytes_are_malformed() {
        let position = Position {
            applied: Some(log_id(1, 2, 3)),
            membership: StoredMembership::new(Some(log_id(0, 0, 0)), membership()),
        };
        let bytes = position.encode();
        assert_eq!(Position::decode(&bytes), Ok(position));
        for length in 0..bytes.len() {
            assert!(Position::decode(&bytes[..length]).is_err(), "cut to {length}");
        }
        assert!(Position::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert!(decode_entry(&Bytes::from_static(&[1, 0, 0])).is_err());
    }
}
