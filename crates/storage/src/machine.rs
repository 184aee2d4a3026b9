//! The engine's view of the Region state machine: applies entries, publishes states, builds and installs snapshots.
//!
//! Readers take an `Arc` of the newest published state and never wait for an apply; snapshots are built from
//! such an `Arc` on a thread of their own. The rows of the image are written behind (see [`crate::image_writer`]).
//!
//! Always true: a state is published before anybody learns that its entries were applied.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::{Stream, StreamExt};
use meridian_model::{Partition, Region};
use meridian_state::{Command, RegionState, RowChange};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, RaftSnapshotBuilder};
use tokio::sync::watch;

use crate::codec::Position;
use crate::image::panic_text;
use crate::image_writer::ImageWriter;
use crate::raft_types::{Entry, LogId, Response, SnapshotMeta, StoredMembership, TypeConfig};
use crate::snapshot::SnapshotFile;
use crate::snapshots::Snapshots;

/// Entries applied before their state is published: bounds how long the first of them waits.
const PUBLISH_AFTER: usize = 256;

/// A snapshot is put off until this part of the rows may have changed: writing all rows must not cost more
/// than a small multiple of the changes themselves.
const ROWS_PER_ENTRY: u64 = 4;

/// The newest applied state, for any number of readers.
#[derive(Clone, Debug)]
pub struct StateReader(Arc<Published>);

#[derive(Debug)]
struct Published {
    state: RwLock<Arc<RegionState>>,
    applied: watch::Sender<u64>,
    snapshot_now: AtomicBool,
}

impl StateReader {
    /// The newest applied state. The lock inside is held for the copy of one pointer.
    #[must_use]
    pub fn state(&self) -> Arc<RegionState> {
        Arc::clone(&self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The index of the last entry contained in [`StateReader::state`].
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.0.applied.subscribe()
    }

    /// Lets the next snapshot that is asked for be built however little has changed.
    pub fn allow_snapshot(&self) {
        self.0.snapshot_now.store(true, Ordering::Release);
    }

    fn publish(&self, state: &RegionState, index: u64) {
        let state = Arc::new(state.clone());
        *self.0.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.0.applied.send_replace(index);
    }
}

/// The state machine of one node.
#[derive(Debug)]
pub struct StateMachine {
    state: RegionState,
    position: Position,
    reader: StateReader,
    image: ImageWriter,
    snapshots: Snapshots,
}

/// What a batch of entries came to, until it is published.
#[derive(Default)]
struct Batch {
    changes: Vec<RowChange>,
    answers: Vec<(ApplyResponder<TypeConfig>, Response)>,
    entries: usize,
}

impl StateMachine {
    pub(crate) fn new(state: RegionState, position: Position, image: ImageWriter, snapshots: Snapshots) -> Self {
        let published = Published {
            state: RwLock::new(Arc::new(state.clone())),
            applied: watch::Sender::new(position.index()),
            snapshot_now: AtomicBool::new(false),
        };
        Self { state, position, reader: StateReader(Arc::new(published)), image, snapshots }
    }

    pub(crate) fn reader(&self) -> StateReader {
        self.reader.clone()
    }

    fn apply_entry(&mut self, entry: Entry, batch: &mut Batch) -> io::Result<Response> {
        let id = entry.log_id;
        let response = match entry.payload {
            EntryPayload::Blank => Response(None),
            EntryPayload::Normal(proposal) => {
                let command = Command::decode(&proposal.0).map_err(|error| undecodable(&id, &error))?;
                let state = &mut self.state;
                let applied = catch_unwind(AssertUnwindSafe(|| meridian_state::apply(state, &command)))
                    .map_err(|panic| panicked(&id, &panic_text(panic.as_ref())))?;
                batch.changes.extend(applied.changes);
                Response(Some(applied.outcome))
            }
            EntryPayload::Membership(membership) => {
                self.position.membership = StoredMembership::new(Some(id), membership);
                Response(None)
            }
        };
        self.position.applied = Some(id);
        batch.entries += 1;
        Ok(response)
    }

