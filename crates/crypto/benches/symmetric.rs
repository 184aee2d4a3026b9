//! What encrypting and decrypting a message costs, beside the bare AES-256-GCM below it.
//!
//! Run: `cargo bench -p meridian-crypto`.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use meridian_crypto::aead::AeadKey;
use meridian_crypto::random::random_bytes;
use meridian_crypto::{
    DomainKey, KeyMaterial, MaterialBinding, MaterialCipher, Secret, SecretBytes, TransportBinding, TransportKeyPair,
};
use meridian_model::{KeyId, KeyMaterialId};

fn messages(criterion: &mut Criterion) {
    let material = Secret::random().expect("random");
    let cipher = MaterialCipher::new(&material, KeyId::multi_region([1; 16]), KeyMaterialId::from_bytes([2; 32]));
    let context = BTreeMap::from([("purpose".to_owned(), "benchmark".to_owned())]);
    let bare = AeadKey::new(material.expose());
    for len in [32, 4096] {
        let plaintext = vec![7; len];
        let blob = cipher.encrypt(&context, &plaintext).expect("encrypts");
        criterion.bench_function(&format!("bare seal, key expanded, {len} B"), |bench| {
            bench.iter(|| bare.seal(&[3; 12], &[0; 150], black_box(&plaintext)));
        });
        criterion.bench_function(&format!("encrypt {len} B"), |bench| {
            bench.iter(|| cipher.encrypt(&context, black_box(&plaintext)));
        });
        criterion.bench_function(&format!("decrypt {len} B"), |bench| {
            bench.iter(|| cipher.decrypt(black_box(&blob), &context));
        });
    }
    criterion.bench_function("draw 28 random bytes", |bench| bench.iter(random_bytes::<28>));
    criterion.bench_function("take and wipe a 32-byte secret", |bench| {
        bench.iter(|| Secret::<32>::init(|bytes| *bytes = black_box([1; 32])));
    });
}

fn keys(criterion: &mut Criterion) {
    let binding = MaterialBinding {
        account: "111122223333".parse().expect("valid"),
        key_id: KeyId::multi_region([1; 16]),
        material_id: KeyMaterialId::from_bytes([2; 32]),
    };
    let domain_key = DomainKey::generate().expect("random");
    let material = KeyMaterial::generate_symmetric(meridian_model::Partition::Aws).expect("random");
    let sealed = domain_key.seal(&material, &binding).expect("random");
    let secret = Secret::random().expect("random");
    criterion.bench_function("seal key material", |bench| bench.iter(|| domain_key.seal(&material, &binding)));
    criterion.bench_function("open key material", |bench| bench.iter(|| domain_key.open(&sealed, &binding)));
    criterion.bench_function("prepare a cipher", |bench| {
        bench.iter(|| MaterialCipher::new(&secret, binding.key_id, binding.material_id));
    });
    transport(criterion, &binding);
}

fn transport(criterion: &mut Criterion, of: &MaterialBinding) {
    let pair = TransportKeyPair::generate().expect("random");
    let binding = TransportBinding {
        account: of.account,
        key_id: of.key_id,
        material_id: of.material_id,
        from: "us-east-1".parse().expect("valid"),
        to: "eu-west-1".parse().expect("valid"),
        epoch: 1,
        sequence: 1,
    };
    let secret = SecretBytes::copy_from(&[7; 33]);
    let envelope = pair.public().seal(&binding, &secret).expect("seals");
    criterion.bench_function("generate a transport key", |bench| bench.iter(TransportKeyPair::generate));
    criterion.bench_function("seal for transport", |bench| bench.iter(|| pair.public().seal(&binding, &secret)));
    criterion.bench_function("open from transport", |bench| bench.iter(|| pair.open(&envelope, &binding)));
}

criterion_group!(benches, messages, keys);
criterion_main!(benches);
