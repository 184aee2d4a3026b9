//! Key material: the secret under a KMS key, of whatever spec.
//!
//! Always true: material is as long as its spec says and its encoding is canonical, so that equal keys have equal bytes.
//! Whether those bytes are a sound key is known once they were prepared ([`PreparedKey`](crate::PreparedKey)) or
//! imported; sealed and transported material is authentic, so it is what was generated or imported.

use meridian_model::{KeySpec, Partition};

use crate::aead::{KEY_LEN, SM4_KEY_LEN};
use crate::asymmetric::{ed25519, ml_dsa, ml_kem, nist, rsa, secp256k1, sm2};
use crate::hierarchy::UnsealError;
use crate::key_errors::MaterialError;
use crate::random::RandomError;
use crate::secret::{Secret, SecretBytes};

/// The bytes under a KMS key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyMaterial {
    /// A symmetric encryption key (`SYMMETRIC_DEFAULT`) for AES-256-GCM.
    Symmetric(Secret<KEY_LEN>),
    /// The key of an HMAC (`HMAC_*`): as long as the digest.
    Hmac(SpecMaterial),
    /// The private key of an asymmetric key.
    Private(SpecMaterial),
    /// A symmetric encryption key (`SYMMETRIC_DEFAULT`) for SM4-GCM, as Regions of the partition `aws-cn` have them.
    Sm4(Secret<SM4_KEY_LEN>),
}

/// Material whose form depends on its spec.
///
/// | spec | bytes |
/// |---|---|
/// | `HMAC_*` | the key: 28, 32, 48 or 64 bytes |
/// | `RSA_*` | PKCS#8, version 1, in DER, as AWS-LC writes it |
/// | `ECC_NIST_P*`, `ECC_SECG_P256K1`, `SM2` | the scalar, big-endian: 32, 48 or 66 bytes |
/// | `ECC_NIST_EDWARDS25519` | the private key of RFC 8032: 32 bytes |
/// | `ML_DSA_*` | the seed: 32 bytes |
/// | `ML_KEM_*` | the seed, d then z: 64 bytes |
#[derive(Debug)]
pub struct SpecMaterial {
    spec: KeySpec,
    bytes: SecretBytes,
}

impl SpecMaterial {
    /// The spec of the key.
    #[must_use]
    pub const fn spec(&self) -> KeySpec {
        self.spec
    }

    pub(crate) const fn bytes(&self) -> &SecretBytes {
        &self.bytes
    }
}

