//! Rotating key material: when it is due, by which version, and since when each version has been the current one.
//!
//! Versions are never removed and never come back: the old ones decrypt for ever, the current one encrypts. What other
//! Regions of a set have to do with it stands in [`crate::shared_rotation`].
//!
//! Always true: a key rotates only while it is enabled, and only to a version that every Region of its set holds.

use std::sync::Arc;

use meridian_model::time::days;
use meridian_model::{
    ErrorCode, KeyId, KeyMaterialId, KeySpec, KeyState, MultiRegionKeyType, OriginType, RotationType, ServiceError,
    Timestamp,
};

use crate::apply::{Done, Draft, Outcome};
use crate::command::RotateKey;
use crate::key_states::Requirement;
use crate::links::{Message, RotatedKey};
use crate::multi_region::not_a_primary;
use crate::quotas::{ON_DEMAND_ROTATIONS, ROTATION_CONFLICT};
use crate::region_state::RegionState;
use crate::rows::{AutomaticRotation, KeyRecord, PendingRotation, Rotated, RotationRecord, Row, VersionRecord};
use crate::schedule::due_rotation;
use crate::shared_rotation::share;

/// Switches automatic rotation on, or changes its period. A repeated request does not move the next rotation.
pub(crate) fn enable(draft: &mut Draft<'_>, key_id: KeyId, period_days: u32) -> Outcome {
    let key = rotatable(draft, key_id, Kinds::Generated)?;
    let rotation = rotation_of(draft.state, key_id);
    if rotation.automatic.is_some_and(|automatic| automatic.period_days == period_days) {
        return Ok(Done::Key(Arc::clone(key)));
    }
    // AWS KMS Developer Guide, "Enable automatic key rotation": the period counts from the day of the request.
    let next = draft.now.plus(days(period_days));
    store(draft, key, RotationRecord { automatic: Some(AutomaticRotation { period_days, next }), ..rotation });
    Ok(Done::Key(Arc::clone(key)))
}

/// Switches automatic rotation off; a rotation that has begun goes on.
pub(crate) fn disable(draft: &mut Draft<'_>, key_id: KeyId) -> Outcome {
    let key = rotatable(draft, key_id, Kinds::Generated)?;
    let rotation = rotation_of(draft.state, key_id);
    if rotation.automatic.is_some() {
        store(draft, key, RotationRecord { automatic: None, ..rotation });
    }
    Ok(Done::Key(Arc::clone(key)))
}

/// Rotates a key: because it is due, or because somebody asks.
pub(crate) fn rotate(draft: &mut Draft<'_>, rotate: &RotateKey) -> Outcome {
    match rotate.kind {
        RotationType::Automatic => Ok(rotate_if_due(draft, rotate)),
        RotationType::OnDemand => rotate_on_demand(draft, rotate),
    }
}

/// Does a rotation that is still due. The leader may propose one twice, or late: then there is nothing to do.
fn rotate_if_due(draft: &mut Draft<'_>, rotate: &RotateKey) -> Done {
    let Some((key, material)) = draft.state.key(rotate.key_id).zip(rotate.material.as_ref()) else {
        return Done::Nothing;
    };
    let is_due = due_rotation(draft.state, key).is_some_and(|due| due <= draft.now);
    let mut rotation = rotation_of(draft.state, key.key_id);
    let Some(automatic) = rotation.automatic.filter(|_| is_due) else { return Done::Nothing };
    let next = draft.now.plus(days(automatic.period_days));
    rotation.automatic = Some(AutomaticRotation { next, ..automatic });
    draft.put_material(key.key_id, material);
    begin(draft, key, rotation, material.id, RotationType::Automatic)
}

fn rotate_on_demand(draft: &mut Draft<'_>, rotate: &RotateKey) -> Outcome {
    let key = rotatable(draft, rotate.key_id, Kinds::GeneratedOrImported)?;
    let mut rotation = rotation_of(draft.state, rotate.key_id);
    refuse_on_demand(draft, &rotation)?;
    let material_id = match (&rotate.material, key.origin) {
        (Some(material), OriginType::AwsKms) => {
            draft.put_material(key.key_id, material);
            material.id
        }
        _ => imported_to_rotate_to(draft, key, &rotation)?,
    };
    rotation.on_demand += 1;
    Ok(begin(draft, key, rotation, material_id, RotationType::OnDemand))
}

