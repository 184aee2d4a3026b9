//! Sets of multi-Region keys: making replicas, who belongs to a set, and material that arrives.
//!
//! The primary alone changes the membership; every change has a higher (epoch, version) and is announced to all. The crate
//! `meridian-protocol-model` specifies this; "model:" names the action there.

use std::sync::Arc;

use meridian_crypto::SealedMaterial;
use meridian_model::{ErrorCode, KeyArn, KeyId, KeyState, MultiRegionKeyType, OriginType, Region, ServiceError};

use crate::apply::{Draft, Outcome};
use crate::command::{NewMaterial, ReserveReplica};
use crate::deletion::start_window;
use crate::key_states::Requirement;
use crate::keys::quota_exceeded;
use crate::links::{ImportedVersion, MaterialReference, Membership, Message, NewReplica};
use crate::quotas::KEYS_PER_ACCOUNT;
use crate::rows::{KeyRecord, MultiRegion, PolicyRecord, ReplicaStatus, Row, VersionRecord};
use crate::shared_rotation;

/// The epoch that a set begins with.
pub(crate) const FIRST_EPOCH: u64 = 1;

/// Commits the primary to a replica in another Region and asks that Region for it.
///
/// Repeating the command while the other Region has not answered changes nothing and succeeds. (model: `replicate`)
pub(crate) fn reserve_replica(draft: &mut Draft<'_>, reserve: &ReserveReplica) -> Outcome {
    let key = draft.key(reserve.key_id)?;
    let here = draft.state.region();
    let Some(set) = key.multi_region.as_ref().filter(|set| set.role(here) == MultiRegionKeyType::Primary) else {
        return Err(not_a_primary(&draft.state.key_arn(key)));
    };
    draft.require(reserve.key_id, Requirement::Replicable)?;
    match set.replicas.get(&reserve.region) {
        Some(ReplicaStatus::Reserved) => return Ok(crate::apply::Done::Key(Arc::clone(key))),
        Some(ReplicaStatus::Created) => return Err(replica_exists(draft, key, &reserve.region)),
        None if &reserve.region == here => return Err(replica_exists(draft, key, here)),
        None => {}
    }
    let mut changed = set.clone();
    changed.replicas.insert(reserve.region.clone(), ReplicaStatus::Reserved);
    changed.version += 1;
    send_replica(draft, key, &changed, reserve);
    Ok(draft.put_key(KeyRecord { multi_region: Some(changed), ..KeyRecord::clone(key) }))
}

/// The refusal to do with a single-Region key or a replica what only a primary can do.
#[must_use]
pub fn not_a_primary(key: &KeyArn) -> ServiceError {
    ServiceError::new(ErrorCode::UnsupportedOperation, format!("{key} is not a multi-Region primary key."))
}

/// The refusal of a second key of a set in one Region.
fn replica_exists(draft: &Draft<'_>, key: &KeyRecord, region: &Region) -> ServiceError {
    let arn = KeyArn { region: region.clone(), ..draft.state.key_arn(key) };
    ServiceError::new(ErrorCode::AlreadyExists, format!("{arn} already exists."))
}

/// Sends the shared properties, then every version of the material; of imported material only the ids, because it is for
/// its owner to import it in each Region.
fn send_replica(draft: &mut Draft<'_>, key: &KeyRecord, set: &MultiRegion, reserve: &ReserveReplica) {
    let is_imported = key.origin == OriginType::External;
    let materials = draft.state.materials_of(key.key_id).map(|row| row.material_id);
    let materials: Vec<_> = materials.filter(|_| !is_imported).collect();
    let replica = NewReplica {
        account: key.account,
        spec: key.spec,
        usage: key.usage,
        origin: key.origin,
        materials: materials.clone(),
        current_material: key.current_material,
        created_at: reserve.created_at,
        membership: membership(key.key_id, set),
        description: reserve.description.clone(),
        policy: reserve.policy.clone(),
        tags: reserve.tags.clone(),
    };
    if is_imported {
        let version =
            |row: &Arc<VersionRecord>| ImportedVersion { material_id: row.material_id, rotation: row.rotation };
        let versions = draft.state.permanent_versions(key.key_id).map(version).collect();
        return draft.send(&reserve.region, Message::CreateImportedReplica { replica, versions });
    }
    draft.send(&reserve.region, Message::CreateReplica(replica));
    let primary = KeyRecord { multi_region: Some(set.clone()), ..key.clone() };
    shared_rotation::join(draft, &primary, &reserve.region);
    for material_id in materials {
        let reference = MaterialReference { account: key.account, key_id: key.key_id, material_id, epoch: set.epoch };
        draft.send(&reserve.region, Message::TransferMaterial(reference));
    }
}

