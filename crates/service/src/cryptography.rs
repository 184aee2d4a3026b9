//! Encrypting, decrypting, data keys and random bytes, on the local applied state.
//!
//! Order of checks, the same everywhere: key, permission, key state, algorithm, dry run, content.

use std::collections::BTreeMap;
use std::sync::Arc;

use meridian_crypto::{CiphertextHeader, MaterialCipher, SecretBytes};
use meridian_model::shapes::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, GenerateDataKeyRequest, GenerateDataKeyResponse,
    GenerateDataKeyWithoutPlaintextRequest, GenerateDataKeyWithoutPlaintextResponse, GenerateRandomRequest,
    GenerateRandomResponse, ReEncryptRequest, ReEncryptResponse,
};
use meridian_model::{
    Blob, DataKeySpec, EncryptionAlgorithmSpec, ErrorCode, KeyMaterialId, Response, SecretBlob, ServiceError, WireEnum,
};
use meridian_policy::{Action, Allowed, action};
use meridian_state::KeyRecord;
use meridian_state::key_states::Requirement;

use crate::access::{Access, Forms, check_grant_tokens};
use crate::key_ring::{KeyRing, log_internal};
use crate::keys::validation;

type Context = BTreeMap<String, String>;

/// `Encrypt`
pub(crate) fn encrypt(
    access: &mut Access<'_>,
    ring: &KeyRing,
    request: &EncryptRequest,
) -> Result<Response, ServiceError> {
    check_grant_tokens(&request.grant_tokens)?;
    let sealer = Sealer::find::<action::Encrypt>(access, ring, &request.key_id, request.encryption_algorithm)?;
    check_dry_run(request.dry_run)?;
    let ciphertext_blob = sealer.seal(&request.encryption_context, request.plaintext.expose())?;
    let encryption_algorithm = EncryptionAlgorithmSpec::SymmetricDefault;
    Ok(EncryptResponse { ciphertext_blob, key_id: sealer.key_arn, encryption_algorithm }.into())
}

/// `Decrypt`
pub(crate) fn decrypt(
    access: &mut Access<'_>,
    ring: &KeyRing,
    request: &DecryptRequest,
) -> Result<Response, ServiceError> {
    check_grant_tokens(&request.grant_tokens)?;
    refuse_recipient(request.recipient.is_some())?;
    let blob = required_ciphertext(request.ciphertext_blob.as_ref())?;
    let (identifier, algorithm) = (request.key_id.as_deref(), request.encryption_algorithm);
    let opener = Opener::find::<action::Decrypt>(access, ring, blob, identifier, algorithm)?;
    check_dry_run(request.dry_run)?;
    let plaintext = opener.open(blob, &request.encryption_context)?;
    Ok(DecryptResponse {
        key_material_id: Some(opener.material_id.to_string()),
        key_id: opener.key_arn,
        plaintext: Some(to_blob(&plaintext)),
        encryption_algorithm: EncryptionAlgorithmSpec::SymmetricDefault,
        ciphertext_for_recipient: None,
    }
    .into())
}

/// `ReEncrypt`: two keys, two permissions; the plaintext never leaves this function.
pub(crate) fn re_encrypt(
    access: &mut Access<'_>,
    ring: &KeyRing,
    request: &ReEncryptRequest,
) -> Result<Response, ServiceError> {
    check_grant_tokens(&request.grant_tokens)?;
    let blob = required_ciphertext(request.ciphertext_blob.as_ref())?;
    let (identifier, algorithm) = (request.source_key_id.as_deref(), request.source_encryption_algorithm);
    let opener = Opener::find::<action::ReEncryptFrom>(access, ring, blob, identifier, algorithm)?;
    let (destination, algorithm) = (&request.destination_key_id, request.destination_encryption_algorithm);
    let sealer = Sealer::find::<action::ReEncryptTo>(access, ring, destination, algorithm)?;
    check_dry_run(request.dry_run)?;
    let plaintext = opener.open(blob, &request.source_encryption_context)?;
    let ciphertext_blob = sealer.seal(&request.destination_encryption_context, plaintext.expose())?;
    Ok(ReEncryptResponse {
        ciphertext_blob,
        source_key_id: opener.key_arn,
        source_key_material_id: Some(opener.material_id.to_string()),
        destination_key_material_id: Some(sealer.cipher.material_id().to_string()),
        key_id: sealer.key_arn,
        source_encryption_algorithm: EncryptionAlgorithmSpec::SymmetricDefault,
        destination_encryption_algorithm: EncryptionAlgorithmSpec::SymmetricDefault,
    }
    .into())
}

