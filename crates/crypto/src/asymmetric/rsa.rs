//! RSA of 2048, 3072 and 4096 bits: RSASSA-PSS, RSASSA-PKCS1-v1_5 and RSAES-OAEP (RFC 8017).
//!
//! Material is the private key as AWS-LC writes it: PKCS#8, version 1, two primes. The salt of PSS is as long as the digest;
//! OAEP uses one hash for both of its purposes and an empty label, as AWS KMS does.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{self, KeyPair as _, RsaEncoding, RsaParameters, UnparsedPublicKey};
use meridian_model::{EncryptionAlgorithmSpec, KeySpec, SigningAlgorithmSpec};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::traits::PrivateKeyParts;

use crate::algorithms::{Signed, max_plaintext_len};
use crate::key_errors::{KeyUseError, MaterialError};
use crate::secret::SecretBytes;

/// Longest PKCS#8 encoding taken as material, in bytes; that of a 4096-bit key is about 2375 bytes long.
pub(crate) const MAX_PKCS8_LEN: usize = 4096;

/// A new private key. Takes from 50 ms (2048 bits) to some seconds (4096 bits) of processor time.
pub(crate) fn generate(spec: KeySpec) -> Result<SecretBytes, MaterialError> {
    let size = match spec {
        KeySpec::Rsa2048 => KeySize::Rsa2048,
        KeySpec::Rsa3072 => KeySize::Rsa3072,
        KeySpec::Rsa4096 => KeySize::Rsa4096,
        _ => return Err(MaterialError::UnsupportedSpec(spec)),
    };
    let failed = |_| MaterialError::NotGenerated(spec);
    let der: Pkcs8V1Der<'_> = KeyPair::generate(size).map_err(failed)?.as_der().map_err(failed)?;
    Ok(SecretBytes::copy_from(der.as_ref())) // AWS-LC wipes its own copy
}

/// The canonical form of a private key that somebody else made, once it is known to be sound.
///
/// Both implementations have to accept it: `rsa` checks that there are two primes and that all parts fit together,
/// AWS-LC that it will work with it.
pub(crate) fn import(spec: KeySpec, pkcs8: &[u8]) -> Result<SecretBytes, MaterialError> {
    let malformed = || MaterialError::Malformed(spec);
    let parsed = rsa::PrivateKey::from_pkcs8_der(pkcs8).map_err(|_| malformed())?;
    parsed.validate().map_err(|_| malformed())?;
    if parsed.primes().len() != 2 {
        return Err(malformed());
    }
    let key = key_pair(spec, pkcs8).ok_or_else(malformed)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| malformed())?;
    Ok(SecretBytes::copy_from(der.as_ref()))
}

/// The `SubjectPublicKeyInfo` of the private key in `pkcs8`.
pub(crate) fn public_der(spec: KeySpec, pkcs8: &[u8]) -> Result<Vec<u8>, MaterialError> {
    let malformed = || MaterialError::Malformed(spec);
    let key = key_pair(spec, pkcs8).ok_or_else(malformed)?;
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| malformed())?;
    Ok(der.as_ref().to_vec())
}

/// A private key that signs.
pub(crate) struct Signer(KeyPair);

impl Signer {
    pub(crate) fn new(spec: KeySpec, pkcs8: &[u8]) -> Option<Self> {
        key_pair(spec, pkcs8).map(Self)
    }

    pub(crate) fn sign(&self, algorithm: SigningAlgorithmSpec, signed: Signed<'_>) -> Result<Vec<u8>, KeyUseError> {
        let scheme = scheme(algorithm).ok_or(KeyUseError::Engine)?;
        let mut signature = vec![0; self.0.public_modulus_len()];
        let made = match signed {
            Signed::Raw(message) => self.0.sign(scheme.encoding, &SystemRandom::new(), message, &mut signature),
            Signed::Digest(digest) => Digest::import_less_safe(digest, scheme.digest)
                .and_then(|digest| self.0.sign_digest(scheme.encoding, &digest, &mut signature)),
            Signed::Mu(_) => return Err(KeyUseError::Engine),
        };
        made.map(|()| signature).map_err(|_| KeyUseError::Engine)
    }
}

/// A private key that decrypts.
pub(crate) struct Decrypter(OaepPrivateDecryptingKey);

impl Decrypter {
    pub(crate) fn new(spec: KeySpec, pkcs8: &[u8]) -> Option<Self> {
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8).ok()?;
        if Some(key.key_size_bits()) != modulus_bits(spec) {
            return None;
        }
        OaepPrivateDecryptingKey::new(key).ok().map(Self)
    }

    pub(crate) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithmSpec,
        ciphertext: &[u8],
    ) -> Result<SecretBytes, KeyUseError> {
        let oaep = oaep(algorithm).ok_or(KeyUseError::Engine)?;
        let mut len = 0;
        let buffer = SecretBytes::try_init(self.0.min_output_size(), |buffer| {
            len = self.0.decrypt(oaep, ciphertext, buffer, None)?.len();
            Ok::<_, aws_lc_rs::error::Unspecified>(())
        });
        let buffer = buffer.map_err(|_| KeyUseError::InvalidCiphertext)?;
        Ok(SecretBytes::copy_from(&buffer.expose()[..len]))
    }
}

