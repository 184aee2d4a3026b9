//! The operations that throughput is measured with, and what they need beforehand: keys, a ciphertext, signatures, a MAC.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use meridian_model::{
    Blob, CreateKeyRequest, DataKeySpec, DecryptRequest, DescribeKeyRequest, EncryptRequest, GenerateDataKeyRequest,
    GenerateMacRequest, KeySpec, KeyUsageType, MacAlgorithmSpec, Request, Response, SignRequest, SigningAlgorithmSpec,
    VerifyMacRequest, VerifyRequest,
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
    /// A signature of an RSA key of 2048 bits.
    SignRsa2048,
    /// Its verification.
    VerifyRsa2048,
    /// A signature on the curve P-256.
    SignP256,
    /// Its verification.
    VerifyP256,
    /// A signature of Ed25519.
    SignEd25519,
    /// A signature of ML-DSA-65.
    SignMlDsa65,
    /// An HMAC with SHA-256.
    GenerateMac,
    /// Its verification.
    VerifyMac,
    /// An RSA key of 4096 bits, from those that the server made ahead.
    CreateKeyRsa4096,
}

impl Subject {
    /// What the case is called: the operation, and the spec of its key unless it is a symmetric one.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::GenerateDataKey => "GenerateDataKey",
            Self::CreateKey => "CreateKey",
            Self::DescribeKey => "DescribeKey",
            Self::SignRsa2048 => "Sign RSA_2048",
            Self::VerifyRsa2048 => "Verify RSA_2048",
            Self::SignP256 => "Sign ECC_NIST_P256",
            Self::VerifyP256 => "Verify ECC_NIST_P256",
            Self::SignEd25519 => "Sign ECC_NIST_EDWARDS25519",
            Self::SignMlDsa65 => "Sign ML_DSA_65",
            Self::GenerateMac => "GenerateMac HMAC_256",
            Self::VerifyMac => "VerifyMac HMAC_256",
            Self::CreateKeyRsa4096 => "CreateKey RSA_4096",
        }
    }

    /// Whether every request leaves a key behind.
    pub(super) const fn creates_keys(self) -> bool {
        matches!(self, Self::CreateKey | Self::CreateKeyRsa4096)
    }

    /// The key that the requests use; none for those with the symmetric key of the run.
    const fn spec(self) -> Option<KeySpec> {
        match self {
            Self::SignRsa2048 | Self::VerifyRsa2048 => Some(KeySpec::Rsa2048),
            Self::SignP256 | Self::VerifyP256 => Some(KeySpec::EccNistP256),
            Self::SignEd25519 => Some(KeySpec::EccNistEdwards25519),
            Self::SignMlDsa65 => Some(KeySpec::MlDsa65),
            Self::GenerateMac | Self::VerifyMac => Some(KeySpec::Hmac256),
            Self::CreateKeyRsa4096 => Some(KeySpec::Rsa4096), // so that the server begins to make them ahead
            Self::Encrypt | Self::Decrypt | Self::GenerateDataKey | Self::CreateKey | Self::DescribeKey => None,
        }
    }
}

/// What the requests of a run refer to.
pub(super) struct Material {
    pub(super) key_id: String,
    plaintext: Vec<u8>,
    ciphertext: Blob,
    others: BTreeMap<KeySpec, Other>,
}

/// A key of another spec, and what it made of the plaintext: a signature or a MAC.
struct Other {
    key_id: String,
    proof: Blob,
}

impl Material {
    /// Encrypts `plaintext_bytes` bytes under the key.
    pub(super) async fn prepare(client: &mut KmsClient, key_id: String, plaintext_bytes: usize) -> Result<Self> {
        let plaintext = vec![0x5a; plaintext_bytes];
        let request = encrypt(&key_id, &plaintext);
        let answer = client.call(request).await.context("preparing the ciphertext")?;
        let Response::Encrypt(encrypted) = answer else { bail!("Encrypt was answered with something else") };
        Ok(Self { key_id, plaintext, ciphertext: encrypted.ciphertext_blob, others: BTreeMap::new() })
    }

    /// Makes the keys of other specs that `subjects` need; gives their ids.
    pub(super) async fn add_keys(&mut self, client: &mut KmsClient, subjects: &[Subject]) -> Result<Vec<String>> {
        let mut created = Vec::new();
        for spec in subjects.iter().filter_map(|subject| subject.spec()) {
            if self.others.contains_key(&spec) {
                continue;
            }
            let answer = client.call(create_key_of(spec)).await.with_context(|| format!("creating a key of {spec}"))?;
            let Response::CreateKey(made) = answer else { bail!("CreateKey was answered with something else") };
            let key_id = made.key_metadata.key_id;
            created.push(key_id.clone());
            let proof = self.proof(client, spec, &key_id).await.with_context(|| format!("using a key of {spec}"))?;
            self.others.insert(spec, Other { key_id, proof });
        }
        Ok(created)
    }

