//! Key material: the secret under a KMS key, of whatever spec.
//!
//! Always true: material is as long as its spec says and its encoding is canonical, so that equal keys have equal bytes.
//! Whether those bytes are a sound key is known once they were prepared ([`PreparedKey`](crate::PreparedKey)) or
//! imported; sealed and transported material is authentic, so it is what was generated or imported.

use meridian_model::KeySpec;

use crate::aead::KEY_LEN;
use crate::asymmetric::{ed25519, ml_dsa, ml_kem, nist, rsa, secp256k1};
use crate::hierarchy::UnsealError;
use crate::key_errors::MaterialError;
use crate::random::RandomError;
use crate::secret::{Secret, SecretBytes};

/// The bytes under a KMS key.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyMaterial {
    /// A symmetric encryption key (`SYMMETRIC_DEFAULT`): 256 bits.
    Symmetric(Secret<KEY_LEN>),
    /// The key of an HMAC (`HMAC_*`): as long as the digest.
    Hmac(SpecMaterial),
    /// The private key of an asymmetric key.
    Private(SpecMaterial),
}

/// Material whose form depends on its spec.
///
/// | spec | bytes |
/// |---|---|
/// | `HMAC_*` | the key: 28, 32, 48 or 64 bytes |
/// | `RSA_*` | PKCS#8, version 1, in DER, as AWS-LC writes it |
/// | `ECC_NIST_P*`, `ECC_SECG_P256K1` | the scalar, big-endian: 32, 48 or 66 bytes |
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
    /// New material for a symmetric encryption key.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn generate_symmetric() -> Result<Self, RandomError> {
        Secret::random().map(Self::Symmetric)
    }

    /// New material for a key of `spec`.
    ///
    /// Blocks for RSA: about 0.1 s for 2048 bits, 0.3 s for 3072, 1 s for 4096, several times that at worst, so that it
    /// belongs on a thread of its own. Every other spec takes less than a millisecond.
    ///
    /// # Errors
    /// [`MaterialError::UnsupportedSpec`] for `SM2`; otherwise only if the generator fails.
    pub fn generate(spec: KeySpec) -> Result<Self, MaterialError> {
        let form = Form::of(spec).ok_or(MaterialError::UnsupportedSpec(spec))?;
        let bytes = match form {
            Form::Bytes(len) => SecretBytes::random(len)?,
            Form::NistScalar(_) => nist::generate(spec)?,
            Form::Secp256k1Scalar => secp256k1::generate()?,
            Form::RsaPkcs8 => rsa::generate(spec)?,
        };
        Self::from_canonical(spec, bytes).ok_or(MaterialError::NotGenerated(spec))
    }

    /// Material that somebody else made, as `ImportKeyMaterial` takes it once it is unwrapped.
    ///
    /// Symmetric and HMAC keys are raw bytes of the exact length; RSA keys (two primes, modulus of the exact size) and
    /// keys on the NIST curves and secp256k1 (named curve) are PKCS#8 in DER, not encrypted. The same key in another
    /// encoding gives the same material.
    ///
    /// # Errors
    /// [`MaterialError::Malformed`] if the bytes are no sound key of `spec`; [`MaterialError::UnsupportedSpec`] if AWS KMS
    /// takes no imports of `spec`.
    pub fn import(spec: KeySpec, plaintext: &SecretBytes) -> Result<Self, MaterialError> {
        let given = plaintext.expose();
        let malformed = || MaterialError::Malformed(spec);
        let bytes = match Form::of(spec) {
            Some(Form::Bytes(_)) if is_symmetric(spec) => SecretBytes::copy_from(given),
            Some(Form::NistScalar(_)) => nist::import(spec, given).ok_or_else(malformed)?,
            Some(Form::Secp256k1Scalar) => secp256k1::import(given).ok_or_else(malformed)?,
            Some(Form::RsaPkcs8) => rsa::import(spec, given)?,
            Some(Form::Bytes(_)) | None => return Err(MaterialError::UnsupportedSpec(spec)),
        };
        Self::from_canonical(spec, bytes).ok_or_else(malformed)
    }

    /// The spec of the key.
    #[must_use]
    pub const fn spec(&self) -> KeySpec {
        match self {
            Self::Symmetric(_) => KeySpec::SymmetricDefault,
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
            KeySpec::EccNistEdwards25519 => ed25519::private_der(bytes),
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => ml_kem::private_der(*spec, bytes),
            _ => None, // there are no data key pairs of any other spec
        }
    }

    /// The material in clear as it is sealed or sent: a kind byte, then the bytes.
    #[must_use]
    pub fn encode(&self) -> SecretBytes {
        let bytes: &[u8] = match self {
            Self::Symmetric(key) => key.expose(),
            Self::Hmac(material) | Self::Private(material) => material.bytes.expose(),
        };
        let kind = kind_of(self.spec()).expect("there is no material of a spec without a kind");
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
        let spec = spec_of(kind).ok_or_else(|| unknown(kind))?;
        if !Form::of(spec).is_some_and(|form| form.fits(bytes.len())) {
            return Err(unknown(kind));
        }
        Self::from_canonical(spec, SecretBytes::copy_from(bytes)).ok_or_else(|| unknown(kind))
    }

    fn from_canonical(spec: KeySpec, bytes: SecretBytes) -> Option<Self> {
        if !Form::of(spec)?.fits(bytes.len()) {
            return None;
        }
        match spec {
            KeySpec::SymmetricDefault => {
                let bytes: &[u8; KEY_LEN] = bytes.expose().try_into().ok()?;
                Some(Self::Symmetric(Secret::init(|key| key.copy_from_slice(bytes))))
            }
            _ if is_symmetric(spec) => Some(Self::Hmac(SpecMaterial { spec, bytes })),
            _ => Some(Self::Private(SpecMaterial { spec, bytes })),
        }
    }
}

