//! Which key does what: every algorithm under every spec and usage, and every message type under every algorithm.

use meridian_crypto::algorithms::{algorithms, algorithms_for, max_plaintext_len, usages};
use meridian_crypto::{KeyMaterial, KeyUseError, MaterialError, PreparedKey};
use meridian_model::{
    EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType,
    MacAlgorithmSpec, MessageType, Partition, SigningAlgorithmSpec, WireEnum,
};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{USAGES, material, prepared, specs};

fn names<A: WireEnum>(algorithms: &[A]) -> String {
    algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_lists_that_clients_see() {
    let signing = |spec| names(algorithms(spec).signing);
    let rsa = "RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 \
               RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512";
    assert_eq!(signing(KeySpec::Rsa3072), rsa);
    assert_eq!(names(algorithms(KeySpec::Rsa3072).encryption), "RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256");
    assert_eq!(signing(KeySpec::EccNistP256), "ECDSA_SHA_256");
    assert_eq!(signing(KeySpec::EccNistP384), "ECDSA_SHA_384");
    assert_eq!(signing(KeySpec::EccNistP521), "ECDSA_SHA_512");
    assert_eq!(signing(KeySpec::EccSecgP256k1), "ECDSA_SHA_256");
    assert_eq!(signing(KeySpec::EccNistEdwards25519), "ED25519_SHA_512 ED25519_PH_SHA_512");
    assert_eq!(signing(KeySpec::MlDsa65), "ML_DSA_SHAKE_256");
    assert_eq!(names(algorithms(KeySpec::EccNistP521).agreement), "ECDH");
    assert_eq!(names(algorithms(KeySpec::EccSecgP256k1).agreement), "");
    assert_eq!(names(algorithms(KeySpec::MlKem512).encapsulation), "ML_KEM");
    assert_eq!(names(algorithms(KeySpec::Hmac384).mac), "HMAC_SHA_384");
    assert_eq!(names(usages(KeySpec::EccNistP384)), "SIGN_VERIFY KEY_AGREEMENT");
    assert_eq!(names(usages(KeySpec::Sm2)), "ENCRYPT_DECRYPT SIGN_VERIFY KEY_AGREEMENT");
    assert_eq!((signing(KeySpec::Sm2), names(algorithms(KeySpec::Sm2).encryption)), ("SM2DSA".into(), "SM2PKE".into()));
}

#[test]
fn only_the_algorithms_of_the_usage_are_listed() {
    let of = |usage| algorithms_for(KeySpec::Rsa2048, usage);
    assert_eq!(of(KeyUsageType::SignVerify).signing.len(), 6);
    assert!(of(KeyUsageType::SignVerify).encryption.is_empty());
    assert_eq!(of(KeyUsageType::EncryptDecrypt).encryption.len(), 2);
    assert!(of(KeyUsageType::EncryptDecrypt).signing.is_empty());
    assert!(of(KeyUsageType::GenerateVerifyMac).mac.is_empty());
}

/// Asks the key for `algorithm`: does it have it?
fn performs<T>(outcome: &Result<T, KeyUseError>, key: &PreparedKey, algorithm: &'static str) -> bool {
    match outcome {
        Err(KeyUseError::WrongAlgorithm { spec, algorithm: refused }) => {
            assert_eq!((*spec, *refused), (key.spec(), algorithm));
            false
        }
        _ => true,
    }
}

#[test]
fn a_key_performs_exactly_what_is_listed() {
    for spec in specs().filter(|spec| *spec != KeySpec::SymmetricDefault) {
        for usage in USAGES {
            let key = PreparedKey::new(&material(spec), usage);
            if !usages(spec).contains(&usage) {
                assert_eq!(key.map(|_| ()), Err(MaterialError::WrongUsage { spec, usage }));
                continue;
            }
            let key = key.expect("sound");
            let listed = algorithms_for(spec, usage);
            assert_eq!((key.spec(), key.usage()), (spec, usage));
            assert_eq!(key.public_key().is_none(), usage == KeyUsageType::GenerateVerifyMac);
            all::<SigningAlgorithmSpec>(|algorithm| {
                let signed = key.sign(algorithm, MessageType::Raw, b"message");
                assert_eq!(performs(&signed, &key, algorithm.as_str()), listed.signing.contains(&algorithm));
                let verified = key.verify(algorithm, MessageType::Raw, b"message", b"");
                assert_eq!(performs(&verified, &key, algorithm.as_str()), listed.signing.contains(&algorithm));
            });
            all::<EncryptionAlgorithmSpec>(|algorithm| {
                let encrypted = key.encrypt(algorithm, b"message");
                assert_eq!(performs(&encrypted, &key, algorithm.as_str()), listed.encryption.contains(&algorithm));
                let decrypted = key.decrypt(algorithm, b"");
                assert_eq!(performs(&decrypted, &key, algorithm.as_str()), listed.encryption.contains(&algorithm));
            });
            all::<MacAlgorithmSpec>(|algorithm| {
                let made = key.mac(algorithm, b"message");
                assert_eq!(performs(&made, &key, algorithm.as_str()), listed.mac.contains(&algorithm));
                let verified = key.verify_mac(algorithm, b"message", b"");
                assert_eq!(performs(&verified, &key, algorithm.as_str()), listed.mac.contains(&algorithm));
            });
            let derived = key.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, b"");
            assert_eq!(performs(&derived, &key, "ECDH"), !listed.agreement.is_empty());
            let encapsulated = key.encapsulate(EncapsulationAlgorithmSpec::MlKem);
            assert_eq!(performs(&encapsulated, &key, "ML_KEM"), !listed.encapsulation.is_empty());
            let decapsulated = key.decapsulate(EncapsulationAlgorithmSpec::MlKem, b"");
            assert_eq!(performs(&decapsulated, &key, "ML_KEM"), !listed.encapsulation.is_empty());
        }
    }
}

