//! Grants: what one gives, to whom, and under which constraints. Pure rules; no ids, no storage.
//!
//! AWS KMS Developer Guide, "Grants in AWS KMS". A grant can only allow, never deny.

use std::collections::{BTreeMap, BTreeSet};

use meridian_model::GrantOperation;
use serde::{Deserialize, Serialize};

use crate::decision::RequestContext;
use crate::principal::{Party, Principal};
use crate::principal_element::Via;

/// What a grant gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantTerms {
    /// Who gets the permission.
    pub grantee: Party,
    /// Who else may end the grant.
    pub retiring: Option<Party>,
    /// What the grantee may do; never empty.
    pub operations: BTreeSet<GrantOperation>,
    /// What a request must bring.
    pub constraints: Constraints,
}

/// What a request must bring for a grant to allow it. Not confidential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraints {
    /// On the encryption context of operations that have one.
    pub encryption_context: Option<ContextConstraint>,
    /// On the resource that a service acts for, whatever the operation.
    pub source_arn: Option<String>,
}

/// Pairs of an encryption context.
pub type ContextPairs = BTreeMap<String, String>;

/// A constraint on an encryption context. Keys compare without regard to ASCII case, values exactly (AWS KMS API
/// Reference, `GrantConstraints`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContextConstraint {
    /// These pairs and no others.
    Equals(ContextPairs),
    /// These pairs at least.
    Subset(ContextPairs),
}

/// Why a grant does not apply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantMismatch {
    /// It gives other operations.
    Operation,
    /// It is for somebody else.
    Grantee,
    /// The request does not bring what the grant asks for.
    Constraints,
}

impl GrantTerms {
    /// By which of its names the grant lets `principal` perform `operation`: if by its account, the account must let it,
    /// too.
    ///
    /// # Errors
    /// What keeps the grant from applying.
    pub fn check(
        &self,
        principal: &Principal<'_>,
        operation: GrantOperation,
        context: &RequestContext<'_>,
    ) -> Result<Via, GrantMismatch> {
        if !self.operations.contains(&operation) {
            return Err(GrantMismatch::Operation);
        }
        let via = self.grantee.via(principal).ok_or(GrantMismatch::Grantee)?;
        if self.constraints.permit(operation, context) { Ok(via) } else { Err(GrantMismatch::Constraints) }
    }

    /// Whether a grantee that may create grants by this one may create `child` (AWS KMS Developer Guide, "Granting
    /// CreateGrant permission"): no more operations, and constraints at least as strict.
    #[must_use]
    pub fn covers(&self, child: &Self) -> bool {
        child.operations.is_subset(&self.operations) && self.constraints.are_kept_by(&child.constraints)
    }

    /// By which of its names `principal` may retire the grant by its own terms. Constraints do not apply to that.
    #[must_use]
    pub fn retirable_via(&self, principal: &Principal<'_>) -> Option<Via> {
        let grantee = self.operations.contains(&GrantOperation::RetireGrant).then_some(&self.grantee);
        self.retiring.iter().chain(grantee).filter_map(|party| party.via(principal)).max()
    }
}

impl Constraints {
    fn permit(&self, operation: GrantOperation, context: &RequestContext<'_>) -> bool {
        let is_source = self.source_arn.as_deref().is_none_or(|arn| context.source_arn == Some(arn));
        let constraint = self.encryption_context.as_ref().filter(|_| has_encryption_context(operation));
        is_source && constraint.is_none_or(|constraint| constraint.permits(context.encryption_context))
    }

    fn are_kept_by(&self, child: &Self) -> bool {
        let keeps_source = self.source_arn.is_none() || self.source_arn == child.source_arn;
        let keeps_context = match (&self.encryption_context, &child.encryption_context) {
            (None, _) => true,
            (Some(_), None) | (Some(ContextConstraint::Equals(_)), Some(ContextConstraint::Subset(_))) => false,
            (Some(ContextConstraint::Equals(parent)), Some(ContextConstraint::Equals(child))) => same(parent, child),
            (
                Some(ContextConstraint::Subset(parent)),
                Some(ContextConstraint::Subset(child) | ContextConstraint::Equals(child)),
            ) => holds(child, parent),
        };
        keeps_source && keeps_context
    }
}