/// A public key.
pub(crate) struct Public {
    spec: KeySpec,
    encrypter: OaepPublicEncryptingKey,
}

impl Public {
    /// From a `SubjectPublicKeyInfo` whose modulus has the length that `spec` says.
    pub(crate) fn new(spec: KeySpec, der: &[u8]) -> Option<Self> {
        let bits = modulus_bits(spec)?;
        rsa::PublicKey::from_public_key_der(der).ok()?; // bounds the exponent too
        let key = PublicEncryptingKey::from_der(der).ok()?;
        if key.key_size_bits() != bits {
            return None;
        }
        OaepPublicEncryptingKey::new(key).ok().map(|encrypter| Self { spec, encrypter })
    }

    /// `der` is what this key was made from: AWS-LC ties a parsed key to one of the six algorithms, and parsing costs
    /// little beside verifying.
    pub(crate) fn verify(
        &self,
        der: &[u8],
        algorithm: SigningAlgorithmSpec,
        signed: Signed<'_>,
        signature: &[u8],
    ) -> Result<(), KeyUseError> {
        let scheme = scheme(algorithm).ok_or(KeyUseError::Engine)?;
        if signature.len() != self.encrypter.key_size_bytes() {
            return Err(KeyUseError::InvalidSignature);
        }
        let key = UnparsedPublicKey::new(scheme.parameters, der);
        let verified = match signed {
            Signed::Raw(message) => key.verify(message, signature),
            Signed::Digest(digest) => {
                Digest::import_less_safe(digest, scheme.digest).and_then(|digest| key.verify_digest(&digest, signature))
            }
            Signed::Mu(_) => return Err(KeyUseError::Engine),
        };
        verified.map_err(|_| KeyUseError::InvalidSignature)
    }

    pub(crate) fn encrypt(&self, algorithm: EncryptionAlgorithmSpec, plaintext: &[u8]) -> Result<Vec<u8>, KeyUseError> {
        let oaep = oaep(algorithm).ok_or(KeyUseError::Engine)?;
        let max = max_plaintext_len(self.spec, algorithm).ok_or(KeyUseError::Engine)?;
        if plaintext.len() > max {
            return Err(KeyUseError::PlaintextTooLong { max, actual: plaintext.len() });
        }
        let mut ciphertext = vec![0; self.encrypter.ciphertext_size()];
        let len =
            self.encrypter.encrypt(oaep, plaintext, &mut ciphertext, None).map_err(|_| KeyUseError::Engine)?.len();
        ciphertext.truncate(len);
        Ok(ciphertext)
    }
}

/// What AWS-LC calls the parts of a signature algorithm.
struct Scheme {
    encoding: &'static dyn RsaEncoding,
    parameters: &'static RsaParameters,
    digest: &'static digest::Algorithm,
}

fn scheme(algorithm: SigningAlgorithmSpec) -> Option<Scheme> {
    use SigningAlgorithmSpec as Spec;
    let (encoding, parameters, digest): (&'static dyn RsaEncoding, _, _) = match algorithm {
        Spec::RsassaPssSha256 => (&signature::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256, &digest::SHA256),
        Spec::RsassaPssSha384 => (&signature::RSA_PSS_SHA384, &signature::RSA_PSS_2048_8192_SHA384, &digest::SHA384),
        Spec::RsassaPssSha512 => (&signature::RSA_PSS_SHA512, &signature::RSA_PSS_2048_8192_SHA512, &digest::SHA512),
        Spec::RsassaPkcs1V15Sha256 => {
            (&signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256, &digest::SHA256)
        }
        Spec::RsassaPkcs1V15Sha384 => {
            (&signature::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384, &digest::SHA384)
        }
        Spec::RsassaPkcs1V15Sha512 => {
            (&signature::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512, &digest::SHA512)
        }
        _ => return None,
    };
    Some(Scheme { encoding, parameters, digest })
}

const fn oaep(algorithm: EncryptionAlgorithmSpec) -> Option<&'static OaepAlgorithm> {
    match algorithm {
        EncryptionAlgorithmSpec::RsaesOaepSha1 => Some(&OAEP_SHA1_MGF1SHA1),
        EncryptionAlgorithmSpec::RsaesOaepSha256 => Some(&OAEP_SHA256_MGF1SHA256),
        EncryptionAlgorithmSpec::SymmetricDefault | EncryptionAlgorithmSpec::Sm2pke => None,
    }
}

const fn modulus_bits(spec: KeySpec) -> Option<usize> {
    match spec {
        KeySpec::Rsa2048 => Some(2048),
        KeySpec::Rsa3072 => Some(3072),
        KeySpec::Rsa4096 => Some(4096),
        _ => None,
    }
}

/// Parses a private key and checks its size.
fn key_pair(spec: KeySpec, pkcs8: &[u8]) -> Option<KeyPair> {
    let bits = modulus_bits(spec)?;
    let key = KeyPair::from_pkcs8(pkcs8).ok()?;
    let public = PublicEncryptingKey::from_der(AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()).ok()?.as_ref());
    (public.ok()?.key_size_bits() == bits).then_some(key)
}
