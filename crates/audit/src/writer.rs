//! The writer of a trail, its queue, and the two threads behind them: one takes over a queue that does not empty, one
//! syncs.
//!
//! Whoever finds the writer idle writes its record itself, and then whatever others have queued meanwhile: handing a
//! record to a thread and being woken again costs more than the write. Everybody else queues, so that a write that
//! stalls holds up one caller at most.
//!
//! Always true: the chain in memory moves on only after its lines are in the file. After a failed write the file is cut
//! back to the last whole line before anything else is written to it. A queued record has somebody who will write it:
//! whoever holds the writer looks at the queue again after letting go.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak, mpsc as std_mpsc};
use std::thread;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::chain::{Head, write_line};
use crate::recovery::{OpenFile, begin_file};
use crate::trail::{OpenError, Shared, TrailConfig, TrailError};

/// One record on its way into the file.
pub(crate) struct Job {
    pub(crate) text: Vec<u8>,
    pub(crate) units: u32,
    pub(crate) done: oneshot::Sender<Result<(), TrailError>>,
}

/// What the writing thread is asked for.
pub(crate) enum Message {
    /// Take over the queue, which others have written from for long enough.
    Drain,
    /// Write what is queued and end the trail.
    Close(oneshot::Sender<Result<(), TrailError>>),
}

/// The writer and the queue in front of it, shared by all who record and by the writing thread.
pub(crate) struct Desk {
    /// `None` once the trail is closed.
    writer: Mutex<Option<Writer>>,
    /// Bounded in bytes by the trail's semaphore.
    queue: Mutex<Vec<Job>>,
    thread: mpsc::UnboundedSender<Message>,
    /// Whether the thread was asked to take over and has not begun yet; at most one such message is under way.
    is_handed_over: AtomicBool,
}

impl Desk {
    /// Writes `text` in this thread if nobody else is writing; `None` if somebody is.
    pub(crate) fn write_now(&self, text: &[u8]) -> Option<Result<(), TrailError>> {
        let mut writer = self.try_writer()?;
        let result = writer.as_mut().map_or(Err(TrailError::Closed), |writer| writer.write_all(&[text]));
        self.drain(writer);
        Some(result)
    }

    /// Queues `job`; whoever is writing writes it as well.
    pub(crate) fn queue(&self, job: Job) {
        self.jobs().push(job);
        if let Some(writer) = self.try_writer() {
            self.drain(writer);
        }
    }

    /// Ends the trail, once what is queued is written.
    pub(crate) fn close(&self, done: oneshot::Sender<Result<(), TrailError>>) -> Result<(), TrailError> {
        self.thread.send(Message::Close(done)).map_err(|_| TrailError::Closed)
    }

    /// Writes what is queued, and what is queued meanwhile, up to a limit: a caller has other things to do.
    fn drain(&self, writer: MutexGuard<'_, Option<Writer>>) {
        let mut held = Some(writer);
        for _ in 0..ROUNDS_MAX {
            let Some(mut writer) = held.take().or_else(|| self.try_writer()) else { return }; // its holder looks again
            self.write_group(&mut writer);
            drop(writer);
            if self.jobs().is_empty() {
                return;
            }
        }
        if !self.is_handed_over.swap(true, Ordering::AcqRel) {
            let _closed = self.thread.send(Message::Drain); // a closed trail has no thread, and drops what is queued
        }
    }

    /// Writes everything that is queued, however long it takes. As in [`Self::drain`], the last look at the queue comes after
    /// letting go of the writer.
    fn drain_all(&self) {
        while !self.jobs().is_empty() {
            self.write_group(&mut self.writer());
        }
    }

    /// Ends the writer, and tells whoever has queued since that the trail is closed.
    fn end(&self) {
        drop(self.writer().take());
        self.jobs().clear();
    }

