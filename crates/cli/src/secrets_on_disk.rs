//! Files that hold secrets: made once, with mode 0600, never replaced.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};

/// Mode of files that only their owner may read.
const PRIVATE: u32 = 0o600;
/// Mode of folders that only their owner may enter.
const PRIVATE_FOLDER: u32 = 0o700;

/// Makes `folder` and what is above it; only the owner may enter what is new.
///
/// # Errors
/// Names the folder.
pub(crate) fn private_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    fs::set_permissions(folder, Permissions::from_mode(PRIVATE_FOLDER))
        .with_context(|| format!("closing the folder {}", folder.display()))
}

/// Writes a new file, synced to disk.
///
/// # Errors
/// Names the file; an existing file is an error.
pub(crate) fn write_new(file: &Path, content: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut handle = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(file)?;
        handle.write_all(content)?;
        handle.sync_all()
    };
    write().with_context(|| format!("writing {}", file.display()))
}

/// The content of `file`, which is made from `make` first if it does not exist.
///
/// # Errors
/// Names the file.
pub(crate) fn read_or_make(file: &Path, make: impl FnOnce() -> Result<String>) -> Result<String> {
    if !file.exists() {
        write_new(file, make()?.as_bytes())?;
    }
    fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))
}
