//! The conditions that the AWS KMS Developer Guide shows, each with requests that it holds of and requests that it does not.
//!
//! Source: "AWS KMS condition keys" and "Condition keys for attested platforms". Which keys a request has is not decided
//! here: each row says what there is.

use std::collections::BTreeMap;

use meridian_model::KeyArn;
use meridian_policy::action::Encrypt;
use meridian_policy::{
    ConditionContext, ContextKey, ContextValue, Inquiry, Policy, PolicyKind, PolicySet, Principal, PrincipalKind,
    RequestContext,
};

const KEY: &str = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// `name=value;name=value`; a key that can have several values has them behind `[]=`, with commas.
struct Facts(BTreeMap<String, (bool, Vec<String>)>);

impl Facts {
    fn parse(text: &str) -> Self {
        let fact = |fact: &str| {
            let (name, value) = fact.split_once('=').expect("name=value");
            match name.strip_suffix("[]") {
                Some(name) => (name.to_lowercase(), (true, value.split(',').map(str::to_owned).collect())),
                None => (name.to_lowercase(), (false, vec![value.to_owned()])),
            }
        };
        Self(text.split(';').filter(|text| !text.is_empty()).map(fact).collect())
    }
}

impl ConditionContext for Facts {
    fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
        let (is_multiple, values) = self.0.get(&key.to_string().to_lowercase())?;
        if *is_multiple {
            return Some(ContextValue::Many(values.iter().map(|value| value.as_str().into()).collect()));
        }
        Some(ContextValue::one(values[0].as_str()))
    }
}

