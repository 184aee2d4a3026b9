//! Domain keys: the keys of a Region that seal key material, themselves wrapped by the root key.

use std::sync::Arc;

use meridian_crypto::WrappedDomainKey;
use meridian_model::{ErrorCode, ServiceError};

use crate::apply::{Done, Draft, Outcome};
use crate::rows::Row;

/// Adds a domain key. An id is never given twice.
pub(crate) fn add(draft: &mut Draft<'_>, wrapped: &WrappedDomainKey) -> Outcome {
    if draft.state.domain_key(wrapped.id).is_some() {
        return Err(ServiceError::new(ErrorCode::Conflict, "A domain key of this id exists already."));
    }
    draft.put(Row::DomainKey(Arc::new(wrapped.clone())));
    Ok(Done::Nothing)
}
