//! The decision: may this principal do this with this key?

use std::marker::PhantomData;

use meridian_model::{AccountId, ErrorCode, KeyArn, ServiceError};

use crate::action::Action;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a> {
    /// The account that the principal belongs to.
    pub account: AccountId,
    /// The ARN of the principal.
    pub arn: &'a str,
}

/// Proof that a principal may perform `A` on one key. Only [`authorize`] makes one.
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

/// Decides whether `principal` may perform `A` on `key`.
///
/// # Errors
/// `AccessDeniedException`, naming the principal, the action and the key.
pub fn authorize<A: Action>(principal: Principal<'_>, key: KeyArn) -> Result<Allowed<A>, ServiceError> {
    if principal.account == key.account {
        return Ok(Allowed { key, action: PhantomData });
    }
    let Principal { arn, .. } = principal;
    let action = A::NAME;
    let message = format!(
        "User: {arn} is not authorized to perform: kms:{action} on resource: {key} \
         because no resource-based policy allows the kms:{action} action"
    );
    Err(ServiceError::new(ErrorCode::AccessDenied, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Decrypt;

    fn principal(account: &str) -> Principal<'static> {
        Principal { account: account.parse().expect("12 digits"), arn: "arn:aws:iam::111122223333:user/alice" }
    }

    fn key() -> KeyArn {
        "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse().expect("valid")
    }

    #[test]
    fn the_owner_may() {
        let allowed = authorize::<Decrypt>(principal("111122223333"), key()).expect("the owner");
        assert_eq!(allowed.key(), &key());
    }

    #[test]
    fn nobody_else_may() {
        let error = authorize::<Decrypt>(principal("444455556666"), key()).expect_err("another account");
        assert_eq!(error.code, ErrorCode::AccessDenied);
        assert!(error.message.contains("kms:Decrypt on resource: arn:aws:kms:us-west-2:111122223333:key/"));
    }
}
