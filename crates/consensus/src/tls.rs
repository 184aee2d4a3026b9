//! Certificates of the cluster, and TLS between its nodes.
//!
//! One authority per cluster certifies every node and every Region; each connection is TLS 1.3 with certificates
//! on both sides, on aws-lc-rs, preferring X25519MLKEM768. A peer is whoever its certificate says, and no
//! certificate names more than one node.
//!
//! Left out: revocation lists. A stolen node key is answered by removing the node and issuing a new authority.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use meridian_model::Region;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::names::{NodeName, region_dns_name};

/// How long the authority's own certificate is valid.
const AUTHORITY_VALIDITY: Duration = Duration::from_hours(20 * 365 * 24);
/// How long the certificate of a node or a Region is valid.
const LEAF_VALIDITY: Duration = Duration::from_hours(2 * 365 * 24);
/// Certificates are valid from a while ago, for peers whose clocks are behind.
const CLOCK_TOLERANCE: Duration = Duration::from_hours(24);

/// What can be wrong with certificates and keys.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate could not be made.
    #[error("cannot issue a certificate")]
    Issue(#[source] rcgen::Error),
    /// PEM text is not what it should be.
    #[error("{what} is not valid PEM")]
    Pem {
        /// What was being read.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A key or certificate does not fit.
    #[error("the TLS configuration is not usable")]
    Config(#[source] rustls::Error),
    /// The authority is unusable.
    #[error("the cluster's authority is not usable")]
    Authority(#[source] rustls::client::VerifierBuilderError),
    /// A certificate is not of whom it should be.
    #[error("the certificate is not one of {expected} signed by the cluster's authority")]
    NotCertified {
        /// Who was expected.
        expected: String,
    },
    /// A certificate does not name exactly one node.
    #[error("the certificate does not name exactly one node of the cluster")]
    NoNode,
}

/// A certificate and its private key, both PEM.
#[derive(Clone)]
pub struct CertifiedPem {
    /// The certificate.
    pub cert_pem: String,
    /// The private key, PKCS #8. Secret.
    pub key_pem: String,
}

impl std::fmt::Debug for CertifiedPem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertifiedPem").field("cert_pem", &self.cert_pem).field("key_pem", &"[secret]").finish()
    }
}

/// The authority that certifies the nodes and Regions of one cluster.
pub struct ClusterCa {
    pem: CertifiedPem,
    issuer: Issuer<'static, KeyPair>,
}

impl ClusterCa {
    /// Makes a new authority: ECDSA on P-256, valid for 20 years.
    ///
    /// # Errors
    /// [`TlsError::Issue`] if the system's generator fails.
    pub fn generate() -> Result<Self, TlsError> {
        let key = new_key()?;
        let mut params = params("Meridian cluster authority", AUTHORITY_VALIDITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(TlsError::Issue)?;
        let pem = CertifiedPem { cert_pem: certificate.pem(), key_pem: key.serialize_pem() };
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// Loads an authority that was made before.
    ///
    /// # Errors
    /// [`TlsError::Issue`] if certificate or key cannot be read.
    pub fn from_pem(pem: CertifiedPem) -> Result<Self, TlsError> {
        let key = KeyPair::from_pem(&pem.key_pem).map_err(TlsError::Issue)?;
        let issuer = Issuer::from_ca_cert_pem(&pem.cert_pem, key).map_err(TlsError::Issue)?;
        Ok(Self { pem, issuer })
    }

    /// The authority's certificate, which every node trusts, and its key, which no node needs.
    #[must_use]
    pub fn pem(&self) -> &CertifiedPem {
        &self.pem
    }

    /// Certifies a node for both ends of a connection, valid for two years. `addresses` are further names by which
    /// tools may connect; between nodes only [`NodeName::dns_name`] counts.
    ///
    /// # Errors
    /// [`TlsError::Issue`] if a name is not one.
    pub fn issue_node(&self, name: &NodeName, dns_names: &[String], ips: &[IpAddr]) -> Result<CertifiedPem, TlsError> {
        let mut names = vec![dns(&name.dns_name())?];
        for dns_name in dns_names {
            names.push(dns(dns_name)?);
        }
        names.extend(ips.iter().copied().map(SanType::IpAddress));
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&format!("Meridian node {name}"), names, &usages)
    }

    /// Certifies a Region: the identity that signs its transport keys and envelopes. Valid for two years.
    ///
    /// # Errors
    /// [`TlsError::Issue`] if the system's generator fails.
    pub fn issue_region(&self, region: &Region) -> Result<CertifiedPem, TlsError> {
        let names = vec![dns(&region_dns_name(region))?];
        self.issue(&format!("Meridian Region {region}"), names, &[ExtendedKeyUsagePurpose::ServerAuth])
    }

    fn issue(
        &self,
        common_name: &str,
        names: Vec<SanType>,
        usages: &[ExtendedKeyUsagePurpose],
    ) -> Result<CertifiedPem, TlsError> {
        let key = new_key()?;
        let mut params = params(common_name, LEAF_VALIDITY);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(TlsError::Issue)?;
        Ok(CertifiedPem { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn new_key() -> Result<KeyPair, TlsError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::Issue)
}

fn params(common_name: &str, validity: Duration) -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = (now - CLOCK_TOLERANCE).into();
    params.not_after = (now + validity).into();
    params
}

fn dns(name: &str) -> Result<SanType, TlsError> {
    name.try_into().map(SanType::DnsName).map_err(TlsError::Issue)
}

/// Who is at the other end of a connection, by its certificate. Stands in the extensions of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The node.
    pub name: NodeName,
}

/// Mutual TLS between nodes: the authority to trust and this node's own certificate.
#[derive(Clone)]
pub struct PeerTls {
    name: NodeName,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl std::fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerTls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PeerTls {
    /// Prepares TLS for the node that `own` certifies.
    ///
    /// # Errors
    /// [`TlsError`] if something is not PEM, if key and certificate do not belong together, or if the certificate
    /// is not one of a node.
    pub fn new(authority_pem: &str, own: &CertifiedPem) -> Result<Self, TlsError> {
        let provider = provider();
        let roots = roots(authority_pem)?;
        let chain = certificates("the node's certificate", &own.cert_pem)?;
        let name = node_of(chain.first().ok_or(TlsError::NoNode)?)?;
        let key = || {
            PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes())
                .map_err(|source| TlsError::Pem { what: "the node's key", source })
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(TlsError::Authority)?;
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Config)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key()?)
            .map_err(TlsError::Config)?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Config)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key()?)
            .map_err(TlsError::Config)?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        client.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { name, server: Arc::new(server), client: Arc::new(client) })
    }

    /// The node whose certificate this is.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.client))
    }
}

