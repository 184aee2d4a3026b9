//! The wire format of links, generated from `proto/link.proto`, and the limits of its frames.

#![allow(missing_docs, clippy::pedantic, unreachable_pub)] // generated; the fields are explained in the .proto file

tonic::include_proto!("meridian.link.v1");

/// The protocol versions that this build speaks.
pub const VERSION_MIN: u32 = 1;
/// See [`VERSION_MIN`].
pub const VERSION_MAX: u32 = 1;

/// Largest question or answer of [`ask`](crate::Replicator::ask), in bytes. The largest message is far below: a new
/// replica with its policy, tags and description is a row of the state, below 64 KiB.
pub const ASK_BYTES_MAX: usize = 1024 * 1024;

impl LinkFrame {
    /// The frame that consists of `body`.
    #[must_use]
    pub fn new(body: impl Into<link_frame::Body>) -> Self {
        Self { body: Some(body.into()) }
    }
}

macro_rules! body {
    ($($kind:ident)+) => {
        $(impl From<$kind> for link_frame::Body {
            fn from(body: $kind) -> Self {
                Self::$kind(body)
            }
        })+
    };
}

body! { Hello Welcome NotLeader Envelope Ack Heartbeat HeartbeatAck TransportKey Refused }

impl Reason {
    /// The reason in a metric or a log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Protocol => "protocol",
            Self::Version => "version",
            Self::Cluster => "cluster",
            Self::Route => "route",
            Self::Certificate => "certificate",
            Self::Signature => "signature",
            Self::Sequence => "sequence",
            Self::Message => "message",
            Self::TransportKey => "transport_key",
            Self::Material => "material",
            Self::Sealed => "sealed",
            Self::Superseded => "superseded",
            Self::Unavailable => "unavailable",
        }
    }
}
