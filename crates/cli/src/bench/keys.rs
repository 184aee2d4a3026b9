//! Keys that a run has made: creating them, and scheduling their deletion at its end.
//!
//! Deletion is best effort and bounded in time: keys that are left over carry a description that tells where they come
//! from.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use meridian_model::{KeyMetadata, Operation, Response, ScheduleKeyDeletionRequest};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::KmsClient;
use super::workload::create_key;

/// The shortest window that the API takes.
const DELETION_WINDOW_DAYS: u32 = 7;
/// Clients that clean up at the same time.
const CLEANERS: usize = 32;
/// Time for cleaning up after a whole run.
const CLEAN_UP_MAX: Duration = Duration::from_secs(30);

/// Creates a symmetric key.
pub(super) async fn create(client: &mut KmsClient, multi_region: bool) -> Result<KeyMetadata> {
    match client.call(create_key(multi_region)).await.context("creating a key")? {
        Response::CreateKey(created) => Ok(created.key_metadata),
        _ => bail!("CreateKey was answered with something else"),
    }
}

/// The key that an answer of CreateKey names.
pub(super) fn created(body: &[u8]) -> Option<String> {
    match Response::decode(Operation::CreateKey, body) {
        Ok(Response::CreateKey(created)) => Some(created.key_metadata.key_id),
        _ => None,
    }
}

/// Schedules the deletion of keys of one Region, over several connections; answers for how many it succeeded.
pub(super) async fn schedule_deletion(connect: impl Fn() -> KmsClient, key_ids: &[String]) -> usize {
    let deadline = Instant::now() + CLEAN_UP_MAX;
    let mut cleaners = JoinSet::new();
    for part in key_ids.chunks(key_ids.len().div_ceil(CLEANERS).max(1)) {
        cleaners.spawn(delete_until(connect(), part.to_vec(), deadline));
    }
    cleaners.join_all().await.into_iter().sum()
}

async fn delete_until(mut client: KmsClient, key_ids: Vec<String>, deadline: Instant) -> usize {
    let mut scheduled = 0;
    for key_id in key_ids {
        let request = ScheduleKeyDeletionRequest { key_id, pending_window_in_days: Some(DELETION_WINDOW_DAYS) };
        match tokio::time::timeout_at(deadline, client.call(request)).await {
            Ok(Ok(_answer)) => scheduled += 1,
            Ok(Err(_refused)) => {}
            Err(_elapsed) => break,
        }
    }
    scheduled
}
