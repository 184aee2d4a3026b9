//! Resource quotas of a Region (AWS KMS Developer Guide, "Resource quotas"), enforced where the resource is made.

/// Customer managed keys per account and Region, in any state.
pub const KEYS_PER_ACCOUNT: usize = 100_000;

/// Customer-made aliases per key.
pub const ALIASES_PER_KEY: usize = 50;

/// Grants per key, whoever made them.
pub const GRANTS_PER_KEY: usize = 50_000;

/// User tags per key.
pub const TAGS_PER_KEY: usize = 50;

/// Rotations on demand of one key; automatic ones do not count.
pub const ON_DEMAND_ROTATIONS: u32 = 25;

/// How long before an automatic rotation none on demand may begin (AWS KMS API Reference, RotateKeyOnDemand).
pub const ROTATION_CONFLICT: std::time::Duration = std::time::Duration::from_mins(20);

/// Due things that one tick of time does; the rest follow with the next tick.
pub const DUE_PER_TICK: usize = 100;
