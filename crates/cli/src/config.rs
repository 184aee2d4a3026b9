//! Settings of one node: defaults < file < `MERIDIAN_*` environment. See `config/region.toml` for every setting.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::Value;
use meridian_model::{AccessKeyId, AccountId, EntityName, Partition, Region};
use meridian_service::{Filling, OnStale, WorkshopConfig};
use serde::{Deserialize, Serialize};

use crate::logging::NODE_FILTER;

/// What `meridian node --config FILE` reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Who this node is.
    pub node: NodeSection,
    /// Where clients connect.
    pub api: ApiSection,
    /// Where other nodes connect.
    pub peer: PeerSection,
    /// Certificates for connections among nodes.
    pub tls: TlsSection,
    /// How the root key is kept.
    pub seal: SealSection,
    /// Timing of Raft.
    #[serde(default)]
    pub raft: RaftSection,
    /// How stale a node may be.
    #[serde(default)]
    pub consistency: ConsistencySection,
    /// Bounds of the front door.
    #[serde(default)]
    pub limits: LimitsSection,
    /// Whose word is taken for attested recipients.
    #[serde(default)]
    pub attestation: AttestationSection,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogSection,
    /// All nodes of the Region.
    pub members: Vec<MemberSection>,
    /// The other Regions.
    #[serde(default)]
    pub peer_regions: Vec<PeerRegionSection>,
    /// Private ways to the node.
    #[serde(default)]
    pub vpc_endpoints: Vec<VpcEndpointSection>,
    /// Access keys of clients.
    #[serde(default)]
    pub credentials: Vec<CredentialSection>,
    /// The user that is made as long as its account has none.
    pub administrator: Option<AdministratorSection>,
}

/// `[node]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    /// Number of the node, 1 or more.
    pub id: u64,
    /// Region of the node.
    pub region: Region,
    /// Folder of the node's data.
    pub data_dir: PathBuf,
    /// Partition of the Region.
    #[serde(default)]
    pub partition: Partition,
    /// Region where identities are changed; may be left out in a cluster of one Region.
    pub identity_home_region: Option<Region>,
}

/// `[api]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSection {
    /// Address and port of the listener.
    pub listen: SocketAddr,
    /// Certificate chain, PEM.
    pub tls_certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub tls_key: Option<PathBuf>,
}

/// `[peer]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSection {
    /// Address and port of the listener.
    pub listen: SocketAddr,
    /// Host and port by which other nodes reach this one.
    pub advertise: String,
}

/// `[tls]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// Certificate of the cluster CA.
    pub ca: PathBuf,
    /// Certificate of the node.
    pub certificate: PathBuf,
    /// Private key of the node.
    pub key: PathBuf,
    /// Certificate of the Region.
    pub region_certificate: PathBuf,
    /// Private key of the Region.
    pub region_key: PathBuf,
}

/// `[seal]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SealSection {
    /// The root key in a file.
    File {
        /// The file, mode 0600.
        path: PathBuf,
    },
}

/// `[raft]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RaftSection {
    /// Interval of the leader's heartbeats.
    pub heartbeat_ms: u64,
    /// Shortest wait before an election.
    pub election_timeout_ms_min: u64,
    /// Longest wait before an election.
    pub election_timeout_ms_max: u64,
}

impl Default for RaftSection {
    fn default() -> Self {
        Self { heartbeat_ms: 100, election_timeout_ms_min: 500, election_timeout_ms_max: 800 }
    }
}

/// `[consistency]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsistencySection {
    /// Longest time after which a revocation holds everywhere.
    pub max_staleness_ms: u64,
    /// What a node does when it cannot reach its leader.
    pub on_stale: OnStale,
}

impl Default for ConsistencySection {
    fn default() -> Self {
        Self { max_staleness_ms: 1_000, on_stale: OnStale::Refuse }
    }
}

impl ConsistencySection {
    /// The allowed staleness.
    #[must_use]
    pub const fn max_staleness(&self) -> Duration {
        Duration::from_millis(self.max_staleness_ms)
    }
}

