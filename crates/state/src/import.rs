//! Imported material: what comes, comes again, expires and is removed.
//!
//! A key knows its imported material by ids that follow from key and bytes. The first one and each one that was rotated to
//! belong to the key for good: once one of them is missing, the key waits for it (`PendingImport`) and takes no other in
//! its place. New material that waits for its rotation belongs to nothing yet; removed or expired, it is forgotten.
//!
//! Left out: wrapping, tokens and the checks of the bytes, which come before (`crypto`, `service`).

use std::sync::Arc;

use meridian_model::{ErrorCode, KeyId, KeyMaterialId, KeySpec, KeyState, OriginType, ServiceError, Timestamp};

use crate::apply::{Draft, Outcome};
use crate::command::{ImportKind, ImportMaterial};
use crate::key_states::Requirement;
use crate::links::Message;
use crate::region_state::RegionState;
use crate::rows::{Change, Imported, KeyRecord, PendingRotation, RotationRecord, Row, RowId, VersionRecord};

impl RegionState {
    /// The version of imported material that waits to be rotated to.
    #[must_use]
    pub fn pending_version(&self, key_id: KeyId) -> Option<KeyMaterialId> {
        self.rotation(key_id).and_then(|rotation| rotation.pending.as_ref()).map(|pending| pending.material_id)
    }

    /// The versions that belong to a key of imported material for good.
    pub fn permanent_versions(&self, key_id: KeyId) -> impl Iterator<Item = &Arc<VersionRecord>> + '_ {
        let pending = self.pending_version(key_id);
        self.versions_of(key_id).filter(move |version| Some(version.material_id) != pending)
    }

    /// Whether a key of imported material has none, or not all that belongs to it.
    #[must_use]
    pub fn lacks_imported_material(&self, key: &KeyRecord) -> bool {
        let is_missing = |version: &Arc<VersionRecord>| self.material(key.key_id, version.material_id).is_none();
        let mut versions = self.permanent_versions(key.key_id).peekable();
        key.origin == OriginType::External && (versions.peek().is_none() || versions.any(is_missing))
    }

    /// What is known of the expiry of a key's imported material: nothing before the first import; then the earliest end of
    /// any version that belongs to the key, if one ends at all.
    #[must_use]
    pub fn imported_validity(&self, key_id: KeyId) -> Option<Option<Timestamp>> {
        let mut ends = self.permanent_versions(key_id).filter_map(|version| version.import.as_ref()).peekable();
        ends.peek()?;
        Some(ends.filter_map(|import| import.valid_to).min())
    }
}

/// Where material that comes belongs.
enum Place {
    /// The first of its key.
    First,
    /// The one that the key had, or waits for.
    Known(Arc<VersionRecord>),
    /// New beside what is there: waits until it is rotated to.
    Next,
}

/// Takes material; the key becomes usable if it has all that belongs to it.
pub(crate) fn import(draft: &mut Draft<'_>, given: &ImportMaterial) -> Outcome {
    let key = require(draft, given.key_id, Requirement::Importable)?;
    let (key_id, material_id) = (key.key_id, given.material.id);
    let place = place_of(draft, key, given)?;
    let former = match &place {
        Place::Known(version) => Some(version),
        Place::First | Place::Next => None,
    };
    let kept = former.and_then(|version| version.import.as_ref()).and_then(|import| import.description.clone());
    let imported = Imported { description: given.description.clone().or(kept), valid_to: given.valid_to };
    let rotation = former.and_then(|version| version.rotation);
    draft.put_material(key_id, &given.material);
    draft.put(Row::Version(Arc::new(VersionRecord { key_id, material_id, rotation, import: Some(imported) })));
    if matches!(place, Place::Next) {
        let pending = PendingRotation { material_id, started: None, waiting_for: std::collections::BTreeSet::new() };
        put_pending(draft, key_id, Some(pending));
    }
    let is_here = |version: &Arc<VersionRecord>| {
        version.material_id == material_id || draft.state.material(key_id, version.material_id).is_some()
    };
    let is_complete = draft.state.permanent_versions(key_id).all(is_here);
    let state = if key.state == KeyState::PendingImport && is_complete { KeyState::Enabled } else { key.state };
    let current_material = key.current_material.or(Some(material_id));
    Ok(draft.put_key(KeyRecord { state, current_material, ..KeyRecord::clone(key) }))
}

