//! Attestation documents of AWS Nitro Enclaves and NitroTPM: which key an answer is to be sealed to, on whose word.
//!
//! A document is a COSE_Sign1 object (RFC 9052) signed with ES384. Its payload names the certificate of the signer, the
//! certificates between that and a root, the measurements (PCRs) of what runs in the enclave, and a public key of it. The roots
//! are those of the configuration: a document proves nothing but that the holder of one of them stands behind it.
//!
//! What is left out: whether an enclave with these measurements may have the answer (`policy`), and how the answer is sealed
//! ([`crate::recipient`]). Time comes in.
//!
//! Always true: an [`AttestedRecipient`] exists only for a document whose signature, certificates, age and form were all
//! found right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use coset::cbor::{Value, from_reader};
use coset::{Algorithm, CborSerializable, CoseSign1, TaggedCborSerializable, iana};
use meridian_model::{KeySpec, Timestamp};
use p256::pkcs8::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::public_key::PublicKey;

/// Longest document in bytes (API model).
pub const DOCUMENT_LEN_MAX: usize = 262_144;
/// How old a document may be, and how far its clock may be ahead of ours. A fresh one costs an enclave a call of its hypervisor.
pub const AGE_MAX: Duration = Duration::from_mins(5);

/// Why a document is not believed. What was wrong may be told: whoever sent it has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// No root is configured, so that nothing can be verified.
    #[error("no attestation root is configured")]
    NoRoots,
    /// Not a document, or a member of it is missing or out of bounds.
    #[error("{0}")]
    Malformed(&'static str),
    /// The certificates do not lead to a root of the configuration, or one of them is not valid now.
    #[error("the certificates do not lead to a trusted root, or are not valid now")]
    Untrusted(#[source] webpki::Error),
    /// The signature does not verify.
    #[error("the signature does not verify")]
    InvalidSignature,
    /// Made too long ago, or in the future.
    #[error("made more than five minutes before or after now")]
    NotFresh,
}

/// A root that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate of an authority")]
pub struct InvalidRoot;

/// The authorities whose word is taken.
#[derive(Clone, Default)]
pub struct AttestationRoots {
    anchors: Vec<TrustAnchor<'static>>,
    fingerprints: BTreeSet<[u8; FINGERPRINT_LEN]>,
}

impl AttestationRoots {
    /// Trusts the authority of a certificate in DER.
    ///
    /// # Errors
    /// If it is none.
    pub fn trust_certificate(&mut self, der: &[u8]) -> Result<(), InvalidRoot> {
        let certificate = CertificateDer::from(der);
        let anchor = anchor_from_trusted_cert(&certificate).map_err(|_| InvalidRoot)?;
        self.anchors.push(anchor.to_owned());
        Ok(())
    }

    /// Trusts the authority whose certificate in DER has this SHA-256 hash. Documents bring the certificate along.
    pub fn trust_fingerprint(&mut self, sha256: [u8; FINGERPRINT_LEN]) {
        self.fingerprints.insert(sha256);
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty() && self.fingerprints.is_empty()
    }

    /// Verifies `document` as it is at `now`.
    ///
    /// Takes some milliseconds: a signature of each certificate and one of the document.
    ///
    /// # Errors
    /// [`AttestationError`]; nothing of the document may be acted upon then.
    pub fn verify(&self, document: &[u8], now: Timestamp) -> Result<AttestedRecipient, AttestationError> {
        if self.is_empty() {
            return Err(AttestationError::NoRoots);
        }
        let cose = parse_signed(document)?;
        let content = parse_payload(cose.payload.as_deref().unwrap_or_default())?;
        let payload = Payload::of(&Members::of(&content)?)?;
        let signer = CertificateDer::from(payload.certificate);
        let signer = EndEntityCert::try_from(&signer).map_err(AttestationError::Untrusted)?;
        self.check_chain(&signer, &payload, now)?;
        let key = signer.subject_public_key_info();
        cose.verify_signature(&[], |signature, message| check_signature(&key, message, signature))?;
        let age = now.since(payload.timestamp).max(payload.timestamp.since(now));
        if age > AGE_MAX {
            return Err(AttestationError::NotFresh);
        }
        payload.into_recipient()
    }

    fn check_chain(
        &self,
        signer: &EndEntityCert<'_>,
        payload: &Payload<'_>,
        now: Timestamp,
    ) -> Result<(), AttestationError> {
        let bundle: Vec<CertificateDer<'_>> = payload.bundle.iter().map(|der| CertificateDer::from(*der)).collect();
        let pinned = bundle.iter().filter(|der| self.fingerprints.contains(digest(&SHA256, der).as_ref()));
        let mut anchors = self.anchors.clone();
        anchors.extend(pinned.filter_map(|der| anchor_from_trusted_cert(der).ok()).map(|anchor| anchor.to_owned()));
        let time = UnixTime::since_unix_epoch(Duration::from_millis(now.as_millis()));
        let algorithms = [webpki::aws_lc_rs::ECDSA_P384_SHA384];
        // The certificates of enclaves name no extended usage; one that names others is not meant for this.
        let usage = KeyUsage::client_auth();
        let verified = signer.verify_for_usage(&algorithms, &anchors, &bundle, time, usage, None, None);
        verified.map(|_| ()).map_err(AttestationError::Untrusted)
    }
}

impl fmt::Debug for AttestationRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttestationRoots({} certificates, {} fingerprints)", self.anchors.len(), self.fingerprints.len())
    }
}

