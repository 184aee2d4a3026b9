//! Deleting keys: never at once, never implicitly, and completely.

use meridian_model::{KeyId, KeyState, MultiRegionKeyType, time::days};

use crate::apply::{Draft, Outcome};
use crate::key_states::Requirement;
use crate::links::Message;
use crate::multi_region::FIRST_EPOCH;
use crate::rows::{Change, Deletion, KeyRecord, RowId};

/// Starts the waiting period, or, for a primary that has replicas, the wait for their deletion.
pub(crate) fn schedule(draft: &mut Draft<'_>, key_id: KeyId, window_days: u32) -> Outcome {
    let key = draft.require(key_id, Requirement::Deletable)?;
    let waits_for_replicas = key
        .multi_region
        .as_ref()
        .is_some_and(|set| set.role(draft.state.region()) == MultiRegionKeyType::Primary && !set.replicas.is_empty());
    let scheduled = if waits_for_replicas {
        let deletion = Some(Deletion { window_days, due: None });
        KeyRecord { state: KeyState::PendingReplicaDeletion, deletion, ..KeyRecord::clone(key) }
    } else {
        start_window(draft, key, window_days)
    };
    Ok(draft.put_key(scheduled))
}

/// The key with its waiting period starting now.
pub(crate) fn start_window(draft: &Draft<'_>, key: &KeyRecord, window_days: u32) -> KeyRecord {
    let deletion = Some(Deletion { window_days, due: Some(draft.now.plus(days(window_days))) });
    KeyRecord { state: KeyState::PendingDeletion, deletion, ..key.clone() }
}

/// Ends the waiting period; the key stays, disabled, or waiting for its imported material if that is gone.
pub(crate) fn cancel(draft: &mut Draft<'_>, key_id: KeyId) -> Outcome {
    let key = draft.require(key_id, Requirement::PendingDeletion)?;
    let is_empty = draft.state.lacks_imported_material(key);
    let state = if is_empty { KeyState::PendingImport } else { KeyState::Disabled };
    Ok(draft.put_key(KeyRecord { state, deletion: None, ..KeyRecord::clone(key) }))
}

/// Removes the key with everything that belongs to it, and tells the rest of its set.
pub(crate) fn delete(draft: &mut Draft<'_>, key_id: KeyId) {
    let Some(key) = draft.state.key(key_id) else { return };
    let aliases = draft.state.aliases_of(key_id).map(|alias| RowId::Alias(alias.account, alias.name.clone()));
    let materials = draft.state.materials_of(key_id).map(|row| RowId::Material(key_id, row.material_id));
    let versions = draft.state.versions_of(key_id).map(|row| RowId::Version(key_id, row.material_id));
    let mut rows: Vec<RowId> = aliases.chain(materials).chain(versions).collect();
    rows.extend(draft.state.rotation(key_id).map(|_| RowId::Rotation(key_id)));
    rows.extend(draft.state.tags(key_id).map(|_| RowId::Tags(key_id)));
    rows.extend(draft.state.policy(key_id).map(|_| RowId::Policy(key_id)));
    rows.extend(draft.state.grants().of_key(key_id, None).map(|grant| RowId::Grant(key_id, grant.grant_id)));
    rows.extend(draft.state.usage().last(key_id).map(|_| RowId::Usage(key_id)));
    rows.push(RowId::Key(key_id));
    draft.changes.extend(rows.into_iter().map(Change::Delete));
    let here = draft.state.region().clone();
    if let Some(set) = key.multi_region.as_ref().filter(|set| set.primary != here) {
        let (primary, epoch) = (set.primary.clone(), set.epoch);
        // A message without an epoch means the first one; it could arrive after the primary has changed and changed back.
        let message = if epoch == FIRST_EPOCH {
            Message::ReplicaDeleted(key_id)
        } else {
            Message::ReplicaMissing { key_id, epoch }
        };
        draft.send(&primary, message);
    }
    draft.send(&here, Message::KeyDeleted { account: key.account, key_id });
}
