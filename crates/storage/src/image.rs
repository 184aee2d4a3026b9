//! The state image: every row of the state machine in sled, with the position it belongs to.
//!
//! A convenience, never the truth: it saves replaying the log at start. Each row carries a checksum; count and
//! sum of all checksums stand beside the position and are written in the same batch, so a lost, doubled or
//! damaged row is noticed when the image is loaded. Whatever looks wrong is an error here; the caller throws the
//! image away and rebuilds it from snapshot and log. Values stay far below sled's blob size (64 KiB per row).

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use meridian_model::{Partition, Region};
use meridian_state::{DecodeError, RegionState, RowChange};

use crate::codec::{CodecError, Position};
use crate::data_dir::{private_file, sync_folder};
use crate::read_ahead::read_ahead;

/// Written under [`META`]; another number means another layout.
const FORMAT: u32 = 1;
/// sled's page cache, in bytes: the pages that writes change, of about 50,000 keys. Nothing is read after the start.
const CACHE: u64 = 64 * 1024 * 1024;
/// Rows per batch when a whole state is written.
const RESET_BATCH: usize = 1024;
/// First byte of the one row that describes the others.
const META: &[u8] = &[0];
/// First byte of the key of every row of the state.
const ROW: u8 = 1;
/// Lists the files of a cleanly closed image with their checksums.
const MANIFEST: &str = "MANIFEST";

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("its files are not those that were closed")]
    Manifest,
    #[error("sled failed")]
    Sled(#[from] sled::Error),
    #[error("its files cannot be read")]
    Io(#[from] io::Error),
    #[error("sled panicked: {0}")]
    Panicked(String),
    #[error("it is not complete")]
    Incomplete,
    #[error("row {0} of it is damaged")]
    DamagedRow(u64),
    #[error("it holds {found} rows where {expected} were written, or other ones")]
    Totals { expected: u64, found: u64 },
    #[error("its position is unreadable")]
    Position(#[from] CodecError),
    #[error("its rows make no state")]
    Rows(#[from] DecodeError),
}

/// Count and sum of the checksums of all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    rows: u64,
    sum: u64,
}

impl Totals {
    fn add(&mut self, checksum: u32) {
        self.rows = self.rows.wrapping_add(1);
        self.sum = self.sum.wrapping_add(u64::from(checksum));
    }

    fn remove(&mut self, checksum: u32) {
        self.rows = self.rows.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(u64::from(checksum));
    }
}

/// The checksum of every row in the image, so that the totals can follow a change without reading what it replaces.
///
/// Rows are known by a hash of their keys, so that one takes about 20 bytes here and not 100. Should two keys ever share a
/// hash, the totals become wrong and the next start rebuilds the image.
#[derive(Debug, Default)]
struct Checksums {
    known: HashMap<u64, u32>,
    hasher: RandomState,
    totals: Totals,
}

impl Checksums {
    /// Notes that the row under `key` now has `checksum`, or is gone.
    fn set(&mut self, key: &[u8], checksum: Option<u32>) {
        let key = self.hasher.hash_one(key);
        let former = match checksum {
            Some(checksum) => {
                self.totals.add(checksum);
                self.known.insert(key, checksum)
            }
            None => self.known.remove(&key),
        };
        if let Some(former) = former {
            self.totals.remove(former);
        }
    }
}

/// An open image.
#[derive(Debug)]
pub(crate) struct Image {
    db: sled::Db,
    folder: PathBuf,
    checksums: Checksums,
}

impl Image {
    /// Opens the image in `folder`, or creates an empty one. A cleanly closed image whose files have changed
    /// since is refused without being opened.
    pub(crate) fn open(folder: &Path) -> Result<Self, ImageError> {
        check_manifest(folder)?;
        let config = sled::Config::new().path(folder).cache_capacity(CACHE).flush_every_ms(None);
        let db = guarded(|| config.open().map_err(ImageError::from))?;
        remove_if_there(&folder.join(MANIFEST))?;
        Ok(Self { db, folder: folder.to_owned(), checksums: Checksums::default() })
    }

    /// Reads the whole image; `None` if it is empty.
    pub(crate) fn load(
        &mut self,
        region: &Region,
        partition: Partition,
    ) -> Result<Option<(RegionState, Position)>, ImageError> {
        guarded(|| self.load_rows(region, partition))
    }

    fn load_rows(
        &mut self,
        region: &Region,
        partition: Partition,
    ) -> Result<Option<(RegionState, Position)>, ImageError> {
        let Some(meta) = self.db.get(META)? else {
            return if self.db.is_empty() { Ok(None) } else { Err(ImageError::Incomplete) };
        };
        let (expected, position) = read_meta(&meta)?;
        let mut found = Checksums::default();
        let mut failure = None;
        let rows = self.db.range([ROW].as_slice()..).map_while(|row| {
            let row = row.map_err(ImageError::from).and_then(|(key, value)| read_row(&key, &value, &mut found));
            row.map_err(|error| failure = Some(error)).ok()
        });
        let state = read_ahead(rows, |rows| RegionState::from_rows(region.clone(), partition, rows));
        if let Some(error) = failure {
            return Err(error);
        }
        if found.totals != expected {
            return Err(ImageError::Totals { expected: expected.rows, found: found.totals.rows });
        }
        self.checksums = found;
        Ok(Some((state?, position)))
    }

    /// Writes changed rows and the position they lead to, all or nothing.
    pub(crate) fn write(&mut self, changes: &[RowChange], position: &Position) -> Result<(), ImageError> {
        guarded(|| {
            // The last change of a row wins; the totals must count it once.
            let newest: BTreeMap<&[u8], Option<&[u8]>> =
                changes.iter().map(|change| (change.key.as_slice(), change.value.as_deref())).collect();
            let mut batch = sled::Batch::default();
            for (key, value) in newest {
                self.put(&mut batch, row_key(key), value);
            }
            batch.insert(META, meta_value(self.checksums.totals, position));
            self.db.apply_batch(batch)?;
            Ok(())
        })
    }

    /// Adds a row, or its end, to a batch. Should the batch fail, this image is not written to any more.
    fn put(&mut self, batch: &mut sled::Batch, key: Vec<u8>, value: Option<&[u8]>) {
        let value = value.map(|value| row_value(&key, value));
        let checksum = value.as_deref().map(|value| checksum_of(value).expect("row_value puts the checksum in front"));
        self.checksums.set(&key, checksum);
        match value {
            Some(value) => batch.insert(key, value),
            None => batch.remove(key),
        }
    }

    /// Replaces everything by `state`. Interrupted, it leaves an image that counts as incomplete.
    pub(crate) fn reset(&mut self, state: &RegionState, position: &Position) -> Result<(), ImageError> {
        guarded(|| {
            self.db.remove(META)?;
            self.db.clear()?;
            self.checksums = Checksums::default();
            let (mut batch, mut waiting) = (sled::Batch::default(), 0);
            for (key, value) in state.rows() {
                self.put(&mut batch, row_key(&key), Some(&value));
                waiting += 1;
                if waiting == RESET_BATCH {
                    self.db.apply_batch(std::mem::take(&mut batch))?;
                    waiting = 0;
                }
            }
            batch.insert(META, meta_value(self.checksums.totals, position));
            self.db.apply_batch(batch)?;
            Ok(())
        })
    }

    /// Makes everything written so far survive power loss: sled's own flush does not fsync.
    pub(crate) fn checkpoint(&self) -> Result<(), ImageError> {
        guarded(|| {
            self.db.flush()?;
            for path in files_below(&self.folder)? {
                File::open(path)?.sync_data()?;
            }
            Ok(sync_folder(&self.folder)?)
        })
    }

    /// Closes the image so that the next start can tell whether its files are the ones closed here.
    pub(crate) fn close(self) -> Result<(), ImageError> {
        self.checkpoint()?;
        let folder = self.folder.clone();
        drop(self);
        let manifest = manifest_of(&folder)?;
        let path = folder.join(MANIFEST);
        let file = private_file().create(true).truncate(true).open(&path)?;
        io::Write::write_all(&mut &file, manifest.as_bytes())?;
        file.sync_all()?;
        Ok(sync_folder(&folder)?)
    }
}

/// Turns a panic of sled, which some damaged files cause, into an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(ImageError::Panicked(panic_text(panic.as_ref()))))
}

/// What a caught panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

fn row_key(key: &[u8]) -> Vec<u8> {
    [&[ROW], key].concat()
}

fn row_value(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    [hasher.finalize().to_be_bytes().as_slice(), value].concat()
}

fn checksum_of(stored: &[u8]) -> Option<u32> {
    stored.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn read_row(key: &[u8], stored: &[u8], found: &mut Checksums) -> Result<(Vec<u8>, Vec<u8>), ImageError> {
    let damaged = || ImageError::DamagedRow(found.totals.rows);
    let checksum = checksum_of(stored).ok_or_else(damaged)?;
    if row_value(key, &stored[4..]) != stored {
        return Err(damaged());
    }
    found.set(key, Some(checksum));
    Ok((key[1..].to_vec(), stored[4..].to_vec()))
}

/// Format, count and sum (big endian), the position, and a checksum over it all.
fn meta_value(totals: Totals, position: &Position) -> Vec<u8> {
    let mut value = FORMAT.to_be_bytes().to_vec();
    value.extend(totals.rows.to_be_bytes());
    value.extend(totals.sum.to_be_bytes());
    value.extend(position.encode());
    let checksum = crc32fast::hash(&value);
    value.extend(checksum.to_be_bytes());
    value
}

fn read_meta(value: &[u8]) -> Result<(Totals, Position), ImageError> {
    let (body, checksum) = value.split_last_chunk::<4>().ok_or(ImageError::Incomplete)?;
    let (format, rest) = body.split_first_chunk::<4>().ok_or(ImageError::Incomplete)?;
    let (rows, rest) = rest.split_first_chunk::<8>().ok_or(ImageError::Incomplete)?;
    let (sum, position) = rest.split_first_chunk::<8>().ok_or(ImageError::Incomplete)?;
    if crc32fast::hash(body).to_be_bytes() != *checksum || u32::from_be_bytes(*format) != FORMAT {
        return Err(ImageError::Incomplete);
    }
    let totals = Totals { rows: u64::from_be_bytes(*rows), sum: u64::from_be_bytes(*sum) };
    Ok((totals, Position::decode(position)?))
}

fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else if path.file_name().is_some_and(|name| name != MANIFEST) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// One line per file: checksum, length, name.
fn manifest_of(folder: &Path) -> io::Result<String> {
    let mut lines = String::new();
    let mut buffer = vec![0; 256 * 1024];
    for path in files_below(folder)? {
        let (mut file, mut hasher, mut length) = (File::open(&path)?, crc32fast::Hasher::new(), 0);
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            length += read;
        }
        let name = path.strip_prefix(folder).unwrap_or(&path).display();
        writeln!(lines, "{:08x} {length} {name}", hasher.finalize()).expect("a String takes every line");
    }
    Ok(lines)
}

/// Without a manifest the image was not closed: sled's recovery and the totals must do.
fn check_manifest(folder: &Path) -> Result<(), ImageError> {
    match std::fs::read_to_string(folder.join(MANIFEST)) {
        Ok(expected) if manifest_of(folder)? == expected => Ok(()),
        Ok(_) => Err(ImageError::Manifest),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
