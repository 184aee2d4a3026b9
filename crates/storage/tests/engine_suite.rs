//! The engine's own test suite for implementations of its storage traits, run against ours.

use meridian_model::Partition;
use meridian_storage::raft_types::TypeConfig;
use meridian_storage::{LogStore, NodeStorage, StateMachine};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let region = "us-east-1".parse().expect("a Region");
        let storage = NodeStorage::open(folder.path(), &region, Partition::Aws).expect("a new folder opens");
        Ok((folder, storage.log, storage.machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_state_machine_keep_the_engines_contract() {
    Suite::test_all(Builder).await.expect("the engine's suite passes");
}
