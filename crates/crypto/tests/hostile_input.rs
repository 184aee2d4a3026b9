//! Hostile bytes for everything here that reads them: ciphertexts, keys in DER, signatures, encapsulations, sealed forms.
//!
//! The inputs to start from are valid ones, made anew in each run. What is tried against which reader stands in one line
//! each; a new reader takes a test of its own and, for keys in DER, nothing more than its spec.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use meridian_crypto::algorithms::usages;
use meridian_crypto::{
    CiphertextHeader, DataKeyPair, DomainKey, ImportParameters, ImportToken, KeyMaterial, MaterialBinding,
    MaterialCipher, PreparedKey, PublicKey, RootKey, SealedEnvelope, SealedSecret, Secret, SecretBytes, SecretPlace,
    SecretTransport, SessionKey, SessionToken, TransportBinding, TransportKeyPair, TransportPublicKey,
};
use meridian_hostile::Campaign;
use meridian_model::{
    AccountId, AlgorithmSpec, DataKeyPairSpec, EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, GrantId,
    KeyAgreementAlgorithmSpec, KeyArn, KeyId, KeyMaterialId, KeySpec, KeyUsageType, MessageType, Partition, Region,
    SigningAlgorithmSpec, Timestamp, WireEnum, WrappingKeySpec,
};

/// Pieces of DER: tags, lengths in all their forms, object identifiers of the keys that are read here.
const DER: [&str; 14] = [
    "\x30\x00",
    "\x02\x01\x00",
    "\x02\x00",
    "\x04\x00",
    "\x03\x01\x00",
    "\x05\x00",
    "\x30\x7f",
    "\x30\x01\x7f",
    "\x06\x03",
    "\x06\x05\x2b\x01\x04\x00\x22",
    "\x06\x05\x2b\x01\x04\x00\x23",
    "\x02\x01\x01",
    "\x02\x01\x7f",
    "\x31\x00",
];
const MESSAGE: &[u8] = b"a message";

/// Every spec of data key pairs but those that are slow to make.
static PAIRS: LazyLock<Vec<(KeySpec, DataKeyPair)>> = LazyLock::new(|| {
    let specs = DataKeyPairSpec::VALUES.iter().filter_map(|text| DataKeyPairSpec::from_wire(text));
    specs
        .filter(|spec| !matches!(spec, DataKeyPairSpec::Rsa3072 | DataKeyPairSpec::Rsa4096))
        .map(|spec| {
            let pair = DataKeyPair::generate(spec).expect("random");
            (KeySpec::from_wire(spec.as_str()).expect("also a key spec"), pair)
        })
        .collect()
});

fn specs() -> impl Iterator<Item = KeySpec> {
    KeySpec::VALUES.iter().filter_map(|text| KeySpec::from_wire(text))
}

fn key_id() -> KeyId {
    KeyId::multi_region([7; 16])
}

fn region(name: &str) -> Region {
    name.parse().expect("valid")
}

fn account() -> AccountId {
    "111122223333".parse().expect("valid")
}

#[test]
fn ciphertexts() {
    let cipher = MaterialCipher::new(&Secret::init(|key| *key = [9; 32]), key_id(), KeyMaterialId::from_bytes([3; 32]));
    let context = BTreeMap::from([("purpose".to_owned(), "test".to_owned())]);
    let lengths = [0, 1, 32, 4096];
    let valid: Vec<Vec<u8>> =
        lengths.iter().map(|length| cipher.encrypt(&context, &vec![5; *length]).expect("random")).collect();
    Campaign::against("ciphertexts").inputs(valid.clone()).words(&["MRD", "\x01"]).run(|blob| {
        let header = CiphertextHeader::parse(blob);
        let opened = cipher.decrypt(blob, &context);
        assert_eq!(opened.is_ok(), valid.iter().any(|valid| valid == blob), "only what was made here is opened");
        assert!(opened.is_err() || header.is_ok_and(|header| header.key_id == key_id()));
    });
}

#[test]
fn public_keys_in_der() {
    let valid = PAIRS.iter().map(|(_, pair)| pair.public_key_der.clone());
    let signatures = [vec![0; 64], vec![0x30; 70]];
    Campaign::against("public keys in DER").inputs(valid).words(&DER).run(|der| {
        for spec in specs() {
            let Ok(key) = PublicKey::from_der(spec, der) else { continue };
            assert_eq!((key.spec(), key.der()), (spec, der));
            let _ = key.encrypt(EncryptionAlgorithmSpec::RsaesOaepSha256, MESSAGE);
            let _ = key.encrypt(EncryptionAlgorithmSpec::Sm2pke, MESSAGE);
            let _ = key.encapsulate();
            for algorithm in meridian_crypto::algorithms::algorithms(spec).signing {
                let verified = key.verify(*algorithm, MessageType::Raw, MESSAGE, &signatures[0]);
                assert!(
                    verified.is_err() && key.verify(*algorithm, MessageType::Raw, MESSAGE, &signatures[1]).is_err()
                );
            }
        }
    });
}

