//! Where things are: the root of the tree and the folder for everything that tasks make.

use std::path::{Path, PathBuf};

/// Root of the workspace, two folders above this crate.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask lives in crates/xtask")
}

/// The target folder, where Cargo was told to put it. Tools and the Python environment live in it too, so that
/// removing it leaves the tree as it was cloned.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}
