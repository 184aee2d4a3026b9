//! Policies and requests by chance, out of few words so that they often meet.

use std::collections::BTreeMap;

use meridian_hostile::Seed;
use serde_json::{Map, Value, json};

use crate::simple::{Caller, Grant, World};

const HERE: &str = "111122223333";
const THERE: &str = "444455556666";
const KEY: &str = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// Actions that are asked for.
pub(crate) const ACTIONS: [&str; 8] =
    ["Encrypt", "Decrypt", "ReEncryptFrom", "DescribeKey", "CreateGrant", "ListGrants", "PutKeyPolicy", "TagResource"];

const ACTION_PATTERNS: [&str; 14] = [
    "*",
    "kms:*",
    "kms:Encrypt",
    "kms:decrypt",
    "KMS:Enc*",
    "kms:*crypt",
    "kms:?escribeKey",
    "kms:ReEncrypt*",
    "kms:*e*r*t*",
    "kms:CreateGrant",
    "kms:Put*",
    "kms:Tag*",
    "s3:*",
    "kms:List?????",
];

const RESOURCES: [&str; 9] = [
    "*",
    KEY,
    "arn:aws:kms:*:111122223333:key/*",
    "arn:aws:kms:us-east-1:111122223333:key/*",
    "arn:aws:kms:us-west-2:${kms:CallerAccount}:key/*",
    "arn:aws:kms:us-west-2:${aws:Nothing, '111122223333'}:key/*",
    "arn:aws:kms:us-west-2:${aws:Nothing}:*",
    "arn:aws:kms:us-west-2:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "arn:aws:kms:*key/????abcd-*-*ab",
];

/// Condition keys, the values that requests have, and the values that policies have.
const KEYS: [(&str, &[&str], &[&str]); 16] = [
    ("kms:CallerAccount", &[HERE, THERE], &[HERE, THERE, "${kms:CallerAccount}", "1111*"]),
    ("aws:username", &["alice", "bob", "a*e"], &["alice", "Alice", "a*", "${aws:username}", "a${*}e", "?ob"]),
    ("kms:ViaService", &["ec2.us-west-2.amazonaws.com"], &["ec2.us-west-2.amazonaws.com", "*.amazonaws.com", "rds*"]),
    ("kms:EncryptionContext:App", &["one", "Two"], &["one", "two", "t*", "${aws:username}", "${aws:TagKeys}"]),
    ("aws:ResourceTag/Project", &["Alpha", "Beta"], &["Alpha", "beta", "*a", "${aws:ResourceTag/Project}"]),
    ("aws:RequestTag/Project", &["Alpha", "Beta"], &["Alpha", "beta", "*a", "${aws:PrincipalTag/Team, 'Alpha'}"]),
    ("aws:PrincipalTag/Team", &["Alpha", "red"], &["Alpha", "${aws:RequestTag/Project}", "r*", "?????"]),
    ("kms:ResourceAliases", &["alias/a", "alias/b", "alias/a/c"], &["alias/a", "alias/?", "alias/a*", "alias/b"]),
    ("aws:TagKeys", &["Project", "Team"], &["Project", "team", "T*", "Project*"]),
    ("kms:GrantOperations", &["Encrypt", "Decrypt", "Sign"], &["Encrypt", "Decrypt", "*crypt"]),
    ("kms:ScheduleKeyDeletionPendingWindowInDays", &["7", "21", "30"], &["7", "21", "21.0", "25"]),
    (
        "aws:CurrentTime",
        &["2026-11-25T19:30:00Z", "2027-01-01T00:00:00Z"],
        &["2026-11-25T19:30:00Z", "2026-12-31T23:59:59Z"],
    ),
    ("aws:SourceIp", &["192.0.2.7", "198.51.100.1"], &["192.0.2.0/24", "192.0.2.7", "0.0.0.0/0", "198.51.100.0/31"]),
    (
        "aws:SourceArn",
        &["arn:aws:s3:::one", "arn:aws:sns:us-west-2:111122223333:t:x"],
        &["arn:aws:s3:::one", "arn:aws:s3:::*", "arn:aws:sns:*:*:t*", "arn:*:s3:::?ne", "arn:aws:sns:*:t:x"],
    ),
    ("kms:MultiRegion", &["true", "false"], &["true", "false"]),
    ("saml:digest", &["QUJD", "REVG"], &["QUJD", "REVG"]),
];

const SEVERAL: [&str; 3] = ["kms:ResourceAliases", "aws:TagKeys", "kms:GrantOperations"];

