//! Which usages and algorithms each key spec has.
//!
//! The order of a list is the one in which AWS KMS reports it (`DescribeKey`, `GetPublicKey`). `SM2` is offered in Regions of
//! the partition `aws-cn` only; that is decided where keys are made, since a key that exists works wherever it is.
//!
//! Always true: an algorithm stands in the lists of a spec exactly if [`PreparedKey`](crate::PreparedKey) performs it.

use meridian_model::{
    EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType,
    MacAlgorithmSpec, MessageType, SigningAlgorithmSpec,
};

use crate::asymmetric::sm2;
use crate::key_errors::KeyUseError;

/// The algorithms of a key, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// For `Sign` and `Verify`.
    pub signing: &'static [SigningAlgorithmSpec],
    /// For `Encrypt`, `Decrypt` and `ReEncrypt`.
    pub encryption: &'static [EncryptionAlgorithmSpec],
    /// For `GenerateMac` and `VerifyMac`.
    pub mac: &'static [MacAlgorithmSpec],
    /// For `DeriveSharedSecret`.
    pub agreement: &'static [KeyAgreementAlgorithmSpec],
    /// For `Encapsulate` and `Decapsulate`.
    pub encapsulation: &'static [EncapsulationAlgorithmSpec],
}

/// The usages that a key of `spec` may be created with; never empty.
#[must_use]
pub const fn usages(spec: KeySpec) -> &'static [KeyUsageType] {
    use KeyUsageType::{EncapsulateDecapsulate, EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};
    match spec {
        KeySpec::SymmetricDefault => &[EncryptDecrypt],
        KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => &[GenerateVerifyMac],
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[EncryptDecrypt, SignVerify],
        KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 => &[SignVerify, KeyAgreement],
        KeySpec::EccSecgP256k1
        | KeySpec::EccNistEdwards25519
        | KeySpec::MlDsa44
        | KeySpec::MlDsa65
        | KeySpec::MlDsa87 => &[SignVerify],
        KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => &[EncapsulateDecapsulate],
        KeySpec::Sm2 => &[EncryptDecrypt, SignVerify, KeyAgreement],
    }
}

/// Every algorithm of `spec`, whatever the usage of the key.
#[must_use]
pub const fn algorithms(spec: KeySpec) -> Algorithms {
    match spec {
        KeySpec::SymmetricDefault => Algorithms { encryption: &[EncryptionAlgorithmSpec::SymmetricDefault], ..NONE },
        KeySpec::Hmac224 => Algorithms { mac: &[MacAlgorithmSpec::HmacSha224], ..NONE },
        KeySpec::Hmac256 => Algorithms { mac: &[MacAlgorithmSpec::HmacSha256], ..NONE },
        KeySpec::Hmac384 => Algorithms { mac: &[MacAlgorithmSpec::HmacSha384], ..NONE },
        KeySpec::Hmac512 => Algorithms { mac: &[MacAlgorithmSpec::HmacSha512], ..NONE },
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
            Algorithms { signing: RSA_SIGNING, encryption: RSA_ENCRYPTION, ..NONE }
        }
        KeySpec::EccNistP256 => Algorithms { signing: &[SigningAlgorithmSpec::EcdsaSha256], agreement: ECDH, ..NONE },
        KeySpec::EccNistP384 => Algorithms { signing: &[SigningAlgorithmSpec::EcdsaSha384], agreement: ECDH, ..NONE },
        KeySpec::EccNistP521 => Algorithms { signing: &[SigningAlgorithmSpec::EcdsaSha512], agreement: ECDH, ..NONE },
        KeySpec::EccSecgP256k1 => Algorithms { signing: &[SigningAlgorithmSpec::EcdsaSha256], ..NONE },
        KeySpec::EccNistEdwards25519 => Algorithms { signing: EDDSA, ..NONE },
        KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => {
            Algorithms { signing: &[SigningAlgorithmSpec::MlDsaShake256], ..NONE }
        }
        KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => {
            Algorithms { encapsulation: &[EncapsulationAlgorithmSpec::MlKem], ..NONE }
        }
        KeySpec::Sm2 => Algorithms {
            signing: &[SigningAlgorithmSpec::Sm2dsa],
            encryption: &[EncryptionAlgorithmSpec::Sm2pke],
            agreement: ECDH,
            ..NONE
        },
    }
}

/// The algorithms of a key of `spec` that was created for `usage`; none if the spec does not have that usage.
#[must_use]
pub const fn algorithms_for(spec: KeySpec, usage: KeyUsageType) -> Algorithms {
    let all = algorithms(spec);
    match usage {
        KeyUsageType::SignVerify => Algorithms { signing: all.signing, ..NONE },
        KeyUsageType::EncryptDecrypt => Algorithms { encryption: all.encryption, ..NONE },
        KeyUsageType::GenerateVerifyMac => Algorithms { mac: all.mac, ..NONE },
        KeyUsageType::KeyAgreement => Algorithms { agreement: all.agreement, ..NONE },
        KeyUsageType::EncapsulateDecapsulate => Algorithms { encapsulation: all.encapsulation, ..NONE },
    }
}

