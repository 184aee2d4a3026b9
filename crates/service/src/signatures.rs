//! `Sign`, `Verify` and `GetPublicKey`, on the local applied state.

use std::sync::Arc;

use meridian_crypto::PublicKey;
use meridian_crypto::algorithms::check_message;
use meridian_model::shapes::{
    GetPublicKeyRequest, GetPublicKeyResponse, SignRequest, SignResponse, VerifyRequest, VerifyResponse,
};
use meridian_model::{Blob, ErrorCode, KeySpec, KeyUsageType, MessageType, ServiceError};
use meridian_policy::{Action, action};
use meridian_state::key_states::Requirement;

use crate::access::{Access, Forms};
use crate::key_ring::KeyRing;
use crate::key_use::KeyInUse;
use crate::work::{Work, check_dry_run};

/// `Sign`
pub(crate) fn sign(access: &mut Access<'_>, ring: &Arc<KeyRing>, request: &SignRequest) -> Result<Work, ServiceError> {
    let key = KeyInUse::<action::Sign>::find(access, ring, &request.key_id, KeyUsageType::SignVerify)?;
    let (algorithm, message_type) = (request.signing_algorithm, request.message_type.unwrap_or(MessageType::Raw));
    key.require(key.algorithms().signing, algorithm)?;
    check_message(algorithm, message_type, request.message.expose()).map_err(|error| key.refusal(error))?;
    check_dry_run(request.dry_run)?;
    let message = request.message.duplicate();
    key.in_private(move |key, prepared| {
        let signature = prepared.sign(algorithm, message_type, message.expose()).map_err(|error| key.refusal(error))?;
        Ok(SignResponse { key_id: key.arn(), signature: signature.into(), signing_algorithm: algorithm })
    })
}

/// `Verify`: a signature that does not verify is an exception, never `false`.
pub(crate) fn verify(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &VerifyRequest,
) -> Result<Work, ServiceError> {
    let key = KeyInUse::<action::Verify>::find(access, ring, &request.key_id, KeyUsageType::SignVerify)?;
    let (algorithm, message_type) = (request.signing_algorithm, request.message_type.unwrap_or(MessageType::Raw));
    key.require(key.algorithms().signing, algorithm)?;
    let (message, signature, dry_run) = (request.message.duplicate(), request.signature.clone(), request.dry_run);
    key.in_public(move |key, prepared| {
        let verified = prepared.verify(algorithm, message_type, message.expose(), signature.as_slice());
        verified.map_err(|error| key.refusal(error))?;
        check_dry_run(dry_run)?;
        Ok(VerifyResponse { key_id: key.arn(), signature_valid: true, signing_algorithm: algorithm })
    })
}

/// `GetPublicKey`: for keys of every usage that have a public half.
pub(crate) fn get_public_key(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &GetPublicKeyRequest,
) -> Result<Work, ServiceError> {
    let requirement = Requirement::Usable;
    let (record, allowed) =
        access.key_in_state::<action::GetPublicKey>(&request.key_id, Forms::KeyOrAlias, requirement)?;
    let usage = record.usage;
    let key = KeyInUse::of(access, ring, record, allowed, usage)?;
    if !has_public_half(&key) {
        let message = format!("{} key spec is {} which is not valid for GetPublicKey.", key.arn(), key.record.spec);
        return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
    }
    key.in_public(|key, prepared| {
        let der = prepared.public_key().map(PublicKey::der).ok_or_else(ServiceError::internal)?;
        Ok(answer(key, der.into()))
    })
}

fn has_public_half<A: Action>(key: &KeyInUse<A>) -> bool {
    key.record.spec != KeySpec::SymmetricDefault && key.record.usage != KeyUsageType::GenerateVerifyMac
}

fn answer(key: &KeyInUse<action::GetPublicKey>, public_key: Blob) -> GetPublicKeyResponse {
    let algorithms = key.algorithms();
    GetPublicKeyResponse {
        key_id: key.arn(),
        public_key,
        customer_master_key_spec: key.record.spec.as_customer_master_key_spec(),
        key_spec: key.record.spec,
        key_usage: key.record.usage,
        encryption_algorithms: algorithms.encryption.to_vec(),
        signing_algorithms: algorithms.signing.to_vec(),
        key_agreement_algorithms: algorithms.agreement.to_vec(),
        encapsulation_algorithms: algorithms.encapsulation.to_vec(),
    }
}
