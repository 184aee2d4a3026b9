//! The nodes of other Regions: where they listen, and the connections to them.
//!
//! A node has at most one connection, shared by its link session and by questions; it is made when first needed and
//! again after it broke.

use std::collections::BTreeMap;

use meridian_model::Region;
use tonic::transport::Channel;

use crate::wire;
use meridian_consensus::tls::PeerTls;
use meridian_consensus::{NodeId, NodeName};

/// Where a node of another Region listens for links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Its node id; its certificate must say the same.
    pub node: NodeId,
    /// `host:port`.
    pub address: String,
}

/// Every node of every other Region.
pub(crate) struct Peers {
    regions: BTreeMap<Region, Vec<NodeId>>,
    channels: BTreeMap<NodeName, Channel>,
}

impl Peers {
    /// The nodes at `addresses`; connects to none of them yet.
    pub(crate) fn new(tls: &PeerTls, addresses: &BTreeMap<Region, Vec<PeerAddress>>) -> Result<Self, InvalidAddress> {
        let mut peers = Self { regions: BTreeMap::new(), channels: BTreeMap::new() };
        for (region, nodes) in addresses {
            for PeerAddress { node, address } in nodes {
                let name = NodeName { region: region.clone(), node: *node };
                let channel = meridian_consensus::connect(tls, &name, address.clone())
                    .map_err(|source| InvalidAddress { name: name.clone(), address: address.clone(), source })?;
                peers.channels.insert(name, channel);
                peers.regions.entry(region.clone()).or_default().push(*node);
            }
        }
        Ok(peers)
    }

    /// The node to try: `hint` if it is known, or else one after the other.
    pub(crate) fn choose(&self, region: &Region, hint: Option<NodeId>, attempt: u32) -> Option<NodeName> {
        let nodes = self.regions.get(region)?;
        let turn = usize::try_from(attempt).unwrap_or_default().checked_rem(nodes.len())?;
        let node = hint.filter(|hint| nodes.contains(hint)).unwrap_or(nodes[turn]);
        Some(NodeName { region: region.clone(), node })
    }

    /// A client of `node`, whose connection is made when it is used.
    pub(crate) fn client(&self, node: &NodeName) -> Option<wire::link_client::LinkClient<Channel>> {
        let channel = self.channels.get(node)?.clone();
        let limit = wire::ASK_BYTES_MAX + ASK_OVERHEAD_BYTES;
        Some(wire::link_client::LinkClient::new(channel).max_decoding_message_size(limit))
    }
}

/// A node of another Region cannot be connected to, whatever happens.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} cannot be the address of the node {name}")]
pub struct InvalidAddress {
    /// The node.
    pub name: NodeName,
    /// What was configured.
    pub address: String,
    /// What is wrong with it.
    #[source]
    pub source: tonic::transport::Error,
}

/// What surrounds the longest answer on the wire.
pub(crate) const ASK_OVERHEAD_BYTES: usize = 1024;
