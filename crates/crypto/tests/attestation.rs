//! Attestation documents: those of an authority that is made for each test, and everything that is no such document.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair as RsaKeyPair, KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use coset::cbor::{Value, into_writer};
use coset::{CborSerializable, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable, iana};
use meridian_crypto::SecretBytes;
use meridian_crypto::attestation::{AttestationError, AttestationRoots, AttestedRecipient, DOCUMENT_LEN_MAX, Measured};
use meridian_model::Timestamp;
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

/// 2026-01-01, when everything here is valid.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A root, one authority below it, and the certificate of a hypervisor.
struct Chain {
    root: Vec<u8>,
    intermediate: Vec<u8>,
    signer: Vec<u8>,
    signer_key: KeyPair,
}

impl Chain {
    fn new() -> Self {
        Self::valid_until(NOW.as_millis() + 3_600_000)
    }

    fn valid_until(signer_end: u64) -> Self {
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("random");
        let end = at(NOW.as_millis() + 86_400_000);
        let root = CertifiedIssuer::self_signed(params("root", true, end), key()).expect("signs");
        let intermediate = CertifiedIssuer::signed_by(params("zone", true, end), key(), &root).expect("signs");
        let signer_key = key();
        let signer = params("signer", false, at(signer_end)).signed_by(&signer_key, &intermediate).expect("signs");
        Self {
            root: root.der().to_vec(),
            intermediate: intermediate.der().to_vec(),
            signer: signer.der().to_vec(),
            signer_key,
        }
    }

    fn roots(&self) -> AttestationRoots {
        let mut roots = AttestationRoots::default();
        roots.trust_certificate(&self.root).expect("an authority");
        roots
    }

    fn members(&self) -> Vec<(&'static str, Value)> {
        let registers = (0..16_u8).map(|index| (Value::from(index), Value::from(vec![index; 48]))).collect();
        vec![
            ("module_id", Value::from("i-0123456789abcdef0-enc0123456789abcdef")),
            ("digest", Value::from("SHA384")),
            ("timestamp", Value::from(NOW.as_millis())),
            ("pcrs", Value::Map(registers)),
            ("certificate", Value::from(self.signer.clone())),
            ("cabundle", Value::Array(vec![Value::from(self.root.clone()), Value::from(self.intermediate.clone())])),
            ("public_key", Value::from(RECIPIENT.public.clone())),
            ("user_data", Value::Null),
            ("nonce", Value::Null),
        ]
    }

    fn document(&self, members: Vec<(&'static str, Value)>) -> Vec<u8> {
        self.signed(&members_of(members), iana::Algorithm::ES384)
    }

    fn signed(&self, payload: &[u8], algorithm: iana::Algorithm) -> Vec<u8> {
        self.object(payload, algorithm).build().to_vec().expect("CBOR")
    }

    fn object(&self, payload: &[u8], algorithm: iana::Algorithm) -> CoseSign1Builder {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &self.signer_key.serialize_der())
            .expect("P-384");
        assert_eq!(key.public_key().as_ref(), self.signer_key.public_key_raw());
        CoseSign1Builder::new()
            .protected(HeaderBuilder::new().algorithm(algorithm).build())
            .payload(payload.to_vec())
            .create_signature(&[], |message| key.sign(&SystemRandom::new(), message).expect("signs").as_ref().to_vec())
    }
}

