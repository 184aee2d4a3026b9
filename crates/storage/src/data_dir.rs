//! The folder that belongs to one node: created private, locked while the node runs.
//!
//! Always true: at most one process holds a [`DataDir`] of a folder, and everything below it can be read by its
//! owner only (folders 0700; the lock keeps others out even where a library creates its files with wider modes).

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::StorageError;

/// A locked data folder. Dropping it unlocks the folder.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the folder if needed and locks it.
    ///
    /// # Errors
    /// [`StorageError::InUse`] if another process or another node of this process has it,
    /// [`StorageError::Io`] if it cannot be created or written to.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        create_private_folder(path)?;
        let lock_path = path.join("LOCK");
        let lock = private_file()
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|source| StorageError::io("open the lock file", &lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(StorageError::io("lock", &lock_path, source)),
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder below it, created with mode 0700 if it is missing.
    ///
    /// # Errors
    /// [`StorageError::Io`] if it cannot be created.
    pub fn folder(&self, name: &str) -> Result<PathBuf, StorageError> {
        let path = self.path.join(name);
        create_private_folder(&path)?;
        Ok(path)
    }
}

/// Options that create files which only their owner may read.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Makes a name created, renamed or removed in `folder` survive power loss.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates a folder and whatever is missing above it, so that all of it survives power loss.
fn create_private_folder(path: &Path) -> Result<(), StorageError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StorageError::io("create the folder", path, source))?;
    for parent in missing.iter().filter_map(|created| created.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        sync_folder(parent).map_err(|source| StorageError::io("make durable the folder", parent, source))?;
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
        .map_err(|source| StorageError::io("make private the folder", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_refused_by_name() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("node");
        let first = DataDir::open(&path).unwrap();
        let error = DataDir::open(&path).unwrap_err();
        assert!(matches!(error, StorageError::InUse { .. }));
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn folders_are_private() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&temp.path().join("node")).unwrap();
        let folder = dir.folder("raft").unwrap();
        for path in [dir.path(), &folder] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let lock = std::fs::metadata(dir.path().join("LOCK")).unwrap();
        assert_eq!(lock.permissions().mode() & 0o777, 0o600);
    }
}
