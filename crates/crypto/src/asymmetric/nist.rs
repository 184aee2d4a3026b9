//! The NIST curves P-256, P-384 and P-521: ECDSA (FIPS 186-5) with ASN.1 DER signatures, and ECDH (NIST SP 800-56A).
//!
//! Material is the private scalar, big-endian, as long as the order of the curve.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, ParsedPublicKey};
use meridian_model::KeySpec;
use p256::pkcs8::{ObjectIdentifier, PrivateKeyInfoRef, SubjectPublicKeyInfoRef};

use crate::algorithms::Signed;
use crate::key_errors::{KeyUseError, MaterialError};
use crate::secret::SecretBytes;

/// A new private scalar.
pub(crate) fn generate(spec: KeySpec) -> Result<SecretBytes, MaterialError> {
    let curve = Curve::of(spec).ok_or(MaterialError::UnsupportedSpec(spec))?;
    let failed = |_| MaterialError::NotGenerated(spec);
    let key = agreement::PrivateKey::generate(curve.agreement).map_err(failed)?;
    let scalar: EcPrivateKeyBin<'_> = key.as_be_bytes().map_err(failed)?;
    Ok(SecretBytes::copy_from(scalar.as_ref()))
}

/// The scalar in a PKCS#8 private key that names its curve. Explicit curve parameters are refused.
pub(crate) fn import(spec: KeySpec, pkcs8: &[u8]) -> Option<SecretBytes> {
    let curve = Curve::of(spec)?;
    let info = PrivateKeyInfoRef::try_from(pkcs8).ok()?;
    if info.algorithm.oid != EC_PUBLIC_KEY || info.algorithm.parameters_oid().ok()? != curve.oid {
        return None;
    }
    let key = agreement::PrivateKey::from_private_key_der(curve.agreement, pkcs8).ok()?;
    let scalar: EcPrivateKeyBin<'_> = key.as_be_bytes().ok()?;
    Some(SecretBytes::copy_from(scalar.as_ref()))
}

/// The private key as PKCS#8, with the public key in it.
pub(crate) fn private_der(spec: KeySpec, scalar: &[u8]) -> Option<SecretBytes> {
    let der: Pkcs8V1Der<'_> = private_key(Curve::of(spec)?, scalar)?.as_der().ok()?;
    Some(SecretBytes::copy_from(der.as_ref()))
}

/// The `SubjectPublicKeyInfo` of the private key `scalar`.
pub(crate) fn public_der(spec: KeySpec, scalar: &[u8]) -> Option<Vec<u8>> {
    let key = private_key(Curve::of(spec)?, scalar)?;
    let der: PublicKeyX509Der<'_> = key.compute_public_key().ok()?.as_der().ok()?;
    Some(der.as_ref().to_vec())
}

/// A private key that signs.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    digest: &'static digest::Algorithm,
}

impl Signer {
    pub(crate) fn new(spec: KeySpec, scalar: &[u8]) -> Option<Self> {
        let curve = Curve::of(spec)?;
        let pkcs8 = private_der(spec, scalar)?;
        let key = EcdsaKeyPair::from_pkcs8(curve.signing, pkcs8.expose()).ok()?;
        Some(Self { key, digest: curve.digest })
    }

    pub(crate) fn sign(&self, signed: Signed<'_>) -> Result<Vec<u8>, KeyUseError> {
        let made = match signed {
            Signed::Raw(message) => self.key.sign(&SystemRandom::new(), message),
            Signed::Digest(digest) => {
                Digest::import_less_safe(digest, self.digest).and_then(|digest| self.key.sign_digest(&digest))
            }
            Signed::Mu(_) => return Err(KeyUseError::Engine),
        };
        made.map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyUseError::Engine)
    }
}

/// A private key that agrees on secrets.
pub(crate) struct Agreement {
    key: agreement::PrivateKey,
    spec: KeySpec,
}

impl Agreement {
    pub(crate) fn new(spec: KeySpec, scalar: &[u8]) -> Option<Self> {
        private_key(Curve::of(spec)?, scalar).map(|key| Self { key, spec })
    }

