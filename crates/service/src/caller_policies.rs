//! What a caller is to policies, and the policies that are its own.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use meridian_identity::{Caller, CallerKind, Session};
use meridian_model::{EntityKind, PolicyArn};
use meridian_policy::{Policy, PolicyKind, Principal, PrincipalKind, managed};
use meridian_state::RegionState;
use meridian_state::identities::records::{RoleRecord, Tags, UserRecord};
use meridian_state::identities::table::{AttachedPolicy, IdentityTable, PolicyOrigin, PrincipalPolicies};

/// The policies that are attached to a caller.
#[derive(Debug, Default)]
pub(crate) struct CallerPolicies {
    pub(crate) identity: Vec<Arc<Policy>>,
    pub(crate) boundary: Option<Arc<Policy>>,
    pub(crate) session: Vec<Arc<Policy>>,
    entity: Entity,
}

/// The record behind a caller.
#[derive(Debug, Default)]
enum Entity {
    #[default]
    None,
    User(Arc<UserRecord>),
    Role(Arc<RoleRecord>),
}

impl CallerPolicies {
    /// The policies of `caller` as `state` has them. A caller whose user or role is gone may nothing, even if another one has
    /// its name now.
    pub(crate) fn of(state: &RegionState, caller: &Caller) -> Self {
        let identities = state.identities();
        let own = match &caller.kind {
            CallerKind::Root | CallerKind::Service { .. } => Self::default(),
            _ if caller.is_configured() => {
                Self { identity: vec![Arc::clone(&ADMINISTRATOR_ACCESS)], ..Self::default() }
            }
            CallerKind::FederatedUser { user_id: None, .. } => Self::default(),
            CallerKind::IamUser { .. } | CallerKind::FederatedUser { .. } => {
                Self::of_user(identities, caller.user_id().and_then(|id| identities.user_by_id(id)))
            }
            CallerKind::AssumedRole { .. } => {
                Self::of_role(identities, caller.entity_id().and_then(|id| identities.role_by_id(id)))
            }
        };
        let session = caller.session.as_ref().map(|session| session_policies(identities, session));
        Self { session: session.unwrap_or_default(), ..own }
    }

    fn of_user(identities: &IdentityTable, user: Option<&Arc<UserRecord>>) -> Self {
        let Some(user) = user else { return Self::of_nobody() };
        let mut own = Self::attached(&identities.policies_of_user(user), Entity::User(Arc::clone(user)));
        if identities.groups_of(user).count() < user.groups.len() {
            own.identity.push(Arc::clone(&DENIES_EVERYTHING)); // a group that has not arrived here may deny
        }
        own
    }

    fn of_role(identities: &IdentityTable, role: Option<&Arc<RoleRecord>>) -> Self {
        let Some(role) = role else { return Self::of_nobody() };
        Self::attached(&identities.policies_of_role(role), Entity::Role(Arc::clone(role)))
    }

    fn of_nobody() -> Self {
        Self { identity: vec![Arc::clone(&DENIES_EVERYTHING)], ..Self::default() }
    }

    fn attached(policies: &PrincipalPolicies<'_>, entity: Entity) -> Self {
        Self {
            identity: policies.identity.iter().map(compiled).collect(),
            boundary: policies.boundary.as_ref().map(compiled),
            session: Vec::new(),
            entity,
        }
    }

    /// The tags of the user, or of the role of a session.
    pub(crate) fn tags(&self) -> Option<&Tags> {
        match &self.entity {
            Entity::None => None,
            Entity::User(user) => Some(&user.tags),
            Entity::Role(role) => Some(&role.tags),
        }
    }
}

fn session_policies(identities: &IdentityTable, session: &Session) -> Vec<Arc<Policy>> {
    let given = session.policies.iter().map(|policy| Arc::clone(policy.compiled(PolicyKind::Session)));
    given.chain(session.policy_arns.iter().map(|arn| compiled(&identities.managed(arn)))).collect()
}

/// A policy, ready for decisions. One that is nowhere to be found denies everything.
fn compiled(policy: &AttachedPolicy<'_>) -> Arc<Policy> {
    match (&policy.document, &policy.origin) {
        (Some(document), _) => Arc::clone(document.compiled(PolicyKind::Identity)),
        (None, PolicyOrigin::Managed(arn)) => provided(arn),
        (None, PolicyOrigin::Inline(..)) => Arc::clone(&DENIES_EVERYTHING),
    }
}

/// A managed policy that comes with the service.
fn provided(arn: &PolicyArn) -> Arc<Policy> {
    let found = arn.owner().is_none().then(|| PROVIDED.get(arn.name().as_str())).flatten();
    Arc::clone(found.unwrap_or(&DENIES_EVERYTHING))
}

static PROVIDED: LazyLock<BTreeMap<&'static str, Arc<Policy>>> = LazyLock::new(|| {
    let compiled = |policy: &managed::ManagedPolicy| Arc::new(Policy::stored(policy.document, PolicyKind::Identity));
    managed::ALL.iter().map(|policy| (policy.name, compiled(policy))).collect()
});

static ADMINISTRATOR_ACCESS: LazyLock<Arc<Policy>> =
    LazyLock::new(|| Arc::new(Policy::stored(managed::ADMINISTRATOR_ACCESS.document, PolicyKind::Identity)));

/// What cannot be read denies everything, and nothing can be read in this.
static DENIES_EVERYTHING: LazyLock<Arc<Policy>> = LazyLock::new(|| Arc::new(Policy::stored("", PolicyKind::Identity)));

/// `caller`, as policies see it.
pub(crate) fn principal(caller: &Caller) -> Principal<'_> {
    let kind = match &caller.kind {
        CallerKind::Root => PrincipalKind::Root,
        CallerKind::IamUser { .. } => PrincipalKind::User,
        CallerKind::AssumedRole { role_arn, .. } => PrincipalKind::Session { role_arn },
        CallerKind::FederatedUser { user_arn, .. } => PrincipalKind::FederatedUser { user_arn },
        CallerKind::Service { name } => PrincipalKind::Service { name },
    };
    Principal { account: caller.account, arn: &caller.arn, kind, unique_id: caller.entity_id() }
}

/// What the policies of [`CallerPolicies::identity`] are called, in the same order.
pub(crate) fn names_of(state: &RegionState, caller: &Caller) -> Vec<String> {
    let identities = state.identities();
    let named =
        |policies: &PrincipalPolicies<'_>| policies.identity.iter().map(|policy| named(&policy.origin)).collect();
    match CallerPolicies::of(state, caller).entity {
        Entity::None => Vec::new(),
        Entity::User(user) => named(&identities.policies_of_user(&user)),
        Entity::Role(role) => named(&identities.policies_of_role(&role)),
    }
}

fn named(origin: &PolicyOrigin<'_>) -> String {
    match origin {
        PolicyOrigin::Inline(kind, owner, policy) => {
            let kind = match kind {
                EntityKind::User => "user",
                EntityKind::Group => "group",
                EntityKind::Role => "role",
            };
            format!("inline policy {policy} of {kind} {owner}")
        }
        PolicyOrigin::Managed(arn) => format!("managed policy {arn}"),
    }
}
