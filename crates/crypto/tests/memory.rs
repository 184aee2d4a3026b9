//! Whether secrets really are gone from the memory of the process once they are dropped.
//!
//! Each test fills a secret in its place, keeps only an inverted copy of it, and searches everything the process can
//! write to. A secret that is alive has to be found, or the search would prove nothing.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use meridian_crypto::kdf;
use meridian_crypto::mac::MacKey;
use meridian_crypto::{
    DataKeyPair, DomainKey, KeyMaterial, MaterialBinding, MaterialCipher, PreparedKey, RootKey, Secret, SecretBytes,
    TransportBinding, TransportKeyPair, locking_status,
};
use meridian_model::{
    DataKeyPairSpec, EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeyId,
    KeyMaterialId, KeySpec, KeyUsageType, MacAlgorithmSpec, MessageType, Partition, SigningAlgorithmSpec, Timestamp,
};
use zeroize::Zeroize;

/// The search sees the memory of every thread, so tests run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

static ZEROS: [u8; 4096] = [0; 4096];

/// A byte string that is never spelled out in memory.
struct Needle(Vec<u8>);

impl Needle {
    fn of(secret: &[u8], mask: u8) -> Self {
        // It has to begin with something else than zero, because pages of zeros are skipped.
        Self(secret.iter().map(|byte| !(byte ^ mask)).skip_while(|inverted| *inverted == !0).collect())
    }

    fn is_at(&self, window: &[u8]) -> bool {
        window.iter().zip(&self.0).all(|(byte, inverted)| *byte == !inverted)
    }

    fn count_in(&self, buffer: &[u8]) -> usize {
        let last_start = buffer.len() - self.0.len();
        let in_page = |start: usize| {
            let page = &buffer[start..buffer.len().min(start + ZEROS.len())];
            if page == &ZEROS[..page.len()] {
                return 0;
            }
            let starts = start..(start + page.len()).min(last_start + 1);
            starts.filter(|&at| buffer[at] == !self.0[0] && self.is_at(&buffer[at..])).count()
        };
        (0..=last_start).step_by(ZEROS.len()).map(in_page).sum()
    }

    /// How often the string stands in writable memory.
    fn count(&self) -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
        let memory = File::open("/proc/self/mem").expect("readable");
        let mut buffer = vec![0; 256 * 1024];
        let mut found = 0;
        for range in maps.lines().filter(|line| line.contains(" rw")) {
            let (start, rest) = range.split_once('-').expect("start-end");
            let address = |text: &str| u64::from_str_radix(text, 16).expect("hex");
            let end = address(rest.split(' ').next().expect("end"));
            let mut at = address(start);
            while at < end {
                let len = memory.read_at(&mut buffer, at).unwrap_or(0).min(usize::try_from(end - at).expect("fits"));
                if len < self.0.len() {
                    break;
                }
                found += self.count_in(&buffer[..len]);
                buffer.fill(0); // or the next search would find this copy
                at += if at + len as u64 == end { len as u64 } else { (len - self.0.len() + 1) as u64 };
            }
        }
        found
    }
}

#[test]
fn dropped_secrets_are_gone() {
    let _alone = ALONE.lock();
    let secret = Secret::<32>::random().expect("random");
    let needle = Needle::of(secret.expose(), 0);
    assert_eq!(needle.count(), 1);
    drop(secret);
    assert_eq!(needle.count(), 0);

    for len in [33, 4096, 20_000] {
        let secret = SecretBytes::random(len).expect("random");
        let needle = Needle::of(&secret.expose()[..32], 0);
        assert_eq!(needle.count(), 1, "{len} bytes");
        drop(secret);
        assert_eq!(needle.count(), 0, "{len} bytes");
    }
}

#[test]
fn a_secret_whose_filling_failed_is_gone() {
    let _alone = ALONE.lock();
    let mut needle = None;
    let failed: Result<Secret<32>, ()> = Secret::try_init(|bytes| {
        meridian_crypto::random::fill(bytes).expect("random");
        needle = Some(Needle::of(bytes, 0));
        Err(())
    });
    assert!(failed.is_err());
    assert_eq!(needle.expect("filled").count(), 0);
}

