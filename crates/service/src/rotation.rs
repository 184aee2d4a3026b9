//! Rotating key material: switching it on and off, asking for it, and what was rotated when.

use std::collections::BTreeSet;

use meridian_model::shapes::{
    DisableKeyRotationRequest, DisableKeyRotationResponse, EnableKeyRotationRequest, EnableKeyRotationResponse,
    GetKeyRotationStatusRequest, GetKeyRotationStatusResponse, ListKeyRotationsRequest, ListKeyRotationsResponse,
    RotateKeyOnDemandRequest, RotateKeyOnDemandResponse, RotationsListEntry,
};
use meridian_model::{
    ErrorCode, ExpirationModelType, ImportState, IncludeKeyMaterial, KeyMaterialId, KeyMaterialState, KeySpec,
    OriginType, Response, RotationType, ServiceError, Timestamp,
};
use meridian_policy::action;
use meridian_state::command::RotateKey;
use meridian_state::key_states::Requirement;
use meridian_state::rows::{PendingRotation, VersionRecord};
use meridian_state::{KeyRecord, Op, RegionState};

use crate::access::{Access, Forms};
use crate::key_ring::KeyRing;
use crate::keys::expect_key;
use crate::pages;
use crate::writes::Plan;

/// The period when none is given, in days.
pub(crate) const DEFAULT_PERIOD_DAYS: u32 = 365;

/// `EnableKeyRotation`
pub(crate) fn enable(access: &mut Access<'_>, request: &EnableKeyRotationRequest) -> Result<Plan, ServiceError> {
    let period_days = request.rotation_period_in_days.unwrap_or(DEFAULT_PERIOD_DAYS);
    let (key, _) = access.key::<action::EnableKeyRotation>(&request.key_id, Forms::Key)?;
    let op = Op::EnableKeyRotation { key_id: key.key_id, period_days };
    Ok(Plan::new(op, |_, _| EnableKeyRotationResponse {}))
}

/// `DisableKeyRotation`
pub(crate) fn disable(access: &mut Access<'_>, request: &DisableKeyRotationRequest) -> Result<Plan, ServiceError> {
    let (key, _) = access.key::<action::DisableKeyRotation>(&request.key_id, Forms::Key)?;
    Ok(Plan::new(Op::DisableKeyRotation(key.key_id), |_, _| DisableKeyRotationResponse {}))
}

/// `RotateKeyOnDemand`: draws the new material on the leader, unless it was imported.
pub(crate) fn rotate_on_demand(
    access: &mut Access<'_>,
    ring: &KeyRing,
    request: &RotateKeyOnDemandRequest,
) -> Result<Plan, ServiceError> {
    let (key, _) = access.key::<action::RotateKeyOnDemand>(&request.key_id, Forms::Key)?;
    let is_generated = key.spec == KeySpec::SymmetricDefault && key.origin == OriginType::AwsKms;
    let material = is_generated.then(|| ring.new_version(&access.state, &key)).transpose()?;
    let op = Op::RotateKey(RotateKey { key_id: key.key_id, kind: RotationType::OnDemand, material });
    Ok(Plan::new(op, |_, key| RotateKeyOnDemandResponse { key_id: expect_key(key).key_id.to_string() }))
}

/// `GetKeyRotationStatus`: off for every key that cannot be rotated, and for one that waits for its deletion.
pub(crate) fn status(access: &mut Access<'_>, request: &GetKeyRotationStatusRequest) -> Result<Response, ServiceError> {
    let (key, _) = access.key::<action::GetKeyRotationStatus>(&request.key_id, Forms::Key)?;
    let rotation = access.state.rotation(key.key_id);
    // What is stored outlives the waiting period, so that the status is the former one when the deletion is cancelled.
    let is_shown = !Requirement::PendingDeletion.allows(key.state);
    let automatic = rotation.and_then(|rotation| rotation.automatic).filter(|_| is_shown);
    let started = rotation.and_then(|rotation| rotation.pending.as_ref()?.started);
    let on_demand = started.filter(|started| started.kind == RotationType::OnDemand);
    Ok(GetKeyRotationStatusResponse {
        key_rotation_enabled: automatic.is_some(),
        key_id: key.key_id.to_string(),
        rotation_period_in_days: automatic.map(|automatic| automatic.period_days),
        next_rotation_date: automatic.map(|automatic| automatic.next),
        on_demand_rotation_start_date: on_demand.map(|started| started.at),
    }
    .into())
}

