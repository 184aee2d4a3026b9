//! Configurations that cannot be: each is told with its file, the setting, and what would be right.

use std::fs;
use std::path::Path;

use crate::cluster::{Deployment, text};
use crate::disk::tree;
use crate::process::{Ended, Process};

#[test]
fn init_makes_private_files_once() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let deployment = Deployment::init(temp.path());
    let first = tree(&deployment.folder);
    assert!(first.len() > 20, "{} files", first.len());
    for (path, mode, _) in &first {
        assert_eq!(*mode, 0o600, "{}", path.display());
    }
    let again = deployment.init_again();
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(first, tree(&deployment.folder), "a second run changes nothing");
    // What is missing is added, and only that.
    fs::remove_dir_all(deployment.node_folder(2)).expect("made by init");
    assert_eq!(deployment.init_again().code, Some(0));
    let repaired = tree(&deployment.folder);
    let outside = |tree: &[(std::path::PathBuf, u32, Vec<u8>)]| {
        let in_node = |path: &Path| path.starts_with(deployment.node_folder(2));
        tree.iter().filter(|(path, ..)| !in_node(path)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(outside(&first), outside(&repaired));
    assert_eq!(first.len(), repaired.len());
}

#[test]
fn init_refuses_what_cannot_be() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let folder = text(&temp.path().join("deployment"));
    let file = temp.path().join("file");
    fs::write(&file, "in the way").expect("writable");
    let check = |arguments: &[&str], parts: &[&str]| {
        let mut all = vec!["cluster", "init"];
        all.extend(arguments);
        Process::start("cluster init", &all).wait_end().assert_refused(parts);
    };
    check(&[], &["--directory", "--regions"]);
    check(&["--directory", &folder, "--regions", "moon"], &["--regions", "moon"]);
    check(&["--directory", &folder, "--regions", "us-east-1", "--nodes-per-region", "0"], &["node"]);
    check(&["--directory", &folder, "--regions", "us-east-1", "--owner", "root"], &["--owner", "USER:GROUP"]);
    check(&["--directory", &folder, "--regions", "us-east-1", "--account", "12"], &["--account"]);
    check(&["--directory", &folder, "--regions", "us-east-1,us-east-1"], &["us-east-1", "twice"]);
    check(&["--directory", &folder, "--regions", "us-east-1", "--address", "node-{node}"], &["--address", "HOST:PORT"]);
    check(&["--directory", &folder, "--regions", "us-east-1", "--address", "one:7700"], &["--address", "{node}"]);
    let in_the_way = text(&file.join("deployment"));
    check(&["--directory", &in_the_way, "--regions", "us-east-1"], &[&in_the_way]);
}

/// A deployment whose first node is started with changed files.
struct Changed {
    _temp: tempfile::TempDir,
    deployment: Deployment,
    original: String,
}

impl Changed {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let deployment = Deployment::init(temp.path());
        let original = fs::read_to_string(deployment.configuration(1)).expect("made by init");
        Self { _temp: temp, deployment, original }
    }

    /// Starts the node with `from` replaced by `to` in its configuration.
    fn start(&self, from: &str, to: &str) -> Ended {
        assert!(self.original.contains(from), "{from:?} is not in: {}", self.original);
        let file = self.deployment.configuration(1);
        fs::write(&file, self.original.replacen(from, to, 1)).expect("writable");
        let ended = self.deployment.launch(1).wait_end();
        fs::write(&file, &self.original).expect("writable");
        ended
    }

    /// Starts the node with `file` of its folder replaced.
    fn start_with_file(&self, file: &str, content: &[u8]) -> Ended {
        let path = self.deployment.node_folder(1).join(file);
        let original = fs::read(&path).expect("made by init");
        fs::write(&path, content).expect("writable");
        let ended = self.deployment.launch(1).wait_end();
        fs::write(&path, original).expect("writable");
        ended
    }

    fn read(&self, node: u8, file: &str) -> Vec<u8> {
        fs::read(self.deployment.node_folder(node).join(file)).expect("made by init")
    }
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    let changed = Changed::new();
    let file = text(&changed.deployment.configuration(1));
    let check = |from: &str, to: &str, parts: &[&str]| {
        let ended = changed.start(from, to);
        ended.assert_refused(&[&[file.as_str()], parts].concat());
    };
    for table in ["node", "api", "peer", "tls", "seal"] {
        // The table is there under a name that nobody knows.
        check(&format!("[{table}]"), &format!("[{table}_]"), &[table]);
    }
    check("[[members]]", "[[memberz]]", &["memberz"]);
    check("[api]", "[api]\ncolour = 3", &["colour", "api"]);
    check("[node]", "[[node]]", &["node"]);
    check("id = 1", "id = \"one\"", &["node.id", "one"]);
    check("id = 1", "id = -1", &["node.id", "-1"]);
    check("id = 1", "id = 0", &["node.id", "1 or more"]);
    check("id = 1", "id = 9", &["members", "9"]);
    check("region = \"eu-central-1\"", "region = \"moon\"", &["node.region", "moon"]);
    check("region = \"eu-central-1\"", "", &["region"]);
    check("kind = \"file\"", "kind = \"paper\"", &["seal", "paper", "file"]);
    check("kind = \"file\"", "", &["seal", "kind"]);
    check("[seal]", "[raft]\nheartbeat_ms = 500\n[seal]", &["raft", "3 x heartbeat_ms"]);
    check("[seal]", "[consistency]\nmax_staleness_ms = 0\n[seal]", &["consistency.max_staleness_ms", "1 or more"]);
    check("[seal]", "[consistency]\non_stale = \"guess\"\n[seal]", &["on_stale", "guess", "refuse"]);
    check("[seal]", "[log]\nformat = \"rhyme\"\n[seal]", &["log.format", "rhyme", "json"]);
    check("[seal]", "[limits]\nconnections_max = 0\n[seal]", &["limits.connections_max", "1 or more"]);
    check("[seal]", "[limits]\nbody_bytes_max = 0\n[seal]", &["limits.body_bytes_max"]);
    check("[seal]", "[limits]\nrequest_timeout_ms = 0\n[seal]", &["limits.request_timeout_ms", "1 or more"]);
    check("secret_access_key_file = \"admin.secret\"", "", &["administrator", "secret_access_key_file"]);
    check("[administrator]", "[administrator]\ncolour = 3", &["administrator", "colour"]);
    let credential = "[[credentials]]\naccess_key_id = \"AKIAEXAMPLEMERIDIAN1\"\naccount = \"111122223333\"\n[tls]";
    check("[tls]", credential, &["credentials", "exactly one"]);
    check("account = \"000000000000\"", "account = \"12\"", &["account", "12"]);
    check("[tls]", "[tls", &["[tls"]);
    check("[[members]]\nid = 2", "[[members]]\nid = 1", &["members", "twice"]);
}

