//! What a node keeps on disk: the Raft log and vote, the state image, and snapshots.
//!
//! | part | engine | role |
//! |---|---|---|
//! | [`LogStore`] | `raft-log` | the durable truth: nothing is acknowledged before its fsync |
//! | state image | `sled` | rows of the state machine, so that a start need not replay the log; can be thrown away |
//! | [`Snapshots`] | plain files | checksummed, synced; the log is purged only below one |
//!
//! No engine's type leaves this crate, so that each can be exchanged. Everything lies below one [`DataDir`], which
//! is private to its owner and locked while the node runs.

mod codec;
mod data_dir;
mod error;
mod flushed;
mod image;
mod image_writer;
mod log;
mod log_records;
mod log_scan;
mod machine;
mod newcomer;
mod node;
pub mod raft_types;
mod read_ahead;
mod snapshot;
mod snapshots;
pub mod vault;

pub use codec::{CodecError, Position, decode_entry, encode_entry};
pub use data_dir::DataDir;
pub use error::StorageError;
pub use log::LogStore;
pub use machine::{SnapshotBuilder, StateMachine, StateReader, snapshot_meta};
pub use newcomer::Newcomer;
pub use node::{NodeStorage, StorageHandle};
pub use snapshot::SnapshotFile;
pub use snapshots::{SnapshotReceiver, Snapshots};