/// Longest plaintext in bytes that `algorithm` encrypts under a key of `spec`; `None` if that spec does not have it.
///
/// RFC 8017, section 7.1.1, for RSA: modulus length - 2 * hash length - 2. For SM2 the limit is AWS KMS's own.
#[must_use]
pub const fn max_plaintext_len(spec: KeySpec, algorithm: EncryptionAlgorithmSpec) -> Option<usize> {
    let modulus_len = match (spec, algorithm) {
        (KeySpec::SymmetricDefault, EncryptionAlgorithmSpec::SymmetricDefault) => return Some(4096),
        (KeySpec::Sm2, EncryptionAlgorithmSpec::Sm2pke) => return Some(sm2::MAX_PLAINTEXT_LEN),
        (KeySpec::Rsa2048, _) => 256,
        (KeySpec::Rsa3072, _) => 384,
        (KeySpec::Rsa4096, _) => 512,
        _ => return None,
    };
    match algorithm {
        EncryptionAlgorithmSpec::RsaesOaepSha1 => Some(modulus_len - 2 * 20 - 2),
        EncryptionAlgorithmSpec::RsaesOaepSha256 => Some(modulus_len - 2 * 32 - 2),
        EncryptionAlgorithmSpec::SymmetricDefault | EncryptionAlgorithmSpec::Sm2pke => None,
    }
}

/// Checks that `algorithm` signs and verifies `message` as a `message_type`.
///
/// # Errors
/// [`KeyUseError::MessageType`] or [`KeyUseError::DigestLength`] if not.
pub fn check_message(
    algorithm: SigningAlgorithmSpec,
    message_type: MessageType,
    message: &[u8],
) -> Result<(), KeyUseError> {
    Signed::new(algorithm, message_type, message).map(drop)
}

/// What is to be signed or verified, once message type, algorithm and length are known to fit each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signed<'a> {
    /// The message itself.
    Raw(&'a [u8]),
    /// Its digest, of the length that the algorithm has; for Ed25519ph the message itself.
    Digest(&'a [u8]),
    /// The message representative of ML-DSA (FIPS 204, algorithm 7, line 6).
    Mu(&'a [u8; MU_LEN]),
}

impl<'a> Signed<'a> {
    /// Checks that `algorithm` takes `message` as a `message_type`.
    pub(crate) fn new(
        algorithm: SigningAlgorithmSpec,
        message_type: MessageType,
        message: &'a [u8],
    ) -> Result<Self, KeyUseError> {
        let wrong_length = |expected| KeyUseError::DigestLength { algorithm, expected, actual: message.len() };
        match (message_type, digest_len(algorithm)) {
            (MessageType::Raw, _) if algorithm != SigningAlgorithmSpec::Ed25519PhSha512 => Ok(Self::Raw(message)),
            (MessageType::Digest, Some(len)) if message.len() == len => Ok(Self::Digest(message)),
            (MessageType::Digest, Some(len)) => Err(wrong_length(len)),
            (MessageType::ExternalMu, None) if algorithm == SigningAlgorithmSpec::MlDsaShake256 => {
                message.try_into().map(Self::Mu).map_err(|_| wrong_length(MU_LEN))
            }
            _ => Err(KeyUseError::MessageType { algorithm, message_type }),
        }
    }
}

/// Length in bytes of the digest that `algorithm` signs; `None` if it takes no digests.
const fn digest_len(algorithm: SigningAlgorithmSpec) -> Option<usize> {
    use SigningAlgorithmSpec as Spec;
    match algorithm {
        Spec::RsassaPssSha256 | Spec::RsassaPkcs1V15Sha256 | Spec::EcdsaSha256 | Spec::Sm2dsa => Some(32),
        Spec::RsassaPssSha384 | Spec::RsassaPkcs1V15Sha384 | Spec::EcdsaSha384 => Some(48),
        Spec::RsassaPssSha512 | Spec::RsassaPkcs1V15Sha512 | Spec::EcdsaSha512 | Spec::Ed25519PhSha512 => Some(64),
        Spec::Ed25519Sha512 | Spec::MlDsaShake256 => None,
    }
}

/// Length in bytes of the message representative of ML-DSA.
const MU_LEN: usize = 64;

const NONE: Algorithms = Algorithms { signing: &[], encryption: &[], mac: &[], agreement: &[], encapsulation: &[] };
const ECDH: &[KeyAgreementAlgorithmSpec] = &[KeyAgreementAlgorithmSpec::Ecdh];
const EDDSA: &[SigningAlgorithmSpec] = &[SigningAlgorithmSpec::Ed25519Sha512, SigningAlgorithmSpec::Ed25519PhSha512];
const RSA_ENCRYPTION: &[EncryptionAlgorithmSpec] =
    &[EncryptionAlgorithmSpec::RsaesOaepSha1, EncryptionAlgorithmSpec::RsaesOaepSha256];
const RSA_SIGNING: &[SigningAlgorithmSpec] = &[
    SigningAlgorithmSpec::RsassaPkcs1V15Sha256,
    SigningAlgorithmSpec::RsassaPkcs1V15Sha384,
    SigningAlgorithmSpec::RsassaPkcs1V15Sha512,
    SigningAlgorithmSpec::RsassaPssSha256,
    SigningAlgorithmSpec::RsassaPssSha384,
    SigningAlgorithmSpec::RsassaPssSha512,
];
