//! Rotation of key material.

use crate::wire::limits::{
    Items, KEY_ID, KEY_MATERIAL_DESCRIPTION, KEY_MATERIAL_ID, LIMIT, MARKER, ROTATION_PERIOD_DAYS,
};
use crate::wire::structure::shapes;
use crate::{ExpirationModelType, ImportState, IncludeKeyMaterial, KeyMaterialState, RotationType, Timestamp};

shapes! {
    /// One version of key material of a key.
    #[derive(Clone, Default)]
    RotationsListEntry {
        required key_id: String = "KeyId", KEY_ID;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
        optional key_material_description: String = "KeyMaterialDescription", KEY_MATERIAL_DESCRIPTION;
        optional import_state: ImportState = "ImportState";
        optional key_material_state: KeyMaterialState = "KeyMaterialState";
        optional expiration_model: ExpirationModelType = "ExpirationModel";
        optional valid_to: Timestamp = "ValidTo";
        optional rotation_date: Timestamp = "RotationDate";
        optional rotation_type: RotationType = "RotationType";
    }

    /// The request of `EnableKeyRotation`.
    #[derive(Clone, Default)]
    EnableKeyRotationRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional rotation_period_in_days: u32 = "RotationPeriodInDays", ROTATION_PERIOD_DAYS;
    }

    /// The answer of `EnableKeyRotation`: an empty body.
    #[derive(Clone, Default)]
    EnableKeyRotationResponse {}

    /// The request of `DisableKeyRotation`.
    #[derive(Clone, Default)]
    DisableKeyRotationRequest {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The answer of `DisableKeyRotation`: an empty body.
    #[derive(Clone, Default)]
    DisableKeyRotationResponse {}

    /// The request of `GetKeyRotationStatus`.
    #[derive(Clone, Default)]
    GetKeyRotationStatusRequest {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The answer of `GetKeyRotationStatus`.
    #[derive(Clone, Default)]
    GetKeyRotationStatusResponse {
        required key_rotation_enabled: bool = "KeyRotationEnabled";
        required key_id: String = "KeyId", KEY_ID;
        optional rotation_period_in_days: u32 = "RotationPeriodInDays", ROTATION_PERIOD_DAYS;
        optional next_rotation_date: Timestamp = "NextRotationDate";
        optional on_demand_rotation_start_date: Timestamp = "OnDemandRotationStartDate";
    }

    /// The request of `RotateKeyOnDemand`.
    #[derive(Clone, Default)]
    RotateKeyOnDemandRequest {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The answer of `RotateKeyOnDemand`.
    #[derive(Clone, Default)]
    RotateKeyOnDemandResponse {
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The request of `ListKeyRotations`.
    #[derive(Clone, Default)]
    ListKeyRotationsRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional include_key_material: IncludeKeyMaterial = "IncludeKeyMaterial";
        optional limit: u32 = "Limit", LIMIT;
        optional marker: String = "Marker", MARKER;
    }

    /// The answer of `ListKeyRotations`.
    #[derive(Clone, Default)]
    ListKeyRotationsResponse {
        required rotations: Vec<RotationsListEntry> = "Rotations", Items::any(());
        optional next_marker: String = "NextMarker", MARKER;
        required truncated: bool = "Truncated";
    }
}
