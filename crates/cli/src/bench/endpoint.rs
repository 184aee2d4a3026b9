//! Where a server listens, and byte streams to it: TCP, or TLS over it.
//!
//! Certificates are verified against the CAs of one file; the system's are not consulted, as a cluster has its own.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use http::{HeaderValue, Uri};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Both directions of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A server, by its URL.
#[derive(Clone)]
pub(super) struct Endpoint {
    authority: HeaderValue,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Endpoint {
    /// Reads `http://host[:port]` or `https://host[:port]`; the latter needs the file of CA certificates.
    pub(super) fn parse(url: &str, ca_file: Option<&Path>) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("'{url}' is no URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            bail!("'{url}' is no endpoint; write it like http://127.0.0.1:7600");
        };
        ensure!(matches!(uri.path(), "" | "/"), "the endpoint '{url}' must not have a path");
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (port, tls) = match scheme {
            "http" => (80, None),
            "https" => {
                let ca_file =
                    ca_file.context("an https endpoint needs --ca-file, the certificates that it is trusted by")?;
                let name = ServerName::try_from(host.clone()).with_context(|| format!("the host of '{url}'"))?;
                (443, Some((connector(ca_file)?, name)))
            }
            other => bail!("the endpoint '{url}' must begin with http:// or https://, not {other}://"),
        };
        let port = authority.port_u16().unwrap_or(port);
        let authority = HeaderValue::from_str(authority.as_str()).context("the host cannot stand in a header")?;
        Ok(Self { authority, host, port, tls })
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>> {
        let to = || format!("connecting to {}:{}", self.host, self.port);
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.with_context(to)?;
        stream.set_nodelay(true).with_context(to)?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Box::new(stream));
        };
        Ok(Box::new(connector.connect(name.clone(), stream).await.with_context(to)?))
    }
}

fn connector(ca_file: &Path) -> Result<TlsConnector> {
    let reading = || format!("reading certificates from {}", ca_file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).with_context(reading)? {
        roots.add(certificate.with_context(reading)?).with_context(reading)?;
    }
    ensure!(!roots.is_empty(), "{} holds no certificate", ca_file.display());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions.context("TLS versions")?.with_root_certificates(Arc::new(roots)).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_endpoints() {
        for (url, host, port) in [
            ("http://127.0.0.1:7601", "127.0.0.1", 7601),
            ("http://127.0.0.1:7601/", "127.0.0.1", 7601),
            ("http://localhost", "localhost", 80),
            ("http://[::1]:7600", "::1", 7600),
        ] {
            let endpoint = Endpoint::parse(url, None).expect(url);
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port), "{url}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for (url, part) in [
            ("127.0.0.1:7600", "no"),
            ("", "no"),
            ("/path", "no endpoint"),
            ("ftp://host", "ftp://"),
            ("http://host/path", "path"),
            ("https://host", "--ca-file"),
        ] {
            let error = Endpoint::parse(url, None).err().map(|error| format!("{error:#}"));
            assert!(error.as_deref().is_some_and(|text| text.contains(part)), "{url}: {error:?}");
        }
    }
}
