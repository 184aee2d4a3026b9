//! `DeriveSharedSecret`, `Encapsulate` and `Decapsulate`, on the local applied state.

use std::sync::Arc;

use meridian_model::shapes::{
    DecapsulateRequest, DecapsulateResponse, DeriveSharedSecretRequest, DeriveSharedSecretResponse, EncapsulateRequest,
    EncapsulateResponse,
};
use meridian_model::{KeyUsageType, ServiceError};
use meridian_policy::action;

use crate::access::Access;
use crate::cryptography::to_blob;
use crate::key_ring::KeyRing;
use crate::key_use::KeyInUse;
use crate::recipients::Told;
use crate::work::{Work, check_dry_run};

/// `DeriveSharedSecret`: the raw secret; deriving keys from it is left to the caller.
pub(crate) fn derive(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &DeriveSharedSecretRequest,
) -> Result<Work, ServiceError> {
    let usage = KeyUsageType::KeyAgreement;
    let key = KeyInUse::<action::DeriveSharedSecret>::find(access, ring, &request.key_id, usage)?;
    let algorithm = request.key_agreement_algorithm;
    key.require(key.algorithms().agreement, algorithm)?;
    let shared = key.prepared()?.derive_shared_secret(algorithm, request.public_key.as_slice());
    let shared = shared.map_err(|error| key.refusal(error))?;
    check_dry_run(request.dry_run)?;
    let told = Told::to(access.recipient.as_deref(), &shared)?;
    Ok(Work::done(DeriveSharedSecretResponse {
        key_id: key.arn(),
        shared_secret: told.plaintext,
        ciphertext_for_recipient: told.sealed,
        key_agreement_algorithm: algorithm,
        key_origin: key.record.origin,
    }))
}

/// `Encapsulate`
pub(crate) fn encapsulate(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &EncapsulateRequest,
) -> Result<Work, ServiceError> {
    let usage = KeyUsageType::EncapsulateDecapsulate;
    let key = KeyInUse::<action::Encapsulate>::find(access, ring, &request.key_id, usage)?;
    let algorithm = request.encapsulation_algorithm;
    key.require(key.algorithms().encapsulation, algorithm)?;
    check_dry_run(request.dry_run)?;
    let made = key.prepared()?.encapsulate(algorithm).map_err(|error| key.refusal(error))?;
    Ok(Work::done(EncapsulateResponse {
        key_id: key.arn(),
        shared_secret: to_blob(&made.shared_secret),
        shared_secret_ciphertext_blob: made.ciphertext.into(),
        encapsulation_algorithm: algorithm,
    }))
}

/// `Decapsulate`
pub(crate) fn decapsulate(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &DecapsulateRequest,
) -> Result<Work, ServiceError> {
    let usage = KeyUsageType::EncapsulateDecapsulate;
    let key = KeyInUse::<action::Decapsulate>::find(access, ring, &request.key_id, usage)?;
    let algorithm = request.encapsulation_algorithm;
    key.require(key.algorithms().encapsulation, algorithm)?;
    let shared = key.prepared()?.decapsulate(algorithm, request.shared_secret_ciphertext_blob.as_slice());
    let shared = shared.map_err(|error| key.refusal(error))?;
    check_dry_run(request.dry_run)?;
    let shared_secret = to_blob(&shared);
    Ok(Work::done(DecapsulateResponse { key_id: key.arn(), shared_secret, encapsulation_algorithm: algorithm }))
}
