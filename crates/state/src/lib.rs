//! meridian-state.
