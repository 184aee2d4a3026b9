//! Rotation in a multi-Region set: its settings and versions are shared, and new material encrypts only once it is everywhere.
//!
//! The primary stages a version: it sends the version to every replica, each replica confirms it, and only then the primary
//! makes it current and says so. A replica never decides anything; it holds what the primary of its epoch tells it.
//!
//! Always true: a version that is staged decrypts wherever it has arrived, and encrypts nowhere.
//!
//! The crate `meridian-protocol-model` specifies this; "model:" names the action there.

use std::collections::BTreeSet;
use std::sync::Arc;

use meridian_crypto::SealedMaterial;
use meridian_model::{KeyId, KeyMaterialId, MultiRegionKeyType, Region};

use crate::apply::Draft;
use crate::command::NewMaterial;
use crate::links::{MaterialReference, Message, SharedRotation};
use crate::region_state::RegionState;
use crate::rotation::{complete, put_version, rotation_of, store};
use crate::rows::{KeyRecord, MultiRegion, PendingRotation, Rotated, RotationRecord, Row};

/// Tells every replica how the key is rotated now; `newest` is a version that this very command makes current.
pub(crate) fn share(
    draft: &mut Draft<'_>,
    key: &KeyRecord,
    rotation: &RotationRecord,
    newest: Option<(KeyMaterialId, Rotated)>,
) {
    let replicas = replicas_of(draft.state, key);
    if replicas.is_empty() {
        return;
    }
    let shared = shared_rotation(draft.state, key, rotation, newest);
    for region in replicas {
        draft.send(&region, Message::SetRotation(shared.clone()));
    }
    let here = draft.state.region().clone();
    draft.send(&here, Message::KeySynchronized { account: key.account, key_id: key.key_id });
}

/// The Regions of the replicas, if the key of this Region is the primary.
fn replicas_of(state: &RegionState, key: &KeyRecord) -> Vec<Region> {
    let set = key.multi_region.as_ref().filter(|set| set.role(state.region()) == MultiRegionKeyType::Primary);
    set.map(|set| set.replicas.keys().cloned().collect()).unwrap_or_default()
}

/// What the primary says of the rotation of a key.
pub(crate) fn shared_rotation(
    state: &RegionState,
    key: &KeyRecord,
    rotation: &RotationRecord,
    newest: Option<(KeyMaterialId, Rotated)>,
) -> SharedRotation {
    let known = state.versions_of(key.key_id).filter_map(|version| Some((version.material_id, version.rotation?)));
    SharedRotation {
        key_id: key.key_id,
        epoch: key.multi_region.as_ref().map_or(0, |set| set.epoch),
        current_material: key.current_material,
        automatic: rotation.automatic,
        on_demand: rotation.on_demand,
        pending: rotation.pending.clone(),
        versions: known.chain(newest).collect(),
    }
}

/// Sends the version that is pending to every replica.
pub(crate) fn send_pending(draft: &mut Draft<'_>, key: &KeyRecord, material_id: KeyMaterialId) {
    let Some(set) = &key.multi_region else { return };
    let reference = MaterialReference { account: key.account, key_id: key.key_id, material_id, epoch: set.epoch };
    for region in set.replicas.keys() {
        draft.send(region, Message::TransferMaterial(reference));
    }
}

/// Takes over what the primary in `from` says. (model: `set_rotation`)
pub(crate) fn set_rotation(draft: &mut Draft<'_>, from: &Region, shared: &SharedRotation) {
    let Some(key) = draft.state.key(shared.key_id) else { return };
    let is_by_primary = |set: &MultiRegion| &set.primary == from && set.epoch == shared.epoch;
    if !key.multi_region.as_ref().is_some_and(is_by_primary) {
        return; // by a former primary, or by none
    }
    for (material_id, rotated) in &shared.versions {
        let known = draft.state.version(shared.key_id, *material_id).and_then(|version| version.rotation);
        if known != Some(*rotated) {
            put_version(draft, shared.key_id, *material_id, *rotated);
        }
    }
    draft.put(Row::Rotation(Arc::new(RotationRecord {
        key_id: shared.key_id,
        automatic: shared.automatic,
        on_demand: shared.on_demand,
        pending: shared.pending.clone(),
    })));
    if let Some(pending) = &shared.pending {
        confirm(draft, key, pending.material_id);
    }
    let current_material = shared.current_material;
    draft.put_key(KeyRecord { current_material, ..KeyRecord::clone(key) });
}

/// Whether a version that arrives is the one that the primary has announced.
pub(crate) fn is_pending(state: &RegionState, reference: &MaterialReference) -> bool {
    let pending = state.rotation(reference.key_id).and_then(|rotation| rotation.pending.as_ref());
    pending.is_some_and(|pending| pending.material_id == reference.material_id && pending.started.is_some())
}

