//! Keys of every spec: what they can do, what they refuse, how they are encoded, and that other implementations agree.

mod cross_check;
mod encodings;
mod matrix;
mod sm2;

use std::sync::LazyLock;

use meridian_crypto::{KeyMaterial, PreparedKey, SecretBytes};
use meridian_model::{KeySpec, KeyUsageType, Partition, WireEnum};

/// Every spec.
fn specs() -> impl Iterator<Item = KeySpec> {
    KeySpec::VALUES.iter().filter_map(|text| KeySpec::from_wire(text))
}

const USAGES: [KeyUsageType; 5] = [
    KeyUsageType::SignVerify,
    KeyUsageType::EncryptDecrypt,
    KeyUsageType::GenerateVerifyMac,
    KeyUsageType::KeyAgreement,
    KeyUsageType::EncapsulateDecapsulate,
];

/// New material; RSA keys are slow to make, so that each size is made once for all tests.
fn material(spec: KeySpec) -> KeyMaterial {
    static RSA_2048: LazyLock<SecretBytes> = LazyLock::new(|| generated(KeySpec::Rsa2048));
    static RSA_3072: LazyLock<SecretBytes> = LazyLock::new(|| generated(KeySpec::Rsa3072));
    static RSA_4096: LazyLock<SecretBytes> = LazyLock::new(|| generated(KeySpec::Rsa4096));
    let encoded = match spec {
        KeySpec::Rsa2048 => &RSA_2048,
        KeySpec::Rsa3072 => &RSA_3072,
        KeySpec::Rsa4096 => &RSA_4096,
        KeySpec::SymmetricDefault => return KeyMaterial::generate_symmetric(Partition::Aws).expect("random"),
        _ => return KeyMaterial::generate(spec).expect("random"),
    };
    KeyMaterial::decode(encoded).expect("own encoding")
}

fn generated(spec: KeySpec) -> SecretBytes {
    KeyMaterial::generate(spec).expect("random").encode()
}

fn prepared(spec: KeySpec, usage: KeyUsageType) -> PreparedKey {
    PreparedKey::new(&material(spec), usage).expect("sound")
}

fn bytes_of(material: &KeyMaterial) -> Vec<u8> {
    material.encode().expose().to_vec()
}
