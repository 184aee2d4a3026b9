//! The decision: may this principal do this with this key?

use std::marker::PhantomData;

use meridian_model::{AccountId, ErrorCode, GrantOperation, KeyArn, ServiceError, WireEnum};

use crate::action::{self, Action};
use crate::grant::{ContextPairs, GrantTerms};
use crate::principal::{Principal, PrincipalArn};

/// What a request brings besides its principal and its key.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestContext<'a> {
    /// The encryption context, for operations that have one.
    pub encryption_context: Option<&'a ContextPairs>,
    /// The resource that a service acts for: `aws:SourceArn`. Only services can say.
    pub source_arn: Option<&'a str>,
}

/// Proof that a principal may perform `A` on one key. Only this module makes one.
#[derive(Debug)]
pub struct Allowed<A> {
    key: KeyArn,
    action: PhantomData<A>,
}

impl<A> Allowed<A> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &KeyArn {
        &self.key
    }
}

/// Decides whether `principal` may perform `A` on `key`, on which `grants` may be for the principal. Grants are looked at
/// last, and only if nothing else allows.
///
/// # Errors
/// `AccessDeniedException`, naming the principal, the action and the key.
pub fn authorize<'g, A: Action>(
    principal: &Principal<'_>,
    key: KeyArn,
    context: &RequestContext<'_>,
    grants: impl IntoIterator<Item = &'g GrantTerms>,
) -> Result<Allowed<A>, ServiceError> {
    let by_grant = || {
        let operation = GrantOperation::from_wire(A::NAME)?;
        grants.into_iter().find(|grant| grant.allows(principal, operation, context))
    };
    if owns(principal, &key) || by_grant().is_some() { Ok(allowed(key)) } else { Err(denied::<A>(principal, &key)) }
}

/// Decides whether `principal` may create a grant of the terms `child` on `key`. Whoever may only because of a grant is
/// bound by its limits.
///
/// # Errors
/// `AccessDeniedException`, naming the principal, the action and the key.
pub fn authorize_grant_creation<'g>(
    principal: &Principal<'_>,
    key: KeyArn,
    context: &RequestContext<'_>,
    grants: impl IntoIterator<Item = &'g GrantTerms>,
    child: &GrantTerms,
) -> Result<Allowed<action::CreateGrant>, ServiceError> {
    let operation = GrantOperation::CreateGrant;
    let lets_create = |parent: &&GrantTerms| parent.allows(principal, operation, context) && parent.covers(child);
    if owns(principal, &key) || grants.into_iter().any(|parent| lets_create(&parent)) {
        return Ok(allowed(key));
    }
    Err(denied::<action::CreateGrant>(principal, &key))
}

/// A grant that is to be retired.
#[derive(Clone, Copy, Debug)]
pub struct GrantToRetire<'a> {
    /// What it gives, and who else may end it.
    pub terms: &'a GrantTerms,
    /// The account in which it was created.
    pub issuing_account: AccountId,
}

/// Decides whether `principal` may retire `grant` on `key`: by the terms of the grant, or because the account that created
/// the grant or owns the key may (AWS KMS Developer Guide, "Retiring and revoking grants").
///
/// # Errors
/// `AccessDeniedException`, naming the principal, the action and the key.
pub fn authorize_grant_retirement(
    principal: &Principal<'_>,
    key: KeyArn,
    grant: GrantToRetire<'_>,
) -> Result<Allowed<action::RetireGrant>, ServiceError> {
    let is_issuer = principal.account == grant.issuing_account;
    if is_issuer || owns(principal, &key) || grant.terms.lets_retire(principal) {
        return Ok(allowed(key));
    }
    Err(denied::<action::RetireGrant>(principal, &key))
}

/// Decides whether `principal` may list the grants that `retiring` may retire: those of its own account only.
///
/// # Errors
/// `AccessDeniedException`, naming the principal and the action.
pub fn authorize_listing_of_retirable(principal: &Principal<'_>, retiring: &PrincipalArn) -> Result<(), ServiceError> {
    if principal.account == retiring.account() {
        return Ok(());
    }
    let arn = principal.arn;
    let message = format!(
        "User: {arn} is not authorized to perform: kms:ListRetirableGrants for the retiring principal {retiring} of \
         another account"
    );
    Err(ServiceError::new(ErrorCode::AccessDenied, message))
}

/// As long as there is no other policy, the account that owns a key may do everything with it.
fn owns(principal: &Principal<'_>, key: &KeyArn) -> bool {
    principal.account == key.account
}

