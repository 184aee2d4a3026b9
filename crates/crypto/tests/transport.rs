//! Key material between Regions: an envelope opens for its own key and binding only, and its signature says who sent it.

use meridian_crypto::labels::SignatureDomain;
use meridian_crypto::{
    RegionKeyError, RegionSigner, RegionVerifier, SealedEnvelope, SecretBytes, SignatureRefused, TransportBinding,
    TransportError, TransportKeyPair, TransportPublicKey,
};
use meridian_model::{KeyId, KeyMaterialId};

fn binding() -> TransportBinding {
    TransportBinding {
        account: "111122223333".parse().expect("valid"),
        key_id: KeyId::multi_region([1; 16]),
        material_id: KeyMaterialId::from_bytes([2; 32]),
        from: "us-east-1".parse().expect("valid"),
        to: "eu-west-1".parse().expect("valid"),
        epoch: 3,
        sequence: 4,
    }
}

fn sealed_to(pair: &TransportKeyPair) -> SealedEnvelope {
    pair.public().seal(&binding(), &SecretBytes::copy_from(&[7; 33])).expect("seals")
}

fn assert_refused(pair: &TransportKeyPair, envelope: &SealedEnvelope, binding: &TransportBinding) {
    assert_eq!(pair.open(envelope, binding).map(|_| ()), Err(TransportError::NotAuthentic), "{binding:?}");
}

#[test]
fn material_arrives() {
    let pair = TransportKeyPair::generate().expect("random");
    let published = TransportPublicKey::from_bytes(pair.public().as_bytes()).expect("own bytes");
    let envelope = published.seal(&binding(), &SecretBytes::copy_from(&[7; 33])).expect("seals");
    assert_eq!(
        (published.as_bytes().len(), envelope.encapsulated_key.len(), envelope.ciphertext.len()),
        (1216, 1120, 49)
    );
    assert_eq!(pair.open(&envelope, &binding()).expect("authentic").expose(), [7; 33]);
}

#[test]
fn a_re_routed_envelope_is_refused() {
    let pair = TransportKeyPair::generate().expect("random");
    let envelope = sealed_to(&pair);
    let right = binding();
    let wrong = [
        TransportBinding { account: "111122223334".parse().expect("valid"), ..right.clone() },
        TransportBinding { key_id: KeyId::multi_region([9; 16]), ..right.clone() },
        TransportBinding { material_id: KeyMaterialId::from_bytes([9; 32]), ..right.clone() },
        TransportBinding { from: "us-west-2".parse().expect("valid"), ..right.clone() },
        TransportBinding { to: "us-west-2".parse().expect("valid"), ..right.clone() },
        TransportBinding { from: right.to.clone(), to: right.from.clone(), ..right.clone() },
        TransportBinding { epoch: 4, ..right.clone() },
        TransportBinding { sequence: 5, ..right.clone() },
        TransportBinding { epoch: 4, sequence: 3, ..right.clone() },
    ];
    for binding in &wrong {
        assert_refused(&pair, &envelope, binding);
    }
    assert_refused(&TransportKeyPair::generate().expect("random"), &envelope, &right);
    assert!(pair.open(&envelope, &right).is_ok());
}

#[test]
fn a_damaged_envelope_is_refused() {
    let pair = TransportKeyPair::generate().expect("random");
    let envelope = sealed_to(&pair);
    // Each opening costs a decapsulation, so the long encapsulated key is sampled: both of its parts, and their seam.
    for at in (0..envelope.encapsulated_key.len()).step_by(37).chain([0, 1087, 1088, 1119]) {
        let mut damaged = envelope.clone();
        damaged.encapsulated_key[at] ^= 1;
        assert_refused(&pair, &damaged, &binding());
    }
    for at in 0..envelope.ciphertext.len() {
        let mut damaged = envelope.clone();
        damaged.ciphertext[at] ^= 1;
        assert_refused(&pair, &damaged, &binding());
    }
    for len in [0, 1, 15, 16, 48] {
        let mut damaged = envelope.clone();
        damaged.ciphertext.truncate(len);
        assert_refused(&pair, &damaged, &binding());
    }
    let mut damaged = envelope.clone();
    damaged.encapsulated_key.pop();
    assert_refused(&pair, &damaged, &binding());
}

#[test]
fn sealing_twice_never_gives_the_same_envelope() {
    let pair = TransportKeyPair::generate().expect("random");
    let (one, two) = (sealed_to(&pair), sealed_to(&pair));
    assert_ne!(one.encapsulated_key, two.encapsulated_key);
    assert_ne!(one.ciphertext, two.ciphertext);
}

