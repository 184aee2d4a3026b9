//! The rules once more, as plainly as they can be said: JSON is read anew for every question, nothing is compiled, nothing
//! is fast, and nothing of the engine is used.

use std::collections::BTreeMap;

use serde_json::Value;

/// Everything that one decision depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) caller: Caller,
    pub(crate) key_policy: Value,
    pub(crate) identity: Vec<Value>,
    pub(crate) boundary: Option<Value>,
    pub(crate) session: Vec<Value>,
    pub(crate) endpoint: Option<Value>,
    pub(crate) grants: Vec<Grant>,
    /// `kms:` and the name.
    pub(crate) action: String,
    pub(crate) key_account: String,
    pub(crate) key_arn: String,
    /// By name in lower case; the flag says whether the key can have several values.
    pub(crate) context: BTreeMap<String, (bool, Vec<String>)>,
    pub(crate) encryption_context: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    /// `root`, `user`, `session`, `federated` or `service`
    pub(crate) kind: String,
    pub(crate) account: String,
    pub(crate) arn: String,
    /// The role of a session; the user of a federated one.
    pub(crate) origin: String,
    pub(crate) unique_id: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) grantee: String,
    pub(crate) operations: Vec<String>,
    pub(crate) exactly: bool,
    pub(crate) constraint: Option<BTreeMap<String, String>>,
}

const CROSS_ACCOUNT: [&str; 22] = [
    "CreateGrant",
    "Decapsulate",
    "Decrypt",
    "DeriveSharedSecret",
    "DescribeKey",
    "Encapsulate",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GetKeyRotationStatus",
    "GetPublicKey",
    "ListGrants",
    "ReEncryptFrom",
    "ReEncryptTo",
    "RetireGrant",
    "RevokeGrant",
    "Sign",
    "Verify",
    "VerifyMac",
];

/// Whether the request is allowed.
pub(crate) fn is_allowed(world: &World) -> bool {
    let mut every: Vec<(&Value, bool)> = vec![(&world.key_policy, true)];
    every.extend(world.identity.iter().chain(&world.boundary).chain(&world.session).map(|policy| (policy, false)));
    every.extend(world.endpoint.iter().map(|policy| (policy, false)));
    if every.iter().any(|(policy, of_key)| !matching(world, policy, "Deny", *of_key).is_empty()) {
        return false;
    }
    if world.endpoint.as_ref().is_some_and(|policy| matching(world, policy, "Allow", false).is_empty()) {
        return false;
    }
    let caller = &world.caller;
    let allows = |policy: &Value| !matching(world, policy, "Allow", false).is_empty();
    let is_bounded = world.boundary.as_ref().is_some_and(|policy| !allows(policy))
        || (!world.session.iter().any(allows) && (!world.session.is_empty() || caller.kind == "federated"));
    let is_of_root = caller.kind == "root" || caller.origin.ends_with(":root");
    let own_account = !is_bounded && (is_of_root || world.identity.iter().any(allows));

    let name = world.action.strip_prefix("kms:").expect("an action of the service");
    for grant in &world.grants {
        if grant.operations.iter().any(|operation| operation == name) && constraint_is_met(world, grant, name) {
            let is_direct = grant.grantee == caller.arn || (caller.kind == "session" && grant.grantee == caller.origin);
            let is_account =
                grant.grantee == format!("arn:aws:iam::{}:root", caller.account) && caller.kind != "service";
            if (is_account && own_account) || (is_direct && !is_account) {
                return true;
            }
        }
    }
    let named = matching(world, &world.key_policy, "Allow", true);
    let is_named = |how: &str| named.iter().any(|statement| how_named(world, statement).contains(&how));
    if caller.kind != "service" && caller.account != world.key_account {
        return CROSS_ACCOUNT.contains(&name) && !named.is_empty() && own_account;
    }
    is_named("itself") || (is_named("origin") && !is_bounded) || (!named.is_empty() && own_account)
}

fn constraint_is_met(world: &World, grant: &Grant, operation: &str) -> bool {
    let has_context =
        ["Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey"].iter().any(|start| operation.starts_with(start));
    let Some(constraint) = grant.constraint.as_ref().filter(|_| has_context) else { return true };
    let same = |one: (&String, &String), other: (&String, &String)| {
        one.0.to_lowercase() == other.0.to_lowercase() && one.1 == other.1
    };
    let has_all = constraint.iter().all(|pair| world.encryption_context.iter().any(|found| same(pair, found)));
    // Two names that differ in case are two pairs.
    let has_no_more = world.encryption_context.len() == constraint.len()
        && world.encryption_context.iter().all(|found| constraint.iter().any(|pair| same(pair, found)));
    has_all && (!grant.exactly || has_no_more)
}