/// Why a key cannot be rotated on demand now, whatever its material.
fn refuse_on_demand(draft: &Draft<'_>, rotation: &RotationRecord) -> Result<(), ServiceError> {
    let is_under_way = rotation.pending.as_ref().is_some_and(|pending| pending.started.is_some());
    let is_near = |automatic: AutomaticRotation| automatic.next.since(draft.now) <= ROTATION_CONFLICT;
    if is_under_way {
        return Err(ServiceError::new(ErrorCode::Conflict, "A rotation of this key is currently in progress."));
    }
    if rotation.automatic.is_some_and(is_near) {
        let message = "An automatic rotation of this key is currently in progress or scheduled to begin within the \
             next 20 minutes.";
        return Err(ServiceError::new(ErrorCode::Conflict, message));
    }
    if rotation.on_demand >= ON_DEMAND_ROTATIONS {
        let message = format!("A KMS key can be rotated on demand at most {ON_DEMAND_ROTATIONS} times.");
        return Err(ServiceError::new(ErrorCode::LimitExceeded, message));
    }
    Ok(())
}

/// The imported version that waits for a rotation, if every Region of the set has it.
fn imported_to_rotate_to(
    draft: &Draft<'_>,
    key: &KeyRecord,
    rotation: &RotationRecord,
) -> Result<KeyMaterialId, ServiceError> {
    let arn = draft.state.key_arn(key);
    let refused = |why: &str| Err(ServiceError::new(ErrorCode::KmsInvalidState, format!("{arn} {why}")));
    let Some(pending) = &rotation.pending else { return refused("has no key material that is pending rotation.") };
    if !pending.waiting_for.is_empty() {
        return refused("has new key material that is not imported into every replica key yet.");
    }
    if draft.state.material(key.key_id, pending.material_id).is_none() {
        return refused("has new key material that expired or was deleted; import it again.");
    }
    Ok(pending.material_id)
}

/// Begins a rotation to a version that is here. It is complete at once, unless other Regions have to get the version first.
fn begin(
    draft: &mut Draft<'_>,
    key: &KeyRecord,
    mut rotation: RotationRecord,
    material_id: KeyMaterialId,
    kind: RotationType,
) -> Done {
    let is_generated = key.origin == OriginType::AwsKms;
    let replicas = key.multi_region.as_ref().filter(|_| is_generated).map(|set| set.replicas.keys().cloned().collect());
    let waiting_for: std::collections::BTreeSet<_> = replicas.unwrap_or_default();
    let is_complete = waiting_for.is_empty();
    let started = Some(Rotated { at: draft.now, kind });
    rotation.pending = Some(PendingRotation { material_id, started, waiting_for });
    if is_complete {
        let rotated = complete(draft, key, rotation);
        return draft.put_key(rotated);
    }
    store(draft, key, rotation);
    crate::shared_rotation::send_pending(draft, key, material_id);
    Done::Key(Arc::new(key.clone()))
}

/// Makes the pending version of `rotation` the current one. Gives the changed key, which is not stored yet.
pub(crate) fn complete(draft: &mut Draft<'_>, key: &KeyRecord, mut rotation: RotationRecord) -> KeyRecord {
    let Some(pending) = rotation.pending.take() else { return key.clone() };
    let Some(Rotated { kind, .. }) = pending.started else { return key.clone() };
    let rotated = KeyRecord { current_material: Some(pending.material_id), ..key.clone() };
    let done = Rotated { at: draft.now, kind };
    put_version(draft, key.key_id, pending.material_id, done);
    draft.put(Row::Rotation(Arc::new(rotation.clone())));
    share(draft, &rotated, &rotation, Some((pending.material_id, done)));
    let here = draft.state.region().clone();
    let event = RotatedKey {
        account: key.account,
        key_id: key.key_id,
        origin: key.origin,
        kind,
        previous: key.current_material,
        current: pending.material_id,
    };
    draft.send(&here, Message::KeyRotated(event));
    rotated
}