fn place_of(draft: &Draft<'_>, key: &Arc<KeyRecord>, given: &ImportMaterial) -> Result<Place, ServiceError> {
    let arn = draft.state.key_arn(key);
    let incorrect = |what: &str| ServiceError::new(ErrorCode::IncorrectKeyMaterial, format!("{what} {arn}."));
    let known = draft.state.version(key.key_id, given.material.id);
    let is_first = draft.state.versions_of(key.key_id).next().is_none();
    match given.kind.unwrap_or(if is_first { ImportKind::New } else { ImportKind::Existing }) {
        ImportKind::Existing => known
            .cloned()
            .map(Place::Known)
            .ok_or_else(|| incorrect("The key material is not what was imported before into")),
        ImportKind::New if is_first => Ok(Place::First),
        ImportKind::New if known.is_some() => Err(incorrect("The key material is not new: it belongs already to")),
        ImportKind::New => require_room(draft, key).map(|()| Place::Next),
    }
}

/// Checks that the key can get new material beside what it has.
fn require_room(draft: &Draft<'_>, key: &Arc<KeyRecord>) -> Result<(), ServiceError> {
    let arn = draft.state.key_arn(key);
    let refuse = |code, what: &str| Err(ServiceError::new(code, format!("{arn} {what}.")));
    if key.spec != KeySpec::SymmetricDefault {
        return refuse(
            ErrorCode::UnsupportedOperation,
            "is no symmetric encryption key and keeps its first key material",
        );
    }
    if key.multi_region.is_some() {
        return refuse(ErrorCode::UnsupportedOperation, "is a multi-Region key and keeps its first key material");
    }
    if draft.state.pending_version(key.key_id).is_some() {
        return refuse(ErrorCode::KmsInvalidState, "has key material already that is pending rotation");
    }
    Ok(())
}

/// Removes one version of the material, by default the one that encrypts. Nothing happens if it is not here.
pub(crate) fn delete(draft: &mut Draft<'_>, key_id: KeyId, material_id: Option<KeyMaterialId>) -> Outcome {
    let key = require(draft, key_id, Requirement::Emptiable)?;
    if let Some(unknown) = material_id.filter(|id| draft.state.version(key_id, *id).is_none()) {
        let message = format!("Key material '{unknown}' does not belong to {}.", draft.state.key_arn(key));
        return Err(ServiceError::new(ErrorCode::NotFound, message));
    }
    let named = material_id.or(key.current_material);
    let here = named.filter(|material_id| draft.state.material(key_id, *material_id).is_some());
    Ok(here.map_or_else(|| crate::apply::Done::Key(Arc::clone(key)), |material_id| remove(draft, key, material_id)))
}

/// Removes a version whose time is over, and tells the audit trail.
pub(crate) fn expire(draft: &mut Draft<'_>, key_id: KeyId, material_id: KeyMaterialId) {
    let Some(key) = draft.state.key(key_id) else { return };
    remove(draft, key, material_id);
    let here = draft.state.region().clone();
    draft.send(&here, Message::ImportedMaterialExpired { account: key.account, key_id, material_id });
}

/// The state of a key that was updating: usable, unless imported material went meanwhile.
pub(crate) fn settled(state: &RegionState, key: &KeyRecord) -> KeyState {
    if state.lacks_imported_material(key) { KeyState::PendingImport } else { KeyState::Enabled }
}

fn remove(draft: &mut Draft<'_>, key: &Arc<KeyRecord>, material_id: KeyMaterialId) -> crate::apply::Done {
    let key_id = key.key_id;
    draft.changes.push(Change::Delete(RowId::Material(key_id, material_id)));
    if draft.state.pending_version(key_id) == Some(material_id) {
        draft.changes.push(Change::Delete(RowId::Version(key_id, material_id)));
        put_pending(draft, key_id, None);
        return crate::apply::Done::Key(Arc::clone(key));
    }
    let state = match key.state {
        // What ends these states looks for what is missing.
        other @ (KeyState::PendingDeletion | KeyState::PendingReplicaDeletion | KeyState::Updating) => other,
        _ => KeyState::PendingImport,
    };
    draft.put_key(KeyRecord { state, ..KeyRecord::clone(key) })
}

fn put_pending(draft: &mut Draft<'_>, key_id: KeyId, pending: Option<PendingRotation>) {
    let former = draft.state.rotation(key_id).map(|row| RotationRecord::clone(row));
    let former = former.unwrap_or(RotationRecord { key_id, automatic: None, on_demand: 0, pending: None });
    draft.put(Row::Rotation(Arc::new(RotationRecord { pending, ..former })));
}

/// The key, if its material is imported and its state meets `requirement`.
fn require<'a>(draft: &Draft<'a>, key_id: KeyId, requirement: Requirement) -> Result<&'a Arc<KeyRecord>, ServiceError> {
    let key = draft.key(key_id)?;
    if key.origin != OriginType::External {
        return Err(ServiceError::key_origin(&draft.state.key_arn(key), key.origin));
    }
    draft.require(key_id, requirement)
}
