//! What happens without a request: deletions that are due, daily domain keys, events for the audit trail, and
//! forgetting material that may not be used any more.
//!
//! Only the leader proposes; passing time is a command like any other.

use std::time::Duration;

use meridian_model::ServiceError;
use meridian_model::time::days;
use meridian_state::links::Message;
use meridian_state::{Op, OutboxRow};

use crate::call::Service;
use crate::writes::Rejected;

/// How often due work is looked for. The first row of the schedule index is all that is read.
const INTERVAL: Duration = Duration::from_millis(200);

/// Events published per round.
const EVENTS_PER_ROUND: usize = 100;

impl Service {
    /// Runs until the future is dropped.
    pub async fn run_schedule(&self) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut applied = self.group().applied();
        loop {
            interval.tick().await;
            let Ok(ring) = self.ring() else { continue };
            if applied.has_changed().unwrap_or(false) {
                applied.mark_unchanged();
                ring.forget_unusable(&self.state());
            }
            if self.is_leader()
                && let Err(Rejected::Refused(error)) = self.do_due_work().await
            {
                tracing::warn!(%error, "scheduled work failed; it is tried again");
            }
        }
    }

    async fn do_due_work(&self) -> Result<(), Rejected> {
        self.ensure_domain_key().await?;
        if self.state().next_due().is_some_and(|due| due <= self.now()) {
            self.commit(Op::Tick).await?;
        }
        self.publish_events().await
    }

    /// Adds a domain key if there is none or the newest is a day old.
    pub(crate) async fn ensure_domain_key(&self) -> Result<(), Rejected> {
        let now = self.now();
        let is_fresh = |created_at: meridian_model::Timestamp| now.since(created_at) < days(1);
        if self.state().newest_domain_key().is_some_and(|newest| is_fresh(newest.created_at)) {
            return Ok(());
        }
        let wrapped = self.ring()?.new_domain_key(now)?;
        tracing::info!(domain_key = %wrapped.id, "adding a domain key");
        self.commit(Op::AddDomainKey(wrapped)).await.map(drop)
    }

    /// Writes the events of this Region to the audit trail, then drops them; a crash in between repeats them.
    async fn publish_events(&self) -> Result<(), Rejected> {
        let state = self.state();
        let here = state.region().clone();
        let mut through = None;
        for row in state.outbox_for(&here).take(EVENTS_PER_ROUND) {
            self.publish(row).await?;
            through = Some(row.sequence);
        }
        match through {
            Some(through) => self.commit(Op::AcknowledgeOutbox { to: here, through }).await.map(drop),
            None => Ok(()),
        }
    }

    async fn publish(&self, row: &OutboxRow) -> Result<(), ServiceError> {
        match &row.message {
            Message::KeyDeleted { account, key_id } => self.record_deletion(row.committed_at, *account, *key_id).await,
            other => {
                tracing::error!(?other, "a message for another Region stands among the events of this one");
                Ok(())
            }
        }
    }
}