    /// Writes the oldest of what is queued with one call. Drops it if the trail is closed, which tells whoever waits.
    fn write_group(&self, writer: &mut Option<Writer>) {
        let mut group = {
            let mut jobs = self.jobs();
            let count = jobs.len().min(GROUP_RECORDS_MAX);
            let rest = jobs.split_off(count);
            std::mem::replace(&mut *jobs, rest)
        };
        if let Some(writer) = writer.as_mut().filter(|_| !group.is_empty()) {
            writer.write(&mut group);
        }
    }

    fn try_writer(&self) -> Option<MutexGuard<'_, Option<Writer>>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(_)) => unreachable!("no holder of this lock panics"),
        }
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().expect("no holder of this lock panics")
    }

    fn jobs(&self) -> MutexGuard<'_, Vec<Job>> {
        self.queue.lock().expect("no holder of this lock panics")
    }
}

/// Chains records and writes them.
pub(crate) struct Writer {
    config: TrailConfig,
    head: Head,
    current: OpenFile,
    /// A failed write may have left part of a line behind `current.bytes`.
    must_cut: bool,
    lines: Vec<u8>,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    syncs: Arc<Mutex<Vec<Arc<File>>>>,
}

impl Writer {
    pub(crate) fn new(
        config: TrailConfig,
        head: Head,
        current: OpenFile,
        shared: Arc<Shared>,
        room: Arc<Semaphore>,
    ) -> Self {
        let syncs = Arc::new(Mutex::new(vec![Arc::clone(&current.file)]));
        Self { config, head, current, must_cut: false, lines: Vec::new(), shared, room, syncs }
    }

    /// Writes `jobs` with one call and tells each how it went.
    fn write(&mut self, jobs: &mut Vec<Job>) {
        let texts: Vec<&[u8]> = jobs.iter().map(|job| job.text.as_slice()).collect();
        let result = self.write_all(&texts);
        let units: u32 = jobs.iter().map(|job| job.units).sum();
        for job in jobs.drain(..) {
            let _gone = job.done.send(result.clone()); // whoever no longer waits does not need to know
        }
        self.room.add_permits(units as usize);
    }

    /// Writes records with one call, and counts them.
    pub(crate) fn write_all(&mut self, texts: &[&[u8]]) -> Result<(), TrailError> {
        let result = self.try_write(texts);
        let counts = &self.shared.counts;
        match &result {
            Ok(bytes) => {
                counts.records.inc_by(texts.len() as u64);
                counts.bytes.inc_by(*bytes);
                counts.writes.inc();
            }
            Err(_) => drop(counts.failures.inc_by(texts.len() as u64)),
        }
        self.note_health(result.as_ref().err());
        result.map(|_| ())
    }

    fn try_write(&mut self, texts: &[&[u8]]) -> Result<u64, TrailError> {
        if self.shared.unsynced.load(Ordering::Relaxed) {
            return Err(TrailError::Unsynced);
        }
        self.prepare_file().map_err(write_error)?;
        let mut head = self.head;
        self.lines.clear();
        for text in texts {
            head = head.next(text);
            write_line(&mut self.lines, head, text);
        }
        if let Err(error) = (&*self.current.file).write_all(&self.lines) {
            self.must_cut = true;
            return Err(write_error(error));
        }
        let bytes = self.lines.len() as u64;
        self.lines.shrink_to(LINES_BYTES_KEPT);
        self.current.bytes += bytes;
        self.head = head;
        *self.shared.head.lock().expect("no holder of this lock panics") = head;
        self.shared.written.fetch_add(1, Ordering::Release);
        Ok(bytes)
    }

    /// Makes the current file one that may be appended to: without remains of a failed write, and not full.
    fn prepare_file(&mut self) -> io::Result<()> {
        if self.must_cut {
            self.current.file.set_len(self.current.bytes)?;
            self.must_cut = false;
        }
        let holds_records = self.head.sequence > self.current.start;
        if holds_records && self.current.bytes >= self.config.rotate_bytes {
            let next = begin_file(&self.config.directory, &self.config.node, self.head)?;
            self.syncs.lock().expect("no holder of this lock panics").push(Arc::clone(&next.file));
            self.current = next;
        }
        Ok(())
    }