const PRINCIPALS: [&str; 13] = [
    "*",
    HERE,
    "arn:aws:iam::111122223333:root",
    THERE,
    "arn:aws:iam::444455556666:root",
    "arn:aws:iam::111122223333:user/alice",
    "arn:aws:iam::444455556666:user/alice",
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:sts::111122223333:assumed-role/r/s",
    "arn:aws:sts::111122223333:federated-user/bob",
    "arn:aws:sts::444455556666:assumed-role/r/s",
    "AIDAEXAMPLEEXAMPLE123",
    "AROAEXAMPLEEXAMPLE123",
];

/// A set of policies, a caller and grants, with a first request.
pub(crate) fn world(seed: &mut Seed) -> World {
    let maybe = |seed: &mut Seed, one_in: u64, make: fn(&mut Seed, Kind) -> Value, kind: Kind| {
        (seed.below(one_in) == 0).then(|| make(seed, kind))
    };
    let mut world = World {
        caller: caller(seed),
        key_policy: policy(seed, Kind::Key),
        identity: (0..seed.below(3)).map(|_| policy(seed, Kind::Identity)).collect(),
        boundary: maybe(seed, 4, policy, Kind::Identity),
        session: (0..seed.below(8).saturating_sub(5)).map(|_| policy(seed, Kind::Identity)).collect(),
        endpoint: maybe(seed, 8, policy, Kind::Endpoint),
        grants: (0..seed.below(3)).map(|_| grant(seed)).collect(),
        key_account: HERE.to_owned(),
        key_arn: KEY.to_owned(),
        ..World::default()
    };
    request(seed, &mut world);
    world
}

/// Another request to the same policies.
pub(crate) fn request(seed: &mut Seed, world: &mut World) {
    world.action = format!("kms:{}", seed.pick(&ACTIONS));
    world.context = KEYS
        .iter()
        .filter_map(|(key, values, _)| {
            let is_multiple = SEVERAL.contains(key);
            let count = if is_multiple { seed.below(4) } else { u64::from(seed.below(4) > 0) };
            let values = (0..count).map(|_| (*seed.pick(values)).to_owned()).collect();
            (count > 0 || seed.below(2) == 0).then(|| (key.to_lowercase(), (is_multiple, values)))
        })
        .filter(|(_, (is_multiple, values)): &(String, (bool, Vec<String>))| *is_multiple || !values.is_empty())
        .collect();
    world.encryption_context = pairs(seed);
}

fn pairs(seed: &mut Seed) -> BTreeMap<String, String> {
    let pair =
        |seed: &mut Seed| ((*seed.pick(&["App", "app", "Stage"])).to_owned(), (*seed.pick(&["1", "2"])).to_owned());
    (0..seed.below(3)).map(|_| pair(seed)).collect()
}

fn caller(seed: &mut Seed) -> Caller {
    let account = if seed.below(3) == 0 { THERE } else { HERE };
    let make = |kind: &str, arn: String, origin: String, unique_id: &str| Caller {
        kind: kind.to_owned(),
        account: account.to_owned(),
        arn,
        origin,
        unique_id: unique_id.to_owned(),
    };
    let root = format!("arn:aws:iam::{account}:root");
    let user = format!("arn:aws:iam::{account}:user/alice");
    match seed.below(10) {
        0 => make("root", root, String::new(), ""),
        1..=3 => make("user", user, String::new(), "AIDAEXAMPLEEXAMPLE123"),
        4..=6 => {
            let (arn, role) =
                (format!("arn:aws:sts::{account}:assumed-role/r/s"), format!("arn:aws:iam::{account}:role/r"));
            make("session", arn, role, "AROAEXAMPLEEXAMPLE123")
        }
        7 => make("federated", format!("arn:aws:sts::{account}:federated-user/bob"), user, ""),
        8 => make("federated", format!("arn:aws:sts::{account}:federated-user/bob"), root, ""),
        _ => make("service", "s3.amazonaws.com".to_owned(), String::new(), ""),
    }
}