/// Makes the replica of a key of imported material. It takes no material but that of its primary.
pub(crate) fn create_imported_replica(
    draft: &mut Draft<'_>,
    from: &Region,
    replica: &NewReplica,
    versions: &[ImportedVersion],
) {
    if !create_replica(draft, from, replica) {
        return;
    }
    let key_id = replica.membership.key_id;
    for ImportedVersion { material_id, rotation } in versions.iter().copied() {
        draft.put(Row::Version(Arc::new(VersionRecord { key_id, material_id, rotation, import: None })));
    }
}

/// Makes the replica that the primary in `from` asks for, or tells it why not. Tells whether it was made.
/// (model: `create_replica`)
pub(crate) fn create_replica(draft: &mut Draft<'_>, from: &Region, replica: &NewReplica) -> bool {
    let key_id = replica.membership.key_id;
    let refusal = match draft.state.key(key_id) {
        Some(_) => Some(ErrorCode::AlreadyExists),
        None if draft.state.key_count(replica.account) >= KEYS_PER_ACCOUNT => Some(quota_exceeded().code),
        None => None,
    };
    if let Some(code) = refusal {
        draft.send(from, Message::ReplicaRefused { key_id, code });
        return false;
    }
    if let Some(policy) = &replica.policy {
        draft.put(Row::Policy(Arc::new(PolicyRecord { key_id, policy: policy.as_str().into() })));
    }
    draft.put_tags(key_id, replica.tags.clone());
    let set = MultiRegion {
        missing_materials: replica.materials.iter().copied().collect(),
        ..MultiRegion::from(&replica.membership)
    };
    let waits_for_import = replica.origin == OriginType::External && replica.materials.is_empty();
    draft.put_key(KeyRecord {
        key_id,
        account: replica.account,
        created_at: replica.created_at,
        description: replica.description.clone(),
        spec: replica.spec,
        usage: replica.usage,
        origin: replica.origin,
        state: if waits_for_import { KeyState::PendingImport } else { KeyState::Creating },
        deletion: None,
        current_material: replica.current_material,
        multi_region: Some(set),
    });
    draft.send(from, Message::ReplicaCreated(key_id));
    true
}

/// Stores a version of the material; the last one that was missing makes the replica usable. (model: `install`)
pub(crate) fn install_material(
    draft: &mut Draft<'_>,
    from: &Region,
    reference: &MaterialReference,
    sealed: &SealedMaterial,
) {
    let Some(key) = draft.state.key(reference.key_id) else { return }; // deleted meanwhile: nothing to do
    let Some(set) = &key.multi_region else { return };
    let is_pending = shared_rotation::is_pending(draft.state, reference);
    let is_by_primary = &set.primary == from && set.epoch == reference.epoch;
    if is_pending && is_by_primary {
        shared_rotation::install_pending(draft, from, reference, sealed);
    }
    // A former primary may still be sending what it promised in its time: the set of versions was its to say.
    let is_by_former = set.replicas.contains_key(from) && reference.epoch < set.epoch;
    if !set.missing_materials.contains(&reference.material_id) || !(is_by_primary || is_by_former) {
        return; // a version that this key has or never asked for, or not from a primary
    }
    if !(is_pending && is_by_primary) {
        draft.put_material(reference.key_id, &NewMaterial { id: reference.material_id, sealed: sealed.clone() });
    }
    let mut changed = set.clone();
    changed.missing_materials.remove(&reference.material_id);
    let complete = changed.missing_materials.is_empty() && key.state == KeyState::Creating;
    let state = if complete { KeyState::Enabled } else { key.state };
    draft.put_key(KeyRecord { state, multi_region: Some(changed), ..KeyRecord::clone(key) });
}

