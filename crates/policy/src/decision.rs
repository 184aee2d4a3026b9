//! The decision: may this principal do this with this resource?
//!
//! One rule for everything: a matching `Deny` of any policy denies. Otherwise a request needs
//!
//! - for a key or a role: its policy, which can name the principal, or the account of the principal, which then decides by
//!   its identity policies; or, for a key, a grant;
//! - from another account: both, the policy of the resource and the identity policies of the caller;
//! - for anything else: the identity policies;
//! - and the policy of the endpoint that it came through, if that has one.
//!
//! Permissions boundaries and session policies bound what identity policies allow, and what the policy of a resource allows
//! to a role; they do not bound what it allows to a user or a session by name (AWS IAM User Guide, "Policy evaluation
//! logic"). A grant counts as such a name (AWS KMS Developer Guide, "Determining access to AWS KMS keys").

mod denial;
mod explain;
mod grants;
mod keys;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::sync::Arc;

use meridian_model::{AccountId, KeyArn, Partition, Region};

pub use self::denial::{Cause, Denial, Layer};
pub use self::explain::{Explanation, GrantOutcome, GrantReport, PolicyPlace, StatementReport, Target};
use crate::action::{InAccount, in_lower_case, number_of};
use crate::context::ConditionContext;
use crate::document::{Policy, PolicyKind, Verdict};
use crate::grant::{ContextPairs, GrantTerms};
use crate::principal::{Principal, PrincipalKind};
use crate::principal_element::Via;
use crate::statement::Asked;

/// The policies that count for a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct PolicySet<'a> {
    /// The policy of the resource: of a key, or the trust policy of a role.
    pub resource: Option<&'a Policy>,
    /// The policies of the identity: its own, and those of its groups.
    pub identity: &'a [Arc<Policy>],
    /// The permissions boundary of the identity.
    pub boundary: Option<&'a Policy>,
    /// The policies that were passed when the session was made. None means no bound.
    pub session: &'a [Arc<Policy>],
    /// The policy of the endpoint that the request came through.
    pub endpoint: Option<&'a Policy>,
}

/// One request that is to be decided, but for what it wants.
#[derive(Clone, Copy)]
pub struct Inquiry<'a> {
    /// Who asks.
    pub principal: Principal<'a>,
    /// What policies count.
    pub policies: PolicySet<'a>,
    /// What conditions look at.
    pub context: &'a dyn ConditionContext,
}

/// What grants look at, besides who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestContext<'a> {
    /// The encryption context, for operations that have one.
    pub encryption_context: Option<&'a ContextPairs>,
    /// The resource that a service acts for: `aws:SourceArn`. Only services can say.
    pub source_arn: Option<&'a str>,
}

/// A grant that is to be retired.
#[derive(Clone, Copy, Debug)]
pub struct GrantToRetire<'a> {
    /// What it gives, and who else may end it.
    pub terms: &'a GrantTerms,
    /// The account in which it was created.
    pub issuing_account: AccountId,
}

/// Proof that a principal may perform `A` on one key. Only this module makes one.
#[derive(Debug)]
pub struct Allowed<A> {
    key: KeyArn,
    action: PhantomData<A>,
}

impl<A> Allowed<A> {
    pub(crate) fn of(key: KeyArn) -> Self {
        Self { key, action: PhantomData }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &KeyArn {
        &self.key
    }
}

/// Proof that a principal may perform `A` in its account.
#[derive(Debug)]
pub struct AllowedInAccount<A> {
    account: AccountId,
    action: PhantomData<A>,
}

impl<A> AllowedInAccount<A> {
    /// The account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }
}

/// The resources of one account in one Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountScope {
    /// The partition of the Region.
    pub partition: Partition,
    /// The Region.
    pub region: Region,
    /// The account.
    pub account: AccountId,
}

impl AccountScope {
    /// What stands for the resources of `kind` that are not there yet, or for all resources if `kind` is empty. A pattern
    /// for all of them includes it, a pattern for some does not.
    fn resource(&self, kind: &str) -> String {
        let Self { partition, region, account } = self;
        format!("arn:{partition}:kms:{region}:{account}:{kind}*")
    }
}