/// `ListKeyRotations`: the first material, then one version after the other, then the one that waits to become current.
pub(crate) fn list(access: &mut Access<'_>, request: &ListKeyRotationsRequest) -> Result<Response, ServiceError> {
    let (key, allowed) = access.key::<action::ListKeyRotations>(&request.key_id, Forms::Key)?;
    if key.spec != KeySpec::SymmetricDefault {
        let message = format!("{} key spec is {} which is not valid for this operation.", allowed.key(), key.spec);
        return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
    }
    let includes_all = request.include_key_material == Some(IncludeKeyMaterial::AllKeyMaterial);
    let after: Option<KeyMaterialId> = pages::after(request.marker.as_deref())?;
    let mut versions = versions(&access.state, &key);
    versions.retain(|version| includes_all || version.place.is_rotated());
    let start = after.map_or(0, |after| {
        versions.iter().position(|version| version.material_id == after).map_or(versions.len(), |at| at + 1)
    });
    let rest = versions.into_iter().skip(start);
    let page = pages::page(rest, pages::limit(request.limit, 100, 1_000), |version| version.material_id.to_string());
    let truncated = page.next_marker.is_some();
    let rotations = page.items.iter().map(|version| entry(&access.state, &key, version)).collect();
    Ok(ListKeyRotationsResponse { rotations, next_marker: page.next_marker, truncated }.into())
}

/// A version of the material in the order of a list.
struct Version {
    place: Place,
    material_id: KeyMaterialId,
}

/// When a version became the current one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// With the key.
    First,
    /// By a rotation.
    Rotated(Timestamp),
    /// It waits for a rotation.
    Pending,
}

impl Place {
    const fn is_rotated(self) -> bool {
        matches!(self, Self::Rotated(_))
    }
}

/// Every version of the material but generated material on its way to other Regions, which nobody has asked for by its id.
fn versions(state: &RegionState, key: &KeyRecord) -> Vec<Version> {
    let here = state.materials_of(key.key_id).map(|row| row.material_id);
    let known = state.versions_of(key.key_id).map(|version| version.material_id);
    let pending = pending(state, key).map(|pending| pending.material_id);
    let ids: BTreeSet<KeyMaterialId> = here.chain(known).chain(pending).collect();
    let place = |material_id| match state.version(key.key_id, material_id).and_then(|version| version.rotation) {
        Some(rotated) => Place::Rotated(rotated.at),
        None if pending == Some(material_id) => Place::Pending,
        None => Place::First,
    };
    let is_listed = |version: &Version| version.place != Place::Pending || key.origin == OriginType::External;
    let mut versions: Vec<Version> = ids
        .into_iter()
        .map(|material_id| Version { place: place(material_id), material_id })
        .filter(is_listed)
        .collect();
    versions.sort_by_key(|version| (version.place, version.material_id));
    versions
}

fn pending<'a>(state: &'a RegionState, key: &KeyRecord) -> Option<&'a PendingRotation> {
    state.rotation(key.key_id)?.pending.as_ref()
}

fn entry(state: &RegionState, key: &KeyRecord, version: &Version) -> RotationsListEntry {
    let record = state.version(key.key_id, version.material_id);
    let rotation = record.and_then(|record| record.rotation);
    let import = record.and_then(|record| record.import.as_ref());
    let is_here = state.material(key.key_id, version.material_id).is_some();
    let is_imported = key.origin == OriginType::External;
    RotationsListEntry {
        key_id: key.key_id.to_string(),
        key_material_id: Some(version.material_id.to_string()),
        key_material_description: import.and_then(|import| import.description.clone()),
        import_state: is_imported.then_some(if is_here { ImportState::Imported } else { ImportState::PendingImport }),
        key_material_state: Some(material_state(state, key, version)),
        expiration_model: record.filter(|_| is_imported && is_here).map(|record| expiration_model(record)),
        valid_to: import.filter(|_| is_here).and_then(|import| import.valid_to),
        rotation_date: rotation.map(|rotated| rotated.at),
        rotation_type: rotation.map(|rotated| rotated.kind),
    }
}

fn material_state(state: &RegionState, key: &KeyRecord, version: &Version) -> KeyMaterialState {
    let waits_for_imports = pending(state, key).is_some_and(|pending| !pending.waiting_for.is_empty());
    match version.place {
        Place::Pending if waits_for_imports => KeyMaterialState::PendingMultiRegionImportAndRotation,
        Place::Pending => KeyMaterialState::PendingRotation,
        _ if key.current_material == Some(version.material_id) => KeyMaterialState::Current,
        _ => KeyMaterialState::NonCurrent,
    }
}

fn expiration_model(version: &VersionRecord) -> ExpirationModelType {
    match version.import.as_ref().and_then(|import| import.valid_to) {
        Some(_) => ExpirationModelType::KeyMaterialExpires,
        None => ExpirationModelType::KeyMaterialDoesNotExpire,
    }
}
