//! Key policies: one per key, named `default`, kept verbatim.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use meridian_model::shapes::{
    GetKeyPolicyRequest, GetKeyPolicyResponse, ListKeyPoliciesRequest, ListKeyPoliciesResponse, PutKeyPolicyRequest,
    PutKeyPolicyResponse,
};
use meridian_model::{AccountId, ErrorCode, Partition, Response, ServiceError};
use meridian_policy::{Policy, PolicyKind, action, document};
use meridian_state::{KeyRecord, Op, RegionState};

use crate::access::{Access, Forms};
use crate::writes::Plan;

/// The one name that a key policy can have.
const POLICY_NAME: &str = "default";

/// `GetKeyPolicy`
pub(crate) fn read(access: &mut Access<'_>, request: &GetKeyPolicyRequest) -> Result<Response, ServiceError> {
    let (key, _) = access.key::<action::GetKeyPolicy>(&request.key_id, Forms::Key)?;
    check_name(request.policy_name.as_deref())?;
    let policy = policy_of(&access.state, &key);
    Ok(GetKeyPolicyResponse { policy, policy_name: POLICY_NAME.to_owned() }.into())
}

/// `PutKeyPolicy`
pub(crate) fn put(access: &mut Access<'_>, request: &PutKeyPolicyRequest) -> Result<Plan, ServiceError> {
    let (key, _) = access.key::<action::PutKeyPolicy>(&request.key_id, Forms::Key)?;
    check_name(request.policy_name.as_deref())?;
    let policy = Policy::parse(&request.policy, PolicyKind::Key)?;
    if request.bypass_policy_lockout_safety_check != Some(true) {
        access.check_lockout_of(&key, &policy)?;
    }
    let op = Op::PutKeyPolicy { key_id: key.key_id, policy: request.policy.clone() };
    Ok(Plan::new(op, |_, _| PutKeyPolicyResponse {}))
}

/// `ListKeyPolicies`
pub(crate) fn list(access: &mut Access<'_>, request: &ListKeyPoliciesRequest) -> Result<Response, ServiceError> {
    access.key::<action::ListKeyPolicies>(&request.key_id, Forms::Key)?;
    let policy_names = vec![POLICY_NAME.to_owned()];
    Ok(ListKeyPoliciesResponse { policy_names, next_marker: None, truncated: false }.into())
}

/// The compiled policy of a request, if it brings one.
///
/// # Errors
/// `MalformedPolicyDocumentException`, `LimitExceededException`.
pub(crate) fn parse(policy: Option<&str>) -> Result<Option<Policy>, ServiceError> {
    policy.map(|text| Policy::parse(text, PolicyKind::Key)).transpose()
}

/// The policy of a key, ready for decisions.
pub(crate) fn compiled(state: &RegionState, key: &KeyRecord) -> Arc<Policy> {
    match state.key_policy(key.key_id) {
        Some(policy) => Arc::clone(policy.compiled(PolicyKind::Key)),
        None => compiled_default(state.partition(), key.account),
    }
}

/// The default policy of an account depends on nothing else, and most keys have it.
fn compiled_default(partition: Partition, account: AccountId) -> Arc<Policy> {
    let known = DEFAULTS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(policy) = known.get(&(partition, account)) {
        return Arc::clone(policy);
    }
    drop(known);
    let policy = Arc::new(Policy::stored(&document::default_policy(partition, account), PolicyKind::Key));
    let mut known = DEFAULTS.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() < DEFAULTS_MAX {
        known.insert((partition, account), Arc::clone(&policy));
    }
    policy
}

/// The compiled default policies of accounts.
static DEFAULTS: RwLock<BTreeMap<(Partition, AccountId), Arc<Policy>>> = RwLock::new(BTreeMap::new());

/// Accounts whose default policy is kept, some kilobyte each; those of more accounts are compiled for each request.
const DEFAULTS_MAX: usize = 10_000;

/// The policy of a key: what it was given, or the default.
pub(crate) fn policy_of(state: &RegionState, key: &KeyRecord) -> String {
    match state.policy(key.key_id) {
        Some(policy) => policy.to_owned(),
        None => document::default_policy(state.partition(), key.account),
    }
}

fn check_name(name: Option<&str>) -> Result<(), ServiceError> {
    match name {
        None | Some(POLICY_NAME) => Ok(()),
        Some(_) => Err(ServiceError::new(ErrorCode::NotFound, "No such policy exists")),
    }
}
