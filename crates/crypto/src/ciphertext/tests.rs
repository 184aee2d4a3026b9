use super::*;
use proptest::prelude::*;

use crate::aead::KEY_LEN;

fn key_id() -> KeyId {
    "mrk-1234abcd12ab34cd56ef1234567890ab".parse().expect("valid")
}

fn cipher_of(byte: u8) -> MaterialCipher {
    MaterialCipher::new(&Secret::init(|key| *key = [byte; KEY_LEN]), key_id(), KeyMaterialId::from_bytes([0x22; 32]))
}

fn context(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Encrypted under material 11.., material id 22.., salt 33.., iv 44.. with the context {"purpose": "test"}.
const GOLDEN_VERSION_1: &str = concat!(
    "4d52440101",
    "011234abcd12ab34cd56ef1234567890ab",
    "2222222222222222222222222222222222222222222222222222222222222222",
    "33333333333333333333333333333333",
    "444444444444444444444444",
    "3d6a838f35deea2d80469bfb79fb38aa303e03076f0554f7567d846a5c803cff",
    "76e1f8bc6b1f7fb7e5ef6bbfbe4f4eb351a50e01a5766ec2f84f78ad",
);

fn golden() -> Vec<u8> {
    hex::decode(GOLDEN_VERSION_1).expect("hex")
}

#[test]
fn format_version_1_stays_as_it_was() {
    let made = cipher_of(0x11).encrypt_with([0x33; 16], [0x44; 12], &context(&[("purpose", "test")]), b"hello, world");
    assert_eq!(hex::encode(&made), GOLDEN_VERSION_1);
    let opened = cipher_of(0x11).decrypt(&golden(), &context(&[("purpose", "test")])).expect("authentic");
    assert_eq!(opened.expose(), b"hello, world");
}

/// The format rebuilt from its description with AWS-LC's key derivation and AES-GCM, none of this crate's code.
#[test]
fn format_version_1_is_what_its_description_says() {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};
    let derive = |label: &[u8]| {
        let info = [label, &[0], &[0x33; 16], &256u32.to_be_bytes()].concat();
        let algorithm = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256).expect("offered");
        let mut output = [0; 32];
        kbkdf_ctr_hmac(algorithm, &[0x11; 32], &info, &mut output).expect("valid lengths");
        output
    };
    let header: Vec<u8> = [
        &b"MRD\x01\x01\x01"[..],
        &hex::decode("1234abcd12ab34cd56ef1234567890ab").expect("hex"),
        &[0x22; 32],
        &[0x33; 16],
        &[0x44; 12],
        &derive(b"meridian commitment v1"),
    ]
    .concat();
    let aad = [&header[..], b"\0\0\0\x01\0\0\0\x07purpose\0\0\0\x04test"].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derive(b"meridian message key v1")).expect("32 bytes"));
    let mut sealed = b"hello, world".to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0x44; 12]), Aad::from(aad), &mut sealed).expect("short");
    assert_eq!(hex::encode([header, sealed].concat()), GOLDEN_VERSION_1);
}

#[test]
fn the_header_tells_key_and_material() {
    let header = CiphertextHeader::parse(&golden()).expect("valid");
    assert_eq!((header.key_id, header.material_id), (key_id(), KeyMaterialId::from_bytes([0x22; 32])));
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let (cipher, context) = (cipher_of(0x11), context(&[("purpose", "test")]));
    let blob = golden();
    for at in 0..blob.len() * 8 {
        let mut damaged = blob.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        assert!(cipher.decrypt(&damaged, &context).is_err(), "bit {at}");
    }
    for len in 0..blob.len() {
        assert!(cipher.decrypt(&blob[..len], &context).is_err(), "{len} bytes");
    }
    assert!(cipher.decrypt(&[&blob[..], &[0]].concat(), &context).is_err());
    assert!(cipher.decrypt(&blob, &context).is_ok());
}

#[test]
fn only_the_same_context_opens() {
    let cipher = cipher_of(0x11);
    let right = context(&[("a", "1"), ("b", "2")]);
    let blob = cipher.encrypt(&right, b"secret").expect("encrypts");
    assert!(cipher.decrypt(&blob, &context(&[("b", "2"), ("a", "1")])).is_ok(), "order is no part of a context");
    let wrong: [&[(&str, &str)]; 9] = [
        &[],
        &[("a", "1")],
        &[("a", "2"), ("b", "1")],
        &[("a", "1"), ("b", "2"), ("c", "3")],
        &[("a", "1"), ("b", "2"), ("", "")],
        &[("A", "1"), ("b", "2")],
        &[("a", "1b"), ("", "2")],
        &[("a1", ""), ("b2", "")],
        &[("1", "a"), ("2", "b")],
    ];
    for pairs in wrong {
        let refused = cipher.decrypt(&blob, &context(pairs)).map(|_| ());
        assert_eq!(refused, Err(InvalidCiphertext::NotAuthentic), "{pairs:?}");
    }
}

