//! The folder of snapshots: one current file, and whatever is being written or received beside it.
//!
//! Always true: the current snapshot is complete, synced and named; a newer one never gives way to an older one;
//! nothing is removed before its successor is safe.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meridian_state::RegionState;

use crate::StorageError;
use crate::codec::Position;
use crate::data_dir::{private_file, sync_folder};
use crate::snapshot::SnapshotFile;

/// Suffix of files that are not snapshots yet.
const TEMPORARY: &str = "part";

/// The snapshots of a node. Clones share them.
#[derive(Clone, Debug)]
pub struct Snapshots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    current: Mutex<Option<SnapshotFile>>,
    next_temporary: AtomicU64,
}

impl Snapshots {
    /// Opens the folder: removes unfinished files, keeps the newest usable snapshot.
    ///
    /// Also gives back a snapshot that is there but damaged, for the caller to decide whether it is needed.
    ///
    /// # Errors
    /// [`StorageError::Io`] if the folder cannot be read.
    pub(crate) fn open(folder: PathBuf) -> Result<(Self, Option<StorageError>), StorageError> {
        let (mut newest, mut unusable): (Option<SnapshotFile>, _) = (None, None);
        let entries = std::fs::read_dir(&folder).map_err(|source| StorageError::io("list", &folder, source))?;
        for entry in entries {
            let path = entry.map_err(|source| StorageError::io("list", &folder, source))?.path();
            if path.extension().is_some_and(|extension| extension == TEMPORARY) {
                std::fs::remove_file(&path).map_err(|source| StorageError::io("remove", &path, source))?;
                continue;
            }
            match SnapshotFile::open(&path) {
                Ok(file) if newest.as_ref().is_none_or(|known| known.position().applied < file.position().applied) => {
                    newest = Some(file);
                }
                Ok(_) => {}
                Err(error) => unusable = Some(StorageError::SnapshotUnusable { path, reason: error.to_string() }),
            }
        }
        let inner = Inner { folder, current: Mutex::new(newest), next_temporary: AtomicU64::new(0) };
        Ok((Self(Arc::new(inner)), unusable))
    }

    /// The newest complete snapshot.
    #[must_use]
    pub fn current(&self) -> Option<SnapshotFile> {
        self.lock().clone()
    }

    /// Writes a snapshot of `state` and makes it current. Blocks the thread.
    ///
    /// # Errors
    /// Whatever the file system says; the current snapshot then stays.
    pub(crate) fn build(&self, state: &RegionState, position: &Position) -> io::Result<SnapshotFile> {
        let file = SnapshotFile::write(&self.temporary_path(), state, position)?;
        self.adopt(file)
    }

    /// Begins to receive a snapshot from a peer.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn receive(&self) -> io::Result<SnapshotReceiver> {
        let path = self.temporary_path();
        let file = private_file().create_new(true).open(&path)?;
        Ok(SnapshotReceiver { path, file: Some(file), length: 0 })
    }

    /// Gives a complete, synced file its final name and makes it current, unless a newer one is.
    pub(crate) fn adopt(&self, file: SnapshotFile) -> io::Result<SnapshotFile> {
        let mut current = self.lock();
        if let Some(newer) = current.as_ref().filter(|known| known.position().applied > file.position().applied) {
            std::fs::remove_file(file.path())?;
            return Ok(newer.clone());
        }
        let path = self.0.folder.join(final_name(file.position()));
        if path != file.path() {
            std::fs::rename(file.path(), &path)?;
        }
        sync_folder(&self.0.folder)?;
        let file = file.renamed(path);
        *current = Some(file.clone());
        self.remove_others(file.path());
        Ok(file)
    }

    /// Forgets a snapshot whose rows turned out to be damaged, so that a new one is built.
    pub(crate) fn discard(&self, file: &SnapshotFile) {
        let mut current = self.lock();
        if current.as_ref().is_some_and(|known| known.path() == file.path()) {
            *current = None;
        }
        if let Err(error) = std::fs::remove_file(file.path()) {
            tracing::warn!(path = %file.path().display(), %error, "a damaged snapshot could not be removed");
        }
    }

    fn remove_others(&self, keep: &Path) {
        let Ok(entries) = std::fs::read_dir(&self.0.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let unfinished = path.extension().is_some_and(|extension| extension == TEMPORARY);
            if path != keep && !unfinished {
                // Left behind, it costs space only, and the next start or snapshot tries again.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn temporary_path(&self) -> PathBuf {
        let number = self.0.next_temporary.fetch_add(1, Ordering::Relaxed);
        self.0.folder.join(format!("{number}.{TEMPORARY}"))
    }

    fn lock(&self) -> MutexGuard<'_, Option<SnapshotFile>> {
        // Every critical section leaves the value whole, so a panic elsewhere does not matter.
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn final_name(position: &Position) -> String {
    match &position.applied {
        Some(id) => format!("snapshot-{}-{}-{}", id.leader_id.term, id.leader_id.node_id, id.index),
        None => "snapshot-empty".to_owned(),
    }
}

/// A snapshot on its way in. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub struct SnapshotReceiver {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl SnapshotReceiver {
    /// Appends bytes as the peer sent them. Blocks the thread.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.file.as_mut().expect("present until finished").write_all(bytes)
    }

    /// Bytes received so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Syncs the file and checks that it begins and ends as a snapshot; its rows are checked when it is
    /// installed. Blocks the thread.
    ///
    /// # Errors
    /// `InvalidData` if what was received is not a complete snapshot.
    pub fn finish(mut self) -> io::Result<SnapshotFile> {
        self.file.as_ref().expect("present until finished").sync_all()?;
        let file = SnapshotFile::open(&self.path)?;
        self.file = None;
        Ok(file)
    }
}

impl Drop for SnapshotReceiver {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What stays behind after a failure here is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
