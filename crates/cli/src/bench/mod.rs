//! `meridian bench`: measures a running cluster from outside, as a client that signs its requests.
//!
//! [`throughput`] measures operations against the plain HTTP floor of the same server, [`replication`] how long a change
//! takes from one Region to another. Neither starts a cluster; `meridian dev` does.
//!
//! Always true: every run ends by itself (requests, keys and time are bounded), latencies are those of single requests
//! and percentiles exact, and the keys of a run are scheduled for deletion at its end.

mod arguments;
mod cases;
mod client;
mod cpu;
mod endpoint;
mod keys;
mod lags;
mod load;
mod machine;
mod replication;
mod report;
mod samples;
#[cfg(test)]
mod test_server;
mod throughput;
mod watch;
mod workload;

use clap::Subcommand;

pub use arguments::{Credentials, DurationArgument};
pub use replication::ReplicationArguments;
pub use throughput::ThroughputArguments;
pub use workload::Subject;

/// What `meridian bench` can measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Requests per second and latency of operations, beside the same server's plain HTTP answers.
    Throughput(Box<ThroughputArguments>),
    /// How long multi-Region keys and their changes take from one Region to others.
    Replication(Box<ReplicationArguments>),
}

/// Measures, prints the result to standard output and, if asked for, writes it as JSON.
///
/// # Errors
/// If the server cannot be reached or refuses what the measurement needs. Errors while measuring are counted instead.
pub async fn run(command: BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::Throughput(arguments) => throughput::run(*arguments).await,
        BenchCommand::Replication(arguments) => replication::run(*arguments).await,
    }
}