fn all<A: WireEnum>(check: impl Fn(A)) {
    for text in A::VALUES {
        check(A::from_wire(text).expect("own value"));
    }
}

#[test]
fn symmetric_encryption_keys_are_made_and_prepared_elsewhere() {
    let unsupported = Err(MaterialError::UnsupportedSpec(KeySpec::SymmetricDefault));
    assert_eq!(KeyMaterial::generate(KeySpec::SymmetricDefault).map(|_| ()), unsupported);
    let symmetric = KeyMaterial::generate_symmetric(Partition::Aws).expect("random");
    let usage = KeyUsageType::EncryptDecrypt;
    let refused = PreparedKey::new(&symmetric, usage).map(|_| ());
    assert_eq!(refused, Err(MaterialError::WrongUsage { spec: KeySpec::SymmetricDefault, usage }));
}

/// What an algorithm makes of 64 bytes of each message type.
#[test]
fn message_types_of_each_algorithm() {
    let table = "
        RSASSA_PSS_SHA_256         RSA_2048               ok  32  no
        RSASSA_PSS_SHA_384         RSA_2048               ok  48  no
        RSASSA_PSS_SHA_512         RSA_2048               ok  64  no
        RSASSA_PKCS1_V1_5_SHA_256  RSA_2048               ok  32  no
        RSASSA_PKCS1_V1_5_SHA_384  RSA_2048               ok  48  no
        RSASSA_PKCS1_V1_5_SHA_512  RSA_2048               ok  64  no
        ECDSA_SHA_256              ECC_NIST_P256          ok  32  no
        ECDSA_SHA_384              ECC_NIST_P384          ok  48  no
        ECDSA_SHA_512              ECC_NIST_P521          ok  64  no
        ECDSA_SHA_256              ECC_SECG_P256K1        ok  32  no
        ED25519_SHA_512            ECC_NIST_EDWARDS25519  ok  no  no
        ED25519_PH_SHA_512         ECC_NIST_EDWARDS25519  no  64  no
        ML_DSA_SHAKE_256           ML_DSA_44              ok  no  64
        ML_DSA_SHAKE_256           ML_DSA_65              ok  no  64
        ML_DSA_SHAKE_256           ML_DSA_87              ok  no  64
        SM2DSA                     SM2                    ok  32  no
    ";
    for row in table.lines().map(str::split_whitespace).map(Iterator::collect::<Vec<_>>).filter(|row| !row.is_empty()) {
        let algorithm: SigningAlgorithmSpec = row[0].parse().expect("an algorithm");
        let key = prepared(row[1].parse().expect("a spec"), KeyUsageType::SignVerify);
        let message_types = [MessageType::Raw, MessageType::Digest, MessageType::ExternalMu];
        for (message_type, cell) in message_types.into_iter().zip(&row[2..]) {
            check_cell(&key, algorithm, message_type, cell);
        }
    }
}