impl Inquiry<'_> {
    /// Decides whether the principal may perform `action` on `resource`, which belongs to `owner`. Knows nothing of keys:
    /// without a policy of the resource, identity policies decide alone, within their account.
    ///
    /// # Errors
    /// Why not.
    pub fn decide(&self, action: &str, resource: &str, owner: AccountId) -> Result<(), Denial> {
        let rule = match self.policies.resource {
            Some(policy) => Rule::Resource { policy, owner, crosses_accounts: true },
            None => Rule::Identity { owner },
        };
        self.decide_by(rule, action, resource, |_| false)
    }

    /// Decides whether the principal may perform `A` in its account: an action that is about no key.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize_in_account<A: InAccount>(&self, scope: &AccountScope) -> Result<AllowedInAccount<A>, Denial> {
        let decided = self.decide_by_identity(A::FULL_NAME, &scope.resource(""), scope.account);
        // As the service says it: the action is about no resource.
        decided.map_err(|denial| denial.about("*"))?;
        Ok(AllowedInAccount { account: scope.account, action: PhantomData })
    }

    /// Decides by identity policies alone, whatever the policy of the resource says.
    fn decide_by_identity(&self, action: &str, resource: &str, owner: AccountId) -> Result<(), Denial> {
        self.decide_by(Rule::Identity { owner }, action, resource, |_| false)
    }

    /// The one way to a decision. `is_granted` is asked last, if no policy allows.
    fn decide_by(
        &self,
        rule: Rule<'_>,
        action: &str,
        resource: &str,
        is_granted: impl FnOnce(&mut Findings) -> bool,
    ) -> Result<(), Denial> {
        let decided = in_lower_case(action, |lower| {
            let asked = self.asked(lower, resource);
            let mut findings = self.findings(rule, &asked)?;
            if !findings.permit(rule, &self.principal) && !is_granted(&mut findings) {
                return Err(findings.missing(rule, &self.principal));
            }
            findings.endpoint = self.policies.endpoint.map(|policy| policy.judge(&asked));
            findings.check_endpoint()
        });
        decided.map_err(|cause| Denial::new(cause, &self.principal, action, resource))
    }

    fn asked<'b>(&'b self, action: &'b str, resource: &'b str) -> Asked<'b> {
        let has_boundary = self.policies.boundary.is_some();
        let number = number_of(action);
        Asked { principal: &self.principal, has_boundary, action, number, resource, context: self.context }
    }

    /// What each policy says; an error if one denies. The endpoint's is left out.
    fn findings(&self, rule: Rule<'_>, asked: &Asked<'_>) -> Result<Findings, Cause> {
        let mut findings = Findings::default();
        if let Some(policy) = rule.policy() {
            findings.resource = allowed(policy, asked, layer_of(policy))?;
        }
        for policy in self.policies.identity {
            findings.identity |= allowed(policy, asked, Layer::Identity)?.is_some();
        }
        for policy in self.policies.session {
            findings.session |= allowed(policy, asked, Layer::Session)?.is_some();
        }
        findings.boundary = match self.policies.boundary {
            Some(policy) => allowed(policy, asked, Layer::Boundary)?.is_some(),
            None => true,
        };
        findings.identity |= self.principal.is_root();
        findings.identity &= self.principal.service().is_none();
        // A federated user may only what was passed; everybody else is not bound when nothing was.
        let is_federated = matches!(self.principal.kind, PrincipalKind::FederatedUser { .. });
        findings.session |= self.policies.session.is_empty() && !is_federated;
        Ok(findings)
    }
}

/// As whom a policy means the principal that it allows.
fn allowed(policy: &Policy, asked: &Asked<'_>, layer: Layer) -> Result<Option<Via>, Cause> {
    match policy.judge(asked) {
        Verdict::Denies => Err(Cause::ExplicitDeny(layer)),
        Verdict::Allows(via) => Ok(Some(via)),
        Verdict::SaysNothing => Ok(None),
    }
}

