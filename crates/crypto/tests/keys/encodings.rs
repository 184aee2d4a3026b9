//! Encodings: material as it is sealed, what imports take, public keys, and data key pairs.

use std::fmt::Write;

use meridian_crypto::algorithms::algorithms;
use meridian_crypto::{
    DataKeyPair, KeyMaterial, KeyUseError, MaterialError, PreparedKey, PublicKey, SecretBytes, UnsealError,
};
use meridian_model::{DataKeyPairSpec, KeySpec, KeyUsageType, MessageType, Partition, SigningAlgorithmSpec, WireEnum};
use rsa::pkcs8::DecodePrivateKey;
use sha2::{Digest, Sha256, Sha512};

use super::{bytes_of, material, specs};

/// Kind byte and length of every spec. These are a format: they never change.
const KINDS: [(u8, &str, usize); 18] = [
    (1, "SYMMETRIC_DEFAULT", 32),
    (2, "HMAC_224", 28),
    (3, "HMAC_256", 32),
    (4, "HMAC_384", 48),
    (5, "HMAC_512", 64),
    (9, "ECC_NIST_P256", 32),
    (10, "ECC_NIST_P384", 48),
    (11, "ECC_NIST_P521", 66),
    (12, "ECC_SECG_P256K1", 32),
    (13, "ECC_NIST_EDWARDS25519", 32),
    (14, "ML_DSA_44", 32),
    (15, "ML_DSA_65", 32),
    (16, "ML_DSA_87", 32),
    (17, "ML_KEM_512", 64),
    (18, "ML_KEM_768", 64),
    (19, "ML_KEM_1024", 64),
    (20, "SM2", 32),
    (21, "SYMMETRIC_DEFAULT", 16),
];

fn decoded(bytes: &[u8]) -> Result<KeyMaterial, UnsealError> {
    KeyMaterial::decode(&SecretBytes::copy_from(bytes))
}

#[test]
fn material_has_one_encoding_for_ever() {
    for (kind, spec, len) in KINDS {
        let spec: KeySpec = spec.parse().expect("a spec");
        let made = match kind {
            1 => KeyMaterial::generate_symmetric(Partition::Aws).expect("random"),
            21 => KeyMaterial::generate_symmetric(Partition::AwsCn).expect("random"),
            _ => KeyMaterial::generate(spec).expect("random"),
        };
        assert_eq!((bytes_of(&made)[0], bytes_of(&made).len()), (kind, 1 + len), "{spec}");
        let encoded = [&[kind][..], &vec![1; len]].concat();
        let material = decoded(&encoded).expect("canonical");
        assert_eq!((material.spec(), bytes_of(&material)), (spec, encoded));
        for wrong in [0, len - 1, len + 1] {
            let refused = decoded(&[&[kind][..], &vec![1; wrong]].concat()).map(|_| ());
            assert_eq!(refused, Err(UnsealError::UnknownMaterial { kind, len: wrong }), "{spec}");
        }
    }
    for (kind, spec) in [(6, KeySpec::Rsa2048), (7, KeySpec::Rsa3072), (8, KeySpec::Rsa4096)] {
        let encoded = bytes_of(&material(spec));
        assert_eq!(encoded[0], kind);
        rsa::PrivateKey::from_pkcs8_der(&encoded[1..]).expect("PKCS#8");
        assert_eq!(bytes_of(&decoded(&encoded).expect("canonical")), encoded);
        assert!(decoded(&[kind]).is_err());
        assert!(decoded(&[&[kind][..], &[0; 5000]].concat()).is_err());
    }
    assert_eq!(decoded(&[22; 33]).map(|_| ()), Err(UnsealError::UnknownMaterial { kind: 22, len: 32 }));
}

/// The public keys of material whose bytes are all 1: an implementation that changed its mind would lose every key.
#[test]
fn material_gives_the_same_public_key_for_ever() {
    let expected = include_str!("public_keys.txt");
    let mut actual = String::new();
    for (kind, spec, len) in KINDS {
        let material = decoded(&[&[kind][..], &vec![1; len]].concat()).expect("canonical");
        let Some(der) = material.public_key_der().expect("sound") else { continue };
        writeln!(actual, "{spec} {}", hex::encode(Sha256::digest(&der))).expect("a string takes everything");
    }
    assert_eq!(actual, expected);
}

