//! Decisions about grants themselves: who may create, retire and list them.
//!
//! AWS KMS Developer Guide, "Grants in AWS KMS".

use meridian_model::{GrantOperation, KeyArn};

use super::keys::in_text;
use super::{AccountScope, Allowed, AllowedInAccount, Cause, Denial, Findings, GrantToRetire, Inquiry, Layer};
use super::{RequestContext, Rule};
use crate::action::{Action, CreateGrant, ListRetirableGrants, RetireGrant};
use crate::grant::GrantTerms;
use crate::principal::PrincipalArn;
use crate::principal_element::Via;

impl Inquiry<'_> {
    /// Decides whether the principal may create a grant of the terms `child` on `key`. Whoever may only because of a grant
    /// is bound by its limits.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize_grant_creation<'g>(
        &self,
        key: KeyArn,
        request: &RequestContext<'_>,
        grants: impl IntoIterator<Item = &'g GrantTerms>,
        child: &GrantTerms,
    ) -> Result<Allowed<CreateGrant>, Denial> {
        let is_granted = |findings: &mut Findings| {
            grants.into_iter().any(|parent| {
                let applies = parent.check(&self.principal, GrantOperation::CreateGrant, request);
                applies.is_ok_and(|via| parent.covers(child) && findings.are_enough_via(via))
            })
        };
        self.decide_on_key(CreateGrant::FULL_NAME, CreateGrant::CROSSES_ACCOUNTS, &key, is_granted)?;
        Ok(Allowed::of(key))
    }

    /// Decides whether the principal may retire `grant` on `key`: by the terms of the grant, or because the account that
    /// created the grant or owns the key lets it. A key policy can only deny it.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize_grant_retirement(
        &self,
        key: KeyArn,
        grant: GrantToRetire<'_>,
    ) -> Result<Allowed<RetireGrant>, Denial> {
        self.decide_retirement(&key, grant)?;
        Ok(Allowed::of(key))
    }

    pub(super) fn decide_retirement(&self, key: &KeyArn, grant: GrantToRetire<'_>) -> Result<(), Denial> {
        let by_terms = grant.terms.retirable_via(&self.principal);
        let is_of_account = [key.account, grant.issuing_account].contains(&self.principal.account);
        let by_account = (is_of_account && self.principal.service().is_none()).then_some(Via::Account);
        let is_granted =
            |findings: &mut Findings| by_terms.max(by_account).is_some_and(|via| findings.are_enough_via(via));
        in_text(key, |resource| {
            let rule = Rule::Grant { policy: self.policies.resource };
            self.decide_by(rule, RetireGrant::FULL_NAME, resource, is_granted)
        })
    }

    /// Decides whether the principal may list the grants that `retiring` may retire: identity policies say so, for
    /// principals of their own account only.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize_listing_of_retirable(
        &self,
        scope: &AccountScope,
        retiring: &PrincipalArn,
    ) -> Result<AllowedInAccount<ListRetirableGrants>, Denial> {
        if retiring.account() != scope.account {
            let cause = Cause::NoAllow(Layer::Resource);
            return Err(Denial::new(cause, &self.principal, ListRetirableGrants::FULL_NAME, retiring.as_str()));
        }
        self.authorize_in_account(scope)
    }
}
