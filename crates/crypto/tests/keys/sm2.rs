//! SM2 against the examples of its standard, and what it refuses.
//!
//! That OpenSSL agrees, in both directions, is shown with real clients in `tests/python`.

use meridian_crypto::{KeyMaterial, KeyUseError, PreparedKey, PublicKey, SecretBytes};
use meridian_model::{
    EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec,
};
use proptest::prelude::*;
use sm2::pkcs8::der::Encode;
use sm2::pkcs8::der::asn1::{OctetStringRef, UintRef};

use super::prepared;

const SM2DSA: SigningAlgorithmSpec = SigningAlgorithmSpec::Sm2dsa;
const SM2PKE: EncryptionAlgorithmSpec = EncryptionAlgorithmSpec::Sm2pke;

/// The private key of GB/T 32918.5, annexes A and C.
const SCALAR: &str = "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8";
/// Its public key.
const POINT: &str = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
                     ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).expect("hex")
}

fn standard_key(usage: KeyUsageType) -> PreparedKey {
    let encoded = [&[20][..], &bytes(SCALAR)].concat();
    let material = KeyMaterial::decode(&SecretBytes::copy_from(&encoded)).expect("a scalar");
    PreparedKey::new(&material, usage).expect("sound")
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let head = match content.len() {
        len @ ..128 => vec![0x30, u8::try_from(len).expect("short")],
        len @ 128..256 => vec![0x30, 0x81, u8::try_from(len).expect("short")],
        len => [&[0x30, 0x82][..], &u16::try_from(len).expect("short").to_be_bytes()].concat(),
    };
    [head, content].concat()
}

fn integer(text: &str) -> Vec<u8> {
    UintRef::new(&bytes(text)).expect("short").to_der().expect("DER")
}

fn octets(text: &str) -> Vec<u8> {
    OctetStringRef::new(&bytes(text)).expect("short").to_der().expect("DER")
}

/// RFC 5480 with the curve of GM/T 0006, 1.2.156.10197.1.301.
#[test]
fn the_public_key_names_the_curve() {
    let key = standard_key(KeyUsageType::SignVerify);
    let expected = format!("3059301306072a8648ce3d020106082a811ccf5501822d034200{POINT}");
    assert_eq!(hex::encode(key.public_key().expect("asymmetric").der()), expected);
    let of_p_256 = prepared(KeySpec::EccNistP256, KeyUsageType::SignVerify);
    assert!(PublicKey::from_der(KeySpec::Sm2, of_p_256.public_key().expect("asymmetric").der()).is_err());
}