    /// Logs once when writing stops working, and once when it works again.
    fn note_health(&self, error: Option<&TrailError>) {
        let was_writable = self.shared.writable.swap(error.is_none(), Ordering::Relaxed);
        match error {
            Some(error) if was_writable => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(%error, cause, "audit records cannot be written; requests are refused");
            }
            None if !was_writable => tracing::info!("audit records can be written again"),
            _ => {}
        }
    }
}

/// Takes over queues until the trail is closed or its handle is gone; gives whoever waits for the close.
fn run(
    desk: &Weak<Desk>,
    mut messages: mpsc::UnboundedReceiver<Message>,
) -> Option<oneshot::Sender<Result<(), TrailError>>> {
    while let Some(message) = messages.blocking_recv() {
        let desk = desk.upgrade();
        if let Some(desk) = &desk {
            desk.is_handed_over.store(false, Ordering::Release);
            desk.drain_all();
        }
        if let Message::Close(done) = message {
            if let Some(desk) = desk {
                desk.end();
            }
            return Some(done);
        }
    }
    None
}

impl Drop for Writer {
    /// Whoever waits for room now waits in vain.
    fn drop(&mut self) {
        self.room.close();
    }
}

/// Starts the threads of a trail; they end when it is closed or dropped. The `lock` is theirs until then.
pub(crate) fn start(writer: Writer, lock: File) -> Result<Arc<Desk>, OpenError> {
    let directory = writer.config.directory.clone();
    let start_error = |source| OpenError::Io { path: directory, source };
    let syncer = Syncer {
        shared: Arc::clone(&writer.shared),
        files: Arc::clone(&writer.syncs),
        interval: writer.config.sync_interval,
        seen: 0,
    };
    let (stop, stopped) = std_mpsc::sync_channel::<()>(0);
    let syncing = thread::Builder::new().name("audit-sync".to_owned()).spawn(move || syncer.run(&stopped));
    let syncing = syncing.map_err(start_error.clone())?;
    let (sender, messages) = mpsc::unbounded_channel();
    let desk = Arc::new(Desk {
        writer: Mutex::new(Some(writer)),
        queue: Mutex::default(),
        thread: sender,
        is_handed_over: AtomicBool::new(false),
    });
    let weak = Arc::downgrade(&desk);
    let work = move || {
        let closing = run(&weak, messages);
        drop(stop);
        let result = syncing.join().unwrap_or(Err(TrailError::Unsynced));
        drop(lock); // before anybody hears that the trail is closed
        if let Some(done) = closing {
            let _gone = done.send(result);
        }
    };
    thread::Builder::new().name("audit-write".to_owned()).spawn(work).map_err(start_error)?;
    Ok(desk)
}

/// Brings written lines to the disk at an interval.
struct Syncer {
    shared: Arc<Shared>,
    /// The files that may hold unsynced lines; the last one is written to.
    files: Arc<Mutex<Vec<Arc<File>>>>,
    interval: std::time::Duration,
    seen: u64,
}

impl Syncer {
    /// Syncs until the other end of `stopped` is gone, and then once more.
    fn run(mut self, stopped: &std_mpsc::Receiver<()>) -> Result<(), TrailError> {
        while stopped.recv_timeout(self.interval) == Err(std_mpsc::RecvTimeoutError::Timeout) {
            self.sync();
        }
        self.sync();
        if self.shared.unsynced.load(Ordering::Relaxed) { Err(TrailError::Unsynced) } else { Ok(()) }
    }

