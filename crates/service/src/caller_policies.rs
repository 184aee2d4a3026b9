//! What a caller is to policies, and the policies that are its own.

use std::sync::{Arc, LazyLock};

use meridian_identity::{Caller, CallerKind};
use meridian_policy::document::{Policy, PolicyKind, managed};
use meridian_policy::principal::{Principal, PrincipalKind};
use meridian_state::RegionState;

/// The policies that are attached to a caller.
#[derive(Debug, Default)]
pub(crate) struct CallerPolicies {
    pub(crate) identity: Vec<Arc<Policy>>,
    pub(crate) boundary: Option<Arc<Policy>>,
    pub(crate) session: Vec<Arc<Policy>>,
}

impl CallerPolicies {
    /// The policies of `caller` in `state`.
    pub(crate) fn of(_state: &RegionState, caller: &Caller) -> Self {
        match caller.kind {
            CallerKind::Root => Self::default(),
            CallerKind::IamUser { .. } | CallerKind::AssumedRole { .. } => {
                Self { identity: vec![Arc::clone(&ADMINISTRATOR)], ..Self::default() }
            }
        }
    }
}

/// `caller`, as policies see it.
pub(crate) fn principal(caller: &Caller) -> Principal<'_> {
    let kind = match &caller.kind {
        CallerKind::Root => PrincipalKind::Root,
        CallerKind::IamUser { .. } => PrincipalKind::User,
        CallerKind::AssumedRole { role_arn, .. } => PrincipalKind::Session { role_arn },
    };
    let unique_id = caller.principal_id.split(':').next();
    Principal { account: caller.account, arn: &caller.arn, kind, unique_id }
}
