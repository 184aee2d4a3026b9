//! What signing, verifying, authenticating, encrypting, decrypting, agreeing and making keys cost through our functions,
//! beside the bare function of the fastest library below them, in the same run.
//!
//! Run: `cargo bench -p meridian-crypto --bench keys`.

use std::hint::black_box;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{agreement, hmac, rsa, signature};
use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::Signer as _;
use meridian_crypto::{KeyMaterial, PreparedKey};
use meridian_model::{
    EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType,
    MacAlgorithmSpec, MessageType, SigningAlgorithmSpec,
};

const MESSAGE: [u8; 32] = [7; 32];

fn prepared(spec: KeySpec, usage: KeyUsageType) -> PreparedKey {
    PreparedKey::new(&KeyMaterial::generate(spec).expect("random"), usage).expect("sound")
}

/// Signing and verifying with a key of ours.
fn ours(criterion: &mut Criterion, spec: KeySpec, algorithm: SigningAlgorithmSpec) {
    let key = prepared(spec, KeyUsageType::SignVerify);
    let made = key.sign(algorithm, MessageType::Raw, &MESSAGE).expect("signs");
    criterion.bench_function(&format!("sign {spec} {algorithm}"), |bench| {
        bench.iter(|| key.sign(algorithm, MessageType::Raw, black_box(&MESSAGE)));
    });
    criterion.bench_function(&format!("verify {spec} {algorithm}"), |bench| {
        bench.iter(|| key.verify(algorithm, MessageType::Raw, black_box(&MESSAGE), &made));
    });
}

fn rsa_signatures(criterion: &mut Criterion) {
    for (spec, size) in [
        (KeySpec::Rsa2048, KeySize::Rsa2048),
        (KeySpec::Rsa3072, KeySize::Rsa3072),
        (KeySpec::Rsa4096, KeySize::Rsa4096),
    ] {
        let key = rsa::KeyPair::generate(size).expect("random");
        let (random, mut made) = (SystemRandom::new(), vec![0; key.public_modulus_len()]);
        criterion.bench_function(&format!("bare sign {spec} PSS SHA-256, AWS-LC"), |bench| {
            bench.iter(|| key.sign(&signature::RSA_PSS_SHA256, &random, black_box(&MESSAGE), &mut made));
        });
        let public = key.public_key().as_ref().to_vec();
        let parsed = signature::ParsedPublicKey::new(&signature::RSA_PSS_2048_8192_SHA256, public).expect("sound");
        criterion.bench_function(&format!("bare verify {spec} PSS SHA-256, AWS-LC, key parsed"), |bench| {
            bench.iter(|| parsed.verify_sig(black_box(&MESSAGE), &made));
        });
        ours(criterion, spec, SigningAlgorithmSpec::RsassaPssSha256);
    }
}

fn ecdsa(criterion: &mut Criterion) {
    let random = SystemRandom::new();
    for (spec, signing, verifying, algorithm) in [
        (
            KeySpec::EccNistP256,
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            &signature::ECDSA_P256_SHA256_ASN1,
            SigningAlgorithmSpec::EcdsaSha256,
        ),
        (
            KeySpec::EccNistP384,
            &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            &signature::ECDSA_P384_SHA384_ASN1,
            SigningAlgorithmSpec::EcdsaSha384,
        ),
        (
            KeySpec::EccNistP521,
            &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
            &signature::ECDSA_P521_SHA512_ASN1,
            SigningAlgorithmSpec::EcdsaSha512,
        ),
    ] {
        let key = signature::EcdsaKeyPair::generate(signing).expect("random");
        let made = key.sign(&random, &MESSAGE).expect("signs");
        let public = signature::ParsedPublicKey::new(verifying, key.public_key().as_ref()).expect("sound");
        criterion.bench_function(&format!("bare sign {spec}, AWS-LC"), |bench| {
            bench.iter(|| key.sign(&random, black_box(&MESSAGE)));
        });
        criterion.bench_function(&format!("bare verify {spec}, AWS-LC, key parsed"), |bench| {
            bench.iter(|| public.verify_sig(black_box(&MESSAGE), made.as_ref()));
        });
        ours(criterion, spec, algorithm);
    }
    ours(criterion, KeySpec::EccSecgP256k1, SigningAlgorithmSpec::EcdsaSha256);
}

fn other_signatures(criterion: &mut Criterion) {
    let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let made = key.sign(&MESSAGE);
    criterion.bench_function("bare sign Ed25519, ed25519-dalek", |bench| bench.iter(|| key.sign(black_box(&MESSAGE))));
    criterion.bench_function("bare verify Ed25519, ed25519-dalek", |bench| {
        bench.iter(|| key.verifying_key().verify_strict(black_box(&MESSAGE), &made));
    });
    let aws = signature::Ed25519KeyPair::from_seed_unchecked(&[3; 32]).expect("32 bytes");
    criterion.bench_function("bare sign Ed25519, AWS-LC", |bench| bench.iter(|| aws.sign(black_box(&MESSAGE))));
    ours(criterion, KeySpec::EccNistEdwards25519, SigningAlgorithmSpec::Ed25519Sha512);
    for spec in [KeySpec::MlDsa44, KeySpec::MlDsa65, KeySpec::MlDsa87] {
        ours(criterion, spec, SigningAlgorithmSpec::MlDsaShake256);
    }
}

