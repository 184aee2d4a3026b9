//! The links of one node: started once, running while the node leads its Region, ended by a shutdown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use meridian_model::{Clock, Region};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ask::{self, AskError};
use crate::authority::{Authority, RegionIdentity};
use crate::dialer::{InvalidAddress, PeerAddress, Peers};
use crate::local::{AskHandler, LocalRegion, MaterialKeeper};
use crate::metrics::LinkMetrics;
use crate::receiver::LinkServer;
use crate::sender;
use crate::site::{Link, LinkTiming, Site};
use crate::status::{IncomingStatus, LinkStatus, OutgoingStatus};
use crate::wire;
use meridian_consensus::tls::PeerTls;
use meridian_consensus::{FaultGate, NodeName};

/// What the links of a node need to know.
pub struct ReplicatorConfig {
    /// Equal in every Region of a cluster; envelopes of another cluster are refused.
    pub cluster_id: String,
    /// Where the nodes of every other Region listen. This Region itself may be missing or present; it is passed over.
    pub peers: BTreeMap<Region, Vec<PeerAddress>>,
    /// This node's certificate, which also names it, for mutual TLS with the nodes of other Regions.
    pub tls: PeerTls,
    /// The identity of this Region.
    pub identity: RegionIdentity,
    /// Checks the identities of other Regions.
    pub authority: Authority,
    /// Faults to inject; `NoFaults` in production.
    pub gate: Arc<dyn FaultGate>,
    /// For commands and for lag.
    pub clock: Arc<dyn Clock>,
    /// Where to count.
    pub metrics: LinkMetrics,
    /// How long to wait.
    pub timing: LinkTiming,
    /// Seed of the random part of pauses between attempts.
    pub jitter_seed: u64,
}

/// The links of a node. A clone stands for the same links.
#[derive(Clone)]
pub struct Replicator {
    site: Arc<Site>,
    peers: Arc<Peers>,
}

impl Replicator {
    /// Starts the links of a node. They send and receive only while the node leads its Region.
    ///
    /// # Errors
    /// [`InvalidAddress`] if a configured address cannot be one.
    pub fn start(
        config: ReplicatorConfig,
        local: Arc<dyn LocalRegion>,
        keeper: Arc<dyn MaterialKeeper>,
        ask_handler: Arc<dyn AskHandler>,
    ) -> Result<Self, InvalidAddress> {
        let name: NodeName = config.tls.name().clone();
        let addresses: BTreeMap<_, _> = config.peers.into_iter().filter(|(region, _)| *region != name.region).collect();
        let peers = Arc::new(Peers::new(&config.tls, &addresses)?);
        let links = addresses.keys().map(|peer| (peer.clone(), Link::new(&config.metrics, &name, peer))).collect();
        let site = Arc::new(Site {
            name,
            cluster_id: config.cluster_id,
            identity: config.identity,
            authority: config.authority,
            gate: config.gate,
            clock: config.clock,
            timing: config.timing,
            jitter_seed: config.jitter_seed,
            local,
            keeper,
            ask_handler,
            links,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        site.tasks.spawn(sender::run_while_leader(Arc::clone(&site), Arc::clone(&peers)));
        Ok(Self { site, peers })
    }

    /// The gRPC service to add to the node's peer server.
    #[must_use]
    pub fn link_service(&self) -> wire::link_server::LinkServer<LinkServer> {
        wire::link_server::LinkServer::new(LinkServer { site: Arc::clone(&self.site) })
            .max_decoding_message_size(wire::ASK_BYTES_MAX + crate::dialer::ASK_OVERHEAD_BYTES)
    }

    /// Asks the leader of another Region; whoever registered there as [`AskHandler`] answers. May be called on any node.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, region: &Region, question: Bytes, within: Duration) -> Result<Bytes, AskError> {
        ask::ask(&self.site, &self.peers, region, question, within).await
    }

    /// The links with every other Region, in the order of their names.
    #[must_use]
    pub fn status(&self) -> Vec<LinkStatus> {
        self.site.links.iter().map(|(peer, link)| link.board.status(peer, &self.site.local.state())).collect()
    }

    /// The link to `peer`, to wait for a state of it; `None` if no such link is configured.
    #[must_use]
    pub fn watch_outgoing(&self, peer: &Region) -> Option<watch::Receiver<OutgoingStatus>> {
        self.site.links.get(peer).map(|link| link.board.outgoing.subscribe())
    }

    /// The link from `peer`, to wait for a state of it; `None` if no such link is configured.
    #[must_use]
    pub fn watch_incoming(&self, peer: &Region) -> Option<watch::Receiver<IncomingStatus>> {
        self.site.links.get(peer).map(|link| link.board.incoming.subscribe())
    }

    /// Ends every session and waits for the tasks; to be called before the peer server is shut down, which waits for
    /// streams. Nothing is lost: what was not acknowledged is sent again.
    pub async fn shutdown(&self) {
        self.site.stop.cancel();
        self.site.tasks.close();
        self.site.tasks.wait().await;
    }
}
