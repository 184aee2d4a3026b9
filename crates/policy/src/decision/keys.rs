//! Decisions about keys and aliases.

use std::fmt::{self, Write as _};
use std::marker::PhantomData;

use meridian_model::{AccountId, ErrorCode, GrantOperation, KeyArn, ServiceError, WireEnum};

use super::{
    AccountScope, Allowed, AllowedInAccount, Cause, Denial, Findings, Inquiry, Layer, PolicySet, RequestContext, Rule,
};
use crate::action::{Action, OnAlias, PutKeyPolicy};
use crate::grant::GrantTerms;
use crate::principal_element::Via;

impl Inquiry<'_> {
    /// Decides whether the principal may perform `A` on `key`, whose policy is that of the resource, and on which `grants`
    /// may be for the principal. Grants are looked at last, and only if no policy allows.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize<'g, A: Action>(
        &self,
        key: KeyArn,
        request: &RequestContext<'_>,
        grants: impl IntoIterator<Item = &'g GrantTerms>,
    ) -> Result<Allowed<A>, Denial> {
        let is_granted = |findings: &mut Findings| self.is_granted(A::NAME, request, grants, findings);
        self.decide_on_key(A::FULL_NAME, A::CROSSES_ACCOUNTS, &key, is_granted)?;
        Ok(Allowed::of(key))
    }

    /// Decides whether the principal may perform `A` on the alias `arn` of `owner`. Its keys are decisions of their own.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize_on_alias<A: OnAlias>(&self, arn: &str, owner: AccountId) -> Result<(), Denial> {
        self.decide_by_identity(A::FULL_NAME, arn, owner)
    }

    /// Decides whether the principal may perform `A` on a key that is about to be created. Only an identity policy for all
    /// keys of the account and Region can say so: the key has no name yet.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize_on_new_key<A: Action>(&self, scope: &AccountScope) -> Result<AllowedInAccount<A>, Denial> {
        self.decide_by_identity(A::FULL_NAME, &scope.resource("key/"), scope.account)?;
        Ok(AllowedInAccount { account: scope.account, action: PhantomData })
    }

    /// Checks that the principal will be able to change the policy of `key` again, once it has the policy of the resource
    /// of this inquiry (AWS KMS API Reference, `PutKeyPolicy`, `BypassPolicyLockoutSafetyCheck`).
    ///
    /// # Errors
    /// `MalformedPolicyDocumentException`.
    pub fn check_lockout(&self, key: &KeyArn) -> Result<(), ServiceError> {
        // Whichever endpoint this request comes through, a later one need not.
        let lasting = Inquiry { policies: PolicySet { endpoint: None, ..self.policies }, ..*self };
        let (action, crosses_accounts) = (PutKeyPolicy::FULL_NAME, PutKeyPolicy::CROSSES_ACCOUNTS);
        lasting.decide_on_key(action, crosses_accounts, key, |_| false).map_err(|_| {
            let message = "The new key policy will not allow you to update the key policy in the future.";
            ServiceError::new(ErrorCode::MalformedPolicyDocument, message)
        })
    }

    pub(super) fn decide_on_key(
        &self,
        action: &str,
        crosses_accounts: bool,
        key: &KeyArn,
        is_granted: impl FnOnce(&mut Findings) -> bool,
    ) -> Result<(), Denial> {
        in_text(key, |resource| {
            let Some(policy) = self.policies.resource else {
                // Every key has a policy. Without it nobody may anything.
                return Err(Denial::new(Cause::NoAllow(Layer::Resource), &self.principal, action, resource));
            };
            let rule = Rule::Resource { policy, owner: key.account, crosses_accounts };
            self.decide_by(rule, action, resource, is_granted)
        })
    }

    /// Whether one of `grants` lets the principal perform the action `name`.
    pub(super) fn is_granted<'g>(
        &self,
        name: &str,
        request: &RequestContext<'_>,
        grants: impl IntoIterator<Item = &'g GrantTerms>,
        findings: &mut Findings,
    ) -> bool {
        let Some(operation) = GrantOperation::from_wire(name) else { return false };
        grants
            .into_iter()
            .any(|grant| grant.check(&self.principal, operation, request).is_ok_and(|via| findings.are_enough_via(via)))
    }
}

impl Findings {
    /// Whether a grant that means the principal as `via` allows it.
    pub(super) fn are_enough_via(&mut self, via: Via) -> bool {
        if via > Via::Account {
            return true;
        }
        self.is_delegated_by_grant = true;
        self.account_permits()
    }
}

/// Gives the text of `key` to `then`, on the stack.
pub(super) fn in_text<T>(key: &KeyArn, then: impl FnOnce(&str) -> T) -> T {
    let mut text = StackText { bytes: [0; 160], len: 0 };
    match write!(text, "{key}") {
        Ok(()) => then(text.as_str()),
        Err(fmt::Error) => then(&key.to_string()),
    }
}

/// A short text on the stack. An ARN of a key has 121 bytes at most.
struct StackText {
    bytes: [u8; 160],
    len: usize,
}

impl StackText {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("only whole texts were written")
    }
}

impl fmt::Write for StackText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
