//! Who is who in a cluster: nodes, and the names that their certificates carry.

use std::fmt;
use std::str::FromStr;

use meridian_model::Region;
use serde::{Deserialize, Serialize};

/// Last labels of every name that the cluster's certificates carry. `.internal` is reserved for private use by
/// ICANN (2024), so no public authority certifies it.
pub(crate) const DOMAIN: &str = "meridian.internal";

/// A node of a Region; unique within the Region and never used again once the node was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeName {
    /// Its Region.
    pub region: Region,
    /// Its number within the Region.
    pub node: NodeId,
}

impl NodeName {
    /// The name its certificate carries: `node-<number>.<region>.meridian.internal`.
    #[must_use]
    pub fn dns_name(&self) -> String {
        format!("node-{}.{}.{DOMAIN}", self.node, self.region)
    }

    /// The inverse of [`NodeName::dns_name`].
    #[must_use]
    pub fn from_dns_name(name: &str) -> Option<Self> {
        let (node, region) = name.strip_suffix(DOMAIN)?.strip_suffix('.')?.split_once('.')?;
        let digits = node.strip_prefix("node-")?;
        let node = NodeId(u64::from_str(digits).ok()?);
        // One spelling only: no sign, no leading zeros.
        (node.to_string() == digits).then_some(Self { region: region.parse().ok()?, node })
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.node)
    }
}

/// The name that a Region's own certificate carries: `region.<region>.meridian.internal`.
#[must_use]
pub fn region_dns_name(region: &Region) -> String {
    format!("region.{region}.{DOMAIN}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        let name = NodeName { region: "us-east-1".parse().unwrap(), node: NodeId(3) };
        assert_eq!(name.dns_name(), "node-3.us-east-1.meridian.internal");
        assert_eq!(NodeName::from_dns_name(&name.dns_name()), Some(name));
        for wrong in [
            "node-03.us-east-1.meridian.internal",
            "node-+3.us-east-1.meridian.internal",
            "node-3.us-east-1.meridian.internal.example.com",
            "node-3.useast1.meridian.internal",
            "node-.us-east-1.meridian.internal",
            "region.us-east-1.meridian.internal",
            "meridian.internal",
        ] {
            assert_eq!(NodeName::from_dns_name(wrong), None, "{wrong}");
        }
    }
}
