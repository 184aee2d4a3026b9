//! `GenerateDataKeyPair` and `GenerateDataKeyPairWithoutPlaintext`: pairs for use elsewhere, their private half under a
//! symmetric encryption key.

use std::sync::Arc;

use meridian_crypto::{DataKeyPair, KeyMaterial, data_key_pair};
use meridian_model::shapes::{
    GenerateDataKeyPairRequest, GenerateDataKeyPairResponse, GenerateDataKeyPairWithoutPlaintextRequest,
    GenerateDataKeyPairWithoutPlaintextResponse,
};
use meridian_model::{Blob, DataKeyPairSpec, ErrorCode, Partition, Response, ServiceError};
use meridian_policy::{Action, action};

use crate::access::Access;
use crate::cryptography::{Context, Sealer};
use crate::key_ring::{KeyRing, log_internal};
use crate::keys::has_sm2;
use crate::recipients::Told;
use crate::work::{Work, check_dry_run};

/// `GenerateDataKeyPair`
pub(crate) fn generate(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &GenerateDataKeyPairRequest,
) -> Result<Work, ServiceError> {
    check_spec(request.key_pair_spec, access.state.partition())?;
    let sealer = Sealer::for_data_keys::<action::GenerateDataKeyPair>(access, ring, &request.key_id)?;
    check_dry_run(request.dry_run)?;
    let (spec, recipient) = (request.key_pair_spec, access.recipient.clone());
    Ok(new_pair(spec, sealer, request.encryption_context.clone(), move |sealer, pair, private_key_ciphertext_blob| {
        let told = Told::to(recipient.as_deref(), &pair.private_key_pkcs8)?;
        Ok(GenerateDataKeyPairResponse {
            private_key_ciphertext_blob,
            private_key_plaintext: told.plaintext,
            public_key: pair.public_key_der.into(),
            key_id: sealer.key_arn(),
            key_pair_spec: spec,
            ciphertext_for_recipient: told.sealed,
            key_material_id: sealer.material_id(),
        }
        .into())
    }))
}

/// `GenerateDataKeyPairWithoutPlaintext`
pub(crate) fn generate_without_plaintext(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &GenerateDataKeyPairWithoutPlaintextRequest,
) -> Result<Work, ServiceError> {
    check_spec(request.key_pair_spec, access.state.partition())?;
    let sealer = Sealer::for_data_keys::<action::GenerateDataKeyPairWithoutPlaintext>(access, ring, &request.key_id)?;
    check_dry_run(request.dry_run)?;
    let spec = request.key_pair_spec;
    Ok(new_pair(spec, sealer, request.encryption_context.clone(), move |sealer, pair, private_key_ciphertext_blob| {
        Ok(GenerateDataKeyPairWithoutPlaintextResponse {
            private_key_ciphertext_blob,
            public_key: pair.public_key_der.into(),
            key_id: sealer.key_arn(),
            key_pair_spec: spec,
            key_material_id: sealer.material_id(),
        }
        .into())
    }))
}

/// A pair that is still to be made, then sealed and answered.
fn new_pair<A: Action + Send + 'static>(
    spec: DataKeyPairSpec,
    sealer: Sealer<A>,
    context: Context,
    answer: impl FnOnce(&Sealer<A>, DataKeyPair, Blob) -> Result<Response, ServiceError> + Send + 'static,
) -> Work {
    let seal = move |material: KeyMaterial| {
        let pair = DataKeyPair::of(&material).map_err(log_internal("encoding a data key pair"))?;
        let ciphertext = sealer.seal(&context, pair.private_key_pkcs8.expose())?;
        answer(&sealer, pair, ciphertext)
    };
    Work::NewKey(data_key_pair::key_spec(spec), Box::new(seal))
}

fn check_spec(spec: DataKeyPairSpec, partition: Partition) -> Result<(), ServiceError> {
    if spec == DataKeyPairSpec::Sm2 && !has_sm2(partition) {
        let message = "The key pair spec SM2 is not supported in this Region.";
        return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
    }
    Ok(())
}
