//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use meridian_audit::Head;
use meridian_model::{AccountId, Region};

use crate::bench::{self, BenchCommand};
use crate::cluster_files::ClusterInit;
use crate::config::{LogFormat, NodeConfig};
use crate::logging::{self, DEV_FILTER};
use crate::policy_simulation::{self, PolicyCommand};
use crate::{clock_control, dev, health, node};

/// A key management service that you run yourself, compatible with AWS KMS.
#[derive(Debug, Parser)]
#[command(name = "meridian", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole cluster in this process, for development.
    Dev(DevArguments),
    /// Run one node.
    Node {
        /// Configuration of the node; see config/region.toml.
        #[arg(long)]
        config: PathBuf,
    },
    /// Prepare and administrate a cluster.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Measure a running cluster.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Inspect audit trails.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Explain who may do what.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Control the virtual clock of a local cluster.
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Ask a node whether it is ready; fails if it is not.
    Health {
        /// Such as http://127.0.0.1:7600/readyz
        #[arg(long)]
        url: String,
    },
}

/// What `meridian dev` is asked for.
#[derive(Clone, Debug, Args)]
pub struct DevArguments {
    /// Address of the gateway; the Regions' own ports follow it.
    #[arg(long, env = "MERIDIAN_DEV_LISTEN", default_value = "127.0.0.1:7600")]
    pub listen: SocketAddr,
    /// The Regions, separated by commas.
    #[arg(
        long,
        env = "MERIDIAN_DEV_REGIONS",
        value_delimiter = ',',
        default_value = "us-east-1,us-west-2,eu-west-1,ap-southeast-1"
    )]
    pub regions: Vec<Region>,
    /// Nodes in each Region.
    #[arg(long, env = "MERIDIAN_DEV_NODES_PER_REGION", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=7))]
    pub nodes_per_region: u64,
    /// Folder of the cluster's data; it survives restarts.
    #[arg(long, env = "MERIDIAN_DEV_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// Keep the data in a temporary folder that is removed at the end.
    #[arg(long, env = "MERIDIAN_DEV_EPHEMERAL")]
    pub ephemeral: bool,
    /// Where the time of the Regions comes from.
    #[arg(long, env = "MERIDIAN_DEV_CLOCK", value_enum, default_value_t = ClockKind::System)]
    pub clock: ClockKind,
    /// Time that every message between Regions takes, one way, in milliseconds.
    #[arg(long, env = "MERIDIAN_DEV_LINK_DELAY_MS", default_value_t = 0)]
    pub link_delay_ms: u64,
    /// Certificates of authorities for attested recipients, PEM; may be given several times.
    #[arg(long = "attestation-root", value_name = "FILE")]
    pub attestation_roots: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Verify that nobody changed a node's trail; fails at the first line that does not belong.
    Verify {
        /// Folder of the trail: `<data_dir>/audit` of a node.
        #[arg(long)]
        directory: PathBuf,
        /// A head noted earlier, which the trail must contain.
        #[arg(long)]
        head: Option<Head>,
    },
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Move the clock forward: deletions, rotations and expiries that become due happen.
    Advance {
        /// How far: 90s, 15m, 12h or 7d.
        #[arg(value_parser = clock_control::parse_step)]
        step: Duration,
        /// Folder of the cluster, as given to `meridian dev`.
        #[arg(long, env = "MERIDIAN_DEV_DATA_DIR", default_value = "./data")]
        data_dir: PathBuf,
    },
}

/// A source of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockKind {
    /// The clock of the machine.
    System,
    /// A clock that only moves when told.
    Virtual,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Make the CA, certificates, root keys, an administrator's access key and each node's configuration.
    Init(InitArguments),
}

#[derive(Debug, Args)]
struct InitArguments {
    /// Folder of the deployment; what is there already stays as it is.
    #[arg(long)]
    directory: PathBuf,
    /// The Regions, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    regions: Vec<Region>,
    /// Nodes in each Region.
    #[arg(long, default_value_t = 3)]
    nodes_per_region: u64,
    /// Peer address of a node; {region} and {node} are replaced.
    #[arg(long, default_value = "node-{node}.{region}:7700")]
    address: String,
    /// Where the nodes keep their data.
    #[arg(long, default_value = "/var/lib/meridian")]
    data_dir: PathBuf,
    /// Account of the administrator.
    #[arg(long, default_value = "000000000000")]
    account: AccountId,
    /// User and group, as numbers, that the nodes' files are given to: 65532:65532
    #[arg(long, value_parser = parse_owner)]
    owner: Option<(u32, u32)>,
}

fn parse_owner(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    parsed.ok_or_else(|| "must be two numbers, USER:GROUP".to_owned())
}

/// Does what the command line asks for.
///
/// # Errors
/// Says what went wrong and, where there is something to do about it, what.
pub fn run(cli: Cli) -> Result<()> {
    // Whatever this process writes is its owner's alone, files made by libraries included.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    match cli.command {
        Command::Dev(arguments) => {
            logging::start(LogFormat::Text, DEV_FILTER)?;
            runtime()?.block_on(dev::run(arguments))
        }
        Command::Node { config } => {
            let config = NodeConfig::load(&config)?;
            logging::start(config.log.format, &config.log.filter)?;
            runtime()?.block_on(node::run(config))
        }
        Command::Cluster(ClusterCommand::Init(arguments)) => init(arguments),
        Command::Clock(ClockCommand::Advance { step, data_dir }) => {
            let now = clock_control::advance(&data_dir, step)?;
            println!("It is now {}.", meridian_audit::record::long_date(now));
            Ok(())
        }
        Command::Policy(command) => runtime()?.block_on(policy_simulation::run(command)),
        Command::Bench(command) => runtime()?.block_on(bench::run(command)),
        Command::Audit(AuditCommand::Verify { directory, head }) => verify_trail(&directory, head),
        Command::Health { url } => health::check(&url),
    }
}

fn init(arguments: InitArguments) -> Result<()> {
    let directory = arguments.directory.clone();
    let cluster = ClusterInit {
        directory: arguments.directory,
        regions: arguments.regions,
        nodes_per_region: arguments.nodes_per_region,
        address: arguments.address,
        data_dir: arguments.data_dir,
        account: arguments.account,
        owner: arguments.owner,
    };
    cluster.run()?;
    println!("The deployment in {} is complete.", directory.display());
    println!("Administrator's access key: {}", directory.join("admin/credentials").display());
    println!("Keep {} apart from the nodes: whoever has it can join the cluster.", directory.join("ca").display());
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    if let Err(error) = meridian_crypto::process::harden_process() {
        tracing::warn!(%error, "core dumps of this process could not be switched off");
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")
}

/// Verifies the audit trail of one node, and says what it found.
fn verify_trail(directory: &std::path::Path, head: Option<Head>) -> Result<()> {
    let verified = meridian_audit::verify(directory, head)?;
    println!("The trail of {} is unbroken: {} records in {} files.", verified.node, verified.records, verified.files);
    println!("Head: {} (note it, to find out later if the end was cut off)", verified.head);
    Ok(())
}