#[test]
fn bytes_that_are_no_key_are_refused() {
    let order_of_p256 = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order_of_sm2_less_1 = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122";
    let order_of_secp256k1 = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for (kind, spec, bytes) in [
        (9, KeySpec::EccNistP256, vec![0; 32]),
        (9, KeySpec::EccNistP256, hex::decode(order_of_p256).expect("hex")),
        (10, KeySpec::EccNistP384, vec![0xff; 48]),
        (11, KeySpec::EccNistP521, vec![0xff; 66]),
        (12, KeySpec::EccSecgP256k1, vec![0; 32]),
        (12, KeySpec::EccSecgP256k1, hex::decode(order_of_secp256k1).expect("hex")),
        (20, KeySpec::Sm2, vec![0; 32]),
        (20, KeySpec::Sm2, hex::decode(order_of_sm2_less_1).expect("hex")),
        (6, KeySpec::Rsa2048, vec![0x30; 1200]),
        (7, KeySpec::Rsa3072, bytes_of(&material(KeySpec::Rsa2048))[1..].to_vec()),
    ] {
        let material = decoded(&[&[kind][..], &bytes].concat()).expect("of the right length");
        let malformed = Err(MaterialError::Malformed(spec));
        assert_eq!(PreparedKey::new(&material, KeyUsageType::SignVerify).map(|_| ()), malformed, "{spec}");
        assert_eq!(material.public_key_der().map(|_| ()), malformed, "{spec}");
    }
}

#[test]
fn public_keys_are_of_their_own_spec_only() {
    let asymmetric: Vec<_> =
        specs().filter_map(|spec| material(spec).public_key_der().expect("sound").map(|der| (spec, der))).collect();
    assert_eq!(asymmetric.len(), 15);
    for (spec, der) in &asymmetric {
        for other in specs() {
            let parsed = PublicKey::from_der(other, der);
            assert_eq!(parsed.is_ok(), *spec == other, "{spec} as {other}");
        }
        let key = PublicKey::from_der(*spec, der).expect("its own");
        assert_eq!((key.spec(), key.der()), (*spec, &der[..]));
        assert!(PublicKey::from_der(*spec, &[&der[..], &[0]].concat()).is_err(), "{spec}");
        assert!(PublicKey::from_der(*spec, &der[..der.len() - 1]).is_err(), "{spec}");
        assert!(PublicKey::from_der(*spec, &[]).is_err());
    }
}

#[test]
fn imports_of_raw_bytes() {
    for (_, spec, len) in &KINDS[..5] {
        let spec: KeySpec = spec.parse().expect("a spec");
        let import = |len| KeyMaterial::import(spec, Partition::Aws, &SecretBytes::copy_from(&vec![3; len]));
        let imported = import(*len).expect("of the right length");
        assert_eq!((imported.spec(), &bytes_of(&imported)[1..]), (spec, &vec![3; *len][..]));
        for wrong in [0, len - 1, len + 1] {
            assert_eq!(import(wrong).map(|_| ()), Err(MaterialError::Malformed(spec)));
        }
    }
    let sm4 =
        |len| KeyMaterial::import(KeySpec::SymmetricDefault, Partition::AwsCn, &SecretBytes::copy_from(&vec![3; len]));
    assert_eq!(bytes_of(&sm4(16).expect("of the right length")), [&[21][..], &[3; 16]].concat());
    for wrong in [0, 15, 17, 32] {
        assert_eq!(sm4(wrong).map(|_| ()), Err(MaterialError::Malformed(KeySpec::SymmetricDefault)));
    }
    for spec in specs().filter(|spec| algorithms(*spec).encryption.is_empty()) {
        let imported = KeyMaterial::import(spec, Partition::Aws, &SecretBytes::copy_from(&[1; 31])).map(|_| ());
        assert!(imported.is_err(), "{spec}");
    }
    let unsupported = |spec| Err(MaterialError::UnsupportedSpec(spec));
    for spec in [KeySpec::EccNistEdwards25519, KeySpec::MlDsa44, KeySpec::MlKem768] {
        assert_eq!(
            KeyMaterial::import(spec, Partition::Aws, &SecretBytes::copy_from(&[1; 32])).map(|_| ()),
            unsupported(spec)
        );
    }
}

fn pair_spec(spec: KeySpec) -> DataKeyPairSpec {
    DataKeyPairSpec::from_wire(spec.as_str()).expect("a spec of data key pairs")
}

/// A data key pair is imported again: what one function writes the other reads, and both halves belong together.
#[test]
fn imports_of_private_keys() {
    let importable = [
        KeySpec::Rsa2048,
        KeySpec::EccNistP256,
        KeySpec::EccNistP384,
        KeySpec::EccNistP521,
        KeySpec::EccSecgP256k1,
        KeySpec::Sm2,
    ];
    for spec in importable {
        let pair = DataKeyPair::generate(pair_spec(spec)).expect("random");
        let imported = KeyMaterial::import(spec, Partition::Aws, &pair.private_key_pkcs8).expect("sound");
        assert_eq!(imported.public_key_der(), Ok(Some(pair.public_key_der.clone())));
        for other in importable.into_iter().filter(|other| *other != spec) {
            let refused = KeyMaterial::import(other, Partition::Aws, &pair.private_key_pkcs8).map(|_| ());
            assert_eq!(refused, Err(MaterialError::Malformed(other)), "{spec} as {other}");
        }
        let der = pair.private_key_pkcs8.expose();
        for damaged in [&der[..der.len() - 1], &[der, &[0]].concat(), &[]] {
            let refused = KeyMaterial::import(spec, Partition::Aws, &SecretBytes::copy_from(damaged)).map(|_| ());
            assert_eq!(refused, Err(MaterialError::Malformed(spec)), "{spec}");
        }
    }
}