    async fn publish(&mut self, batch: &mut Batch) {
        let Batch { changes, answers, entries } = std::mem::take(batch);
        if entries == 0 {
            return;
        }
        self.reader.publish(&self.state, self.position.index());
        for (responder, response) in answers {
            responder.send(response);
        }
        self.image.write(changes, self.position.clone()).await;
    }

    /// Whether enough has changed since the last snapshot to write all rows again.
    fn is_snapshot_due(&self) -> bool {
        let Some(last) = self.snapshots.current() else { return true };
        let entries = self.position.index().saturating_sub(last.position().index());
        entries >= last.rows() / ROWS_PER_ENTRY
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.position.applied, self.position.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let mut batch = Batch::default();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let response = self.apply_entry(entry, &mut batch)?;
            batch.answers.extend(responder.map(|responder| (responder, response)));
            if batch.entries == PUBLISH_AFTER {
                self.publish(&mut batch).await;
            }
        }
        self.publish(&mut batch).await;
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        let wanted = self.reader.0.snapshot_now.swap(false, Ordering::AcqRel);
        if !(force || wanted || self.is_snapshot_due()) {
            return None;
        }
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            state: self.state.clone(),
            position: self.position.clone(),
            snapshots: self.snapshots.clone(),
            image: self.image.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        if snapshot_meta(snapshot.position()) != *meta {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snapshot is not the one announced"));
        }
        let (region, partition) = (self.state.region().clone(), self.state.partition());
        let snapshots = self.snapshots.clone();
        let (state, position) = blocking(move || {
            let state = load_verified(&snapshot, &region, partition)?;
            let position = snapshot.position().clone();
            snapshots.adopt(snapshot)?;
            Ok((state, position))
        })
        .await?;
        self.state = state;
        self.position = position;
        self.reader.publish(&self.state, self.position.index());
        self.image.reset(self.state.clone(), self.position.clone()).await;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot<LeaderIdOf, u64, MemberOf, SnapshotFile>>> {
        Ok(self.snapshots.current().map(to_engine))
    }
}

type LeaderIdOf = crate::raft_types::LeaderId;
type MemberOf = crate::raft_types::Member;

/// Writes one state to a snapshot file.
#[derive(Debug)]
pub struct SnapshotBuilder {
    state: RegionState,
    position: Position,
    snapshots: Snapshots,
    image: ImageWriter,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<LeaderIdOf, u64, MemberOf, SnapshotFile>> {
        let (state, position, snapshots) = (self.state.clone(), self.position.clone(), self.snapshots.clone());
        let file = blocking(move || snapshots.build(&state, &position)).await?;
        self.image.checkpoint().await;
        Ok(to_engine(file))
    }
}

fn to_engine(file: SnapshotFile) -> Snapshot<LeaderIdOf, u64, MemberOf, SnapshotFile> {
    Snapshot { meta: snapshot_meta(file.position()), snapshot: file }
}

/// What the engine wants to know about a snapshot that reaches up to `position`.
#[must_use]
pub fn snapshot_meta(position: &Position) -> SnapshotMeta {
    SnapshotMeta { last_log_id: position.applied, last_membership: position.membership.clone() }
}

/// Loads a snapshot that came from outside this state machine, turning a panic over its rows into an error.
fn load_verified(snapshot: &SnapshotFile, region: &Region, partition: Partition) -> io::Result<RegionState> {
    catch_unwind(AssertUnwindSafe(|| snapshot.load(region, partition)))
        .unwrap_or_else(|panic| Err(io::Error::other(panic_text(panic.as_ref()))))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn undecodable(id: &LogId, error: &meridian_state::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("entry {} cannot be applied: {error}", id.index))
}

fn panicked(id: &LogId, text: &str) -> io::Error {
    io::Error::other(format!("applying entry {} panicked: {text}", id.index))
}
