//! meridian-testkit.
