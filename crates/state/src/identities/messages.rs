//! What the home Region tells the others of identities, and what they do with it.
//!
//! A row goes as a whole, so that a message may come after a newer one of a link that began anew without harm, and is taken without
//! a further check. Secrets are not in messages: the sender opens and re-seals them for each try, as it does with key material.
//!
//! Always true: only what the home Region says counts, as soon as a Region knows which one that is.

use meridian_crypto::{SealedSecret, SecretPlace, SessionKeyId};
use meridian_model::{AccessKeyId, AccountId, Region, Timestamp, UniqueId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::records::{AccessKeyRecord, AccessKeyStatus, SessionKeyRecord};
use super::{IdentityRow, IdentityRowId};
use crate::apply::Draft;
use crate::links::Message;
use crate::region_state::RegionState;
use crate::rows::{Change, Row, RowId};

/// What one Region tells another of identities. New variants go to the end: the position is part of the encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityMessage {
    /// To the home Region: tell me everything.
    Ask,
    /// Of the rows behind `after` up to `through`, in the order of ids, there are these and no others.
    Retain {
        /// Where the range begins; `None` for the first row.
        after: Option<IdentityRowId>,
        /// Where it ends; `None` for the last row.
        through: Option<IdentityRowId>,
        /// What is there.
        ids: Vec<IdentityRowId>,
    },
    /// This row is new or replaced. None with a secret is sent like this.
    Put(IdentityRow),
    /// This row is gone.
    Delete(IdentityRowId),
    /// The access key may be used, or may not.
    AccessKeyStatus {
        /// The access key.
        id: AccessKeyId,
        /// What it is now.
        status: AccessKeyStatus,
    },
    /// This row is new. Its secret is not here.
    Secret(SecretReference),
}

/// A row with a secret, without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretReference {
    /// An access key.
    AccessKey {
        /// The access key.
        id: AccessKeyId,
        /// The account.
        account: AccountId,
        /// The unique id of the user; `None` for the root user.
        user: Option<UniqueId>,
        /// Whether it may be used.
        status: AccessKeyStatus,
        /// When it was made.
        created_at: Timestamp,
    },
    /// A key that seals session tokens.
    SessionKey {
        /// Its id.
        id: SessionKeyId,
        /// When it was made.
        created_at: Timestamp,
    },
}

impl SecretReference {
    /// The place that a Region keeps the secret in.
    #[must_use]
    pub fn place(&self) -> SecretPlace {
        match self {
            Self::AccessKey { id, account, user, .. } => {
                SecretPlace::AccessKey { account: *account, user: user.clone(), id: id.clone() }
            }
            Self::SessionKey { id, .. } => SecretPlace::SessionKey(*id),
        }
    }

    /// The secret as `state` keeps it; `None` if it is gone.
    #[must_use]
    pub fn sealed_in<'a>(&self, state: &'a RegionState) -> Option<&'a SealedSecret> {
        match self {
            Self::AccessKey { id, .. } => state.identities().access_key(id.as_str()).map(|row| &row.sealed),
            Self::SessionKey { id, .. } => state.identities().session_key(*id).map(|row| &row.sealed),
        }
    }

    /// The row, with a secret that was sealed for this Region.
    fn row(&self, sealed: &SealedSecret) -> IdentityRow {
        let sealed = sealed.clone();
        match self.clone() {
            Self::AccessKey { id, account, user, status, created_at } => {
                IdentityRow::AccessKey(Arc::new(AccessKeyRecord { id, account, user, status, created_at, sealed }))
            }
            Self::SessionKey { id, created_at } => {
                IdentityRow::SessionKey(Arc::new(SessionKeyRecord { id, created_at, sealed }))
            }
        }
    }
}

impl AccessKeyRecord {
    /// The place that the secret is sealed for.
    #[must_use]
    pub fn place(&self) -> SecretPlace {
        SecretPlace::AccessKey { account: self.account, user: self.user.clone(), id: self.id.clone() }
    }
}

impl IdentityMessage {
    /// The message that a row is new or replaced.
    pub(super) fn about(row: &IdentityRow) -> Self {
        match row {
            IdentityRow::AccessKey(row) => Self::Secret(SecretReference::AccessKey {
                id: row.id.clone(),
                account: row.account,
                user: row.user.clone(),
                status: row.status,
                created_at: row.created_at,
            }),
            IdentityRow::SessionKey(row) => {
                Self::Secret(SecretReference::SessionKey { id: row.id, created_at: row.created_at })
            }
            IdentityRow::Regions(_)
            | IdentityRow::User(_)
            | IdentityRow::Group(_)
            | IdentityRow::Role(_)
            | IdentityRow::Policy(_)
            | IdentityRow::PolicyVersion(_) => Self::Put(row.clone()),
        }
    }
}

