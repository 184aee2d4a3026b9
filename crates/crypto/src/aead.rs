//! AES-256-GCM with 96-bit nonces and 128-bit tags (NIST SP 800-38D): the cipher of the service.
//!
//! Symmetric encryption keys of the partition `aws-cn`, and nothing else, use SM4 in its place (RFC 8998, section 3.3).
//!
//! Always true: nothing of a plaintext is given out before its tag was found right.

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadCore, AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, AesGcm, Key, Nonce, Tag};
use sm4::Sm4;

use crate::SecretBytes;

/// Length of a key in bytes.
pub const KEY_LEN: usize = 32;
/// Length of a key of SM4-GCM in bytes.
pub const SM4_KEY_LEN: usize = 16;
/// Length of a nonce in bytes.
pub const NONCE_LEN: usize = 12;
/// Length of a tag in bytes.
pub const TAG_LEN: usize = 16;

/// The ciphertext, its associated data, its nonce or the key is not the one it was sealed with. Which one, nobody learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext is not authentic")]
pub struct NotAuthentic;

/// An expanded AES-256-GCM key, wiped when dropped.
///
/// The caller keeps nonces from repeating under one key: at most 2^32 random ones (SP 800-38D, section 8.3).
#[derive(Debug)]
pub struct AeadKey<C = Aes256Gcm>(C);

/// SM4 in Galois/Counter Mode, which knows no more of its cipher than that its blocks have 128 bits.
pub(crate) type Sm4Gcm = AesGcm<Sm4, U12>;

impl AeadKey {
    /// Expands `key`. Costs about as much as sealing 32 bytes.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Aes256Gcm::new(<&Key<Aes256Gcm>>::from(key)))
    }
}

impl AeadKey<Sm4Gcm> {
    /// Expands `key`.
    pub(crate) fn sm4(key: &[u8; SM4_KEY_LEN]) -> Self {
        Self(Sm4Gcm::new(<&Key<Sm4Gcm>>::from(key)))
    }
}

impl<C: AeadInOut + AeadCore<NonceSize = U12, TagSize = U16>> AeadKey<C> {
    /// Encrypts `plaintext` and appends the tag: [`TAG_LEN`] bytes longer.
    #[must_use]
    pub fn seal(&self, nonce: &[u8; NONCE_LEN], associated_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plaintext.len() + TAG_LEN);
        sealed.extend_from_slice(plaintext);
        let tag = self.seal_in_place(nonce, associated_data, &mut sealed);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Decrypts what [`AeadKey::seal`] made.
    ///
    /// # Errors
    /// If anything is not as it was when sealing.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated_data: &[u8],
        sealed: &[u8],
    ) -> Result<SecretBytes, NotAuthentic> {
        let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(NotAuthentic)?;
        SecretBytes::try_init(body.len(), |buffer| {
            buffer.copy_from_slice(body);
            self.0
                .decrypt_inout_detached(<&Nonce<_>>::from(nonce), associated_data, buffer.into(), <&Tag>::from(tag))
                .map_err(|_| NotAuthentic)
        })
    }

    /// Encrypts `buffer` where it is and returns the tag.
    pub(crate) fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated_data: &[u8],
        buffer: &mut [u8],
    ) -> [u8; TAG_LEN] {
        self.0
            .encrypt_inout_detached(<&Nonce<_>>::from(nonce), associated_data, buffer.into())
            .expect("GCM refuses only lengths from 64 GiB on, and no slice of ours is that long")
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8998, appendix A.1.
    #[test]
    fn sm4_gcm_of_rfc_8998() {
        let bytes = |text: &str| hex::decode(text).expect("hex");
        let key = AeadKey::sm4(&bytes("0123456789abcdeffedcba9876543210").try_into().expect("16 bytes"));
        let nonce = bytes("00001234567800000000abcd").try_into().expect("12 bytes");
        let associated_data = bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plaintext = bytes(
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd\
             eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
        );
        let sealed = bytes(
            "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735\
             d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d\
             83de3541e4c2b58177e065a9bf7b62ec",
        );
        assert_eq!(key.seal(&nonce, &associated_data, &plaintext), sealed);
        assert_eq!(key.open(&nonce, &associated_data, &sealed).expect("authentic").expose(), plaintext);
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&nonce, &associated_data, &damaged).is_err(), "bit {bit}");
        }
    }
}