fn macs(criterion: &mut Criterion) {
    let bare = hmac::Key::new(hmac::HMAC_SHA256, &[5; 32]);
    criterion
        .bench_function("bare HMAC-SHA-256, AWS-LC", |bench| bench.iter(|| hmac::sign(&bare, black_box(&MESSAGE))));
    let key = prepared(KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac);
    let tag = key.mac(MacAlgorithmSpec::HmacSha256, &MESSAGE).expect("its algorithm");
    criterion.bench_function("mac HMAC_256", |bench| {
        bench.iter(|| key.mac(MacAlgorithmSpec::HmacSha256, black_box(&MESSAGE)));
    });
    criterion.bench_function("verify mac HMAC_256", |bench| {
        bench.iter(|| key.verify_mac(MacAlgorithmSpec::HmacSha256, black_box(&MESSAGE), &tag));
    });
}

fn encryption(criterion: &mut Criterion) {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("random");
    let public: PublicEncryptingKey = private.public_key();
    let encrypter = OaepPublicEncryptingKey::new(public).expect("sound");
    let decrypter = OaepPrivateDecryptingKey::new(private).expect("sound");
    let oaep = &OAEP_SHA256_MGF1SHA256;
    let (mut blob, mut plaintext) = (vec![0; encrypter.ciphertext_size()], vec![0; decrypter.min_output_size()]);
    criterion.bench_function("bare encrypt RSA_2048 OAEP SHA-256, AWS-LC", |bench| {
        bench.iter(|| encrypter.encrypt(oaep, black_box(&MESSAGE), &mut blob, None).map(|made| made.len()));
    });
    criterion.bench_function("bare decrypt RSA_2048 OAEP SHA-256, AWS-LC", |bench| {
        bench.iter(|| decrypter.decrypt(oaep, black_box(&blob), &mut plaintext, None).map(|made| made.len()));
    });
    let algorithm = EncryptionAlgorithmSpec::RsaesOaepSha256;
    let key = prepared(KeySpec::Rsa2048, KeyUsageType::EncryptDecrypt);
    let blob = key.encrypt(algorithm, &MESSAGE).expect("short");
    criterion.bench_function("encrypt RSA_2048", |bench| bench.iter(|| key.encrypt(algorithm, black_box(&MESSAGE))));
    criterion.bench_function("decrypt RSA_2048", |bench| bench.iter(|| key.decrypt(algorithm, black_box(&blob))));
}

fn shared_secrets(criterion: &mut Criterion) {
    let key = agreement::PrivateKey::generate(&agreement::ECDH_P256).expect("random");
    let peer = key.compute_public_key().expect("sound");
    criterion.bench_function("bare ECDH P-256, AWS-LC", |bench| {
        let public = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, peer.as_ref());
        bench.iter(|| agreement::agree(&key, black_box(public), (), |shared| Ok(shared[0])));
    });
    let key = prepared(KeySpec::EccNistP256, KeyUsageType::KeyAgreement);
    let der = key.public_key().expect("asymmetric").der().to_vec();
    criterion.bench_function("derive ECC_NIST_P256", |bench| {
        bench.iter(|| key.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, black_box(&der)));
    });
    for spec in [KeySpec::MlKem512, KeySpec::MlKem768, KeySpec::MlKem1024] {
        let key = prepared(spec, KeyUsageType::EncapsulateDecapsulate);
        let made = key.encapsulate(EncapsulationAlgorithmSpec::MlKem).expect("random");
        criterion.bench_function(&format!("encapsulate {spec}"), |bench| {
            bench.iter(|| key.encapsulate(EncapsulationAlgorithmSpec::MlKem));
        });
        criterion.bench_function(&format!("decapsulate {spec}"), |bench| {
            bench.iter(|| key.decapsulate(EncapsulationAlgorithmSpec::MlKem, black_box(&made.ciphertext)));
        });
    }
}

fn generation(criterion: &mut Criterion) {
    criterion.bench_function("bare generate P-256, AWS-LC", |bench| {
        bench.iter(|| signature::EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING));
    });
    for spec in [KeySpec::EccNistP256, KeySpec::EccSecgP256k1, KeySpec::EccNistEdwards25519, KeySpec::MlDsa65] {
        criterion.bench_function(&format!("generate {spec}"), |bench| bench.iter(|| KeyMaterial::generate(spec)));
    }
    // Looking for primes takes as long as it happens to take: only the mean of many says anything.
    let mut group = criterion.benchmark_group("RSA keys");
    group.sample_size(10);
    for (spec, size) in [(KeySpec::Rsa2048, KeySize::Rsa2048), (KeySpec::Rsa4096, KeySize::Rsa4096)] {
        group.bench_function(format!("bare generate {spec}, AWS-LC"), |bench| {
            bench.iter(|| {
                let key = rsa::KeyPair::generate(size).expect("random");
                let der: Pkcs8V1Der<'_> = key.as_der().expect("sound");
                der.as_ref().len()
            });
        });
        group.bench_function(format!("generate {spec}"), |bench| bench.iter(|| KeyMaterial::generate(spec)));
    }
    let material = KeyMaterial::generate(KeySpec::Rsa2048).expect("random");
    group.bench_function("prepare RSA_2048", |bench| {
        bench.iter(|| PreparedKey::new(black_box(&material), KeyUsageType::SignVerify));
    });
    group.finish();
}

criterion_group!(benches, rsa_signatures, ecdsa, other_signatures, macs, encryption, shared_secrets, generation);
criterion_main!(benches);