impl KeyMaterial {
    /// New material for a symmetric encryption key of a Region in `partition`: SM4 in `aws-cn`, AES-256 anywhere else.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn generate_symmetric(partition: Partition) -> Result<Self, RandomError> {
        match partition {
            Partition::AwsCn => Secret::random().map(Self::Sm4),
            Partition::Aws | Partition::AwsUsGov => Secret::random().map(Self::Symmetric),
        }
    }

    /// New material for a key of any `spec` but `SYMMETRIC_DEFAULT`, which [`KeyMaterial::generate_symmetric`] makes.
    ///
    /// Blocks for RSA: about 0.1 s for 2048 bits, 0.3 s for 3072, 1 s for 4096, several times that at worst, so that it
    /// belongs on a thread of its own. Every other spec takes less than a millisecond.
    ///
    /// # Errors
    /// [`MaterialError::UnsupportedSpec`] for `SYMMETRIC_DEFAULT`; otherwise only if the generator fails.
    pub fn generate(spec: KeySpec) -> Result<Self, MaterialError> {
        let bytes = match Form::of(spec) {
            Form::Symmetric => return Err(MaterialError::UnsupportedSpec(spec)),
            Form::Bytes(len) => SecretBytes::random(len)?,
            Form::NistScalar(_) => nist::generate(spec)?,
            Form::Secp256k1Scalar => secp256k1::generate()?,
            Form::Sm2Scalar => sm2::generate()?,
            Form::RsaPkcs8 => rsa::generate(spec)?,
        };
        Self::from_canonical(spec, bytes).ok_or(MaterialError::NotGenerated(spec))
    }

    /// Material that somebody else made, as `ImportKeyMaterial` takes it once it is unwrapped.
    ///
    /// Symmetric and HMAC keys are raw bytes of the exact length, which for `SYMMETRIC_DEFAULT` depends on the `partition` of
    /// the Region; RSA keys (two primes, modulus of the exact size) and keys on the NIST curves, secp256k1 and SM2 (named
    /// curve) are PKCS#8 in DER, not encrypted. The same key in another encoding gives the same material.
    ///
    /// # Errors
    /// [`MaterialError::Malformed`] if the bytes are no sound key of `spec`; [`MaterialError::UnsupportedSpec`] if AWS KMS
    /// takes no imports of `spec`.
    pub fn import(spec: KeySpec, partition: Partition, plaintext: &SecretBytes) -> Result<Self, MaterialError> {
        let given = plaintext.expose();
        let malformed = || MaterialError::Malformed(spec);
        let bytes = match Form::of(spec) {
            Form::Symmetric => return Self::symmetric(partition, given).ok_or_else(malformed),
            Form::Bytes(_) if is_hmac(spec) => SecretBytes::copy_from(given),
            Form::NistScalar(_) => nist::import(spec, given).ok_or_else(malformed)?,
            Form::Secp256k1Scalar => secp256k1::import(given).ok_or_else(malformed)?,
            Form::Sm2Scalar => sm2::import(given).ok_or_else(malformed)?,
            Form::RsaPkcs8 => rsa::import(spec, given)?,
            Form::Bytes(_) => return Err(MaterialError::UnsupportedSpec(spec)),
        };
        Self::from_canonical(spec, bytes).ok_or_else(malformed)
    }

    /// The spec of the key.
    #[must_use]
    pub const fn spec(&self) -> KeySpec {
        match self {
            Self::Symmetric(_) | Self::Sm4(_) => KeySpec::SymmetricDefault,
            Self::Hmac(material) | Self::Private(material) => material.spec,
        }
    }

    /// The public key as a `SubjectPublicKeyInfo` in DER; `None` for symmetric and HMAC keys.
    ///
    /// # Errors
    /// [`MaterialError::Malformed`] if the material is no sound key, which generated and imported material always is.
    pub fn public_key_der(&self) -> Result<Option<Vec<u8>>, MaterialError> {
        let Self::Private(SpecMaterial { spec, bytes }) = self else { return Ok(None) };
        let bytes = bytes.expose();
        let der = match spec {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Some(rsa::public_der(*spec, bytes)?),
            KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 => nist::public_der(*spec, bytes),
            KeySpec::EccSecgP256k1 => secp256k1::public_der(bytes),
            KeySpec::Sm2 => sm2::public_der(bytes),
            KeySpec::EccNistEdwards25519 => ed25519::public_der(bytes),
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => ml_dsa::public_der(*spec, bytes),
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => ml_kem::public_der(*spec, bytes),
            _ => None,
        };
        der.map(Some).ok_or(MaterialError::Malformed(*spec))
    }

    /// The private key as PKCS#8 in DER. For data key pairs only: material of KMS keys never leaves the service.
    pub(crate) fn private_key_pkcs8(&self) -> Option<SecretBytes> {
        let Self::Private(SpecMaterial { spec, bytes }) = self else { return None };
        let bytes = bytes.expose();
        match spec {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Some(SecretBytes::copy_from(bytes)),
            KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 => nist::private_der(*spec, bytes),
            KeySpec::EccSecgP256k1 => secp256k1::private_der(bytes),
            KeySpec::Sm2 => sm2::private_der(bytes),
            KeySpec::EccNistEdwards25519 => ed25519::private_der(bytes),
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => ml_kem::private_der(*spec, bytes),
            _ => None, // there are no data key pairs of any other spec
        }
    }

    /// The material in clear as it is sealed or sent: a kind byte, then the bytes.
    #[must_use]
    pub fn encode(&self) -> SecretBytes {
        let (kind, bytes): (u8, &[u8]) = match self {
            Self::Symmetric(key) => (AES_256_KIND, key.expose()),
            Self::Sm4(key) => (SM4_KIND, key.expose()),
            Self::Hmac(material) | Self::Private(material) => (kind_of(material.spec), material.bytes.expose()),
        };
        SecretBytes::init(1 + bytes.len(), |encoded| {
            encoded[0] = kind;
            encoded[1..].copy_from_slice(bytes);
        })
    }

    /// The inverse of [`KeyMaterial::encode`].
    ///
    /// # Errors
    /// [`UnsealError::UnknownMaterial`] if the kind is not known or the length does not fit it.
    pub fn decode(encoded: &SecretBytes) -> Result<Self, UnsealError> {
        let unknown = |kind| UnsealError::UnknownMaterial { kind, len: encoded.len().saturating_sub(1) };
        let (&kind, bytes) = encoded.expose().split_first().ok_or_else(|| unknown(0))?;
        let decoded = match kind {
            AES_256_KIND => Self::symmetric(Partition::Aws, bytes),
            SM4_KIND => Self::symmetric(Partition::AwsCn, bytes),
            _ => spec_of(kind).and_then(|spec| Self::from_canonical(spec, SecretBytes::copy_from(bytes))),
        };
        decoded.ok_or_else(|| unknown(kind))
    }

    /// `None` unless `bytes` is as long as the symmetric keys of `partition`.
    fn symmetric(partition: Partition, bytes: &[u8]) -> Option<Self> {
        match partition {
            Partition::AwsCn => secret_of(bytes).map(Self::Sm4),
            Partition::Aws | Partition::AwsUsGov => secret_of(bytes).map(Self::Symmetric),
        }
    }

    fn from_canonical(spec: KeySpec, bytes: SecretBytes) -> Option<Self> {
        if !Form::of(spec).fits(bytes.len()) {
            return None;
        }
        let material = SpecMaterial { spec, bytes };
        Some(if is_hmac(spec) { Self::Hmac(material) } else { Self::Private(material) })
    }
}