fn grant(seed: &mut Seed) -> Grant {
    let grantees: Vec<&str> = PRINCIPALS.iter().copied().filter(|name| name.starts_with("arn:")).collect();
    let operations = ["Encrypt", "Decrypt", "ReEncryptFrom", "DescribeKey", "CreateGrant"];
    let operations = operations.iter().filter(|_| seed.below(2) == 0).map(|name| (*name).to_owned()).collect();
    Grant {
        grantee: (*seed.pick(&grantees)).to_owned(),
        operations,
        exactly: seed.below(2) == 0,
        constraint: (seed.below(2) == 0).then(|| pairs(seed)),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Key,
    Identity,
    Endpoint,
}

fn policy(seed: &mut Seed, kind: Kind) -> Value {
    let is_old = kind != Kind::Identity && seed.below(6) == 0;
    let statements: Vec<Value> = (0..=seed.below(4)).map(|_| statement(seed, kind)).collect();
    let statement = if statements.len() == 1 && seed.below(2) == 0 { statements[0].clone() } else { json!(statements) };
    json!({ "Version": if is_old { "2008-10-17" } else { "2012-10-17" }, "Statement": statement })
}

fn statement(seed: &mut Seed, kind: Kind) -> Value {
    let mut statement = Map::new();
    let denies = seed.below(10) == 0;
    statement.insert("Effect".to_owned(), json!(if denies { "Deny" } else { "Allow" }));
    if kind != Kind::Identity {
        let name = if seed.below(8) == 0 { "NotPrincipal" } else { "Principal" };
        statement.insert(name.to_owned(), principal(seed));
    }
    let is_lacking = kind == Kind::Key && seed.below(30) == 0;
    for (what, words, is_opposite) in
        [("Action", &ACTION_PATTERNS[..], seed.below(8) == 0), ("Resource", &RESOURCES[..], seed.below(10) == 0)]
    {
        if is_lacking && what == "Resource" {
            continue;
        }
        // Most statements are meant to be about the key, or nothing would ever be allowed.
        let broad = what == "Resource" && !is_opposite && seed.below(3) > 0;
        let value = if broad { json!("*") } else { one_or_many(seed, words) };
        statement.insert(if is_opposite { format!("Not{what}") } else { what.to_owned() }, value);
    }
    if seed.below(2) == 0 {
        statement.insert("Condition".to_owned(), conditions(seed));
    }
    Value::Object(statement)
}

fn principal(seed: &mut Seed) -> Value {
    match seed.below(8) {
        0 => json!("*"),
        1 => json!({ "Service": "s3.amazonaws.com", "AWS": one_or_many(seed, &PRINCIPALS) }),
        2 => json!({ "Service": ["ec2.amazonaws.com", "s3.amazonaws.com"] }),
        3 => json!({ "AWS": HERE }),
        // Complete exceptions of a session.
        4 => json!({ "AWS": [HERE, "arn:aws:iam::111122223333:role/r", "arn:aws:sts::111122223333:assumed-role/r/s"] }),
        _ => json!({ "AWS": one_or_many(seed, &PRINCIPALS) }),
    }
}

fn conditions(seed: &mut Seed) -> Value {
    let mut operators = Map::new();
    for _ in 0..=seed.below(2) {
        let (key, _, values) = seed.pick(&KEYS);
        let operator = operator(seed, key);
        let value = if operator == "Null" { null_value(seed) } else { one_or_many(seed, values) };
        let spelled = if seed.below(4) == 0 { key.to_uppercase() } else { (*key).to_owned() };
        let keys = operators.entry(operator).or_insert_with(|| json!({})).as_object_mut().expect("an object");
        keys.insert(spelled, value);
    }
    Value::Object(operators)
}

fn null_value(seed: &mut Seed) -> Value {
    match seed.below(4) {
        0 => json!(true),
        1 => json!(false),
        2 => json!("true"),
        _ => json!("false"),
    }
}

fn operator(seed: &mut Seed, key: &str) -> String {
    let operators: &[&str] = match key {
        _ if seed.below(8) == 0 => return "Null".to_owned(),
        "kms:ScheduleKeyDeletionPendingWindowInDays" => &[
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEquals",
        ],
        "aws:CurrentTime" => &[
            "DateEquals",
            "DateNotEquals",
            "DateLessThan",
            "DateLessThanEquals",
            "DateGreaterThan",
            "DateGreaterThanEquals",
        ],
        "aws:SourceIp" => &["IpAddress", "NotIpAddress"],
        "aws:SourceArn" => &["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "StringLike"],
        "kms:MultiRegion" => &["Bool", "StringEquals"],
        "saml:digest" => &["BinaryEquals"],
        _ => &[
            "StringEquals",
            "StringNotEquals",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
        ],
    };
    let set = match seed.below(6) {
        // Refused for keys of which a request may have several of other names.
        0 if !key.contains("EncryptionContext:") && !key.contains("RequestTag") => "ForAllValues:",
        1 => "ForAnyValue:",
        _ => "",
    };
    let optional = if seed.below(5) == 0 { "IfExists" } else { "" };
    format!("{set}{}{optional}", seed.pick(operators))
}

fn one_or_many(seed: &mut Seed, words: &[&str]) -> Value {
    if seed.below(2) == 0 {
        return json!(seed.pick(words));
    }
    let words: Vec<&str> = (0..=seed.below(2)).map(|_| *seed.pick(words)).collect();
    json!(words)
}
