//! Who may do what.
//!
//! For now one rule decides: the account that owns a key may do everything with it, nobody else anything. The types
//! are those of the full engine: only a decision makes an [`Allowed`], and only an [`Allowed`] opens key material.
//!
//! Absent: I/O, identities, the clock.

pub mod action;
pub mod decision;
pub mod document;

pub use action::Action;
pub use decision::{Allowed, Principal, authorize};
