//! What a decision needs, said in few words.

use std::sync::Arc;

use meridian_model::{GrantOperation, KeyArn, Partition, WireEnum};

use crate::action::Action;
use crate::context::{ConditionContext, ContextKey, ContextValue};
use crate::decision::{AccountScope, Cause, Denial, Inquiry, Layer, PolicySet, RequestContext};
use crate::document::{Policy, PolicyKind};
use crate::grant::{Constraints, ContextConstraint, ContextPairs, GrantTerms};
use crate::principal::{Party, Principal, PrincipalArn, PrincipalKind};

pub(super) const OWNER: &str = "111122223333";
pub(super) const OTHER: &str = "444455556666";
pub(super) const KEY: &str = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// Everything that a decision needs, with a way to say each part shortly.
#[derive(Clone, Default)]
pub(super) struct Scene {
    key_policy: Vec<String>,
    identity: Vec<String>,
    boundary: Option<String>,
    session: Vec<String>,
    endpoint: Option<String>,
    facts: Vec<(String, Vec<String>)>,
    pub(super) pairs: ContextPairs,
    pub(super) grants: Vec<GrantTerms>,
}

impl ConditionContext for Scene {
    fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
        let (_, values) = self.facts.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key.to_string()))?;
        Some(match (&values[..], key.name()) {
            ([value], name) if !SEVERAL.contains(&name) => ContextValue::one(value.as_str()),
            (values, _) => ContextValue::Many(values.iter().map(|value| value.as_str().into()).collect()),
        })
    }
}

const SEVERAL: [&str; 4] = ["aws:tagkeys", "kms:resourcealiases", "kms:encryptioncontextkeys", "kms:grantoperations"];

