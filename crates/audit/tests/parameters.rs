//! What each of the 56 operations leaves in a record, from a request that says everything it can say.
//!
//! Every value that must not be recorded contains a canary, as text or as base64.

use std::collections::BTreeSet;

use meridian_audit::{request_parameters, response_elements};
use meridian_model::{KeyArn, Operation, Request, Response};
use serde_json::{Value, json};

const SECRET: &str = "canarycanarycanarycanarycanarycanarycanarycanary"; // also valid base64
const KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
const ARN: &str = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// Operation, what is recorded, and what is sent beside it but not recorded.
#[allow(clippy::too_many_lines)] // a table
fn rows() -> Vec<(&'static str, Value, Value)> {
    let context = json!({"aws:ebs:id": "vol-1", "a\"b": "c"});
    let usual = json!({"GrantTokens": [SECRET]});
    let recipient = json!({"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": SECRET});
    let credential = json!({"AccessKeyId": "CANARYCANARYCANARYCANARY", "RawSecretAccessKey": SECRET});
    let xks = json!({
        "xksProxyConnectivity": "PUBLIC_ENDPOINT", "xksProxyUriEndpoint": "https://xks.example.com",
        "xksProxyUriPath": "/kms/xks/v1", "xksProxyVpcEndpointServiceOwner": "111122223333",
        "xksProxyVpcEndpointServiceName": "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0",
    });
    let with = |base: &Value, more: Value| {
        let mut all = base.as_object().unwrap().clone();
        all.extend(more.as_object().unwrap().clone());
        Value::Object(all)
    };
    let page = json!({"limit": 5, "marker": "m"});
    let key = json!({"keyId": KEY});
    let store = json!({"customKeyStoreId": "cks-1234567890abcdef0"});
    let store_secrets = json!({"KeyStorePassword": "canary-password", "XksProxyAuthenticationCredential": credential});
    let tags = json!([{"tagKey": "Department", "tagValue": "IT"}]);
    vec![
        (
            "Encrypt",
            json!({"keyId": "alias/app", "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "encryptionContext": context, "dryRun": false}),
            with(&usual, json!({"Plaintext": SECRET})),
        ),
        (
            "Decrypt",
            json!({"keyId": ARN, "encryptionAlgorithm": "RSAES_OAEP_SHA_1", "encryptionContext": context,
            "dryRun": true}),
            with(&usual, json!({"CiphertextBlob": SECRET, "Recipient": recipient})),
        ),
        (
            "ReEncrypt",
            json!({"sourceKeyId": KEY, "destinationKeyId": "alias/b", "sourceEncryptionContext": context,
            "destinationEncryptionContext": {"x": "y"}, "sourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "destinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
            with(&usual, json!({"CiphertextBlob": SECRET})),
        ),
        (
            "GenerateDataKey",
            json!({"keyId": KEY, "keySpec": "AES_256", "encryptionContext": context}),
            with(&usual, json!({"Recipient": recipient})),
        ),
        (
            "GenerateDataKeyWithoutPlaintext",
            json!({"keyId": KEY, "numberOfBytes": 64, "encryptionContext": context}),
            usual.clone(),
        ),
        (
            "GenerateDataKeyPair",
            json!({"keyId": KEY, "keyPairSpec": "RSA_2048", "encryptionContext": context}),
            with(&usual, json!({"Recipient": recipient})),
        ),
        (
            "GenerateDataKeyPairWithoutPlaintext",
            json!({"keyId": KEY, "keyPairSpec": "ECC_NIST_P256",
            "encryptionContext": context}),
            usual.clone(),
        ),
        ("GenerateRandom", Value::Null, json!({"NumberOfBytes": 32, "Recipient": recipient})),
        (
            "Sign",
            json!({"keyId": KEY, "messageType": "DIGEST", "signingAlgorithm": "ECDSA_SHA_256"}),
            with(&usual, json!({"Message": SECRET})),
        ),
        (
            "Verify",
            json!({"keyId": KEY, "messageType": "RAW", "signingAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}),
            with(&usual, json!({"Message": SECRET, "Signature": SECRET})),
        ),
        (
            "GenerateMac",
            json!({"keyId": KEY, "macAlgorithm": "HMAC_SHA_384"}),
            with(&usual, json!({"Message": SECRET})),
        ),
        (
            "VerifyMac",
            json!({"keyId": KEY, "macAlgorithm": "HMAC_SHA_384"}),
            with(&usual, json!({"Message": SECRET, "Mac": SECRET})),
        ),
        ("GetPublicKey", key.clone(), usual.clone()),
        (
            "DeriveSharedSecret",
            json!({"keyId": KEY, "keyAgreementAlgorithm": "ECDH"}),
            with(&usual, json!({"PublicKey": SECRET, "Recipient": recipient})),
        ),
        ("Encapsulate", json!({"keyId": KEY, "encapsulationAlgorithm": "ML_KEM"}), usual.clone()),
        (
            "Decapsulate",
            json!({"keyId": KEY, "encapsulationAlgorithm": "ML_KEM"}),
            with(&usual, json!({"SharedSecretCiphertextBlob": SECRET})),
        ),
        (
            "CreateKey",
            json!({"description": "d", "origin": "EXTERNAL", "keySpec": "SYMMETRIC_DEFAULT",
            "customerMasterKeySpec": "SYMMETRIC_DEFAULT", "keyUsage": "ENCRYPT_DECRYPT", "policy": "{}",
            "bypassPolicyLockoutSafetyCheck": true, "multiRegion": true, "tags": tags,
            "customKeyStoreId": "cks-1", "xksKeyId": "bb8562717f809024"}),
            json!({}),
        ),
        (
            "ReplicateKey",
            json!({"keyId": KEY, "replicaRegion": "eu-west-1", "description": "", "policy": "{}",
            "bypassPolicyLockoutSafetyCheck": false, "tags": tags}),
            json!({}),
        ),
        (
            "PutKeyPolicy",
            json!({"keyId": KEY, "policyName": "default", "policy": "{\"Version\":\"2012-10-17\"}",
            "bypassPolicyLockoutSafetyCheck": false}),
            json!({}),
        ),
        (
            "ImportKeyMaterial",
            json!({"keyId": KEY, "validTo": "Aug 10, 2022, 10:38:27 PM",
            "expirationModel": "KEY_MATERIAL_EXPIRES", "importType": "NEW_KEY_MATERIAL",
            "keyMaterialDescription": "first"}),
            json!({"ValidTo": 1_660_171_107.475, "ImportToken": SECRET, "EncryptedKeyMaterial": SECRET}),
        ),
        ("CreateAlias", json!({"aliasName": "alias/a", "targetKeyId": KEY}), json!({})),
        ("UpdateAlias", json!({"aliasName": "alias/a", "targetKeyId": KEY}), json!({})),
        ("DeleteAlias", json!({"aliasName": "alias/a"}), json!({})),
        ("TagResource", json!({"keyId": KEY, "tags": tags}), json!({})),
        ("UntagResource", json!({"keyId": KEY, "tagKeys": ["Department"]}), json!({})),
        ("UpdateKeyDescription", json!({"keyId": KEY, "description": "new"}), json!({})),
        ("UpdatePrimaryRegion", json!({"keyId": KEY, "primaryRegion": "eu-west-1"}), json!({})),
        (
            "GetParametersForImport",
            json!({"keyId": KEY, "wrappingAlgorithm": "RSAES_OAEP_SHA_256",
            "wrappingKeySpec": "RSA_4096"}),
            json!({}),
        ),
        ("EnableKeyRotation", json!({"keyId": KEY, "rotationPeriodInDays": 90}), json!({})),
        ("ScheduleKeyDeletion", json!({"keyId": KEY, "pendingWindowInDays": 7}), json!({})),
        ("DeleteImportedKeyMaterial", json!({"keyId": KEY, "keyMaterialId": "a".repeat(64)}), json!({})),
        ("GetKeyPolicy", json!({"keyId": KEY, "policyName": "default"}), json!({})),
        ("ListAliases", with(&key, page.clone()), json!({})),
        ("ListGrants", with(&key, with(&page, json!({"grantId": "g", "granteePrincipal": "p"}))), json!({})),
        ("ListKeyPolicies", with(&key, page.clone()), json!({})),
        ("ListKeyRotations", with(&key, with(&page, json!({"includeKeyMaterial": "ALL_KEY_MATERIAL"}))), json!({})),
        ("ListKeys", with(&page, json!({"resourceOwners": ["SELF"]})), json!({})),
        ("ListResourceTags", with(&key, page.clone()), json!({})),
        ("ListRetirableGrants", with(&page, json!({"retiringPrincipal": "p"})), json!({})),
        (
            "CreateGrant",
            json!({"keyId": KEY, "granteePrincipal": "g", "retiringPrincipal": "r",
            "operations": ["Decrypt", "RetireGrant"], "name": "n",
            "constraints": {"encryptionContextSubset": context, "sourceArn": ARN}}),
            usual.clone(),
        ),
        ("RevokeGrant", json!({"keyId": KEY, "grantId": "g"}), json!({})),
        ("RetireGrant", Value::Null, json!({"GrantToken": SECRET})),
        (
            "CreateCustomKeyStore",
            with(
                &xks,
                json!({"customKeyStoreName": "s", "clusterId": "cluster-2a23b4cdefg",
            "customKeyStoreType": "EXTERNAL_KEY_STORE"}),
            ),
            with(&store_secrets, json!({"TrustAnchorCertificate": SECRET})),
        ),
        (
            "UpdateCustomKeyStore",
            with(
                &xks,
                json!({"customKeyStoreId": "cks-1", "newCustomKeyStoreName": "t",
            "clusterId": "cluster-2a23b4cdefg"}),
            ),
            store_secrets.clone(),
        ),
        ("DescribeCustomKeyStores", with(&store, page.clone()), json!({})),
        ("ConnectCustomKeyStore", store.clone(), json!({})),
        ("DisconnectCustomKeyStore", store.clone(), json!({})),
        ("DeleteCustomKeyStore", store.clone(), json!({})),
        ("CancelKeyDeletion", key.clone(), json!({})),
        ("DescribeKey", key.clone(), usual.clone()),
        ("DisableKey", key.clone(), json!({})),
        ("DisableKeyRotation", key.clone(), json!({})),
        ("EnableKey", key.clone(), json!({})),
        ("GetKeyLastUsage", key.clone(), json!({})),
        ("GetKeyRotationStatus", key.clone(), json!({})),
        ("RotateKeyOnDemand", key.clone(), json!({})),
    ]
}

/// The request that a client sends to have `recorded` recorded.
fn body(recorded: &Value, beside: Value) -> Value {
    let mut body = serde_json::Map::new();
    for (name, value) in recorded.as_object().into_iter().flatten() {
        let name = match name.as_str() {
            "clusterId" => "CloudHsmClusterId".to_owned(),
            other => other[..1].to_ascii_uppercase() + &other[1..],
        };
        body.insert(name, value.clone());
    }
    if let Some(tags) = body.get_mut("Tags") {
        *tags = json!([{"TagKey": "Department", "TagValue": "IT"}]);
    }
    if let Some(constraints) = body.get_mut("Constraints") {
        *constraints = json!({"EncryptionContextSubset": constraints["encryptionContextSubset"], "SourceArn": ARN});
    }
    let Value::Object(beside) = beside else { unreachable!("rows hold objects") };
    body.extend(beside);
    Value::Object(body)
}

#[test]
fn every_operation_records_what_is_allowed_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for (name, recorded, beside) in rows() {
        let operation = Operation::from_name(name).unwrap();
        let body = body(&recorded, beside).to_string();
        let request = Request::decode(operation, body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = request_parameters(&request).map_or("null".to_owned(), |text| text.as_str().to_owned());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), recorded, "{name}");
        assert!(!text.to_ascii_lowercase().contains("canary"), "{name}: {text}");
        seen.insert(name);
    }
    let all: BTreeSet<_> = Operation::ALL.iter().map(|operation| operation.name()).collect();
    assert_eq!(seen, all);
}

#[test]
fn defaults_are_filled_in_where_cloudtrail_does() {
    let parameters = |name, body: Value| {
        let operation = Operation::from_name(name).unwrap();
        let request = Request::decode(operation, body.to_string().as_bytes()).unwrap();
        serde_json::from_str::<Value>(request_parameters(&request).unwrap().as_str()).unwrap()
    };
    let decrypt = parameters("Decrypt", json!({"CiphertextBlob": SECRET}));
    assert_eq!(decrypt, json!({"encryptionAlgorithm": "SYMMETRIC_DEFAULT"}));
    let create = parameters("CreateKey", json!({"CustomerMasterKeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}));
    let expected = json!({
        "description": "", "origin": "AWS_KMS", "keySpec": "RSA_2048", "customerMasterKeySpec": "RSA_2048",
        "keyUsage": "SIGN_VERIFY", "bypassPolicyLockoutSafetyCheck": false,
    });
    assert_eq!(create, expected);
}

#[test]
fn answers_are_recorded_for_changes_of_one_key_only() {
    let arn: KeyArn = ARN.parse().unwrap();
    let elements = |name, body: Value| {
        let operation = Operation::from_name(name).unwrap();
        let response = Response::decode(operation, body.to_string().as_bytes()).unwrap();
        response_elements(&response, Some(&arn)).map(|text| serde_json::from_str::<Value>(text.as_str()).unwrap())
    };
    let key_only = Some(json!({"keyId": ARN}));
    for name in ["CreateAlias", "DeleteAlias", "UpdateAlias", "DisableKey", "EnableKey", "EnableKeyRotation"] {
        assert_eq!(elements(name, json!({})), key_only, "{name}");
    }
    for name in ["TagResource", "UntagResource", "UpdatePrimaryRegion"] {
        assert_eq!(elements(name, json!({})), key_only, "{name}");
    }
    for name in ["PutKeyPolicy", "RetireGrant", "RevokeGrant", "UpdateKeyDescription", "DisableKeyRotation"] {
        assert_eq!(elements(name, json!({})), None, "{name}");
    }
    let grant = elements("CreateGrant", json!({"GrantToken": SECRET, "GrantId": "g"}));
    assert_eq!(grant, Some(json!({"grantId": "g", "keyId": ARN})));
    assert_eq!(elements("GenerateDataKey", json!({"KeyId": ARN, "Plaintext": SECRET, "CiphertextBlob": SECRET})), None);
    assert_eq!(elements("GetKeyPolicy", json!({"Policy": "{}", "PolicyName": "default"})), None);
    let deletion = json!({"KeyId": ARN, "DeletionDate": 0.0, "KeyState": "PendingDeletion", "PendingWindowInDays": 7});
    let expected = json!({
        "keyId": ARN, "keyState": "PendingDeletion", "pendingWindowInDays": 7,
        "deletionDate": "Jan 1, 1970, 12:00:00 AM",
    });
    assert_eq!(elements("ScheduleKeyDeletion", deletion), Some(expected));
}

#[test]
fn a_created_key_is_recorded_with_its_metadata() {
    let metadata = json!({
        "AWSAccountId": "111122223333", "KeyId": KEY, "Arn": ARN, "CreationDate": 1_660_171_107.475, "Enabled": false,
        "Description": "d", "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Creating", "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"], "MultiRegion": true, "MultiRegionConfiguration": {
            "MultiRegionKeyType": "REPLICA", "PrimaryKey": {"Arn": ARN, "Region": "us-west-2"},
            "ReplicaKeys": [{"Arn": ARN, "Region": "eu-west-1"}],
        },
    });
    let body = json!({"ReplicaKeyMetadata": metadata, "ReplicaPolicy": "{}", "ReplicaTags": []}).to_string();
    let response = Response::decode(Operation::ReplicateKey, body.as_bytes()).unwrap();
    let text = response_elements(&response, None).unwrap();
    let value: Value = serde_json::from_str(text.as_str()).unwrap();
    let recorded = &value["replicaKeyMetadata"];
    assert_eq!(recorded["aWSAccountId"], "111122223333");
    assert_eq!(recorded["creationDate"], "Aug 10, 2022, 10:38:27 PM");
    assert_eq!(recorded["encryptionAlgorithms"], json!(["SYMMETRIC_DEFAULT"]));
    assert_eq!(recorded["multiRegionConfiguration"]["primaryKey"], json!({"arn": ARN, "region": "us-west-2"}));
    assert_eq!(value["replicaPolicy"], "{}");
}
