//! Imported key material: wrapping keys and their tokens, material that comes, and material that goes.
//!
//! Nothing is remembered between GetParametersForImport and ImportKeyMaterial: the token holds all that the second needs, so
//! that any node can answer the first. Only sealed bytes are proposed; the state machine decides whether they may come.

use std::time::Duration;

use meridian_crypto::import::{is_offered, key_spec};
use meridian_crypto::{ImportParameters, KeyMaterial, MaterialBinding, WrappingKey};
use meridian_model::shapes::{
    DeleteImportedKeyMaterialRequest, DeleteImportedKeyMaterialResponse, GetParametersForImportRequest,
    GetParametersForImportResponse, ImportKeyMaterialRequest, ImportKeyMaterialResponse,
};
use meridian_model::time::days;
use meridian_model::{
    AlgorithmSpec, Blob, ErrorCode, ExpirationModelType, ImportType, KeyArn, KeyMaterialId, KeySpec, OriginType,
    Response, ServiceError, Timestamp,
};
use meridian_policy::action;
use meridian_state::command::{ImportKind, ImportMaterial, NewMaterial};
use meridian_state::key_states::Requirement;
use meridian_state::{KeyRecord, Op, RegionState};

use crate::access::{Access, Forms};
use crate::call::Service;
use crate::key_ring::log_internal;
use crate::keys::{expect_key, validation};
use crate::writes::{Plan, Rejected};

/// How long a wrapping key and its token are good for (AWS KMS API Reference, "GetParametersForImport").
const TOKEN_LIFETIME: Duration = days(1);

/// The furthest expiry of imported material (AWS KMS API Reference, "ImportKeyMaterial").
const LONGEST_VALIDITY: Duration = days(365);

impl Service {
    /// `GetParametersForImport`
    pub(crate) async fn import_parameters(
        &self,
        access: &mut Access<'_>,
        request: &GetParametersForImportRequest,
    ) -> Result<Response, ServiceError> {
        let (key, allowed) = access.key::<action::GetParametersForImport>(&request.key_id, Forms::Key)?;
        require(allowed.key(), &key, Requirement::Wrappable)?;
        let (partition, wrapping_spec) = (allowed.key().partition, request.wrapping_key_spec);
        if !is_offered(partition, key.spec, wrapping_spec, request.wrapping_algorithm) {
            return Err(not_offered(key.spec, request));
        }
        let private = self.workshop().make(key_spec(wrapping_spec)).await?;
        let public_key = private.public_key_der().map_err(log_internal("encoding a wrapping key"))?;
        let parameters = ImportParameters {
            wrapping_spec,
            algorithm: request.wrapping_algorithm,
            valid_to: self.now().plus(TOKEN_LIFETIME),
        };
        let token = self.ring()?.seal_import_token(&access.state, allowed.key(), &parameters, &private)?;
        Ok(GetParametersForImportResponse {
            key_id: allowed.key().to_string(),
            import_token: Blob::from(token),
            public_key: Blob::from(public_key.unwrap_or_default()),
            parameters_valid_to: parameters.valid_to,
        }
        .into())
    }

    /// `ImportKeyMaterial`: unwraps, checks and seals on the leader.
    pub(crate) async fn import_material(
        &self,
        access: &mut Access<'_>,
        request: &ImportKeyMaterialRequest,
    ) -> Result<(Vec<u8>, u64), Rejected> {
        let valid_to = validity(request, self.now())?;
        check_kind(request)?;
        let (key, allowed) = access.key::<action::ImportKeyMaterial>(&request.key_id, Forms::Key)?;
        require(allowed.key(), &key, Requirement::Importable)?;
        check_versions(allowed.key(), key.spec, request)?;
        let wrapping_key =
            self.ring()?.open_import_token(&access.state, allowed.key(), request.import_token.as_slice())?;
        if wrapping_key.parameters().valid_to <= self.now() {
            return Err(ServiceError::new(ErrorCode::ExpiredImportToken, "The import token has expired.").into());
        }
        self.ensure_domain_key().await?;
        let (encrypted, arn, spec) = (request.encrypted_key_material.clone(), allowed.key().clone(), key.spec);
        let material = self.workshop().run(move || unwrapped(&wrapping_key, &encrypted, &arn, spec)).await??;
        let material = self.sealed(&key, &material)?;
        if request.key_material_id.as_ref().is_some_and(|expected| *expected != material.id.to_string()) {
            return Err(incorrect(allowed.key(), "is not the one that the KeyMaterialId names").into());
        }
        let material_id = told(&key, material.id);
        let committed = self
            .commit(Op::ImportMaterial(ImportMaterial {
                key_id: key.key_id,
                material,
                kind: request.import_type.map(kind),
                description: request.key_material_description.clone(),
                valid_to,
            }))
            .await?;
        let response = ImportKeyMaterialResponse { key_id: allowed.key().to_string(), key_material_id: material_id };
        Ok((Response::from(response).to_json(), committed.log_index))
    }

    fn sealed(&self, key: &KeyRecord, material: &KeyMaterial) -> Result<NewMaterial, ServiceError> {
        let id = material.imported_id(key.account, key.key_id);
        let binding = MaterialBinding { account: key.account, key_id: key.key_id, material_id: id };
        Ok(NewMaterial { id, sealed: self.ring()?.seal_material(&self.state(), &binding, material)? })
    }
}

