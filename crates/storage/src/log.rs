//! The Raft log, the vote and the committed position: what a node must never forget.
//!
//! Built on `raft-log`: one appending thread, one fsync per group of writes, acknowledgements after it. This
//! module adds what an engine of Raft must not leave to luck: before anything is cut off at start, it proves
//! that the cut lies behind the last acknowledged byte.
//!
//! Always true: nothing is acknowledged before its fsync returned; after the first failed write nothing is
//! acknowledged any more, and the engine stops the node.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use raft_log::api::raft_log_writer::RaftLogWriter;
use raft_log::codeq::OffsetSize;
use raft_log::{RaftLog, Segment};

use crate::StorageError;
use crate::codec::PlainLogId;
use crate::flushed::{AcknowledgedMark, OnFlushed};
use crate::log_records::{Records, StoredVote, entry_from_record, entry_to_record};
use crate::log_scan::prove_acknowledged_records;
use crate::raft_types::{Entry, LogId, TypeConfig, Vote};

/// A file of the log is closed and the next begun at this size, in bytes. Small, because a purge frees whole
/// files only and because a file is read into memory at start.
const CHUNK_SIZE_MAX: usize = 16 * 1024 * 1024;

/// Entries of closed files kept in memory for followers that lag a little, in bytes.
const CACHE_SIZE_MAX: usize = 16 * 1024 * 1024;

/// Buffer for reading one file at start, in bytes.
const READ_BUFFER: usize = 1024 * 1024;

/// How long the flush thread collects further writes before it syncs. What is queued already joins without any
/// wait; the engine batches before the log does, so a longer wait would only delay a lone client.
const GATHER: Duration = Duration::from_micros(20);

/// Entries are handed to replication in portions of about this size, in bytes.
const PORTION_SIZE: usize = 2 * 1024 * 1024;

/// A node's log. Clones share it.
#[derive(Clone, Debug)]
pub struct LogStore {
    /// `None` once closed.
    log: Arc<RwLock<Option<RaftLog<Records>>>>,
    mark: Arc<AcknowledgedMark>,
}

impl LogStore {
    /// Opens the log in `folder`, repairing a tail that was never acknowledged.
    ///
    /// # Errors
    /// [`StorageError::LogDamaged`] if acknowledged records cannot be read, [`StorageError::LogUnreadable`] if
    /// the log cannot be opened for another reason.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        let mark = AcknowledgedMark::open(&folder.join("ACKNOWLEDGED"))?;
        prove_acknowledged_records(folder, mark.offset())?;
        let unreadable = |source| StorageError::LogUnreadable { path: folder.to_owned(), source };
        let text = folder.to_str().ok_or_else(|| unreadable(io::Error::other("the path is not UTF-8")))?;
        let log = RaftLog::open(Arc::new(config(text))).map_err(unreadable)?;
        Ok(Self { log: Arc::new(RwLock::new(Some(log))), mark: Arc::new(mark) })
    }

    /// Closes the log: writes what is pending, stops the flush thread and frees the folder. Every later use of
    /// any clone is an error. Blocks until done.
    pub fn close(&self) {
        let log = self.log.write().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(mut log) = log
            && let Err(error) = log.flush(false, None)
        {
            tracing::warn!(%error, "the end of the log is not written; nothing in it was acknowledged");
        }
    }

    /// First and last position: entries after `purged` up to and including `last` are readable.
    pub(crate) fn span(&self) -> io::Result<LogState<TypeConfig>> {
        self.read(|log| {
            let state = log.log_state();
            LogState {
                last_purged_log_id: state.purged().copied().map(LogId::from),
                last_log_id: state.last().copied().map(LogId::from),
            }
        })
    }

    /// Whether neither an entry nor a vote was ever written.
    pub(crate) fn is_pristine(&self) -> io::Result<bool> {
        self.read(|log| log.log_state().last().is_none() && log.log_state().vote().is_none())
    }

    /// The id of the entry at `index`, if the log holds it.
    pub(crate) fn id_at(&self, index: u64) -> io::Result<Option<LogId>> {
        let guard = self.read_guard()?;
        let entry = open_log(guard.as_ref())?.read(index, index.saturating_add(1)).next().transpose()?;
        Ok(entry.map(|(id, _)| LogId::from(id)))
    }

    fn read_guard(&self) -> io::Result<RwLockReadGuard<'_, Option<RaftLog<Records>>>> {
        self.log.read().map_err(|_| io::Error::other("the log is unusable after a panic"))
    }

    fn read<T>(&self, look: impl FnOnce(&RaftLog<Records>) -> T) -> io::Result<T> {
        let guard = self.read_guard()?;
        open_log(guard.as_ref()).map(look)
    }

    fn write<T>(&self, change: impl FnOnce(&mut RaftLog<Records>) -> io::Result<T>) -> io::Result<T> {
        let mut guard: RwLockWriteGuard<'_, _> =
            self.log.write().map_err(|_| io::Error::other("the log is unusable after a panic"))?;
        change(guard.as_mut().ok_or_else(closed)?)
    }

    /// Entries of the range, at most about `bytes_max` bytes of them but never none if there are any.
    fn entries(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let from = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        if from >= to {
            return Ok(Vec::new());
        }
        let guard = self.read_guard()?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for record in open_log(guard.as_ref())?.read(from, to) {
            let (id, payload) = record?;
            bytes += payload.len();
            entries.push(entry_from_record(id, payload)?);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(entries)
    }
}

