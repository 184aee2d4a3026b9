//! Each algorithm against a second implementation, in both directions.

use aws_lc_rs::signature as aws;
use meridian_crypto::algorithms::algorithms;
use meridian_crypto::{KeyMaterial, PreparedKey, PublicKey, random};
use meridian_model::{
    EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType, MessageType,
    Partition, SigningAlgorithmSpec,
};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use rsa::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{bytes_of, material, prepared};

const MESSAGE: &[u8] = b"signed by one, verified by the other";

fn der_of(key: &PreparedKey) -> &[u8] {
    key.public_key().expect("asymmetric").der()
}

/// The system's generator, as RustCrypto wants it.
struct Generator;

impl TryRng for Generator {
    type Error = random::RandomError;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        random::random_bytes().map(u32::from_le_bytes)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        random::random_bytes().map(u64::from_le_bytes)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        random::fill(bytes)
    }
}

impl TryCryptoRng for Generator {}

#[test]
fn rsa_signatures() {
    let material = material(KeySpec::Rsa2048);
    let ours = PreparedKey::new(&material, KeyUsageType::SignVerify).expect("sound");
    let theirs = rsa::PrivateKey::from_pkcs8_der(&bytes_of(&material)[1..]).expect("PKCS#8");
    let public = rsa::PublicKey::from_public_key_der(der_of(&ours)).expect("SubjectPublicKeyInfo");
    for &algorithm in algorithms(KeySpec::Rsa2048).signing {
        use SigningAlgorithmSpec as Spec;
        let signature = ours.sign(algorithm, MessageType::Raw, MESSAGE).expect("signs");
        let (by_them, verified) = match algorithm {
            Spec::RsassaPkcs1V15Sha256 => pkcs1_by_them::<Sha256>(&theirs, &public, &signature),
            Spec::RsassaPkcs1V15Sha384 => pkcs1_by_them::<Sha384>(&theirs, &public, &signature),
            Spec::RsassaPkcs1V15Sha512 => pkcs1_by_them::<Sha512>(&theirs, &public, &signature),
            Spec::RsassaPssSha256 => pss_by_them::<Sha256>(&theirs, &public, &signature),
            Spec::RsassaPssSha384 => pss_by_them::<Sha384>(&theirs, &public, &signature),
            _ => pss_by_them::<Sha512>(&theirs, &public, &signature),
        };
        assert!(verified, "{algorithm}");
        assert_eq!(ours.verify(algorithm, MessageType::Raw, MESSAGE, &by_them), Ok(()), "{algorithm}");
    }
}

fn pkcs1_by_them<D: Digest + rsa::pkcs8::AssociatedOid>(
    private: &rsa::PrivateKey,
    public: &rsa::PublicKey,
    signature: &[u8],
) -> (Vec<u8>, bool) {
    let digest = D::digest(MESSAGE);
    let made = private.sign(rsa::Pkcs1v15Sign::new::<D>(), &digest).expect("signs");
    assert_eq!(made, signature, "PKCS#1 v1.5 is deterministic");
    (made, public.verify(rsa::Pkcs1v15Sign::new::<D>(), &digest, signature).is_ok())
}

fn pss_by_them<D: Digest + Default + sha2::digest::FixedOutputReset + 'static>(
    private: &rsa::PrivateKey,
    public: &rsa::PublicKey,
    signature: &[u8],
) -> (Vec<u8>, bool) {
    let digest = <D as Digest>::digest(MESSAGE);
    let made = private.sign_with_rng(&mut Generator, rsa::Pss::<D>::new(), &digest).expect("signs");
    (made, public.verify(rsa::Pss::<D>::new(), &digest, signature).is_ok())
}

#[test]
fn rsa_encryption() {
    let material = material(KeySpec::Rsa3072);
    let ours = PreparedKey::new(&material, KeyUsageType::EncryptDecrypt).expect("sound");
    let theirs = rsa::PrivateKey::from_pkcs8_der(&bytes_of(&material)[1..]).expect("PKCS#8");
    let public = rsa::PublicKey::from_public_key_der(der_of(&ours)).expect("SubjectPublicKeyInfo");
    assert_eq!(public.to_public_key_der().expect("DER").as_bytes(), der_of(&ours), "one encoding");
    let algorithm = EncryptionAlgorithmSpec::RsaesOaepSha256;
    for len in [0, 1, 200, 318] {
        let plaintext = vec![7; len];
        let by_us = ours.encrypt(algorithm, &plaintext).expect("encrypts");
        assert_eq!(theirs.decrypt(rsa::Oaep::<Sha256>::new(), &by_us).expect("decrypts"), plaintext);
        let by_them = public.encrypt(&mut Generator, rsa::Oaep::<Sha256>::new(), &plaintext).expect("encrypts");
        assert_eq!(ours.decrypt(algorithm, &by_them).expect("decrypts").expose(), plaintext);
    }
}

