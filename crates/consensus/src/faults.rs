//! A place between the nodes where tests cut and delay what they say to each other.

use async_trait::async_trait;

use crate::names::NodeName;

/// The message does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is cut")]
pub struct Cut;

/// Asked for every message between two nodes: before a request leaves, and before its answer is handed over.
#[async_trait]
pub trait FaultGate: Send + Sync + 'static {
    /// Lets a message pass, at once or later, or loses it.
    ///
    /// # Errors
    /// [`Cut`] if the message is lost.
    async fn pass(&self, from: &NodeName, to: &NodeName) -> Result<(), Cut>;
}

/// Everything passes: what every gate outside of tests is.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

#[async_trait]
impl FaultGate for NoFaults {
    async fn pass(&self, _: &NodeName, _: &NodeName) -> Result<(), Cut> {
        Ok(())
    }
}