#[test]
fn using_key_material_leaves_no_copy_of_it() {
    using_leaves_no_copy(Partition::Aws);
}

#[test]
fn using_sm4_key_material_leaves_no_copy_of_it() {
    using_leaves_no_copy(Partition::AwsCn);
}

fn using_leaves_no_copy(partition: Partition) {
    let _alone = ALONE.lock();
    let material = KeyMaterial::generate_symmetric(partition).expect("random");
    // HMAC mixes its key with two constants before hashing it; neither mixture may stay behind.
    let encoded = material.encode();
    let needles = [0, 0x36, 0x5c].map(|mask| Needle::of(&encoded.expose()[1..], mask));
    drop(encoded);
    let (key_id, material_id) = (KeyId::multi_region([1; 16]), KeyMaterialId::from_bytes([2; 32]));
    let cipher = MaterialCipher::of(&material, key_id, material_id).expect("symmetric");
    drop(material);
    let context = std::collections::BTreeMap::new();
    let plaintext = SecretBytes::random(64).expect("random");
    let of_plaintext = Needle::of(plaintext.expose(), 0);
    let blob = cipher.encrypt(&context, plaintext.expose()).expect("encrypts");
    drop(plaintext);
    let opened = cipher.decrypt(&blob, &context).expect("authentic");
    assert_eq!(of_plaintext.count(), 1);
    drop(opened);
    assert_eq!(of_plaintext.count(), 0);
    drop(cipher);
    assert_eq!(needles.map(|needle| needle.count()), [0, 0, 0]);
}

/// The key that wraps domain keys exists only during a call. AES-256's first two round keys are the key itself.
#[inline(never)]
fn needle_of_wrapping_key(root: &RootKey) -> Needle {
    let prepared = MacKey::new(root.expose_to_seal().expose());
    Needle::of(&kdf::derive(&prepared, b"meridian domain key wrapping v1", &[])[..], 0)
}

#[test]
fn an_expanded_key_leaves_no_copy_on_the_stack() {
    let _alone = ALONE.lock();
    let root = RootKey::generate().expect("random");
    let domain_key = DomainKey::generate().expect("random");
    let needle = needle_of_wrapping_key(&root);
    zeroize::zeroize_stack::<65_536>(); // of what finding out the key left there
    let wrapped = root.wrap(&domain_key, &"us-east-1".parse().expect("valid"), Timestamp::from_millis(1));
    // Searched from another thread, because the search would overwrite what it looks for.
    assert_eq!(std::thread::scope(|scope| scope.spawn(|| needle.count()).join().expect("no panic")), 0);
    assert!(wrapped.is_ok());
}

#[test]
fn keys_under_keys_leave_no_copy() {
    let _alone = ALONE.lock();
    let root = RootKey::generate().expect("random");
    let of_root = Needle::of(root.expose_to_seal().expose(), 0);
    let material = KeyMaterial::generate_symmetric(Partition::Aws).expect("random");
    let of_material = Needle::of(&material.encode().expose()[1..], 0);
    let region = "us-east-1".parse().expect("valid");
    let binding = MaterialBinding {
        account: "111122223333".parse().expect("valid"),
        key_id: KeyId::multi_region([1; 16]),
        material_id: KeyMaterialId::from_bytes([2; 32]),
    };
    let domain_key = DomainKey::generate().expect("random");
    let wrapped = root.wrap(&domain_key, &region, Timestamp::from_millis(1)).expect("random");
    let sealed = domain_key.seal(&material, &binding).expect("random");
    drop((material, domain_key));
    assert_eq!((of_root.count(), of_material.count()), (1, 0));
    let reopened = root.unwrap(&wrapped, &region).expect("authentic");
    drop(root);
    let opened = reopened.open(&sealed, &binding).expect("authentic");
    assert_eq!((of_root.count(), of_material.count()), (0, 1));
    drop(opened);
    assert_eq!(of_material.count(), 0);
}

