//! The rule of before: the account that owns a key may do everything with it. Goes with its last caller.

use meridian_model::{ErrorCode, GrantOperation, KeyArn, ServiceError, WireEnum};

use crate::action::{self, Action};
use crate::decision::{Allowed, GrantToRetire, RequestContext};
use crate::grant::GrantTerms;
use crate::principal::{Principal, PrincipalArn};

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
    if is_issuer || owns(principal, &key) || grant.terms.retirable_via(principal).is_some() {
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
    Allowed::of(key)
}

fn denied<A: Action>(principal: &Principal<'_>, key: &KeyArn) -> ServiceError {
    let (arn, action) = (principal.arn, A::NAME);
    let message = format!(
        "User: {arn} is not authorized to perform: kms:{action} on resource: {key} \
         because no resource-based policy allows the kms:{action} action"
    );
    ServiceError::new(ErrorCode::AccessDenied, message)
}