#[test]
fn data_key_pairs_belong_together() {
    for text in DataKeyPairSpec::VALUES {
        let spec = DataKeyPairSpec::from_wire(text).expect("own value");
        let slow = [DataKeyPairSpec::Rsa3072, DataKeyPairSpec::Rsa4096];
        if slow.contains(&spec) {
            continue; // the same code as for 2048 bits; each size is made once elsewhere
        }
        let pair = DataKeyPair::generate(spec).expect("random");
        let private = pair.private_key_pkcs8.expose();
        let public_of_private = match spec {
            DataKeyPairSpec::EccNistEdwards25519 => {
                let key = ed25519_dalek::SigningKey::from_pkcs8_der(private).expect("PKCS#8");
                key.verifying_key().to_bytes().to_vec()
            }
            DataKeyPairSpec::MlKem512 => ml_kem_public::<ml_kem::MlKem512>(private),
            DataKeyPairSpec::MlKem768 => ml_kem_public::<ml_kem::MlKem768>(private),
            DataKeyPairSpec::MlKem1024 => ml_kem_public::<ml_kem::MlKem1024>(private),
            _ => {
                let spec: KeySpec = text.parse().expect("a key spec");
                let imported = KeyMaterial::import(spec, Partition::Aws, &pair.private_key_pkcs8).expect("sound");
                imported.public_key_der().expect("sound").expect("asymmetric")
            }
        };
        assert!(pair.public_key_der.ends_with(&public_of_private), "{text}");
        let second = DataKeyPair::generate(spec).expect("random");
        assert_ne!(second.public_key_der, pair.public_key_der);
    }
}

fn ml_kem_public<K: ml_kem::kem::Kem>(pkcs8: &[u8]) -> Vec<u8>
where
    K::DecapsulationKey: DecodePrivateKey,
    K::EncapsulationKey: ml_kem::kem::KeyExport,
{
    use ml_kem::kem::{Decapsulator as _, KeyExport as _};
    let key = K::DecapsulationKey::from_pkcs8_der(pkcs8).expect("PKCS#8 with a seed");
    key.encapsulation_key().to_bytes().to_vec()
}

/// RFC 8032, sections 7.1 (test 1) and 7.3.
#[test]
fn ed25519_of_rfc_8032() {
    let key = |seed: &str| {
        let material = decoded(&[&[13][..], &hex::decode(seed).expect("hex")].concat()).expect("32 bytes");
        PreparedKey::new(&material, KeyUsageType::SignVerify).expect("sound")
    };
    let pure = key("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let prefix_and_point = "302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(hex::encode(pure.public_key().expect("asymmetric").der()), prefix_and_point);
    let signature = pure.sign(SigningAlgorithmSpec::Ed25519Sha512, MessageType::Raw, b"").expect("signs");
    let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
                    d25bf5f0595bbe24655141438e7a100b";
    assert_eq!(hex::encode(signature), expected);
}

/// AWS KMS takes a digest as the message of Ed25519ph, which hashes it again.
#[test]
fn ed25519ph_hashes_the_digest_that_it_is_given() {
    let material = material(KeySpec::EccNistEdwards25519);
    let key = PreparedKey::new(&material, KeyUsageType::SignVerify).expect("sound");
    let digest = Sha512::digest(b"abc");
    let signature = key.sign(SigningAlgorithmSpec::Ed25519PhSha512, MessageType::Digest, &digest).expect("signs");
    let seed: [u8; 32] = super::bytes_of(&material)[1..].try_into().expect("32 bytes");
    let theirs = ed25519_dalek::SigningKey::from_bytes(&seed);
    let twice = theirs.sign_prehashed(Sha512::new().chain_update(digest), None).expect("signs");
    assert_eq!(signature, twice.to_bytes());
    let once = theirs.sign_prehashed(Sha512::new().chain_update(b"abc"), None).expect("signs").to_bytes();
    let verify =
        |signature: &[u8]| key.verify(SigningAlgorithmSpec::Ed25519PhSha512, MessageType::Digest, &digest, signature);
    assert_eq!(verify(&signature), Ok(()));
    assert_eq!(verify(&once), Err(KeyUseError::InvalidSignature));
}

#[test]
fn nothing_prints_a_secret() {
    for spec in specs() {
        let material = material(spec);
        assert!(format!("{material:?}").len() < 100, "{material:?}");
    }
    let key = super::prepared(KeySpec::EccNistP256, KeyUsageType::SignVerify);
    assert_eq!(
        format!("{key:?} {:?}", key.public_key()),
        "PreparedKey(ECC_NIST_P256, SIGN_VERIFY) Some(PublicKey(ECC_NIST_P256))"
    );
}