/// Where measurements come from; each has registers and condition keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// A Nitro enclave: `kms:RecipientAttestation:PCR<n>` and, for PCR0, `kms:RecipientAttestation:ImageSha384`.
    Enclave,
    /// An instance with NitroTPM: `kms:RecipientAttestation:NitroTPMPCR<n>`.
    Tpm,
}

/// What a verified document says.
#[derive(Debug)]
pub struct AttestedRecipient {
    /// What was measured.
    pub measured: Measured,
    /// The id of the enclave or instance.
    pub module_id: String,
    registers: BTreeMap<u8, [u8; REGISTER_LEN]>,
    public_key: PublicKey,
}

impl AttestedRecipient {
    /// One register, if the document tells it.
    #[must_use]
    pub fn register(&self, index: u8) -> Option<&[u8; REGISTER_LEN]> {
        self.registers.get(&index)
    }

    /// Every register that the document tells, by its index.
    pub fn registers(&self) -> impl Iterator<Item = (u8, &[u8; REGISTER_LEN])> {
        self.registers.iter().map(|(index, value)| (*index, value))
    }

    /// The SHA-384 hash of the image of an enclave: its PCR0.
    #[must_use]
    pub fn image_sha384(&self) -> Option<&[u8; REGISTER_LEN]> {
        self.register(0).filter(|_| self.measured == Measured::Enclave)
    }

    /// The RSA key that answers are sealed to.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// The members of a document, of the sizes that the specification of the Nitro Secure Module gives them.
struct Payload<'a> {
    measured: Measured,
    module_id: &'a str,
    timestamp: Timestamp,
    registers: BTreeMap<u8, [u8; REGISTER_LEN]>,
    certificate: &'a [u8],
    bundle: Vec<&'a [u8]>,
    public_key: &'a [u8],
}

impl<'a> Payload<'a> {
    fn of(members: &Members<'a>) -> Result<Self, AttestationError> {
        if members.text("digest", 6)? != "SHA384" {
            return Err(AttestationError::Malformed("the digest is not SHA384"));
        }
        let (measured, registers) = match (members.find("pcrs"), members.find("nitrotpm_pcrs")) {
            (Some(registers), None) => (Measured::Enclave, registers),
            (None, Some(registers)) => (Measured::Tpm, registers),
            _ => return Err(AttestationError::Malformed("it has no pcrs, or those of two kinds")),
        };
        let public_key = members.bytes("public_key", PUBLIC_KEY_LEN_MAX);
        Ok(Self {
            measured,
            module_id: members.text("module_id", MODULE_ID_LEN_MAX)?,
            timestamp: members.timestamp()?,
            registers: registers_of(registers)?,
            certificate: members.bytes("certificate", CERTIFICATE_LEN_MAX)?,
            bundle: members.bundle()?,
            public_key: public_key.map_err(|_| AttestationError::Malformed("it has no public key"))?,
        })
    }

    fn into_recipient(self) -> Result<AttestedRecipient, AttestationError> {
        let specs = [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096];
        let public_key = specs.into_iter().find_map(|spec| PublicKey::from_der(spec, self.public_key).ok());
        Ok(AttestedRecipient {
            measured: self.measured,
            module_id: self.module_id.to_owned(),
            registers: self.registers,
            public_key: public_key
                .ok_or(AttestationError::Malformed("the public key is none of RSA with 2048 bits or more"))?,
        })
    }
}

/// A map whose keys are texts, each there once. Members that are not known here mean nothing here.
struct Members<'a>(BTreeMap<&'a str, &'a Value>);

impl<'a> Members<'a> {
    fn of(content: &'a Value) -> Result<Self, AttestationError> {
        let malformed = AttestationError::Malformed("the payload is no map of texts, or names a member twice");
        let entries = content.as_map().ok_or_else(|| malformed.clone())?;
        let mut members = BTreeMap::new();
        for (name, value) in entries {
            let name = name.as_text().ok_or_else(|| malformed.clone())?;
            if members.insert(name, value).is_some() {
                return Err(malformed);
            }
        }
        Ok(Self(members))
    }

