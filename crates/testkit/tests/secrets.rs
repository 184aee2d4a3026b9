//! No secret is written anywhere in clear: not to logs, images, snapshots or trails of any node, nor to trace output.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use meridian_model::shapes::{DescribeKeyRequest, EncryptRequest, ReEncryptRequest};
use meridian_model::time::days;
use meridian_model::{ErrorCode, KeyState, SecretBlob};
use meridian_state::RegionState;
use meridian_testkit::data_files::{files_below, search};
use meridian_testkit::waiting::assert_refused;
use meridian_testkit::{Client, Cluster, Found, Pattern, SecretsInClear, Seed, region};
use tracing_subscriber::EnvFilter;

/// Not secret: shows that a search finds what is there.
const MARKER: &str = "a description that stands wherever keys stand";

/// Everything of ours and of the Raft engine, and what the libraries below say to developers.
const LEVELS: &str = "debug,meridian=trace,openraft::core=info,h2=info";

/// What the clients of the test keep secret.
struct Plaintexts {
    seed: Seed,
    known: Vec<Vec<u8>>,
}

impl Plaintexts {
    fn draw(&mut self) -> Vec<u8> {
        let text: Vec<u8> = (0..6).flat_map(|_| self.seed.draw().to_le_bytes()).collect();
        self.known.push(text.clone());
        text
    }

    fn patterns(&self) -> Vec<Pattern> {
        let all = self.known.iter().enumerate();
        all.flat_map(|(number, text)| Pattern::in_every_form(&format!("plaintext {number}"), text)).collect()
    }
}

/// Every way in which plaintexts enter and leave, successful and not.
async fn use_key(client: &Client, key_id: &str, plaintexts: &mut Plaintexts) {
    let text = plaintexts.draw();
    let ciphertext = client.encrypt(key_id, &text).await.expect("encrypted");
    assert_eq!(client.decrypt(&ciphertext).await.expect("decrypted"), text);
    let (data_key, encrypted) = client.data_key(key_id).await.expect("a data key");
    assert_eq!(client.decrypt(&encrypted).await.expect("decrypted"), data_key);
    plaintexts.known.push(data_key);
    let again = ReEncryptRequest {
        ciphertext_blob: Some(ciphertext),
        destination_key_id: key_id.to_owned(),
        ..ReEncryptRequest::default()
    };
    client.call(again).await.expect("encrypted again");
    assert_refused(client.encrypt("alias/missing", &plaintexts.draw()).await, ErrorCode::NotFound);
    let request = EncryptRequest {
        key_id: key_id.to_owned(),
        plaintext: SecretBlob::from(plaintexts.draw()),
        encryption_context: [("visible".to_owned(), "context".to_owned())].into(),
        grant_tokens: Vec::new(),
        encryption_algorithm: None,
        dry_run: Some(true),
    };
    println!("{request:?}"); // whatever prints a request prints no secret
    assert!(!format!("{request:?}").contains(&format!("{:?}", request.plaintext.expose())));
    assert_refused(client.call(request).await, ErrorCode::DryRunOperation);
}

