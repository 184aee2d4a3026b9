//! The files that a cluster starts from: its CA, certificates, root keys, the first administrator's access key, and the
//! configuration of each node.
//!
//! Made once. Run again, what is there stays as it is and what is missing is added.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use meridian_consensus::tls::{CertifiedPem, ClusterCa};
use meridian_consensus::{NodeId, NodeName};
use meridian_crypto::random;
use meridian_model::{AccountId, Region};
use meridian_storage::vault::FileSeal;

use crate::config::has_port;
use crate::secrets_on_disk::{private_folder, read_or_make, write_new};

/// What `meridian cluster init` is asked for.
#[derive(Clone, Debug)]
pub struct ClusterInit {
    /// Folder of the deployment.
    pub directory: PathBuf,
    /// The Regions; the first one is the home of identities.
    pub regions: Vec<Region>,
    /// Nodes in each Region.
    pub nodes_per_region: u64,
    /// Peer address of a node; `{region}` and `{node}` are replaced.
    pub address: String,
    /// Where the nodes keep their data.
    pub data_dir: PathBuf,
    /// Account of the administrator's access key.
    pub account: AccountId,
    /// User and group that the files are given to.
    pub owner: Option<(u32, u32)>,
}

/// The access key of the first administrator.
#[derive(Clone)]
struct AdminKey {
    id: String,
    secret: String,
}

impl ClusterInit {
    /// Makes whatever is missing.
    ///
    /// # Errors
    /// Names the file or folder.
    pub fn run(&self) -> Result<()> {
        ensure!(!self.regions.is_empty(), "a cluster has at least one Region");
        ensure!(self.nodes_per_region > 0, "--nodes-per-region: a Region has at least one node");
        self.check_names()?;
        let authority_folder = self.directory.join("ca");
        private_folder(&authority_folder)?;
        let authority = load_or_make_ca(&authority_folder)?;
        let admin = self.load_or_make_admin(&authority_folder)?;
        for region in &self.regions {
            let shared = RegionFiles::load_or_make(&authority, &authority_folder, region)?;
            for node in 1..=self.nodes_per_region {
                self.write_node(&authority, &shared, &admin, &NodeName { region: region.clone(), node: NodeId(node) })?;
            }
        }
        Ok(())
    }

    /// Nodes find each other by their addresses: each needs one of its own.
    fn check_names(&self) -> Result<()> {
        let mut regions = BTreeSet::new();
        for region in &self.regions {
            ensure!(regions.insert(region), "--regions names {region} twice");
        }
        let mut addresses = BTreeSet::new();
        for name in self.regions.iter().flat_map(|region| self.names_in(region)) {
            let address = self.address_of(&name);
            ensure!(has_port(&address), "--address gives {name} the address {address:?}; it must be HOST:PORT");
            let is_new = addresses.insert(address.clone());
            ensure!(is_new, "--address gives several nodes the address {address:?}; use {{region}} and {{node}} in it");
        }
        Ok(())
    }

    fn load_or_make_admin(&self, authority_folder: &Path) -> Result<AdminKey> {
        let id = read_or_make(&authority_folder.join("admin.id"), new_access_key_id)?;
        let secret = read_or_make(&authority_folder.join("admin.secret"), new_secret)?;
        let admin = AdminKey { id, secret };
        let folder = self.directory.join("admin");
        private_folder(&folder)?;
        let credentials = folder.join("credentials");
        if !credentials.exists() {
            let AdminKey { id, secret } = &admin;
            let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
            write_new(&credentials, text.as_bytes())?;
        }
        Ok(admin)
    }

    /// The configuration comes last: a node whose configuration is there is complete.
    fn write_node(&self, authority: &ClusterCa, region: &RegionFiles, admin: &AdminKey, name: &NodeName) -> Result<()> {
        let folder = self.directory.join(name.region.as_str()).join(format!("node-{}", name.node));
        private_folder(&folder)?;
        let configuration = folder.join("meridian.toml");
        if configuration.exists() {
            return Ok(());
        }
        let address = self.address_of(name);
        let own = authority.issue_node(name, &host_names(&address), &host_ips(&address))?;
        let secret = self.is_home(&name.region).then_some(("admin.secret", admin.secret.as_str()));
        let files = [
            ("ca.pem", authority.pem().cert_pem.as_str()),
            ("node.pem", &own.cert_pem),
            ("node.key", &own.key_pem),
            ("region.pem", &region.identity.cert_pem),
            ("region.key", &region.identity.key_pem),
        ];
        for (file, content) in files.into_iter().chain(secret) {
            replace(&folder.join(file), content.as_bytes())?;
        }
        replace(&folder.join("root.key"), &region.root_key)?;
        write_new(&configuration, self.configuration(name, &address, admin).as_bytes())?;
        self.give_away(&folder)
    }

    fn address_of(&self, name: &NodeName) -> String {
        self.address.replace("{region}", name.region.as_str()).replace("{node}", &name.node.to_string())
    }

