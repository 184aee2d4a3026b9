//! Opening everything a node keeps, and deciding which state to start from.
//!
//! The log is the truth. The state comes from the image if that is whole and fits the log, else from the
//! snapshot, else from nothing; the engine then replays the log from there. An image that does not fit is thrown
//! away and written anew. If nothing reaches back to where the log begins, the node refuses to start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use meridian_model::{Partition, Region};
use meridian_state::RegionState;

use crate::StorageError;
use crate::codec::Position;
use crate::data_dir::{DataDir, sync_folder};
use crate::image::Image;
use crate::image_writer::{ImageWriter, image_folder};
use crate::log::LogStore;
use crate::machine::{StateMachine, StateReader};
use crate::newcomer::Newcomer;
use crate::raft_types::LogId;
use crate::snapshots::Snapshots;

/// Stands in the image folder while an image is being loaded: if a start finds it, the last one died of it.
const LOADING: &str = "LOADING";

/// Everything a node keeps, opened and checked.
#[derive(Debug)]
pub struct NodeStorage {
    /// Log, vote and committed position.
    pub log: LogStore,
    /// The state machine, at the newest state that was usable.
    pub machine: StateMachine,
    /// What stays with the node while the engine owns the other two.
    pub handle: StorageHandle,
}

/// The node's end of its storage: reads states, receives snapshots, closes it all.
#[derive(Clone, Debug)]
pub struct StorageHandle {
    reader: StateReader,
    snapshots: Snapshots,
    log: LogStore,
    image: ImageWriter,
    newcomer: Arc<Newcomer>,
    path: PathBuf,
    /// `None` once closed.
    dir: Arc<Mutex<Option<DataDir>>>,
}

impl NodeStorage {
    /// Opens or creates the storage of one node of `region` in the folder `path`. Blocks the thread: up to some
    /// seconds with a million keys.
    ///
    /// # Errors
    /// [`StorageError`]; every variant says what is wrong with which file.
    pub fn open(path: &Path, region: &Region, partition: Partition) -> Result<Self, StorageError> {
        let dir = DataDir::open(path)?;
        let log = LogStore::open(&dir.folder("raft")?)?;
        let (snapshots, unusable_snapshot) = Snapshots::open(dir.folder("snapshots")?)?;
        let mut images = Images::open(dir.folder("state")?)?;
        let start = Start { path, region, partition, log: &log, snapshots: &snapshots };
        let newcomer = Arc::new(Newcomer::open(path, start.is_empty()?)?);
        let from_image = match images.load(region, partition)? {
            Some((state, position)) if start.fits(&position)? => Some((state, position)),
            Some((_, position)) => {
                tracing::warn!(applied = position.index(), "the state image does not fit the log; rebuilding it");
                images.discard()?;
                None
            }
            None => None,
        };
        let is_image = from_image.is_some();
        let (state, position) = match from_image {
            Some(loaded) => loaded,
            None => start.load_snapshot(unusable_snapshot)?,
        };
        let outdated = (!is_image).then(|| (state.clone(), position.clone()));
        let writer = ImageWriter::start(images.into_image()?, outdated)
            .map_err(|source| StorageError::io("start a thread for", path, source))?;
        let machine = StateMachine::new(state, position, writer.clone(), snapshots.clone());
        let handle = StorageHandle {
            reader: machine.reader(),
            snapshots,
            log: log.clone(),
            image: writer,
            newcomer,
            path: path.to_owned(),
            dir: Arc::new(Mutex::new(Some(dir))),
        };
        Ok(Self { log, machine, handle })
    }
}

impl StorageHandle {
    /// The newest applied state.
    #[must_use]
    pub fn reader(&self) -> &StateReader {
        &self.reader
    }

    /// The snapshots.
    #[must_use]
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The data folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this node still has to catch up before it may vote.
    #[must_use]
    pub fn newcomer(&self) -> &Arc<Newcomer> {
        &self.newcomer
    }

    /// Writes what is waiting, closes log and image, and unlocks the folder. For use after the engine has stopped.
    ///
    /// With `clean` false the image is left as a crash would leave it.
    pub async fn close(&self, clean: bool) {
        self.image.close(clean).await;
        let log = self.log.clone();
        // Closing the log joins its flush thread; a panic in there has been reported to the engine already.
        let _ = tokio::task::spawn_blocking(move || log.close()).await;
        self.dir.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What choosing a state to start from depends on.
struct Start<'a> {
    path: &'a Path,
    region: &'a Region,
    partition: Partition,
    log: &'a LogStore,
    snapshots: &'a Snapshots,
}

impl Start<'_> {
    /// Whether the log continues a state at `position`, and no snapshot is newer.
    fn fits(&self, position: &Position) -> Result<bool, StorageError> {
        let (purged, last) = self.span()?;
        let snapshot = self.snapshots.current().and_then(|snapshot| snapshot.position().applied);
        let within = purged <= position.applied && snapshot <= position.applied && position.applied <= last;
        // An entry that the log holds must be the one that was applied.
        let same = match position.applied.filter(|id| purged.as_ref() < Some(id)) {
            Some(id) => self.log.id_at(id.index).map_err(|source| self.log_error(source))? == Some(id),
            None => true,
        };
        Ok(within && same)
    }

