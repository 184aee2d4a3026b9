//! Whole clusters inside a test: real nodes, real Raft, real files; time, network and crashes are the test's own.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cluster`] | a cluster: started from one seed, its nodes stopped, killed, wiped and started again |
//! | [`waiting`] | waiting for a leader or for a state, on watches |
//! | [`switchboard`], [`place`] | the network between nodes: cut, delayed, held |
//! | [`client`] | typed requests to a node or a Region, in process |
//! | [`identities`] | users and roles, and their policies |
//! | [`imports`] | key material of a client, wrapped for its way |
//! | [`http_endpoint`] | a Region behind HTTP, for real clients |
//! | [`trails`] | what the audit trails hold |
//! | [`data_files`], [`secrets_in_clear`] | searching everything on disk for what must not be there |
//!
//! Always true: everything here fails by panicking with what was expected, because only tests use it; nothing waits by
//! sleeping; every wait ends after [`PATIENCE`].

pub mod client;
pub mod cluster;
pub mod data_files;
pub mod http_endpoint;
pub mod identities;
pub mod imports;
pub mod place;
pub mod secrets_in_clear;
pub mod switchboard;
pub mod trails;
pub mod waiting;

pub use client::{Client, account};
pub use cluster::{Cluster, ClusterBuilder};
pub use data_files::{Found, Pattern};
pub use http_endpoint::HttpEndpoint;
pub use meridian_hostile::Seed;
pub use place::{Place, node, region};
pub use secrets_in_clear::SecretsInClear;
pub use switchboard::Switchboard;
pub use waiting::PATIENCE;