fn layer_of(policy: &Policy) -> Layer {
    if policy.kind() == PolicyKind::Trust { Layer::Trust } else { Layer::Resource }
}

/// Whose word allows a request.
#[derive(Clone, Copy, Debug)]
enum Rule<'a> {
    /// The policy of the resource must.
    Resource { policy: &'a Policy, owner: AccountId, crosses_accounts: bool },
    /// Only those of the identity can.
    Identity { owner: AccountId },
    /// None can, but a grant; the policy of the resource can deny.
    Grant { policy: Option<&'a Policy> },
}

impl<'a> Rule<'a> {
    /// The policy of the resource, if it counts.
    fn policy(self) -> Option<&'a Policy> {
        match self {
            Self::Resource { policy, .. } => Some(policy),
            Self::Grant { policy } => policy,
            Self::Identity { .. } => None,
        }
    }
}

/// What policies allow; none of them denies.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each kind of policy, as it says")]
struct Findings {
    /// As whom the policy of the resource means the principal.
    resource: Option<Via>,
    identity: bool,
    boundary: bool,
    session: bool,
    endpoint: Option<Verdict>,
    /// A grant lets the account of the principal, and its identity policies do not.
    is_delegated_by_grant: bool,
}

impl Findings {
    /// Whether the account of the principal lets it.
    fn account_permits(&self) -> bool {
        self.identity && self.is_within_bounds()
    }

    fn is_within_bounds(&self) -> bool {
        self.boundary && self.session
    }

    fn permit(&self, rule: Rule<'_>, principal: &Principal<'_>) -> bool {
        match rule {
            Rule::Grant { .. } => false,
            Rule::Identity { owner } => !is_foreign(principal, owner) && self.account_permits(),
            Rule::Resource { owner, crosses_accounts, .. } => match self.resource {
                None => false,
                Some(_) if is_foreign(principal, owner) => crosses_accounts && self.account_permits(),
                Some(Via::Itself) => true,
                Some(Via::Role) => self.is_within_bounds(),
                Some(Via::Account) => self.account_permits(),
            },
        }
    }

    /// Which permission is missing. Where several are, one is named.
    fn missing(&self, rule: Rule<'_>, principal: &Principal<'_>) -> Cause {
        let is_let = match rule {
            Rule::Resource { owner, crosses_accounts, .. } if is_foreign(principal, owner) => {
                crosses_accounts && (self.resource.is_some() || self.is_delegated_by_grant)
            }
            Rule::Resource { .. } => self.resource.is_some() || self.is_delegated_by_grant,
            Rule::Grant { .. } => self.is_delegated_by_grant,
            Rule::Identity { owner } => !is_foreign(principal, owner),
        };
        if !is_let {
            return Cause::NoAllow(rule.policy().map_or(Layer::Resource, layer_of));
        }
        // Whom the policy of the resource means as a role lacks no identity policy.
        let needs_identity = match rule {
            Rule::Resource { owner, .. } => is_foreign(principal, owner) || self.resource != Some(Via::Role),
            Rule::Grant { .. } | Rule::Identity { .. } => true,
        };
        Cause::NoAllow(if needs_identity && !self.identity {
            Layer::Identity
        } else if self.boundary {
            Layer::Session
        } else {
            Layer::Boundary
        })
    }

    fn check_endpoint(&self) -> Result<(), Cause> {
        match self.endpoint {
            None | Some(Verdict::Allows(_)) => Ok(()),
            Some(Verdict::Denies) => Err(Cause::ExplicitDeny(Layer::Endpoint)),
            Some(Verdict::SaysNothing) => Err(Cause::NoAllow(Layer::Endpoint)),
        }
    }
}

/// Whether the principal belongs to another account than the resource. A service belongs to none.
fn is_foreign(principal: &Principal<'_>, owner: AccountId) -> bool {
    principal.service().is_none() && principal.account != owner
}
