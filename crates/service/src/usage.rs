//! `GetKeyLastUsage`, and how the uses of keys get into the state of the Region.
//!
//! A successful cryptographic operation is noted in the memory of its node, which costs a lock on one of many shards.
//! Every few seconds, and when the node stops in good order, what was noted goes to the leader in one command per batch.
//!
//! What can be missed: when a node is killed, the uses that it had not brought in yet, so those of the last
//! [`FLUSH_INTERVAL`] at most while the Region has a leader. A read sees what every node has brought in and what the asked
//! node has noted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meridian_model::shapes::{GetKeyLastUsageRequest, GetKeyLastUsageResponse, KeyLastUsageData};
use meridian_model::{KeyArn, KeyId, KeyLastUsageTrackingOperation, Operation, Response, ServiceError, WireEnum};
use meridian_policy::action;
use meridian_state::{Op, UsageRecord};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::access::{Access, Forms};
use crate::audit::CallContext;
use crate::call::Service;
use crate::trace::Trace;
use crate::writes::{Rejected, Verdict, Written};

/// How long a use stays in the memory of its node alone.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_secs(2);

/// How long a node that stops waits for the leader.
const FLUSH_AT_STOP: Duration = Duration::from_secs(2);

/// Uses in one command: some 80 bytes each, far below the longest command.
const BATCH_MAX: usize = 1_000;

/// Locks among which the noted keys are spread.
const SHARDS: usize = 64;

/// Keys noted in one shard at most, some 260,000 in all; uses of more keys between two flushes are not kept.
const KEYS_PER_SHARD: usize = 4_096;

/// The uses that one node has noted and not brought in yet: the last one of each key.
#[derive(Debug)]
pub(crate) struct NotedUses {
    shards: Box<[Mutex<HashMap<KeyId, UsageRecord>>]>,
    /// Told when a shard is half full, so that the next flush does not wait for its time.
    crowded: Notify,
}

impl NotedUses {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), crowded: Notify::new() }
    }

    /// Notes one use. Allocates only while the number of keys in use grows.
    pub(crate) fn note(&self, used: UsageRecord) {
        let mut shard = self.shard(used.key_id);
        if let Some(known) = shard.get_mut(&used.key_id) {
            if used.is_later_than(known) {
                *known = used;
            }
            return;
        }
        if shard.len() < KEYS_PER_SHARD {
            shard.insert(used.key_id, used);
        }
        if shard.len() * 2 >= KEYS_PER_SHARD {
            self.crowded.notify_one();
        }
    }

    /// The noted use of a key.
    fn last(&self, key_id: KeyId) -> Option<UsageRecord> {
        self.shard(key_id).get(&key_id).copied()
    }

    /// Brings in, batch by batch, what is noted now; whether all of it was taken in. What is noted meanwhile waits for the
    /// next time, or a key that is in use all the time would be brought in without a pause.
    async fn bring_in<F>(&self, mut take_in: impl FnMut(Vec<UsageRecord>) -> F) -> bool
    where
        F: Future<Output = bool>,
    {
        for batch in self.all().chunks(BATCH_MAX) {
            if !take_in(batch.to_vec()).await {
                return false;
            }
            self.settle(batch);
        }
        true
    }

    /// The noted uses, which stay noted until they are settled.
    fn all(&self) -> Vec<UsageRecord> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().unwrap_or_else(PoisonError::into_inner).values());
        }
        all
    }

    /// Forgets what was brought in, unless the key has been used again meanwhile.
    fn settle(&self, batch: &[UsageRecord]) {
        for used in batch {
            let mut shard = self.shard(used.key_id);
            if shard.get(&used.key_id) == Some(used) {
                shard.remove(&used.key_id);
            }
        }
    }

    fn shard(&self, key_id: KeyId) -> MutexGuard<'_, HashMap<KeyId, UsageRecord>> {
        let at = usize::from(key_id.to_bytes()[16]) % SHARDS; // key IDs are random
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner) // every change of a shard is one step
    }
}

impl Service {
    /// Notes that `operation` has used `keys` for a request whose audit record is `event_id`.
    pub(crate) fn note_use(&self, context: &CallContext, operation: Operation, keys: &[KeyArn], event_id: Uuid) {
        let Some(operation) = KeyLastUsageTrackingOperation::from_wire(operation.name()) else { return };
        let request_id = Uuid::parse_str(&context.request_id).unwrap_or_default().into_bytes();
        let (at, event_id) = (self.now(), event_id.into_bytes());
        for key in keys {
            self.noted_uses().note(UsageRecord { key_id: key.key_id, at, operation, event_id, request_id });
        }
    }

    /// `GetKeyLastUsage`
    pub(crate) fn last_usage(
        &self,
        access: &mut Access<'_>,
        request: &GetKeyLastUsageRequest,
    ) -> Result<Response, ServiceError> {
        let (key, _) = access.key::<action::GetKeyLastUsage>(&request.key_id, Forms::Key)?;
        let usage = access.state.usage();
        let known = usage.last(key.key_id).map(|used| **used);
        let noted = self.noted_uses().last(key.key_id);
        let last = match (known, noted) {
            (Some(known), Some(noted)) => Some(if noted.is_later_than(&known) { noted } else { known }),
            (known, noted) => known.or(noted),
        };
        Ok(GetKeyLastUsageResponse {
            key_id: key.key_id.to_string(),
            key_last_usage: last.as_ref().map(data),
            tracking_start_date: usage.tracked_since().unwrap_or_else(|| self.now()),
            key_creation_date: key.created_at,
        }
        .into())
    }