    fn find(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).copied().filter(|value| !value.is_null())
    }

    fn text(&self, name: &str, len_max: usize) -> Result<&'a str, AttestationError> {
        let text = self.find(name).and_then(Value::as_text).filter(|text| (1..=len_max).contains(&text.len()));
        text.ok_or(AttestationError::Malformed("module_id or digest is missing or too long"))
    }

    fn bytes(&self, name: &str, len_max: usize) -> Result<&'a [u8], AttestationError> {
        let bytes = self.find(name).and_then(|value| bytes_of(value, len_max));
        bytes.ok_or(AttestationError::Malformed("the certificate is missing or too long"))
    }

    fn timestamp(&self) -> Result<Timestamp, AttestationError> {
        let millis = self.find("timestamp").and_then(Value::as_integer).and_then(|millis| u64::try_from(millis).ok());
        millis.map(Timestamp::from_millis).ok_or(AttestationError::Malformed("it has no timestamp"))
    }

    fn bundle(&self) -> Result<Vec<&'a [u8]>, AttestationError> {
        let malformed =
            || AttestationError::Malformed("the cabundle is missing, too long, or holds other than certificates");
        let bundle = self.find("cabundle").and_then(Value::as_array).ok_or_else(malformed)?;
        if bundle.is_empty() || bundle.len() > BUNDLE_LEN_MAX {
            return Err(malformed());
        }
        bundle.iter().map(|value| bytes_of(value, CERTIFICATE_LEN_MAX).ok_or_else(malformed)).collect()
    }
}

fn bytes_of(value: &Value, len_max: usize) -> Option<&[u8]> {
    value.as_bytes().map(Vec::as_slice).filter(|bytes| (1..=len_max).contains(&bytes.len()))
}

/// From 1 to 32 registers of 48 bytes, each there once.
fn registers_of(value: &Value) -> Result<BTreeMap<u8, [u8; REGISTER_LEN]>, AttestationError> {
    let malformed = || AttestationError::Malformed("the pcrs are not up to 32 registers of 48 bytes");
    let entries = value.as_map().ok_or_else(malformed)?;
    let mut registers = BTreeMap::new();
    for (index, value) in entries {
        let index =
            index.as_integer().and_then(|index| u8::try_from(index).ok()).filter(|index| *index < REGISTERS_MAX);
        let value = value.as_bytes().and_then(|bytes| bytes.as_slice().try_into().ok());
        let (Some(index), Some(value)) = (index, value) else { return Err(malformed()) };
        if registers.insert(index, value).is_some() {
            return Err(malformed());
        }
    }
    if registers.is_empty() { Err(malformed()) } else { Ok(registers) }
}

/// RFC 9052, section 4.2, with or without its tag; ES384 and nothing else, so that a document cannot choose.
fn parse_signed(document: &[u8]) -> Result<CoseSign1, AttestationError> {
    let malformed = || AttestationError::Malformed("it is no COSE_Sign1 object signed with ES384");
    if document.len() > DOCUMENT_LEN_MAX {
        return Err(malformed());
    }
    let signed = match document.first() {
        Some(&COSE_SIGN1_TAG) => CoseSign1::from_tagged_slice(document),
        _ => CoseSign1::from_slice(document),
    };
    let signed = signed.map_err(|_| malformed())?;
    let header = &signed.protected.header;
    let is_es384 = header.alg == Some(Algorithm::Assigned(iana::Algorithm::ES384)) && header.crit.is_empty();
    if is_es384 { Ok(signed) } else { Err(malformed()) }
}

fn parse_payload(mut bytes: &[u8]) -> Result<Value, AttestationError> {
    let content = from_reader(&mut bytes).ok().filter(|_| bytes.is_empty());
    content.ok_or(AttestationError::Malformed("the payload is no CBOR"))
}

/// `key` is the `SubjectPublicKeyInfo` of the signer.
fn check_signature(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), AttestationError> {
    let info = SubjectPublicKeyInfoRef::try_from(key).ok();
    let point = info.as_ref().filter(|info| info.algorithm.oid == EC_PUBLIC_KEY);
    let point = point.and_then(|info| info.subject_public_key.as_bytes()).ok_or(AttestationError::InvalidSignature)?;
    // Only a point on P-384 has the length that this algorithm takes.
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
        .verify(message, signature)
        .map_err(|_| AttestationError::InvalidSignature)
}

const FINGERPRINT_LEN: usize = 32;
/// A SHA-384 hash.
const REGISTER_LEN: usize = 48;
const REGISTERS_MAX: u8 = 32;
const CERTIFICATE_LEN_MAX: usize = 1024;
const PUBLIC_KEY_LEN_MAX: usize = 1024;
const MODULE_ID_LEN_MAX: usize = 256;
/// Nitro has four certificates between a signer and nothing; more than these would be work for nothing.
const BUNDLE_LEN_MAX: usize = 8;
/// The CBOR tag 18 in one byte.
const COSE_SIGN1_TAG: u8 = 0xd2;
/// RFC 5480, section 2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
