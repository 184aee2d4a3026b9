//! The trail of one node: every record is in the file before the answer it belongs to is sent.
//!
//! [`Trail::record`] turns a record into text and writes it, or queues it if somebody else is writing, who then chains and
//! writes whatever has come together with one `write(2)` and releases the waiting answers. A crash of the process therefore loses no
//! record of an answered request. Power loss may lose the last [`TrailConfig::sync_interval`]: a second thread syncs the
//! files at that interval, and [`Trail::close`] once more; a sync per record would cost more than the operation it tells of.
//!
//! Always true: a record that could not be written is an error of its request, which must then not be answered with
//! its result. The queue is bounded in bytes; when it is full, requests wait.

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, oneshot};

use crate::chain::Head;
use crate::record::AuditRecord;
use crate::recovery::{self, Recovery};
use crate::writer::{self, Desk, Job, Writer};

/// Where and how a trail is kept.
#[derive(Clone, Debug)]
pub struct TrailConfig {
    /// The directory, of this trail alone.
    pub directory: PathBuf,
    /// Whose trail it is, such as `us-east-1/1`; part of the chain.
    pub node: String,
    /// A file this long is followed by a new one.
    pub rotate_bytes: u64,
    /// The most time that passes between a record's write and its sync to the disk.
    pub sync_interval: Duration,
    /// How many bytes of records may wait to be written; never less than one record of the greatest length.
    pub queue_bytes_max: u32,
}

impl TrailConfig {
    /// The defaults: files of 256 MiB, a sync every second, 64 MiB of waiting records.
    pub fn new(directory: impl Into<PathBuf>, node: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            node: node.into(),
            rotate_bytes: 256 << 20,
            sync_interval: Duration::from_secs(1),
            queue_bytes_max: 64 << 20,
        }
    }
}

/// Why a trail cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory cannot be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process, or another trail of this one, writes here.
    #[error("{} is in use", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory holds the trail of another node.
    #[error("{} belongs to the trail of node {found}", path.display())]
    OtherNode {
        /// The newest file.
        path: PathBuf,
        /// The node in its header.
        found: String,
    },
}

/// Why a record is not in the trail. The request it belongs to must fail.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TrailError {
    /// The file could not be written. Later records are tried again.
    #[error("the audit trail cannot be written")]
    Write(#[source] Arc<io::Error>),
    /// A sync failed, so that earlier records may be lost. Nothing is recorded until the node has been restarted.
    #[error("the audit trail could not be synced to its disk")]
    Unsynced,
    /// The record is longer than a line may be.
    #[error("an audit record of {bytes} bytes exceeds the limit of {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The trail was closed.
    #[error("the audit trail is closed")]
    Closed,
}

/// The trail of one node, open for writing.
pub struct Trail {
    desk: Arc<Desk>,
    room: Arc<Semaphore>,
    shared: Arc<Shared>,
    recovery: Recovery,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").field("head", &self.head()).finish_non_exhaustive()
    }
}

impl Trail {
    /// Opens the trail in `config.directory`, continuing the chain that is there. Blocks while it reads the newest file.
    ///
    /// # Errors
    /// [`OpenError`]; damage that a crash left behind is no error, see [`Trail::recovery`].
    pub fn open(config: TrailConfig) -> Result<Self, OpenError> {
        recovery::create_directory(&config.directory)?;
        let lock = lock(&config)?;
        let opened = recovery::open(&config.directory, &config.node)?;
        report(&opened.recovery);
        let shared = Arc::new(Shared::starting_at(opened.recovery.head));
        let queue_bytes = (config.queue_bytes_max as usize).max(RECORD_BYTES_MAX);
        let room = Arc::new(Semaphore::new(units(queue_bytes) as usize));
        let writer = Writer::new(config, opened.recovery.head, opened.current, Arc::clone(&shared), Arc::clone(&room));
        let desk = writer::start(writer, lock)?;
        Ok(Self { desk, room, shared, recovery: opened.recovery })
    }

    /// Writes `record`, or queues it if others are writing; the future resolves once it is in the file.
    ///
    /// Unless the queue is full, the record is written or queued before this function returns, and will be written even
    /// if the future is dropped.
    ///
    /// # Errors
    /// [`TrailError`]; the request must then be answered with an error of the service.
    pub fn record(&self, record: &AuditRecord<'_>) -> impl Future<Output = Result<(), TrailError>> + Send + use<> {
        let mut text = Vec::with_capacity(RECORD_BYTES_TYPICAL);
        record.write(&mut text);
        let started = self.write_now(&text).map_or_else(|| self.queue_now(text), Started::Ended);
        let waiting = matches!(started, Started::Full(_)).then(|| (Arc::clone(&self.desk), Arc::clone(&self.room)));
        async move {
            let done = match (started, waiting) {
                (Started::Ended(result), _) => return result,
                (Started::Queued(done), _) => done,
                (Started::Full(text), Some((desk, room))) => {
                    let units = units(text.len());
                    room.acquire_many(units).await.map_err(|_| TrailError::Closed)?.forget();
                    queue(&desk, text, units)
                }
                (Started::Full(_), None) => unreachable!("a full queue is waited for"),
            };
            done.await.unwrap_or(Err(TrailError::Closed))
        }
    }

