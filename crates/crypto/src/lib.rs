//! meridian-crypto.
