//! The Region state machine: [`Command`] in, [`Outcome`] and changed rows out.
//!
//! Pure and deterministic: no clock, no randomness, no I/O, no unordered iteration. Time, new ids and sealed bytes
//! come inside the command. Equal state and equal command give equal bytes on every node.
//!
//! Cut by resource: [`keys`], [`deletion`], [`rotation`], [`shared_rotation`], [`aliases`], [`tags`], [`policies`],
//! [`grants`], [`usage`], [`identities`], [`import`], [`multi_region`], [`primary_region`], [`links`], [`domain_keys`]. Every refusal leaves the state as
//! it was; whatever is due later stands in one index ([`schedule`]).

pub mod aliases;
pub mod apply;
pub mod command;
pub mod deletion;
pub mod domain_keys;
pub mod grants;
pub mod identities;
pub mod import;
pub mod key_states;
pub mod keys;
pub mod links;
pub mod multi_region;
pub mod policies;
pub mod primary_region;
pub mod quotas;
pub mod region_state;
pub mod rotation;
pub mod rows;
pub mod schedule;
pub mod shared_rotation;
pub mod tags;
pub mod usage;

pub use apply::{Applied, Done, Outcome, apply};
pub use command::{Command, DecodeError, Op};
pub use grants::GrantRecord;
pub use identities::{IdentityChange, IdentityRow, IdentityTable};
pub use region_state::RegionState;
pub use rows::{AliasRecord, KeyRecord, LinkCursor, MaterialRecord, MultiRegion, OutboxRow, ReplicaStatus, RowChange};
pub use usage::UsageRecord;
