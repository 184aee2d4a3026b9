//! Where a request came from: what conditions may ask besides who calls and what is asked for.

use std::net::IpAddr;
use std::sync::Arc;

use meridian_model::ServiceError;
use meridian_policy::{Policy, PolicyKind};
use serde::{Deserialize, Serialize};

/// Where a request came from. Travels to the leader with a change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RequestOrigin {
    pub(crate) request_id: String,
    pub(crate) source_ip: IpAddr,
    pub(crate) user_agent: Option<String>,
    pub(crate) is_secure: bool,
    pub(crate) endpoint: Option<VpcEndpoint>,
}

impl RequestOrigin {
    pub(crate) fn view(&self) -> Origin<'_> {
        Origin {
            source_ip: self.source_ip,
            user_agent: self.user_agent.as_deref(),
            is_secure: self.is_secure,
            endpoint: self.endpoint.as_ref(),
        }
    }
}

/// A [`RequestOrigin`] by reference, without what decisions have no use for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) source_ip: IpAddr,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) is_secure: bool,
    pub(crate) endpoint: Option<&'a VpcEndpoint>,
}

/// A private way to this Region: a listener with a name, and perhaps with a policy of its own. Cheap to clone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Described", into = "Described")]
pub struct VpcEndpoint(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    described: Described,
    policy: Option<Arc<Policy>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Described {
    vpc_endpoint_id: String,
    vpc_id: Option<String>,
    policy: Option<String>,
}

impl VpcEndpoint {
    /// The endpoint `vpc_endpoint_id` of the network `vpc_id`. Without a policy it lets everything pass that is permitted otherwise.
    ///
    /// # Errors
    /// `MalformedPolicyDocumentException` if `policy` is no endpoint policy.
    pub fn new(vpc_endpoint_id: String, vpc_id: Option<String>, policy: Option<String>) -> Result<Self, ServiceError> {
        Described { vpc_endpoint_id, vpc_id, policy }.try_into()
    }

    /// The id: `aws:SourceVpce`, and `vpcEndpointId` in audit records.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.described.vpc_endpoint_id
    }

    /// The id of the network: `aws:SourceVpc`.
    #[must_use]
    pub fn vpc_id(&self) -> Option<&str> {
        self.0.described.vpc_id.as_deref()
    }

    pub(crate) fn policy(&self) -> Option<&Arc<Policy>> {
        self.0.policy.as_ref()
    }
}

impl TryFrom<Described> for VpcEndpoint {
    type Error = ServiceError;

    fn try_from(described: Described) -> Result<Self, ServiceError> {
        let parse = |text: &String| Policy::parse(text, PolicyKind::Endpoint).map(Arc::new);
        let policy = described.policy.as_ref().map(parse).transpose()?;
        Ok(Self(Arc::new(Inner { described, policy })))
    }
}

impl From<VpcEndpoint> for Described {
    fn from(endpoint: VpcEndpoint) -> Self {
        endpoint.0.described.clone()
    }
}
