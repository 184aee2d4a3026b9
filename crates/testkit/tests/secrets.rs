//! No secret is written anywhere in clear: not to logs, images, snapshots or trails of any node, nor to trace output.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use meridian_crypto::algorithms::algorithms;
use meridian_model::shapes::{
    CreateKeyRequest, DecryptRequest, DeriveSharedSecretRequest, DescribeKeyRequest, EncapsulateRequest,
    EncryptRequest, GenerateDataKeyPairRequest, GenerateMacRequest, GetPublicKeyRequest, ReEncryptRequest, SignRequest,
};
use meridian_model::time::days;
use meridian_model::{
    DataKeyPairSpec, EncapsulationAlgorithmSpec, ErrorCode, KeyAgreementAlgorithmSpec, KeySpec, KeyState, KeyUsageType,
    SecretBlob,
};
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

/// Keys of the other kinds, replicated and used in `there`: messages, shared secrets and private keys that are handed out.
async fn use_other_kinds(cluster: &Cluster, here: &Client, there: &Client, plaintexts: &mut Plaintexts) {
    let west = region("us-west-2");
    for (spec, usage) in OTHER_KINDS {
        let request = CreateKeyRequest {
            key_spec: Some(spec),
            key_usage: Some(usage),
            multi_region: Some(true),
            ..CreateKeyRequest::default()
        };
        let key_id = here.call(request).await.expect("created").key_metadata.key_id;
        here.replicate(&key_id, &west).await.expect("replicated");
        let id = key_id.parse().expect("a key ID");
        let usable = |state: &RegionState| state.key(id).is_some_and(|key| key.state == KeyState::Enabled);
        cluster.await_state(&west, "the replica is usable", usable).await;
        use_other_kind(there, &key_id, spec, usage, plaintexts).await;
    }
    let key_id = here.create_key(MARKER).await.expect("created").key_id;
    for key_pair_spec in [DataKeyPairSpec::Rsa2048, DataKeyPairSpec::EccNistP256] {
        let encryption_context = std::collections::BTreeMap::new();
        let (grant_tokens, recipient, dry_run, key_id) = (Vec::new(), None, None, key_id.clone());
        let request =
            GenerateDataKeyPairRequest { encryption_context, key_id, key_pair_spec, grant_tokens, recipient, dry_run };
        let pair = here.call(request).await.expect("a pair");
        plaintexts.known.push(pair.private_key_plaintext.expect("no recipient").expose().to_vec());
    }
}

async fn use_other_kind(
    client: &Client,
    key_id: &str,
    spec: KeySpec,
    usage: KeyUsageType,
    plaintexts: &mut Plaintexts,
) {
    let (key_id, grant_tokens, dry_run) = (key_id.to_owned(), Vec::new(), None);
    let message = SecretBlob::from(plaintexts.draw());
    match usage {
        KeyUsageType::SignVerify => {
            let signing_algorithm = algorithms(spec).signing[0];
            let request = SignRequest { key_id, message, message_type: None, grant_tokens, signing_algorithm, dry_run };
            client.call(request).await.expect("signed");
        }
        KeyUsageType::GenerateVerifyMac => {
            let mac_algorithm = algorithms(spec).mac[0];
            let request = GenerateMacRequest { message, key_id, mac_algorithm, grant_tokens, dry_run };
            client.call(request).await.expect("authenticated");
        }
        KeyUsageType::EncryptDecrypt => {
            let encryption_algorithm = Some(algorithms(spec).encryption[0]);
            let encryption_context = std::collections::BTreeMap::new();
            let (plaintext, named) = (message, key_id.clone());
            let request =
                EncryptRequest { key_id, plaintext, encryption_context, grant_tokens, encryption_algorithm, dry_run };
            let ciphertext_blob = Some(client.call(request).await.expect("encrypted").ciphertext_blob);
            let request = DecryptRequest {
                ciphertext_blob,
                key_id: Some(named),
                encryption_algorithm,
                ..DecryptRequest::default()
            };
            client.call(request).await.expect("decrypted");
        }
        KeyUsageType::KeyAgreement => {
            let asked = GetPublicKeyRequest { key_id: key_id.clone(), ..GetPublicKeyRequest::default() };
            let public_key = client.call(asked).await.expect("a public key").public_key;
            let key_agreement_algorithm = KeyAgreementAlgorithmSpec::Ecdh;
            let recipient = None;
            let request = DeriveSharedSecretRequest {
                key_id,
                key_agreement_algorithm,
                public_key,
                grant_tokens,
                dry_run,
                recipient,
            };
            let derived = client.call(request).await.expect("agreed");
            plaintexts.known.push(derived.shared_secret.expect("no recipient").expose().to_vec());
        }
        KeyUsageType::EncapsulateDecapsulate => {
            let encapsulation_algorithm = EncapsulationAlgorithmSpec::MlKem;
            let request = EncapsulateRequest { key_id, encapsulation_algorithm, grant_tokens, dry_run };
            let made = client.call(request).await.expect("encapsulated");
            plaintexts.known.push(made.shared_secret.expose().to_vec());
        }
    }
}

/// One key of each family, and of each usage.
const OTHER_KINDS: [(KeySpec, KeyUsageType); 8] = [
    (KeySpec::Rsa2048, KeyUsageType::SignVerify),
    (KeySpec::Rsa2048, KeyUsageType::EncryptDecrypt),
    (KeySpec::EccNistP256, KeyUsageType::SignVerify),
    (KeySpec::EccNistP384, KeyUsageType::KeyAgreement),
    (KeySpec::EccSecgP256k1, KeyUsageType::SignVerify),
    (KeySpec::MlDsa65, KeyUsageType::SignVerify),
    (KeySpec::MlKem768, KeyUsageType::EncapsulateDecapsulate),
    (KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac),
];

/// Makes and uses keys in both Regions, over a day's end, until every node has written a snapshot.
async fn workload(cluster: &Cluster, plaintexts: &mut Plaintexts) {
    let (east, west) = (region("us-east-1"), region("us-west-2"));
    let (here, there) = (cluster.client(&east), cluster.client(&west));
    use_other_kinds(cluster, &here, &there, plaintexts).await;
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
        let imported = here.create_external_key(false).await.expect("created");
        let parameters = here.import_parameters(imported).await.expect("a wrapping key");
        let material = plaintexts.draw()[..32].to_vec();
        here.import(&parameters, &material, None).await.expect("imported");
        plaintexts.known.push(material);
        use_key(&here, &imported.to_string(), plaintexts).await;
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
        assert!(secrets.identity_count() >= 1, "the key for session tokens");
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
