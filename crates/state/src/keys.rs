//! Making, describing and switching keys.

use std::sync::Arc;

use meridian_model::{ErrorCode, KeyId, KeyState, ServiceError};

use crate::apply::{Draft, Outcome};
use crate::command::{CreateKey, NewMaterial};
use crate::key_states::Requirement;
use crate::multi_region::FIRST_EPOCH;
use crate::quotas::{KEYS_PER_ACCOUNT, TAGS_PER_KEY};
use crate::rotation;
use crate::rows::{KeyRecord, MaterialRecord, MultiRegion, PolicyRecord, Row};
use crate::tags::too_many;

/// Makes a key: `Enabled`, or `PendingImport` if its material is to be imported.
pub(crate) fn create(draft: &mut Draft<'_>, create: &CreateKey) -> Outcome {
    let key_id = create.key_id;
    if draft.state.key(key_id).is_some() {
        // 122 random bits met again: the leader draws another id and tries again.
        return Err(ServiceError::internal());
    }
    require_quota(draft, create)?;
    if let Some(policy) = &create.policy {
        draft.put(Row::Policy(Arc::new(PolicyRecord { key_id, policy: policy.as_str().into() })));
    }
    draft.put_tags(key_id, create.tags.clone());
    if let Some(material) = &create.material {
        draft.put_material(key_id, material);
    }
    let state = if create.material.is_some() { KeyState::Enabled } else { KeyState::PendingImport };
    let multi_region = key_id.is_multi_region().then(|| MultiRegion {
        epoch: FIRST_EPOCH,
        version: 1,
        primary: draft.state.region().clone(),
        replicas: std::collections::BTreeMap::new(),
        missing_materials: std::collections::BTreeSet::new(),
    });
    Ok(draft.put_key(KeyRecord {
        key_id,
        account: create.account,
        created_at: draft.now,
        description: create.description.clone(),
        spec: create.spec,
        usage: create.usage,
        origin: create.origin,
        state,
        deletion: None,
        current_material: create.material.as_ref().map(|material| material.id),
        multi_region,
    }))
}

/// Replaces the description.
pub(crate) fn update_description(draft: &mut Draft<'_>, key_id: KeyId, description: &str) -> Outcome {
    let key = draft.require(key_id, Requirement::Editable)?;
    Ok(draft.put_key(KeyRecord { description: description.to_owned(), ..KeyRecord::clone(key) }))
}

/// Makes the key usable; nothing changes if it is already.
pub(crate) fn enable(draft: &mut Draft<'_>, key_id: KeyId) -> Outcome {
    switch(draft, key_id, KeyState::Enabled)
}

/// Makes the key unusable; nothing changes if it is already.
pub(crate) fn disable(draft: &mut Draft<'_>, key_id: KeyId) -> Outcome {
    switch(draft, key_id, KeyState::Disabled)
}

fn switch(draft: &mut Draft<'_>, key_id: KeyId, state: KeyState) -> Outcome {
    let key = draft.require(key_id, Requirement::Switchable)?;
    if state == KeyState::Enabled {
        rotation::resume(draft, key);
    }
    Ok(draft.put_key(KeyRecord { state, ..KeyRecord::clone(key) }))
}

fn require_quota(draft: &Draft<'_>, create: &CreateKey) -> Result<(), ServiceError> {
    if create.tags.len() > TAGS_PER_KEY {
        return Err(too_many());
    }
    if draft.state.key_count(create.account) >= KEYS_PER_ACCOUNT {
        return Err(quota_exceeded());
    }
    Ok(())
}

/// The refusal of more keys than an account may have in a Region.
pub(crate) fn quota_exceeded() -> ServiceError {
    let message = format!("An account can have at most {KEYS_PER_ACCOUNT} customer managed keys in a Region.");
    ServiceError::new(ErrorCode::LimitExceeded, message)
}

impl Draft<'_> {
    pub(crate) fn put_material(&mut self, key_id: KeyId, material: &NewMaterial) {
        self.put(Row::Material(Arc::new(MaterialRecord {
            key_id,
            material_id: material.id,
            created_at: self.now,
            sealed: material.sealed.clone(),
        })));
    }
}
