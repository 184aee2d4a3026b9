//! Which keys have a value, and which.

use std::net::{IpAddr, Ipv4Addr};

use meridian_identity::Caller;
use meridian_model::{
    KeyId, KeySpec, KeyState, KeyUsageType, Operation, OriginType, Partition, Region, Request, Timestamp,
};
use meridian_policy::{ConditionContext, ContextKey, ContextValue};
use meridian_state::{KeyRecord, RegionState};

use super::global::Global;
use super::{Conditions, NewKey, Subject};
use crate::origin::{Origin, VpcEndpoint};

/// A decision that a test asks about.
struct Decision {
    state: RegionState,
    key: KeyRecord,
    caller: Caller,
    endpoint: Option<VpcEndpoint>,
}

impl Decision {
    fn new() -> Self {
        let region: Region = "us-west-2".parse().expect("a Region");
        let account = "111122223333".parse().expect("12 digits");
        let key = KeyRecord {
            key_id: KeyId::single_region([1; 16]),
            account,
            created_at: Timestamp::default(),
            description: String::new(),
            spec: KeySpec::Rsa2048,
            usage: KeyUsageType::SignVerify,
            origin: OriginType::External,
            state: KeyState::Enabled,
            deletion: None,
            current_material: None,
            multi_region: None,
        };
        let caller = Caller::user(Partition::Aws, account, "alice", "AIDAALICE", "AKIA");
        Self { state: RegionState::new(region, Partition::Aws), key, caller, endpoint: None }
    }

    /// What `name` has in a decision about `action`, which `body` asks for by its operation.
    fn value(&self, operation: &str, action: &'static str, body: &str, name: &str) -> String {
        let operation = Operation::from_name(operation).expect(operation);
        let request = Request::decode(operation, body.as_bytes()).expect(body);
        self.value_about(Subject::Key(&self.state, &self.key), &request, action, name)
    }

    fn value_about(&self, subject: Subject<'_>, request: &Request, action: &'static str, name: &str) -> String {
        let origin = Origin {
            source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            user_agent: Some("aws-cli"),
            is_secure: true,
            endpoint: self.endpoint.as_ref(),
        };
        let now = Timestamp::from_millis(1_660_171_107_475);
        let global = Global { caller: &self.caller, origin, region: self.state.region(), now, tags: None };
        let conditions =
            Conditions { global, action, request, subject, recipient: None, is_same_key: &|| action == "ReEncryptTo" };
        let key = ContextKey::parse(name).expect(name);
        match conditions.value(&key) {
            None => "absent".to_owned(),
            Some(ContextValue::One(value)) => value.into_owned(),
            Some(ContextValue::Many(values)) => format!("[{}]", values.join(" ")),
        }
    }
}