/// `DeleteImportedKeyMaterial`
pub(crate) fn delete(
    access: &mut Access<'_>,
    request: &DeleteImportedKeyMaterialRequest,
) -> Result<Plan, ServiceError> {
    let parse = |text: &String| text.parse::<KeyMaterialId>().map_err(|error| validation(error.to_string()));
    let material_id = request.key_material_id.as_ref().map(parse).transpose()?;
    let (key, allowed) = access.key::<action::DeleteImportedKeyMaterial>(&request.key_id, Forms::Key)?;
    require(allowed.key(), &key, Requirement::Emptiable)?;
    let op = Op::DeleteImportedMaterial { key_id: key.key_id, material_id };
    Ok(Plan::new(op, move |state, done| {
        let key = expect_key(done);
        DeleteImportedKeyMaterialResponse {
            key_id: state.key_arn(key).to_string(),
            key_material_id: material_id.or(key.current_material).and_then(|id| told(key, id)),
        }
    }))
}

/// What `DescribeKey` tells of the expiry of imported material.
pub(crate) fn expiration(state: &RegionState, key: &KeyRecord) -> Option<(ExpirationModelType, Option<Timestamp>)> {
    if key.origin != OriginType::External {
        return None;
    }
    Some(match state.imported_validity(key.key_id)? {
        Some(valid_to) => (ExpirationModelType::KeyMaterialExpires, Some(valid_to)),
        None => (ExpirationModelType::KeyMaterialDoesNotExpire, None),
    })
}

/// The kind of the key comes before its state, as in the key-state table.
fn require(arn: &KeyArn, key: &KeyRecord, requirement: Requirement) -> Result<(), ServiceError> {
    if key.origin != OriginType::External {
        return Err(ServiceError::key_origin(arn, key.origin));
    }
    requirement.check(arn, key.state)
}

fn not_offered(spec: KeySpec, request: &GetParametersForImportRequest) -> ServiceError {
    let GetParametersForImportRequest { wrapping_algorithm, wrapping_key_spec, .. } = request;
    let message = match wrapping_algorithm {
        AlgorithmSpec::RsaesPkcs1V15 => format!("The wrapping algorithm {wrapping_algorithm} is no longer supported."),
        _ => format!(
            "The wrapping algorithm {wrapping_algorithm} with the wrapping key spec {wrapping_key_spec} is not supported \
             for the key material of a key of key spec {spec}."
        ),
    };
    ServiceError::new(ErrorCode::UnsupportedOperation, message)
}

/// When the material expires; the model says whether it does, and has to agree with the date.
fn validity(request: &ImportKeyMaterialRequest, now: Timestamp) -> Result<Option<Timestamp>, ServiceError> {
    let model = request.expiration_model.unwrap_or(ExpirationModelType::KeyMaterialExpires);
    let Some(valid_to) = request.valid_to else {
        return match model {
            ExpirationModelType::KeyMaterialDoesNotExpire => Ok(None),
            expires @ ExpirationModelType::KeyMaterialExpires => {
                Err(validation(format!("A validTo date must be set if the ExpirationModel is {expires}")))
            }
        };
    };
    if model == ExpirationModelType::KeyMaterialDoesNotExpire {
        return Err(validation(format!("A validTo date must not be set if the ExpirationModel is {model}")));
    }
    if valid_to <= now {
        return Err(validation("The validTo date must be in the future."));
    }
    if valid_to > now.plus(LONGEST_VALIDITY) {
        return Err(validation("The validTo date must be at most 365 days from now."));
    }
    Ok(Some(valid_to))
}

fn check_kind(request: &ImportKeyMaterialRequest) -> Result<(), ServiceError> {
    if request.import_type == Some(ImportType::NewKeyMaterial) && request.key_material_id.is_some() {
        return Err(validation("A KeyMaterialId must not be set if the ImportType is NEW_KEY_MATERIAL"));
    }
    Ok(())
}

/// Only the material of symmetric encryption keys has versions to speak of.
fn check_versions(arn: &KeyArn, spec: KeySpec, request: &ImportKeyMaterialRequest) -> Result<(), ServiceError> {
    let names_version = request.import_type.is_some()
        || request.key_material_id.is_some()
        || request.key_material_description.is_some();
    if spec == KeySpec::SymmetricDefault || !names_version {
        return Ok(());
    }
    let message = format!(
        "{arn} key spec is {spec}: ImportType, KeyMaterialId and KeyMaterialDescription are for symmetric encryption keys."
    );
    Err(ServiceError::new(ErrorCode::UnsupportedOperation, message))
}

const fn kind(import_type: ImportType) -> ImportKind {
    match import_type {
        ImportType::NewKeyMaterial => ImportKind::New,
        ImportType::ExistingKeyMaterial => ImportKind::Existing,
    }
}

/// The id as the API tells it: of symmetric encryption keys alone.
fn told(key: &KeyRecord, material_id: KeyMaterialId) -> Option<String> {
    (key.spec == KeySpec::SymmetricDefault).then(|| material_id.to_string())
}

/// Blocks for some milliseconds.
fn unwrapped(
    wrapping_key: &WrappingKey,
    encrypted: &Blob,
    key: &KeyArn,
    spec: KeySpec,
) -> Result<KeyMaterial, ServiceError> {
    let opened = wrapping_key.unwrap_material(encrypted.as_slice()).map_err(|error| {
        tracing::debug!(%error, "imported material is refused");
        let message = "The encrypted key material cannot be unwrapped with the wrapping key of the import token.";
        ServiceError::new(ErrorCode::InvalidCiphertext, message)
    })?;
    KeyMaterial::import(spec, key.partition, &opened)
        .map_err(|_| incorrect(key, &format!("is not key material for a key of key spec {spec}")))
}

fn incorrect(key: &KeyArn, why: &str) -> ServiceError {
    ServiceError::new(ErrorCode::IncorrectKeyMaterial, format!("The key material for {key} {why}."))
}