#[test]
fn transport_leaves_no_copy() {
    let _alone = ALONE.lock();
    let binding = TransportBinding {
        account: "111122223333".parse().expect("valid"),
        key_id: KeyId::multi_region([1; 16]),
        material_id: KeyMaterialId::from_bytes([2; 32]),
        from: "us-east-1".parse().expect("valid"),
        to: "eu-west-1".parse().expect("valid"),
        epoch: 3,
        sequence: 4,
    };
    let pair = TransportKeyPair::generate().expect("random");
    let secret = SecretBytes::random(33).expect("random");
    let needle = Needle::of(secret.expose(), 0);
    let envelope = pair.public().seal(&binding, &secret).expect("seals");
    drop(secret);
    assert_eq!(needle.count(), 0);
    let opened = pair.open(&envelope, &binding).expect("authentic");
    assert_eq!(needle.count(), 1);
    drop(opened);
    assert_eq!(needle.count(), 0);
}

/// Does what the key is for, with whatever it has for messages.
fn use_key(key: &PreparedKey) {
    match (key.spec(), key.usage()) {
        (_, KeyUsageType::GenerateVerifyMac) => {
            key.mac(MacAlgorithmSpec::HmacSha512, b"message").expect("allowed");
        }
        (spec, KeyUsageType::EncryptDecrypt) => {
            let algorithm = match spec {
                KeySpec::Sm2 => EncryptionAlgorithmSpec::Sm2pke,
                _ => EncryptionAlgorithmSpec::RsaesOaepSha256,
            };
            let ciphertext = key.encrypt(algorithm, b"message").expect("encrypts");
            key.decrypt(algorithm, &ciphertext).expect("decrypts");
        }
        (_, KeyUsageType::KeyAgreement) => {
            let public = key.public_key().expect("asymmetric").der();
            key.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, public).expect("agrees");
        }
        (_, KeyUsageType::EncapsulateDecapsulate) => {
            let made = key.encapsulate(EncapsulationAlgorithmSpec::MlKem).expect("random");
            key.decapsulate(EncapsulationAlgorithmSpec::MlKem, &made.ciphertext).expect("decapsulates");
        }
        (KeySpec::MlDsa87, _) => {
            let algorithm = SigningAlgorithmSpec::MlDsaShake256;
            key.sign(algorithm, MessageType::Raw, b"message").expect("signs");
            key.sign(algorithm, MessageType::ExternalMu, &[1; 64]).expect("signs");
        }
        (KeySpec::EccNistEdwards25519, _) => {
            key.sign(SigningAlgorithmSpec::Ed25519Sha512, MessageType::Raw, b"message").expect("signs");
            key.sign(SigningAlgorithmSpec::Ed25519PhSha512, MessageType::Digest, &[1; 64]).expect("signs");
        }
        (KeySpec::Rsa2048, _) => {
            key.sign(SigningAlgorithmSpec::RsassaPssSha256, MessageType::Raw, b"message").expect("signs");
        }
        (KeySpec::EccNistP521, _) => {
            key.sign(SigningAlgorithmSpec::EcdsaSha512, MessageType::Raw, b"message").expect("signs");
        }
        (KeySpec::Sm2, _) => {
            key.sign(SigningAlgorithmSpec::Sm2dsa, MessageType::Raw, b"message").expect("signs");
            key.sign(SigningAlgorithmSpec::Sm2dsa, MessageType::Digest, &[1; 32]).expect("signs");
        }
        (_, KeyUsageType::SignVerify) => {
            key.sign(SigningAlgorithmSpec::EcdsaSha256, MessageType::Raw, b"message").expect("signs");
        }
    }
}

