//! The words of the wire: identifiers, enums, the request and response shapes of the 56 operations, errors.
//!
//! Source of every name and limit: the public AWS KMS API model, version 2014-11-01.
//! No I/O, no clock, no randomness: time is read through [`clock::Clock`] by whoever holds one.

pub mod clock;
pub mod enums;
pub mod error;
pub mod ids;
pub mod time;

pub use clock::Clock;
pub use enums::*;
pub use error::{ErrorCode, ServiceError};
pub use ids::{AccountId, AliasName, KeyArn, KeyId, KeyMaterialId, ParseIdError, Partition, Region};
pub use time::Timestamp;