/// Notes since when a version has been the current one.
pub(crate) fn put_version(draft: &mut Draft<'_>, key_id: KeyId, material_id: KeyMaterialId, done: Rotated) {
    let import = draft.state.version(key_id, material_id).and_then(|version| version.import.clone());
    draft.put(Row::Version(Arc::new(VersionRecord { key_id, material_id, rotation: Some(done), import })));
}

/// Stores how a key is rotated and tells the replicas.
pub(crate) fn store(draft: &mut Draft<'_>, key: &KeyRecord, rotation: RotationRecord) {
    share(draft, key, &rotation, None);
    draft.put(Row::Rotation(Arc::new(rotation)));
}

/// How a key is rotated; a key that never was and is not to be has the same record as one that forgot it.
pub(crate) fn rotation_of(state: &RegionState, key_id: KeyId) -> RotationRecord {
    let none = || RotationRecord { key_id, automatic: None, on_demand: 0, pending: None };
    state.rotation(key_id).map_or_else(none, |rotation| RotationRecord::clone(rotation))
}

/// A disabled key is enabled again: material older than a period is rotated at once, younger material as planned.
///
/// Source: AWS KMS Developer Guide, "Key rotation and key state": rotations that fell into the time of being disabled are
/// not made up for one by one.
pub(crate) fn resume(draft: &mut Draft<'_>, key: &KeyRecord) {
    let rotation = rotation_of(draft.state, key.key_id);
    let resumes = key.state == KeyState::Disabled && !is_replica(draft.state, key);
    let Some(automatic) = rotation.automatic.filter(|_| resumes) else { return };
    let period = days(automatic.period_days);
    let mut next = automatic.next;
    if draft.now.since(current_since(draft.state, key)) >= period {
        next = next.min(draft.now);
    } else if next <= draft.now {
        let missed = draft.now.since(next).as_millis() / period.as_millis() + 1;
        next = next.plus(period.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX)));
    }
    if next != automatic.next {
        store(draft, key, RotationRecord { automatic: Some(AutomaticRotation { next, ..automatic }), ..rotation });
    }
}

/// Whether the key is a replica, whose rotation is the business of its primary.
pub(crate) fn is_replica(state: &RegionState, key: &KeyRecord) -> bool {
    key.multi_region.as_ref().is_some_and(|set| set.role(state.region()) == MultiRegionKeyType::Replica)
}

/// Since when the current version has been the current one.
fn current_since(state: &RegionState, key: &KeyRecord) -> Timestamp {
    let current = key.current_material;
    let rotated = current.and_then(|id| state.version(key.key_id, id)).and_then(|version| version.rotation);
    rotated.map_or(key.created_at, |rotated| rotated.at)
}

/// Whose material can be rotated (AWS KMS Developer Guide, "Rotate AWS KMS keys").
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    Generated,
    GeneratedOrImported,
}

/// The key, if its kind, its place in its set and its state allow rotation; the kind comes first, as in the key-state table.
fn rotatable<'a>(draft: &Draft<'a>, key_id: KeyId, kinds: Kinds) -> Result<&'a Arc<KeyRecord>, ServiceError> {
    let key = draft.key(key_id)?;
    let arn = draft.state.key_arn(key);
    let unsupported = |what: String| {
        let message = format!("{arn} {what} which is not valid for this operation.");
        Err(ServiceError::new(ErrorCode::UnsupportedOperation, message))
    };
    if key.spec != KeySpec::SymmetricDefault {
        return unsupported(format!("key spec is {}", key.spec));
    }
    match key.origin {
        OriginType::AwsKms => {}
        OriginType::External if kinds == Kinds::GeneratedOrImported => {}
        origin => return unsupported(format!("origin is {origin}")),
    }
    if is_replica(draft.state, key) {
        return Err(not_a_primary(&arn));
    }
    draft.require(key_id, Requirement::Usable)
}
