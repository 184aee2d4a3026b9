//! What the audit trails of a cluster hold.

use meridian_consensus::NodeName;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::place::Place;

impl Cluster {
    /// Every record in the trails of `place`, node by node, each trail proven to be unbroken. The trail of a node that
    /// has never started, or lost its disk, is empty.
    ///
    /// # Panics
    /// If a trail is broken.
    #[must_use]
    pub fn audit_records(&self, place: impl Into<Place>) -> Vec<Value> {
        self.nodes(place).iter().flat_map(|name| self.audit_records_of(name)).collect()
    }

    fn audit_records_of(&self, name: &NodeName) -> Vec<Value> {
        let folder = self.data_dir(name).join("audit");
        let mut records = Vec::new();
        if !folder.exists() {
            return records;
        }
        let read = meridian_audit::verify::read(&folder, None, |line| {
            records.push(serde_json::from_slice(line.record).expect("a record is JSON"));
        });
        match read {
            Ok(_) | Err(meridian_audit::VerifyError::Empty { .. }) => records,
            Err(error) => panic!("the trail of {name} is broken: {error}"),
        }
    }
}