fn allowed<A>(key: KeyArn) -> Allowed<A> {
    Allowed { key, action: PhantomData }
}

fn denied<A: Action>(principal: &Principal<'_>, key: &KeyArn) -> ServiceError {
    let (arn, action) = (principal.arn, A::NAME);
    let message = format!(
        "User: {arn} is not authorized to perform: kms:{action} on resource: {key} \
         because no resource-based policy allows the kms:{action} action"
    );
    ServiceError::new(ErrorCode::AccessDenied, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Decrypt, Encrypt, ListGrants};
    use crate::grant::Constraints;
    use crate::principal::Party;

    const ALICE: &str = "arn:aws:iam::444455556666:user/alice";

    fn principal(account: &str) -> Principal<'static> {
        let account = account.parse().expect("12 digits");
        Principal { account, arn: ALICE, role_arn: None, service: None }
    }

    fn key() -> KeyArn {
        "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse().expect("valid")
    }

    fn grant(operations: &[GrantOperation]) -> GrantTerms {
        GrantTerms {
            grantee: Party::Principal(PrincipalArn::parse(ALICE).expect("an ARN")),
            retiring: None,
            operations: operations.iter().copied().collect(),
            constraints: Constraints::default(),
        }
    }

    fn decide<A: Action>(account: &str, grants: &[GrantTerms]) -> Result<Allowed<A>, ServiceError> {
        authorize::<A>(&principal(account), key(), &RequestContext::default(), grants)
    }

    #[test]
    fn the_owner_may() {
        let allowed = decide::<Decrypt>("111122223333", &[]).expect("the owner");
        assert_eq!(allowed.key(), &key());
    }

    #[test]
    fn nobody_else_may_without_a_grant() {
        let error = decide::<Decrypt>("444455556666", &[]).expect_err("another account");
        assert_eq!(error.code, ErrorCode::AccessDenied);
        assert!(error.message.contains("kms:Decrypt on resource: arn:aws:kms:us-west-2:111122223333:key/"));
    }

    #[test]
    fn a_grantee_may_what_the_grant_says_and_nothing_that_no_grant_can_say() {
        let grants = [grant(&[GrantOperation::Sign]), grant(&[GrantOperation::Decrypt])];
        decide::<Decrypt>("444455556666", &grants).expect("granted");
        decide::<Encrypt>("444455556666", &grants).expect_err("not granted");
        decide::<ListGrants>("444455556666", &grants).expect_err("no grant operation");
    }

    #[test]
    fn a_grantee_creates_grants_within_the_limits_of_its_own() {
        let grants = [grant(&[GrantOperation::Decrypt, GrantOperation::CreateGrant])];
        let create = |account: &str, child: &GrantTerms| {
            authorize_grant_creation(&principal(account), key(), &RequestContext::default(), &grants, child)
        };
        create("444455556666", &grant(&[GrantOperation::Decrypt])).expect("within");
        create("444455556666", &grant(&[GrantOperation::Encrypt])).expect_err("beyond");
        create("111122223333", &grant(&[GrantOperation::Encrypt])).expect("the owner is not bound");
    }

    #[test]
    fn who_may_retire() {
        let terms = grant(&[GrantOperation::Decrypt]);
        let retire = |account: &str, issuer: &str, terms: &GrantTerms| {
            let grant = GrantToRetire { terms, issuing_account: issuer.parse().expect("12 digits") };
            authorize_grant_retirement(&principal(account), key(), grant).is_ok()
        };
        assert!(retire("111122223333", "777788889999", &terms), "the owner of the key");
        assert!(retire("777788889999", "777788889999", &terms), "the account that created the grant");
        assert!(!retire("444455556666", "777788889999", &terms), "the grantee without RetireGrant");
        let retirable = grant(&[GrantOperation::Decrypt, GrantOperation::RetireGrant]);
        assert!(retire("444455556666", "777788889999", &retirable), "the grantee with RetireGrant");
    }

    #[test]
    fn retirable_grants_are_listed_within_the_account() {
        let retiring = PrincipalArn::parse(ALICE).expect("an ARN");
        authorize_listing_of_retirable(&principal("444455556666"), &retiring).expect("the own account");
        let error = authorize_listing_of_retirable(&principal("111122223333"), &retiring).expect_err("another account");
        assert_eq!(error.code, ErrorCode::AccessDenied);
    }
}