/// What is taken as an import is sound: it prepares for every usage of its spec, and is the same after its encoding.
#[test]
fn private_keys_in_pkcs8() {
    let valid = PAIRS.iter().map(|(_, pair)| pair.private_key_pkcs8.expose().to_vec());
    let raw = [vec![1; 28], vec![1; 32], vec![1; 48], vec![1; 64], vec![0x30; 32]];
    Campaign::against("private keys in PKCS#8").inputs(valid).inputs(raw).words(&DER).run(|der| {
        let plaintext = SecretBytes::copy_from(der);
        for spec in specs() {
            let Ok(material) = KeyMaterial::import(spec, Partition::Aws, &plaintext) else { continue };
            assert_eq!(material.spec(), spec);
            let again = KeyMaterial::decode(&material.encode()).expect("own encoding");
            assert_eq!(again.encode().expose(), material.encode().expose());
            material.public_key_der().expect("imported material is sound");
            for usage in usages(spec).iter().filter(|_| spec != KeySpec::SymmetricDefault) {
                PreparedKey::new(&material, *usage).unwrap_or_else(|error| panic!("{spec} for {usage}: {error}"));
            }
        }
    });
}

#[test]
fn material_in_its_own_encoding() {
    let others = [KeySpec::SymmetricDefault, KeySpec::Rsa3072, KeySpec::Rsa4096];
    let own = specs().filter(|spec| !others.contains(spec)).map(|spec| KeyMaterial::generate(spec).expect("random"));
    let symmetric = [Partition::Aws, Partition::AwsCn].map(|of| KeyMaterial::generate_symmetric(of).expect("random"));
    let valid = own.chain(symmetric).map(|material| material.encode().expose().to_vec());
    Campaign::against("material in its own encoding").inputs(valid).run(|encoded| {
        let Ok(material) = KeyMaterial::decode(&SecretBytes::copy_from(encoded)) else { return };
        assert_eq!(material.encode().expose(), encoded);
        for usage in usages(material.spec()) {
            let _ = PreparedKey::new(&material, *usage).map(|key| key.spec());
        }
    });
}

#[test]
fn signatures() {
    let keys: Vec<(PreparedKey, SigningAlgorithmSpec)> = [
        (KeySpec::Rsa2048, SigningAlgorithmSpec::RsassaPssSha256),
        (KeySpec::Rsa2048, SigningAlgorithmSpec::RsassaPkcs1V15Sha512),
        (KeySpec::EccNistP256, SigningAlgorithmSpec::EcdsaSha256),
        (KeySpec::EccNistP521, SigningAlgorithmSpec::EcdsaSha512),
        (KeySpec::EccSecgP256k1, SigningAlgorithmSpec::EcdsaSha256),
        (KeySpec::EccNistEdwards25519, SigningAlgorithmSpec::Ed25519Sha512),
        (KeySpec::MlDsa44, SigningAlgorithmSpec::MlDsaShake256),
        (KeySpec::Sm2, SigningAlgorithmSpec::Sm2dsa),
    ]
    .into_iter()
    .map(|(spec, algorithm)| {
        let material = KeyMaterial::generate(spec).expect("random");
        (PreparedKey::new(&material, KeyUsageType::SignVerify).expect("sound"), algorithm)
    })
    .collect();
    let sign = |(key, algorithm): &(PreparedKey, SigningAlgorithmSpec)| {
        key.sign(*algorithm, MessageType::Raw, MESSAGE).expect("signed")
    };
    let valid: Vec<Vec<u8>> = keys.iter().map(sign).collect();
    Campaign::against("signatures").inputs(valid.clone()).words(&DER).run(|signature| {
        for ((key, algorithm), valid) in keys.iter().zip(&valid) {
            let verified = key.verify(*algorithm, MessageType::Raw, MESSAGE, signature);
            assert_eq!(verified.is_ok(), signature == valid, "{key:?}: no other bytes are the same signature");
        }
    });
}