fn check_cell(key: &PreparedKey, algorithm: SigningAlgorithmSpec, message_type: MessageType, cell: &str) {
    let place = format!("{algorithm} of {} takes {message_type}: {cell}", key.spec());
    let sign = |len: usize| {
        let message = vec![9; len];
        let made = key.sign(algorithm, message_type, &message);
        let verified = key.verify(algorithm, message_type, &message, made.as_ref().map_or(b"", |made| &made[..]));
        assert_eq!(made.clone().map(|_| ()), verified, "{place}");
        verified
    };
    match cell {
        "ok" => [0, 1, 32, 64, 4096].into_iter().for_each(|len| assert_eq!(sign(len), Ok(()), "{place}")),
        "no" => assert_eq!(sign(64), Err(KeyUseError::MessageType { algorithm, message_type }), "{place}"),
        len => {
            let expected: usize = len.parse().expect("a length");
            assert_eq!(sign(expected), Ok(()), "{place}");
            for actual in [0, 20, expected - 1, expected + 1, 4096] {
                let refused = Err(KeyUseError::DigestLength { algorithm, expected, actual });
                assert_eq!(sign(actual), refused, "{place}");
            }
        }
    }
}

/// A signature of a message verifies as one of its digest, and the other way round.
#[test]
fn a_message_and_its_digest_are_the_same() {
    let message = b"a message to be signed";
    for spec in
        [KeySpec::Rsa2048, KeySpec::EccNistP256, KeySpec::EccNistP384, KeySpec::EccNistP521, KeySpec::EccSecgP256k1]
    {
        let key = prepared(spec, KeyUsageType::SignVerify);
        for algorithm in algorithms(spec).signing {
            let digest = match &algorithm.as_str()[algorithm.as_str().len() - 3..] {
                "256" => Sha256::digest(message).to_vec(),
                "384" => Sha384::digest(message).to_vec(),
                _ => Sha512::digest(message).to_vec(),
            };
            let of_message = key.sign(*algorithm, MessageType::Raw, message).expect("signs");
            let of_digest = key.sign(*algorithm, MessageType::Digest, &digest).expect("signs");
            assert_eq!(key.verify(*algorithm, MessageType::Digest, &digest, &of_message), Ok(()), "{spec} {algorithm}");
            assert_eq!(key.verify(*algorithm, MessageType::Raw, message, &of_digest), Ok(()), "{spec} {algorithm}");
        }
    }
}

#[test]
fn a_changed_message_signature_or_key_does_not_verify() {
    for spec in specs().filter(|spec| !algorithms(*spec).signing.is_empty()) {
        let (key, other) = (prepared(spec, KeyUsageType::SignVerify), KeyMaterial::generate(small(spec)));
        let other = PreparedKey::new(&other.expect("random"), KeyUsageType::SignVerify).expect("sound");
        for &algorithm in algorithms(spec).signing {
            let message_type = match algorithm {
                SigningAlgorithmSpec::Ed25519PhSha512 => MessageType::Digest,
                _ => MessageType::Raw,
            };
            let mut signature = key.sign(algorithm, message_type, &[1; 64]).expect("signs");
            let invalid = Err(KeyUseError::InvalidSignature);
            let verify = |key: &PreparedKey, message: &[u8], signature: &[u8]| {
                key.verify(algorithm, message_type, message, signature)
            };
            assert_eq!(verify(&key, &[1; 64], &signature), Ok(()));
            assert_eq!(verify(&key, &[2; 64], &signature), invalid, "{spec} {algorithm}");
            assert_eq!(verify(&other, &[1; 64], &signature), invalid, "{spec} {algorithm}");
            assert_eq!(verify(&key, &[1; 64], &[]), invalid, "{spec} {algorithm}");
            assert_eq!(verify(&key, &[1; 64], &[&signature[..], &[0]].concat()), invalid, "{spec} {algorithm}");
            assert_eq!(verify(&key, &[1; 64], &signature[1..]), invalid, "{spec} {algorithm}");
            *signature.last_mut().expect("not empty") ^= 1;
            assert_eq!(verify(&key, &[1; 64], &signature), invalid, "{spec} {algorithm}");
        }
    }
}

/// Another key of the same kind that is made quickly.
const fn small(spec: KeySpec) -> KeySpec {
    match spec {
        KeySpec::Rsa3072 | KeySpec::Rsa4096 => KeySpec::Rsa2048,
        spec => spec,
    }
}

