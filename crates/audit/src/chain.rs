//! The hash chain and the form of the lines that carry it.
//!
//! A trail is a directory of files. Each file begins with one header line and goes on with one line per record:
//!
//! ```text
//! {"trail":"meridian-audit","version":1,"node":"us-east-1/1","sequence":0,"hash":"<previous hash>"}
//! {"sequence":1,"hash":"<hash>","record":{...}}
//! ```
//!
//! The hash of a line is SHA-256 over the 32 bytes of the previous hash, the sequence number as 8 bytes big-endian, and
//! the bytes of the record as they stand between `"record":` and the closing brace. Before the first record stands
//! SHA-256 over `meridian-audit/1` and the node's name, so that no node's trail passes for another's. A header repeats
//! sequence number and hash of the last line of the file before, so each file can be checked alone.
//!
//! The chain has no key: it shows that lines were changed, dropped or moved, unless everything after them was
//! rewritten as well. To find that out too, keep a [`Head`] somewhere else and hand it to [`crate::verify()`].

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The end of a chain: the newest sequence number and its hash. Its text form is `<sequence>:<hash in hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the newest record; the first one is 1.
    pub sequence: u64,
    /// The hash of its line.
    pub hash: [u8; 32],
}

impl Head {
    /// Before the first record of `node`.
    pub(crate) fn genesis(node: &str) -> Self {
        let hash = Sha256::new().chain_update(GENESIS).chain_update(node).finalize().into();
        Self { sequence: 0, hash }
    }

    /// After `record`.
    pub(crate) fn next(self, record: &[u8]) -> Self {
        let sequence = self.sequence + 1;
        let digest = Sha256::new().chain_update(self.hash).chain_update(sequence.to_be_bytes()).chain_update(record);
        Self { sequence, hash: digest.finalize().into() }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex::encode(self.hash))
    }
}

/// The text is not `<sequence>:<hash in hex>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a trail; expected <sequence>:<64 hexadecimal digits>")]
pub struct ParseHeadError;

impl FromStr for Head {
    type Err = ParseHeadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sequence, hash) = text.split_once(':').ok_or(ParseHeadError)?;
        let sequence = sequence.parse().map_err(|_| ParseHeadError)?;
        Ok(Self { sequence, hash: parse_hash(hash.as_bytes()).ok_or(ParseHeadError)? })
    }
}

/// One record as it stands in a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number and hash, as the line claims.
    pub head: Head,
    /// The record's JSON.
    pub record: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line without its line break; checks its form, not its hash.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(SEQUENCE)?;
        let digits = rest.iter().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
        let sequence = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let (hash, rest) = rest[digits..].strip_prefix(HASH)?.split_at_checked(HASH_DIGITS)?;
        let record = rest.strip_prefix(RECORD)?.strip_suffix(b"}")?;
        let is_object = record.starts_with(b"{") && record.ends_with(b"}");
        is_object.then_some(Line { head: Head { sequence, hash: parse_hash(hash)? }, record })
    }
}

/// Appends the line of `record`, which makes the chain end in `head`.
pub(crate) fn write_line(out: &mut Vec<u8>, head: Head, record: &[u8]) {
    out.extend_from_slice(SEQUENCE);
    out.extend_from_slice(head.sequence.to_string().as_bytes());
    out.extend_from_slice(HASH);
    let mut digits = [0; HASH_DIGITS];
    hex::encode_to_slice(head.hash, &mut digits).expect("64 digits hold 32 bytes");
    out.extend_from_slice(&digits);
    out.extend_from_slice(RECORD);
    out.extend_from_slice(record);
    out.extend_from_slice(b"}\n");
}

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whose trail it is.
    pub(crate) node: String,
    /// Where the file before ends.
    pub(crate) previous: Head,
}

impl Header {
    pub(crate) fn to_line(&self) -> Vec<u8> {
        let fields = serde_json::json!({
            "trail": TRAIL, "version": VERSION, "node": self.node,
            "sequence": self.previous.sequence, "hash": hex::encode(self.previous.hash),
        });
        let mut line = fields.to_string().into_bytes();
        line.push(b'\n');
        line
    }

    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let fields: serde_json::Value = serde_json::from_slice(line).ok()?;
        if fields["trail"] != TRAIL || fields["version"] != VERSION {
            return None;
        }
        let hash = parse_hash(fields["hash"].as_str()?.as_bytes())?;
        let previous = Head { sequence: fields["sequence"].as_u64()?, hash };
        Some(Self { node: fields["node"].as_str()?.to_owned(), previous })
    }
}

fn parse_hash(digits: &[u8]) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    Some(hash)
}

const TRAIL: &str = "meridian-audit";
const VERSION: u64 = 1;
const GENESIS: &[u8] = b"meridian-audit/1";
const SEQUENCE: &[u8] = b"{\"sequence\":";
const HASH: &[u8] = b",\"hash\":\"";
const RECORD: &[u8] = b"\",\"record\":";
const HASH_DIGITS: usize = 64;
const MAX_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_headers_survive_being_written_and_read() {
        let head = Head::genesis("us-east-1/1").next(b"{\"a\":1}");
        let mut line = Vec::new();
        write_line(&mut line, head, b"{\"a\":1}");
        assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        assert_eq!(Line::parse(line.strip_suffix(b"\n").unwrap()), Some(Line { head, record: b"{\"a\":1}" }));
        assert_eq!(head.to_string().parse(), Ok(head));

        let header = Header { node: "us-east-1/\"1\"".to_owned(), previous: head };
        assert_eq!(Header::parse(&header.to_line()), Some(header));
    }

    #[test]
    fn no_torn_line_passes() {
        let start = Head::genesis("n");
        let mut line = Vec::new();
        write_line(&mut line, start.next(b"{\"a\":{}}"), b"{\"a\":{}}");
        for end in 0..line.len() - 1 {
            let intact = Line::parse(&line[..end]).is_some_and(|line| line.head == start.next(line.record));
            assert!(!intact, "cut at {end}");
        }
    }

    #[test]
    fn the_chain_is_pinned() {
        let head = Head::genesis("node").next(b"{}").next(b"{\"b\":2}");
        let expected = "2:a0ba59fda4cae4d1bcb5eaea418f99da3befe1ef793c67425868ffab04224489";
        assert_eq!(head.to_string(), expected);
    }
}
