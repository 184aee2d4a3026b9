//! The operations that throughput is measured with, and what they need beforehand: a key and a ciphertext.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use meridian_model::{
    Blob, CreateKeyRequest, DataKeySpec, DecryptRequest, DescribeKeyRequest, EncryptRequest, GenerateDataKeyRequest,
    Request, Response,
};
use serde::Serialize;

use super::client::KmsClient;

/// An operation that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[value(rename_all = "PascalCase")]
pub enum Subject {
    /// Encryption of a few bytes under one symmetric key.
    Encrypt,
    /// Decryption of what Encrypt made.
    Decrypt,
    /// An AES-256 data key under the same key.
    GenerateDataKey,
    /// A symmetric key: a durable write of the whole Region.
    CreateKey,
    /// A linearizable read of the same key.
    DescribeKey,
}

impl Subject {
    /// The name of the operation.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::GenerateDataKey => "GenerateDataKey",
            Self::CreateKey => "CreateKey",
            Self::DescribeKey => "DescribeKey",
        }
    }
}

/// What the requests of a run refer to.
pub(super) struct Material {
    pub(super) key_id: String,
    plaintext: Vec<u8>,
    ciphertext: Blob,
}

impl Material {
    /// Encrypts `plaintext_bytes` bytes under the key.
    pub(super) async fn prepare(client: &mut KmsClient, key_id: String, plaintext_bytes: usize) -> Result<Self> {
        let plaintext = vec![0x5a; plaintext_bytes];
        let request = encrypt(&key_id, &plaintext);
        let answer = client.call(request).await.context("preparing the ciphertext")?;
        let Response::Encrypt(encrypted) = answer else { bail!("Encrypt was answered with something else") };
        Ok(Self { key_id, plaintext, ciphertext: encrypted.ciphertext_blob })
    }

    /// One request of `subject`; all of them are alike.
    pub(super) fn request(&self, subject: Subject) -> Request {
        let key_id = self.key_id.clone();
        match subject {
            Subject::Encrypt => encrypt(&key_id, &self.plaintext).into(),
            Subject::Decrypt => {
                DecryptRequest { ciphertext_blob: Some(self.ciphertext.clone()), ..DecryptRequest::default() }.into()
            }
            Subject::GenerateDataKey => GenerateDataKeyRequest {
                key_id,
                key_spec: Some(DataKeySpec::Aes256),
                ..GenerateDataKeyRequest::default()
            }
            .into(),
            Subject::CreateKey => create_key(false).into(),
            Subject::DescribeKey => DescribeKeyRequest { key_id, ..DescribeKeyRequest::default() }.into(),
        }
    }
}

fn encrypt(key_id: &str, plaintext: &[u8]) -> EncryptRequest {
    EncryptRequest {
        key_id: key_id.to_owned(),
        plaintext: plaintext.into(),
        encryption_context: std::collections::BTreeMap::new(),
        grant_tokens: Vec::new(),
        encryption_algorithm: None,
        dry_run: None,
    }
}

/// A symmetric key, recognisable should it outlive the run.
pub(super) fn create_key(multi_region: bool) -> CreateKeyRequest {
    CreateKeyRequest {
        description: Some("meridian bench".to_owned()),
        multi_region: multi_region.then_some(true),
        ..CreateKeyRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_spelled_as_operations() {
        for subject in Subject::value_variants() {
            let value = subject.to_possible_value().expect("none is skipped");
            assert_eq!(value.get_name(), subject.name());
            assert!(meridian_model::Operation::from_name(subject.name()).is_some());
        }
    }

    #[test]
    fn requests_are_of_their_subject() {
        let material = Material { key_id: "k".into(), plaintext: vec![1], ciphertext: vec![2].into() };
        for subject in Subject::value_variants() {
            assert_eq!(material.request(*subject).operation().name(), subject.name());
        }
    }
}
