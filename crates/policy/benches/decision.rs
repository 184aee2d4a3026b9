//! How long one decision takes. The aim: less than 10 microseconds with 10 policies of 10 statements.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use meridian_model::KeyArn;
use meridian_policy::action::{Encrypt, PutKeyPolicy};
use meridian_policy::{
    ConditionContext, ContextKey, ContextValue, Inquiry, Policy, PolicyKind, PolicySet, Principal, PrincipalKind,
    RequestContext,
};

const ROLE: &str = "arn:aws:iam::111122223333:role/service/keyUserRole";

struct Context;

impl ConditionContext for Context {
    fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
        match (key.name(), key.attribute()) {
            ("kms:viaservice", None) => Some(ContextValue::one("ec2.us-west-2.amazonaws.com")),
            ("kms:calleraccount", None) => Some(ContextValue::one("111122223333")),
            ("aws:sourceip", None) => Some(ContextValue::one("192.0.2.17")),
            ("kms:encryptioncontext", Some(name)) if name.eq_ignore_ascii_case("Department") => {
                Some(ContextValue::one("IT"))
            }
            ("aws:resourcetag", Some(name)) if name.eq_ignore_ascii_case("Project") => Some(ContextValue::one("Alpha")),
            _ => None,
        }
    }
}

/// Ten statements; the last one allows `Encrypt`, and every one of the others fails on something else.
fn identity_policy(number: usize) -> Arc<Policy> {
    let arn = "arn:aws:kms:us-west-2:111122223333:key";
    let allow = |action: &str, resource: &str, condition: &str| {
        format!(r#"{{"Effect":"Allow","Action":{action},"Resource":"{resource}"{condition}}}"#)
    };
    let encrypt = r#""kms:Encrypt""#;
    let statements = [
        allow(r#"["s3:Get*","s3:Put*","dynamodb:*"]"#, "*", ""),
        allow(r#"["kms:Describe*","kms:List*","kms:Get*"]"#, "*", ""),
        allow(encrypt, &format!("arn:aws:kms:us-east-1:*:key/{number}*"), ""),
        allow(r#""kms:*""#, "arn:aws:kms:*:444455556666:key/*", ""),
        allow(encrypt, "*", r#","Condition":{"StringEquals":{"kms:ViaService":"rds.us-west-2.amazonaws.com"}}"#),
        allow(encrypt, "*", r#","Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/32"]}}"#),
        allow(encrypt, "*", r#","Condition":{"StringLike":{"kms:EncryptionContext:Department":["HR*","Sales*"]}}"#),
        allow(encrypt, "*", r#","Condition":{"StringEquals":{"aws:ResourceTag/Project":["Beta","Gamma"]}}"#),
        r#"{"Effect":"Deny","Action":"kms:*","Resource":"*","Condition":{"StringNotEquals":{"kms:CallerAccount":"111122223333"}}}"#
            .to_owned(),
        allow(r#"["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*"]"#, &format!("{arn}/*"), ""),
    ];
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Arc::new(Policy::parse(&document, PolicyKind::Identity).expect("a policy"))
}

fn key_policy() -> Policy {
    let role = |number: usize| {
        format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::111122223333:role/r{number}"}},
            "Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*"}}"#
        )
    };
    let root = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"}"#;
    let statements: Vec<String> = (0..9).map(role).chain([root.to_owned()]).collect();
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Policy::parse(&document, PolicyKind::Key).expect("a policy")
}

fn decisions(criterion: &mut Criterion) {
    let key: KeyArn =
        "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse().expect("ARN");
    let (key_policy, identity): (_, Vec<_>) = (key_policy(), (0..9).map(identity_policy).collect());
    let principal = Principal {
        account: key.account,
        arn: "arn:aws:sts::111122223333:assumed-role/keyUserRole/session",
        kind: PrincipalKind::Session { role_arn: ROLE },
        unique_id: Some("AROAEXAMPLEEXAMPLE123"),
    };
    let policies = PolicySet { resource: Some(&key_policy), identity: &identity, ..PolicySet::default() };
    let inquiry = Inquiry { principal, policies, context: &Context };
    let request = RequestContext::default();
    criterion.bench_function("allowed, 10 policies of 10 statements", |bencher| {
        bencher.iter(|| black_box(&inquiry).authorize::<Encrypt>(key.clone(), &request, []).expect("allowed"));
    });
    criterion.bench_function("denied, 10 policies of 10 statements", |bencher| {
        bencher.iter(|| black_box(&inquiry).authorize::<PutKeyPolicy>(key.clone(), &request, []).expect_err("denied"));
    });
    let document = meridian_policy::document::default_policy(key.partition, key.account);
    criterion.bench_function("parse the default key policy", |bencher| {
        bencher.iter(|| Policy::parse(black_box(&document), PolicyKind::Key).expect("a policy"));
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
