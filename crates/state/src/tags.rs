//! Tags of keys: case-sensitive, at most 50 per key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_model::{ErrorCode, KeyId, ServiceError};

use crate::apply::{Done, Draft, Outcome};
use crate::key_states::Requirement;
use crate::quotas::TAGS_PER_KEY;
use crate::rows::{Change, Row, RowId, TagsRecord};

/// Adds tags; an existing tag key gets the new value.
pub(crate) fn tag(draft: &mut Draft<'_>, key_id: KeyId, new_tags: &BTreeMap<String, String>) -> Outcome {
    draft.require(key_id, Requirement::Editable)?;
    let mut tags = draft.state.tags(key_id).cloned().unwrap_or_default();
    tags.extend(new_tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    if tags.len() > TAGS_PER_KEY {
        return Err(too_many());
    }
    draft.put_tags(key_id, tags);
    Ok(Done::Nothing)
}

/// Removes tags; a tag key that is not there is passed over.
pub(crate) fn untag(draft: &mut Draft<'_>, key_id: KeyId, tag_keys: &BTreeSet<String>) -> Outcome {
    draft.require(key_id, Requirement::Editable)?;
    let mut tags = draft.state.tags(key_id).cloned().unwrap_or_default();
    tags.retain(|key, _| !tag_keys.contains(key));
    draft.put_tags(key_id, tags);
    Ok(Done::Nothing)
}

/// The refusal of more tags than a key may have.
pub(crate) fn too_many() -> ServiceError {
    ServiceError::new(ErrorCode::LimitExceeded, format!("A KMS key can have at most {TAGS_PER_KEY} tags."))
}

impl Draft<'_> {
    pub(crate) fn put_tags(&mut self, key_id: KeyId, tags: BTreeMap<String, String>) {
        if !tags.is_empty() {
            self.put(Row::Tags(Arc::new(TagsRecord { key_id, tags })));
        } else if self.state.tags(key_id).is_some() {
            self.changes.push(Change::Delete(RowId::Tags(key_id)));
        }
    }
}