/// `[limits]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Connections served at a time.
    pub connections_max: usize,
    /// Largest body of a request.
    pub body_bytes_max: usize,
    /// Longest time for one whole request.
    pub request_timeout_ms: u64,
    /// RSA keys of each size made ahead of need.
    pub rsa_keys_ahead: usize,
    /// When they are made.
    pub rsa_keys_filling: Filling,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let WorkshopConfig { rsa_keys_ahead, filling: rsa_keys_filling } = WorkshopConfig::default();
        Self {
            connections_max: 10_000,
            body_bytes_max: 1 << 20,
            request_timeout_ms: 30_000,
            rsa_keys_ahead,
            rsa_keys_filling,
        }
    }
}

/// `[attestation]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttestationSection {
    /// Certificates of authorities, PEM.
    pub roots: Vec<PathBuf>,
    /// SHA-256 hashes of certificates of authorities, hexadecimal.
    pub root_fingerprints: Vec<String>,
}

/// `[log]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// For people or for machines.
    pub format: LogFormat,
    /// As in `RUST_LOG`.
    pub filter: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: NODE_FILTER.to_owned() }
    }
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// `[[members]]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberSection {
    /// Number of the node.
    pub id: u64,
    /// Its peer address.
    pub address: String,
}

/// `[[peer_regions]]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRegionSection {
    /// The other Region.
    pub region: Region,
    /// Its nodes.
    pub members: Vec<MemberSection>,
}

/// `[[vpc_endpoints]]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcEndpointSection {
    /// The id: `aws:SourceVpce`.
    pub vpc_endpoint_id: String,
    /// The id of the network: `aws:SourceVpc`.
    pub vpc_id: Option<String>,
    /// Address and port of the listener.
    pub listen: SocketAddr,
    /// File that holds the endpoint policy; none for one that lets everything pass.
    pub policy_file: Option<PathBuf>,
}

/// `[[credentials]]`
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSection {
    /// Access key id.
    pub access_key_id: String,
    /// The secret itself; prefer the file.
    pub secret_access_key: Option<String>,
    /// File that holds the secret, mode 0600.
    pub secret_access_key_file: Option<PathBuf>,
    /// Account that the key acts in.
    pub account: AccountId,
    /// IAM user behind the key; none for the account's root.
    pub user: Option<String>,
    /// Service behind the key, which may call on behalf of every user and role.
    pub service: Option<String>,
}

impl std::fmt::Debug for CredentialSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialSection")
            .field("access_key_id", &self.access_key_id)
            .field("account", &self.account)
            .field("user", &self.user)
            .field("service", &self.service)
            .finish_non_exhaustive() // the secret stays out of logs
    }
}

/// `[administrator]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdministratorSection {
    /// Account of the user.
    pub account: AccountId,
    /// Name of the user.
    pub user: EntityName,
    /// Access key id of the user.
    pub access_key_id: AccessKeyId,
    /// File that holds the secret, mode 0600.
    pub secret_access_key_file: PathBuf,
}

/// Why a node cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("there is no configuration file {}", .file.display())]
    NoFile {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read, or a setting is unknown, missing or of a wrong type.
    #[error("configuration file {}:\n{}", .file.display(), .mistakes.join("\n"))]
    Load {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        mistakes: Vec<String>,
    },
    /// Settings that cannot be true together, every one of them.
    #[error("configuration file {}:\n{}", .file.display(), .mistakes.join("\n"))]
    Impossible {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        mistakes: Vec<String>,
    },
}

