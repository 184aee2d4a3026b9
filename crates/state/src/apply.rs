//! Applying a command: decide on the state as it is, then commit the changes, which cannot fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use meridian_model::{KeyId, Region, ServiceError, Timestamp};

use crate::command::{Command, Op};
use crate::grants::GrantRecord;
use crate::identities::IdentityRow;
use crate::region_state::RegionState;
use crate::rows::{Change, KeyRecord, LinkCursor, Meta, Row, RowChange};
use crate::{
    aliases, deletion, domain_keys, grants, identities, import, keys, links, multi_region, policies, primary_region,
    rotation, schedule, tags, usage,
};

/// What a command came to. A refusal is a normal outcome: it changed nothing but the clock.
pub type Outcome = Result<Done, ServiceError>;

/// What a command that was not refused gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing to tell.
    Nothing,
    /// The key as the command left it.
    Key(Arc<KeyRecord>),
    /// The grant that the command made or found.
    Grant(Arc<GrantRecord>),
    /// The row of an identity as the command left it.
    Identity(IdentityRow),
}

/// The outcome of a command and the rows that it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// For the proposer.
    pub outcome: Outcome,
    /// For the state image, in order.
    pub changes: Vec<RowChange>,
}

/// Applies one committed command. Equal state and equal command give equal bytes on every node.
pub fn apply(state: &mut RegionState, command: &Command) -> Applied {
    let now = state.clock().max(command.at); // a new leader's clock may be behind
    let mut draft = Draft::new(state, now);
    let outcome = decide(&mut draft, &command.op);
    let mut changes = if outcome.is_ok() { draft.changes } else { Vec::new() };
    if now != state.clock() {
        changes.push(Change::Put(Row::Meta(Meta { clock: now })));
    }
    let encoded = changes.iter().map(Change::encode).collect();
    for change in changes {
        state.commit(change);
    }
    Applied { outcome, changes: encoded }
}

fn decide(draft: &mut Draft<'_>, op: &Op) -> Outcome {
    match op {
        Op::CreateKey(create) => keys::create(draft, create),
        Op::UpdateKeyDescription { key_id, description } => keys::update_description(draft, *key_id, description),
        Op::EnableKey(key_id) => keys::enable(draft, *key_id),
        Op::DisableKey(key_id) => keys::disable(draft, *key_id),
        Op::ScheduleKeyDeletion { key_id, window_days } => deletion::schedule(draft, *key_id, *window_days),
        Op::CancelKeyDeletion(key_id) => deletion::cancel(draft, *key_id),
        Op::CreateAlias(alias) => aliases::create(draft, alias),
        Op::UpdateAlias(alias) => aliases::update(draft, alias),
        Op::DeleteAlias { account, name } => aliases::delete(draft, *account, name),
        Op::TagResource { key_id, tags } => tags::tag(draft, *key_id, tags),
        Op::UntagResource { key_id, tag_keys } => tags::untag(draft, *key_id, tag_keys),
        Op::PutKeyPolicy { key_id, policy } => policies::put(draft, *key_id, policy),
        Op::AddDomainKey(wrapped) => domain_keys::add(draft, wrapped),
        Op::Tick => Ok(schedule::tick(draft)),
        Op::ReserveReplica(reserve) => multi_region::reserve_replica(draft, reserve),
        Op::ApplyMessage { from, sequence, committed_at, message } => {
            Ok(links::apply_message(draft, from, *sequence, *committed_at, message))
        }
        Op::AcknowledgeOutbox { to, through } => Ok(links::acknowledge_outbox(draft, to, *through)),
        Op::EnableKeyRotation { key_id, period_days } => rotation::enable(draft, *key_id, *period_days),
        Op::DisableKeyRotation(key_id) => rotation::disable(draft, *key_id),
        Op::RotateKey(rotate) => rotation::rotate(draft, rotate),
        Op::UpdatePrimaryRegion(update) => primary_region::update(draft, update),
        Op::CreateGrant(create) => grants::create(draft, create),
        Op::EndGrant { key_id, grant_id } => grants::end(draft, *key_id, *grant_id),
        Op::RecordUsage(uses) => Ok(usage::record(draft, uses)),
        Op::ImportMaterial(given) => import::import(draft, given),
        Op::DeleteImportedMaterial { key_id, material_id } => import::delete(draft, *key_id, *material_id),
        Op::Identity(change) => identities::apply(draft, change),
    }
}

/// The changes that a command is going to make, on top of the state as it is.
pub(crate) struct Draft<'a> {
    pub(crate) state: &'a RegionState,
    pub(crate) now: Timestamp,
    pub(crate) changes: Vec<Change>,
    /// Cursors that this draft has moved; one command may send several messages to one Region.
    pub(crate) cursors: BTreeMap<Region, LinkCursor>,
}

impl<'a> Draft<'a> {
    fn new(state: &'a RegionState, now: Timestamp) -> Self {
        Self { state, now, changes: Vec::new(), cursors: BTreeMap::new() }
    }

    pub(crate) fn put(&mut self, row: Row) {
        self.changes.push(Change::Put(row));
    }

    /// Stores `key` and gives it back to the proposer.
    pub(crate) fn put_key(&mut self, key: KeyRecord) -> Done {
        let key = Arc::new(key);
        self.put(Row::Key(Arc::clone(&key)));
        Done::Key(key)
    }

    /// The key, or the refusal that it does not exist.
    pub(crate) fn key(&self, key_id: KeyId) -> Result<&'a Arc<KeyRecord>, ServiceError> {
        self.state.key(key_id).ok_or_else(|| {
            let message = format!("Key '{key_id}' does not exist");
            ServiceError::new(meridian_model::ErrorCode::NotFound, message)
        })
    }
}