/// Notes that the replica in `from` is there, and tells every Region of the set. (model: `replica_created`)
pub(crate) fn replica_created(draft: &mut Draft<'_>, from: &Region, key_id: KeyId) {
    change_membership(draft, key_id, None, |set| {
        let status = set.replicas.get_mut(from).filter(|status| **status == ReplicaStatus::Reserved);
        status.map(|status| *status = ReplicaStatus::Created).is_some()
    });
}

/// Notes that the replica in `from` is gone, as far as `epoch` is concerned; a later epoch begins with news of its own.
pub(crate) fn replica_missing(draft: &mut Draft<'_>, from: &Region, key_id: KeyId, epoch: u64) {
    let set = draft.state.key(key_id).and_then(|key| key.multi_region.as_ref());
    if set.is_some_and(|set| set.epoch == epoch) {
        replica_gone(draft, from, key_id);
    }
}

/// Notes that the replica in `from` is gone or was never made, and tells every Region of the set.
pub(crate) fn replica_gone(draft: &mut Draft<'_>, from: &Region, key_id: KeyId) {
    change_membership(draft, key_id, Some(from), |set| set.replicas.remove(from).is_some());
}

/// Changes the membership in the primary; a replica has no say. `change` tells whether anything changed, `gone` which
/// Region is not to be waited for any more.
fn change_membership(
    draft: &mut Draft<'_>,
    key_id: KeyId,
    gone: Option<&Region>,
    change: impl FnOnce(&mut MultiRegion) -> bool,
) {
    let Some(key) = draft.state.key(key_id) else { return };
    let here = draft.state.region();
    let Some(mut set) = key.multi_region.clone().filter(|set| &set.primary == here) else { return };
    if !change(&mut set) {
        return;
    }
    set.version += 1;
    for region in set.replicas.keys() {
        draft.send(region, Message::SetMembership(membership(key_id, &set)));
    }
    let last_replica_gone = key.state == KeyState::PendingReplicaDeletion && set.replicas.is_empty();
    let mut changed = KeyRecord { multi_region: Some(set), ..KeyRecord::clone(key) };
    if let Some(gone) = gone {
        changed = shared_rotation::no_longer_waits_for(draft, &changed, gone);
    }
    match changed.deletion.filter(|_| last_replica_gone) {
        Some(deletion) => draft.put_key(start_window(draft, &changed, deletion.window_days)),
        None => draft.put_key(changed),
    };
}

/// Takes over the membership that the primary announces, if it is newer than what is known.
pub(crate) fn set_membership(draft: &mut Draft<'_>, from: &Region, announced: &Membership) {
    let Some(key) = draft.state.key(announced.key_id) else { return };
    let Some(set) = &key.multi_region else { return };
    let is_newer = (announced.epoch, announced.version) > (set.epoch, set.version);
    if !is_newer || &announced.primary != from {
        return;
    }
    let missing_materials = set.missing_materials.clone();
    let changed = MultiRegion { missing_materials, ..MultiRegion::from(announced) };
    draft.put_key(KeyRecord { multi_region: Some(changed), ..KeyRecord::clone(key) });
}

pub(crate) fn membership(key_id: KeyId, set: &MultiRegion) -> Membership {
    Membership {
        key_id,
        epoch: set.epoch,
        version: set.version,
        primary: set.primary.clone(),
        replicas: set.replicas.clone(),
    }
}

impl From<&Membership> for MultiRegion {
    fn from(announced: &Membership) -> Self {
        Self {
            epoch: announced.epoch,
            version: announced.version,
            primary: announced.primary.clone(),
            replicas: announced.replicas.clone(),
            missing_materials: std::collections::BTreeSet::new(),
        }
    }
}
