//! The last cryptographic use of each key, and since when uses are kept.
//!
//! Nodes gather uses in memory and bring them here in batches; of two uses of a key the later one stays, whatever order
//! they come in.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use meridian_model::{KeyId, KeyLastUsageTrackingOperation, Timestamp};
use serde::{Deserialize, Serialize};

use crate::apply::{Done, Draft};
use crate::rows::Row;

/// The last successful cryptographic use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// The key.
    pub key_id: KeyId,
    /// When the node that was asked did it.
    pub at: Timestamp,
    /// What was done.
    pub operation: KeyLastUsageTrackingOperation,
    /// The UUID of the audit record.
    pub event_id: [u8; 16],
    /// The UUID of the request.
    pub request_id: [u8; 16],
}

impl UsageRecord {
    /// Whether this use counts as later than `other`. Of two at the same time the ids decide, so that every order of
    /// arrival leads to the same end.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        (self.at, self.event_id, self.request_id) > (other.at, other.event_id, other.request_id)
    }
}

/// Takes in uses that a node has gathered; the first command of this kind, empty or not, starts the tracking. Keys that are
/// gone are passed over.
pub(crate) fn record(draft: &mut Draft<'_>, uses: &[UsageRecord]) -> Done {
    if draft.state.usage().tracked_since().is_none() {
        draft.put(Row::UsageTracking(draft.now));
    }
    let mut latest: BTreeMap<KeyId, UsageRecord> = BTreeMap::new();
    for used in uses.iter().filter(|used| draft.state.key(used.key_id).is_some()) {
        let known = latest.get(&used.key_id).or_else(|| draft.state.usage().last(used.key_id).map(Arc::as_ref));
        if known.is_none_or(|known| used.is_later_than(known)) {
            latest.insert(used.key_id, *used);
        }
    }
    for used in latest.into_values() {
        draft.put(Row::Usage(Arc::new(used)));
    }
    Done::Nothing
}

/// The last use of every key of a Region that was used.
#[derive(Clone, Debug, Default)]
pub struct UsageTable {
    tracked_since: Option<Timestamp>,
    rows: OrdMap<KeyId, Arc<UsageRecord>>,
}

impl UsageTable {
    /// Since when uses are kept; `None` as long as they are not.
    #[must_use]
    pub fn tracked_since(&self) -> Option<Timestamp> {
        self.tracked_since
    }

    /// The last use of a key since then.
    #[must_use]
    pub fn last(&self, key_id: KeyId) -> Option<&Arc<UsageRecord>> {
        self.rows.get(&key_id)
    }

    /// Every row, in the order of their ids.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let tracking = self.tracked_since.map(Row::UsageTracking);
        tracking.into_iter().chain(self.rows.values().cloned().map(Row::Usage))
    }

    pub(crate) fn set_tracked_since(&mut self, since: Option<Timestamp>) {
        self.tracked_since = since;
    }

    pub(crate) fn put(&mut self, row: Arc<UsageRecord>) {
        self.rows.insert(row.key_id, row);
    }

    pub(crate) fn delete(&mut self, key_id: KeyId) {
        self.rows.remove(&key_id);
    }
}