impl NodeConfig {
    /// Reads `file` and the environment; relative paths are made relative to the folder of the file.
    ///
    /// # Errors
    /// Names the file, the setting and what would be right.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        if !file.is_file() {
            return Err(ConfigError::NoFile { file: file.to_owned() });
        }
        // Other variables are not ours: Kubernetes describes a service named `meridian` to each pod as MERIDIAN_PORT.
        let environment = Env::prefixed("MERIDIAN_").filter(|key| key.as_str().contains("__")).split("__");
        let defaults = Serialized::default("raft", RaftSection::default());
        let figment = Figment::from(defaults).merge(Toml::file_exact(file)).merge(environment);
        let mut config: Self = figment.extract().map_err(|error| ConfigError::Load {
            file: file.to_owned(),
            mistakes: error.into_iter().map(|error| format!("- {}", mistake(&figment, &error))).collect(),
        })?;
        config.resolve_paths(file.parent().unwrap_or(Path::new(".")));
        let mistakes = config.mistakes();
        if mistakes.is_empty() { Ok(config) } else { Err(ConfigError::Impossible { file: file.to_owned(), mistakes }) }
    }

    /// The Region where identities are changed.
    #[must_use]
    pub fn identity_home(&self) -> Region {
        self.node.identity_home_region.clone().unwrap_or_else(|| self.node.region.clone())
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let SealSection::File { path: seal } = &mut self.seal;
        let tls = &mut self.tls;
        let required = [
            &mut self.node.data_dir,
            seal,
            &mut tls.ca,
            &mut tls.certificate,
            &mut tls.key,
            &mut tls.region_certificate,
            &mut tls.region_key,
        ];
        let optional = [&mut self.api.tls_certificate, &mut self.api.tls_key].into_iter().flatten();
        let secrets = self.credentials.iter_mut().filter_map(|credential| credential.secret_access_key_file.as_mut());
        let administrator = self.administrator.iter_mut().map(|section| &mut section.secret_access_key_file);
        let secrets = secrets.chain(administrator);
        let roots = self.attestation.roots.iter_mut();
        let policies = self.vpc_endpoints.iter_mut().filter_map(|endpoint| endpoint.policy_file.as_mut());
        for path in required.into_iter().chain(optional).chain(secrets).chain(roots).chain(policies) {
            *path = folder.join(&*path); // an absolute path replaces the folder
        }
    }

    /// Everything that cannot be true together, in the order of the file.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |is_right: bool, mistake: String| {
            if !is_right {
                mistakes.push(format!("- {mistake}"));
            }
        };
        check(self.node.id > 0, "node.id: must be 1 or more".to_owned());
        self.check_members(&mut check);
        self.check_numbers(&mut check);
        for fingerprint in &self.attestation.root_fingerprints {
            let is_one = crate::attestation::fingerprint(fingerprint).is_some();
            check(
                is_one,
                format!("attestation.root_fingerprints: {fingerprint} is no SHA-256 hash of 64 hexadecimal digits"),
            );
        }
        self.check_endpoints(&mut check);
        for credential in &self.credentials {
            let one = credential.secret_access_key.is_some() != credential.secret_access_key_file.is_some();
            let id = &credential.access_key_id;
            check(one, format!("credentials {id}: give exactly one of secret_access_key and secret_access_key_file"));
            let is_one_principal = credential.user.is_none() || credential.service.is_none();
            check(is_one_principal, format!("credentials {id}: give user or service, not both"));
            let is_service = credential.service.as_deref().is_none_or(is_service_principal);
            check(is_service, format!("credentials {id}: service must be like s3.amazonaws.com"));
        }
        mistakes
    }

    fn check_numbers(&self, check: &mut impl FnMut(bool, String)) {
        let both = self.api.tls_certificate.is_some() == self.api.tls_key.is_some();
        check(both, "api.tls_certificate and api.tls_key: give both or neither".to_owned());
        let raft = &self.raft;
        let in_order = raft.heartbeat_ms > 0
            && raft.heartbeat_ms.saturating_mul(3) <= raft.election_timeout_ms_min
            && raft.election_timeout_ms_min < raft.election_timeout_ms_max;
        let rule = "3 x heartbeat_ms <= election_timeout_ms_min < election_timeout_ms_max must hold";
        check(in_order, format!("raft: {rule}"));
        check(self.consistency.max_staleness_ms > 0, "consistency.max_staleness_ms: must be 1 or more".to_owned());
        let limits = &self.limits;
        check(limits.connections_max > 0, "limits.connections_max: must be 1 or more".to_owned());
        let text =
            format!("limits.body_bytes_max: must be {BODY_BYTES_LEAST} or more; policies and ciphertexts need it");
        check(limits.body_bytes_max >= BODY_BYTES_LEAST, text);
        check(limits.request_timeout_ms > 0, "limits.request_timeout_ms: must be 1 or more".to_owned());
        let text = format!("limits.rsa_keys_ahead: must be {RSA_KEYS_AHEAD_MAX} or less; they take locked memory");
        check(limits.rsa_keys_ahead <= RSA_KEYS_AHEAD_MAX, text);
    }

    fn check_endpoints(&self, check: &mut impl FnMut(bool, String)) {
        let named = |text: &str, prefix: &str| {
            let rest = text.strip_prefix(prefix).unwrap_or_default();
            (1..=ENDPOINT_ID_LENGTH_MAX).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        for endpoint in &self.vpc_endpoints {
            let id = &endpoint.vpc_endpoint_id;
            check(named(id, "vpce-"), format!("vpc_endpoints: {id:?} must be vpce- and letters or digits"));
            let is_network = endpoint.vpc_id.as_deref().is_none_or(|vpc| named(vpc, "vpc-"));
            check(is_network, format!("vpc_endpoints {id}: vpc_id must be vpc- and letters or digits"));
            check(endpoint.listen != self.api.listen, format!("vpc_endpoints {id}: listen is the address of [api]"));
        }
        let mut ids: Vec<&str> = self.vpc_endpoints.iter().map(|endpoint| endpoint.vpc_endpoint_id.as_str()).collect();
        ids.sort_unstable();
        check(ids.windows(2).all(|pair| pair[0] != pair[1]), "vpc_endpoints: an id stands twice".to_owned());
        let most = format!("vpc_endpoints: at most {ENDPOINTS_MAX} are allowed");
        check(ids.len() <= ENDPOINTS_MAX, most);
    }

    fn check_members(&self, check: &mut impl FnMut(bool, String)) {
        let (id, members) = (self.node.id, &self.members);
        let own = members.iter().find(|member| member.id == id);
        check(own.is_some(), format!("members: node {id} itself is missing"));
        if let Some(own) = own {
            let text = format!("peer.advertise: must be the address of node {id} in members, {}", own.address);
            check(own.address == self.peer.advertise, text);
        }
        check_distinct(members, "members", check);
        for peer in &self.peer_regions {
            let region = &peer.region;
            check(region != &self.node.region, format!("peer_regions: {region} is the node's own Region"));
            check(!peer.members.is_empty(), format!("peer_regions: {region} has no members"));
            check_distinct(&peer.members, &format!("peer_regions {region}"), check);
        }
        let mut regions: Vec<_> = self.peer_regions.iter().map(|peer| &peer.region).collect();
        regions.sort_unstable();
        check(regions.windows(2).all(|pair| pair[0] != pair[1]), "peer_regions: a Region stands twice".to_owned());
        self.check_home(check);
        let is_at_home = self.administrator.is_none() || self.identity_home() == self.node.region;
        check(is_at_home, "administrator: belongs to the nodes of node.identity_home_region only".to_owned());
    }

    fn check_home(&self, check: &mut impl FnMut(bool, String)) {
        let place = "node.identity_home_region";
        if let Some(home) = &self.node.identity_home_region {
            let is_known = *home == self.node.region || self.peer_regions.iter().any(|peer| peer.region == *home);
            check(is_known, format!("{place}: {home} is no Region of this cluster"));
        } else {
            let text = format!("{place}: must be given, the same on every node, in a cluster of several Regions");
            check(self.peer_regions.is_empty(), text);
        }
    }
}