/// `GenerateDataKey`
pub(crate) fn generate_data_key(
    access: &mut Access<'_>,
    ring: &KeyRing,
    request: &GenerateDataKeyRequest,
) -> Result<Response, ServiceError> {
    check_grant_tokens(&request.grant_tokens)?;
    refuse_recipient(request.recipient.is_some())?;
    let len = data_key_len(request.key_spec, request.number_of_bytes)?;
    let sealer = Sealer::find::<action::GenerateDataKey>(access, ring, &request.key_id, None)?;
    check_dry_run(request.dry_run)?;
    let data_key = SecretBytes::random(len).map_err(log_internal("generating a data key"))?;
    Ok(GenerateDataKeyResponse {
        ciphertext_blob: sealer.seal(&request.encryption_context, data_key.expose())?,
        plaintext: Some(to_blob(&data_key)),
        key_material_id: Some(sealer.cipher.material_id().to_string()),
        key_id: sealer.key_arn,
        ciphertext_for_recipient: None,
    }
    .into())
}

/// `GenerateDataKeyWithoutPlaintext`
pub(crate) fn generate_data_key_without_plaintext(
    access: &mut Access<'_>,
    ring: &KeyRing,
    request: &GenerateDataKeyWithoutPlaintextRequest,
) -> Result<Response, ServiceError> {
    check_grant_tokens(&request.grant_tokens)?;
    let len = data_key_len(request.key_spec, request.number_of_bytes)?;
    let sealer = Sealer::find::<action::GenerateDataKeyWithoutPlaintext>(access, ring, &request.key_id, None)?;
    check_dry_run(request.dry_run)?;
    let data_key = SecretBytes::random(len).map_err(log_internal("generating a data key"))?;
    Ok(GenerateDataKeyWithoutPlaintextResponse {
        ciphertext_blob: sealer.seal(&request.encryption_context, data_key.expose())?,
        key_material_id: Some(sealer.cipher.material_id().to_string()),
        key_id: sealer.key_arn,
    }
    .into())
}

/// `GenerateRandom`
pub(crate) fn generate_random(request: &GenerateRandomRequest) -> Result<Response, ServiceError> {
    refuse_recipient(request.recipient.is_some())?;
    if request.custom_key_store_id.is_some() {
        let message = "GenerateRandom does not support custom key stores yet.";
        return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
    }
    let len = request.number_of_bytes.ok_or_else(|| {
        validation("1 validation error detected: Value null at 'numberOfBytes' failed to satisfy constraint: Member must not be null")
    })?;
    let bytes = SecretBytes::random(len as usize).map_err(log_internal("generating random bytes"))?;
    Ok(GenerateRandomResponse { plaintext: Some(to_blob(&bytes)), ciphertext_for_recipient: None }.into())
}

/// A key that the caller may encrypt under, with its current material at hand.
struct Sealer {
    cipher: Arc<MaterialCipher>,
    key_arn: String,
}

impl Sealer {
    fn find<A: Action>(
        access: &mut Access<'_>,
        ring: &KeyRing,
        identifier: &str,
        algorithm: Option<EncryptionAlgorithmSpec>,
    ) -> Result<Self, ServiceError> {
        let (key, allowed) = access.key_in_state::<A>(identifier, Forms::KeyOrAlias, Requirement::Usable)?;
        check_algorithm(&key, algorithm)?;
        let cipher = ring.current(&allowed, &access.state, &key)?;
        Ok(Self { cipher, key_arn: allowed.key().to_string() })
    }

    fn seal(&self, context: &Context, plaintext: &[u8]) -> Result<Blob, ServiceError> {
        self.cipher.encrypt(context, plaintext).map(Blob::from).map_err(log_internal("encrypting"))
    }
}

/// A key that the caller may decrypt with, with the material of one ciphertext at hand.
struct Opener {
    cipher: Arc<MaterialCipher>,
    material_id: KeyMaterialId,
    key_arn: String,
}