macro_rules! nist_curve {
    ($name:ident, $curve:ident, $spec:expr, $algorithm:expr) => {
        #[test]
        fn $name() {
            use $curve::ecdsa::signature::{Signer, Verifier};
            use $curve::ecdsa::{DerSignature, SigningKey, VerifyingKey};
            for _ in 0..4 {
                let material = KeyMaterial::generate($spec).expect("random");
                let theirs = $curve::SecretKey::from_slice(&bytes_of(&material)[1..]).expect("a scalar");
                let encoded = theirs.public_key().to_public_key_der().expect("DER");
                assert_eq!(material.public_key_der(), Ok(Some(encoded.as_bytes().to_vec())), "one encoding");
                let ours = PreparedKey::new(&material, KeyUsageType::SignVerify).expect("sound");
                let signature = ours.sign($algorithm, MessageType::Raw, MESSAGE).expect("signs");
                let signature = DerSignature::from_bytes(&signature).expect("DER");
                VerifyingKey::from(theirs.public_key()).verify(MESSAGE, &signature).expect("verifies");
                let by_them: DerSignature = SigningKey::from(&theirs).sign(MESSAGE);
                assert_eq!(ours.verify($algorithm, MessageType::Raw, MESSAGE, by_them.as_bytes()), Ok(()));

                let ours = PreparedKey::new(&material, KeyUsageType::KeyAgreement).expect("sound");
                let other = prepared($spec, KeyUsageType::KeyAgreement);
                let public = $curve::PublicKey::from_public_key_der(der_of(&other)).expect("DER");
                let shared =
                    ours.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, der_of(&other)).expect("agrees");
                let by_them = $curve::ecdh::diffie_hellman(theirs.to_nonzero_scalar(), public.as_affine());
                assert_eq!(shared.expose(), &by_them.raw_secret_bytes()[..]);
            }
        }
    };
}

nist_curve!(p_256, p256, KeySpec::EccNistP256, SigningAlgorithmSpec::EcdsaSha256);
nist_curve!(p_384, p384, KeySpec::EccNistP384, SigningAlgorithmSpec::EcdsaSha384);
nist_curve!(p_521, p521, KeySpec::EccNistP521, SigningAlgorithmSpec::EcdsaSha512);

#[test]
fn secp256k1() {
    let algorithm = SigningAlgorithmSpec::EcdsaSha256;
    for _ in 0..32 {
        let theirs = aws::EcdsaKeyPair::generate(&aws::ECDSA_P256K1_SHA256_ASN1_SIGNING).expect("random");
        let pkcs8 = theirs.to_pkcs8v1().expect("PKCS#8");
        let pkcs8 = meridian_crypto::SecretBytes::copy_from(pkcs8.as_ref());
        let imported = KeyMaterial::import(KeySpec::EccSecgP256k1, Partition::Aws, &pkcs8).expect("sound");
        let ours = PreparedKey::new(&imported, KeyUsageType::SignVerify).expect("sound");
        let signature = ours.sign(algorithm, MessageType::Raw, MESSAGE).expect("signs");
        let public = aws::UnparsedPublicKey::new(&aws::ECDSA_P256K1_SHA256_ASN1, der_of(&ours));
        public.verify(MESSAGE, &signature).expect("verifies");
        // AWS-LC does not care which of the two values of s it makes: half of these are the higher one.
        let by_them = theirs.sign(&aws_lc_rs::rand::SystemRandom::new(), MESSAGE).expect("signs");
        assert_eq!(ours.verify(algorithm, MessageType::Raw, MESSAGE, by_them.as_ref()), Ok(()));
    }
}

#[test]
fn ed25519() {
    let material = material(KeySpec::EccNistEdwards25519);
    let ours = PreparedKey::new(&material, KeyUsageType::SignVerify).expect("sound");
    let theirs = aws::Ed25519KeyPair::from_seed_unchecked(&bytes_of(&material)[1..]).expect("32 bytes");
    for len in 0..130 {
        let message = vec![8; len];
        let signature = ours.sign(SigningAlgorithmSpec::Ed25519Sha512, MessageType::Raw, &message).expect("signs");
        assert_eq!(signature, theirs.sign(&message).as_ref(), "{len} bytes");
    }
}

