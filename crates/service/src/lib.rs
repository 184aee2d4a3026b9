//! The operations of the service as use cases: authorize, execute, record.
//!
//! One [`Service`] stands on every node. Cryptography and reads run where they arrive, on the newest applied state;
//! changes go to the leader of the Region, which authorizes them again and proposes one command each.
//!
//! Cut by resource: [`keys`], [`aliases`], [`tags`], [`policies`], [`cryptography`], [`multi_region`].
//! Absent: HTTP and signatures (see `server` and `identity`), and anything that knows a Raft engine.

mod access;
mod aliases;
mod audit;
mod call;
mod cryptography;
mod forwarding;
mod key_ring;
mod keys;
mod links;
mod multi_region;
mod pages;
mod policies;
mod reads;
mod route;
mod scheduler;
mod tags;
mod writes;

pub use audit::{CallContext, TlsContext};
pub use call::{OnStale, Readiness, Service, ServiceConfig};
pub use forwarding::Forwarding;
pub use key_ring::KeyRing;
pub use route::Route;
