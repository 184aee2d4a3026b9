//! The `file` seal: the root key of a Region in a file that only its owner can read.
//!
//! | offset | bytes | format version 1 |
//! |---|---|---|
//! | 0 | 8 | `MRD-ROOT` |
//! | 8 | 1 | format version, 1 |
//! | 9 | 32 | root key |
//! | 41 | 32 | its check value ([`RootKey::check_value`]), by which damage is noticed |
//!
//! Every node of a Region holds the same file. Whoever reads it together with the data of a node can open every KMS key of
//! the Region, and without it nobody can: keep a copy apart from the backups of the data.
//!
//! Always true: the file appears whole and on stable storage under its name or not at all, and no file is ever overwritten.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use meridian_crypto::{RandomError, RootKey, Secret, SecretBytes, random};

/// Why a root key was not kept or not read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no file of that name.
    #[error("the root key file {} does not exist", path.display())]
    Missing {
        /// The root key file.
        path: PathBuf,
    },
    /// There is such a file already.
    #[error("{} exists already, and a root key is never overwritten", path.display())]
    Exists {
        /// The root key file.
        path: PathBuf,
    },
    /// Others than the owner may use the file.
    #[error("the root key file {} has mode {mode:04o}, which lets others at it; set it to 0600", path.display())]
    TooOpen {
        /// The root key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder, a device or the like.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was to be the root key file.
        path: PathBuf,
    },
    /// Not a root key file of a version known here.
    #[error("{} is not a root key file that this version can read: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key in the file is not the one that was written.
    #[error("the root key in {} is damaged; restore the file from a copy", path.display())]
    Damaged {
        /// The root key file.
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
    /// No randomness for a new root key.
    #[error("no root key could be made")]
    Random(#[source] RandomError),
}

/// A root key kept in a file.
#[derive(Clone, Debug)]
pub struct FileSeal {
    path: PathBuf,
}

impl FileSeal {
    /// The seal whose file is, or will be, at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the root key, or makes one if there is no file yet.
    ///
    /// # Errors
    /// As [`FileSeal::open`] and [`FileSeal::create`], except for a file that is missing.
    pub fn open_or_create(&self) -> Result<RootKey, VaultError> {
        match self.open() {
            Err(VaultError::Missing { .. }) => match self.create() {
                Err(VaultError::Exists { .. }) => self.open(), // somebody else was faster
                created => created,
            },
            opened => opened,
        }
    }

    /// Makes a root key and keeps it in a new file of mode 0600, which has reached stable storage on return.
    ///
    /// # Errors
    /// [`VaultError::Exists`] if there is a file already; [`VaultError::Io`] or [`VaultError::Random`] if the system
    /// fails, and then there is none.
    pub fn create(&self) -> Result<RootKey, VaultError> {
        let root_key = RootKey::generate().map_err(VaultError::Random)?;
        let draft = self.draft_path()?;
        let kept = self.keep(&root_key, &draft);
        // The name of the draft has served its purpose; after a failure the whole draft has.
        let removed = std::fs::remove_file(&draft).map_err(|source| self.io("remove the draft of", source));
        kept.and(removed)?;
        sync_folder_of(&self.path).map_err(|source| self.io("sync the folder of", source))?;
        Ok(root_key)
    }

    /// Reads the root key.
    ///
    /// # Errors
    /// [`VaultError::Missing`] if there is no file, [`VaultError::TooOpen`] if anybody but its owner may read or write it,
    /// [`VaultError::Malformed`] or [`VaultError::Damaged`] if it does not hold a root key.
    pub fn open(&self) -> Result<RootKey, VaultError> {
        let mut file = File::open(&self.path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => VaultError::Missing { path: self.path.clone() },
            _ => self.io("open", source),
        })?;
        self.check_metadata(&file)?;
        let content = SecretBytes::try_init(FILE_LEN, |bytes| file.read_exact(bytes))
            .map_err(|source| self.io("read", source))?;
        let root_key = self.parse(content.expose())?;
        tracing::warn!(
            path = %self.path.display(),
            "the root key is sealed by nothing but the permissions of a file; use this seal for development only"
        );
        Ok(root_key)
    }

    /// Writes the draft and gives it its name, unless something has that name already.
    fn keep(&self, root_key: &RootKey, draft: &Path) -> Result<(), VaultError> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(draft)
            .map_err(|source| self.io("create", source))?;
        let written = file.write_all(encode(root_key).expose()).and_then(|()| file.sync_all());
        written.map_err(|source| self.io("write", source))?;
        // Unlike a rename, a hard link never replaces what is there.
        std::fs::hard_link(draft, &self.path).map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => VaultError::Exists { path: self.path.clone() },
            _ => self.io("create", source),
        })
    }

    /// Asked of the open file rather than of its name, which could be exchanged in between.
    fn check_metadata(&self, file: &File) -> Result<(), VaultError> {
        let metadata = file.metadata().map_err(|source| self.io("inspect", source))?;
        let path = self.path.clone();
        let mode = metadata.mode() & 0o7777;
        if !metadata.is_file() {
            return Err(VaultError::NotAFile { path });
        }
        if mode & 0o077 != 0 {
            return Err(VaultError::TooOpen { path, mode });
        }
        if metadata.len() != FILE_LEN as u64 {
            return Err(VaultError::Malformed { path, reason: "it has the wrong length" });
        }
        Ok(())
    }

    fn parse(&self, content: &[u8]) -> Result<RootKey, VaultError> {
        let malformed = |reason| VaultError::Malformed { path: self.path.clone(), reason };
        let (magic, rest) = content.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(malformed("it does not begin with MRD-ROOT"));
        }
        if rest[0] != FORMAT_VERSION {
            return Err(malformed("its format version is not known"));
        }
        let (key, check_value) = rest[1..].split_at(KEY_LEN);
        let root_key = RootKey::from_seal(Secret::init(|bytes| bytes.copy_from_slice(key)));
        if root_key.check_value() != *check_value {
            return Err(VaultError::Damaged { path: self.path.clone() });
        }
        Ok(root_key)
    }

    /// A name in the same folder that no other process uses.
    fn draft_path(&self) -> Result<PathBuf, VaultError> {
        let random: [u8; 8] = random::random_bytes().map_err(VaultError::Random)?;
        let mut name = self.path.file_name().map_or_else(OsString::new, OsString::from);
        let mut suffix = String::from(".draft-");
        for byte in random {
            write!(suffix, "{byte:02x}").expect("writing to a String cannot fail");
        }
        name.push(suffix);
        Ok(self.path.with_file_name(name))
    }

    fn io(&self, action: &'static str, source: io::Error) -> VaultError {
        VaultError::Io { action, path: self.path.clone(), source }
    }
}

fn encode(root_key: &RootKey) -> SecretBytes {
    SecretBytes::init(FILE_LEN, |content| {
        let (magic, rest) = content.split_at_mut(MAGIC.len());
        let (version, rest) = rest.split_at_mut(1);
        let (key, check_value) = rest.split_at_mut(KEY_LEN);
        magic.copy_from_slice(MAGIC);
        version[0] = FORMAT_VERSION;
        key.copy_from_slice(root_key.expose_to_seal().expose());
        check_value.copy_from_slice(&root_key.check_value());
    })
}

/// Makes a name created or removed beside `path` survive power loss.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

const MAGIC: &[u8; 8] = b"MRD-ROOT";
const FORMAT_VERSION: u8 = 1;
const KEY_LEN: usize = 32;
const FILE_LEN: usize = MAGIC.len() + 1 + KEY_LEN + 32;

#[cfg(test)]
mod tests;