/// The node that an already verified peer certificate names.
pub(crate) fn identity_of(chain: Option<&[CertificateDer<'_>]>) -> io::Result<PeerIdentity> {
    let leaf = chain.and_then(<[_]>::first).ok_or(TlsError::NoNode).map_err(io::Error::other)?;
    node_of(leaf).map(|name| PeerIdentity { name }).map_err(io::Error::other)
}

fn node_of(certificate: &CertificateDer<'_>) -> Result<NodeName, TlsError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| TlsError::NoNode)?;
    let names = parsed.subject_alternative_name().ok().flatten().ok_or(TlsError::NoNode)?;
    let mut nodes = names.value.general_names.iter().filter_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => NodeName::from_dns_name(name),
        _ => None,
    });
    match (nodes.next(), nodes.next()) {
        (Some(node), None) => Ok(node),
        _ => Err(TlsError::NoNode),
    }
}

/// Proves that `cert_pem` is the identity of `region`, certified by the authority and valid now; gives the certified
/// key as DER SubjectPublicKeyInfo.
///
/// # Errors
/// [`TlsError::NotCertified`] if not, [`TlsError::Pem`] if it is no certificate.
pub fn verify_region_certificate(authority_pem: &str, cert_pem: &str, region: &Region) -> Result<Vec<u8>, TlsError> {
    let not_certified = || TlsError::NotCertified { expected: region.to_string() };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority_pem)?, provider())
        .build()
        .map_err(TlsError::Authority)?;
    let chain = certificates("the Region's certificate", cert_pem)?;
    let leaf = chain.first().ok_or_else(not_certified)?;
    let name = ServerName::try_from(region_dns_name(region)).map_err(|_| not_certified())?;
    verifier.verify_server_cert(leaf, &[], &name, &[], UnixTime::now()).map_err(|_| not_certified())?;
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|_| not_certified())?;
    Ok(parsed.public_key().raw.to_vec())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(authority_pem: &str) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the authority's certificate", authority_pem)? {
        roots.add(certificate).map_err(TlsError::Config)?;
    }
    Ok(Arc::new(roots))
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem { what, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NodeId;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    #[test]
    fn a_region_is_proven_by_the_certificate_of_its_key() {
        let ca = ClusterCa::generate().unwrap();
        let again = ClusterCa::from_pem(ca.pem().clone()).unwrap();
        let pem = again.issue_region(&region("us-east-1")).unwrap();
        let certified = verify_region_certificate(&ca.pem().cert_pem, &pem.cert_pem, &region("us-east-1")).unwrap();
        let key = KeyPair::from_pem(&pem.key_pem).unwrap();
        assert_eq!(certified, rcgen::PublicKeyData::subject_public_key_info(&key));
    }

    #[test]
    fn no_other_certificate_passes_for_a_region() {
        let ca = ClusterCa::generate().unwrap();
        let other = ClusterCa::generate().unwrap();
        let node = NodeName { region: region("us-east-1"), node: NodeId(1) };
        for wrong in [
            ca.issue_region(&region("us-west-2")).unwrap(),
            ca.issue_node(&node, &[], &[]).unwrap(),
            other.issue_region(&region("us-east-1")).unwrap(),
        ] {
            let result = verify_region_certificate(&ca.pem().cert_pem, &wrong.cert_pem, &region("us-east-1"));
            assert!(matches!(result, Err(TlsError::NotCertified { .. })));
        }
    }

    #[test]
    fn only_the_certificate_of_exactly_one_node_makes_a_peer() {
        let ca = ClusterCa::generate().unwrap();
        let node = NodeName { region: region("us-east-1"), node: NodeId(7) };
        let pem = ca.issue_node(&node, &["kms.example.com".into()], &["127.0.0.1".parse().unwrap()]).unwrap();
        assert_eq!(PeerTls::new(&ca.pem().cert_pem, &pem).unwrap().name(), &node);
        let region_pem = ca.issue_region(&node.region).unwrap();
        assert!(matches!(PeerTls::new(&ca.pem().cert_pem, &region_pem), Err(TlsError::NoNode)));
        let second = NodeName { node: NodeId(8), ..node.clone() }.dns_name();
        let two = ca.issue_node(&node, &[second], &[]).unwrap();
        assert!(matches!(PeerTls::new(&ca.pem().cert_pem, &two), Err(TlsError::NoNode)));
    }

    #[test]
    fn debug_shows_no_key() {
        let pem = ClusterCa::generate().unwrap().pem().clone();
        assert!(!format!("{pem:?}").contains("PRIVATE"));
    }
}