/// The statements of `effect` that apply.
fn matching<'a>(world: &World, policy: &'a Value, effect: &str, of_key: bool) -> Vec<&'a Value> {
    let variables = policy["Version"] == "2012-10-17";
    let applies = |statement: &&Value| {
        statement["Effect"] == *effect
            && is_about(world, statement, "Action", &world.action, of_key, variables)
            && is_about(world, statement, "Resource", &world.key_arn, of_key, variables)
            && is_for_caller(world, statement)
            && conditions_hold(world, &statement["Condition"], of_key, variables)
    };
    list(&policy["Statement"]).into_iter().filter(applies).collect()
}

fn is_about(world: &World, statement: &Value, what: &str, found: &str, of_key: bool, variables: bool) -> bool {
    let fits = |value: &Value| {
        let text = text(value);
        if what == "Action" {
            return glob(&characters(&text.to_lowercase(), true), &found.to_lowercase().chars().collect::<Vec<_>>());
        }
        let filled = fill(world, &text, true, of_key, variables);
        filled.is_some_and(|pattern| glob(&pattern, &found.chars().collect::<Vec<_>>()))
    };
    let opposite = &statement[format!("Not{what}")];
    match (&statement[what], opposite) {
        (Value::Null, Value::Null) => false,
        (Value::Null, values) => !list(values).into_iter().any(fits),
        (values, _) => list(values).into_iter().any(fits),
    }
}

fn is_for_caller(world: &World, statement: &Value) -> bool {
    if statement["Principal"] == Value::Null && statement["NotPrincipal"] == Value::Null {
        return true;
    }
    !how_named(world, statement).is_empty()
}

/// By which names the statement means the caller.
fn how_named(world: &World, statement: &Value) -> Vec<&'static str> {
    let caller = &world.caller;
    let Some(excepted) = statement.get("NotPrincipal") else { return names_of(&statement["Principal"], caller) };
    let names = names_of(excepted, caller);
    let is_excepted = if statement["Effect"] == "Allow" {
        !names.is_empty()
    } else {
        let needed: &[&str] = match caller.kind.as_str() {
            "root" => &["account"],
            "user" | "federated" => &["account", "itself"],
            "session" => &["account", "origin", "itself"],
            _ => &["itself"],
        };
        let everybody = names_of_everybody(excepted);
        world.boundary.is_none() && (everybody || needed.iter().all(|name| names.contains(name)))
    };
    if is_excepted { Vec::new() } else { vec!["itself"] }
}

fn names_of_everybody(principal: &Value) -> bool {
    *principal == "*" || list(&principal["AWS"]).into_iter().any(|value| *value == "*")
}

fn names_of(principal: &Value, caller: &Caller) -> Vec<&'static str> {
    let mut names = Vec::new();
    if names_of_everybody(principal) {
        names.push("itself");
    }
    for value in list(&principal["AWS"]) {
        let value = text(value);
        let is_account = value == caller.account || value == format!("arn:aws:iam::{}:root", caller.account);
        if caller.kind != "service" && is_account {
            names.push("account");
        } else if value == caller.arn {
            names.push("itself");
        } else if value == caller.origin && !value.is_empty() {
            names.push("origin");
        } else if value == caller.unique_id && !value.is_empty() {
            names.push(if caller.kind == "user" { "itself" } else { "origin" });
        }
    }
    if caller.kind == "service" && list(&principal["Service"]).into_iter().any(|value| *value == *caller.arn) {
        names.push("itself");
    }
    names
}

fn conditions_hold(world: &World, conditions: &Value, of_key: bool, variables: bool) -> bool {
    let Some(operators) = conditions.as_object() else { return true };
    operators.iter().all(|(operator, keys)| {
        let keys = keys.as_object().expect("an object");
        keys.iter().all(|(key, values)| condition_holds(world, operator, key, values, of_key, variables))
    })
}

fn condition_holds(world: &World, operator: &str, key: &str, values: &Value, of_key: bool, variables: bool) -> bool {
    let found = found(world, key, of_key);
    let (set, operator) = operator.split_once(':').unwrap_or(("", operator));
    if operator == "Null" {
        return list(values).into_iter().any(|value| (text(value) == "true") == found.is_empty());
    }
    let is_optional = operator.ends_with("IfExists");
    let operator = operator.trim_end_matches("IfExists");
    let is_negated = operator.contains("Not");
    if found.is_empty() {
        return set == "ForAllValues" || is_optional || (is_negated && set.is_empty());
    }
    let plain = operator.replace("Not", "");
    let matches_any = |request: &String| {
        list(values).into_iter().any(|value| compare(world, &plain, &text(value), request, of_key, variables))
    };
    match set {
        "ForAllValues" => found.iter().all(|request| matches_any(request) != is_negated),
        "ForAnyValue" => found.iter().any(|request| matches_any(request) != is_negated),
        _ => found.iter().any(matches_any) != is_negated,
    }
}

