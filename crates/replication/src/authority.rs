//! Which signature key is which Region's: the cluster's certificate authority says so.

use meridian_consensus::tls::{TlsError, verify_region_certificate};
use meridian_crypto::{RegionKeyError, RegionSigner, RegionVerifier};
use meridian_model::Region;

/// The signature key of this Region and the certificate that ties it to the Region's name.
#[derive(Clone, Debug)]
pub struct RegionIdentity {
    /// Signs transport keys and envelopes.
    pub(crate) signer: std::sync::Arc<RegionSigner>,
    /// PEM.
    pub(crate) certificate: bytes::Bytes,
}

impl RegionIdentity {
    /// The identity that consists of a PKCS#8 private key on P-256 and its certificate, both PEM.
    ///
    /// # Errors
    /// If the key is not one.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, RegionKeyError> {
        let signer = std::sync::Arc::new(RegionSigner::from_pkcs8_pem(key_pem)?);
        Ok(Self { signer, certificate: certificate_pem.to_owned().into() })
    }
}

/// The certificate authority of the cluster, PEM.
#[derive(Clone, Debug)]
pub struct Authority(pub String);

impl Authority {
    /// The verifier of `region`'s signatures, if `certificate` is that Region's and valid now.
    pub(crate) fn verifier_of(&self, region: &Region, certificate: &[u8]) -> Result<RegionVerifier, NotCertified> {
        let pem = std::str::from_utf8(certificate).map_err(|_| NotCertified::Malformed)?;
        let key = verify_region_certificate(&self.0, pem, region).map_err(NotCertified::Refused)?;
        RegionVerifier::from_spki_der(&key).map_err(NotCertified::Key)
    }
}

/// Why a certificate is not taken for that of a Region.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCertified {
    #[error("not a certificate")]
    Malformed,
    #[error("the certificate is not of the Region")]
    Refused(#[source] TlsError),
    #[error("the certified key is not one that Regions have")]
    Key(#[source] RegionKeyError),
}
