//! Access keys: at most two of each user and of each root user.

use std::sync::Arc;

use meridian_model::{AccessKeyId, AccountId, EntityKind, ServiceError, UniqueId};

use super::change::NewAccessKey;
use super::messages::IdentityMessage;
use super::records::{AccessKeyRecord, AccessKeyStatus};
use super::{IdentityRow, IdentityRowId, refusals};
use crate::apply::{Done, Draft, Outcome};
use crate::quotas::ACCESS_KEYS_PER_USER;
use crate::rows::Row;

pub(super) fn create(draft: &mut Draft<'_>, new: &NewAccessKey) -> Outcome {
    let identities = draft.state.identities();
    require_owner(draft, new.account, new.user.as_ref())?;
    if identities.access_keys_of(new.account, new.user.as_ref()).count() >= ACCESS_KEYS_PER_USER {
        return Err(refusals::quota("AccessKeysPerUser", ACCESS_KEYS_PER_USER));
    }
    if identities.access_key(new.id.as_str()).is_some() {
        return Err(ServiceError::internal()); // 80 random bits met again
    }
    put_new(draft, new)
}

/// Stores a new key; that there is room for it was checked before.
pub(super) fn put_new(draft: &mut Draft<'_>, new: &NewAccessKey) -> Outcome {
    let row = AccessKeyRecord {
        id: new.id.clone(),
        account: new.account,
        user: new.user.clone(),
        status: AccessKeyStatus::Active,
        created_at: draft.now,
        sealed: new.sealed.clone(),
    };
    draft.put_identity(IdentityRow::AccessKey(Arc::new(row)))
}

/// The status goes to other Regions by itself, so that taking a key out of use does not depend on opening its secret.
pub(super) fn update(
    draft: &mut Draft<'_>,
    account: AccountId,
    user: Option<&UniqueId>,
    id: &AccessKeyId,
    status: AccessKeyStatus,
) -> Outcome {
    let former = find(draft, account, user, id)?;
    let row = IdentityRow::AccessKey(Arc::new(AccessKeyRecord { status, ..AccessKeyRecord::clone(former) }));
    draft.put(Row::Identity(row.clone()));
    draft.tell_others(&IdentityMessage::AccessKeyStatus { id: id.clone(), status });
    Ok(Done::Identity(row))
}

pub(super) fn delete(draft: &mut Draft<'_>, account: AccountId, user: Option<&UniqueId>, id: &AccessKeyId) -> Outcome {
    find(draft, account, user, id)?;
    draft.delete_identity(IdentityRowId::AccessKey(id.clone()));
    Ok(Done::Nothing)
}

fn find<'a>(
    draft: &Draft<'a>,
    account: AccountId,
    user: Option<&UniqueId>,
    id: &AccessKeyId,
) -> Result<&'a Arc<AccessKeyRecord>, ServiceError> {
    require_owner(draft, account, user)?;
    let row = draft.state.identities().access_key(id.as_str());
    let own = row.filter(|row| row.account == account && row.user.as_ref() == user);
    own.ok_or_else(|| refusals::no_such_access_key(id))
}

fn require_owner(draft: &Draft<'_>, account: AccountId, user: Option<&UniqueId>) -> Result<(), ServiceError> {
    let Some(id) = user else { return Ok(()) }; // every account has its root user
    let own = draft.state.identities().user_by_id(id.as_str()).filter(|row| row.account == account);
    own.map(drop).ok_or_else(|| refusals::no_such(EntityKind::User, id))
}