    /// The x coordinate of the shared point, as long as the field of the curve.
    ///
    /// The other side's key is a `SubjectPublicKeyInfo`; that its point lies on the curve is checked by AWS-LC.
    pub(crate) fn derive(&self, public_der: &[u8]) -> Result<SecretBytes, KeyUseError> {
        let point = point_of(self.spec, public_der).ok_or(KeyUseError::InvalidPublicKey)?;
        let public = agreement::UnparsedPublicKey::new(self.key.algorithm(), point);
        agreement::agree(&self.key, public, KeyUseError::InvalidPublicKey, |shared| Ok(SecretBytes::copy_from(shared)))
    }
}

/// A public key that verifies.
pub(crate) struct Public {
    key: ParsedPublicKey,
    digest: &'static digest::Algorithm,
}

impl Public {
    pub(crate) fn new(spec: KeySpec, der: &[u8]) -> Option<Self> {
        let curve = Curve::of(spec)?;
        let key = ParsedPublicKey::new(curve.verification, point_of(spec, der)?).ok()?;
        Some(Self { key, digest: curve.digest })
    }

    pub(crate) fn verify(&self, signed: Signed<'_>, signature: &[u8]) -> Result<(), KeyUseError> {
        let verified = match signed {
            Signed::Raw(message) => self.key.verify_sig(message, signature),
            Signed::Digest(digest) => Digest::import_less_safe(digest, self.digest)
                .and_then(|digest| self.key.verify_digest_sig(&digest, signature)),
            Signed::Mu(_) => return Err(KeyUseError::Engine),
        };
        verified.map_err(|_| KeyUseError::InvalidSignature)
    }
}

/// What AWS-LC calls the parts of a curve.
struct Curve {
    signing: &'static EcdsaSigningAlgorithm,
    verification: &'static EcdsaVerificationAlgorithm,
    agreement: &'static agreement::Algorithm,
    digest: &'static digest::Algorithm,
    oid: ObjectIdentifier,
}

impl Curve {
    const fn of(spec: KeySpec) -> Option<&'static Self> {
        match spec {
            KeySpec::EccNistP256 => Some(&P256),
            KeySpec::EccNistP384 => Some(&P384),
            KeySpec::EccNistP521 => Some(&P521),
            _ => None,
        }
    }
}

/// Takes scalars of the curve's own length only, from 1 to its order less 1.
fn private_key(curve: &Curve, scalar: &[u8]) -> Option<agreement::PrivateKey> {
    agreement::PrivateKey::from_private_key(curve.agreement, scalar).ok()
}

/// The point in a `SubjectPublicKeyInfo` that names the curve of `spec`: compressed or not, but not in hybrid form.
fn point_of(spec: KeySpec, der: &[u8]) -> Option<&[u8]> {
    let info = SubjectPublicKeyInfoRef::try_from(der).ok()?;
    if info.algorithm.oid != EC_PUBLIC_KEY || info.algorithm.parameters_oid().ok()? != Curve::of(spec)?.oid {
        return None;
    }
    info.subject_public_key.as_bytes().filter(|point| matches!(point.first(), Some(2..=4)))
}

/// RFC 5480, section 2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

static P256: Curve = Curve {
    signing: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
    verification: &signature::ECDSA_P256_SHA256_ASN1,
    agreement: &ECDH_P256,
    digest: &digest::SHA256,
    oid: ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
};
static P384: Curve = Curve {
    signing: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
    verification: &signature::ECDSA_P384_SHA384_ASN1,
    agreement: &ECDH_P384,
    digest: &digest::SHA384,
    oid: ObjectIdentifier::new_unwrap("1.3.132.0.34"),
};
static P521: Curve = Curve {
    signing: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
    verification: &signature::ECDSA_P521_SHA512_ASN1,
    agreement: &ECDH_P521,
    digest: &digest::SHA512,
    oid: ObjectIdentifier::new_unwrap("1.3.132.0.35"),
};
