//! The Raft group of a node, as the Region that its links send from and apply to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use meridian_consensus::{Group, Leadership};
use meridian_state::{Command, Outcome, RegionState};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::local::{LocalRegion, NotCurrent, ProposeError};

#[async_trait]
impl LocalRegion for Group {
    fn state(&self) -> Arc<RegionState> {
        Self::state(self)
    }

    fn applied(&self) -> watch::Receiver<u64> {
        Self::applied(self)
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        Self::leadership(self)
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        match Self::propose(self, &command).await {
            Ok(committed) => Ok(committed.outcome),
            Err(meridian_consensus::ProposeError::NotLeader { leader }) => Err(ProposeError::NotLeader { leader }),
            Err(error) => {
                tracing::debug!(%error, "a command of a link has no outcome");
                Err(ProposeError::Unknown)
            }
        }
    }

    async fn read_barrier(&self, within: Duration) -> Result<(), NotCurrent> {
        Self::read_barrier(self, Instant::now() + within).await.map_err(|_| NotCurrent)
    }
}
