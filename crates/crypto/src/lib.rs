//! Algorithms, key hierarchy and ciphertext format of the service. No I/O.

pub mod sealed;

pub use sealed::{DomainKeyId, SealedMaterial, WrappedDomainKey};