    /// Where the chain ends now. Keep it elsewhere to be able to prove later that the trail still contains it.
    #[must_use]
    pub fn head(&self) -> Head {
        *self.shared.head.lock().expect("no holder of this lock panics")
    }

    /// Whether the last write and the last sync succeeded; a node that cannot record is not ready.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.shared.writable.load(Ordering::Relaxed) && !self.shared.unsynced.load(Ordering::Relaxed)
    }

    /// What was found when the trail was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Adds the trail's counters to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let counts = &self.shared.counts;
        registry.register("audit_records", "Audit records written", counts.records.clone());
        registry.register("audit_bytes", "Bytes of audit records written", counts.bytes.clone());
        registry.register("audit_writes", "Group writes to the audit trail", counts.writes.clone());
        registry.register("audit_failures", "Audit records that could not be written", counts.failures.clone());
    }

    /// Writes what is queued, syncs it to the disk and ends the trail. Records that come later are refused.
    ///
    /// # Errors
    /// [`TrailError::Write`] or [`TrailError::Unsynced`] if the last records may not be on the disk.
    pub async fn close(&self) -> Result<(), TrailError> {
        let (done, closed) = oneshot::channel();
        self.desk.close(done)?;
        closed.await.unwrap_or(Err(TrailError::Closed))
    }

    /// Writes `text` in this thread if nobody else is writing; `None` if somebody is.
    fn write_now(&self, text: &[u8]) -> Option<Result<(), TrailError>> {
        if text.len() > RECORD_BYTES_MAX {
            return Some(Err(TrailError::TooLong { bytes: text.len(), limit: RECORD_BYTES_MAX }));
        }
        self.desk.write_now(text)
    }

    fn queue_now(&self, text: Vec<u8>) -> Started {
        let units = units(text.len());
        let Ok(permit) = self.room.try_acquire_many(units) else { return Started::Full(text) };
        permit.forget();
        Started::Queued(queue(&self.desk, text, units))
    }
}

/// How far a record is when [`Trail::record`] returns.
enum Started {
    /// Written, or refused for good.
    Ended(Result<(), TrailError>),
    /// Whoever is writing has it.
    Queued(Outcome),
    /// The queue has no room for it.
    Full(Vec<u8>),
}

type Outcome = oneshot::Receiver<Result<(), TrailError>>;

fn queue(desk: &Desk, text: Vec<u8>, units: u32) -> Outcome {
    let (done, outcome) = oneshot::channel();
    desk.queue(Job { text, units, done });
    outcome
}

/// What the threads of a trail and its handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) head: std::sync::Mutex<Head>,
    pub(crate) writable: AtomicBool,
    pub(crate) unsynced: AtomicBool,
    /// Grows with every write, so that the syncing thread knows whether there is anything to do.
    pub(crate) written: AtomicU64,
    pub(crate) counts: Counts,
}

impl Shared {
    pub(crate) fn starting_at(head: Head) -> Self {
        Self {
            head: head.into(),
            writable: AtomicBool::new(true),
            unsynced: AtomicBool::new(false),
            written: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    pub(crate) writes: Counter,
    pub(crate) failures: Counter,
}

impl From<recovery::RecoverError> for OpenError {
    fn from(error: recovery::RecoverError) -> Self {
        match error {
            recovery::RecoverError::Io { path, source } => Self::Io { path, source },
            recovery::RecoverError::OtherNode { path, found } => Self::OtherNode { path, found },
        }
    }
}

fn lock(config: &TrailConfig) -> Result<File, OpenError> {
    let path = config.directory.join("lock");
    let opened = recovery::append_options().create(true).open(&path);
    let file = opened.map_err(|source| OpenError::Io { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse { directory: config.directory.clone() }),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

fn report(recovery: &Recovery) {
    if let Some(file) = &recovery.set_aside {
        tracing::warn!(file = %file.display(), "a half-written end of the audit trail was set aside");
    }
    if let Some(damage) = &recovery.damage {
        tracing::error!(%damage, head = %recovery.head, "the audit trail is damaged; it continues in a new file");
    }
}

/// The room that `bytes` take in the queue, which is counted in units so that a semaphore's permits suffice.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).expect("a record is bounded, and so is the queue")
}

const UNIT_BYTES: usize = 1024;
const RECORD_BYTES_TYPICAL: usize = 1536;
/// A request body is at most 1 MiB, and escaping makes its text no longer than it was.
const RECORD_BYTES_MAX: usize = 2 << 20;
