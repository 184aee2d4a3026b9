//! What the tests run: a local cluster in one process, or a Region of three nodes in three.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use meridian_identity::ClientCredentials;

use crate::client::Client;
use crate::ports::free_ports;
use crate::process::{Ended, Process, wait_for};

/// What a local cluster says when it serves.
pub const READY: &str = "Meridian is ready";

/// `meridian dev`, ready.
pub struct Dev {
    /// The process.
    pub process: Process,
    /// The gateway.
    pub address: SocketAddr,
    /// From the start of the process until it said that it is ready.
    pub ready_after: Duration,
}

/// How `meridian dev` is started.
#[derive(Clone)]
pub struct DevOptions {
    /// The gateway; the Regions' ports follow.
    pub address: SocketAddr,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl DevOptions {
    /// One Region, us-east-1, of `nodes` nodes, on ports that are free.
    pub fn one_region(nodes: u32) -> Self {
        let arguments = ["--regions", "us-east-1", "--nodes-per-region", &nodes.to_string()];
        Self { address: free_address(2), arguments: arguments.map(str::to_owned).into() }
    }

    /// What a person gets who gives no option, on ports that are free.
    pub fn default_regions() -> Self {
        Self { address: free_address(5), arguments: Vec::new() }
    }

    /// With its data in `folder`.
    pub fn data_dir(mut self, folder: &Path) -> Self {
        self.arguments.extend(["--data-dir".to_owned(), text(folder)]);
        self
    }

    /// With its data in a temporary folder.
    pub fn ephemeral(mut self) -> Self {
        self.arguments.push("--ephemeral".to_owned());
        self
    }

    /// Starts the process, and waits for nothing.
    pub fn launch(&self, environment: &BTreeMap<&str, String>) -> Process {
        Process::start_with("dev", &self.all_arguments(), environment)
    }

    /// Starts a process whose output nobody reads.
    pub fn launch_unread(&self) -> Process {
        Process::start_unread("dev", &self.all_arguments())
    }

    fn all_arguments(&self) -> Vec<String> {
        let fixed = ["dev".to_owned(), "--listen".to_owned(), self.address.to_string()];
        fixed.into_iter().chain(self.arguments.iter().cloned()).collect()
    }

    /// Starts the process, and waits until it says that it is ready.
    pub fn start(&self) -> Dev {
        let mut process = self.launch(&BTreeMap::new());
        let ready_after = process.wait_stdout(READY);
        Dev { process, address: self.address, ready_after }
    }
}

impl Dev {
    /// The administrator, at the gateway.
    pub fn client(&self, region: &str) -> Client {
        Client::dev(self.address, region)
    }
}

/// The files of one Region of three nodes, made by `cluster init`, and where the nodes listen.
pub struct Deployment {
    /// Folder of the deployment.
    pub folder: PathBuf,
    /// Folder of each node's data.
    pub data: [PathBuf; 3],
    api_port: u16,
    peer_port: u16,
}

/// The Region of a [`Deployment`].
pub const REGION: &str = "eu-central-1";

impl Deployment {
    /// Runs `cluster init` for three nodes below `folder`. Every node has a loopback address of its own.
    pub fn init(folder: &Path) -> Self {
        let ports = free_ports(2);
        let deployment = Self {
            folder: folder.join("deployment"),
            data: [1, 2, 3].map(|node| folder.join(format!("data-{node}"))),
            api_port: ports,
            peer_port: ports + 1,
        };
        let ended = deployment.init_again();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        deployment
    }

    /// Runs `cluster init` with the same arguments once more.
    pub fn init_again(&self) -> Ended {
        let address = format!("127.0.0.{{node}}:{}", self.peer_port);
        let (folder, data) = (text(&self.folder), text(&self.data[0]));
        let arguments = [
            "cluster",
            "init",
            "--directory",
            &folder,
            "--regions",
            REGION,
            "--nodes-per-region",
            "3",
            "--address",
            &address,
            "--data-dir",
            &data,
        ];
        Process::start("cluster init", &arguments).wait_end()
    }

    /// The folder of a node's configuration.
    pub fn node_folder(&self, node: u8) -> PathBuf {
        self.folder.join(REGION).join(format!("node-{node}"))
    }

    /// The configuration of a node.
    pub fn configuration(&self, node: u8) -> PathBuf {
        self.node_folder(node).join("meridian.toml")
    }

    /// The folder of a node's data.
    pub fn data(&self, node: u8) -> PathBuf {
        self.data[usize::from(node) - 1].clone()
    }

    /// Where a node serves clients.
    pub fn api(&self, node: u8) -> SocketAddr {
        SocketAddr::new(loopback(node), self.api_port)
    }

    /// What the environment changes for a node: its addresses, and a data folder of its own.
    pub fn environment(&self, node: u8) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("MERIDIAN_API__LISTEN", self.api(node).to_string()),
            ("MERIDIAN_PEER__LISTEN", SocketAddr::new(loopback(node), self.peer_port).to_string()),
            ("MERIDIAN_NODE__DATA_DIR", text(&self.data(node))),
        ])
    }

    /// Starts a node, and waits for nothing.
    pub fn launch(&self, node: u8) -> Process {
        let configuration = text(&self.configuration(node));
        Process::start_with(&format!("node {node}"), &["node", "--config", &configuration], &self.environment(node))
    }

    /// Starts all nodes, and waits until they are ready.
    pub fn start(&self) -> [Process; 3] {
        let nodes = [1, 2, 3].map(|node| self.launch(node));
        for node in 1..=3 {
            self.wait_ready(node);
        }
        self.wait_for_administrator(1);
        nodes
    }

    /// Waits until a node knows the administrator, whom the leader makes as soon as it is one.
    pub fn wait_for_administrator(&self, node: u8) {
        self.client(node).call_until_done("ListKeys", &serde_json::json!({}));
    }

    /// The administrator, at one node.
    pub fn client(&self, node: u8) -> Client {
        let read = |file: &str| std::fs::read_to_string(self.folder.join("ca").join(file)).expect("made by init");
        let (id, secret) = (read("admin.id"), read("admin.secret"));
        let credentials = ClientCredentials::new(id.trim(), secret.trim());
        Client { address: self.api(node), region: REGION.parse().expect("a Region"), credentials }
    }

    /// Waits until a node says that it is ready.
    pub fn wait_ready(&self, node: u8) {
        let client = self.client(node);
        wait_for(&format!("node {node} is ready"), || client.get("/readyz").ok().filter(|answer| answer.status == 200));
    }
}

fn free_address(count: u16) -> SocketAddr {
    SocketAddr::new(loopback(1), free_ports(count))
}

fn loopback(node: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, node))
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders have names of text").to_owned()
}
