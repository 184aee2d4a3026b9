//! Who may do what.
//!
//! Policies are compiled once ([`Policy`]). An [`Inquiry`] holds who asks, which policies count and what conditions look
//! at, and decides: about keys, aliases, grants, an account, or, knowing nothing of this service, any action on any
//! resource. Only a decision makes an [`Allowed`], and only an [`Allowed`] opens key material.
//!
//! Absent: I/O, identities, the clock. What a request holds comes in through [`ConditionContext`].

pub mod action;
mod compile;
mod condition;
mod condition_values;
mod context;
mod decision;
pub mod document;
pub mod grant;
pub mod grant_creation;
mod json;
pub mod managed;
mod pattern;
pub mod principal;
mod principal_element;
mod statement;
pub mod stored;

pub use action::Action;
pub use context::{ConditionContext, ContextKey, ContextValue, NoContext};
pub use decision::{
    AccountScope, Allowed, AllowedInAccount, Cause, Denial, Explanation, GrantOutcome, GrantReport, GrantToRetire,
    Inquiry, Layer, PolicyPlace, PolicySet, RequestContext, StatementReport, Target,
};
pub use document::{Policy, PolicyKind, policy_size};
pub use grant::{Constraints, ContextConstraint, ContextPairs, GrantMismatch, GrantTerms};
pub use principal::{Party, Principal, PrincipalArn, PrincipalKind};
pub use principal_element::Via;
pub use statement::{Effect, Mismatch};
pub use stored::StoredPolicy;