impl Opener {
    fn find<A: Action>(
        access: &mut Access<'_>,
        ring: &KeyRing,
        blob: &Blob,
        identifier: Option<&str>,
        algorithm: Option<EncryptionAlgorithmSpec>,
    ) -> Result<Self, ServiceError> {
        let header = CiphertextHeader::parse(blob.as_slice());
        let (key, allowed) = match identifier {
            Some(identifier) => access.key::<A>(identifier, Forms::KeyOrAlias)?,
            None => key_of_ciphertext::<A>(access, header.as_ref().map_err(|_| invalid_ciphertext())?)?,
        };
        Requirement::Usable.check(allowed.key(), key.state)?;
        check_algorithm(&key, algorithm)?;
        let header = header.map_err(|_| invalid_ciphertext())?;
        if header.key_id != key.key_id {
            let message = "The key ID in the request does not identify a CMK that can perform this operation.";
            return Err(ServiceError::new(ErrorCode::IncorrectKey, message));
        }
        if access.state.material(key.key_id, header.material_id).is_none() {
            return Err(missing_material(&key, header.material_id, &allowed));
        }
        let cipher = ring.version(&allowed, &access.state, &key, header.material_id)?;
        Ok(Self { cipher, material_id: header.material_id, key_arn: allowed.key().to_string() })
    }

    fn open(&self, blob: &Blob, context: &Context) -> Result<SecretBytes, ServiceError> {
        self.cipher.decrypt(blob.as_slice(), context).map_err(|_| invalid_ciphertext())
    }
}

/// The key that a ciphertext names, when the request names none.
fn key_of_ciphertext<A: Action>(
    access: &mut Access<'_>,
    header: &CiphertextHeader,
) -> Result<(Arc<KeyRecord>, Allowed<A>), ServiceError> {
    let key = access.state.key(header.key_id).cloned().ok_or_else(|| {
        let message = "The ciphertext refers to a customer master key that does not exist, does not exist in this \
             region, or you are not allowed to access.";
        ServiceError::new(ErrorCode::AccessDenied, message)
    })?;
    let allowed = access.allow::<A>(&key)?;
    Ok((key, allowed))
}

/// A version that the set has but this replica still waits for is a matter of time; any other is a forged header.
fn missing_material<A>(key: &KeyRecord, material_id: KeyMaterialId, allowed: &Allowed<A>) -> ServiceError {
    let is_on_its_way = key.multi_region.as_ref().is_some_and(|set| set.missing_materials.contains(&material_id));
    if is_on_its_way {
        let message = format!("{} has not received this version of its key material yet.", allowed.key());
        return ServiceError::new(ErrorCode::KeyUnavailable, message);
    }
    invalid_ciphertext()
}

fn check_algorithm(key: &KeyRecord, algorithm: Option<EncryptionAlgorithmSpec>) -> Result<(), ServiceError> {
    match algorithm {
        None | Some(EncryptionAlgorithmSpec::SymmetricDefault) => Ok(()),
        Some(algorithm) => {
            let message = format!("Algorithm {} is incompatible with key spec {}.", algorithm.as_str(), key.spec);
            Err(ServiceError::new(ErrorCode::InvalidKeyUsage, message))
        }
    }
}

/// A dry run ends where the work would begin, with the service's own exception for success.
fn check_dry_run(dry_run: Option<bool>) -> Result<(), ServiceError> {
    if dry_run == Some(true) {
        let message = "The request would have succeeded, but the DryRun option is set.";
        return Err(ServiceError::new(ErrorCode::DryRunOperation, message));
    }
    Ok(())
}

fn refuse_recipient(is_given: bool) -> Result<(), ServiceError> {
    if is_given {
        let message = "Attested recipients are not supported yet.";
        return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
    }
    Ok(())
}

fn required_ciphertext(blob: Option<&Blob>) -> Result<&Blob, ServiceError> {
    blob.ok_or_else(|| {
        validation("1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null")
    })
}

/// The length of a data key in bytes: by spec or by number, exactly one of them.
fn data_key_len(spec: Option<DataKeySpec>, number_of_bytes: Option<u32>) -> Result<usize, ServiceError> {
    match (spec, number_of_bytes) {
        (Some(DataKeySpec::Aes256), None) => Ok(32),
        (Some(DataKeySpec::Aes128), None) => Ok(16),
        (None, Some(number)) => Ok(number as usize),
        _ => Err(validation("Please specify either number of bytes or key spec.")),
    }
}

/// The service says nothing about what is wrong with a ciphertext.
fn invalid_ciphertext() -> ServiceError {
    ServiceError::new(ErrorCode::InvalidCiphertext, "")
}

fn to_blob(bytes: &SecretBytes) -> SecretBlob {
    SecretBlob::from(bytes.expose().to_vec())
}
