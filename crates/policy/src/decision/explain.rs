//! The same decision, with everything that took part in it and the reasons of whatever did not.

use meridian_model::{AccountId, GrantOperation, KeyArn, WireEnum};

use super::keys::in_text;
use super::{AccountScope, Denial, Findings, GrantToRetire, Inquiry, Layer, RequestContext, layer_of};
use crate::action::{self, in_lower_case};
use crate::document::Policy;
use crate::grant::{GrantMismatch, GrantTerms};
use crate::principal_element::Via;
use crate::statement::{Effect, Mismatch};

/// What an inquiry is about.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A key.
    Key {
        /// Which.
        key: &'a KeyArn,
        /// What its grants look at.
        request: RequestContext<'a>,
    },
    /// A grant on a key that is to be retired.
    Grant {
        /// The key.
        key: &'a KeyArn,
        /// The grant.
        grant: GrantToRetire<'a>,
    },
    /// An alias, or anything else that only identity policies decide about.
    Resource {
        /// Its ARN.
        arn: &'a str,
        /// Whose it is.
        owner: AccountId,
    },
    /// No resource in particular.
    Account(&'a AccountScope),
}

/// A decision and its reasons.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The decision.
    pub decision: Result<(), Denial>,
    /// Every statement of every policy that counts, in the order of the policies.
    pub statements: Vec<StatementReport>,
    /// Every grant, in the order given.
    pub grants: Vec<GrantReport>,
}

/// Where a policy stands in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyPlace {
    /// Its kind.
    pub layer: Layer,
    /// Which of that kind, from 0.
    pub index: usize,
}

/// What one statement has to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementReport {
    /// The policy.
    pub place: PolicyPlace,
    /// Which statement, from 0.
    pub index: usize,
    /// Its name, if it has one.
    pub sid: Option<String>,
    /// What it does when it applies.
    pub effect: Effect,
    /// By which of its names it means the principal, or why it does not apply.
    pub outcome: Result<Via, Mismatch>,
}

/// What one grant has to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantReport {
    /// Which, from 0.
    pub index: usize,
    /// What it does.
    pub outcome: GrantOutcome,
}

/// What a grant does for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantOutcome {
    /// It allows.
    Allows,
    /// It lets the account of the principal decide by its identity policies.
    LeavesItToTheAccount,
    /// It does not apply.
    DoesNotApply(GrantMismatch),
}

impl Inquiry<'_> {
    /// Decides about `action`, such as `kms:Decrypt`, and says why. A grant that lets create grants counts as if the one to
    /// be created were within its limits.
    #[must_use]
    pub fn explain(&self, action: &str, target: Target<'_>, grants: &[&GrantTerms]) -> Explanation {
        Explanation {
            decision: self.decision(action, target, grants),
            statements: self.statements(action, target),
            grants: self.grants(action, target, grants),
        }
    }

    fn decision(&self, action: &str, target: Target<'_>, grants: &[&GrantTerms]) -> Result<(), Denial> {
        match target {
            Target::Key { key, request } => {
                let name = name_of(action);
                let is_granted =
                    |findings: &mut Findings| self.is_granted(name, &request, grants.iter().copied(), findings);
                self.decide_on_key(action, action::crosses_accounts(name).unwrap_or(false), key, is_granted)
            }
            Target::Grant { key, grant } => self.decide_retirement(key, grant),
            Target::Resource { arn, owner } => self.decide_by_identity(action, arn, owner),
            Target::Account(scope) => self.decide_by_identity(action, &scope.resource(""), scope.account),
        }
    }

    fn statements(&self, action: &str, target: Target<'_>) -> Vec<StatementReport> {
        let mut reports = Vec::new();
        for (place, policy) in self.places(target) {
            let mut checked = |lower: &str, resource: &str| {
                let asked = self.asked(lower, resource);
                for (index, statement) in policy.statements().iter().enumerate() {
                    let outcome = statement.check(&asked, policy.kind()).map_err(Mismatch::from);
                    let (sid, effect) = (statement.sid.as_deref().map(str::to_owned), statement.effect);
                    reports.push(StatementReport { place, index, sid, effect, outcome });
                }
            };
            in_lower_case(action, |lower| match target {
                Target::Key { key, .. } | Target::Grant { key, .. } => {
                    in_text(key, |resource| checked(lower, resource));
                }
                Target::Resource { arn, .. } => checked(lower, arn),
                Target::Account(scope) => checked(lower, &scope.resource("")),
            });
        }
        reports
    }

    /// The policies that count, in the order in which they are told of.
    fn places<'a>(&'a self, target: Target<'_>) -> impl Iterator<Item = (PolicyPlace, &'a Policy)> {
        let counts = matches!(target, Target::Key { .. } | Target::Grant { .. });
        let resource = self.policies.resource.filter(|_| counts).map(|policy| (layer_of(policy), 0, policy));
        let many = |layer, policies: &'a [std::sync::Arc<Policy>]| {
            policies.iter().enumerate().map(move |(index, policy)| (layer, index, &**policy))
        };
        let one = |layer, policy: Option<&'a Policy>| policy.map(|policy| (layer, 0, policy));
        let all = resource.into_iter().chain(many(Layer::Identity, self.policies.identity));
        let all = all.chain(one(Layer::Boundary, self.policies.boundary));
        let all = all.chain(many(Layer::Session, self.policies.session));
        let all = all.chain(one(Layer::Endpoint, self.policies.endpoint));
        all.map(|(layer, index, policy)| (PolicyPlace { layer, index }, policy))
    }

    fn grants(&self, action: &str, target: Target<'_>, grants: &[&GrantTerms]) -> Vec<GrantReport> {
        let Target::Key { request, .. } = target else { return Vec::new() };
        let operation = GrantOperation::from_wire(name_of(action));
        let outcome = |grant: &GrantTerms| {
            let operation = operation.ok_or(GrantMismatch::Operation)?;
            grant.check(&self.principal, operation, &request)
        };
        let reports = grants.iter().enumerate().map(|(index, grant)| {
            let outcome = match outcome(grant) {
                Ok(Via::Account) => GrantOutcome::LeavesItToTheAccount,
                Ok(Via::Role | Via::Itself) => GrantOutcome::Allows,
                Err(mismatch) => GrantOutcome::DoesNotApply(mismatch),
            };
            GrantReport { index, outcome }
        });
        reports.collect()
    }
}

fn name_of(action: &str) -> &str {
    action.strip_prefix("kms:").unwrap_or(action)
}
