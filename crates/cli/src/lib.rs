//! Configuration and wiring of everything: what `meridian` does for each of its commands.

mod attestation;
pub mod bench;
pub mod clock_control;
pub mod cluster_files;
pub mod commands;
pub mod config;
pub mod dev;
pub mod endpoint;
pub mod health;
pub mod link_delay;
pub mod local_cluster;
mod logging;
pub mod node;
pub mod policy_simulation;
mod secrets_on_disk;
mod system_clock;

pub use system_clock::SystemClock;