fn secret_of<const N: usize>(bytes: &[u8]) -> Option<Secret<N>> {
    let bytes: &[u8; N] = bytes.try_into().ok()?;
    Some(Secret::init(|secret| secret.copy_from_slice(bytes)))
}

/// What the bytes of a spec look like.
#[derive(Clone, Copy)]
enum Form {
    /// A symmetric encryption key, whose length depends on the partition.
    Symmetric,
    /// Any bytes of this length.
    Bytes(usize),
    /// A scalar of this length on a NIST curve.
    NistScalar(usize),
    Secp256k1Scalar,
    Sm2Scalar,
    RsaPkcs8,
}

impl Form {
    const fn of(spec: KeySpec) -> Self {
        match spec {
            KeySpec::SymmetricDefault => Self::Symmetric,
            KeySpec::Hmac224 => Self::Bytes(28),
            KeySpec::Hmac256 => Self::Bytes(32),
            KeySpec::Hmac384 => Self::Bytes(48),
            KeySpec::Hmac512 => Self::Bytes(64),
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Self::RsaPkcs8,
            KeySpec::EccNistP256 => Self::NistScalar(32),
            KeySpec::EccNistP384 => Self::NistScalar(48),
            KeySpec::EccNistP521 => Self::NistScalar(66),
            KeySpec::EccSecgP256k1 => Self::Secp256k1Scalar,
            KeySpec::EccNistEdwards25519 => Self::Bytes(ed25519::SEED_LEN),
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => Self::Bytes(ml_dsa::SEED_LEN),
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => Self::Bytes(ml_kem::SEED_LEN),
            KeySpec::Sm2 => Self::Sm2Scalar,
        }
    }

    const fn fits(self, len: usize) -> bool {
        match self {
            Self::Symmetric => false,
            Self::Bytes(exactly) | Self::NistScalar(exactly) => len == exactly,
            Self::Secp256k1Scalar => len == secp256k1::SCALAR_LEN,
            Self::Sm2Scalar => len == sm2::SCALAR_LEN,
            Self::RsaPkcs8 => len > 0 && len <= rsa::MAX_PKCS8_LEN,
        }
    }
}

const fn is_hmac(spec: KeySpec) -> bool {
    matches!(spec, KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512)
}

fn kind_of(spec: KeySpec) -> u8 {
    let kind = KINDS.iter().find(|(_, of)| *of == spec).map(|(kind, _)| *kind);
    kind.expect("every spec but that of symmetric encryption keys is listed")
}

fn spec_of(kind: u8) -> Option<KeySpec> {
    KINDS.iter().find(|(known, _)| *known == kind).map(|(_, spec)| *spec)
}

/// The kind bytes of symmetric encryption keys, beside [`KINDS`].
const AES_256_KIND: u8 = 1;
const SM4_KIND: u8 = 21;

/// The kind bytes of encoded material. A kind stands for one spec and one form for ever; a new form gets a new kind.
const KINDS: [(u8, KeySpec); 19] = [
    (2, KeySpec::Hmac224),
    (3, KeySpec::Hmac256),
    (4, KeySpec::Hmac384),
    (5, KeySpec::Hmac512),
    (6, KeySpec::Rsa2048),
    (7, KeySpec::Rsa3072),
    (8, KeySpec::Rsa4096),
    (9, KeySpec::EccNistP256),
    (10, KeySpec::EccNistP384),
    (11, KeySpec::EccNistP521),
    (12, KeySpec::EccSecgP256k1),
    (13, KeySpec::EccNistEdwards25519),
    (14, KeySpec::MlDsa44),
    (15, KeySpec::MlDsa65),
    (16, KeySpec::MlDsa87),
    (17, KeySpec::MlKem512),
    (18, KeySpec::MlKem768),
    (19, KeySpec::MlKem1024),
    (20, KeySpec::Sm2),
];
