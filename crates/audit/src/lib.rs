//! meridian-audit.
