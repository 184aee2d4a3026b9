//! What can go wrong with a node's data, in words an operator can act on.

use std::io;
use std::path::{Path, PathBuf};

/// Why a node's storage cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another instance runs on the same folder.
    #[error("{} is in use by another Meridian node; stop it, or give this one a data folder of its own", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Records that this node had acknowledged cannot be read any more.
    #[error(
        "the Raft log in {} is damaged at byte {offset}, below byte {acknowledged} up to which it was acknowledged; \
         do not cut it by hand: replace the node's data folder from its peers or from a backup",
        path.display()
    )]
    LogDamaged {
        /// The log folder.
        path: PathBuf,
        /// The first byte that cannot be read.
        offset: u64,
        /// Everything below this byte was on stable storage once.
        acknowledged: u64,
        /// What reading it said.
        #[source]
        source: io::Error,
    },
    /// The log cannot be opened at all.
    #[error("the Raft log in {} cannot be opened", path.display())]
    LogUnreadable {
        /// The log folder.
        path: PathBuf,
        /// What the log said.
        #[source]
        source: io::Error,
    },
    /// A snapshot that is needed cannot be used.
    #[error("the snapshot {} is unusable ({reason}), and no other copy reaches back far enough", path.display())]
    SnapshotUnusable {
        /// The snapshot file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither snapshot nor image reaches back to where the log begins.
    #[error(
        "the log in {} begins after entry {purged}, but the newest usable state ends at entry {applied}; \
         replace the node's data folder from its peers or from a backup",
        path.display()
    )]
    Gap {
        /// The data folder.
        path: PathBuf,
        /// The last entry that was purged.
        purged: u64,
        /// The last entry contained in the newest usable state.
        applied: u64,
    },
}

impl StorageError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