#[test]
fn neither_key_nor_material_can_be_swapped() {
    let (none, material) = (BTreeMap::new(), Secret::init(|key| *key = [0x11; KEY_LEN]));
    let blob = cipher_of(0x11).encrypt(&none, b"secret").expect("encrypts");
    let other_key = MaterialCipher::new(&material, KeyId::multi_region([9; 16]), KeyMaterialId::from_bytes([0x22; 32]));
    let other_id = MaterialCipher::new(&material, key_id(), KeyMaterialId::from_bytes([0x23; 32]));
    for cipher in [&other_key, &other_id] {
        assert_eq!(cipher.decrypt(&blob, &none).map(|_| ()), Err(InvalidCiphertext::OtherMaterial));
    }
    // The header rewritten to name the other key as well: the same material is there, the associated data is not.
    let mut relabelled = blob.clone();
    relabelled[5..22].copy_from_slice(&other_key.key_id().to_bytes());
    assert_eq!(other_key.decrypt(&relabelled, &none).map(|_| ()), Err(InvalidCiphertext::NotAuthentic));
    let mut relabelled = blob.clone();
    relabelled[22..54].copy_from_slice(other_id.material_id().as_bytes());
    assert_eq!(other_id.decrypt(&relabelled, &none).map(|_| ()), Err(InvalidCiphertext::NotAuthentic));
    // Other material under the same ids.
    assert_eq!(cipher_of(0x12).decrypt(&blob, &none).map(|_| ()), Err(InvalidCiphertext::NotAuthentic));
}

#[test]
fn a_right_tag_under_a_wrong_commitment_is_refused() {
    let (cipher, none) = (cipher_of(0x11), BTreeMap::new());
    let (salt, iv) = ([1; SALT_LEN], [2; NONCE_LEN]);
    let header = CiphertextHeader {
        key_id: cipher.key_id,
        material_id: cipher.material_id,
        algorithm: cipher.algorithm,
        salt,
        iv,
        commitment: [0; COMMITMENT_LEN],
    };
    let mut blob = Vec::new();
    header.write(&mut blob);
    let mut sealed = *b"secret";
    let tag = cipher.message_key(salt).seal_in_place(&iv, &associated_data(&blob, &none), &mut sealed);
    blob.extend_from_slice(&[&sealed[..], &tag].concat());
    assert_eq!(cipher.decrypt(&blob, &none).map(|_| ()), Err(InvalidCiphertext::NotAuthentic));
}

#[test]
fn refusals_say_what_was_wrong() {
    let blob = golden();
    let with = |at: usize, byte: u8| {
        let mut blob = blob.clone();
        blob[at] = byte;
        CiphertextHeader::parse(&blob).map(|_| ())
    };
    assert_eq!(CiphertextHeader::parse(&[]).map(|_| ()), Err(InvalidCiphertext::Length { len: 0 }));
    let long = vec![0; OVERHEAD + PLAINTEXT_LEN_MAX + 1];
    assert_eq!(CiphertextHeader::parse(&long).map(|_| ()), Err(InvalidCiphertext::Length { len: long.len() }));
    assert_eq!(with(0, b'X'), Err(InvalidCiphertext::Foreign));
    assert_eq!(with(3, 2), Err(InvalidCiphertext::UnknownFormat { version: 2, algorithm: 1 }));
    assert_eq!(with(4, 9), Err(InvalidCiphertext::UnknownFormat { version: 1, algorithm: 9 }));
    assert_eq!(with(5, 7), Err(InvalidCiphertext::MalformedKeyId));
}

#[test]
fn lengths_stay_within_what_the_api_promises() {
    let cipher = cipher_of(0x11);
    let blob = cipher.encrypt(&BTreeMap::new(), &[0; 4096]).expect("encrypts");
    assert_eq!(blob.len(), 4226);
    assert!(blob.len() <= 6144, "a blob of Encrypt is accepted by Decrypt");
    assert_eq!(
        cipher.encrypt(&BTreeMap::new(), &vec![0; PLAINTEXT_LEN_MAX + 1]),
        Err(EncryptError::TooLong { len: PLAINTEXT_LEN_MAX + 1 })
    );
}

