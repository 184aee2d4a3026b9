//! Who hears when a part of the log has reached stable storage, and the mark that remembers how far that was.
//!
//! Always true: the mark is written after the fsync it speaks of and before anybody is told, so every byte below
//! it was acknowledged and durable. It is not fsynced itself: after a power loss it may be too low, never too high.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use crate::StorageError;
use crate::data_dir::private_file;
use crate::raft_types::TypeConfig;

/// Bytes of the mark's file: the offset and its checksum.
const MARK_SIZE: usize = 12;

/// The offset in the log below which everything was acknowledged.
#[derive(Debug)]
pub(crate) struct AcknowledgedMark {
    file: File,
    offset: AtomicU64,
}

impl AcknowledgedMark {
    /// Opens or creates the mark. A mark that cannot be read counts as 0: it protects, it is not needed.
    pub(crate) fn open(path: &Path) -> Result<Self, StorageError> {
        let io_error = |source| StorageError::io("open", path, source);
        let file = private_file().create(true).truncate(false).open(path).map_err(io_error)?;
        let mut bytes = [0; MARK_SIZE];
        let offset = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => read_mark(&bytes).unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(io_error(error)),
        };
        Ok(Self { file, offset: AtomicU64::new(offset) })
    }

    /// Everything below this offset was acknowledged.
    pub(crate) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    fn advance(&self, offset: u64) -> io::Result<()> {
        if offset <= self.offset() {
            return Ok(());
        }
        let mut bytes = [0; MARK_SIZE];
        bytes[..8].copy_from_slice(&offset.to_be_bytes());
        bytes[8..].copy_from_slice(&crc32fast::hash(&offset.to_be_bytes()).to_be_bytes());
        self.file.write_all_at(&bytes, 0)?;
        self.offset.store(offset, Ordering::Release);
        Ok(())
    }
}

fn read_mark(bytes: &[u8; MARK_SIZE]) -> Option<u64> {
    let (offset, checksum) = bytes.split_at(8);
    let offset = u64::from_be_bytes(offset.try_into().ok()?);
    (crc32fast::hash(&offset.to_be_bytes()).to_be_bytes() == checksum).then_some(offset)
}

/// Told by the log's flush thread once what was written before it is on stable storage.
///
/// Dropped untold, because the flush thread died, it reports a failure: nobody may wait for ever, nor take
/// silence for success.
pub(crate) struct OnFlushed {
    listener: Option<Listener>,
    offset: u64,
    mark: Arc<AcknowledgedMark>,
}

enum Listener {
    Engine(IOFlushed<TypeConfig>),
    Caller(oneshot::Sender<io::Result<()>>),
}

impl OnFlushed {
    /// Tells the engine that the log is durable up to `offset`.
    pub(crate) fn engine(callback: IOFlushed<TypeConfig>, offset: u64, mark: &Arc<AcknowledgedMark>) -> Self {
        Self { listener: Some(Listener::Engine(callback)), offset, mark: Arc::clone(mark) }
    }

    /// Tells a waiting caller.
    pub(crate) fn caller(offset: u64, mark: &Arc<AcknowledgedMark>) -> (Self, oneshot::Receiver<io::Result<()>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { listener: Some(Listener::Caller(sender)), offset, mark: Arc::clone(mark) }, receiver)
    }

    fn tell(&mut self, result: io::Result<()>) {
        match self.listener.take() {
            Some(Listener::Engine(callback)) => callback.io_completed(result),
            // A caller that went away does not need to know.
            Some(Listener::Caller(sender)) => drop(sender.send(result)),
            None => {}
        }
    }
}

impl raft_log::Callback for OnFlushed {
    fn send(mut self, result: io::Result<()>) {
        let result = result.and_then(|()| self.mark.advance(self.offset));
        self.tell(result);
    }
}

impl Drop for OnFlushed {
    fn drop(&mut self) {
        self.tell(Err(io::Error::other("the log's flush thread stopped before this was durable")));
    }
}
