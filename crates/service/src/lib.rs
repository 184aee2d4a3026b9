//! The operations of the service as use cases: authorize, execute, record.
//!
//! One [`Service`] stands on every node. Cryptography and reads run where they arrive, on the newest applied state;
//! changes go to the leader of the Region, which authorizes them again and proposes one command each.
//!
//! [`credentials`] finds access keys in the state, for whoever verifies signatures.
//!
//! Cut by resource: [`keys`], [`aliases`], [`tags`], [`policies`], [`grants`], [`usage`], [`rotation`], [`import`], [`multi_region`],
//! [`primary_region`]; cryptography by what it makes:
//! [`cryptography`], [`data_key_pairs`], [`signatures`], [`macs`], [`shared_secrets`]. What of it takes long is done in the
//! [`workshop`]. IAM and STS are in [`identities`].
//! Absent: HTTP and signatures (see `server` and `identity`), and anything that knows a Raft engine.

mod access;
mod aliases;
#[cfg(test)]
mod api_coverage;
mod audit;
mod call;
mod caller_policies;
mod conditions;
mod credentials;
mod cryptography;
mod data_key_pairs;
mod forwarding;
mod grant_tokens;
mod grants;
mod identities;
mod import;
mod key_ring;
mod key_stores;
mod key_use;
mod keys;
mod links;
mod macs;
mod multi_region;
mod origin;
mod pages;
mod policies;
mod primary_region;
mod reads;
mod recipients;
mod rotation;
mod route;
mod rsa_stock;
mod scheduler;
mod service_events;
mod shared_secrets;
mod signatures;
mod simulation;
mod tags;
mod thread_pool;
mod trace;
mod usage;
mod work;
mod workshop;
mod writes;

pub use audit::{CallContext, TlsContext};
pub use call::{OnStale, Readiness, Service, ServiceConfig};
pub use credentials::{SessionGrant, SessionHolder, TemporaryCredentials, check_current};
pub use forwarding::Forwarding;
pub use identities::FirstAdministrator;
pub use key_ring::KeyRing;
pub use origin::VpcEndpoint;
pub use route::Route;
pub use rsa_stock::Filling;
pub use simulation::{Simulated, SimulatedGrant, SimulatedStatement, Simulation, simulate};
pub use workshop::{Workshop, WorkshopConfig};