impl Draft<'_> {
    /// Tells every other Region.
    pub(super) fn tell_others(&mut self, message: &IdentityMessage) {
        let Some(known) = self.state.identities().regions() else { return };
        for region in known.regions.iter().filter(|region| **region != *self.state.region()) {
            self.send_identity(region, message.clone());
        }
    }

    pub(super) fn send_identity(&mut self, to: &Region, message: IdentityMessage) {
        self.send(to, Message::Identity(Box::new(message)));
    }
}

/// Ids in one [`IdentityMessage::Retain`]; each takes less than 200 bytes.
const RETAINED_IDS_MAX: usize = 200;

/// Tells one Region every row, and first which ones there are, so that it drops what it has beyond.
pub(super) fn tell_everything(draft: &mut Draft<'_>, to: &Region) {
    let rows: Vec<IdentityRow> = draft.state.identities().shared_rows().collect();
    let ids: Vec<IdentityRowId> = rows.iter().map(IdentityRow::id).collect();
    let mut after = None;
    let mut pages = ids.chunks(RETAINED_IDS_MAX).peekable();
    if pages.peek().is_none() {
        draft.send_identity(to, IdentityMessage::Retain { after: None, through: None, ids: Vec::new() });
    }
    while let Some(page) = pages.next() {
        let through = pages.peek().and_then(|_| page.last().cloned());
        draft.send_identity(to, IdentityMessage::Retain { after, through: through.clone(), ids: page.to_vec() });
        after = through;
    }
    for row in &rows {
        draft.send_identity(to, IdentityMessage::about(row));
    }
}

/// Takes in a message.
pub(crate) fn receive(draft: &mut Draft<'_>, from: &Region, message: &IdentityMessage) {
    if *message == IdentityMessage::Ask {
        let known = draft.state.identities().regions();
        // A Region that the home does not know yet is told everything when it is added.
        if known.is_some_and(|known| known.home == *draft.state.region() && known.regions.contains(from)) {
            tell_everything(draft, from);
        }
        return;
    }
    if !is_heard(draft.state, from) {
        return;
    }
    match message {
        IdentityMessage::Retain { after, through, ids } => retain(draft, after.as_ref(), through.as_ref(), ids),
        // None of these is ever sent like this: the Regions are a matter of each Region, secrets travel sealed.
        IdentityMessage::Put(IdentityRow::Regions(_) | IdentityRow::AccessKey(_) | IdentityRow::SessionKey(_))
        | IdentityMessage::Delete(IdentityRowId::Regions)
        // A secret that is gone, and a question, which was answered above.
        | IdentityMessage::Secret(_)
        | IdentityMessage::Ask => {}
        IdentityMessage::Put(row) => draft.put(Row::Identity(row.clone())),
        IdentityMessage::Delete(id) => draft.changes.push(Change::Delete(RowId::Identity(id.clone()))),
        IdentityMessage::AccessKeyStatus { id, status } => {
            if let Some(row) = draft.state.identities().access_key(id.as_str()) {
                let row = AccessKeyRecord { status: *status, ..AccessKeyRecord::clone(row) };
                draft.put(Row::Identity(IdentityRow::AccessKey(Arc::new(row))));
            }
        }
    }
}

/// Takes in a row with a secret that was sealed for this Region.
pub(crate) fn receive_secret(draft: &mut Draft<'_>, from: &Region, reference: &SecretReference, sealed: &SealedSecret) {
    if is_heard(draft.state, from) {
        draft.put(Row::Identity(reference.row(sealed)));
    }
}

/// Whether `from` may be the home of identities. This Region itself never listens to another one when it is the home.
fn is_heard(state: &RegionState, from: &Region) -> bool {
    state.identities().regions().is_none_or(|known| known.home == *from)
}

fn retain(
    draft: &mut Draft<'_>,
    after: Option<&IdentityRowId>,
    through: Option<&IdentityRowId>,
    kept: &[IdentityRowId],
) {
    let is_in_range = |id: &IdentityRowId| after.is_none_or(|after| id > after) && through.is_none_or(|end| id <= end);
    let gone = draft.state.identities().shared_rows().map(|row| row.id());
    let gone: Vec<IdentityRowId> = gone.filter(|id| is_in_range(id) && kept.binary_search(id).is_err()).collect();
    draft.changes.extend(gone.into_iter().map(|id| Change::Delete(RowId::Identity(id))));
}
