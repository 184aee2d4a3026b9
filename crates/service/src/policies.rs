//! Key policies: one per key, named `default`, kept verbatim.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use meridian_model::shapes::{
    GetKeyPolicyRequest, GetKeyPolicyResponse, ListKeyPoliciesRequest, ListKeyPoliciesResponse, PutKeyPolicyRequest,
    PutKeyPolicyResponse,
};
use meridian_model::{AccountId, EntityName, ErrorCode, Partition, Response, ServiceError};
use meridian_policy::{Policy, PolicyKind, PrincipalArn, action, document};
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
    check_principals(&access.state, &policy)?;
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

/// Checks that whoever `policy` names is there. To be asked after the caller was permitted: the answer tells who exists.
///
/// # Errors
/// `MalformedPolicyDocumentException`.
pub(crate) fn check_principals(state: &RegionState, policy: &Policy) -> Result<(), ServiceError> {
    let is_missing = |arn: &str| PrincipalArn::parse(arn).is_some_and(|principal| is_missing(state, &principal));
    if policy.named_arns().any(is_missing) { Err(document::invalid_principals()) } else { Ok(()) }
}

/// Whether there is no such user or role, in an account whose identities are kept here; nothing is known of other accounts
/// (AWS KMS API Reference, `PutKeyPolicy`: the principals in the key policy must exist).
fn is_missing(state: &RegionState, principal: &PrincipalArn) -> bool {
    let (identities, account) = (state.identities(), principal.account());
    let is_kept = identities.users(account, None).next().is_some() || identities.roles(account, None).next().is_some();
    let resource = principal.as_str().splitn(6, ':').nth(5).unwrap_or_default();
    let (kind, names) = resource.split_once('/').unwrap_or_default();
    let name_of = |name: &str| name.parse::<EntityName>().ok();
    let last = || name_of(names.rsplit('/').next().unwrap_or_default());
    let arn = match kind {
        "user" => last().and_then(|name| identities.user(account, &name)).map(|user| user.arn(principal.partition())),
        "role" => last().and_then(|name| identities.role(account, &name)).map(|role| role.arn(principal.partition())),
        "assumed-role" => {
            let role = name_of(names.split('/').next().unwrap_or_default());
            return is_kept && role.is_none_or(|name| identities.role(account, &name).is_none());
        }
        _ => return false, // a federated user is nothing that is kept
    };
    is_kept && arn.as_deref() != Some(principal.as_str())
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
