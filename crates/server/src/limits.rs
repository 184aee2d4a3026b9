//! What a client may take of the server before anybody knows who it is.
//!
//! Every number has a default that suits unmodified AWS SDKs; `config` may change those that depend on the machine.

use std::time::Duration;

/// Bounds in bytes, counts and time.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest request body. A key policy of 32 KiB in JSON in JSON, 50 tags and a description fit many times.
    pub body_bytes_max: usize,
    /// The longest head of a request, all header fields together. Session tokens take up to 8 KiB of it.
    pub head_bytes_max: usize,
    /// The most header fields. SDKs send about fifteen.
    pub header_fields_max: usize,
    /// The time from the first byte of a head to its last, and that of a TLS handshake.
    pub head_time_max: Duration,
    /// The time from the end of a head to the end of its body.
    pub body_time_max: Duration,
    /// How long a connection may be open without a request. SDKs keep theirs for 20 to 60 s.
    pub idle_time_max: Duration,
    /// How many connections one listener serves at once; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// How many requests one HTTP/2 connection may have under way.
    pub streams_max: u32,
    /// How many bodies longer than [`BODY_BYTES_SMALL`] may be in memory at once, over all connections.
    pub large_bodies_max: usize,
    /// How long a shutdown waits for requests that are under way.
    pub shutdown_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            head_bytes_max: 64 << 10,
            header_fields_max: 100,
            head_time_max: Duration::from_secs(10),
            body_time_max: Duration::from_secs(30),
            idle_time_max: Duration::from_secs(75),
            connections_max: 10_000,
            streams_max: 128,
            large_bodies_max: 256,
            shutdown_time_max: Duration::from_secs(10),
        }
    }
}

/// Up to this length a body needs no place among the large ones; cryptographic operations stay far below it.
pub const BODY_BYTES_SMALL: usize = 64 << 10;