/// Makes and uses keys in both Regions, over a day's end, until every node has written a snapshot.
async fn workload(cluster: &Cluster, plaintexts: &mut Plaintexts) {
    let (east, west) = (region("us-east-1"), region("us-west-2"));
    let (here, there) = (cluster.client(&east), cluster.client(&west));
    for day in 0..2 {
        for _ in 0..3 {
            let key_id = here.create_key(MARKER).await.expect("created").key_id;
            use_key(&here, &key_id, plaintexts).await;
            let shared = here.create_multi_region_key().await.expect("created");
            here.replicate(shared, &west).await.expect("replicated");
            let usable = |state: &RegionState| state.key(shared).is_some_and(|key| key.state == KeyState::Enabled);
            cluster.await_state(&west, "the replica is usable", usable).await;
            use_key(&there, &shared.to_string(), plaintexts).await;
            there.create_key(MARKER).await.expect("created");
        }
        let domain_keys = |state: &RegionState| state.newest_domain_key().map(|key| key.id);
        let before: Vec<_> = [&east, &west].map(|place| domain_keys(&cluster.state(&cluster.running(place)[0]))).into();
        cluster.clock().advance(days(1));
        for place in [&east, &west] {
            let is_new = |state: &RegionState| !before.contains(&domain_keys(state));
            cluster.await_state(place, &format!("the domain key of day {}", day + 1), is_new).await;
        }
        here.create_key(MARKER).await.expect("created");
    }
    for name in cluster.running(meridian_testkit::Place::Everywhere) {
        for _ in 0..4 {
            cluster.client_on(&name).create_key(MARKER).await.expect("created");
        }
    }
    let described = DescribeKeyRequest { key_id: "alias/missing".to_owned(), ..DescribeKeyRequest::default() };
    assert_refused(here.call(described).await, ErrorCode::NotFound);
}

fn assert_nothing(found: &[Found]) {
    let list: Vec<String> = found.iter().take(20).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} secrets in clear, such as:\n{}", found.len(), list.join("\n"));
}

/// Asserts that the marker stands in a file below every one of `folders` of every node.
fn assert_search_sees(cluster: &Cluster, folders: &[&str]) {
    let marker = [Pattern::exactly("marker", MARKER.as_bytes())];
    for name in cluster.nodes(meridian_testkit::Place::Everywhere) {
        for folder in folders {
            let folder = cluster.data_dir(&name).join(folder);
            let files = files_below(&folder).len();
            assert!(!search(&folder, &marker, |_| true).is_empty(), "{} of {files} files", folder.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_stand_in_no_file_and_in_no_trace_output() {
    let output = tempfile::tempdir().expect("a folder");
    let trace = output.path().join("trace.log");
    let writer = Mutex::new(File::create(&trace).expect("a file"));
    let filter = EnvFilter::new(LEVELS);
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer).init();
    let mut cluster = Cluster::builder().regions(&["us-east-1", "us-west-2"]).snapshot_after(20).start().await;
    let mut plaintexts = Plaintexts { seed: cluster.seed().of("plaintexts"), known: Vec::new() };
    workload(&cluster, &mut plaintexts).await;
    cluster.await_quiet().await;
    let mut patterns = plaintexts.patterns();
    for place in cluster.regions() {
        cluster.await_current(place).await;
        let secrets = SecretsInClear::open(&cluster, &cluster.state(&cluster.running(place)[0]));
        let (domain_keys, materials) = secrets.counts();
        println!("{place}: {domain_keys} domain keys, {materials} materials");
        assert!(domain_keys >= 3 && materials >= 15, "{domain_keys} domain keys, {materials} materials");
        patterns.extend(secrets.patterns());
    }
    for name in cluster.running(meridian_testkit::Place::Everywhere) {
        assert!(cluster.group(&name).status().snapshot_index > 0, "{name} has written no snapshot");
    }
    cluster.stop(meridian_testkit::Place::Everywhere).await;
    let seals: Vec<_> = cluster.regions().iter().map(|place| cluster.root_key_file(place)).collect();
    let is_no_seal = |file: &Path| !seals.iter().any(|seal| seal == file);
    let files = files_below(cluster.folder());
    let bytes: u64 = files.iter().map(|file| file.metadata().expect("it is there").len()).sum();
    let traced = trace.metadata().expect("it is there").len();
    println!("{} patterns, {} files of {bytes} bytes, {traced} bytes of traces", patterns.len(), files.len());
    assert_search_sees(&cluster, &["raft", "state", "snapshots", "audit"]);
    assert_nothing(&search(cluster.folder(), &patterns, is_no_seal));
    assert!(!search(output.path(), &[Pattern::exactly("line", b"adding a domain key")], |_| true).is_empty());
    assert_nothing(&search(output.path(), &patterns, |_| true));
    cluster.shutdown().await;
}
