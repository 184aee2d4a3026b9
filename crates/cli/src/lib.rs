//! meridian.
