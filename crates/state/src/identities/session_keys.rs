//! The keys that seal session tokens.
//!
//! A key seals once every Region has had the time to hear of it, and stays until every token under it has expired.

use std::sync::Arc;
use std::time::Duration;

use meridian_model::{ErrorCode, ServiceError, Timestamp};

use super::change::NewSessionKey;
use super::records::SessionKeyRecord;
use super::{IdentityRow, IdentityRowId};
use crate::apply::{Draft, Outcome};

/// How long any session token is good at most: 36 hours (AWS STS API Reference, GetSessionToken and GetFederationToken).
pub const SESSION_SECONDS_MAX: u32 = 129_600;

/// How long a new key waits before it seals, so that links have carried it everywhere.
const SETTLING: Duration = Duration::from_hours(1);

/// How old the newest key must be before another one is added: its predecessor sealed until it settled, and the last of those
/// tokens has expired then.
pub const SESSION_KEY_AGE_MIN: Duration = Duration::from_hours(48);

/// Whether every Region has had the time to hear of a key.
pub(super) fn is_settled(key: &SessionKeyRecord, now: Timestamp) -> bool {
    now.since(key.created_at) >= SETTLING
}

/// Adds a key. Of the older ones the newest stays.
pub(super) fn add(draft: &mut Draft<'_>, new: &NewSessionKey) -> Outcome {
    let former: Vec<&Arc<SessionKeyRecord>> = draft.state.identities().session_keys().collect();
    let newest = former.iter().max_by_key(|key| (key.created_at, key.id));
    if newest.is_some_and(|newest| draft.now.since(newest.created_at) < SESSION_KEY_AGE_MIN) {
        let message = "A key for session tokens was added not long ago.";
        return Err(ServiceError::new(ErrorCode::IamConcurrentModification, message));
    }
    if former.iter().any(|key| key.id == new.id) {
        return Err(ServiceError::internal()); // 128 random bits met again
    }
    for key in &former {
        if newest.is_some_and(|newest| newest.id != key.id) {
            draft.delete_identity(IdentityRowId::SessionKey(key.id));
        }
    }
    let row = SessionKeyRecord { id: new.id, created_at: draft.now, sealed: new.sealed.clone() };
    draft.put_identity(IdentityRow::SessionKey(Arc::new(row)))
}