/// The values of the request under `key`.
fn found(world: &World, key: &str, of_key: bool) -> Vec<String> {
    let key = key.to_lowercase();
    if of_key && (key.starts_with("aws:resourcetag/") || key == "kms:resourcealiases") {
        return Vec::new();
    }
    world.context.get(&key).map(|(_, values)| values.clone()).unwrap_or_default()
}

fn compare(world: &World, operator: &str, policy: &str, request: &str, of_key: bool, variables: bool) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    let filled = |wildcards: bool| fill(world, policy, wildcards, of_key, variables);
    let exact = || filled(false).map(|pattern| pattern.iter().map(|(one, _)| *one).collect::<String>());
    let number = |text: &str| text.parse::<f64>().expect("numbers are compared with numbers only");
    match operator {
        "StringEquals" => exact().is_some_and(|text| text == request),
        "StringEqualsIgnoreCase" | "Bool" => exact().is_some_and(|text| text.to_lowercase() == request.to_lowercase()),
        "StringLike" => filled(true).is_some_and(|pattern| glob(&pattern, &chars(request))),
        "ArnEquals" | "ArnLike" => {
            let (policy, request): (Vec<_>, Vec<_>) =
                (policy.splitn(6, ':').collect(), request.splitn(6, ':').collect());
            policy.len() == request.len()
                && policy.iter().zip(&request).all(|(policy, request)| glob(&characters(policy, true), &chars(request)))
        }
        "NumericEquals" => (number(policy) - number(request)).abs() < 1e-9,
        "NumericLessThan" => number(request) < number(policy),
        "NumericLessThanEquals" => number(request) <= number(policy),
        "NumericGreaterThan" => number(request) > number(policy),
        "NumericGreaterThanEquals" => number(request) >= number(policy),
        // All moments of this test have one form, in which the order of time is that of texts.
        "DateEquals" | "BinaryEquals" => request == policy,
        "DateLessThan" => request < policy,
        "DateLessThanEquals" => request <= policy,
        "DateGreaterThan" => request > policy,
        "DateGreaterThanEquals" => request >= policy,
        "IpAddress" => {
            let (network, bits) = policy.split_once('/').unwrap_or((policy, "32"));
            let bits: usize = bits.parse().expect("bits");
            binary(network)[..bits] == binary(request)[..bits]
        }
        other => panic!("no operator: {other}"),
    }
}

fn binary(address: &str) -> Vec<bool> {
    let parts = address.split('.').map(|part| part.parse::<u8>().expect("a part of an address"));
    parts.flat_map(|part| (0..8).rev().map(move |bit| part >> bit & 1 == 1)).collect()
}

/// Each character with whether it is a wildcard.
type Wild = (char, bool);

fn characters(text: &str, wildcards: bool) -> Vec<Wild> {
    text.chars().map(|one| (one, wildcards && (one == '*' || one == '?'))).collect()
}

/// Fills in the variables; `None` if the request lacks one.
fn fill(world: &World, text: &str, wildcards: bool, of_key: bool, variables: bool) -> Option<Vec<Wild>> {
    let Some(start) = text.find("${").filter(|_| variables) else { return Some(characters(text, wildcards)) };
    let mut filled = characters(&text[..start], wildcards);
    let end = start + text[start..].find('}').expect("variables of this test are closed");
    let inside = &text[start + 2..end];
    if ["*", "?", "$"].contains(&inside) {
        filled.extend(characters(inside, false));
    } else {
        let (name, default) = inside.split_once(", ").map_or((inside, None), |(name, default)| (name, Some(default)));
        let is_single = !world.context.get(&name.to_lowercase()).is_some_and(|(is_multiple, _)| *is_multiple);
        let value = found(world, name, of_key).into_iter().next().filter(|_| is_single);
        filled.extend(characters(&value.or(default.map(|text| text.trim_matches('\'').to_owned()))?, false));
    }
    filled.extend(fill(world, &text[end + 1..], wildcards, of_key, variables)?);
    Some(filled)
}

fn glob(pattern: &[Wild], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((('*', true), rest)) => (0..=text.len()).any(|skipped| glob(rest, &text[skipped..])),
        Some(((wanted, is_wild), rest)) => {
            text.split_first().is_some_and(|(found, after)| (*is_wild || wanted == found) && glob(rest, after))
        }
    }
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