fn check_distinct(members: &[MemberSection], place: &str, check: &mut impl FnMut(bool, String)) {
    let mut ids: Vec<u64> = members.iter().map(|member| member.id).collect();
    ids.sort_unstable();
    check(ids.windows(2).all(|pair| pair[0] != pair[1]), format!("{place}: an id stands twice"));
    let mut addresses: Vec<&str> = members.iter().map(|member| member.address.as_str()).collect();
    addresses.sort_unstable();
    check(addresses.windows(2).all(|pair| pair[0] != pair[1]), format!("{place}: an address stands twice"));
    for MemberSection { id, address } in members {
        check(has_port(address), format!("{place}: the address {address:?} of node {id} must be HOST:PORT"));
    }
}

/// Whether `name` is the principal of a service.
fn is_service_principal(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.strip_suffix(".amazonaws.com").is_some_and(|service| service.split('.').all(is_label))
}

/// Whether `address` is a host and a port that others can connect to.
pub(crate) fn has_port(address: &str) -> bool {
    let parts = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    parts.is_some_and(|(host, port)| !host.is_empty() && port.is_ok_and(|port| port > 0))
}

/// One mistake of `error`: the setting, what stands there, what is wrong with it, and whence it came.
fn mistake(figment: &Figment, error: &figment::Error) -> String {
    let path = error.path.join(".").to_lowercase();
    let is_secret = path.contains("secret");
    let found = figment.find_value(&path).ok().filter(|_| !path.is_empty() && !is_secret);
    let found = found.and_then(|value| match value {
        Value::String(_, text) => Some(format!(" (found {text:?})")),
        _ => None, // the text of the error names it, or it is a table
    });
    let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
    // Of a table that stands in several places only the last is known; a single setting stands in one.
    let is_variable = error.metadata.as_ref().is_some_and(|metadata| metadata.name.contains("environment"));
    let from = match found {
        Some(_) if is_variable => format!(", from the environment variable {}", variable(&path)),
        _ => String::new(),
    };
    format!("{place}{}{}{from}", error.kind, found.unwrap_or_default())
}

