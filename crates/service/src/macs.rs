//! `GenerateMac` and `VerifyMac`, on the local applied state.

use std::sync::Arc;

use meridian_model::shapes::{GenerateMacRequest, GenerateMacResponse, VerifyMacRequest, VerifyMacResponse};
use meridian_model::{KeyUsageType, ServiceError};
use meridian_policy::action;

use crate::access::Access;
use crate::key_ring::KeyRing;
use crate::key_use::KeyInUse;
use crate::work::{Work, check_dry_run};

/// `GenerateMac`
pub(crate) fn generate(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &GenerateMacRequest,
) -> Result<Work, ServiceError> {
    let usage = KeyUsageType::GenerateVerifyMac;
    let key = KeyInUse::<action::GenerateMac>::find(access, ring, &request.key_id, usage)?;
    let algorithm = request.mac_algorithm;
    key.require(key.algorithms().mac, algorithm)?;
    check_dry_run(request.dry_run)?;
    let mac = key.prepared()?.mac(algorithm, request.message.expose()).map_err(|error| key.refusal(error))?;
    Ok(Work::done(GenerateMacResponse { mac: mac.into(), mac_algorithm: algorithm, key_id: key.arn() }))
}

/// `VerifyMac`: a MAC that does not verify is an exception, never `false`.
pub(crate) fn verify(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &VerifyMacRequest,
) -> Result<Work, ServiceError> {
    let usage = KeyUsageType::GenerateVerifyMac;
    let key = KeyInUse::<action::VerifyMac>::find(access, ring, &request.key_id, usage)?;
    let algorithm = request.mac_algorithm;
    key.require(key.algorithms().mac, algorithm)?;
    let verified = key.prepared()?.verify_mac(algorithm, request.message.expose(), request.mac.as_slice());
    verified.map_err(|error| key.refusal(error))?;
    check_dry_run(request.dry_run)?;
    Ok(Work::done(VerifyMacResponse { key_id: key.arn(), mac_valid: true, mac_algorithm: algorithm }))
}
