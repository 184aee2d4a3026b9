//! The algorithms of asymmetric keys, a module for each family.
//!
//! Each family knows how to make material, how to prepare it, and what to do with the prepared key and with its public
//! half. Which algorithm a key may perform has been decided by [`crate::prepared`]; families are asked for what they have.
//! Engines and where each keeps its secrets stand there too.

pub(crate) mod ed25519;
pub(crate) mod ml_dsa;
pub(crate) mod ml_kem;
pub(crate) mod nist;
pub(crate) mod rsa;
pub(crate) mod secp256k1;
pub(crate) mod sm2;
