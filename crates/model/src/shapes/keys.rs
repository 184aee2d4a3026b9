//! KMS keys: creating, describing, listing, enabling, disabling and deleting them.

use crate::wire::limits::{
    ANY_TEXT, ARN, CLUSTER_ID, DESCRIPTION, GRANT_TOKENS, Items, KEY_ID, KEY_MATERIAL_ID, KEY_STORE_ID, LIMIT, MARKER,
    POLICY, WINDOW_DAYS, XKS_KEY_ID,
};
use crate::wire::structure::shapes;
use crate::{
    CustomerMasterKeySpec, EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, ExpirationModelType,
    KeyAgreementAlgorithmSpec, KeyLastUsageTrackingOperation, KeyManagerType, KeySpec, KeyState, KeyUsageType,
    MacAlgorithmSpec, MultiRegionConfiguration, OriginType, ResourceOwnerType, SigningAlgorithmSpec, Tag, Timestamp,
    XksKeyConfigurationType,
};

shapes! {
    /// One key of a list.
    #[derive(Clone, Default)]
    KeyListEntry {
        required key_id: String = "KeyId", KEY_ID;
        required key_arn: String = "KeyArn", ARN;
    }

    /// Everything the service tells about one KMS key.
    #[derive(Clone)]
    KeyMetadata {
        required aws_account_id: String = "AWSAccountId", ANY_TEXT;
        required key_id: String = "KeyId", KEY_ID;
        required arn: String = "Arn", ARN;
        required creation_date: Timestamp = "CreationDate";
        required enabled: bool = "Enabled";
        required description: String = "Description", DESCRIPTION;
        required key_usage: KeyUsageType = "KeyUsage";
        required key_state: KeyState = "KeyState";
        optional deletion_date: Timestamp = "DeletionDate";
        optional valid_to: Timestamp = "ValidTo";
        required origin: OriginType = "Origin";
        optional custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
        optional cloud_hsm_cluster_id: String = "CloudHsmClusterId", CLUSTER_ID;
        optional expiration_model: ExpirationModelType = "ExpirationModel";
        required key_manager: KeyManagerType = "KeyManager";
        optional customer_master_key_spec: CustomerMasterKeySpec = "CustomerMasterKeySpec";
        required key_spec: KeySpec = "KeySpec";
        plain encryption_algorithms: Vec<EncryptionAlgorithmSpec> = "EncryptionAlgorithms", Items::any(());
        plain signing_algorithms: Vec<SigningAlgorithmSpec> = "SigningAlgorithms", Items::any(());
        plain key_agreement_algorithms: Vec<KeyAgreementAlgorithmSpec> = "KeyAgreementAlgorithms", Items::any(());
        plain encapsulation_algorithms: Vec<EncapsulationAlgorithmSpec> = "EncapsulationAlgorithms", Items::any(());
        required multi_region: bool = "MultiRegion";
        optional multi_region_configuration: MultiRegionConfiguration = "MultiRegionConfiguration";
        optional pending_deletion_window_in_days: u32 = "PendingDeletionWindowInDays", WINDOW_DAYS;
        plain mac_algorithms: Vec<MacAlgorithmSpec> = "MacAlgorithms", Items::any(());
        optional xks_key_configuration: XksKeyConfigurationType = "XksKeyConfiguration";
        optional current_key_material_id: String = "CurrentKeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The last successful cryptographic use of a key.
    #[derive(Clone, Default)]
    KeyLastUsageData {
        optional operation: KeyLastUsageTrackingOperation = "Operation";
        optional timestamp: Timestamp = "Timestamp";
        optional cloud_trail_event_id: String = "CloudTrailEventId", ANY_TEXT;
        optional kms_request_id: String = "KmsRequestId", ANY_TEXT;
    }

    /// The request of `CreateKey`.
    #[derive(Clone, Default)]
    CreateKeyRequest {
        optional policy: String = "Policy", POLICY;
        optional description: String = "Description", DESCRIPTION;
        optional key_usage: KeyUsageType = "KeyUsage";
        optional customer_master_key_spec: CustomerMasterKeySpec = "CustomerMasterKeySpec";
        optional key_spec: KeySpec = "KeySpec";
        optional origin: OriginType = "Origin";
        optional custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
        optional bypass_policy_lockout_safety_check: bool = "BypassPolicyLockoutSafetyCheck";
        plain tags: Vec<Tag> = "Tags", Items::any(());
        optional multi_region: bool = "MultiRegion";
        optional xks_key_id: String = "XksKeyId", XKS_KEY_ID;
    }

    /// The answer of `CreateKey`.
    #[derive(Clone)]
    CreateKeyResponse {
        required key_metadata: KeyMetadata = "KeyMetadata";
    }

    /// The request of `DescribeKey`.
    #[derive(Clone, Default)]
    DescribeKeyRequest {
        required key_id: String = "KeyId", KEY_ID;
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
    }

    /// The answer of `DescribeKey`.
    #[derive(Clone)]
    DescribeKeyResponse {
        required key_metadata: KeyMetadata = "KeyMetadata";
    }

    /// The request of `ListKeys`.
    #[derive(Clone, Default)]
    ListKeysRequest {
        optional limit: u32 = "Limit", LIMIT;
        optional marker: String = "Marker", MARKER;
        plain resource_owners: Vec<ResourceOwnerType> = "ResourceOwners", Items::new(1, 2, ());
    }

    /// The answer of `ListKeys`.
    #[derive(Clone, Default)]
    ListKeysResponse {
        required keys: Vec<KeyListEntry> = "Keys", Items::any(());
        optional next_marker: String = "NextMarker", MARKER;
        required truncated: bool = "Truncated";
    }

    /// The request of `UpdateKeyDescription`.
    #[derive(Clone, Default)]
    UpdateKeyDescriptionRequest {
        required key_id: String = "KeyId", KEY_ID;
        required description: String = "Description", DESCRIPTION;
    }

    /// The answer of `UpdateKeyDescription`: an empty body.
    #[derive(Clone, Default)]
    UpdateKeyDescriptionResponse {}

    /// The request of `EnableKey`.
    #[derive(Clone, Default)]
    EnableKeyRequest {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The answer of `EnableKey`: an empty body.
    #[derive(Clone, Default)]
    EnableKeyResponse {}

    /// The request of `DisableKey`.
    #[derive(Clone, Default)]
    DisableKeyRequest {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The answer of `DisableKey`: an empty body.
    #[derive(Clone, Default)]
    DisableKeyResponse {}

    /// The request of `ScheduleKeyDeletion`.
    #[derive(Clone, Default)]
    ScheduleKeyDeletionRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional pending_window_in_days: u32 = "PendingWindowInDays", WINDOW_DAYS;
    }

    /// The answer of `ScheduleKeyDeletion`.
    #[derive(Clone)]
    ScheduleKeyDeletionResponse {
        required key_id: String = "KeyId", KEY_ID;
        optional deletion_date: Timestamp = "DeletionDate";
        required key_state: KeyState = "KeyState";
        required pending_window_in_days: u32 = "PendingWindowInDays", WINDOW_DAYS;
    }

    /// The request of `CancelKeyDeletion`.
    #[derive(Clone, Default)]
    CancelKeyDeletionRequest {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The answer of `CancelKeyDeletion`.
    #[derive(Clone, Default)]
    CancelKeyDeletionResponse {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The request of `GetKeyLastUsage`.
    #[derive(Clone, Default)]
    GetKeyLastUsageRequest {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The answer of `GetKeyLastUsage`.
    #[derive(Clone, Default)]
    GetKeyLastUsageResponse {
        required key_id: String = "KeyId", KEY_ID;
        optional key_last_usage: KeyLastUsageData = "KeyLastUsage";
        required tracking_start_date: Timestamp = "TrackingStartDate";
        required key_creation_date: Timestamp = "KeyCreationDate";
    }
}
