//! Keys under keys: what is wrapped or sealed opens in its own place and nowhere else.

use meridian_crypto::{
    DomainKey, DomainKeyId, KeyMaterial, MaterialBinding, RootKey, Secret, SecretBytes, UnsealError,
};
use meridian_model::{KeyId, KeyMaterialId, Partition, Region, Timestamp};

fn region(name: &str) -> Region {
    name.parse().expect("valid")
}

fn binding() -> MaterialBinding {
    MaterialBinding {
        account: "111122223333".parse().expect("valid"),
        key_id: KeyId::multi_region([1; 16]),
        material_id: KeyMaterialId::from_bytes([2; 32]),
    }
}

fn bytes_of(material: &KeyMaterial) -> Vec<u8> {
    material.encode().expose().to_vec()
}

#[test]
fn material_survives_both_layers() {
    let root = RootKey::generate().expect("random");
    let domain_key = DomainKey::generate().expect("random");
    let material = KeyMaterial::generate_symmetric(Partition::Aws).expect("random");
    let wrapped = root.wrap(&domain_key, &region("us-east-1"), Timestamp::from_millis(5)).expect("random");
    let sealed = domain_key.seal(&material, &binding()).expect("random");
    assert_eq!((wrapped.ciphertext.len(), sealed.ciphertext.len()), (48, 49));

    let kept = Secret::init(|bytes| bytes.copy_from_slice(root.expose_to_seal().expose()));
    let reopened = RootKey::from_seal(kept).unwrap(&wrapped, &region("us-east-1")).expect("authentic");
    assert_eq!(reopened.id(), domain_key.id());
    let opened = reopened.open(&sealed, &binding()).expect("authentic");
    assert_eq!(bytes_of(&opened), bytes_of(&material));
}

#[test]
fn a_wrapped_domain_key_opens_in_its_own_place_only() {
    let root = RootKey::generate().expect("random");
    let domain_key = DomainKey::generate().expect("random");
    let here = region("us-east-1");
    let wrapped = root.wrap(&domain_key, &here, Timestamp::from_millis(5)).expect("random");
    let refused = |root: &RootKey, wrapped: &_, region: &Region| {
        assert_eq!(root.unwrap(wrapped, region).map(|_| ()), Err(UnsealError::NotAuthentic));
    };
    refused(&root, &wrapped, &region("us-east-2"));
    refused(&RootKey::generate().expect("random"), &wrapped, &here);
    let mut other = wrapped.clone();
    other.id = DomainKeyId([0; 16]);
    refused(&root, &other, &here);
    let mut other = wrapped.clone();
    other.created_at = Timestamp::from_millis(6);
    refused(&root, &other, &here);
    let mut other = wrapped.clone();
    other.nonce[0] ^= 1;
    refused(&root, &other, &here);
    for at in 0..wrapped.ciphertext.len() {
        let mut other = wrapped.clone();
        other.ciphertext[at] ^= 1;
        refused(&root, &other, &here);
    }
    let mut other = wrapped.clone();
    other.ciphertext.clear();
    refused(&root, &other, &here);
}

#[test]
fn sealed_material_opens_in_its_own_place_only() {
    let domain_key = DomainKey::generate().expect("random");
    let sealed =
        domain_key.seal(&KeyMaterial::generate_symmetric(Partition::Aws).expect("random"), &binding()).expect("random");
    let wrong = [
        MaterialBinding { account: "111122223334".parse().expect("valid"), ..binding() },
        MaterialBinding { key_id: KeyId::multi_region([3; 16]), ..binding() },
        MaterialBinding { material_id: KeyMaterialId::from_bytes([3; 32]), ..binding() },
    ];
    for binding in wrong {
        assert_eq!(domain_key.open(&sealed, &binding).map(|_| ()), Err(UnsealError::NotAuthentic), "{binding:?}");
    }
    for at in 0..sealed.ciphertext.len() {
        let mut damaged = sealed.clone();
        damaged.ciphertext[at] ^= 0x80;
        assert_eq!(domain_key.open(&damaged, &binding()).map(|_| ()), Err(UnsealError::NotAuthentic));
    }
    assert!(domain_key.open(&sealed, &binding()).is_ok());
}

#[test]
fn material_of_another_domain_key_is_told_apart() {
    let (one, two) = (DomainKey::generate().expect("random"), DomainKey::generate().expect("random"));
    let sealed =
        one.seal(&KeyMaterial::generate_symmetric(Partition::Aws).expect("random"), &binding()).expect("random");
    let expected = UnsealError::OtherDomainKey { sealed_by: one.id(), opened_by: two.id() };
    assert_eq!(two.open(&sealed, &binding()).map(|_| ()), Err(expected));
    let mut relabelled = sealed;
    relabelled.domain_key_id = two.id();
    assert_eq!(two.open(&relabelled, &binding()).map(|_| ()), Err(UnsealError::NotAuthentic));
}

#[test]
fn material_of_an_unknown_kind_or_length_is_refused() {
    let unknown = |bytes: &[u8]| KeyMaterial::decode(&SecretBytes::copy_from(bytes)).map(|_| ());
    assert_eq!(unknown(&[]), Err(UnsealError::UnknownMaterial { kind: 0, len: 0 }));
    assert_eq!(unknown(&[99; 33]), Err(UnsealError::UnknownMaterial { kind: 99, len: 32 }));
    assert_eq!(unknown(&[1; 32]), Err(UnsealError::UnknownMaterial { kind: 1, len: 31 }));
    assert_eq!(unknown(&[1; 33]), Ok(()));
}

#[test]
fn the_check_value_tells_root_keys_apart() {
    let root = |byte| RootKey::from_seal(Secret::init(|bytes| *bytes = [byte; 32]));
    assert_eq!(root(1).check_value(), root(1).check_value());
    assert_ne!(root(1).check_value(), root(2).check_value());
}

#[test]
fn nothing_prints_a_secret() {
    let root = RootKey::from_seal(Secret::init(|bytes| *bytes = [0xab; 32]));
    let material = KeyMaterial::Symmetric(Secret::init(|bytes| *bytes = [0xab; 32]));
    for text in [format!("{root:?}"), format!("{material:?}"), format!("{:?}", material.encode())] {
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab,"), "{text}");
    }
}
