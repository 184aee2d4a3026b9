//! meridian-identity.
