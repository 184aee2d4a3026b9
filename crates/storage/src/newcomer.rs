//! A node whose folder was empty when it started: it may be a new one, or one that lost its disk.
//!
//! The latter has forgotten what it promised: which leader it voted for, and which entries it helped to commit.
//! Until it holds everything that was committed again, it must neither vote nor stand for election. The marker
//! of that survives restarts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::StorageError;
use crate::data_dir::{private_file, sync_folder};

/// Whether a node still has to catch up before it may vote.
#[derive(Debug)]
pub struct Newcomer {
    marker: PathBuf,
    is_newcomer: AtomicBool,
}

impl Newcomer {
    /// `is_empty` says that the folder holds neither log nor vote.
    pub(crate) fn open(folder: &Path, is_empty: bool) -> Result<Self, StorageError> {
        let marker = folder.join("NEWCOMER");
        if is_empty {
            let created = private_file().create(true).truncate(true).open(&marker).and_then(|file| file.sync_all());
            created.and_then(|()| sync_folder(folder)).map_err(|source| StorageError::io("create", &marker, source))?;
        }
        let is_newcomer = AtomicBool::new(marker.exists());
        Ok(Self { marker, is_newcomer })
    }

    /// Whether the node must not vote yet.
    #[must_use]
    pub fn is_newcomer(&self) -> bool {
        self.is_newcomer.load(Ordering::Acquire)
    }

    /// The node holds everything that was committed, or nothing ever was: it may vote from now on, restarts
    /// included. Blocks the thread for one sync.
    ///
    /// # Errors
    /// [`StorageError::Io`] if that cannot be made durable; it then stays a newcomer.
    pub fn settle(&self) -> Result<(), StorageError> {
        if !self.is_newcomer() {
            return Ok(());
        }
        let folder = self.marker.parent().expect("the marker lies in the data folder");
        std::fs::remove_file(&self.marker)
            .and_then(|()| sync_folder(folder))
            .map_err(|source| StorageError::io("remove", &self.marker, source))?;
        self.is_newcomer.store(false, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_stays_one_until_it_has_caught_up() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Newcomer::open(folder.path(), true).unwrap().is_newcomer());
        let restarted = Newcomer::open(folder.path(), false).unwrap();
        assert!(restarted.is_newcomer());
        restarted.settle().unwrap();
        assert!(!restarted.is_newcomer());
        assert!(!Newcomer::open(folder.path(), false).unwrap().is_newcomer());
    }
}