#[test]
fn addresses_files_and_the_environment_are_checked_as_well() {
    let changed = Changed::new();
    let deployment = &changed.deployment;
    let start = |environment: &[(&'static str, &str)]| {
        let mut all = deployment.environment(1);
        all.extend(environment.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let configuration = text(&deployment.configuration(1));
        Process::start_with("node 1", &["node", "--config", &configuration], &all).wait_end()
    };
    start(&[("MERIDIAN_API__LISTEN", "nowhere")]).assert_refused(&["MERIDIAN_API__LISTEN", "nowhere"]);
    let port = "tcp://10.0.0.1:7600"; // what Kubernetes says of a service with the name `meridian`
    let told = start(&[("MERIDIAN_PORT", port), ("MERIDIAN_SERVICE_HOST", port), ("MERIDIAN_NODE__ID", "7")]);
    told.assert_refused(&["members: node 7"]);
    start(&[("MERIDIAN_API__LITSEN", "127.0.0.1:1")]).assert_refused(&["litsen"]);
    start(&[("MERIDIAN_API__LISTEN", "192.0.2.1:7600")]).assert_refused(&["192.0.2.1:7600", "[api] listen"]);
    start(&[("MERIDIAN_PEER__LISTEN", "192.0.2.1:7700")]).assert_refused(&["192.0.2.1:7700", "[peer] listen"]);
    start(&[("MERIDIAN_LOG__FILTER", "=[")]).assert_refused(&["=["]);
    let in_the_way = text(&deployment.configuration(1).join("data"));
    start(&[("MERIDIAN_NODE__DATA_DIR", &in_the_way)]).assert_refused(&[&in_the_way]);

    let missing = text(&deployment.folder.join("nothing.toml"));
    Process::start("node", &["node", "--config", &missing])
        .wait_end()
        .assert_refused(&[&missing, "no configuration file"]);
    Process::start("node", &["node"]).wait_end().assert_refused(&["--config"]);
    let folder = text(&deployment.folder);
    Process::start("node", &["node", "--config", &folder]).wait_end().assert_refused(&[&folder]);

    for (setting, file) in [("ca", "ca.pem"), ("certificate", "node.pem"), ("key", "node.key")] {
        let ended = changed.start(&format!("{setting} = \"{file}\""), &format!("{setting} = \"lost.pem\""));
        ended.assert_refused(&["lost.pem"]);
    }
}

#[test]
fn certificates_and_keys_that_do_not_belong_together_are_refused() {
    let (changed, other) = (Changed::new(), Changed::new());
    let check = |file: &str, content: &[u8], parts: &[&str]| {
        changed.start_with_file(file, content).assert_refused(parts);
    };
    check("node.pem", &changed.read(2, "node.pem"), &["[tls]"]); // without its key
    check("node.pem", &other.read(1, "node.pem"), &["[tls]"]);
    check("ca.pem", &other.read(1, "ca.pem"), &["[tls]"]);
    check("node.pem", b"no certificate", &["[tls]"]);
    check("node.key", b"no key", &["[tls]"]);
    check("region.pem", &other.read(1, "region.pem"), &["region"]);
    check("region.key", &other.read(1, "region.key"), &["region"]);
    check("region.pem", b"no certificate", &["region"]);
    let root_key = changed.read(1, "root.key");
    let file = text(&changed.deployment.node_folder(1).join("root.key"));
    check("root.key", &root_key[..root_key.len() - 1], &[&file]);
    let mut damaged = root_key;
    damaged[20] ^= 1;
    check("root.key", &damaged, &[&file, "damaged"]);

    // Another node's identity, whole: the certificate decides who a node is.
    let folder = changed.deployment.node_folder(1);
    for file in ["node.pem", "node.key"] {
        fs::write(folder.join(file), changed.read(2, file)).expect("writable");
    }
    let ended = changed.deployment.launch(1).wait_end();
    ended.assert_refused(&["eu-central-1/1", "eu-central-1/2", "certificate"]);
}

#[test]
fn a_root_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let changed = Changed::new();
    let file = changed.deployment.node_folder(1).join("root.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("ours");
    changed.deployment.launch(1).wait_end().assert_refused(&[&text(&file), "0644", "0600"]);
}
