//! One Raft group per Region: proposals, linearizable reads on every node, membership, and TLS between nodes.
//!
//! ```text
//! PeerListener --routes--> Group::service  (Raft, read index, forwarding: same Region only)
//!                     \--> links           (other Regions; added by `replication`)
//! Group --> engine (openraft) --> storage
//! ```
//!
//! The engine's types stop here: nothing of openraft, tonic's generated code or rustls is needed to use a [`Group`].
//!
//! Left out: what commands mean (`state`), and who may propose them (`service`).

mod barrier;
mod core;
mod faults;
mod formation;
mod forward;
mod forwarder;
pub mod freshness;
mod group;
mod listener;
mod membership;
mod names;
mod network;
mod peers;
mod raft_service;
mod rounds;
mod timing;
pub mod tls;
mod wire;

/// The peer protocol, generated from `proto/raft.proto`.
#[allow(missing_docs, clippy::pedantic, clippy::all, unreachable_pub)] // generated; documented in the .proto file
mod proto {
    tonic::include_proto!("meridian.raft.v1");
}

pub use barrier::Unavailable;
pub use faults::{Cut, FaultGate, NoFaults};
pub use forward::{ForwardError, ForwardHandler};
pub use group::{
    COMMAND_MAX, Committed, Group, GroupConfig, GroupStatus, Leadership, MemberStatus, ProposeError, StartError,
    TransferError,
};
pub use listener::{PeerListener, PeerServer};
pub use membership::MembershipError;
pub use names::{NodeId, NodeName, region_dns_name};
pub use peers::connect;
pub use raft_service::RaftService;
pub use timing::Timing;