fn config(folder: &str) -> raft_log::Config {
    let mut config = raft_log::Config::new(folder);
    config.wal.chunk_max_size = Some(CHUNK_SIZE_MAX);
    config.wal.read_buffer_size = Some(READ_BUFFER);
    config.wal.truncate_incomplete_record = Some(true);
    config.wal.flush_batch_wait = Some(GATHER);
    config.log_cache_capacity = Some(CACHE_SIZE_MAX);
    config
}

fn open_log(log: Option<&RaftLog<Records>>) -> io::Result<&RaftLog<Records>> {
    log.ok_or_else(closed)
}

fn closed() -> io::Error {
    io::Error::other("the log is closed")
}

fn end_of(segment: Segment) -> u64 {
    segment.end().0
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        self.entries(range, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.entries(start..end, PORTION_SIZE)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.read(|log| log.log_state().vote().copied().map(Vote::from))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        self.span()
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let durable = self.write(|log| {
            let segment = log.save_vote(StoredVote::from(vote))?;
            let (callback, durable) = OnFlushed::caller(end_of(segment), &self.mark);
            log.flush(true, Some(callback))?;
            Ok(durable)
        })?;
        durable.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Kept so that a restarted node knows what it had applied. Neither synced nor written by itself, because the leader
    /// tells again: the next entries take it along, and so does a clean end.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed.as_ref().map(PlainLogId::from) else { return Ok(()) };
        self.write(|log| {
            let state = log.log_state();
            // Right after a snapshot was installed the committed position may lie behind the log's end.
            if Some(&committed) > state.last() || Some(&committed) <= state.committed() {
                return Ok(());
            }
            log.commit(committed).map(drop)
        })
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.read(|log| log.log_state().committed().copied().map(LogId::from))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        self.write(|log| {
            let segment = log.append(entries.into_iter().map(|entry| entry_to_record(&entry)))?;
            log.flush(true, Some(OnFlushed::engine(callback, end_of(segment), &self.mark)))
        })
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let keep = last.as_ref().map(PlainLogId::from);
        self.write(|log| {
            if log.log_state().last().copied() <= keep {
                return Ok(());
            }
            log.truncate(keep.map_or(0, |id| id.index + 1))?;
            log.flush(false, None)
        })
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.write(|log| {
            log.purge(PlainLogId::from(&upto))?;
            // Files are removed only behind a sync of the record that says so.
            log.flush(true, None)
        })
    }
}
