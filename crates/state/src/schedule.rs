//! What is due later, and what the passing of time does by itself.
//!
//! The schedule is an index of the state, derived from the rows of each key; nothing is stored twice. Deletions and expiries
//! are done by [`Op::Tick`](crate::Op::Tick); a rotation needs new material, so that the leader proposes it on its own.

use std::collections::BTreeSet;

use meridian_model::{KeyId, KeyMaterialId, KeyState, Timestamp};

use crate::apply::{Done, Draft};
use crate::quotas::DUE_PER_TICK;
use crate::region_state::RegionState;
use crate::rotation::is_replica;
use crate::rows::KeyRecord;
use crate::{deletion, import};

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

impl Due {
    /// Whether the passing of time alone does it.
    #[must_use]
    pub const fn is_done_by_tick(&self) -> bool {
        !matches!(self, Self::Rotation(_))
    }
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
    let rotation = due_rotation(state, key).map(|at| (at, Due::Rotation(key_id)));
    deletion.into_iter().chain(expiries).chain(rotation).collect()
}

/// When the next automatic rotation is due: of a key that is enabled, has no rotation under way, and is no replica.
pub(crate) fn due_rotation(state: &RegionState, key: &KeyRecord) -> Option<Timestamp> {
    let rotation = state.rotation(key.key_id)?;
    if key.state != KeyState::Enabled || rotation.pending.is_some() || is_replica(state, key) {
        return None;
    }
    rotation.automatic.map(|automatic| automatic.next)
}

/// Lets time pass: does what is due by now, the longest overdue first.
pub(crate) fn tick(draft: &mut Draft<'_>) -> Done {
    let due: Vec<Due> = draft.state.due(draft.now).filter(Due::is_done_by_tick).take(DUE_PER_TICK).collect();
    let mut deleted = BTreeSet::new();
    for due in due {
        match due {
            Due::Deletion(key_id) => {
                deletion::delete(draft, key_id);
                deleted.insert(key_id);
            }
            Due::Expiry(key_id, _) if deleted.contains(&key_id) => {} // went with its key
            Due::Expiry(key_id, material_id) => import::expire(draft, key_id, material_id),
            Due::Rotation(_) => {}
        }
    }
    Done::Nothing
}
