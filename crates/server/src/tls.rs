//! TLS for clients: rustls on aws-lc-rs, TLS 1.3 and 1.2, hybrid post-quantum key exchange first.
//!
//! Always true: a mistake in certificate or key is an error at start, never a listener without TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::SupportedKxGroup;
use rustls::server::ServerConnection;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is no PEM, or not of what it should be.
    #[error("no usable PEM of a {what}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// Why not.
        source: rustls_pki_types::pem::Error,
    },
    /// There is no certificate in the file.
    #[error("the certificate file holds no certificate")]
    NoCertificate,
    /// Certificate and key do not fit together, or are of a kind that is not supported.
    #[error("certificate and private key cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// The settings of a TLS listener, made from PEM texts: the certificate chain, leaf first, and its private key.
///
/// ALPN offers `h2` and `http/1.1`. Key exchange prefers X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem).
///
/// # Errors
/// [`TlsError`] if the texts are not what they should be.
pub fn server_config(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let chain = parsed.map_err(|source| TlsError::Pem { what: "certificate", source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| TlsError::Pem { what: "private key", source })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(TlsError::Unusable)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// [`server_config`] from two files.
///
/// # Errors
/// [`TlsError`] if a file cannot be read or is not what it should be.
pub fn server_config_from_files(certificates: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source });
    server_config(&read(certificates)?, &read(key)?)
}

pub(crate) fn acceptor(config: Arc<ServerConfig>) -> TlsAcceptor {
    TlsAcceptor::from(config)
}

/// How one connection is protected, in the words of audit records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsSession {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher_suite: &'static str,
    /// The key exchange group by its IANA name.
    pub key_exchange: Option<&'static str>,
}

impl TlsSession {
    pub(crate) fn of(connection: &ServerConnection) -> Self {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2", // the only other one that is offered
        };
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        let cipher_suite = suite.and_then(|suite| suite.as_str()).unwrap_or_default();
        let group = connection.negotiated_key_exchange_group().map(SupportedKxGroup::name);
        Self {
            version,
            cipher_suite: cipher_suite.strip_prefix("TLS13_").map_or(cipher_suite, tls13_name),
            key_exchange: group.and_then(|group| group.as_str()),
        }
    }
}

/// rustls marks the suites of TLS 1.3, IANA does not.
fn tls13_name(suffix: &'static str) -> &'static str {
    match suffix {
        "AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}
