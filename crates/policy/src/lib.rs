//! Who may do what.
//!
//! For now two rules decide: the account that owns a key may do everything with it, and a grant gives its grantee, of
//! whichever account, the operations that it names. The types are those of the full engine: only a decision makes an
//! [`Allowed`], and only an [`Allowed`] opens key material.
//!
//! Absent: I/O, identities, the clock.

pub mod action;
pub mod decision;
pub mod document;
pub mod grant;
pub mod grant_creation;
pub mod principal;
pub mod stored;

pub use action::Action;
pub use decision::{
    Allowed, GrantToRetire, RequestContext, authorize, authorize_grant_creation, authorize_grant_retirement,
    authorize_listing_of_retirable,
};
pub use grant::{Constraints, ContextConstraint, ContextPairs, GrantTerms};
pub use principal::{Party, Principal, PrincipalArn};
pub use stored::StoredPolicy;