/// GB/T 32918.5, annex A.2: the message under the default identifier, and its digest, have this signature.
#[test]
fn the_signature_of_the_standard() {
    let key = standard_key(KeyUsageType::SignVerify);
    let signature = sequence(&[
        &integer("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"),
        &integer("b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"),
    ]);
    let digest = bytes("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
    assert_eq!(key.verify(SM2DSA, MessageType::Raw, b"message digest", &signature), Ok(()));
    assert_eq!(key.verify(SM2DSA, MessageType::Digest, &digest, &signature), Ok(()));
    for (message_type, other) in [(MessageType::Raw, MessageType::Digest), (MessageType::Digest, MessageType::Raw)] {
        let message = |message_type| if message_type == MessageType::Raw { b"message digest" } else { &digest[..] };
        let ours = key.sign(SM2DSA, message_type, message(message_type)).expect("signs");
        assert_eq!(key.verify(SM2DSA, other, message(other), &ours), Ok(()));
    }
    for bit in 0..signature.len() * 8 {
        let mut damaged = signature.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let refused = key.verify(SM2DSA, MessageType::Raw, b"message digest", &damaged);
        assert_eq!(refused, Err(KeyUseError::InvalidSignature), "bit {bit}");
    }
}

/// A signature of zeros, or of the order, is none.
#[test]
fn signatures_out_of_range() {
    let key = standard_key(KeyUsageType::SignVerify);
    let order = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123";
    for (r, s) in [("00", "01"), ("01", "00"), (order, "01"), ("01", order)] {
        let signature = sequence(&[&integer(r), &integer(s)]);
        let refused = key.verify(SM2DSA, MessageType::Raw, b"", &signature);
        assert_eq!(refused, Err(KeyUseError::InvalidSignature), "{r} {s}");
    }
}

const X: &str = "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73";
const Y: &str = "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0";
const HASH: &str = "59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766";
const MASKED: &str = "21886ca989ca9c7d58087307ca93092d651efa";

/// GB/T 32918.5, annex C.2, in the encoding of GM/T 0009.
#[test]
fn the_ciphertext_of_the_standard() {
    let key = standard_key(KeyUsageType::EncryptDecrypt);
    let ciphertext = sequence(&[&integer(X), &integer(Y), &octets(HASH), &octets(MASKED)]);
    assert_eq!(key.decrypt(SM2PKE, &ciphertext).expect("decrypts").expose(), b"encryption standard");
    for bit in 0..ciphertext.len() * 8 {
        let mut damaged = ciphertext.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let refused = key.decrypt(SM2PKE, &damaged).map(|_| ());
        assert_eq!(refused, Err(KeyUseError::InvalidCiphertext), "bit {bit}");
    }
}

#[test]
fn other_encodings_and_orders_of_a_ciphertext_are_refused() {
    let key = standard_key(KeyUsageType::EncryptDecrypt);
    let refused = |ciphertext: &[u8]| {
        assert_eq!(key.decrypt(SM2PKE, ciphertext).map(|_| ()), Err(KeyUseError::InvalidCiphertext));
    };
    refused(&bytes(&format!("04{X}{Y}{MASKED}{HASH}")));
    refused(&bytes(&format!("04{X}{Y}{HASH}{MASKED}")));
    refused(&sequence(&[&integer(X), &integer(Y), &octets(MASKED), &octets(HASH)]));
    refused(&sequence(&[&integer(X), &integer(Y), &octets(HASH)]));
    refused(&sequence(&[&integer(X), &integer(X), &octets(HASH), &octets(MASKED)])); // no point of the curve
    refused(&sequence(&[&integer(X), &integer(Y), &octets(HASH), &octets("")]));
    let whole = sequence(&[&integer(X), &integer(Y), &octets(HASH), &octets(MASKED)]);
    refused(&[&whole[..], &[0]].concat());
    (0..whole.len()).for_each(|len| refused(&whole[..len]));
}

#[test]
fn plaintexts_of_up_to_1024_bytes() {
    let key = prepared(KeySpec::Sm2, KeyUsageType::EncryptDecrypt);
    for len in [1, 31, 32, 33, 1024] {
        let plaintext = vec![7; len];
        let ciphertext = key.encrypt(SM2PKE, &plaintext).expect("encrypts");
        assert_eq!(key.decrypt(SM2PKE, &ciphertext).expect("decrypts").expose(), plaintext);
        assert_ne!(key.encrypt(SM2PKE, &plaintext), Ok(ciphertext), "every ciphertext has a point of its own");
    }
    let too_long = Err(KeyUseError::PlaintextTooLong { max: 1024, actual: 1025 });
    assert_eq!(key.encrypt(SM2PKE, &[7; 1025]).map(|_| ()), too_long);
}

#[test]
fn both_sides_agree() {
    let (one, two) = (standard_key(KeyUsageType::KeyAgreement), prepared(KeySpec::Sm2, KeyUsageType::KeyAgreement));
    let derive = |key: &PreparedKey, other: &PreparedKey| {
        let public = other.public_key().expect("asymmetric").der();
        key.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, public).expect("agrees").expose().to_vec()
    };
    assert_eq!(derive(&one, &two), derive(&two, &one));
    assert_eq!(derive(&one, &two).len(), 32);
    let foreign = prepared(KeySpec::EccNistP256, KeyUsageType::KeyAgreement);
    let refused =
        one.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, foreign.public_key().expect("asymmetric").der());
    assert_eq!(refused.map(|_| ()), Err(KeyUseError::InvalidPublicKey));
}

proptest! {
    #[test]
    fn what_was_encrypted_decrypts_to_the_same_by_the_library(plaintext in proptest::collection::vec(any::<u8>(), 1..200)) {
        let key = standard_key(KeyUsageType::EncryptDecrypt);
        let ciphertext = key.encrypt(SM2PKE, &plaintext).expect("encrypts");
        let theirs = sm2::pke::DecryptingKey::from_slice(&bytes(SCALAR)).expect("a scalar");
        prop_assert_eq!(&theirs.decrypt_der(&ciphertext).expect("decrypts"), &plaintext);
        let opened = key.decrypt(SM2PKE, &ciphertext).expect("decrypts");
        prop_assert_eq!(opened.expose(), &plaintext[..]);
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let key = standard_key(KeyUsageType::EncryptDecrypt);
        prop_assert_eq!(key.decrypt(SM2PKE, &bytes).map(|_| ()), Err(KeyUseError::InvalidCiphertext));
    }
}
