//! The curve SM2 (GB/T 32918): SM2DSA with SM3, SM2PKE with SM3, and ECDH.
//!
//! Material is the private scalar, 32 bytes, big-endian, from 1 to the order less 2: the one that is left out has no
//! signatures. Signatures and ciphertexts are ASN.1 DER as in GM/T 0009, which AWS KMS takes and gives; a ciphertext is x and y
//! of an ephemeral point, the SM3 hash, then the masked plaintext. Signing is deterministic (RFC 6979 with SM3). Whole messages
//! are signed under the distinguishing identifier that GM/T 0009 names as the default; whoever needs another signs digests.
//!
//! `sm2` compares the hash of a ciphertext in variable time and leaves the plaintext of a refused one in plain memory, so
//! decrypting is put together here from its arithmetic.

use meridian_model::KeySpec;
use sm2::dsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use sm2::dsa::signature::{Signer, Verifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::sec1::ToSec1Point;
use sm2::pkcs8::der::Decode;
use sm2::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use sm2::pke::{Cipher, EncryptingKey};
use sm2::{AffinePoint, NonZeroScalar, ProjectivePoint, PublicKey, Scalar, SecretKey};
use sm3::{Digest, Sm3};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::algorithms::Signed;
use crate::key_errors::{KeyUseError, MaterialError};
use crate::locked::LockedBox;
use crate::random::{self, SystemGenerator};
use crate::secret::{AEAD_STACK, SecretBytes, on_wiped_stack};

/// Length of a private scalar in bytes.
pub(crate) const SCALAR_LEN: usize = 32;
/// Longest plaintext of `Encrypt` under a key of this curve, in bytes.
pub(crate) const MAX_PLAINTEXT_LEN: usize = 1024;
/// Longest plaintext that is decrypted, in bytes: what an answer of `Decrypt` may hold. Other implementations have no limit.
const MAX_DECRYPTED_LEN: usize = 4096;

/// A new private scalar: drawn again in the one case of 2^32 in which it is not below the order less 1, or 0.
pub(crate) fn generate() -> Result<SecretBytes, MaterialError> {
    for _ in 0..MAX_DRAWS {
        let scalar = SecretBytes::try_init(SCALAR_LEN, random::fill)?;
        if on_wiped_stack::<AEAD_STACK, _>(|| secret_key(scalar.expose()).is_some()) {
            return Ok(scalar);
        }
    }
    Err(MaterialError::NotGenerated(KeySpec::Sm2))
}

/// The scalar in a PKCS#8 private key that names the curve.
pub(crate) fn import(pkcs8: &[u8]) -> Option<SecretBytes> {
    on_wiped_stack::<AEAD_STACK, _>(|| {
        let key = SecretKey::from_pkcs8_der(pkcs8).ok()?;
        let scalar = SecretBytes::copy_from(&Zeroizing::new(key.to_bytes())[..]);
        secret_key(scalar.expose()).map(|_| scalar)
    })
}

/// The private key as PKCS#8, with the public key in it.
pub(crate) fn private_der(scalar: &[u8]) -> Option<SecretBytes> {
    on_wiped_stack::<AEAD_STACK, _>(|| {
        let der = secret_key(scalar)?.to_pkcs8_der().ok()?;
        Some(SecretBytes::copy_from(der.as_bytes()))
    })
}

/// The `SubjectPublicKeyInfo` of the private key `scalar`.
pub(crate) fn public_der(scalar: &[u8]) -> Option<Vec<u8>> {
    let public = on_wiped_stack::<AEAD_STACK, _>(|| secret_key(scalar).map(|key| key.public_key()))?;
    Some(public.to_public_key_der().ok()?.into_vec())
}

/// A private key.
pub(crate) struct Private(LockedBox<SigningKey>);

impl Private {
    pub(crate) fn new(scalar: &[u8]) -> Option<Self> {
        on_wiped_stack::<AEAD_STACK, _>(|| {
            let key = SigningKey::new(DISTINGUISHING_ID, &secret_key(scalar)?).ok()?;
            Some(Self(LockedBox::new(key)))
        })
    }

    pub(crate) fn sign(&self, signed: Signed<'_>) -> Result<Vec<u8>, KeyUseError> {
        let sign = || match signed {
            Signed::Raw(message) => self.0.try_sign(message).map_err(|_| KeyUseError::Engine),
            Signed::Digest(digest) => self.0.sign_prehash(digest).map_err(|_| KeyUseError::Engine),
            Signed::Mu(_) => Err(KeyUseError::Engine),
        };
        let signature: Signature = on_wiped_stack::<AEAD_STACK, _>(sign)?;
        Ok(signature.to_der().as_ref().to_vec())
    }

    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Result<SecretBytes, KeyUseError> {
        let cipher = Cipher::from_der(ciphertext).map_err(|_| KeyUseError::InvalidCiphertext)?;
        if cipher.c2().is_empty() || cipher.c2().len() > MAX_DECRYPTED_LEN {
            return Err(KeyUseError::InvalidCiphertext);
        }
        on_wiped_stack::<AEAD_STACK, _>(|| unmask(self.scalar(), &cipher)).ok_or(KeyUseError::InvalidCiphertext)
    }

    /// The x coordinate of the point that is shared with the holder of the private key to a `SubjectPublicKeyInfo`.
    pub(crate) fn derive(&self, public_der: &[u8]) -> Result<SecretBytes, KeyUseError> {
        let public = PublicKey::from_public_key_der(public_der).map_err(|_| KeyUseError::InvalidPublicKey)?;
        Ok(on_wiped_stack::<AEAD_STACK, _>(|| {
            SecretBytes::copy_from(&shared_point(self.scalar(), public.as_affine())[..SCALAR_LEN])
        }))
    }

    fn scalar(&self) -> &NonZeroScalar {
        self.0.as_nonzero_scalar()
    }
}

/// A public key.
pub(crate) struct Public(VerifyingKey);

impl Public {
    pub(crate) fn new(der: &[u8]) -> Option<Self> {
        let key = PublicKey::from_public_key_der(der).ok()?;
        VerifyingKey::new(DISTINGUISHING_ID, key).ok().map(Self)
    }

    pub(crate) fn verify(&self, signed: Signed<'_>, signature: &[u8]) -> Result<(), KeyUseError> {
        let signature = Signature::from_der(signature).map_err(|_| KeyUseError::InvalidSignature)?;
        let verified = match signed {
            Signed::Raw(message) => self.0.verify(message, &signature),
            Signed::Digest(digest) => self.0.verify_prehash(digest, &signature),
            Signed::Mu(_) => return Err(KeyUseError::Engine),
        };
        verified.map_err(|_| KeyUseError::InvalidSignature)
    }

    /// Encrypts from 1 to [`MAX_PLAINTEXT_LEN`] bytes; the algorithm has no ciphertexts of nothing.
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, KeyUseError> {
        if plaintext.len() > MAX_PLAINTEXT_LEN {
            return Err(KeyUseError::PlaintextTooLong { max: MAX_PLAINTEXT_LEN, actual: plaintext.len() });
        }
        let key = EncryptingKey::new(PublicKey::from(&self.0));
        on_wiped_stack::<AEAD_STACK, _>(|| key.encrypt_der(&mut SystemGenerator, plaintext))
            .map_err(|_| KeyUseError::Engine)
    }
}

/// GB/T 32918.4, section 7.1: the plaintext, if the hash in the ciphertext is that of the shared point and the plaintext.
fn unmask(scalar: &NonZeroScalar, cipher: &Cipher<'_>) -> Option<SecretBytes> {
    let shared = shared_point(scalar, cipher.c1());
    let plaintext = SecretBytes::init(cipher.c2().len(), |bytes| {
        bytes.copy_from_slice(cipher.c2());
        for (counter, chunk) in (1_u32..).zip(bytes.chunks_mut(SM3_LEN)) {
            let mut mask = Sm3::new().chain_update(&shared[..]).chain_update(counter.to_be_bytes()).finalize();
            chunk.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
            mask.zeroize();
        }
    });
    let (x, y) = shared.split_at(SCALAR_LEN);
    let hash = Sm3::new().chain_update(x).chain_update(plaintext.expose()).chain_update(y).finalize();
    bool::from(hash[..].ct_eq(&cipher.c3()[..])).then_some(plaintext)
}

/// x, then y, of `point` times `scalar`. The order of the curve is prime, so this is never the point at infinity.
fn shared_point(scalar: &NonZeroScalar, point: &AffinePoint) -> Zeroizing<[u8; 2 * SCALAR_LEN]> {
    let shared = (ProjectivePoint::from(*point) * **scalar).to_affine().to_sec1_point(false);
    let mut coordinates = Zeroizing::new([0; 2 * SCALAR_LEN]);
    coordinates.copy_from_slice(&shared.as_bytes()[1..]);
    coordinates
}

fn secret_key(scalar: &[u8]) -> Option<SecretKey> {
    if scalar.len() != SCALAR_LEN {
        return None; // `sm2` would take shorter ones
    }
    let key = SecretKey::from_slice(scalar).ok()?;
    let is_last = *key.to_nonzero_scalar() + Scalar::ONE == Scalar::ZERO;
    (!is_last).then_some(key)
}

/// GM/T 0009, section 10.
const DISTINGUISHING_ID: &str = "1234567812345678";
const SM3_LEN: usize = 32;
/// A generator that draws an invalid scalar this often is broken.
const MAX_DRAWS: usize = 8;
