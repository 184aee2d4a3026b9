//! What the audit record of a request tells of the decisions that were made for it.

use meridian_model::KeyArn;
use serde::{Deserialize, Serialize};

/// Travels back to the node that was asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Trace {
    /// The keys that the request was found to be about.
    pub(crate) keys: Vec<KeyArn>,
    /// The policy of the endpoint alone stood in the way. Such requests are not recorded (AWS KMS Developer Guide, "Logging your
    /// VPC endpoint").
    pub(crate) is_unrecorded: bool,
}