#[test]
fn the_same_plaintext_never_encrypts_alike() {
    let cipher = cipher_of(0x11);
    let blobs: std::collections::BTreeSet<_> =
        (0..1_000).map(|_| cipher.encrypt(&BTreeMap::new(), b"same").expect("encrypts")).collect();
    assert_eq!(blobs.len(), 1_000);
}

fn any_context() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map(".{0,8}", ".{0,20}", 0..5)
}

proptest! {
    #[test]
    fn what_was_encrypted_decrypts(
        material: [u8; 32],
        plaintext in proptest::collection::vec(any::<u8>(), 0..5000),
        context in any_context(),
    ) {
        let cipher = MaterialCipher::new(
            &Secret::init(|key| *key = material), key_id(), KeyMaterialId::from_bytes([0x22; 32]));
        let blob = cipher.encrypt(&context, &plaintext).expect("encrypts");
        prop_assert_eq!(blob.len(), plaintext.len() + OVERHEAD);
        let opened = cipher.decrypt(&blob, &context).expect("authentic");
        prop_assert_eq!(opened.expose(), &plaintext[..]);
    }

    #[test]
    fn arbitrary_bytes_are_refused_and_nothing_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        with_magic: bool,
    ) {
        let mut bytes = bytes;
        if with_magic && bytes.len() > 5 {
            bytes[..5].copy_from_slice(b"MRD\x01\x01");
        }
        prop_assert!(cipher_of(1).decrypt(&bytes, &BTreeMap::new()).is_err());
    }

    #[test]
    fn a_different_context_is_refused(
        one in any_context(),
        two in any_context(),
    ) {
        prop_assume!(one != two);
        let blob = cipher_of(1).encrypt(&one, b"x").expect("encrypts");
        prop_assert!(cipher_of(1).decrypt(&blob, &two).is_err());
    }
}

fn sm4_cipher() -> MaterialCipher {
    let material = KeyMaterial::Sm4(Secret::init(|key| *key = [0x11; 16]));
    MaterialCipher::of(&material, key_id(), KeyMaterialId::from_bytes([0x22; 32])).expect("symmetric")
}

/// Encrypted under the SM4 material 11.., material id 22.., salt 33.., iv 44.. with the context {"purpose": "test"}; made from
/// the description of the format by other implementations of HMAC-SHA-256, SM4 and GCM.
const GOLDEN_SM4: &str = concat!(
    "4d52440102",
    "011234abcd12ab34cd56ef1234567890ab",
    "2222222222222222222222222222222222222222222222222222222222222222",
    "33333333333333333333333333333333",
    "444444444444444444444444",
    "ea2e228a88987383e17979bea8002c111847393e8db7b136b85d606620f796ca",
    "11e7fac40f8545ebcd1cd080a5920a9421b63f74cad52a654ace70ab",
);

#[test]
fn the_sm4_format_stays_as_it_was() {
    let context = context(&[("purpose", "test")]);
    let made = sm4_cipher().encrypt_with([0x33; 16], [0x44; 12], &context, b"hello, world");
    assert_eq!(hex::encode(&made), GOLDEN_SM4);
    for at in 0..made.len() * 8 {
        let mut damaged = made.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        assert!(sm4_cipher().decrypt(&damaged, &context).is_err(), "bit {at}");
    }
    assert_eq!(sm4_cipher().decrypt(&made, &context).expect("authentic").expose(), b"hello, world");
}

/// The algorithm is that of the material, whatever the blob says.
#[test]
fn a_blob_does_not_choose_its_algorithm() {
    let none = BTreeMap::new();
    for (cipher, other) in [(cipher_of(0x11), sm4_cipher()), (sm4_cipher(), cipher_of(0x11))] {
        let mut blob = cipher.encrypt(&none, b"secret").expect("encrypts");
        assert_eq!(other.decrypt(&blob, &none).map(|_| ()), Err(InvalidCiphertext::NotAuthentic));
        blob[4] ^= 3;
        assert_eq!(cipher.decrypt(&blob, &none).map(|_| ()), Err(InvalidCiphertext::NotAuthentic));
        assert_eq!(other.decrypt(&blob, &none).map(|_| ()), Err(InvalidCiphertext::NotAuthentic));
    }
}
