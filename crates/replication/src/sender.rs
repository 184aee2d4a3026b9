//! The sending side of links: one task per other Region, running while this node leads its own.
//!
//! A task finds the leader over there, holds a session with it, and after every end of a session finds it again.

use std::sync::Arc;

use meridian_model::Region;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoff::Backoff;
use crate::dialer::Peers;
use crate::sender_session::{self, Ended};
use crate::site::{Link, Site};
use crate::status::LinkProblem;
use crate::wire::Reason;
use meridian_consensus::NodeId;

/// Runs the sending tasks whenever this node leads its Region, until the node stops.
pub(crate) async fn run_while_leader(site: Arc<Site>, peers: Arc<Peers>) {
    let mut leadership = site.local.leadership();
    loop {
        let (am_leader, term) = {
            let now = leadership.borrow_and_update();
            (now.am_leader, now.term)
        };
        let (stepped_down, tasks) = (site.stop.child_token(), TaskTracker::new());
        if am_leader {
            for (seed, peer) in (site.jitter_seed..).zip(site.links.keys()) {
                let link = LinkTask {
                    site: Arc::clone(&site),
                    peers: Arc::clone(&peers),
                    peer: peer.clone(),
                    term,
                    stop: stepped_down.clone(),
                    backoff: Backoff::new(site.timing.backoff_min, site.timing.backoff_max, seed),
                };
                tasks.spawn(link.run());
            }
        }
        let standing = |now: &meridian_consensus::Leadership| (now.am_leader, now.term) != (am_leader, term);
        let stopped = tokio::select! {
            () = site.stop.cancelled() => true,
            changed = leadership.wait_for(standing) => changed.is_err(),
        };
        stepped_down.cancel();
        tasks.close();
        tasks.wait().await;
        if stopped {
            return;
        }
    }
}

/// The task of the link to one other Region.
struct LinkTask {
    site: Arc<Site>,
    peers: Arc<Peers>,
    peer: Region,
    term: u64,
    stop: CancellationToken,
    backoff: Backoff,
}

impl LinkTask {
    async fn run(mut self) {
        let site = Arc::clone(&self.site);
        let link = &site.links[&self.peer];
        let mut attempt = 0_u32;
        let mut hints_followed = 0_u32;
        let mut failed = None; // not tried again on the word of a node that has not noticed yet
        loop {
            let Some(node) = self.peers.choose(&self.peer, link.leader_hint(), attempt) else { return };
            attempt = attempt.wrapping_add(1);
            let ended = sender_session::run(&site, &self.peers, link, &node, self.term, &self.stop).await;
            self.note(link, &ended);
            let at_once = match ended {
                Ended::Stopped => return,
                Ended::NotLeader(leader) => {
                    let other = leader.filter(|leader| *leader != node.node && failed != Some(*leader));
                    link.set_leader_hint(other);
                    hints_followed += 1;
                    other.is_some() && hints_followed <= HINTS_AT_ONCE_MAX
                }
                Ended::Problem { problem, was_connected } => {
                    link.set_leader_hint(None);
                    failed = Some(node.node);
                    if was_connected {
                        self.backoff.reset();
                        hints_followed = 0;
                    }
                    // A new session has a new transport key.
                    was_connected && problem == LinkProblem::Refused(Reason::TransportKey)
                }
            };
            if !at_once && self.pause().await {
                return;
            }
        }
    }

    /// Waits before the next attempt; tells whether to stop instead.
    async fn pause(&mut self) -> bool {
        let pause = self.backoff.next_pause();
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(pause) => false,
        }
    }

    fn note(&self, link: &Link, ended: &Ended) {
        link.outgoing.connected.set(0);
        let problem = match ended {
            Ended::Stopped => None,
            Ended::NotLeader(_) => Some(LinkProblem::NoLeader),
            Ended::Problem { problem, .. } => Some(problem.clone()),
        };
        if let Some(problem) = problem.as_ref().filter(|problem| problem.needs_somebody()) {
            tracing::warn!(to = %self.peer, %problem, "link does not carry messages");
        } else {
            tracing::debug!(to = %self.peer, ?ended, "link session ended");
        }
        link.board.outgoing.send_modify(|status| {
            status.connected = false;
            status.in_flight = 0;
            status.problem = problem;
        });
    }
}

/// Nodes that contradict each other about who leads are followed so often before the link pauses.
pub(crate) const HINTS_AT_ONCE_MAX: u32 = 3;

/// The id of a node as it stands on the wire, where 0 means that none is known.
pub(crate) fn node_hint(leader: u64) -> Option<NodeId> {
    (leader != 0).then_some(NodeId(leader))
}
