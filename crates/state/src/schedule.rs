//! What is due later, and what the passing of time does by itself.
//!
//! The schedule is an index of the state, derived from the rows of each key; nothing is stored twice. Deletions and expiries
//! are done by [`Op::Tick`](crate::Op::Tick); a rotation needs new material, so that the leader proposes it on its own.

use meridian_model::{KeyId, KeyMaterialId, KeyState, MultiRegionKeyType, Timestamp};

use crate::apply::{Done, Draft};
use crate::deletion;
use crate::quotas::DUE_PER_TICK;
use crate::region_state::RegionState;
use crate::rows::KeyRecord;

/// Something that is to happen at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The waiting period of a deletion ends.
    Deletion(KeyId),
    /// Imported material expires.
    Expiry(KeyId, KeyMaterialId),
    /// The material of a key is to be rotated.
    Rotation(KeyId),
}

/// Everything that the rows of one key have scheduled.
pub(crate) fn due_of(state: &RegionState, key_id: KeyId) -> Vec<(Timestamp, Due)> {
    let Some(key) = state.key(key_id) else { return Vec::new() };
    let deletion = key.deletion.and_then(|deletion| deletion.due).map(|at| (at, Due::Deletion(key_id)));
    let expiries = state.versions_of(key_id).filter_map(|version| {
        let at = version.import.as_ref()?.valid_to?;
        state.material(key_id, version.material_id)?; // expired or deleted already
        Some((at, Due::Expiry(key_id, version.material_id)))
    });
    deletion.into_iter().chain(expiries).chain(rotation_of(state, key)).collect()
}

/// The next automatic rotation: of a key that is enabled, has no rotation under way, and is no replica.
fn rotation_of(state: &RegionState, key: &KeyRecord) -> Option<(Timestamp, Due)> {
    let rotation = state.rotation(key.key_id)?;
    let is_replica =
        key.multi_region.as_ref().is_some_and(|set| set.role(state.region()) == MultiRegionKeyType::Replica);
    if key.state != KeyState::Enabled || rotation.pending.is_some() || is_replica {
        return None;
    }
    rotation.automatic.map(|automatic| (automatic.next, Due::Rotation(key.key_id)))
}

/// Lets time pass: does what is due by now, the longest overdue first.
pub(crate) fn tick(draft: &mut Draft<'_>) -> Done {
    let due: Vec<Due> = draft.state.due(draft.now).take(DUE_PER_TICK).collect();
    for due in due {
        match due {
            Due::Deletion(key_id) => deletion::delete(draft, key_id),
            Due::Expiry(..) | Due::Rotation(_) => {}
        }
    }
    Done::Nothing
}
