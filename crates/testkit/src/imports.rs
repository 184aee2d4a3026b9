//! Imported key material from the client's side: keys that wait for it, and material wrapped for its way.

use meridian_crypto::PublicKey;
use meridian_model::shapes::{
    CreateKeyRequest, GetParametersForImportRequest, GetParametersForImportResponse, ImportKeyMaterialRequest,
};
use meridian_model::{
    AlgorithmSpec, Blob, EncryptionAlgorithmSpec, ExpirationModelType, KeyId, KeySpec, OriginType, ServiceError,
    Timestamp, WrappingKeySpec,
};

use crate::client::Client;

impl Client {
    /// A new symmetric encryption key that waits for its material.
    ///
    /// # Errors
    /// Those of `CreateKey`.
    pub async fn create_external_key(&self, is_multi_region: bool) -> Result<KeyId, ServiceError> {
        let request = CreateKeyRequest {
            origin: Some(OriginType::External),
            multi_region: Some(is_multi_region),
            ..CreateKeyRequest::default()
        };
        let metadata = self.call(request).await?.key_metadata;
        Ok(metadata.key_id.parse().expect("the service makes valid key IDs"))
    }

    /// A wrapping key of 2048 bits for RSAES_OAEP_SHA_256, and its token.
    ///
    /// # Errors
    /// Those of `GetParametersForImport`.
    pub async fn import_parameters(&self, key_id: KeyId) -> Result<GetParametersForImportResponse, ServiceError> {
        self.call(GetParametersForImportRequest {
            key_id: key_id.to_string(),
            wrapping_algorithm: AlgorithmSpec::RsaesOaepSha256,
            wrapping_key_spec: WrappingKeySpec::Rsa2048,
        })
        .await
    }

    /// Imports `material`, wrapped as [`Client::import_parameters`] said, until `valid_to`, or for ever.
    ///
    /// # Errors
    /// Those of `ImportKeyMaterial`.
    pub async fn import(
        &self,
        parameters: &GetParametersForImportResponse,
        material: &[u8],
        valid_to: Option<Timestamp>,
    ) -> Result<(), ServiceError> {
        let for_ever = valid_to.is_none().then_some(ExpirationModelType::KeyMaterialDoesNotExpire);
        self.call(ImportKeyMaterialRequest {
            key_id: parameters.key_id.clone(),
            import_token: parameters.import_token.clone(),
            encrypted_key_material: wrapped(parameters, material),
            valid_to,
            expiration_model: for_ever,
            ..ImportKeyMaterialRequest::default()
        })
        .await
        .map(drop)
    }
}

fn wrapped(parameters: &GetParametersForImportResponse, material: &[u8]) -> Blob {
    let key = PublicKey::from_der(KeySpec::Rsa2048, parameters.public_key.as_slice()).expect("a public key");
    Blob::from(key.encrypt(EncryptionAlgorithmSpec::RsaesOaepSha256, material).expect("short enough"))
}
