//! Sends requests to the leader: those that wait at the same time share one message.
//!
//! Nobody waits for a message to fill up, and no request for the answer to another: what has come together while the
//! sender was busy goes at once, and the leader answers each request as soon as it can.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tonic::{Code, Streaming};

use crate::core::Core;
use crate::forward::ForwardError;
use crate::group::Leadership;
use crate::names::NodeId;
use crate::peers::{CallError, Peer};
use crate::proto::{ForwardReply, ForwardRequest};

/// Requests that may wait for the sender; more are held back at the door.
const WAITING_MAX: usize = 1024;
/// Requests per message: as many of the longest ones (1 MiB) as fit into half of the longest message.
const TOGETHER_MAX: usize = 16;

type Answer = Result<Bytes, ForwardError>;

/// A request and who waits for its answer.
struct Waiting {
    body: Bytes,
    answer: oneshot::Sender<Answer>,
}

/// The door to the sender, which ends when the door is dropped.
#[derive(Debug)]
pub(crate) struct Forwarder(mpsc::Sender<Waiting>);

impl Forwarder {
    pub(crate) fn start(core: Arc<Core>, leadership: watch::Receiver<Leadership>) -> Self {
        let (door, mut waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut requests = Vec::new();
            while waiting.recv_many(&mut requests, TOGETHER_MAX).await > 0 {
                let leader = leadership.borrow().leader;
                tokio::spawn(forward(Arc::clone(&core), leader, std::mem::take(&mut requests)));
            }
        });
        Self(door)
    }

    /// Sends a request to the leader and waits for the answer.
    pub(crate) async fn forward(&self, body: Bytes) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.send(Waiting { body, answer }).await.map_err(|_| ForwardError::NoLeader)?;
        // The sender answers everybody, except when the whole process ends.
        answered.await.unwrap_or(Err(ForwardError::NoLeader))
    }
}

async fn forward(core: Arc<Core>, leader: Option<NodeId>, requests: Vec<Waiting>) {
    let (bodies, mut answers): (Vec<_>, Vec<_>) =
        requests.into_iter().map(|waiting| (waiting.body, Some(waiting.answer))).unzip();
    let error = match leader.map(|leader| (leader, core.peer(leader))) {
        Some((leader, Ok(peer))) => match exchange(&core, &peer, bodies, &mut answers).await {
            Ok(()) => return,
            Err(CallError::Refused(status)) if status.code() == Code::FailedPrecondition => {
                ForwardError::NotLeader(leader)
            }
            Err(error) => ForwardError::Unknown { node: leader, reason: error.to_string() },
        },
        _ => ForwardError::NoLeader,
    };
    for answer in answers.into_iter().flatten() {
        // Whoever no longer waits does not need to know.
        let _ = answer.send(Err(error.clone()));
    }
}

/// Hands out answers as they come; the ones that are left have none when it fails.
async fn exchange(
    core: &Core,
    peer: &Peer,
    bodies: Vec<Bytes>,
    answers: &mut [Option<oneshot::Sender<Answer>>],
) -> Result<(), CallError> {
    let limit = core.timing.forward;
    let mut client = peer.control();
    let exchange = async {
        let mut replies = core.peers.call(&peer.name, limit, client.forward(ForwardRequest { bodies })).await?;
        for _ in 0..answers.len() {
            let reply = core.peers.receive(&peer.name, next(&mut replies)).await?;
            let answer = answers.get_mut(reply.number as usize).and_then(Option::take);
            let _ = answer.map(|answer| answer.send(Ok(reply.body)));
        }
        Ok(())
    };
    timeout(limit, exchange).await.unwrap_or(Err(CallError::Timeout(limit)))
}

async fn next(replies: &mut Streaming<ForwardReply>) -> Result<ForwardReply, CallError> {
    replies.message().await?.ok_or_else(|| CallError::Unreachable("the answers ended early".to_owned()))
}