/// AWS KMS Developer Guide, "AWS KMS condition keys": parameters, their defaults, and those that have none.
#[test]
fn parameters_and_their_defaults() {
    let decision = Decision::new();
    for (operation, body, name, expected) in [
        ("Encrypt", r#"{"KeyId":"k","Plaintext":"AAAA"}"#, "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT"),
        (
            "Encrypt",
            r#"{"KeyId":"k","Plaintext":"AAAA","EncryptionAlgorithm":"RSAES_OAEP_SHA_1"}"#,
            "kms:EncryptionAlgorithm",
            "RSAES_OAEP_SHA_1",
        ),
        ("GenerateDataKey", r#"{"KeyId":"k"}"#, "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT"),
        ("DescribeKey", r#"{"KeyId":"k"}"#, "kms:EncryptionAlgorithm", "absent"),
        ("Sign", r#"{"KeyId":"k","Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}"#, "kms:MessageType", "RAW"),
        (
            "Verify",
            r#"{"KeyId":"k","Message":"AAAA","Signature":"AAAA","MessageType":"DIGEST","SigningAlgorithm":"ECDSA_SHA_256"}"#,
            "kms:SigningAlgorithm",
            "ECDSA_SHA_256",
        ),
        (
            "GenerateMac",
            r#"{"KeyId":"k","Message":"AAAA","MacAlgorithm":"HMAC_SHA_384"}"#,
            "kms:MacAlgorithm",
            "HMAC_SHA_384",
        ),
        ("GenerateDataKeyPair", r#"{"KeyId":"k","KeyPairSpec":"RSA_2048"}"#, "kms:DataKeyPairSpec", "RSA_2048"),
        ("ScheduleKeyDeletion", r#"{"KeyId":"k"}"#, "kms:ScheduleKeyDeletionPendingWindowInDays", "30"),
        (
            "ScheduleKeyDeletion",
            r#"{"KeyId":"k","PendingWindowInDays":7}"#,
            "kms:schedulekeydeletionpendingwindowindays",
            "7",
        ),
        ("EnableKeyRotation", r#"{"KeyId":"k"}"#, "kms:RotationPeriodInDays", "365"),
        ("PutKeyPolicy", r#"{"KeyId":"k","Policy":"x"}"#, "kms:BypassPolicyLockoutSafetyCheck", "absent"),
        (
            "PutKeyPolicy",
            r#"{"KeyId":"k","Policy":"x","BypassPolicyLockoutSafetyCheck":true}"#,
            "kms:BypassPolicyLockoutSafetyCheck",
            "true",
        ),
        (
            "ImportKeyMaterial",
            r#"{"KeyId":"k","ImportToken":"AAAA","EncryptedKeyMaterial":"AAAA","ValidTo":1546257599}"#,
            "kms:ValidTo",
            "1546257599",
        ),
        (
            "ImportKeyMaterial",
            r#"{"KeyId":"k","ImportToken":"AAAA","EncryptedKeyMaterial":"AAAA"}"#,
            "kms:ExpirationModel",
            "absent",
        ),
        (
            "GetParametersForImport",
            r#"{"KeyId":"k","WrappingAlgorithm":"RSAES_OAEP_SHA_1","WrappingKeySpec":"RSA_4096"}"#,
            "kms:WrappingKeySpec",
            "RSA_4096",
        ),
        ("ReplicateKey", r#"{"KeyId":"k","ReplicaRegion":"eu-west-1"}"#, "kms:ReplicaRegion", "eu-west-1"),
        ("UpdatePrimaryRegion", r#"{"KeyId":"k","PrimaryRegion":"eu-west-1"}"#, "kms:PrimaryRegion", "eu-west-1"),
        ("UpdatePrimaryRegion", r#"{"KeyId":"k","PrimaryRegion":"eu-west-1"}"#, "kms:ReplicaRegion", "absent"),
        ("ListGrants", r#"{"KeyId":"k"}"#, "kms:GrantIsForAWSResource", "false"),
        ("DescribeKey", r#"{"KeyId":"k"}"#, "kms:GrantIsForAWSResource", "absent"),
    ] {
        let action = Operation::from_name(operation).expect(operation).name();
        assert_eq!(decision.value(operation, action, body, name), expected, "{operation} {name}");
    }
}

#[test]
fn the_key_of_a_decision() {
    let mut decision = Decision::new();
    let describe =
        |decision: &Decision, name: &str| decision.value("DescribeKey", "DescribeKey", r#"{"KeyId":"k"}"#, name);
    for (name, expected) in [
        ("kms:KeySpec", "RSA_2048"),
        ("kms:CustomerMasterKeySpec", "RSA_2048"),
        ("kms:KeyUsage", "SIGN_VERIFY"),
        ("kms:CustomerMasterKeyUsage", "SIGN_VERIFY"),
        ("kms:KeyOrigin", "EXTERNAL"),
        ("kms:MultiRegion", "false"),
        ("kms:MultiRegionKeyType", "absent"),
        ("kms:CallerAccount", "111122223333"),
        ("kms:ViaService", "absent"),
        ("kms:ResourceAliases", "absent"),
        ("aws:ResourceTag/Purpose", "absent"),
        ("aws:ResourceAccount", "444455556666"),
        ("kms:NoSuchKey", "absent"),
    ] {
        decision.key.account = "444455556666".parse().expect("12 digits");
        assert_eq!(describe(&decision, name), expected, "{name}");
    }
}

#[test]
fn actions_without_a_key_have_no_keys_of_the_service() {
    let decision = Decision::new();
    let request = Request::decode(Operation::ListKeys, b"{}").expect("a request");
    for name in ["kms:CallerAccount", "kms:KeySpec", "kms:MultiRegion", "kms:ViaService", "kms:RequestAlias"] {
        assert_eq!(decision.value_about(Subject::Other, &request, "ListKeys", name), "absent", "{name}");
    }
    let store = Request::decode(Operation::DescribeCustomKeyStores, b"{}").expect("a request");
    let of_store = |name| decision.value_about(Subject::KeyStores, &store, "DescribeCustomKeyStores", name);
    assert_eq!(of_store("kms:CallerAccount"), "111122223333");
    assert_eq!(of_store("kms:KeySpec"), "absent");
}

#[test]
fn a_new_key_is_what_the_request_makes() {
    let decision = Decision::new();
    let body = br#"{"MultiRegion":true,"Tags":[{"TagKey":"Purpose","TagValue":"Test"}]}"#;
    let request = Request::decode(Operation::CreateKey, body).expect("a request");
    let new_key = NewKey {
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsageType::EncryptDecrypt,
        origin: OriginType::AwsKms,
        multi_region: Some(meridian_model::MultiRegionKeyType::Primary),
    };
    for (action, name, expected) in [
        ("CreateKey", "kms:KeySpec", "SYMMETRIC_DEFAULT"),
        ("CreateKey", "kms:KeyOrigin", "AWS_KMS"),
        ("CreateKey", "kms:MultiRegion", "true"),
        ("CreateKey", "kms:MultiRegionKeyType", "PRIMARY"),
        ("CreateKey", "kms:CallerAccount", "111122223333"),
        ("CreateKey", "kms:BypassPolicyLockoutSafetyCheck", "absent"),
        ("CreateKey", "aws:RequestTag/Purpose", "Test"),
        ("CreateKey", "aws:TagKeys", "[Purpose]"),
        ("CreateKey", "aws:ResourceTag/Purpose", "absent"),
        ("TagResource", "aws:RequestTag/purpose", "Test"),
    ] {
        let value = decision.value_about(Subject::NewKey(new_key), &request, action, name);
        assert_eq!(value, expected, "{action} {name}");
    }
}

#[test]
fn encryption_contexts_by_name_and_as_a_list() {
    let decision = Decision::new();
    let body = r#"{"KeyId":"k","Plaintext":"AAAA","EncryptionContext":{"AppName":"ExampleApp","aws:geo:arn":"x"}}"#;
    let encrypt = |name: &str| decision.value("Encrypt", "Encrypt", body, name);
    for name in ["kms:EncryptionContext:AppName", "KMS:encryptioncontext:appname", "kms:EncryptionContext:APPNAME"] {
        assert_eq!(encrypt(name), "ExampleApp", "{name}");
    }
    assert_eq!(encrypt("kms:EncryptionContext:aws:geo:arn"), "x");
    assert_eq!(encrypt("kms:EncryptionContext:Stage"), "absent");
    assert_eq!(encrypt("kms:EncryptionContextKeys"), "[AppName aws:geo:arn]");
    let without = r#"{"KeyId":"k","Plaintext":"AAAA"}"#;
    assert_eq!(decision.value("Encrypt", "Encrypt", without, "kms:EncryptionContextKeys"), "absent");
}

#[test]
fn either_side_of_a_re_encryption_has_its_own() {
    let decision = Decision::new();
    let body = r#"{"CiphertextBlob":"AAAA","SourceKeyId":"alias/from","SourceEncryptionContext":{"a":"1"},
        "DestinationKeyId":"arn:aws:kms:us-west-2:111122223333:alias/to","DestinationEncryptionContext":{"b":"2"},
        "SourceEncryptionAlgorithm":"RSAES_OAEP_SHA_1"}"#;
    for (action, name, expected) in [
        ("ReEncryptFrom", "kms:EncryptionContextKeys", "[a]"),
        ("ReEncryptTo", "kms:EncryptionContextKeys", "[b]"),
        ("ReEncryptFrom", "kms:RequestAlias", "alias/from"),
        ("ReEncryptTo", "kms:RequestAlias", "alias/to"),
        ("ReEncryptFrom", "kms:EncryptionAlgorithm", "RSAES_OAEP_SHA_1"),
        ("ReEncryptTo", "kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT"),
        ("ReEncryptFrom", "kms:ReEncryptOnSameKey", "false"),
        ("ReEncryptTo", "kms:ReEncryptOnSameKey", "true"),
    ] {
        assert_eq!(decision.value("ReEncrypt", action, body, name), expected, "{action} {name}");
    }
}

#[test]
fn an_alias_counts_only_where_a_request_may_name_its_key_by_one() {
    let decision = Decision::new();
    for (operation, body, expected) in [
        ("DescribeKey", r#"{"KeyId":"alias/finance-key"}"#, "alias/finance-key"),
        ("GetPublicKey", r#"{"KeyId":"arn:aws:kms:us-west-2:111122223333:alias/x/y"}"#, "alias/x/y"),
        ("DescribeKey", r#"{"KeyId":"1234abcd-12ab-34cd-56ef-1234567890ab"}"#, "absent"),
        ("Decrypt", r#"{"CiphertextBlob":"AAAA"}"#, "absent"),
        ("CreateAlias", r#"{"AliasName":"alias/a","TargetKeyId":"alias/b"}"#, "absent"),
    ] {
        let action = Operation::from_name(operation).expect(operation).name();
        assert_eq!(decision.value(operation, action, body, "kms:RequestAlias"), expected, "{operation}");
    }
}

#[test]
fn what_a_grant_would_give() {
    let decision = Decision::new();
    let body = r#"{"KeyId":"k","GranteePrincipal":"arn:aws:iam::111122223333:role/r","Operations":["Encrypt","Decrypt"],
        "Constraints":{"EncryptionContextSubset":{"Department":"IT"},"EncryptionContextEquals":{}}}"#;
    for (name, expected) in [
        ("kms:GrantOperations", "[Encrypt Decrypt]"),
        ("kms:GranteePrincipal", "arn:aws:iam::111122223333:role/r"),
        ("kms:RetiringPrincipal", "absent"),
        ("kms:GrantConstraintType", "EncryptionContextSubset"),
        ("kms:EncryptionContext:Department", "IT"),
        ("kms:EncryptionContextKeys", "[Department]"),
        ("kms:GrantIsForAWSResource", "false"),
    ] {
        assert_eq!(decision.value("CreateGrant", "CreateGrant", body, name), expected, "{name}");
    }
}

#[test]
fn who_asks_whence_and_when() {
    let mut decision = Decision::new();
    let ask = |decision: &Decision, name: &str| decision.value("DescribeKey", "DescribeKey", r#"{"KeyId":"k"}"#, name);
    for (name, expected) in [
        ("aws:PrincipalArn", "arn:aws:iam::111122223333:user/alice"),
        ("aws:PrincipalAccount", "111122223333"),
        ("aws:PrincipalType", "User"),
        ("aws:PrincipalIsAWSService", "false"),
        ("aws:username", "alice"),
        ("aws:userid", "AIDAALICE"),
        ("aws:SourceIp", "192.0.2.7"),
        ("aws:SourceVpce", "absent"),
        ("aws:SecureTransport", "true"),
        ("aws:UserAgent", "aws-cli"),
        ("aws:RequestedRegion", "us-west-2"),
        ("aws:CurrentTime", "2022-08-10T22:38:27Z"),
        ("aws:EpochTime", "1660171107"),
        ("aws:MultiFactorAuthPresent", "absent"),
        ("aws:TokenIssueTime", "absent"),
        ("aws:ViaAWSService", "false"),
        ("aws:SourceArn", "absent"),
        ("aws:PrincipalOrgID", "absent"),
    ] {
        assert_eq!(ask(&decision, name), expected, "{name}");
    }
    let endpoint = VpcEndpoint::new("vpce-1234".to_owned(), Some("vpc-5678".to_owned()), None);
    decision.endpoint = Some(endpoint.expect("no policy can be wrong"));
    for (name, expected) in [("aws:SourceVpce", "vpce-1234"), ("aws:sourceVpc", "vpc-5678"), ("aws:SourceIp", "absent")]
    {
        assert_eq!(ask(&decision, name), expected, "{name}");
    }
}