/// A statement of the form `Allow user/alice,111122223333 kms:Encrypt,kms:Decrypt | "Condition":{...}`.
fn of_key(text: &str) -> String {
    let (head, rest) = text.split_once(" | ").map_or((text, String::new()), |(head, rest)| (head, format!(",{rest}")));
    let words: Vec<&str> = head.split(' ').collect();
    let [effect, principals, actions] = words[..] else { panic!("three words: {text}") };
    let principal = match principals.strip_prefix("service=") {
        Some(name) => format!(r#"{{"Service":"{name}"}}"#),
        None => format!(r#"{{"AWS":{}}}"#, quoted(principals.split(',').map(arn))),
    };
    let actions = quoted(actions.split(',').map(str::to_owned));
    format!(r#"{{"Effect":"{effect}","Principal":{principal},"Action":{actions},"Resource":"*"{rest}}}"#)
}

/// A statement of the form `Allow kms:Encrypt,kms:Decrypt arn:... | "Condition":{...}`.
fn of_identity(text: &str) -> String {
    let (head, rest) = text.split_once(" | ").map_or((text, String::new()), |(head, rest)| (head, format!(",{rest}")));
    let words: Vec<&str> = head.split(' ').collect();
    let [effect, actions, resources] = words[..] else { panic!("three words: {text}") };
    let (actions, resources) = (actions.split(','), resources.split(','));
    let (actions, resources) = (quoted(actions.map(str::to_owned)), quoted(resources.map(str::to_owned)));
    format!(r#"{{"Effect":"{effect}","Action":{actions},"Resource":{resources}{rest}}}"#)
}

fn quoted(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.map(|text| format!(r#""{text}""#)).collect();
    format!("[{}]", texts.join(","))
}

/// `user/alice` is one of the owner's, `444455556666/user/bob` one of that account.
pub(super) fn arn(short: &str) -> String {
    if short == "*" || short.len() == 12 || short.starts_with("arn:") || short.ends_with(".amazonaws.com") {
        return short.to_owned();
    }
    let is_of_other = short.split_once('/').is_some_and(|(account, _)| account == OTHER);
    let (account, name) = if is_of_other { (OTHER, &short[13..]) } else { (OWNER, short) };
    let service = if name.starts_with("assumed-role/") || name.starts_with("federated-user/") { "sts" } else { "iam" };
    format!("arn:aws:{service}::{account}:{name}")
}

pub(super) fn document(statements: &[String]) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

impl Scene {
    pub(super) fn key(mut self, statement: &str) -> Self {
        self.key_policy.push(of_key(statement));
        self
    }

    /// A key whose account may use identity policies.
    pub(super) fn delegating() -> Self {
        Self::default().key("Allow 111122223333 kms:*")
    }

    pub(super) fn iam(mut self, statement: &str) -> Self {
        self.identity.push(of_identity(statement));
        self
    }

    pub(super) fn boundary(mut self, statement: &str) -> Self {
        self.boundary = Some(of_identity(statement));
        self
    }

    pub(super) fn session(mut self, statement: &str) -> Self {
        self.session.push(of_identity(statement));
        self
    }

    pub(super) fn endpoint(mut self, statement: &str) -> Self {
        self.endpoint = Some(of_key(statement));
        self
    }

    /// `name=value` or `name=value,value`.
    pub(super) fn fact(mut self, text: &str) -> Self {
        let (name, values) = text.split_once('=').expect("name=value");
        self.facts.push((name.to_owned(), values.split(',').map(str::to_owned).collect()));
        self
    }

    pub(super) fn pairs(mut self, text: &str) -> Self {
        self.pairs = pairs(text);
        self
    }

    pub(super) fn grant(mut self, grantee: &str, operations: &str) -> Self {
        self.grants.push(grant(grantee, operations));
        self
    }

    pub(super) fn constrained(mut self, grantee: &str, operations: &str, subset: &str) -> Self {
        let mut terms = grant(grantee, operations);
        terms.constraints.encryption_context = Some(ContextConstraint::Subset(pairs(subset)));
        self.grants.push(terms);
        self
    }

    pub(super) fn ask<T>(&self, caller: &str, question: impl FnOnce(Inquiry<'_>) -> T) -> T {
        let parse = |statements: &[String], kind| Policy::parse(&document(statements), kind).expect("a policy");
        let many = |statements: &[String]| {
            let policy = |statement: &String| Arc::new(parse(std::slice::from_ref(statement), PolicyKind::Identity));
            statements.iter().map(policy).collect::<Vec<_>>()
        };
        let one = |statement: &Option<String>, kind| statement.clone().map(|statement| parse(&[statement], kind));
        let key_policy = (!self.key_policy.is_empty()).then(|| parse(&self.key_policy, PolicyKind::Key));
        let (identity, session) = (many(&self.identity), many(&self.session));
        let (boundary, endpoint) =
            (one(&self.boundary, PolicyKind::Identity), one(&self.endpoint, PolicyKind::Endpoint));
        let policies = PolicySet {
            resource: key_policy.as_ref(),
            identity: &identity,
            boundary: boundary.as_ref(),
            session: &session,
            endpoint: endpoint.as_ref(),
        };
        let (arn, origin) = (arn(caller), origin(caller));
        question(Inquiry { principal: principal(&arn, &origin), policies, context: self })
    }

    pub(super) fn decide<A: Action>(&self, caller: &str) -> Result<(), Denial> {
        let request = RequestContext { encryption_context: Some(&self.pairs), source_arn: None };
        self.ask(caller, |inquiry| inquiry.authorize::<A>(key(), &request, &self.grants).map(|_| ()))
    }

    /// `allowed`, or what denies: `no identity`, `deny resource`.
    pub(super) fn answer<A: Action>(&self, caller: &str) -> String {
        answer(&self.decide::<A>(caller))
    }
}

pub(super) fn answer(decision: &Result<(), Denial>) -> String {
    let layer = |layer: Layer| format!("{layer:?}").to_lowercase();
    match decision.as_ref().map_err(|denial| denial.cause) {
        Ok(()) => "allowed".to_owned(),
        Err(Cause::NoAllow(missing)) => format!("no {}", layer(missing)),
        Err(Cause::ExplicitDeny(denying)) => format!("deny {}", layer(denying)),
    }
}

pub(super) fn principal<'a>(arn: &'a str, origin: &'a str) -> Principal<'a> {
    let resource = arn.rsplit(':').next().expect("an ARN");
    let kind = match resource.split('/').next() {
        Some("root") => PrincipalKind::Root,
        Some("assumed-role") => PrincipalKind::Session { role_arn: origin },
        Some("federated-user") => PrincipalKind::FederatedUser { user_arn: origin },
        Some("user") => PrincipalKind::User,
        _ => PrincipalKind::Service { name: arn },
    };
    let account = arn.split(':').nth(4).unwrap_or(OWNER).parse().expect("12 digits");
    Principal { account, arn, kind, unique_id: None }
}

/// The role of a session; alice is the user of every federated one.
fn origin(caller: &str) -> String {
    match caller.split_once("assumed-role/") {
        Some((account, names)) => arn(&format!("{account}role/{}", names.split('/').next().expect("a role"))),
        None => arn("user/alice"),
    }
}

fn pairs(text: &str) -> ContextPairs {
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.split(',').filter_map(pair).collect()
}

pub(super) fn grant(grantee: &str, operations: &str) -> GrantTerms {
    let party = PrincipalArn::parse(&arn(grantee)).map_or_else(|| Party::Service(grantee.to_owned()), Party::Principal);
    GrantTerms {
        grantee: party,
        retiring: None,
        operations: operations.split(',').map(|name| GrantOperation::from_wire(name).expect(name)).collect(),
        constraints: Constraints::default(),
    }
}

pub(super) fn key() -> KeyArn {
    KEY.parse().expect("an ARN")
}

pub(super) fn scope() -> AccountScope {
    AccountScope { partition: Partition::Aws, region: "us-west-2".parse().expect("a Region"), account: key().account }
}
