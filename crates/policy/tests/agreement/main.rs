//! The engine agrees with a second evaluator, written as simply as can be, on 100,000 requests by chance.

mod generator;
mod simple;

use std::sync::Arc;

use meridian_hostile::Seed;
use meridian_model::{GrantOperation, KeyArn, WireEnum};
use meridian_policy::{
    Action, ConditionContext, Constraints, ContextConstraint, ContextKey, ContextValue, Denial, GrantTerms, Inquiry,
    Party, Policy, PolicyKind, PolicySet, Principal, PrincipalArn, PrincipalKind, RequestContext, Target, action,
};
use serde_json::Value;

use crate::simple::{Caller, World};

const WORLDS: usize = 12_500;
const REQUESTS_OF_WORLD: usize = 8;

#[test]
fn both_decide_alike() {
    let mut seed = Seed::of_this_run();
    println!("agreement: {seed}");
    let mut allowed = 0;
    for _ in 0..WORLDS {
        let mut world = generator::world(&mut seed);
        let compiled = Compiled::of(&world);
        for _ in 0..REQUESTS_OF_WORLD {
            generator::request(&mut seed, &mut world);
            let decided = compiled.decide(&world);
            assert_eq!(decided.is_ok(), simple::is_allowed(&world), "engine: {decided:?}\n{world:#?}");
            allowed += usize::from(decided.is_ok());
        }
    }
    let all = WORLDS * REQUESTS_OF_WORLD;
    println!("agreement: {allowed} of {all} were allowed");
    assert!((all / 10..all / 10 * 9).contains(&allowed), "neither answer may be rare: {allowed}");
}

/// The policies of a world, for the engine.
struct Compiled {
    key_policy: Policy,
    identity: Vec<Arc<Policy>>,
    boundary: Option<Policy>,
    session: Vec<Arc<Policy>>,
    endpoint: Option<Policy>,
    grants: Vec<GrantTerms>,
    key: KeyArn,
}

impl Compiled {
    fn of(world: &World) -> Self {
        let parse = |policy: &Value, kind: PolicyKind| {
            Policy::parse(&policy.to_string(), kind).unwrap_or_else(|error| panic!("{error}: {policy:#}"))
        };
        let many = |policies: &[Value], kind: PolicyKind| {
            policies.iter().map(|policy| Arc::new(parse(policy, kind))).collect()
        };
        Self {
            key_policy: parse(&world.key_policy, PolicyKind::Key),
            identity: many(&world.identity, PolicyKind::Identity),
            boundary: world.boundary.as_ref().map(|policy| parse(policy, PolicyKind::Identity)),
            session: many(&world.session, PolicyKind::Identity),
            endpoint: world.endpoint.as_ref().map(|policy| parse(policy, PolicyKind::Endpoint)),
            grants: world.grants.iter().map(terms).collect(),
            key: world.key_arn.parse().expect("an ARN"),
        }
    }

    fn decide(&self, world: &World) -> Result<(), Denial> {
        let policies = PolicySet {
            resource: Some(&self.key_policy),
            identity: &self.identity,
            boundary: self.boundary.as_ref(),
            session: &self.session,
            endpoint: self.endpoint.as_ref(),
        };
        let inquiry = Inquiry { principal: principal(&world.caller), policies, context: &Context(world) };
        let request = RequestContext { encryption_context: Some(&world.encryption_context), source_arn: None };
        let decided = match world.action.strip_prefix("kms:").expect("an action") {
            "Encrypt" => self.authorize::<action::Encrypt>(&inquiry, &request),
            "Decrypt" => self.authorize::<action::Decrypt>(&inquiry, &request),
            "ReEncryptFrom" => self.authorize::<action::ReEncryptFrom>(&inquiry, &request),
            "DescribeKey" => self.authorize::<action::DescribeKey>(&inquiry, &request),
            "CreateGrant" => self.authorize::<action::CreateGrant>(&inquiry, &request),
            "ListGrants" => self.authorize::<action::ListGrants>(&inquiry, &request),
            "PutKeyPolicy" => self.authorize::<action::PutKeyPolicy>(&inquiry, &request),
            "TagResource" => self.authorize::<action::TagResource>(&inquiry, &request),
            other => panic!("not among {:?}: {other}", generator::ACTIONS),
        };
        let grants: Vec<&GrantTerms> = self.grants.iter().collect();
        let explained = inquiry.explain(&world.action, Target::Key { key: &self.key, request }, &grants);
        assert_eq!(explained.decision, decided, "an explanation explains the decision");
        decided
    }

    fn authorize<A: Action>(&self, inquiry: &Inquiry<'_>, request: &RequestContext<'_>) -> Result<(), Denial> {
        inquiry
            .authorize::<A>(self.key.clone(), request, &self.grants)
            .map(|allowed| assert_eq!(*allowed.key(), self.key))
    }
}

fn principal(caller: &Caller) -> Principal<'_> {
    let kind = match caller.kind.as_str() {
        "root" => PrincipalKind::Root,
        "user" => PrincipalKind::User,
        "session" => PrincipalKind::Session { role_arn: &caller.origin },
        "federated" => PrincipalKind::FederatedUser { user_arn: &caller.origin },
        _ => PrincipalKind::Service { name: &caller.arn },
    };
    let unique_id = (!caller.unique_id.is_empty()).then_some(&*caller.unique_id);
    Principal { account: caller.account.parse().expect("12 digits"), arn: &caller.arn, kind, unique_id }
}

fn terms(grant: &simple::Grant) -> GrantTerms {
    let constraint = |pairs| {
        if grant.exactly { ContextConstraint::Equals(pairs) } else { ContextConstraint::Subset(pairs) }
    };
    GrantTerms {
        grantee: Party::Principal(PrincipalArn::parse(&grant.grantee).expect("an ARN")),
        retiring: None,
        operations: grant
            .operations
            .iter()
            .map(|name| GrantOperation::from_wire(name).expect("an operation"))
            .collect(),
        constraints: Constraints { encryption_context: grant.constraint.clone().map(constraint), source_arn: None },
    }
}

struct Context<'a>(&'a World);

impl ConditionContext for Context<'_> {
    fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
        let (is_multiple, values) = self.0.context.get(&key.to_string().to_lowercase())?;
        if *is_multiple {
            return Some(ContextValue::Many(values.iter().map(|value| value.as_str().into()).collect()));
        }
        values.first().map(|value| ContextValue::one(value.as_str()))
    }
}
