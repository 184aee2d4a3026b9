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

// Identities (AWS IAM User Guide, "IAM and AWS STS quotas"): the default quotas of an account. Sizes of policies are in characters
// that are not white space.

/// Users per account.
pub const USERS_PER_ACCOUNT: usize = 5_000;

/// Groups per account.
pub const GROUPS_PER_ACCOUNT: usize = 300;

/// Roles per account.
pub const ROLES_PER_ACCOUNT: usize = 1_000;

/// Managed policies per account.
pub const POLICIES_PER_ACCOUNT: usize = 1_500;

/// Versions of a managed policy.
pub const VERSIONS_PER_POLICY: usize = 5;

/// Managed policies attached to one user, group or role.
pub const ATTACHED_POLICIES: usize = 10;

/// Groups that one user is in.
pub const GROUPS_PER_USER: usize = 10;

/// Access keys of one user, and of a root user.
pub const ACCESS_KEYS_PER_USER: usize = 2;

/// Tags of a user, role or managed policy.
pub const TAGS_PER_IDENTITY: usize = 50;

/// Size of all inline policies of a user together.
pub const INLINE_SIZE_PER_USER: usize = 2_048;

/// Size of all inline policies of a group together.
pub const INLINE_SIZE_PER_GROUP: usize = 5_120;

/// Size of all inline policies of a role together.
pub const INLINE_SIZE_PER_ROLE: usize = 10_240;

/// Size of a version of a managed policy.
pub const MANAGED_POLICY_SIZE: usize = 6_144;

/// Size of the trust policy of a role.
pub const TRUST_POLICY_SIZE: usize = 2_048;