    fn load_snapshot(&self, unusable: Option<StorageError>) -> Result<(RegionState, Position), StorageError> {
        let purged = self.span()?.0;
        let Some(snapshot) = self.snapshots.current() else {
            return match (purged, unusable) {
                (Some(_), Some(error)) => Err(error),
                (Some(purged), None) => Err(self.gap(purged, 0)),
                (None, _) => Ok((RegionState::new(self.region.clone(), self.partition), Position::default())),
            };
        };
        match snapshot.load(self.region, self.partition) {
            Ok(state) if purged <= snapshot.position().applied => Ok((state, snapshot.position().clone())),
            Ok(_) => Err(self.gap(purged.expect("greater than something"), snapshot.position().index())),
            Err(error) if purged.is_none() => {
                tracing::warn!(%error, "the snapshot is damaged; replaying the log from its beginning");
                self.snapshots.discard(&snapshot);
                Ok((RegionState::new(self.region.clone(), self.partition), Position::default()))
            }
            Err(error) => {
                Err(StorageError::SnapshotUnusable { path: snapshot.path().to_owned(), reason: error.to_string() })
            }
        }
    }

    /// Whether the log holds nothing, and never did.
    fn is_empty(&self) -> Result<bool, StorageError> {
        let is_pristine = self.log.is_pristine().map_err(|source| self.log_error(source))?;
        Ok(is_pristine && self.snapshots.current().is_none())
    }

    fn span(&self) -> Result<(Option<LogId>, Option<LogId>), StorageError> {
        let span = self.log.span().map_err(|source| self.log_error(source))?;
        Ok((span.last_purged_log_id, span.last_log_id))
    }

    fn gap(&self, purged: LogId, applied: u64) -> StorageError {
        StorageError::Gap { path: self.path.to_owned(), purged: purged.index, applied }
    }

    fn log_error(&self, source: std::io::Error) -> StorageError {
        StorageError::LogUnreadable { path: self.path.to_owned(), source }
    }
}

/// The folder of the state image and of attempts that were discarded.
struct Images {
    parent: PathBuf,
    generation: u64,
    image: Option<Image>,
}

impl Images {
    fn open(parent: PathBuf) -> Result<Self, StorageError> {
        let entries = std::fs::read_dir(&parent).map_err(|source| StorageError::io("list", &parent, source))?;
        let generations =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_prefix("image-")?.parse().ok());
        let mut images = Self { generation: generations.max().unwrap_or(0), parent, image: None };
        images.remove_before(images.generation);
        if images.parent.join(LOADING).exists() {
            tracing::warn!("the last start ended while it loaded the state image; rebuilding it");
            images.discard()?;
        }
        Ok(images)
    }

    /// Loads the image, if there is one and it is whole.
    fn load(&mut self, region: &Region, partition: Partition) -> Result<Option<(RegionState, Position)>, StorageError> {
        let folder = image_folder(&self.parent, self.generation);
        if !folder.exists() {
            return Ok(None);
        }
        self.mark_loading(true)?;
        let loaded = Image::open(&folder).and_then(|mut image| {
            let loaded = image.load(region, partition)?;
            self.image = Some(image);
            Ok(loaded)
        });
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "the state image is unusable; rebuilding it from snapshot and log");
                self.discard()?;
                None
            }
        };
        self.mark_loading(false)?;
        Ok(loaded)
    }

    /// Throws the image away; the next one gets a folder of its own.
    fn discard(&mut self) -> Result<(), StorageError> {
        self.image = None;
        self.remove_before(self.generation + 1);
        self.generation += 1;
        self.mark_loading(false)
    }

    fn remove_before(&self, generation: u64) {
        for old in (0..generation).map(|old| image_folder(&self.parent, old)).filter(|old| old.exists()) {
            // What sled still holds goes at the next start.
            let _ = std::fs::remove_dir_all(old);
        }
    }

    /// The image to write to from now on. A node without one works; only its next start takes longer.
    fn into_image(mut self) -> Result<Option<Image>, StorageError> {
        if self.image.is_some() {
            return Ok(self.image);
        }
        match Image::open(&image_folder(&self.parent, self.generation)) {
            Ok(image) => Ok(Some(image)),
            Err(error) => {
                tracing::error!(%error, "there is no state image; the node works, its next start takes longer");
                self.discard()?;
                Ok(None)
            }
        }
    }

    fn mark_loading(&self, loading: bool) -> Result<(), StorageError> {
        let path = self.parent.join(LOADING);
        let result = if loading {
            crate::data_dir::private_file().create(true).truncate(true).open(&path).map(drop)
        } else {
            std::fs::remove_file(&path).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })
        };
        result
            .and_then(|()| sync_folder(&self.parent))
            .map_err(|source| StorageError::io("mark as loading", &path, source))
    }
}
