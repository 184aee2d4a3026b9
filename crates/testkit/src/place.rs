//! Naming nodes, Regions and everything.

use std::fmt;

use meridian_consensus::{NodeId, NodeName};
use meridian_model::Region;

/// A part of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One node.
    Node(NodeName),
    /// All nodes of a Region.
    Region(Region),
    /// All nodes.
    Everywhere,
}

impl Place {
    /// Whether `node` belongs to it.
    #[must_use]
    pub fn contains(&self, node: &NodeName) -> bool {
        match self {
            Self::Node(name) => name == node,
            Self::Region(region) => region == &node.region,
            Self::Everywhere => true,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => name.fmt(f),
            Self::Region(region) => region.fmt(f),
            Self::Everywhere => f.write_str("everywhere"),
        }
    }
}

impl From<&NodeName> for Place {
    fn from(name: &NodeName) -> Self {
        Self::Node(name.clone())
    }
}

impl From<&Region> for Place {
    fn from(region: &Region) -> Self {
        Self::Region(region.clone())
    }
}

/// The Region called `name`.
///
/// # Panics
/// If no Region can have that name.
#[must_use]
pub fn region(name: &str) -> Region {
    name.parse().unwrap_or_else(|_| panic!("{name} is no name of a Region"))
}

/// Node `number` of `region`.
#[must_use]
pub fn node(region: &Region, number: u64) -> NodeName {
    NodeName { region: region.clone(), node: NodeId(number) }
}