fn members_of(members: Vec<(&'static str, Value)>) -> Vec<u8> {
    let mut payload = Vec::new();
    let entries = members.into_iter().map(|(name, value)| (Value::from(name), value)).collect();
    into_writer(&Value::Map(entries), &mut payload).expect("CBOR");
    payload
}

fn at(millis: u64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(i64::try_from(millis).expect("in this age"))
}

fn params(name: &str, is_authority: bool, not_after: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = at(NOW.as_millis() - 3_600_000);
    params.not_after = not_after;
    params.is_ca = if is_authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    params
}

/// The RSA key of an enclave.
struct Recipient {
    private: Vec<u8>,
    public: Vec<u8>,
}

static RECIPIENT: LazyLock<Recipient> = LazyLock::new(|| {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("random");
    let private: Pkcs8V1Der<'_> = key.as_der().expect("DER");
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().expect("DER");
    Recipient { private: private.as_ref().to_vec(), public: public.as_ref().to_vec() }
});

fn replaced(
    mut members: Vec<(&'static str, Value)>,
    name: &'static str,
    value: Option<Value>,
) -> Vec<(&'static str, Value)> {
    members.retain(|(other, _)| *other != name);
    members.extend(value.map(|value| (name, value)));
    members
}

fn refusal(outcome: Result<AttestedRecipient, AttestationError>) -> AttestationError {
    outcome.map(|_| ()).expect_err("refused")
}

#[test]
fn a_document_is_believed_with_its_root() {
    let chain = Chain::new();
    let document = chain.document(chain.members());
    let recipient = chain.roots().verify(&document, NOW).expect("genuine");
    assert_eq!(
        (recipient.measured, recipient.module_id.as_str()),
        (Measured::Enclave, "i-0123456789abcdef0-enc0123456789abcdef")
    );
    assert_eq!((recipient.register(1), recipient.register(16)), (Some(&[1; 48]), None));
    assert_eq!((recipient.image_sha384(), recipient.registers().count()), (Some(&[0; 48]), 16));
    assert_eq!(recipient.public_key().der(), RECIPIENT.public);

    let mut by_fingerprint = AttestationRoots::default();
    by_fingerprint.trust_fingerprint(Sha256::digest(&chain.root).into());
    assert!(by_fingerprint.verify(&document, NOW).is_ok());
    let tagged = chain.object(&members_of(chain.members()), iana::Algorithm::ES384).build();
    assert!(chain.roots().verify(&tagged.to_tagged_vec().expect("CBOR"), NOW).is_ok());
}

#[test]
fn a_document_of_an_instance_has_no_image() {
    let chain = Chain::new();
    let registers = Value::Map(vec![(Value::from(4), Value::from(vec![4; 48]))]);
    let members = replaced(replaced(chain.members(), "pcrs", None), "nitrotpm_pcrs", Some(registers));
    let recipient = chain.roots().verify(&chain.document(members), NOW).expect("genuine");
    assert_eq!(
        (recipient.measured, recipient.image_sha384(), recipient.register(4)),
        (Measured::Tpm, None, Some(&[4; 48]))
    );
}

#[test]
fn without_its_root_nothing_is_believed() {
    let (chain, other) = (Chain::new(), Chain::new());
    let document = chain.document(chain.members());
    assert_eq!(refusal(AttestationRoots::default().verify(&document, NOW)), AttestationError::NoRoots);
    // The other root has the same name and another key.
    let not_its_own = AttestationError::Untrusted(webpki::Error::InvalidSignatureForPublicKey);
    assert_eq!(refusal(other.roots().verify(&document, NOW)), not_its_own);
    let mut fingerprints = AttestationRoots::default();
    fingerprints.trust_fingerprint(Sha256::digest(&other.root).into());
    let unknown = AttestationError::Untrusted(webpki::Error::UnknownIssuer);
    assert_eq!(refusal(fingerprints.verify(&document, NOW)), unknown);
    // The signature of somebody else under the certificate of the signer.
    let stolen = other.document(chain.members());
    assert_eq!(refusal(chain.roots().verify(&stolen, NOW)), AttestationError::InvalidSignature);
    // A certificate that is no authority's cannot vouch for another.
    let forged = Chain { intermediate: chain.signer.clone(), ..Chain::new() };
    assert!(matches!(
        refusal(chain.roots().verify(&forged.document(forged.members()), NOW)),
        AttestationError::Untrusted(_)
    ));
}

#[test]
fn time_is_looked_at() {
    let chain = Chain::new();
    let document = chain.document(chain.members());
    let verify = |millis: u64| chain.roots().verify(&document, Timestamp::from_millis(millis)).map(|_| ());
    let now = NOW.as_millis();
    assert_eq!(verify(now + 300_000), Ok(()));
    assert_eq!(verify(now - 300_000), Ok(()));
    assert_eq!(verify(now + 300_001), Err(AttestationError::NotFresh));
    assert_eq!(verify(now - 300_001), Err(AttestationError::NotFresh));
    let expired = Chain::valid_until(now - 1_000);
    let refused = refusal(expired.roots().verify(&expired.document(expired.members()), NOW));
    assert!(matches!(refused, AttestationError::Untrusted(webpki::Error::CertExpired { .. })), "{refused:?}");
}

#[test]
fn members_out_of_bounds_are_refused() {
    let chain = Chain::new();
    let refused = |name, value: Option<Value>| {
        let document = chain.document(replaced(chain.members(), name, value));
        let refused = refusal(chain.roots().verify(&document, NOW));
        assert!(
            matches!(refused, AttestationError::Malformed(_) | AttestationError::Untrusted(_)),
            "{name}: {refused:?}"
        );
    };
    for name in ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key"] {
        refused(name, None);
        refused(name, Some(Value::Null));
        refused(name, Some(Value::Bool(true)));
    }
    refused("digest", Some(Value::from("SHA256")));
    refused("timestamp", Some(Value::from(-1)));
    refused("certificate", Some(Value::from(vec![0x30; 1025])));
    refused("cabundle", Some(Value::Array(Vec::new())));
    refused("cabundle", Some(Value::Array(vec![Value::from(chain.root.clone()); 9])));
    refused("public_key", Some(Value::from(vec![1; 294])));
    refused("nitrotpm_pcrs", Some(Value::Map(vec![(Value::from(0), Value::from(vec![0; 48]))])));
    let register = |index: i64, len: usize| (Value::from(index), Value::from(vec![0; len]));
    for registers in
        [vec![], vec![register(32, 48)], vec![register(-1, 48)], vec![register(0, 32)], vec![register(0, 48); 2]]
    {
        refused("pcrs", Some(Value::Map(registers)));
    }
    let mut twice = chain.members();
    twice.push(("digest", Value::from("SHA384")));
    assert!(matches!(refusal(chain.roots().verify(&chain.document(twice), NOW)), AttestationError::Malformed(_)));
}

#[test]
fn objects_of_another_form_are_refused() {
    let chain = Chain::new();
    let payload = members_of(chain.members());
    let refused = |document: &[u8]| {
        let refused = refusal(chain.roots().verify(document, NOW));
        assert!(matches!(refused, AttestationError::Malformed(_)), "{refused:?}");
    };
    refused(&chain.signed(&payload, iana::Algorithm::ES256));
    refused(&chain.signed(&[&payload[..], &[0]].concat(), iana::Algorithm::ES384));
    refused(&[&chain.document(chain.members())[..], &[0]].concat());
    refused(&vec![0; DOCUMENT_LEN_MAX + 1]);
    refused(&[]);
    refused(&vec![0x81; 100_000]); // arrays in arrays
    refused(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]); // an array as long as memory never is
}

