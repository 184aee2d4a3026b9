//! Multi-Region keys: replicas and the change of the primary Region.

use crate::wire::limits::{ARN, DESCRIPTION, Items, KEY_ID, POLICY, REGION};
use crate::wire::structure::shapes;
use crate::{KeyMetadata, MultiRegionKeyType, Tag};

shapes! {
    /// The place of a key in its multi-Region set.
    #[derive(Clone)]
    MultiRegionConfiguration {
        required multi_region_key_type: MultiRegionKeyType = "MultiRegionKeyType";
        required primary_key: MultiRegionKey = "PrimaryKey";
        required replica_keys: Vec<MultiRegionKey> = "ReplicaKeys", Items::any(());
    }

    /// One member of a multi-Region set.
    #[derive(Clone, Default)]
    MultiRegionKey {
        required arn: String = "Arn", ARN;
        required region: String = "Region", REGION;
    }

    /// The request of `ReplicateKey`.
    #[derive(Clone, Default)]
    ReplicateKeyRequest {
        required key_id: String = "KeyId", KEY_ID;
        required replica_region: String = "ReplicaRegion", REGION;
        optional policy: String = "Policy", POLICY;
        optional bypass_policy_lockout_safety_check: bool = "BypassPolicyLockoutSafetyCheck";
        optional description: String = "Description", DESCRIPTION;
        plain tags: Vec<Tag> = "Tags", Items::any(());
    }

    /// The answer of `ReplicateKey`.
    #[derive(Clone)]
    ReplicateKeyResponse {
        required replica_key_metadata: KeyMetadata = "ReplicaKeyMetadata";
        required replica_policy: String = "ReplicaPolicy", POLICY;
        required replica_tags: Vec<Tag> = "ReplicaTags", Items::any(());
    }

    /// The request of `UpdatePrimaryRegion`.
    #[derive(Clone, Default)]
    UpdatePrimaryRegionRequest {
        required key_id: String = "KeyId", KEY_ID;
        required primary_region: String = "PrimaryRegion", REGION;
    }

    /// The answer of `UpdatePrimaryRegion`: an empty body.
    #[derive(Clone, Default)]
    UpdatePrimaryRegionResponse {}
}