    fn sync(&mut self) {
        let written = self.shared.written.load(Ordering::Acquire);
        if written == self.seen {
            return;
        }
        self.seen = written;
        let files = self.files.lock().expect("no holder of this lock panics").clone();
        let failed = files.iter().find_map(|file| file.sync_data().err());
        if let Some(error) = failed {
            // Linux drops the pages that it could not write, so a later success would prove nothing.
            self.shared.unsynced.store(true, Ordering::Relaxed);
            tracing::error!(%error, "the audit trail cannot be synced; requests are refused until a restart");
            return;
        }
        let mut remaining = self.files.lock().expect("no holder of this lock panics");
        let finished = files.len() - 1; // whatever followed them was begun meanwhile
        remaining.drain(..finished);
    }
}

fn write_error(error: io::Error) -> TrailError {
    TrailError::Write(Arc::new(error))
}

/// Bounds the time between two releases of waiting answers, not the throughput.
const GROUP_RECORDS_MAX: usize = 512;
/// Groups that a caller writes before the writing thread takes over.
const ROUNDS_MAX: usize = 16;
const LINES_BYTES_KEPT: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::time::Duration;

    use super::*;
    use crate::recovery;
    use crate::verify::verify;

    fn job(text: &str) -> (Job, oneshot::Receiver<Result<(), TrailError>>) {
        let (done, outcome) = oneshot::channel();
        (Job { text: text.as_bytes().to_vec(), units: 1, done }, outcome)
    }

    fn write_one(writer: &mut Writer, text: &str) -> Result<(), TrailError> {
        let (job, mut outcome) = job(text);
        writer.write(&mut vec![job]);
        outcome.try_recv().expect("told before `write` returns")
    }

    #[test]
    fn a_failed_write_refuses_its_records_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let config = TrailConfig::new(directory.path(), "n");
        let opened = recovery::open(directory.path(), "n").unwrap();
        let shared = Arc::new(Shared::starting_at(opened.recovery.head));
        let real = Arc::clone(&opened.current.file);
        let room = Arc::new(Semaphore::new(0));
        let mut writer =
            Writer::new(config, opened.recovery.head, opened.current, Arc::clone(&shared), Arc::clone(&room));
        write_one(&mut writer, "{\"n\":1}").unwrap();

        writer.current.file = Arc::new(OpenOptions::new().append(true).open("/dev/full").unwrap());
        let refused = write_one(&mut writer, "{\"n\":2}").unwrap_err();
        assert!(
            matches!(&refused, TrailError::Write(cause) if cause.kind() == io::ErrorKind::StorageFull),
            "{refused}"
        );
        assert!(!shared.writable.load(Ordering::Relaxed));
        assert_eq!(shared.counts.failures.get(), 1);

        (&*real).write_all(b"{\"sequence\":2,\"ha").unwrap(); // what a half-successful write leaves
        writer.current.file = real;
        write_one(&mut writer, "{\"n\":3}").unwrap();
        assert!(shared.writable.load(Ordering::Relaxed));
        assert_eq!(room.available_permits(), 3);
        let verified = verify(directory.path(), None).unwrap();
        assert_eq!((verified.records, verified.head), (2, writer.head));
    }

    #[test]
    fn nothing_is_recorded_after_a_failed_sync() {
        let directory = tempfile::tempdir().unwrap();
        let config = TrailConfig::new(directory.path(), "n");
        let opened = recovery::open(directory.path(), "n").unwrap();
        let shared = Arc::new(Shared::starting_at(opened.recovery.head));
        let room = Arc::new(Semaphore::new(0));
        let mut writer = Writer::new(config, opened.recovery.head, opened.current, Arc::clone(&shared), room);
        write_one(&mut writer, "{}").unwrap();
        let (_other_end, pipe) = io::pipe().unwrap();
        let unsyncable = Arc::new(File::from(std::os::fd::OwnedFd::from(pipe)));
        let mut syncer = Syncer {
            shared: Arc::clone(&shared),
            files: Arc::new(Mutex::new(vec![unsyncable])),
            interval: Duration::from_secs(1),
            seen: 0,
        };
        syncer.sync();
        assert!(matches!(write_one(&mut writer, "{}"), Err(TrailError::Unsynced)));
    }
}