/// RFC 5652 read back by other code: the elements lie where they have to, and the keys fit.
#[test]
fn answers_open_with_the_private_key() {
    let chain = Chain::new();
    let recipient = chain.roots().verify(&chain.document(chain.members()), NOW).expect("genuine");
    for len in [1, 15, 16, 32, 4096] {
        let plaintext = SecretBytes::copy_from(&vec![7; len]);
        let sealed = recipient.seal(&plaintext).expect("seals");
        assert!(sealed.len() <= 6144, "an answer holds no more");
        assert_eq!(opened(&sealed), plaintext.expose());
        assert_ne!(recipient.seal(&plaintext).expect("seals"), sealed);
    }
}

fn opened(sealed: &[u8]) -> Vec<u8> {
    use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
    use aws_lc_rs::iv::FixedLength;
    let find = |tag_and_len: &[u8]| {
        sealed.windows(tag_and_len.len()).position(|window| window == tag_and_len).expect("there") + tag_and_len.len()
    };
    let wrapped = &sealed[find(&[0x04, 0x82, 1, 0])..][..256];
    let iv = &sealed[find(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42, 0x04, 16])..];
    let (iv, rest) = iv.split_at(16);
    let header = if rest[1] < 0x80 { 2 } else { 2 + usize::from(rest[1] & 0x7f) };
    assert_eq!(rest[0], 0x80);
    let private = PrivateDecryptingKey::from_pkcs8(&RECIPIENT.private).expect("sound");
    let private = OaepPrivateDecryptingKey::new(private).expect("sound");
    let mut key = vec![0; private.min_output_size()];
    let key = private.decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut key, None).expect("wrapped for it").to_vec();
    let key =
        PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &key).expect("32 bytes")).expect("CBC");
    let mut content = rest[header..].to_vec();
    let iv: [u8; 16] = iv.try_into().expect("16 bytes");
    key.decrypt(&mut content, DecryptionContext::Iv128(FixedLength::from(iv))).expect("padded").to_vec()
}

static GENUINE: LazyLock<(AttestationRoots, Vec<u8>)> = LazyLock::new(|| {
    let chain = Chain::new();
    (chain.roots(), chain.document(chain.members()))
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_changed_byte_is_never_believed(at in any::<prop::sample::Index>(), change in 1_u8..) {
        let (roots, document) = &*GENUINE;
        let mut changed = document.clone();
        let at = at.index(changed.len());
        changed[at] ^= change;
        let verified = roots.verify(&changed, NOW);
        // What is not signed (an encoding of the unprotected header, which is empty) may change, and means nothing.
        if let Ok(recipient) = verified {
            prop_assert_eq!(recipient.public_key().der(), &RECIPIENT.public[..]);
            prop_assert!(at < 8, "byte {}", at);
        }
    }

    #[test]
    fn cut_and_arbitrary_documents_are_refused(len in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (roots, document) = &*GENUINE;
        prop_assert!(roots.verify(&document[..len.index(document.len())], NOW).is_err());
        prop_assert!(roots.verify(&bytes, NOW).is_err());
        let spliced = [&document[..len.index(document.len())], &bytes[..]].concat();
        prop_assume!(spliced != *document);
        prop_assert!(roots.verify(&spliced, NOW).is_err());
    }
}