/// The environment variable of the setting `path`.
fn variable(path: &str) -> String {
    format!("MERIDIAN_{}", path.replace('.', "__").to_uppercase())
}

/// Room for the largest request that AWS documents, with its encoding: a key policy of 32 KiB, escaped.
const BODY_BYTES_LEAST: usize = 128 << 10;
/// Every endpoint is a listener with its own tasks.
const ENDPOINTS_MAX: usize = 64;
/// Those of AWS have 17 hexadecimal digits.
const ENDPOINT_ID_LENGTH_MAX: usize = 64;
/// Of each of three sizes, 2.4 KiB each at most: half a mebibyte.
const RSA_KEYS_AHEAD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<NodeConfig, ConfigError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("node.toml");
        std::fs::write(&file, text).expect("writable");
        NodeConfig::load(&file)
    }

    const SAMPLE: &str = include_str!("../../../config/region.toml");

    #[test]
    fn the_annotated_sample_loads() {
        let config = load(SAMPLE).expect("the sample is valid");
        assert_eq!(config.members.len(), 3);
        assert!(config.tls.ca.is_absolute());
    }

    #[test]
    fn every_optional_setting_of_the_sample_has_the_default_that_it_names() {
        let uncommented: String = SAMPLE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") && !setting.contains("tls_") && !setting.contains('`') => {
                    setting
                }
                _ => line,
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let given = load(&uncommented).expect("the sample with every default written out is valid");
        let silent = load(SAMPLE).expect("the sample is valid");
        let sections = |config: &NodeConfig| {
            format!("{:?}{:?}{:?}{:?}", config.raft, config.consistency, config.limits, config.log)
        };
        assert_eq!(sections(&given), sections(&silent));
        assert!(uncommented.contains("\nheartbeat_ms = "), "nothing was uncommented");
    }

    #[test]
    fn unknown_and_missing_settings_are_named() {
        let unknown = load(&SAMPLE.replace("id = 1\n# AWS", "id = 1\ncolour = 3\n# AWS")).expect_err("unknown");
        assert!(unknown.to_string().contains("colour"), "{unknown}");
        let missing = load(&SAMPLE.replace("[seal]", "[sael]")).expect_err("missing table");
        assert!(missing.to_string().contains("sael") || missing.to_string().contains("seal"), "{missing}");
    }

    #[test]
    fn a_cluster_of_several_regions_has_a_home_of_identities() {
        let config = load(SAMPLE).expect("the sample is valid");
        assert_eq!(config.identity_home().as_str(), "us-east-1");
        let silent = load(&SAMPLE.replace("identity_home_region = \"us-east-1\"", "")).expect_err("no home");
        assert!(silent.to_string().contains("node.identity_home_region: must be given"), "{silent}");
    }

    #[test]
    fn impossible_settings_are_all_told_at_once() {
        let text = SAMPLE
            .replace("# heartbeat_ms = 100", "heartbeat_ms = 5000")
            .replace("# tls_certificate", "tls_certificate")
            .replace("region = \"us-west-2\"", "region = \"us-east-1\"")
            .replace("identity_home_region = \"us-east-1\"", "identity_home_region = \"sa-east-1\"")
            .replace("user = \"platform\"", "user = \"platform\"\nservice = \"S3\"");
        let error = load(&text).expect_err("impossible").to_string();
        for part in [
            "raft:",
            "api.tls_certificate",
            "us-east-1 is the node's own Region",
            "node.identity_home_region: sa-east-1 is no Region of this cluster",
            "administrator: belongs to the nodes of node.identity_home_region only",
            "give user or service, not both",
            "service must be like s3.amazonaws.com",
        ] {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
    }
}
