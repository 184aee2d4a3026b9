//! Policy documents that nobody meant well.

use meridian_hostile::Campaign;
use meridian_policy::{Inquiry, NoContext, Policy, PolicyKind, PolicySet, Principal, PrincipalKind};

const SEEDS: [&str; 4] = [
    r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":["111122223333",
        "arn:aws:iam::444455556666:role/a"],"Service":"s3.amazonaws.com"},"Action":["kms:Enc*"],"Resource":"*","Condition":
        {"StringLike":{"kms:EncryptionContext:App":["${aws:username, 'x'}*","?"]},"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}"#,
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotPrincipal":"*","NotAction":"kms:*","NotResource":
        "arn:aws:kms:*:111122223333:key/${aws:PrincipalTag/team}","Condition":{"ForAllValues:DateLessThanIfExists":
        {"aws:CurrentTime":["2026-11-25T19:30:00Z",1795635000]},"Null":{"aws:TagKeys":true}}}}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":["*","arn:aws:kms:*:*:key/????"],
        "Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:*:*:${aws:PrincipalAccount}:*/?*"},"BinaryEquals":{"a:b":"QUJD"},
        "ForAnyValue:StringNotEquals":{"kms:ResourceAliases":["alias/a"]},"NumericLessThan":{"kms:X":"-1.5e3"}}}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"AROAEXAMPLEEXAMPLE123"},
        "Action":"sts:AssumeRole"}]}"#,
];

const WORDS: [&str; 16] = [
    "\"Effect\":",
    "\"Deny\"",
    "\"NotPrincipal\":",
    "\"Condition\":{",
    "ForAllValues:",
    "IfExists",
    "${",
    "}",
    "'",
    "*",
    "?",
    "arn:aws:",
    "\"*\"",
    "\\u0000",
    "1e999",
    "[[[[",
];

/// Whatever arrives is a policy or a refusal, and as a stored one it decides.
#[test]
fn documents() {
    let kinds = [PolicyKind::Key, PolicyKind::Identity, PolicyKind::Trust, PolicyKind::Endpoint, PolicyKind::Session];
    let principal = Principal {
        account: "111122223333".parse().expect("12 digits"),
        arn: "arn:aws:iam::111122223333:user/alice",
        kind: PrincipalKind::User,
        unique_id: None,
    };
    Campaign::against("policy documents").inputs(SEEDS.map(str::as_bytes)).words(&WORDS).run(|input| {
        let document = String::from_utf8_lossy(input);
        for kind in kinds {
            let is_accepted = Policy::parse(&document, kind).is_ok();
            let stored = Policy::stored(&document, kind);
            let policies = PolicySet { resource: Some(&stored), ..PolicySet::default() };
            let inquiry = Inquiry { principal, policies, context: &NoContext };
            let decided = inquiry.decide("kms:Encrypt", "arn:aws:kms:us-west-2:111122223333:key/x", principal.account);
            assert!(is_accepted || stored.kind() == kind, "{document}");
            if serde_json::from_str::<serde_json::Value>(&document).is_err() {
                assert!(!is_accepted && decided.is_err(), "what is no JSON denies: {document}");
            }
        }
    });
}