/// Whether a key policy with one statement of `effect` under `condition` allows; a `Deny` stands beside an `Allow`.
fn is_allowed(effect: &str, condition: &str, facts: &str) -> bool {
    let statement = |effect: &str, condition: &str| {
        format!(r#"{{"Effect":"{effect}","Principal":"*","Action":"kms:*","Resource":"*"{condition}}}"#)
    };
    let mut statements = vec![statement(effect, &format!(r#","Condition":{{{condition}}}"#))];
    if effect == "Deny" {
        statements.push(statement("Allow", ""));
    }
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    let policy = Policy::parse(&document, PolicyKind::Key).unwrap_or_else(|error| panic!("{error}: {document}"));
    let key: KeyArn = KEY.parse().expect("an ARN");
    let principal = Principal {
        account: key.account,
        arn: "arn:aws:iam::111122223333:user/alice",
        kind: PrincipalKind::User,
        unique_id: None,
    };
    let policies = PolicySet { resource: Some(&policy), ..PolicySet::default() };
    let inquiry = Inquiry { principal, policies, context: &Facts::parse(facts) };
    inquiry.authorize::<Encrypt>(key, &RequestContext::default(), []).is_ok()
}

/// Each row: effect, condition, facts that are allowed, facts that are not.
fn check(rows: &[(&str, &str, &[&str], &[&str])]) {
    for (effect, condition, allowed, denied) in rows {
        for (facts, expected) in
            allowed.iter().map(|facts| (facts, true)).chain(denied.iter().map(|facts| (facts, false)))
        {
            assert_eq!(is_allowed(effect, condition, facts), expected, "{effect} {condition} / {facts}");
        }
    }
}

#[test]
fn encryption_contexts() {
    const APP: &str = "kms:EncryptionContext:AppName=ExampleApp;kms:EncryptionContextKeys[]=AppName";
    const APP_AND_MORE: &str = "kms:EncryptionContext:AppName=ExampleApp;kms:EncryptionContext:Stage=Test;\
                                kms:EncryptionContextKeys[]=AppName,Stage";
    const OTHER: &str = "kms:EncryptionContext:appname=exampleapp;kms:EncryptionContextKeys[]=appname";
    const NONE: &str = "";
    const BOTH: &str = "kms:EncryptionContext:Department=IT;kms:EncryptionContext:Project=Alpha;\
                        kms:EncryptionContextKeys[]=Department,Project";
    const BOTH_AND_MORE: &str = "kms:EncryptionContext:Department=IT;kms:EncryptionContext:Project=Alpha;\
                                 kms:EncryptionContextKeys[]=Department,Project,More";
    const ONE: &str = "kms:EncryptionContext:Department=IT;kms:EncryptionContextKeys[]=Department";
    let pair = r#""StringEquals":{"kms:EncryptionContext:AppName":"ExampleApp"}"#;
    let only = r#""StringEquals":{"kms:EncryptionContext:AppName":"ExampleApp"},
        "ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["AppName"]}"#;
    let two = r#""StringEquals":{"kms:EncryptionContext:Department":"IT","kms:EncryptionContext:Project":"Alpha"}"#;
    let just_two =
        &format!(r#"{two},"ForAllValues:StringEquals":{{"kms:EncryptionContextKeys":["Department","Project"]}}"#);
    let stage = r#""StringEquals":{"kms:EncryptionContext:Stage":["Restricted","Production"]}"#;
    check(&[
        ("Allow", pair, &[APP, APP_AND_MORE], &[OTHER, NONE]),
        ("Allow", only, &[APP], &[APP_AND_MORE, OTHER, NONE]),
        ("Allow", two, &[BOTH, BOTH_AND_MORE], &[ONE, NONE]),
        ("Allow", just_two, &[BOTH], &[BOTH_AND_MORE, ONE, NONE]),
        (
            "Deny",
            stage,
            &[APP_AND_MORE, NONE],
            &["kms:EncryptionContext:Stage=Restricted", "kms:EncryptionContext:stage=Production"],
        ),
        // The name of the key in any case, the value as it is.
        (
            "Allow",
            r#""StringEquals":{"kms:EncryptionContext:Appname":"ExampleApp"}"#,
            &[APP, "kms:EncryptionContext:APPNAME=ExampleApp"],
            &[OTHER],
        ),
        (
            "Allow",
            r#""ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"AppName"}"#,
            &[APP, APP_AND_MORE],
            &[OTHER, ONE, NONE],
        ),
        (
            "Allow",
            r#""ForAnyValue:StringEqualsIgnoreCase":{"kms:EncryptionContextKeys":"AppName"}"#,
            &[APP, OTHER],
            &[ONE, NONE],
        ),
        (
            "Allow",
            r#""ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["AppName"]}"#,
            &[APP, NONE],
            &[APP_AND_MORE, ONE],
        ),
        ("Allow", r#""Null":{"kms:EncryptionContextKeys":false}"#, &[APP, ONE], &[NONE]),
        (
            "Allow",
            r#""ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"AppName"},
            "StringEquals":{"kms:EncryptionContext:AppName":"ExampleApp"}"#,
            &[APP],
            &[OTHER, "kms:EncryptionContext:appname=ExampleApp;kms:EncryptionContextKeys[]=appname"],
        ),
        (
            "Allow",
            r#""StringEquals":{"kms:EncryptionContext:Number":10103.0}"#,
            &["kms:EncryptionContext:number=10103.0"],
            &["kms:EncryptionContext:number=10103"],
        ),
    ]);
}

#[test]
fn parameters_of_requests() {
    check(&[
        (
            "Deny",
            r#""Bool":{"kms:BypassPolicyLockoutSafetyCheck":true}"#,
            &["", "kms:BypassPolicyLockoutSafetyCheck=false"],
            &["kms:BypassPolicyLockoutSafetyCheck=true"],
        ),
        (
            "Allow",
            r#""Null":{"kms:BypassPolicyLockoutSafetyCheck":true}"#,
            &[""],
            &["kms:BypassPolicyLockoutSafetyCheck=false"],
        ),
        (
            "Allow",
            r#""StringLike":{"kms:DataKeyPairSpec":"RSA*"}"#,
            &["kms:DataKeyPairSpec=RSA_3072"],
            &["kms:DataKeyPairSpec=ECC_NIST_P256", ""],
        ),
        (
            "Deny",
            r#""StringNotEquals":{"kms:EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}"#,
            &["kms:EncryptionAlgorithm=RSAES_OAEP_SHA_256"],
            &["kms:EncryptionAlgorithm=RSAES_OAEP_SHA_1", ""],
        ),
        (
            "Allow",
            r#""StringEquals":{"kms:ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}"#,
            &["kms:ExpirationModel=KEY_MATERIAL_DOES_NOT_EXPIRE"],
            &["kms:ExpirationModel=KEY_MATERIAL_EXPIRES", ""],
        ),
        (
            "Allow",
            r#""StringEquals":{"kms:GrantConstraintType":"EncryptionContextEquals"}"#,
            &["kms:GrantConstraintType=EncryptionContextEquals"],
            &["kms:GrantConstraintType=EncryptionContextSubset", ""],
        ),
        (
            "Allow",
            r#""ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt","ReEncryptTo"]}"#,
            &["kms:GrantOperations[]=Encrypt", "kms:GrantOperations[]=Encrypt,ReEncryptTo", ""],
            &["kms:GrantOperations[]=Encrypt,Decrypt", "kms:GrantOperations[]=Decrypt"],
        ),
        (
            "Allow",
            r#""ForAnyValue:StringEquals":{"kms:GrantOperations":["Encrypt","ReEncryptTo"]}"#,
            &["kms:GrantOperations[]=Encrypt", "kms:GrantOperations[]=Encrypt,Decrypt"],
            &["kms:GrantOperations[]=Decrypt", ""],
        ),
        (
            "Allow",
            r#""StringEquals":{"kms:RetiringPrincipal":"arn:aws:iam::111122223333:role/LimitedAdminRole"}"#,
            &["kms:RetiringPrincipal=arn:aws:iam::111122223333:role/LimitedAdminRole"],
            &["kms:RetiringPrincipal=arn:x", ""],
        ),
        (
            "Allow",
            r#""StringEquals":{"kms:MacAlgorithm":["HMAC_SHA_384","HMAC_SHA_512"]}"#,
            &["kms:MacAlgorithm=HMAC_SHA_384", "kms:MacAlgorithm=HMAC_SHA_512"],
            &["kms:MacAlgorithm=HMAC_SHA_256", ""],
        ),
    ]);
}

#[test]
fn parameters_that_are_names_and_numbers() {
    check(&[
        (
            "Allow",
            r#""StringEquals":{"kms:PrimaryRegion":["us-east-1","eu-west-3"]}"#,
            &["kms:PrimaryRegion=eu-west-3"],
            &["kms:PrimaryRegion=eu-west-1"],
        ),
        (
            "Allow",
            r#""StringLike":{"kms:ReplicaRegion":"eu-*"}"#,
            &["kms:ReplicaRegion=eu-west-1"],
            &["kms:ReplicaRegion=us-east-1"],
        ),
        (
            "Allow",
            r#""StringLike":{"kms:RequestAlias":"alias/*alpha*"}"#,
            &["kms:RequestAlias=alias/project-alpha"],
            &["kms:RequestAlias=alias/beta", ""],
        ),
        (
            "Deny",
            r#""NumericLessThanEquals":{"kms:ScheduleKeyDeletionPendingWindowInDays":"21"}"#,
            &["kms:ScheduleKeyDeletionPendingWindowInDays=22", "kms:ScheduleKeyDeletionPendingWindowInDays=30"],
            &["kms:ScheduleKeyDeletionPendingWindowInDays=21", "kms:ScheduleKeyDeletionPendingWindowInDays=7"],
        ),
        (
            "Allow",
            r#""StringLike":{"kms:SigningAlgorithm":"RSASSA_PSS*"}"#,
            &["kms:SigningAlgorithm=RSASSA_PSS_SHA_512"],
            &["kms:SigningAlgorithm=RSASSA_PKCS1_V1_5_SHA_512"],
        ),
        (
            "Allow",
            r#""NumericLessThanEquals":{"kms:ValidTo":"1546257599.0"}"#,
            &["kms:ValidTo=1546257599", "kms:ValidTo=0"],
            &["kms:ValidTo=1546257600", ""],
        ),
        (
            "Allow",
            r#""DateLessThanEquals":{"kms:ValidTo":"2018-12-31T11:59:59Z"}"#,
            &["kms:ValidTo=1546257599"],
            &["kms:ValidTo=1546257600", ""],
        ),
        (
            "Allow",
            r#""StringNotEquals":{"kms:WrappingAlgorithm":"RSAES_OAEP_SHA_1"}"#,
            &["kms:WrappingAlgorithm=RSAES_OAEP_SHA_256"],
            &["kms:WrappingAlgorithm=RSAES_OAEP_SHA_1"],
        ),
    ]);
}

#[test]
fn keys_callers_and_tags() {
    check(&[
        (
            "Allow",
            r#""StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"}"#,
            &["kms:KeySpec=SYMMETRIC_DEFAULT"],
            &["kms:KeySpec=RSA_2048", ""],
        ),
        (
            "Allow",
            r#""StringLike":{"kms:CustomerMasterKeySpec":"RSA_*"}"#,
            &["kms:CustomerMasterKeySpec=RSA_4096"],
            &["kms:CustomerMasterKeySpec=HMAC_256"],
        ),
        ("Allow", r#""Bool":{"kms:MultiRegion":false}"#, &["kms:MultiRegion=false"], &["kms:MultiRegion=true", ""]),
        ("Allow", r#""Bool":{"kms:MultiRegion":"false"}"#, &["kms:MultiRegion=false"], &["kms:MultiRegion=true", ""]),
        (
            "Allow",
            r#""StringEquals":{"kms:MultiRegionKeyType":"REPLICA"}"#,
            &["kms:MultiRegionKeyType=REPLICA"],
            &["kms:MultiRegionKeyType=PRIMARY", ""],
        ),
        (
            "Allow",
            r#""StringEquals":{"kms:ViaService":["ec2.us-west-2.amazonaws.com","rds.us-west-2.amazonaws.com"]}"#,
            &["kms:ViaService=rds.us-west-2.amazonaws.com"],
            &["kms:ViaService=rds.us-east-1.amazonaws.com", ""],
        ),
        (
            "Deny",
            r#""StringEquals":{"kms:ViaService":"lambda.us-west-2.amazonaws.com"}"#,
            &[""],
            &["kms:ViaService=lambda.us-west-2.amazonaws.com"],
        ),
        (
            "Allow",
            r#""StringEquals":{"aws:sourceVpc":"vpc-12345678"}"#,
            &["aws:SourceVpc=vpc-12345678"],
            &["aws:SourceVpc=vpc-2b2b2b2b", ""],
        ),
    ]);
}

#[test]
fn addresses_tags_and_attestations() {
    check(&[
        (
            "Deny",
            r#""NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","203.0.113.0/24"]}"#,
            &["aws:SourceIp=203.0.113.9"],
            &["aws:SourceIp=198.51.100.1", ""],
        ),
        (
            "Deny",
            r#""ForAnyValue:StringEquals":{"aws:TagKeys":"Restricted"}"#,
            &["aws:TagKeys[]=Project", ""],
            &["aws:TagKeys[]=Project,Restricted"],
        ),
        (
            "Allow",
            r#""ForAllValues:StringEquals":{"aws:TagKeys":"Project"}"#,
            &["aws:TagKeys[]=Project"],
            &["aws:TagKeys[]=Project,Team", "aws:TagKeys[]=project"],
        ),
        (
            "Allow",
            r#""StringEquals":{"aws:RequestTag/Purpose":"Test"}"#,
            &["aws:RequestTag/purpose=Test"],
            &["aws:RequestTag/Purpose=Prod", ""],
        ),
        (
            "Allow",
            r#""StringEquals":{"kms:EncryptionContext:sub":"${cognito-identity.amazonaws.com:sub}"}"#,
            &["cognito-identity.amazonaws.com:sub=id-1;kms:EncryptionContext:sub=id-1"],
            &[
                "cognito-identity.amazonaws.com:sub=id-1;kms:EncryptionContext:sub=id-2",
                "kms:EncryptionContext:sub=id-1",
            ],
        ),
        (
            "Allow",
            r#""StringEqualsIgnoreCase":{"kms:RecipientAttestation:ImageSha384":"9FEDCBA"}"#,
            &["kms:RecipientAttestation:ImageSha384=9fedcba"],
            &["kms:RecipientAttestation:ImageSha384=8fedcba", ""],
        ),
        (
            "Allow",
            r#""StringEqualsIgnoreCase":{"kms:RecipientAttestation:PCR1":"0x1de4f2dcf774f6e3"}"#,
            &["kms:RecipientAttestation:PCR1=1de4f2dcf774f6e3"],
            &["kms:RecipientAttestation:PCR2=1de4f2dcf774f6e3", ""],
        ),
    ]);
}
