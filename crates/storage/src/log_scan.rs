//! Proof, before the log is opened, that whatever opening may cut off was never acknowledged.
//!
//! `raft-log` cuts a last file at the first record that ends too early or is all zeros. That is right for a
//! write that power loss interrupted, and wrong for a file that lost acknowledged bytes. The mark of
//! [`crate::flushed`] tells the two apart; nothing is changed here.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use raft_log::RaftLogRecord;
use raft_log::codeq::Decode;

use crate::StorageError;
use crate::log_records::Records;

/// Reads the file in which acknowledged records end, and fails if one of them cannot be read.
///
/// Earlier files are complete by construction (a file is synced before its successor is begun) and `raft-log`
/// refuses to cut them.
///
/// # Errors
/// [`StorageError::LogDamaged`] with the first unreadable byte.
pub(crate) fn prove_acknowledged_records(folder: &Path, acknowledged: u64) -> Result<(), StorageError> {
    if acknowledged == 0 {
        return Ok(());
    }
    let damaged = |offset, source| StorageError::LogDamaged { path: folder.to_owned(), offset, acknowledged, source };
    let files = log_files(folder).map_err(|source| StorageError::io("list", folder, source))?;
    let Some((start, path)) = files.into_iter().rev().find(|(start, _)| *start < acknowledged) else {
        return Err(damaged(0, io::Error::new(io::ErrorKind::NotFound, "the file that held it is gone")));
    };
    let bytes = std::fs::read(&path).map_err(|source| StorageError::io("read", &path, source))?;
    let mut cursor = Cursor::new(bytes.as_slice());
    while start + cursor.position() < acknowledged {
        let at = start + cursor.position();
        RaftLogRecord::<Records>::decode(&mut cursor).map_err(|source| damaged(at, source))?;
    }
    Ok(())
}

/// The log's files with the offset each begins at, in order.
fn log_files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(start) = raft_log::chunked_wal::Config::parse_chunk_file_name(&entry.file_name().to_string_lossy()) {
            files.push((start, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}