    fn configuration(&self, name: &NodeName, address: &str, admin: &AdminKey) -> String {
        let port = address.rsplit_once(':').map_or("7700", |(_, port)| port);
        let NodeName { region, node } = name;
        let mut text = format!(
            "# Made by `meridian cluster init`. Every setting is explained in config/region.toml.\n\
             [node]\nid = {node}\nregion = \"{region}\"\ndata_dir = \"{}\"\nidentity_home_region = \"{}\"\n\n\
             [api]\nlisten = \"0.0.0.0:7600\"\n\n\
             [peer]\nlisten = \"0.0.0.0:{port}\"\nadvertise = \"{address}\"\n\n\
             [tls]\nca = \"ca.pem\"\ncertificate = \"node.pem\"\nkey = \"node.key\"\n\
             region_certificate = \"region.pem\"\nregion_key = \"region.key\"\n\n\
             [seal]\nkind = \"file\"\npath = \"root.key\"\n",
            self.data_dir.display(),
            self.regions[0]
        );
        for member in self.names_in(region) {
            let address = self.address_of(&member);
            let _ = write!(text, "\n[[members]]\nid = {}\naddress = \"{address}\"\n", member.node);
        }
        for other in self.regions.iter().filter(|other| *other != region) {
            let _ = write!(text, "\n[[peer_regions]]\nregion = \"{other}\"\nmembers = [\n");
            for peer in self.names_in(other) {
                let _ = writeln!(text, "  {{ id = {}, address = \"{}\" }},", peer.node, self.address_of(&peer));
            }
            text.push_str("]\n");
        }
        let (id, account) = (&admin.id, self.account);
        if self.is_home(region) {
            let _ = write!(
                text,
                "\n[administrator]\naccount = \"{account}\"\nuser = \"admin\"\naccess_key_id = \"{id}\"\n\
                 secret_access_key_file = \"admin.secret\"\n"
            );
        }
        text
    }

    /// Whether identities are changed in `region`.
    fn is_home(&self, region: &Region) -> bool {
        self.regions.first() == Some(region)
    }

    fn names_in(&self, region: &Region) -> impl Iterator<Item = NodeName> {
        let region = region.clone();
        (1..=self.nodes_per_region).map(move |node| NodeName { region: region.clone(), node: NodeId(node) })
    }

    fn give_away(&self, folder: &Path) -> Result<()> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        let give = |path: &Path| {
            std::os::unix::fs::chown(path, Some(user), Some(group))
                .with_context(|| format!("giving {} to {user}:{group}", path.display()))
        };
        for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            give(&entry?.path())?;
        }
        give(folder)
    }
}

/// What all nodes of a Region share.
#[derive(Debug)]
pub struct RegionFiles {
    /// Certificate and key of the Region.
    pub identity: CertifiedPem,
    /// The sealed file of the root key, as bytes.
    root_key: Vec<u8>,
    /// Where the root key is kept.
    pub root_key_file: PathBuf,
}

impl RegionFiles {
    /// Loads what is in the Region's folder below `folder`, and makes what is not.
    ///
    /// # Errors
    /// Names the file.
    pub fn load_or_make(authority: &ClusterCa, folder: &Path, region: &Region) -> Result<Self> {
        let folder = folder.join(region.as_str());
        private_folder(&folder)?;
        let identity = load_or_make_pem(&folder, "region", || Ok(authority.issue_region(region)?))?;
        let root_key_file = folder.join("root.key");
        FileSeal::at(&root_key_file).open_or_create().context("the root key of the Region")?;
        let root_key = std::fs::read(&root_key_file).context("reading the sealed root key")?;
        Ok(Self { identity, root_key, root_key_file })
    }
}

/// Loads the CA of a cluster from `folder`, or makes one.
///
/// # Errors
/// Names the file.
pub fn load_or_make_ca(folder: &Path) -> Result<ClusterCa> {
    let pem = load_or_make_pem(folder, "ca", || Ok(ClusterCa::generate()?.pem().clone()))?;
    Ok(ClusterCa::from_pem(pem)?)
}

fn load_or_make_pem(folder: &Path, name: &str, make: impl FnOnce() -> Result<CertifiedPem>) -> Result<CertifiedPem> {
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    if !certificate.exists() {
        let pair = make()?;
        replace(&key, pair.key_pem.as_bytes())?;
        write_new(&certificate, pair.cert_pem.as_bytes())?; // last: a certificate that is there has its key
    }
    let read = |file: &Path| std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()));
    Ok(CertifiedPem { cert_pem: read(&certificate)?, key_pem: read(&key)? })
}

/// Writes a file anew; what an interrupted run left is dropped.
fn replace(file: &Path, content: &[u8]) -> Result<()> {
    if file.exists() {
        std::fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
    }
    write_new(file, content)
}

fn host_names(address: &str) -> Vec<String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    if host.parse::<IpAddr>().is_ok() { Vec::new() } else { vec![host.to_owned()] }
}

fn host_ips(address: &str) -> Vec<IpAddr> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.parse().into_iter().collect()
}

/// 20 characters, as AWS makes them for users.
fn new_access_key_id() -> Result<String> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random = random::random_bytes::<16>()?;
    let tail: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    Ok(format!("AKIA{tail}"))
}

/// 40 characters of 240 random bits.
fn new_secret() -> Result<String> {
    Ok(STANDARD_NO_PAD.encode(random::random_bytes::<30>()?))
}
