//! Links that take time, as between real Regions: for demonstrations and benchmarks on one machine.

use std::time::Duration;

use async_trait::async_trait;
use meridian_consensus::{Cut, FaultGate, NodeName};

/// Delays every message from Region to Region by the same time; within a Region nothing is delayed.
#[derive(Clone, Copy, Debug)]
pub struct LinkDelay(pub Duration);

#[async_trait]
impl FaultGate for LinkDelay {
    async fn pass(&self, from: &NodeName, to: &NodeName) -> Result<(), Cut> {
        if from.region != to.region && !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
        Ok(())
    }
}
