//! What links need of their own Region: its state machine, its keys, and somebody who answers questions.
//!
//! The Raft group of the node is a [`LocalRegion`]; the other two are given by the layer above.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use meridian_consensus::{Leadership, NodeId};
use meridian_crypto::{MaterialBinding, SealedMaterial, SealedSecret, SecretBytes};
use meridian_model::Region;
use meridian_state::identities::messages::SecretReference;
use meridian_state::{Command, Outcome, RegionState};
use tokio::sync::watch;

/// The state machine of this node's Region.
#[async_trait]
pub trait LocalRegion: Send + Sync {
    /// The newest state that this node has applied.
    fn state(&self) -> Arc<RegionState>;

    /// The log index of that state; changes with every command applied.
    fn applied(&self) -> watch::Receiver<u64>;

    /// Who leads the Region.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// Commits `command`; returns once this node has applied it.
    ///
    /// # Errors
    /// If this node is not the leader, or it is not known whether the command was committed.
    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError>;

    /// Returns once [`LocalRegion::state`] holds everything that was committed before the call.
    ///
    /// # Errors
    /// If that could not be learnt `within` that time.
    async fn read_barrier(&self, within: Duration) -> Result<(), NotCurrent>;
}

/// Why a command was not, or perhaps not, committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not committed: this node does not lead its Region.
    #[error("this node is not the leader")]
    NotLeader {
        /// The node that leads, if known.
        leader: Option<NodeId>,
    },
    /// Committed or not: nobody can tell yet.
    #[error("it is not known whether the command was committed")]
    Unknown,
}

/// This node could not make sure that its state is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not known whether the state of this node is current")]
pub struct NotCurrent;

/// Opens and seals key material and secrets of identities with the domain keys of this Region.
pub trait MaterialKeeper: Send + Sync {
    /// Whether whatever this needs is in `state`, or will never be there as long as this node runs. A new Region has no
    /// domain key for a moment; a link to it begins after that.
    fn is_prepared(&self, state: &RegionState) -> bool {
        let _ = state;
        true
    }

    /// Opens the material that `binding` names, as `state` holds it.
    ///
    /// # Errors
    /// See [`KeeperError`].
    fn open(&self, state: &RegionState, binding: &MaterialBinding) -> Result<SecretBytes, KeeperError>;

    /// Seals material with the newest domain key of `state`.
    ///
    /// # Errors
    /// See [`KeeperError`].
    fn seal(
        &self,
        state: &RegionState,
        binding: &MaterialBinding,
        material: &SecretBytes,
    ) -> Result<SealedMaterial, KeeperError>;

    /// Opens the secret that `reference` names, as `state` holds it.
    ///
    /// # Errors
    /// See [`KeeperError`].
    fn open_secret(&self, state: &RegionState, reference: &SecretReference) -> Result<SecretBytes, KeeperError>;

    /// Seals a secret with the newest domain key of `state`.
    ///
    /// # Errors
    /// See [`KeeperError`].
    fn seal_secret(
        &self,
        state: &RegionState,
        reference: &SecretReference,
        secret: &SecretBytes,
    ) -> Result<SealedSecret, KeeperError>;
}

/// Why material or a secret was not opened or sealed.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The node waits for its root key, or the Region has no domain key yet.
    #[error("this node is sealed")]
    Sealed,
    /// The state does not hold it.
    #[error("the Region does not hold it")]
    Missing,
    /// The bytes are not what they must be.
    #[error("the bytes cannot be used")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Answers the questions that other Regions ask; only asked while this node leads its Region.
#[async_trait]
pub trait AskHandler: Send + Sync {
    /// The answer to `question`, at most 1 MiB. It may be asked again, so answering changes nothing.
    ///
    /// # Errors
    /// [`CannotAnswer`] makes the other Region ask again until its patience ends.
    async fn answer(&self, from: &Region, question: Bytes) -> Result<Bytes, CannotAnswer>;
}

/// The question cannot be answered just now.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the question cannot be answered just now")]
pub struct CannotAnswer;
