//! Imported key material.

use crate::wire::limits::{CIPHERTEXT, KEY_ID, KEY_MATERIAL_DESCRIPTION, KEY_MATERIAL_ID, PLAINTEXT};
use crate::wire::structure::shapes;
use crate::{AlgorithmSpec, Blob, ExpirationModelType, ImportType, Timestamp, WrappingKeySpec};

shapes! {
    /// The request of `GetParametersForImport`.
    #[derive(Clone)]
    GetParametersForImportRequest {
        required key_id: String = "KeyId", KEY_ID;
        required wrapping_algorithm: AlgorithmSpec = "WrappingAlgorithm";
        required wrapping_key_spec: WrappingKeySpec = "WrappingKeySpec";
    }

    /// The answer of `GetParametersForImport`.
    #[derive(Clone, Default)]
    GetParametersForImportResponse {
        required key_id: String = "KeyId", KEY_ID;
        required import_token: Blob = "ImportToken", CIPHERTEXT;
        required public_key: Blob = "PublicKey", PLAINTEXT;
        required parameters_valid_to: Timestamp = "ParametersValidTo";
    }

    /// The request of `ImportKeyMaterial`.
    #[derive(Clone, Default)]
    ImportKeyMaterialRequest {
        required key_id: String = "KeyId", KEY_ID;
        required import_token: Blob = "ImportToken", CIPHERTEXT;
        required encrypted_key_material: Blob = "EncryptedKeyMaterial", CIPHERTEXT;
        optional valid_to: Timestamp = "ValidTo";
        optional expiration_model: ExpirationModelType = "ExpirationModel";
        optional import_type: ImportType = "ImportType";
        optional key_material_description: String = "KeyMaterialDescription", KEY_MATERIAL_DESCRIPTION;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The answer of `ImportKeyMaterial`.
    #[derive(Clone, Default)]
    ImportKeyMaterialResponse {
        required key_id: String = "KeyId", KEY_ID;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The request of `DeleteImportedKeyMaterial`.
    #[derive(Clone, Default)]
    DeleteImportedKeyMaterialRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The answer of `DeleteImportedKeyMaterial`.
    #[derive(Clone, Default)]
    DeleteImportedKeyMaterialResponse {
        required key_id: String = "KeyId", KEY_ID;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }
}