    /// Brings in what this node notes, until the future is dropped.
    pub(crate) async fn run_usage_flush(&self) {
        loop {
            // Either way it is time: the interval is over, or the memory for uses fills up.
            let _ = tokio::time::timeout(FLUSH_INTERVAL, self.noted_uses().crowded.notified()).await;
            if !self.flush_noted_uses().await {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Brings in what this node has noted, before it stops in good order.
    pub async fn flush_usage(&self) {
        // What does not get through in time is lost, as the documentation of this module says.
        let _ = tokio::time::timeout(FLUSH_AT_STOP, self.flush_noted_uses()).await;
    }

    /// Whether everything is brought in.
    async fn flush_noted_uses(&self) -> bool {
        self.noted_uses().bring_in(|batch| self.take_in(batch)).await
    }

    async fn take_in(&self, batch: Vec<UsageRecord>) -> bool {
        let verdict = if self.is_leader() {
            self.record_usage(batch).await
        } else {
            match self.forward_usage(&batch).await {
                Ok(verdict) => verdict,
                Err(error) => Verdict::Refused(error, Trace::default()),
            }
        };
        match verdict {
            Verdict::Done(_) => true,
            Verdict::NotLeader => false,
            Verdict::Refused(error, _) => {
                tracing::debug!(%error, "the last uses of keys were not taken in; they are sent again");
                false
            }
        }
    }

    /// The leader's side.
    pub(crate) async fn record_usage(&self, uses: Vec<UsageRecord>) -> Verdict {
        if uses.len() > BATCH_MAX {
            return Verdict::Refused(ServiceError::internal(), Trace::default());
        }
        match self.commit(Op::RecordUsage(uses)).await {
            Ok(committed) => {
                Verdict::Done(Written { body: Vec::new(), trace: Trace::default(), log_index: committed.log_index })
            }
            Err(Rejected::NotLeader) => Verdict::NotLeader,
            Err(Rejected::Refused(error)) => Verdict::Refused(error, Trace::default()),
        }
    }
}

/// How long to wait before uses that were not taken in are sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

fn data(used: &UsageRecord) -> KeyLastUsageData {
    let request_id = Uuid::from_bytes(used.request_id);
    KeyLastUsageData {
        operation: Some(used.operation),
        timestamp: Some(used.at),
        cloud_trail_event_id: Some(Uuid::from_bytes(used.event_id).to_string()),
        kms_request_id: Some(request_id).filter(|id| !id.is_nil()).map(|id| id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use meridian_model::Timestamp;

    fn used(key: u8, at: u64) -> UsageRecord {
        UsageRecord {
            key_id: KeyId::single_region([key; 16]),
            at: Timestamp::from_millis(at),
            operation: KeyLastUsageTrackingOperation::Encrypt,
            event_id: [key; 16],
            request_id: [key; 16],
        }
    }

    #[test]
    fn the_last_use_of_each_key_is_noted() {
        let noted = NotedUses::new();
        for at in [5, 9, 7] {
            noted.note(used(1, at));
            noted.note(used(2, at + 1));
        }
        assert_eq!(noted.last(used(1, 0).key_id), Some(used(1, 9)));
        assert_eq!(noted.last(used(2, 0).key_id), Some(used(2, 10)));
        assert_eq!(noted.last(used(3, 0).key_id), None);
    }

    #[test]
    fn what_is_settled_is_forgotten_unless_it_was_used_again() {
        let noted = NotedUses::new();
        noted.note(used(1, 1));
        noted.note(used(2, 1));
        let batch = noted.all();
        assert_eq!(batch.len(), 2);
        noted.note(used(2, 2));
        noted.settle(&batch);
        assert_eq!(noted.all(), [used(2, 2)]);
    }

    #[tokio::test]
    async fn a_key_in_use_all_the_time_is_brought_in_once_at_a_time() {
        let noted = NotedUses::new();
        noted.note(used(1, 1));
        let mut at = 1;
        let take_in = |batch: Vec<UsageRecord>| {
            assert_eq!(batch, [used(1, 1)]);
            at += 1;
            noted.note(used(1, at));
            ready(true)
        };
        assert!(noted.bring_in(take_in).await);
        assert_eq!(noted.all(), [used(1, 2)]);
    }

    #[tokio::test]
    async fn memory_and_batches_are_bounded() {
        let noted = NotedUses::new();
        let key_of = |number: u32| KeyId::multi_region(u128::from(number).to_be_bytes());
        for number in 0..u32::try_from(SHARDS * KEYS_PER_SHARD + 1_000).expect("few") {
            noted.note(UsageRecord { key_id: key_of(number), ..used(1, 1) });
        }
        let kept: usize = noted.shards.iter().map(|shard| shard.lock().expect("whole").len()).sum();
        assert_eq!(kept, SHARDS * KEYS_PER_SHARD);
        let mut batches = 0;
        let take_in = |batch: Vec<UsageRecord>| {
            assert!(batch.len() <= BATCH_MAX);
            batches += 1;
            ready(true)
        };
        assert!(noted.bring_in(take_in).await);
        assert_eq!(batches, (SHARDS * KEYS_PER_SHARD).div_ceil(BATCH_MAX));
        assert_eq!(noted.all(), []);
    }
}
