//! The request and response shapes of the 56 operations, cut by resource, member for member as the public API model
//! (version 2014-11-01) has them.
//!
//! Limits that only the service knows (deletion window of 7 to 30 days, page sizes, 32,768 bytes of policy) are not here.

mod aliases;
mod cryptography;
mod grants;
mod import;
mod key_stores;
mod keys;
mod multi_region;
mod policies;
mod rotation;
mod tags;

pub use aliases::*;
pub use cryptography::*;
pub use grants::*;
pub use import::*;
pub use key_stores::*;
pub use keys::*;
pub use multi_region::*;
pub use policies::*;
pub use rotation::*;
pub use tags::*;