#[test]
fn rsa_plaintexts_up_to_the_limit() {
    let limits = [(KeySpec::Rsa2048, 214, 190), (KeySpec::Rsa3072, 342, 318), (KeySpec::Rsa4096, 470, 446)];
    for (spec, of_sha_1, of_sha_256) in limits {
        let key = prepared(spec, KeyUsageType::EncryptDecrypt);
        let limits = [
            (EncryptionAlgorithmSpec::RsaesOaepSha1, of_sha_1),
            (EncryptionAlgorithmSpec::RsaesOaepSha256, of_sha_256),
        ];
        for (algorithm, max) in limits {
            assert_eq!(max_plaintext_len(spec, algorithm), Some(max));
            for len in [0, 1, max] {
                let plaintext = vec![5; len];
                let mut ciphertext = key.encrypt(algorithm, &plaintext).expect("short enough");
                let decrypted = key.decrypt(algorithm, &ciphertext).expect("own ciphertext");
                assert_eq!(decrypted.expose(), plaintext, "{spec} {algorithm}");
                ciphertext[1] ^= 1;
                let refused = key.decrypt(algorithm, &ciphertext).map(|_| ());
                assert_eq!(refused, Err(KeyUseError::InvalidCiphertext));
            }
            let too_long = key.encrypt(algorithm, &vec![5; max + 1]);
            assert_eq!(too_long, Err(KeyUseError::PlaintextTooLong { max, actual: max + 1 }));
        }
        let other = key.encrypt(EncryptionAlgorithmSpec::RsaesOaepSha1, b"text").expect("encrypts");
        let refused = key.decrypt(EncryptionAlgorithmSpec::RsaesOaepSha256, &other).map(|_| ());
        assert_eq!(refused, Err(KeyUseError::InvalidCiphertext), "the other hash");
        assert_eq!(key.decrypt(EncryptionAlgorithmSpec::RsaesOaepSha1, &other[1..]).map(|_| ()), refused);
    }
}

#[test]
fn both_sides_agree() {
    for (spec, len) in [(KeySpec::EccNistP256, 32), (KeySpec::EccNistP384, 48), (KeySpec::EccNistP521, 66)] {
        let (one, two) = (prepared(spec, KeyUsageType::KeyAgreement), prepared(spec, KeyUsageType::KeyAgreement));
        let der = |key: &PreparedKey| key.public_key().expect("asymmetric").der().to_vec();
        let derive = |key: &PreparedKey, der: &[u8]| {
            key.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, der).map(|secret| secret.expose().to_vec())
        };
        let shared = derive(&one, &der(&two)).expect("on the curve");
        assert_eq!(derive(&two, &der(&one)), Ok(shared.clone()));
        assert_eq!(shared.len(), len);
        for other in specs().filter(|other| *other != spec && !algorithms(*other).signing.is_empty()) {
            let der = material(other).public_key_der().expect("sound").expect("asymmetric");
            assert_eq!(derive(&one, &der), Err(KeyUseError::InvalidPublicKey), "{spec} and {other}");
        }
        let mut off_the_curve = der(&two);
        *off_the_curve.last_mut().expect("not empty") ^= 1;
        assert_eq!(derive(&one, &off_the_curve), Err(KeyUseError::InvalidPublicKey));
        assert_eq!(derive(&one, &[&der(&two)[..], &[0]].concat()), Err(KeyUseError::InvalidPublicKey));
    }
}

#[test]
fn a_foreign_ciphertext_decapsulates_to_something_else() {
    let lens = [(KeySpec::MlKem512, 768), (KeySpec::MlKem768, 1088), (KeySpec::MlKem1024, 1568)];
    for (spec, ciphertext_len) in lens {
        let key = prepared(spec, KeyUsageType::EncapsulateDecapsulate);
        let decapsulate = |ciphertext: &[u8]| {
            let secret = key.decapsulate(EncapsulationAlgorithmSpec::MlKem, ciphertext);
            secret.map(|secret| secret.expose().to_vec())
        };
        let made = key.encapsulate(EncapsulationAlgorithmSpec::MlKem).expect("random");
        let secret = made.shared_secret.expose().to_vec();
        assert_eq!((made.ciphertext.len(), secret.len()), (ciphertext_len, 32));
        assert_eq!(decapsulate(&made.ciphertext), Ok(secret.clone()));
        let mut changed = made.ciphertext.clone();
        changed[0] ^= 1;
        let rejected = decapsulate(&changed).expect("implicit rejection");
        assert_ne!(rejected, secret);
        assert_eq!(decapsulate(&changed), Ok(rejected), "the same each time");
        assert_eq!(decapsulate(&made.ciphertext[1..]), Err(KeyUseError::InvalidCiphertext));
        let again = key.encapsulate(EncapsulationAlgorithmSpec::MlKem).expect("random");
        assert_ne!(again.ciphertext, made.ciphertext);
    }
}