    async fn proof(&self, client: &mut KmsClient, spec: KeySpec, key_id: &str) -> Result<Blob> {
        let answer = match spec {
            KeySpec::Hmac256 => client.call(self.mac(key_id)).await?,
            _ => client.call(self.sign(spec, key_id)).await?,
        };
        match answer {
            Response::Sign(signed) => Ok(signed.signature),
            Response::GenerateMac(made) => Ok(made.mac),
            _ => bail!("the request was answered with something else"),
        }
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
            Subject::CreateKeyRsa4096 => create_key_of(KeySpec::Rsa4096).into(),
            Subject::DescribeKey => DescribeKeyRequest { key_id, ..DescribeKeyRequest::default() }.into(),
            Subject::SignRsa2048 | Subject::SignP256 | Subject::SignEd25519 | Subject::SignMlDsa65 => {
                let (spec, other) = self.other(subject);
                self.sign(spec, &other.key_id).into()
            }
            Subject::VerifyRsa2048 | Subject::VerifyP256 => self.verify(subject).into(),
            Subject::GenerateMac => self.mac(&self.other(subject).1.key_id).into(),
            Subject::VerifyMac => self.verify_mac(subject).into(),
        }
    }

    fn other(&self, subject: Subject) -> (KeySpec, &Other) {
        let spec = subject.spec().expect("the subject has a key of its own");
        (spec, self.others.get(&spec).expect("the keys of all subjects were made beforehand"))
    }

    fn sign(&self, spec: KeySpec, key_id: &str) -> SignRequest {
        SignRequest {
            key_id: key_id.to_owned(),
            message: self.plaintext.as_slice().into(),
            message_type: None,
            grant_tokens: Vec::new(),
            signing_algorithm: signing_algorithm(spec),
            dry_run: None,
        }
    }

    fn verify(&self, subject: Subject) -> VerifyRequest {
        let (spec, other) = self.other(subject);
        VerifyRequest {
            key_id: other.key_id.clone(),
            message: self.plaintext.as_slice().into(),
            message_type: None,
            signature: other.proof.clone(),
            signing_algorithm: signing_algorithm(spec),
            grant_tokens: Vec::new(),
            dry_run: None,
        }
    }

    fn mac(&self, key_id: &str) -> GenerateMacRequest {
        GenerateMacRequest {
            message: self.plaintext.as_slice().into(),
            key_id: key_id.to_owned(),
            mac_algorithm: MacAlgorithmSpec::HmacSha256,
            grant_tokens: Vec::new(),
            dry_run: None,
        }
    }

    fn verify_mac(&self, subject: Subject) -> VerifyMacRequest {
        let (_, other) = self.other(subject);
        VerifyMacRequest {
            message: self.plaintext.as_slice().into(),
            key_id: other.key_id.clone(),
            mac_algorithm: MacAlgorithmSpec::HmacSha256,
            mac: other.proof.clone(),
            grant_tokens: Vec::new(),
            dry_run: None,
        }
    }
}

fn encrypt(key_id: &str, plaintext: &[u8]) -> EncryptRequest {
    EncryptRequest {
        key_id: key_id.to_owned(),
        plaintext: plaintext.into(),
        encryption_context: BTreeMap::new(),
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

/// A key that signs, or authenticates if it is an HMAC key.
fn create_key_of(spec: KeySpec) -> CreateKeyRequest {
    let usage = if spec == KeySpec::Hmac256 { KeyUsageType::GenerateVerifyMac } else { KeyUsageType::SignVerify };
    CreateKeyRequest { key_spec: Some(spec), key_usage: Some(usage), ..create_key(false) }
}

const fn signing_algorithm(spec: KeySpec) -> SigningAlgorithmSpec {
    match spec {
        KeySpec::EccNistP256 => SigningAlgorithmSpec::EcdsaSha256,
        KeySpec::EccNistEdwards25519 => SigningAlgorithmSpec::Ed25519Sha512,
        KeySpec::MlDsa65 => SigningAlgorithmSpec::MlDsaShake256,
        _ => SigningAlgorithmSpec::RsassaPssSha256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_spelled_as_operations() {
        for subject in Subject::value_variants() {
            let value = subject.to_possible_value().expect("none is skipped");
            let (operation, spec) = subject.name().split_once(' ').unwrap_or((subject.name(), ""));
            assert!(value.get_name().starts_with(operation), "{}", value.get_name());
            assert!(meridian_model::Operation::from_name(operation).is_some(), "{operation}");
            assert_eq!(subject.spec().map(|spec| spec.to_string()).unwrap_or_default(), spec);
        }
    }

    #[test]
    fn requests_are_of_their_subject() {
        let other =
            |subject: &Subject| subject.spec().map(|spec| (spec, Other { key_id: "o".into(), proof: vec![3].into() }));
        let others = Subject::value_variants().iter().filter_map(other).collect();
        let material = Material { key_id: "k".into(), plaintext: vec![1], ciphertext: vec![2].into(), others };
        for subject in Subject::value_variants() {
            let operation = material.request(*subject).operation().name();
            assert_eq!(subject.name().split(' ').next(), Some(operation));
        }
    }
}
