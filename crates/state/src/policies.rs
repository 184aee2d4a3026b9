//! Key policies: exactly one per key, kept verbatim.

use std::sync::Arc;

use meridian_model::KeyId;

use crate::apply::{Done, Draft, Outcome};
use crate::rows::{PolicyRecord, Row};

/// Replaces the policy; allowed in every key state.
pub(crate) fn put(draft: &mut Draft<'_>, key_id: KeyId, policy: &str) -> Outcome {
    draft.key(key_id)?;
    draft.put(Row::Policy(Arc::new(PolicyRecord { key_id, policy: policy.into() })));
    Ok(Done::Nothing)
}