#[test]
fn malformed_public_keys_are_refused() {
    for bytes in [vec![], vec![0; 1215], vec![0; 1217], vec![0xff; 1216]] {
        let refused = TransportPublicKey::from_bytes(&bytes).map(|_| ());
        assert_eq!(refused, Err(TransportError::MalformedPublicKey), "{} bytes", bytes.len());
    }
    let pair = TransportKeyPair::generate().expect("random");
    let json = serde_json::to_string(pair.public()).expect("serialises");
    assert_eq!(&serde_json::from_str::<TransportPublicKey>(&json).expect("own text"), pair.public());
    assert!(serde_json::from_str::<TransportPublicKey>("[1,2,3]").is_err());
}

fn signer() -> RegionSigner {
    RegionSigner::generate().expect("random")
}

#[test]
fn a_signature_is_good_for_its_purpose_message_and_region_only() {
    let (signer, other) = (signer(), signer());
    let signature = signer.sign(SignatureDomain::TRANSPORT_KEY, b"message").expect("signs");
    let verify = |verifier: &RegionVerifier, domain, message: &[u8]| verifier.verify(domain, message, &signature);
    assert_eq!(verify(signer.verifier(), SignatureDomain::TRANSPORT_KEY, b"message"), Ok(()));
    let refused = Err(SignatureRefused::NotAuthentic);
    assert_eq!(verify(signer.verifier(), SignatureDomain::MATERIAL_ENVELOPE, b"message"), refused);
    assert_eq!(verify(signer.verifier(), SignatureDomain::TRANSPORT_KEY, b"massage"), refused);
    assert_eq!(verify(other.verifier(), SignatureDomain::TRANSPORT_KEY, b"message"), refused);
    for at in 0..signature.len() {
        let mut damaged = signature.clone();
        damaged[at] ^= 1;
        assert_eq!(signer.verifier().verify(SignatureDomain::TRANSPORT_KEY, b"message", &damaged), refused);
    }
    assert_eq!(signer.verifier().verify(SignatureDomain::TRANSPORT_KEY, b"message", &[]), refused);
}

#[test]
fn the_signed_text_of_an_envelope_covers_envelope_binding_and_key() {
    let (one, two) = (TransportKeyPair::generate().expect("random"), TransportKeyPair::generate().expect("random"));
    let envelope = sealed_to(&one);
    let text = envelope.signed_text(&binding(), one.public());
    assert_eq!(text, envelope.signed_text(&binding(), one.public()));
    assert_ne!(text, envelope.signed_text(&binding(), two.public()));
    assert_ne!(text, envelope.signed_text(&TransportBinding { epoch: 9, ..binding() }, one.public()));
    assert_ne!(text, sealed_to(&one).signed_text(&binding(), one.public()));
}

#[test]
fn keys_are_read_from_pem_and_public_keys_from_both_encodings() {
    use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
    let key = loop {
        let bytes = meridian_crypto::random::random_bytes::<32>().expect("random");
        if let Ok(key) = p256::SecretKey::from_slice(&bytes) {
            break key;
        }
    };
    let signer = RegionSigner::from_pkcs8_pem(&key.to_pkcs8_pem(LineEnding::LF).expect("encodes")).expect("P-256");
    let spki = key.public_key().to_public_key_der().expect("encodes");
    let from_spki = RegionVerifier::from_spki_der(spki.as_bytes()).expect("P-256");
    let from_sec1 = RegionVerifier::from_sec1(&key.public_key().to_sec1_bytes()).expect("P-256");
    assert_eq!(&from_spki, signer.verifier());
    assert_eq!(&from_sec1, signer.verifier());
    assert_eq!(from_spki.spki_der(), spki.as_bytes());
    let signature = signer.sign(SignatureDomain::LINK_MESSAGE, b"m").expect("signs");
    assert_eq!(from_sec1.verify(SignatureDomain::LINK_MESSAGE, b"m", &signature), Ok(()));
    verifies_with_p256(&key, &signature);

    assert_eq!(RegionSigner::from_pkcs8_pem("no key").map(|_| ()), Err(RegionKeyError::PrivateKey));
    assert_eq!(RegionVerifier::from_spki_der(&[]), Err(RegionKeyError::PublicKey));
    for bytes in [&[][..], &[0], &[4; 65], &[2; 33]] {
        assert_eq!(RegionVerifier::from_sec1(bytes).map(|_| ()).is_ok(), bytes == [2; 33], "{bytes:?}");
    }
}

/// A second implementation agrees on the signature and on the text it covers.
fn verifies_with_p256(key: &p256::SecretKey, signature: &[u8]) {
    use p256::ecdsa::signature::Verifier;
    let label = b"meridian signature: link message v1";
    let text = [&[0, 0, 0, 35][..], label, &[0, 0, 0, 1], b"m"].concat();
    let verifier = p256::ecdsa::VerifyingKey::from(key.public_key());
    verifier.verify(&text, &p256::ecdsa::Signature::from_slice(signature).expect("64 bytes")).expect("authentic");
}
