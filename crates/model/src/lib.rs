//! The words of the wire: identifiers, enums, the request and response shapes of the 56 operations, errors.
//!
//! Source of every name and limit: the public AWS KMS API model, version 2014-11-01.
//! No I/O, no clock, no randomness: time is read through [`clock::Clock`] by whoever holds one.

pub mod blob;
pub mod call;
pub mod clock;
pub mod entities;
pub mod enums;
pub mod error;
pub mod ids;
pub mod operation;
pub mod shapes;
pub mod time;
mod wire;

pub use blob::{Blob, SecretBlob, SecretString};
pub use call::{Request, Response};
pub use clock::Clock;
pub use entities::{AccessKeyId, EntityKind, EntityName, EntityPath, PolicyArn, UniqueId};
pub use enums::*;
pub use error::{ErrorCode, ServiceError};
pub use ids::{AccountId, AliasName, GrantId, KeyArn, KeyId, KeyMaterialId, ParseIdError, Partition, Region};
pub use operation::Operation;
pub use shapes::*;
pub use time::Timestamp;
