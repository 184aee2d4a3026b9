//! Whatever is not exactly what the service gave out does not open, and tells nothing.

use std::collections::BTreeMap;

use meridian_model::shapes::{DecryptRequest, EncryptRequest, ReEncryptRequest};
use meridian_model::{Blob, ErrorCode, SecretBlob};
use meridian_testkit::waiting::assert_refused;
use meridian_testkit::{Client, Cluster, Seed, account};

fn context(value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("purpose".to_owned(), value.to_owned())])
}

async fn encrypt_with_context(client: &Client, key_id: &str, value: &str) -> Blob {
    let request = EncryptRequest {
        key_id: key_id.to_owned(),
        plaintext: SecretBlob::from(&b"sixteen bytes.."[..]),
        encryption_context: context(value),
        grant_tokens: Vec::new(),
        encryption_algorithm: None,
        dry_run: None,
    };
    client.call(request).await.expect("encrypted").ciphertext_blob
}

async fn decrypt_code(client: &Client, ciphertext: &[u8], key_id: Option<&str>, value: &str) -> ErrorCode {
    let request = DecryptRequest {
        ciphertext_blob: Some(Blob::from(ciphertext)),
        encryption_context: context(value),
        key_id: key_id.map(str::to_owned),
        ..DecryptRequest::default()
    };
    client.call(request).await.map(drop).expect_err("nothing but the original opens").code
}

