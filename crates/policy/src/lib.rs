//! meridian-policy.
