//! meridian-consensus.