#[test]
fn what_others_encrypted_agreed_and_encapsulated() {
    let prepare = |spec, usage| PreparedKey::new(&KeyMaterial::generate(spec).expect("random"), usage).expect("sound");
    let rsa = prepare(KeySpec::Rsa2048, KeyUsageType::EncryptDecrypt);
    let p384 = prepare(KeySpec::EccNistP384, KeyUsageType::KeyAgreement);
    let ml_kem = prepare(KeySpec::MlKem768, KeyUsageType::EncapsulateDecapsulate);
    let sm2 = prepare(KeySpec::Sm2, KeyUsageType::EncryptDecrypt);
    let by_sm2 = sm2.encrypt(EncryptionAlgorithmSpec::Sm2pke, MESSAGE).expect("random");
    let encrypted = rsa.encrypt(EncryptionAlgorithmSpec::RsaesOaepSha1, MESSAGE).expect("random");
    let other = PAIRS.iter().find(|(spec, _)| *spec == KeySpec::EccNistP384).expect("made").1.public_key_der.clone();
    let encapsulated = ml_kem.encapsulate(EncapsulationAlgorithmSpec::MlKem).expect("random");
    let valid = [encrypted.clone(), by_sm2.clone(), other, encapsulated.ciphertext];
    Campaign::against("what others encrypted, agreed and encapsulated").inputs(valid).words(&DER).run(|bytes| {
        let decrypted = rsa.decrypt(EncryptionAlgorithmSpec::RsaesOaepSha1, bytes);
        assert_eq!(decrypted.is_ok(), bytes == encrypted);
        assert_eq!(sm2.decrypt(EncryptionAlgorithmSpec::Sm2pke, bytes).is_ok(), bytes == by_sm2);
        if let Ok(secret) = p384.derive_shared_secret(KeyAgreementAlgorithmSpec::Ecdh, bytes) {
            assert_eq!(secret.len(), 48);
        }
        if let Ok(secret) = ml_kem.decapsulate(EncapsulationAlgorithmSpec::MlKem, bytes) {
            assert_eq!(secret.len(), 32);
        }
    });
}

#[test]
fn sealed_forms() {
    let (root, domain_key) = (RootKey::generate().expect("random"), DomainKey::generate().expect("random"));
    let material = KeyMaterial::generate_symmetric(Partition::Aws).expect("random");
    let binding =
        MaterialBinding { account: account(), key_id: key_id(), material_id: KeyMaterialId::from_bytes([3; 32]) };
    let here = region("us-east-1");
    let wrapped = root.wrap(&domain_key, &here, Timestamp::from_millis(1)).expect("random");
    let sealed = domain_key.seal(&material, &binding).expect("random");
    let valid = [wrapped.ciphertext.clone(), sealed.ciphertext.clone()];
    Campaign::against("sealed forms").inputs(valid).run(|bytes| {
        let mut changed = wrapped.clone();
        changed.ciphertext = bytes.to_vec();
        assert_eq!(root.unwrap(&changed, &here).is_ok(), bytes == wrapped.ciphertext);
        let mut changed = sealed.clone();
        changed.ciphertext = bytes.to_vec();
        assert_eq!(domain_key.open(&changed, &binding).is_ok(), bytes == sealed.ciphertext);
    });
}

#[test]
fn envelopes_of_transport() {
    let pair = TransportKeyPair::generate().expect("random");
    let binding = TransportBinding {
        account: account(),
        key_id: key_id(),
        material_id: KeyMaterialId::from_bytes([3; 32]),
        from: region("us-east-1"),
        to: region("eu-west-1"),
        epoch: 1,
        sequence: 2,
    };
    let sealed = pair.public().seal(&binding, &SecretBytes::copy_from(&[5; 33])).expect("sealed");
    let valid = [sealed.encapsulated_key.clone(), sealed.ciphertext.clone(), pair.public().as_bytes().to_vec()];
    Campaign::against("envelopes of transport").inputs(valid).run(|bytes| {
        let _ = TransportPublicKey::from_bytes(bytes).map(|key| key.seal(&binding, &SecretBytes::copy_from(&[5; 33])));
        let key = SealedEnvelope { encapsulated_key: bytes.to_vec(), ciphertext: sealed.ciphertext.clone() };
        assert_eq!(pair.open(&key, &binding).is_ok(), bytes == sealed.encapsulated_key);
        let text = SealedEnvelope { encapsulated_key: sealed.encapsulated_key.clone(), ciphertext: bytes.to_vec() };
        assert_eq!(pair.open(&text, &binding).is_ok(), bytes == sealed.ciphertext);
    });
}

#[test]
fn grant_tokens() {
    let key = RootKey::generate().expect("random").grant_token_key(&region("us-east-1"));
    let issue = |number| key.issue(key_id(), GrantId::from_bytes([number; 32]), [number; 16]).to_vec();
    let valid: Vec<Vec<u8>> = (1..5).map(issue).collect();
    Campaign::against("grant tokens").inputs(valid.clone()).words(&["\x01"]).run(|token| {
        assert_eq!(
            key.open(token).is_some(),
            valid.iter().any(|valid| valid == token),
            "only what was made here opens"
        );
    });
}