/// Where bytes of `part` stand in `whole`.
fn range_of(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = whole.windows(part.len()).position(|window| window == part).expect("it is in there");
    start..start + part.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bit_of_a_ciphertext_can_be_changed() {
    let cluster = Cluster::builder().nodes(1).start().await;
    let client = cluster.client(&cluster.regions()[0]);
    let key_id = client.create_key("").await.expect("created").key_id;
    let original = encrypt_with_context(&client, &key_id, "test").await;
    let names_key = range_of(original.as_slice(), &key_id.parse::<meridian_model::KeyId>().expect("valid").to_bytes());
    let mut flips = 0;
    for position in 0..original.as_slice().len() {
        for bit in 0..8 {
            let mut changed = original.as_slice().to_vec();
            changed[position] ^= 1 << bit;
            let code = decrypt_code(&client, &changed, None, "test").await;
            // Another key's name: there is no such key, or it is no key's name at all.
            let expected: &[ErrorCode] = if names_key.contains(&position) {
                &[ErrorCode::AccessDenied, ErrorCode::InvalidCiphertext]
            } else {
                &[ErrorCode::InvalidCiphertext]
            };
            assert!(expected.contains(&code), "bit {bit} of byte {position}: {code}");
            let code = decrypt_code(&client, &changed, Some(&key_id), "test").await;
            let expected: &[ErrorCode] = if names_key.contains(&position) {
                &[ErrorCode::IncorrectKey, ErrorCode::InvalidCiphertext]
            } else {
                &[ErrorCode::InvalidCiphertext]
            };
            assert!(expected.contains(&code), "bit {bit} of byte {position}, with the key named: {code}");
            flips += 1;
        }
    }
    println!("{flips} changed ciphertexts refused");
    assert!(flips > 8 * 100, "a ciphertext is longer than that");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_part_of_a_ciphertext_can_be_left_out_added_or_exchanged() {
    let cluster = Cluster::builder().nodes(1).start().await;
    let client = cluster.client(&cluster.regions()[0]);
    let key_id = client.create_key("").await.expect("created").key_id;
    let original = encrypt_with_context(&client, &key_id, "test").await;
    let bytes = original.as_slice();
    let invalid = ErrorCode::InvalidCiphertext;
    for length in 1..bytes.len() {
        assert_eq!(decrypt_code(&client, &bytes[..length], None, "test").await, invalid, "cut to {length} bytes");
    }
    assert_eq!(decrypt_code(&client, &[bytes, &[0]].concat(), None, "test").await, invalid, "one byte more");
    for value in ["", "Test", "test "] {
        assert_eq!(decrypt_code(&client, bytes, None, value).await, invalid, "context {value:?}");
    }
    assert_refused(client.decrypt(&original).await, invalid);
    // Two ciphertexts of one key, of equal length: no prefix of one goes with the rest of the other.
    let other = encrypt_with_context(&client, &key_id, "test").await;
    let shared = bytes.iter().zip(other.as_slice()).take_while(|(one, other)| one == other).count();
    for cut in shared + 1..bytes.len() {
        let mixed = [&bytes[..cut], &other.as_slice()[cut..]].concat();
        if mixed != bytes {
            assert_eq!(decrypt_code(&client, &mixed, None, "test").await, invalid, "exchanged at {cut}");
        }
    }
    let request = DecryptRequest {
        ciphertext_blob: Some(original),
        encryption_context: context("test"),
        ..DecryptRequest::default()
    };
    client.call(request).await.expect("the original still opens");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_ciphertexts_and_foreign_accounts_get_nothing() {
    let cluster = Cluster::builder().nodes(1).start().await;
    let elsewhere = Cluster::builder().nodes(1).start().await;
    let client = cluster.client(&cluster.regions()[0]);
    let key = client.create_key("").await.expect("created");
    let own = encrypt_with_context(&client, &key.key_id, "test").await;
    // Of a key of another cluster, which has the same Regions and accounts.
    let stranger = elsewhere.client(&elsewhere.regions()[0]);
    let foreign_key = stranger.create_key("").await.expect("created");
    let foreign = encrypt_with_context(&stranger, &foreign_key.key_id, "test").await;
    assert_eq!(decrypt_code(&client, foreign.as_slice(), None, "test").await, ErrorCode::AccessDenied);
    let code = decrypt_code(&client, foreign.as_slice(), Some(&key.key_id), "test").await;
    assert_eq!(code, ErrorCode::IncorrectKey);
    // The foreign body under the header of an own key.
    let (key_id, foreign_id) = (key.key_id.parse::<meridian_model::KeyId>(), foreign_key.key_id.parse());
    let (key_id, foreign_id): (_, meridian_model::KeyId) = (key_id.expect("valid"), foreign_id.expect("valid"));
    let mut renamed = foreign.as_slice().to_vec();
    let place = range_of(&renamed, &foreign_id.to_bytes());
    renamed[place].copy_from_slice(&key_id.to_bytes());
    assert_eq!(decrypt_code(&client, &renamed, None, "test").await, ErrorCode::InvalidCiphertext);
    let mut seed = Seed::of_this_run().of("noise");
    for length in [1, 12, 60, own.as_slice().len(), 6_144] {
        let noise: Vec<u8> = (0..length).map(|_| seed.draw().to_le_bytes()[0]).collect();
        assert_eq!(decrypt_code(&client, &noise, None, "test").await, ErrorCode::InvalidCiphertext, "{length} bytes");
    }
    // Another account: neither by the ciphertext nor by any name of the key, and no word about whether it exists.
    let other = client.with_account(account(2));
    assert_eq!(decrypt_code(&other, own.as_slice(), None, "test").await, ErrorCode::AccessDenied);
    assert_eq!(decrypt_code(&other, own.as_slice(), Some(&key.arn), "test").await, ErrorCode::AccessDenied);
    assert_refused(other.encrypt(&key.arn, b"text").await, ErrorCode::AccessDenied);
    assert_refused(other.encrypt(&key.key_id, b"text").await, ErrorCode::NotFound);
    assert_refused(other.describe(&key.arn).await, ErrorCode::AccessDenied);
    assert_refused(other.schedule_deletion(&key.arn, 7).await, ErrorCode::AccessDenied);
    let others_key = other.create_key("").await.expect("created").key_id;
    let into_its_own = ReEncryptRequest {
        ciphertext_blob: Some(own),
        source_encryption_context: context("test"),
        destination_key_id: others_key,
        ..ReEncryptRequest::default()
    };
    assert_refused(other.call(into_its_own).await, ErrorCode::AccessDenied);
    elsewhere.shutdown().await;
    cluster.shutdown().await;
}
