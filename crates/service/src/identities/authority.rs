//! Who may do what to identities: the identity policies of the caller decide, within its boundary and session policies; who may
//! assume a role, its trust policy decides as well.
//!
//! Always true: nothing is told of an entity before the caller is allowed to act on it, not even whether there is one.

use std::cell::Cell;
use std::sync::Arc;

use meridian_identity::Caller;
use meridian_model::{AccountId, ServiceError, Timestamp};

use meridian_policy::{Denial, Inquiry, Policy, PolicyKind, PolicySet};
use meridian_state::RegionState;
use meridian_state::identities::RoleRecord;

use super::facts::{Circumstances, Facts};
use crate::caller_policies::{CallerPolicies, principal};
use crate::conditions::global::Global;
use crate::credentials::check_current;
use crate::origin::Origin;

/// A caller, and everything that decides about it.
pub(super) struct Authority<'a> {
    pub(super) state: Arc<RegionState>,
    pub(super) caller: &'a Caller,
    pub(super) now: Timestamp,
    origin: Origin<'a>,
    policies: CallerPolicies,
    is_denied_by_endpoint_alone: Cell<bool>,
}

impl<'a> Authority<'a> {
    /// What decides about `caller` in `state`.
    ///
    /// # Errors
    /// If whoever signed the request has lost its credentials by the time of `state`.
    pub(super) fn new(
        state: Arc<RegionState>,
        caller: &'a Caller,
        origin: Origin<'a>,
        now: Timestamp,
    ) -> Result<Self, ServiceError> {
        check_current(&state, caller)?;
        let policies = CallerPolicies::of(&state, caller);
        Ok(Self { state, caller, now, origin, policies, is_denied_by_endpoint_alone: Cell::new(false) })
    }

    /// The account that the caller acts in.
    pub(super) fn account(&self) -> AccountId {
        self.caller.account
    }

    /// Whether the caller may perform `action`, such as `iam:CreateUser`, on something of its own account.
    pub(super) fn allow(&self, action: &str, resource: &str, facts: &Facts) -> Result<(), ServiceError> {
        self.allow_of(self.account(), action, resource, facts)
    }

    /// As [`Authority::allow`], on something of the account `owner`.
    pub(super) fn allow_of(
        &self,
        owner: AccountId,
        action: &str,
        resource: &str,
        facts: &Facts,
    ) -> Result<(), ServiceError> {
        self.told(self.decide(action, resource, owner, None, facts))
    }

    /// Whether the caller may perform `action`, which the trust policy of `role` has a say in, on this role.
    pub(super) fn allow_by_trust(&self, action: &str, role: &RoleRecord, facts: &Facts) -> Result<(), ServiceError> {
        let arn = role.arn(self.state.partition());
        let trust = role.trust.compiled(PolicyKind::Trust);
        self.told(self.decide(action, &arn, role.account, Some(trust), facts))
    }

    /// Whether the policy of the endpoint alone stood in the way of the last decision.
    pub(super) fn is_denied_by_endpoint_alone(&self) -> bool {
        self.is_denied_by_endpoint_alone.get()
    }

    fn decide(
        &self,
        action: &str,
        resource: &str,
        owner: AccountId,
        trust: Option<&Policy>,
        facts: &Facts,
    ) -> Result<(), Denial> {
        let global = Global {
            caller: self.caller,
            origin: self.origin,
            region: self.state.region(),
            now: self.now,
            tags: self.policies.tags(),
        };
        let circumstances = Circumstances { global, facts };
        let policies = PolicySet {
            resource: trust,
            identity: &self.policies.identity,
            boundary: self.policies.boundary.as_deref(),
            session: &self.policies.session,
            endpoint: self.origin.endpoint.and_then(|endpoint| endpoint.policy()).map(Arc::as_ref),
        };
        let inquiry = Inquiry { principal: principal(self.caller), policies, context: &circumstances };
        inquiry.decide(action, resource, owner)
    }

    fn told(&self, decision: Result<(), Denial>) -> Result<(), ServiceError> {
        decision.map_err(|denial| {
            self.is_denied_by_endpoint_alone.set(denial.is_by_endpoint_alone());
            denial.into()
        })
    }
}
