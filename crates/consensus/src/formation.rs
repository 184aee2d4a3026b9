//! How a group comes into being, and how a member that lost its disk comes back.
//!
//! A group is formed once, by the lowest configured node, and only when every configured node has said that its log
//! is empty: so a node that lost its disk never forms a second group beside the one it belongs to. Such a node is a
//! newcomer (see [`meridian_storage::Newcomer`]) until a leader that a quorum confirmed has brought it up to date.
//!
//! Formation can end at any step, with the process of any node. Until a leader was elected nothing is lost by beginning
//! again, and something is if nobody does: members that restart with nothing on disk are newcomers once more, and would
//! wait for a leader that nobody may elect.

use std::sync::Arc;
use std::time::Duration;

use meridian_storage::StorageError;
use meridian_storage::raft_types::{Member, TypeConfig};
use openraft::error::Fatal;
use tokio_util::sync::CancellationToken;

use crate::core::{Core, Engine};
use crate::names::NodeId;
use crate::peers::CallError;
use crate::proto::{DescribeRequest, FormRequest};

/// How long a member may take to say whether it is new.
const ANSWER: Duration = Duration::from_secs(1);
/// Pause before members that did not answer are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How often a newcomer looks whether it has caught up.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Forms the group if this node is the one to do it, and settles this node once it has caught up.
pub(crate) async fn run(core: Arc<Core>, engine: Engine, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = async {
            form(&core, &engine).await;
            settle_when_caught_up(&core, &engine).await;
        } => {}
    }
}

/// This node may vote and stand for election from now on.
pub(crate) async fn settle(core: &Core, engine: &Engine) -> Result<(), StorageError> {
    let newcomer = Arc::clone(core.storage.newcomer());
    if newcomer.is_newcomer() {
        tokio::task::spawn_blocking(move || newcomer.settle()).await.unwrap_or(Ok(()))?;
    }
    engine.runtime_config().elect(!core.storage.newcomer().is_newcomer());
    Ok(())
}

async fn form(core: &Core, engine: &Engine) {
    if core.members.keys().next() != Some(&core.name.node) {
        return;
    }
    while let Ok(begun) = progress(engine).await {
        if begun == Progress::Formed {
            return;
        }
        let answers = futures::future::join_all(others(core).map(|node| is_new(core, node))).await;
        if answers.contains(&Some(false)) {
            if begun == Progress::Nothing {
                tracing::info!("the group exists already; this node joins it again");
            }
            return;
        }
        if answers.iter().all(|answer| *answer == Some(true)) && announce(core).await {
            if begun == Progress::Nothing {
                initialize(core, engine).await;
            } else {
                tracing::info!("forming the group goes on where it was interrupted");
            }
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// How far this node's disk says that formation came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// This node has written nothing.
    Nothing,
    /// The log holds what [`initialize`] writes and nothing else: if there ever was a leader, it never reached this node.
    Alone,
    /// There was a leader.
    Formed,
}

async fn progress(engine: &Engine) -> Result<Progress, Fatal<TypeConfig>> {
    Ok(match last_index(engine).await? {
        None if engine.is_initialized().await? => Progress::Formed, // it has voted: another node is about to lead
        None => Progress::Nothing,
        Some(0) => Progress::Alone,
        Some(_) => Progress::Formed,
    })
}

/// The last entry of this node's log, purged or not. A node that has none has helped to commit nothing.
pub(crate) async fn last_index(engine: &Engine) -> Result<Option<u64>, Fatal<TypeConfig>> {
    engine.with_raft_state(|state| state.log_ids.last().map(|id| id.index)).await
}

fn others(core: &Core) -> impl Iterator<Item = NodeId> {
    core.members.keys().copied().filter(|node| *node != core.name.node)
}

async fn is_new(core: &Core, node: NodeId) -> Option<bool> {
    let peer = core.peer(node).ok()?;
    let mut client = peer.control();
    let reply = core.peers.call(&peer.name, ANSWER, client.describe(DescribeRequest {})).await;
    reply.inspect_err(|error| tracing::debug!(%node, %error, "a member does not answer yet")).ok().map(|it| it.is_new)
}

/// Tells all members that they may vote; whether all of them know now.
async fn announce(core: &Core) -> bool {
    let told = futures::future::join_all(others(core).map(|node| allow_to_vote(core, node))).await;
    told.iter().all(Result::is_ok)
}

async fn allow_to_vote(core: &Core, node: NodeId) -> Result<(), CallError> {
    let peer = core.peer(node)?;
    let mut client = peer.control();
    core.peers.call(&peer.name, ANSWER, client.form(FormRequest {})).await.map(drop)
}

async fn initialize(core: &Core, engine: &Engine) {
    if let Err(error) = settle(core, engine).await {
        tracing::error!(%error, "the group cannot be formed");
        return;
    }
    let members: std::collections::BTreeMap<u64, Member> =
        core.members.iter().map(|(node, address)| (node.0, Member { address: address.clone() })).collect();
    match engine.initialize(members).await {
        Ok(()) => tracing::info!(region = %core.name.region, "the group is formed"),
        Err(error) => tracing::error!(%error, "the group cannot be formed"),
    }
}

async fn settle_when_caught_up(core: &Core, engine: &Engine) {
    while core.storage.newcomer().is_newcomer() {
        tokio::time::sleep(LOOK_AGAIN).await;
        if core.freshness.age(core.applied()).is_some() {
            match settle(core, engine).await {
                Ok(()) => tracing::info!("this node has caught up and votes again"),
                Err(error) => tracing::error!(%error, "this node has caught up but cannot vote"),
            }
        }
    }
}
