//! Disks of a test's own: small ones that can be full, and ones that cannot be written to.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory, of a fixed size, mounted as long as this lives.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts a disk; `None`, loudly, where the system does not permit that.
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = format!("size={mebibytes}m,mode=0700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "meridian-test"]).arg(folder.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder }),
            Ok(output) => skip(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => skip(&error.to_string()),
        }
    }

    /// The root of the disk.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Lets nobody write any more.
    pub fn make_read_only(&self) {
        let output = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).output();
        let output = output.expect("mount worked before");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Takes all the space but `left` bytes, or a little less; gives the file that holds it.
    pub fn fill_but(&self, left: u64) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).expect("can be opened");
        for size in [65_536, 4_096] {
            let block = vec![0_u8; size];
            while file.write_all(&block).is_ok() {}
        }
        let taken = file.metadata().expect("readable").len();
        file.set_len(taken.saturating_sub(left)).expect("writable");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left may still hold files.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

fn skip<T>(reason: &str) -> Option<T> {
    eprintln!("SKIPPED: this test needs to mount a file system, which is not permitted here: {}", reason.trim());
    None
}

/// Overwrites the middle of a file with bytes that mean nothing.
pub fn overwrite_middle(path: &Path, share: u64) {
    use std::io::{Seek, SeekFrom};
    let mut file = OpenOptions::new().write(true).open(path).expect("there is such a file");
    let length = file.metadata().expect("readable").len();
    let begin = length / share;
    file.seek(SeekFrom::Start(begin)).expect("within the file");
    let garbage: Vec<u8> = (0..64_u8).map(|byte| byte.wrapping_mul(167) ^ 0x5a).collect();
    file.write_all(&garbage).expect("writable");
    file.sync_all().expect("writable");
}

/// Cuts a file off at `length`.
pub fn truncate(path: &Path, length: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("there is such a file");
    file.set_len(length).expect("writable");
}

/// Every file below `folder` with its content and mode, for comparisons.
pub fn tree(folder: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("readable");
            let metadata = entry.metadata().expect("readable");
            if metadata.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let content = std::fs::read(entry.path()).expect("readable");
            found.push((entry.path(), metadata.permissions().mode() & 0o7777, content));
        }
    }
    found.sort();
    found
}

/// The length of a file.
pub fn length(path: &Path) -> u64 {
    File::open(path).and_then(|file| file.metadata()).expect("there is such a file").len()
}