#[test]
fn prepared_keys_leave_no_copy() {
    let _alone = ALONE.lock();
    for (spec, usage) in [
        (KeySpec::Hmac512, KeyUsageType::GenerateVerifyMac),
        (KeySpec::Rsa2048, KeyUsageType::SignVerify),
        (KeySpec::Rsa2048, KeyUsageType::EncryptDecrypt),
        (KeySpec::EccNistP256, KeyUsageType::SignVerify),
        (KeySpec::EccNistP521, KeyUsageType::SignVerify),
        (KeySpec::EccNistP256, KeyUsageType::KeyAgreement),
        (KeySpec::EccSecgP256k1, KeyUsageType::SignVerify),
        (KeySpec::EccNistEdwards25519, KeyUsageType::SignVerify),
        (KeySpec::MlDsa87, KeyUsageType::SignVerify),
        (KeySpec::MlKem768, KeyUsageType::EncapsulateDecapsulate),
        (KeySpec::Sm2, KeyUsageType::SignVerify),
        (KeySpec::Sm2, KeyUsageType::EncryptDecrypt),
        (KeySpec::Sm2, KeyUsageType::KeyAgreement),
    ] {
        let material = KeyMaterial::generate(spec).expect("random");
        let encoded = material.encode();
        let mut secret = match spec {
            KeySpec::Rsa2048 => encoded.expose()[720..752].to_vec(), // within the second prime
            KeySpec::MlKem768 => encoded.expose()[1..33].to_vec(),   // d; z is kept elsewhere
            KeySpec::Sm2 => in_montgomery_form(&encoded.expose()[1..]),
            _ => encoded.expose()[1..].to_vec(),
        };
        let encoded_form = Needle::of(&encoded.expose()[1..33], 0);
        drop(encoded);
        zeroize::zeroize_stack::<65_536>(); // of what finding out the form left there
        // Engines keep integers as limbs, the least significant first.
        let as_bytes = Needle::of(&secret, 0);
        secret.reverse();
        let as_limbs = Needle::of(&secret, 0);
        secret.zeroize();
        let count = || {
            // From another thread, because the search would overwrite what the stack still holds.
            let search = || as_bytes.count() + as_limbs.count();
            std::thread::scope(|scope| scope.spawn(search).join().expect("no panic"))
        };
        let key = PreparedKey::new(&material, usage).expect("sound");
        drop(material);
        // Of an HMAC key only hashes are kept.
        assert_eq!(count() == 0, usage == KeyUsageType::GenerateVerifyMac, "{spec} for {usage}");
        use_key(&key);
        drop(key);
        assert_eq!((count(), encoded_form.count()), (0, 0), "{spec} for {usage}");
    }
}

/// `sm2` keeps a scalar multiplied by 2^256, modulo the order.
#[inline(never)]
fn in_montgomery_form(scalar: &[u8]) -> Vec<u8> {
    use sm2::elliptic_curve::PrimeField;
    let scalar: [u8; 32] = scalar.try_into().expect("32 bytes");
    let mut product = sm2::Scalar::from_repr(scalar.into()).expect("in range");
    (0..256).for_each(|_| product += product);
    product.to_repr().to_vec()
}

#[test]
fn data_key_pairs_leave_no_copy() {
    let _alone = ALONE.lock();
    for spec in [
        DataKeyPairSpec::Rsa2048,
        DataKeyPairSpec::EccNistP384,
        DataKeyPairSpec::EccSecgP256k1,
        DataKeyPairSpec::EccNistEdwards25519,
        DataKeyPairSpec::MlKem768,
    ] {
        let pair = DataKeyPair::generate(spec).expect("random");
        let private = pair.private_key_pkcs8.expose();
        // From where every one of these encodings holds the secret alone.
        let at = if spec == DataKeyPairSpec::Rsa2048 { 720 } else { private.len().min(60) - 24 };
        let needle = Needle::of(&private[at..at + 24], 0);
        let count = || std::thread::scope(|scope| scope.spawn(|| needle.count()).join().expect("no panic"));
        assert_eq!(count(), 1, "{spec}: the one that is handed out");
        drop(pair);
        assert_eq!(count(), 0, "{spec}");
    }
}

#[test]
fn a_hundred_thousand_secrets_fit() {
    let _alone = ALONE.lock();
    let before = locking_status();
    let secrets: Vec<_> = (0..100_000u32)
        .map(|number| Secret::<32>::init(|bytes| bytes[..4].copy_from_slice(&number.to_be_bytes())))
        .collect();
    let after = locking_status();
    let mapped = |status: meridian_crypto::LockingStatus| status.locked_bytes + status.unlocked_bytes;
    assert!(mapped(after) - mapped(before) <= 100_000 * 32 + 64 * 1024, "{after:?}");
    for (number, secret) in (0u32..).zip(&secrets) {
        assert_eq!(secret.expose()[..4], number.to_be_bytes());
    }
}