/// What the bytes of a spec look like.
#[derive(Clone, Copy)]
enum Form {
    /// Any bytes of this length.
    Bytes(usize),
    /// A scalar of this length on a NIST curve.
    NistScalar(usize),
    Secp256k1Scalar,
    RsaPkcs8,
}

impl Form {
    /// `None` for a spec that is not offered.
    const fn of(spec: KeySpec) -> Option<Self> {
        match spec {
            KeySpec::SymmetricDefault => Some(Self::Bytes(KEY_LEN)),
            KeySpec::Hmac224 => Some(Self::Bytes(28)),
            KeySpec::Hmac256 => Some(Self::Bytes(32)),
            KeySpec::Hmac384 => Some(Self::Bytes(48)),
            KeySpec::Hmac512 => Some(Self::Bytes(64)),
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => Some(Self::RsaPkcs8),
            KeySpec::EccNistP256 => Some(Self::NistScalar(32)),
            KeySpec::EccNistP384 => Some(Self::NistScalar(48)),
            KeySpec::EccNistP521 => Some(Self::NistScalar(66)),
            KeySpec::EccSecgP256k1 => Some(Self::Secp256k1Scalar),
            KeySpec::EccNistEdwards25519 => Some(Self::Bytes(ed25519::SEED_LEN)),
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => Some(Self::Bytes(ml_dsa::SEED_LEN)),
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => Some(Self::Bytes(ml_kem::SEED_LEN)),
            KeySpec::Sm2 => None,
        }
    }

    const fn fits(self, len: usize) -> bool {
        match self {
            Self::Bytes(exactly) | Self::NistScalar(exactly) => len == exactly,
            Self::Secp256k1Scalar => len == secp256k1::SCALAR_LEN,
            Self::RsaPkcs8 => len > 0 && len <= rsa::MAX_PKCS8_LEN,
        }
    }
}

/// Whether material of `spec` is a secret without a public half.
const fn is_symmetric(spec: KeySpec) -> bool {
    matches!(
        spec,
        KeySpec::SymmetricDefault | KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512
    )
}

fn kind_of(spec: KeySpec) -> Option<u8> {
    KINDS.iter().find(|(_, of)| *of == spec).map(|(kind, _)| *kind)
}

fn spec_of(kind: u8) -> Option<KeySpec> {
    KINDS.iter().find(|(known, _)| *known == kind).map(|(_, spec)| *spec)
}

/// The kind bytes of encoded material. A kind stands for one spec and one form for ever; a new form gets a new kind.
const KINDS: [(u8, KeySpec); 19] = [
    (1, KeySpec::SymmetricDefault),
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
];
