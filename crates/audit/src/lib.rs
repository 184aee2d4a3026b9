//! What happened, for auditors and operators: CloudTrail-shaped records in a hash-chained trail, and metrics.
//!
//! [`record`] gives a record its form, [`Trail`] writes it before the answer of its request is sent, [`verify()`] proves
//! that nobody changed the trail since, and [`Metrics`] counts. Who is recorded for which operation, and with which
//! resources, is decided by the caller; this crate knows no operation's rules beyond what its record may contain.
//!
//! Always true: nothing secret reaches a record, because request parameters pass an allow-list per operation.

mod chain;
mod elements;
pub mod ids;
pub mod json;
pub mod metrics;
mod parameters;
pub mod record;
mod recovery;
mod trail;
pub mod verify;
mod writer;

pub use chain::{Head, Line};
pub use elements::response_elements;
pub use json::JsonText;
pub use metrics::Metrics;
pub use parameters::request_parameters;
pub use record::{
    AuditRecord, EventType, IdentityType, RecordedError, Resource, SessionContext, SessionIssuer, SourceAddress,
    TlsDetails, UserIdentity, iso_seconds,
};
pub use recovery::{Damage, Recovery};
pub use trail::{OpenError, Trail, TrailConfig, TrailError};
pub use verify::{Break, Fault, Verified, VerifyError, verify};
