//! What happens without a request: deletions and rotations that are due, daily domain keys, keys for session tokens, events for
//! the audit trail, and forgetting material and access keys that may not be used any more.
//!
//! Only the leader proposes; passing time is a command like any other.

use std::sync::Arc;
use std::time::Duration;

use meridian_crypto::{SecretPlace, SessionKey};
use meridian_model::time::days;
use meridian_model::{RotationType, ServiceError};
use meridian_state::command::RotateKey;
use meridian_state::identities::change::NewSessionKey;
use meridian_state::identities::{ClusterRegions, IdentityChange, SessionKeyRecord};
use meridian_state::links::Message;
use meridian_state::schedule::Due;
use meridian_state::{Op, OutboxRow};

use crate::call::Service;
use crate::key_ring::log_internal;
use crate::writes::Rejected;

/// How often due work is looked for. The first row of the schedule index is all that is read.
const INTERVAL: Duration = Duration::from_millis(200);

/// After this time another key seals session tokens.
const SESSION_KEY_LIFETIME: Duration = days(30);

/// Rotations per round; the others follow in the next one.
const ROTATIONS_PER_ROUND: usize = 50;

/// Events published per round.
const EVENTS_PER_ROUND: usize = 100;

impl Service {
    /// Runs until the future is dropped.
    pub async fn run_schedule(&self) {
        tokio::join!(self.run_due_work(), self.run_usage_flush());
    }

    async fn run_due_work(&self) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut applied = self.group().applied();
        let mut identities_seen = 0;
        loop {
            interval.tick().await;
            let Ok(ring) = self.ring() else { continue };
            if applied.has_changed().unwrap_or(false) {
                applied.mark_unchanged();
                let state = self.state();
                ring.forget_unusable(&state);
                let changes = state.identities().changes();
                if changes != identities_seen {
                    self.credentials().forget_unusable(&state, self.now());
                    identities_seen = changes;
                }
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
        self.ensure_regions().await?;
        self.ensure_session_key().await?;
        self.ensure_administrator().await?;
        if self.state().usage().tracked_since().is_none() {
            self.commit(Op::RecordUsage(Vec::new())).await?;
        }
        if self.state().due(self.now()).any(|due| due.is_done_by_tick()) {
            self.commit(Op::Tick).await?;
        }
        self.rotate_due_keys().await?;
        self.publish_events().await
    }

    /// Rotates keys that are due; material is made here and proposed sealed. A key that is not due any more by the time
    /// of the commit is left as it is.
    async fn rotate_due_keys(&self) -> Result<(), Rejected> {
        let state = self.state();
        let due = state.due(self.now()).filter_map(|due| match due {
            Due::Rotation(key_id) => state.key(key_id),
            _ => None,
        });
        for key in due.take(ROTATIONS_PER_ROUND) {
            let material = Some(self.ring()?.new_version(&self.state(), key)?);
            let kind = RotationType::Automatic;
            self.commit(Op::RotateKey(RotateKey { key_id: key.key_id, kind, material })).await?;
        }
        Ok(())
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

    /// Says which Regions there are, if the configuration says otherwise than the state.
    async fn ensure_regions(&self) -> Result<(), Rejected> {
        let ClusterRegions { home, regions } = self.cluster_regions().clone();
        let state = self.state();
        let known = state.identities().regions();
        if known.is_some_and(|known| known.home == home && known.regions == regions) {
            return Ok(());
        }
        tracing::info!(%home, ?regions, "the Regions of the cluster and the home of identities");
        self.commit(Op::Identity(Box::new(IdentityChange::SetRegions { home, regions }))).await.map(drop)
    }

    /// Adds a key for session tokens, in the home Region alone, if there is none or the newest is too old.
    async fn ensure_session_key(&self) -> Result<(), Rejected> {
        let (state, now) = (self.state(), self.now());
        let is_fresh = |key: &Arc<SessionKeyRecord>| now.since(key.created_at) < SESSION_KEY_LIFETIME;
        let identities = state.identities();
        if !identities.is_home(state.region()) || identities.session_keys().any(is_fresh) {
            return Ok(());
        }
        let key = SessionKey::generate().map_err(log_internal("generating a key for session tokens"))?;
        let sealed = self.ring()?.seal_secret(&state, &SecretPlace::SessionKey(key.id()), &key.to_secret())?;
        tracing::info!(session_key = %key.id(), "adding a key for session tokens");
        let new = NewSessionKey { id: key.id(), sealed };
        self.commit(Op::Identity(Box::new(IdentityChange::AddSessionKey(new)))).await.map(drop)
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
            Message::KeyRotated(rotated) => self.record_rotation(row.committed_at, rotated).await,
            Message::KeySynchronized { account, key_id } => {
                self.record_synchronization(row.committed_at, *account, *key_id).await
            }
            Message::PrimaryUpdated(event) => self.record_new_primary(row.committed_at, event).await,
            Message::ImportedMaterialExpired { account, key_id, material_id } => {
                self.record_expiry(row.committed_at, *account, *key_id, *material_id).await
            }
            other => {
                tracing::error!(?other, "a message for another Region stands among the events of this one");
                Ok(())
            }
        }
    }
}
