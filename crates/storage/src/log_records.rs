//! What the log's records hold, in a form of our own: votes, log ids and payloads as `raft-log` writes them.
//!
//! `raft-log` frames every record with a type in front and a CRC-32 behind. A payload additionally carries a
//! checksum over its own header, so that a damaged length is told from a record that was cut off: only the
//! latter may ever be repaired by cutting (see [`crate::log`]).

use std::io::{self, Read, Write};

use bytes::Bytes;
use openraft::vote::RaftLeaderId;
use raft_log::codeq::{Decode, Encode};

use crate::codec::{Kind, PlainLogId, payload_from_parts, payload_to_parts};
use crate::flushed::OnFlushed;
use crate::raft_types::{Entry, LogId, Vote};

/// The version of a payload's header.
const VERSION: u8 = 1;

/// The longest payload the log accepts, in bytes: far above any command, far below what would hurt a node.
pub(crate) const PAYLOAD_MAX: u32 = 16 * 1024 * 1024;

/// Version, kind, length and the checksum over these.
const HEADER: usize = 1 + 1 + 4 + 4;

/// The type parameters of `raft-log`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records;

impl raft_log::Types for Records {
    type LogId = PlainLogId;
    type LogPayload = StoredPayload;
    type Vote = StoredVote;
    type Callback = OnFlushed;
    type UserData = Vec<u8>;

    fn log_index(log_id: &PlainLogId) -> u64 {
        log_id.index
    }

    fn payload_size(payload: &StoredPayload) -> u64 {
        // Besides its bytes an entry costs about this much in the cache's map.
        payload.bytes.len() as u64 + 96
    }
}

impl Encode for PlainLogId {
    fn encode<W: Write>(&self, mut out: W) -> io::Result<usize> {
        for number in [self.term, self.node, self.index] {
            out.write_all(&number.to_be_bytes())?;
        }
        Ok(24)
    }
}

impl Decode for PlainLogId {
    fn decode<R: Read>(mut input: R) -> io::Result<Self> {
        Ok(Self { term: number(&mut input)?, node: number(&mut input)?, index: number(&mut input)? })
    }
}

/// A vote; ordered as the engine orders votes: term, node, then whether a quorum granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredVote {
    term: u64,
    node: u64,
    committed: bool,
}

impl From<&Vote> for StoredVote {
    fn from(vote: &Vote) -> Self {
        Self { term: vote.leader_id.term(), node: *vote.leader_id.node_id(), committed: vote.committed }
    }
}

impl From<StoredVote> for Vote {
    fn from(vote: StoredVote) -> Self {
        if vote.committed { Self::new_committed(vote.term, vote.node) } else { Self::new(vote.term, vote.node) }
    }
}

impl Encode for StoredVote {
    fn encode<W: Write>(&self, mut out: W) -> io::Result<usize> {
        out.write_all(&self.term.to_be_bytes())?;
        out.write_all(&self.node.to_be_bytes())?;
        out.write_all(&[u8::from(self.committed)])?;
        Ok(17)
    }
}

impl Decode for StoredVote {
    fn decode<R: Read>(mut input: R) -> io::Result<Self> {
        let (term, node) = (number(&mut input)?, number(&mut input)?);
        match byte(&mut input)? {
            committed @ (0 | 1) => Ok(Self { term, node, committed: committed == 1 }),
            _ => Err(damaged("a vote is neither granted nor open")),
        }
    }
}

/// The payload of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPayload {
    kind: Kind,
    bytes: Bytes,
}

impl Encode for StoredPayload {
    fn encode<W: Write>(&self, mut out: W) -> io::Result<usize> {
        let length = u32::try_from(self.bytes.len()).ok().filter(|length| *length <= PAYLOAD_MAX);
        let length = length.ok_or_else(|| {
            let text = format!("an entry of {} bytes is longer than {PAYLOAD_MAX}", self.bytes.len());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let mut header = [0; HEADER];
        header[0] = VERSION;
        header[1] = self.kind.tag();
        header[2..6].copy_from_slice(&length.to_be_bytes());
        let checksum = crc32fast::hash(&header[..6]);
        header[6..].copy_from_slice(&checksum.to_be_bytes());
        out.write_all(&header)?;
        out.write_all(&self.bytes)?;
        Ok(HEADER + self.bytes.len())
    }
}

impl Decode for StoredPayload {
    fn decode<R: Read>(mut input: R) -> io::Result<Self> {
        let mut header = [0; HEADER];
        input.read_exact(&mut header)?;
        let [version, kind, l0, l1, l2, l3, checksum @ ..] = header;
        if crc32fast::hash(&header[..6]) != u32::from_be_bytes(checksum) {
            return Err(damaged("the checksum of an entry's header does not match"));
        }
        if version != VERSION {
            return Err(damaged(&format!("an entry has format version {version}, this build knows {VERSION}")));
        }
        let kind = Kind::from_tag(kind).ok_or_else(|| damaged("an entry is of an unknown kind"))?;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if length > PAYLOAD_MAX {
            return Err(damaged("an entry is longer than any that was written"));
        }
        let mut bytes = vec![0; length as usize];
        input.read_exact(&mut bytes)?;
        Ok(Self { kind, bytes: bytes.into() })
    }
}

impl StoredPayload {
    /// Bytes of the payload proper.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Splits an entry as `raft-log` wants it.
pub(crate) fn entry_to_record(entry: &Entry) -> (PlainLogId, StoredPayload) {
    let (kind, bytes) = payload_to_parts(&entry.payload);
    (PlainLogId::from(&entry.log_id), StoredPayload { kind, bytes })
}

/// Puts an entry together again.
pub(crate) fn entry_from_record(id: PlainLogId, payload: StoredPayload) -> io::Result<Entry> {
    let payload = payload_from_parts(payload.kind, payload.bytes)?;
    Ok(Entry { log_id: LogId::from(id), payload })
}

fn number(mut input: impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

fn byte(mut input: impl Read) -> io::Result<u8> {
    let mut bytes = [0; 1];
    input.read_exact(&mut bytes)?;
    Ok(bytes[0])
}

fn damaged(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_length_is_no_cut_off_record() {
        let payload = StoredPayload { kind: Kind::Command, bytes: Bytes::from_static(b"some command") };
        let mut bytes = Vec::new();
        payload.encode(&mut bytes).unwrap();
        assert_eq!(StoredPayload::decode(bytes.as_slice()).unwrap(), payload);
        let cut = StoredPayload::decode(&bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        for at in 0..HEADER {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            let error = StoredPayload::decode(damaged.as_slice()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {at}");
        }
    }

    #[test]
    fn votes_are_ordered_as_the_engine_orders_them() {
        let votes = [Vote::new(1, 2), Vote::new_committed(1, 2), Vote::new(1, 3), Vote::new(2, 1)];
        for pair in votes.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(StoredVote::from(&pair[0]) < StoredVote::from(&pair[1]));
            assert_eq!(Vote::from(StoredVote::from(&pair[0])), pair[0]);
        }
    }
}