impl ContextConstraint {
    /// Whether a request with the encryption context `context` may pass; no context counts as an empty one.
    #[must_use]
    pub fn permits(&self, context: Option<&ContextPairs>) -> bool {
        let none = ContextPairs::new();
        let context = context.unwrap_or(&none);
        match self {
            Self::Equals(pairs) => same(context, pairs),
            Self::Subset(pairs) => holds(context, pairs),
        }
    }
}

fn same(one: &ContextPairs, other: &ContextPairs) -> bool {
    one.len() == other.len() && holds(one, other) && holds(other, one)
}

/// Whether `context` holds every one of `pairs`.
fn holds(context: &ContextPairs, pairs: &ContextPairs) -> bool {
    pairs.iter().all(|(name, value)| {
        // Two names that differ in case alone are two pairs of a context, so that all of it is looked at.
        context.get(name) == Some(value)
            || context.iter().any(|pair| pair.0.eq_ignore_ascii_case(name) && pair.1 == value)
    })
}

/// Whether requests of `operation` carry an encryption context.
#[must_use]
pub const fn has_encryption_context(operation: GrantOperation) -> bool {
    use GrantOperation as O;
    matches!(
        operation,
        O::Decrypt
            | O::Encrypt
            | O::GenerateDataKey
            | O::GenerateDataKeyWithoutPlaintext
            | O::GenerateDataKeyPair
            | O::GenerateDataKeyPairWithoutPlaintext
            | O::ReEncryptFrom
            | O::ReEncryptTo
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{PrincipalArn, PrincipalKind};

    const GRANTEE: &str = "arn:aws:iam::444455556666:role/keyUserRole";

    fn pairs(text: &str) -> ContextPairs {
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        text.split(',').filter_map(pair).collect()
    }

    /// `none`, `equals a=b,c=d` or `subset a=b`.
    fn constraint(text: &str) -> Option<ContextConstraint> {
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        match kind {
            "equals" => Some(ContextConstraint::Equals(pairs(rest))),
            "subset" => Some(ContextConstraint::Subset(pairs(rest))),
            _ => None,
        }
    }

    fn terms(operations: &[GrantOperation], encryption_context: Option<ContextConstraint>) -> GrantTerms {
        GrantTerms {
            grantee: Party::Principal(PrincipalArn::parse(GRANTEE).expect("an ARN")),
            retiring: None,
            operations: operations.iter().copied().collect(),
            constraints: Constraints { encryption_context, source_arn: None },
        }
    }

    fn grantee() -> Principal<'static> {
        let account = "444455556666".parse().expect("12 digits");
        Principal { account, arn: GRANTEE, kind: PrincipalKind::User, unique_id: None }
    }

    /// AWS KMS Developer Guide, "Using grant constraints", and the note on case in the API Reference.
    #[test]
    fn constraints_on_the_encryption_context() {
        for (constraint_text, context, permitted) in [
            ("equals Department=IT", "Department=IT", true),
            ("equals Department=IT", "Department=IT,Purpose=Test", false),
            ("equals Department=IT", "Purpose=Test", false),
            ("equals Department=IT", "", false),
            ("equals Department=IT", "Department=it", false),
            ("equals Department=IT", "department=IT", true),
            ("equals Department=IT", "Department=IT,department=HR", false),
            ("subset Department=IT", "Department=IT", true),
            ("subset Department=IT", "Department=IT,Purpose=Test", true),
            ("subset Department=IT", "DEPARTMENT=IT,Purpose=Test", true),
            ("subset Department=IT", "Purpose=Test", false),
            ("subset Department=IT", "", false),
            ("subset Department=IT", "Department=it", false),
            ("none", "", true),
            ("none", "Department=IT", true),
        ] {
            let terms = terms(&[GrantOperation::Decrypt], constraint(constraint_text));
            let context_pairs = pairs(context);
            let context_given = RequestContext { encryption_context: Some(&context_pairs), source_arn: None };
            let allowed = terms.check(&grantee(), GrantOperation::Decrypt, &context_given).is_ok();
            assert_eq!(allowed, permitted, "{constraint_text} / {context}");
        }
    }

    #[test]
    fn constraints_bind_operations_with_an_encryption_context_only() {
        let operations = [GrantOperation::DescribeKey, GrantOperation::RetireGrant, GrantOperation::Decrypt];
        let terms = terms(&operations, constraint("equals Department=IT"));
        let without = RequestContext::default();
        assert!(terms.check(&grantee(), GrantOperation::DescribeKey, &without).is_ok());
        assert!(terms.retirable_via(&grantee()).is_some());
        assert!(terms.check(&grantee(), GrantOperation::Decrypt, &without).is_err());
        assert!(terms.check(&grantee(), GrantOperation::Encrypt, &without).is_err(), "not in the grant");
    }

    #[test]
    fn a_source_arn_binds_every_operation() {
        let mut terms = terms(&[GrantOperation::DescribeKey], None);
        let arn = "arn:aws:s3:::bucket";
        terms.constraints.source_arn = Some(arn.to_owned());
        let from = |source_arn| RequestContext { encryption_context: None, source_arn };
        assert!(terms.check(&grantee(), GrantOperation::DescribeKey, &from(Some(arn))).is_ok());
        assert!(terms.check(&grantee(), GrantOperation::DescribeKey, &from(Some("arn:aws:s3:::other"))).is_err());
        assert!(terms.check(&grantee(), GrantOperation::DescribeKey, &from(None)).is_err());
    }

    #[test]
    fn only_the_grantee_may() {
        let terms = terms(&[GrantOperation::Decrypt], None);
        let other = Principal { arn: "arn:aws:iam::444455556666:role/other", ..grantee() };
        assert!(terms.check(&other, GrantOperation::Decrypt, &RequestContext::default()).is_err());
    }

    /// AWS KMS Developer Guide, "Granting CreateGrant permission".
    #[test]
    fn children_are_at_least_as_strict_as_their_parents() {
        for (parent, child, covered) in [
            ("none", "none", true),
            ("none", "subset a=1", true),
            ("none", "equals a=1", true),
            ("subset a=1", "none", false),
            ("subset a=1", "subset a=1", true),
            ("subset a=1", "subset A=1", true),
            ("subset a=1", "subset a=1,b=2", true),
            ("subset a=1", "subset b=2", false),
            ("subset a=1", "subset a=2", false),
            ("subset a=1", "equals a=1", true),
            ("subset a=1", "equals a=1,b=2", true),
            ("subset a=1", "equals b=2", false),
            ("equals a=1", "none", false),
            ("equals a=1", "subset a=1", false),
            ("equals a=1", "equals a=1", true),
            ("equals a=1", "equals a=1,b=2", false),
        ] {
            let operations = [GrantOperation::Decrypt, GrantOperation::CreateGrant];
            let parent_terms = terms(&operations, constraint(parent));
            let child_terms = terms(&[GrantOperation::Decrypt], constraint(child));
            assert_eq!(parent_terms.covers(&child_terms), covered, "{parent} / {child}");
            let wider = terms(&[GrantOperation::Encrypt], constraint(child));
            assert!(!parent_terms.covers(&wider), "an operation that the parent does not have");
        }
    }

    #[test]
    fn who_may_retire_by_the_terms() {
        let retirer = "arn:aws:iam::111122223333:role/adminRole";
        let account = "111122223333".parse().expect("12 digits");
        let admin = Principal { account, arn: retirer, ..grantee() };
        let mut terms = terms(&[GrantOperation::Decrypt], None);
        assert_eq!((terms.retirable_via(&grantee()), terms.retirable_via(&admin)), (None, None));
        terms.retiring = PrincipalArn::parse(retirer).map(Party::Principal);
        assert_eq!((terms.retirable_via(&grantee()), terms.retirable_via(&admin)), (None, Some(Via::Itself)));
        terms.operations.insert(GrantOperation::RetireGrant);
        assert_eq!(terms.retirable_via(&grantee()), Some(Via::Itself));
        terms.retiring = Some(Party::Principal(PrincipalArn::root(meridian_model::Partition::Aws, account)));
        assert_eq!(terms.retirable_via(&admin), Some(Via::Account));
    }
}
