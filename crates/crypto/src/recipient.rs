//! Answers for attested recipients (`CiphertextForRecipient`): CMS EnvelopedData (RFC 5652, section 6) in DER.
//!
//! The content key travels under RSAES-OAEP with SHA-256 (RFC 4055), the content under AES-256-CBC: that is what AWS KMS sends
//! and what the software of enclaves reads. CBC is written here for that reason only, nothing in it is ever opened here, and
//! its key seals once.

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::iv::FixedLength;
use meridian_model::EncryptionAlgorithmSpec;

use crate::attestation::AttestedRecipient;
use crate::key_errors::KeyUseError;
use crate::random::random_bytes;
use crate::secret::{Secret, SecretBytes};

impl AttestedRecipient {
    /// Seals `plaintext` so that only the holder of the attested private key opens it: some 430 to 450 bytes longer with 2048 bits.
    ///
    /// # Errors
    /// [`KeyUseError::Engine`] if the generator fails.
    pub fn seal(&self, plaintext: &SecretBytes) -> Result<Vec<u8>, KeyUseError> {
        let key = Secret::<KEY_LEN>::random().map_err(|_| KeyUseError::Engine)?;
        let iv = random_bytes::<IV_LEN>().map_err(|_| KeyUseError::Engine)?;
        let content = encrypt(&key, iv, plaintext).map_err(|_| KeyUseError::Engine)?;
        let wrapped = self.public_key().encrypt(EncryptionAlgorithmSpec::RsaesOaepSha256, key.expose())?;
        Ok(content_info(&recipient_info(self.public_key().der(), &wrapped), &iv, &content))
    }
}

fn encrypt(
    key: &Secret<KEY_LEN>,
    iv: [u8; IV_LEN],
    plaintext: &SecretBytes,
) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key.expose())?)?;
    // Room for the padding, so that growing leaves no copy of the plaintext behind.
    let mut buffer = Vec::with_capacity(plaintext.len() + IV_LEN);
    buffer.extend_from_slice(plaintext.expose());
    key.less_safe_encrypt(&mut buffer, EncryptionContext::Iv128(FixedLength::from(iv)))?;
    Ok(buffer)
}

/// RFC 5652, sections 3 and 6.1.
fn content_info(recipient_info: &[u8], iv: &[u8], content: &[u8]) -> Vec<u8> {
    let algorithm = der(SEQUENCE, &[AES_256_CBC, &der(OCTET_STRING, &[iv])]);
    let encrypted = der(SEQUENCE, &[DATA, &algorithm, &der(CONTEXT_0, &[content])]);
    let enveloped = der(SEQUENCE, &[VERSION_2, &der(SET, &[recipient_info]), &encrypted]);
    der(SEQUENCE, &[ENVELOPED_DATA, &der(CONTEXT_0_CONSTRUCTED, &[&enveloped])])
}

/// RFC 5652, section 6.2.1. There is no certificate, so the key is named by an identifier that is hashed from it.
fn recipient_info(public_der: &[u8], wrapped: &[u8]) -> Vec<u8> {
    let hash = digest(&SHA256, public_der);
    let identifier = der(CONTEXT_0, &[&hash.as_ref()[..IDENTIFIER_LEN]]);
    der(SEQUENCE, &[VERSION_2, &identifier, RSAES_OAEP_SHA_256, &der(OCTET_STRING, &[wrapped])])
}

/// An element of DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut element = vec![tag];
    if let Ok(short @ ..=0x7f) = u8::try_from(len) {
        element.push(short);
    } else {
        let bytes = len.to_be_bytes();
        let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        element.push(0x80 | u8::try_from(significant.len()).expect("a length has at most eight bytes"));
        element.extend_from_slice(significant);
    }
    for part in parts {
        element.extend_from_slice(part);
    }
    element
}

const KEY_LEN: usize = 32;
const IV_LEN: usize = 16;
const IDENTIFIER_LEN: usize = 20;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTET_STRING: u8 = 0x04;
const CONTEXT_0: u8 = 0x80;
const CONTEXT_0_CONSTRUCTED: u8 = 0xa0;

const VERSION_2: &[u8] = &[0x02, 1, 2];
/// 1.2.840.113549.1.7.3
const ENVELOPED_DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
/// 2.16.840.1.101.3.4.1.42
const AES_256_CBC: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
/// RFC 4055, section 4.1: 1.2.840.113549.1.1.7 with SHA-256 (2.16.840.1.101.3.4.2.1) as the hash and in MGF1
/// (1.2.840.113549.1.1.8), and an empty label.
const RSAES_OAEP_SHA_256: &[u8] = &[
    0x30, 60, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 7, //
    0x30, 47, 0xa0, 15, 0x30, 13, 0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 0x05, 0, //
    0xa1, 28, 0x30, 26, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8, //
    0x30, 13, 0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 0x05, 0,
];