#[test]
fn session_tokens() {
    let key = SessionKey::generate().expect("random");
    let valid: Vec<Vec<u8>> =
        (0..4).map(|number| key.seal(&vec![number; 60 * usize::from(number)]).expect("sealed")).collect();
    Campaign::against("session tokens").inputs(valid.clone()).words(&["\x01"]).run(|token| {
        let opened = SessionToken::parse(token).ok().and_then(|token| key.open(&token).ok());
        assert_eq!(opened.is_some(), valid.iter().any(|valid| valid == token), "only what was made here opens");
    });
}

#[test]
fn sealed_secrets() {
    let (domain_key, pair) = (DomainKey::generate().expect("random"), TransportKeyPair::generate().expect("random"));
    let account = "111122223333".parse().expect("valid");
    let id = "AKIA0000000000000001".parse().expect("valid");
    let place = SecretPlace::AccessKey { account, user: None, id };
    let secret = SecretBytes::copy_from(&[5; 40]);
    let sealed = domain_key.seal_secret(&secret, &place).expect("sealed");
    let transport =
        SecretTransport { place: place.clone(), from: region("us-east-1"), to: region("eu-west-1"), sequence: 2 };
    let sent = pair.public().seal_secret(&transport, &secret).expect("sealed");
    let inputs = [sealed.ciphertext.clone(), sent.ciphertext.clone()];
    Campaign::against("sealed secrets").inputs(inputs).run(|bytes| {
        let other = SealedSecret { ciphertext: bytes.to_vec(), ..sealed.clone() };
        assert_eq!(domain_key.open_secret(&other, &place).is_ok(), bytes == sealed.ciphertext);
        let other = SealedEnvelope { ciphertext: bytes.to_vec(), ..sent.clone() };
        assert_eq!(pair.open_secret(&other, &transport).is_ok(), bytes == sent.ciphertext);
    });
}

/// The ways to wrap that need a key, each with the kind of key that it needs.
const WRAPPINGS: [(WrappingKeySpec, AlgorithmSpec); 3] = [
    (WrappingKeySpec::Rsa2048, AlgorithmSpec::RsaesOaepSha256),
    (WrappingKeySpec::Rsa2048, AlgorithmSpec::RsaAesKeyWrapSha256),
    (WrappingKeySpec::Sm2, AlgorithmSpec::Sm2pke),
];

#[test]
fn import_tokens_and_wrapped_material() {
    let domain_key = DomainKey::generate().expect("random");
    let arn: KeyArn = format!("arn:aws-cn:kms:cn-north-1:111122223333:key/{}", key_id()).parse().expect("valid");
    let (rsa, sm2) = (KeyMaterial::generate(KeySpec::Rsa2048), KeyMaterial::generate(KeySpec::Sm2));
    let (rsa, sm2) = (rsa.expect("random"), sm2.expect("random"));
    let token = |(wrapping_spec, algorithm)| {
        let parameters = ImportParameters { wrapping_spec, algorithm, valid_to: Timestamp::from_millis(9) };
        let private = if wrapping_spec == WrappingKeySpec::Sm2 { &sm2 } else { &rsa };
        domain_key.seal_import_token(&arn, &parameters, private).expect("random")
    };
    let tokens = WRAPPINGS.map(token);
    let open = |token: &[u8]| domain_key.open_import_token(&arn, &ImportToken::parse(token).ok()?).ok();
    Campaign::against("import tokens").inputs(tokens.clone()).words(&["\x01"]).run(|token| {
        assert_eq!(open(token).is_some(), tokens.iter().any(|valid| valid == token), "only what was made here opens");
    });
    let wrapping_keys = tokens.each_ref().map(|token| open(token).expect("own token"));
    let wrap = |material, algorithm| {
        let key = PreparedKey::new(material, KeyUsageType::EncryptDecrypt).expect("sound");
        key.encrypt(algorithm, &[7; 32]).expect("short enough")
    };
    let by_rsa = wrap(&rsa, EncryptionAlgorithmSpec::RsaesOaepSha256);
    let wrapped = [[&by_rsa[..], &[9; 40]].concat(), by_rsa, wrap(&sm2, EncryptionAlgorithmSpec::Sm2pke)];
    Campaign::against("wrapped key material").inputs(wrapped).words(&DER).run(|wrapped| {
        for unwrapped in wrapping_keys.iter().filter_map(|key| key.unwrap_material(wrapped).ok()) {
            for spec in specs() {
                let _ = KeyMaterial::import(spec, Partition::Aws, &unwrapped);
            }
        }
    });
}