/// Confirms a version to the primary, if it is here already.
fn confirm(draft: &mut Draft<'_>, key: &KeyRecord, material_id: KeyMaterialId) {
    let Some(set) = key.multi_region.as_ref().filter(|_| draft.state.material(key.key_id, material_id).is_some())
    else {
        return;
    };
    let reference = MaterialReference { account: key.account, key_id: key.key_id, material_id, epoch: set.epoch };
    draft.send(&set.primary, Message::MaterialInstalled(reference));
}

/// Stores the version that the primary has announced and confirms it. One that is here already is confirmed as well: a former
/// primary may have sent it after the new one had announced it.
pub(crate) fn install_pending(
    draft: &mut Draft<'_>,
    primary: &Region,
    reference: &MaterialReference,
    sealed: &SealedMaterial,
) {
    if draft.state.material(reference.key_id, reference.material_id).is_none() {
        let material = NewMaterial { id: reference.material_id, sealed: sealed.clone() };
        draft.put_material(reference.key_id, &material);
    }
    draft.send(primary, Message::MaterialInstalled(*reference));
}

/// Notes that the replica in `from` holds the version that is pending; the last confirmation completes the rotation.
/// (model: `material_installed`)
pub(crate) fn material_installed(draft: &mut Draft<'_>, from: &Region, reference: &MaterialReference) {
    let Some(key) = draft.state.key(reference.key_id) else { return };
    let here = draft.state.region();
    let is_current = |set: &MultiRegion| &set.primary == here && set.epoch == reference.epoch;
    let pending = draft.state.rotation(reference.key_id).and_then(|rotation| rotation.pending.as_ref());
    let is_awaited = pending.is_some_and(|pending| pending.material_id == reference.material_id);
    if !key.multi_region.as_ref().is_some_and(is_current) || !is_awaited {
        return; // told to a former primary, or of another rotation
    }
    let rotated = no_longer_waits_for(draft, key, from);
    draft.put_key(rotated);
}

/// Goes on without waiting for `region`, which has confirmed or is gone. Gives the key, which is not stored yet.
pub(crate) fn no_longer_waits_for(draft: &mut Draft<'_>, key: &KeyRecord, region: &Region) -> KeyRecord {
    let mut rotation = rotation_of(draft.state, key.key_id);
    let Some(pending) = rotation.pending.as_mut() else { return key.clone() };
    if !pending.waiting_for.remove(region) {
        return key.clone();
    }
    if pending.waiting_for.is_empty() && pending.started.is_some() {
        return complete(draft, key, rotation);
    }
    // The replicas need not know of each other's confirmations: only the primary counts.
    draft.put(Row::Rotation(Arc::new(rotation)));
    key.clone()
}

/// Tells a replica that is being made how the key is rotated; it has to hold the version that is pending, too.
/// (model: `ask_for_replica`)
pub(crate) fn join(draft: &mut Draft<'_>, key: &KeyRecord, region: &Region) {
    let Some(known) = draft.state.rotation(key.key_id) else { return };
    let mut rotation = RotationRecord::clone(known);
    if let Some(pending) = rotation.pending.as_mut() {
        pending.waiting_for.insert(region.clone());
        draft.put(Row::Rotation(Arc::new(rotation.clone())));
    }
    let shared = shared_rotation(draft.state, key, &rotation, None);
    draft.send(region, Message::SetRotation(shared));
}

/// A new primary tells everybody what holds, and asks all replicas again for the version that is pending.
pub(crate) fn take_over(draft: &mut Draft<'_>, key: &KeyRecord) {
    let Some(set) = &key.multi_region else { return };
    if draft.state.rotation(key.key_id).is_none() {
        return; // never rotated, and not to be
    }
    let rotation = rotation_of(draft.state, key.key_id);
    let waiting_for: BTreeSet<Region> = set.replicas.keys().cloned().collect();
    let pending = rotation.pending.clone().map(|pending| PendingRotation { waiting_for, ..pending });
    let started = pending.as_ref().filter(|pending| pending.started.is_some()).map(|pending| pending.material_id);
    store(draft, key, RotationRecord { pending, ..rotation });
    if let Some(material_id) = started {
        send_pending(draft, key, material_id);
    }
}

/// Whether the key of this Region holds every version that it is to hold.
pub(crate) fn is_complete(state: &RegionState, key_id: KeyId) -> bool {
    let Some(key) = state.key(key_id) else { return false };
    let is_missing = key.multi_region.as_ref().is_some_and(|set| !set.missing_materials.is_empty());
    let pending = state.rotation(key_id).and_then(|rotation| rotation.pending.as_ref());
    let started = pending.filter(|pending| pending.started.is_some()).map(|pending| pending.material_id);
    let wanted = key.current_material.into_iter().chain(started);
    !is_missing && wanted.into_iter().all(|material_id| state.material(key_id, material_id).is_some())
}