macro_rules! ml_dsa_set {
    ($name:ident, $parameters:ty, $spec:expr) => {
        #[test]
        fn $name() {
            use ml_dsa::signature::Verifier;
            let algorithm = SigningAlgorithmSpec::MlDsaShake256;
            let material = KeyMaterial::generate($spec).expect("random");
            let ours = PreparedKey::new(&material, KeyUsageType::SignVerify).expect("sound");
            let seed = ml_dsa::Seed::try_from(&bytes_of(&material)[1..]).expect("32 bytes");
            let theirs = ml_dsa::SigningKey::<$parameters>::from_seed(&seed);
            let public = ml_dsa::Keypair::verifying_key(&theirs);
            assert_eq!(public.to_public_key_der().expect("DER").as_bytes(), der_of(&ours), "one encoding");

            let signature = ours.sign(algorithm, MessageType::Raw, MESSAGE).expect("signs");
            let parsed = ml_dsa::Signature::<$parameters>::try_from(&signature[..]).expect("a signature");
            public.verify(MESSAGE, &parsed).expect("verifies");
            assert_ne!(ours.sign(algorithm, MessageType::Raw, MESSAGE).expect("signs"), signature, "hedged");
            let by_them = theirs.expanded_key().sign_deterministic(MESSAGE, &[]).expect("signs").encode();
            assert_eq!(ours.verify(algorithm, MessageType::Raw, MESSAGE, &by_them), Ok(()));

            // The message representative says the same as the message.
            let absorb = |hash: &mut _| {
                sha2::digest::Update::update(hash, MESSAGE);
                Ok(())
            };
            let mu = public.compute_mu(absorb, &[]).expect("no context");
            let of_mu = ours.sign(algorithm, MessageType::ExternalMu, &mu).expect("signs");
            assert_eq!(ours.verify(algorithm, MessageType::Raw, MESSAGE, &of_mu), Ok(()));
            assert_eq!(ours.verify(algorithm, MessageType::ExternalMu, &mu, &signature), Ok(()));
            assert_ne!(ours.sign(algorithm, MessageType::ExternalMu, &mu).expect("signs"), of_mu, "hedged");
        }
    };
}

ml_dsa_set!(ml_dsa_44, ml_dsa::MlDsa44, KeySpec::MlDsa44);
ml_dsa_set!(ml_dsa_65, ml_dsa::MlDsa65, KeySpec::MlDsa65);
ml_dsa_set!(ml_dsa_87, ml_dsa::MlDsa87, KeySpec::MlDsa87);

#[test]
fn ml_kem() {
    use aws_lc_rs::kem;
    let sets = [
        (KeySpec::MlKem512, &kem::ML_KEM_512),
        (KeySpec::MlKem768, &kem::ML_KEM_768),
        (KeySpec::MlKem1024, &kem::ML_KEM_1024),
    ];
    for (spec, parameters) in sets {
        let ours = prepared(spec, KeyUsageType::EncapsulateDecapsulate);
        let public = &der_of(&ours)[PUBLIC_KEY_PREFIX_LEN..];
        let (ciphertext, shared) =
            kem::EncapsulationKey::new(parameters, public).expect("a key").encapsulate().expect("random");
        let by_us = ours.decapsulate(EncapsulationAlgorithmSpec::MlKem, ciphertext.as_ref()).expect("decapsulates");
        assert_eq!(by_us.expose(), shared.as_ref());

        let theirs = kem::DecapsulationKey::generate(parameters).expect("random");
        let public = theirs.encapsulation_key().expect("a key").key_bytes().expect("bytes");
        let der = [&der_of(&ours)[..PUBLIC_KEY_PREFIX_LEN], public.as_ref()].concat();
        let made = PublicKey::from_der(spec, &der).expect("a key").encapsulate().expect("random");
        let by_them = theirs.decapsulate(made.ciphertext[..].into()).expect("decapsulates");
        assert_eq!(by_them.as_ref(), made.shared_secret.expose());
    }
}

/// What stands before the key in a `SubjectPublicKeyInfo` of ML-KEM.
const PUBLIC_KEY_PREFIX_LEN: usize = 22;
