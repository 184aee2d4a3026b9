//! `/healthz`, `/readyz` and `/metrics`: for load balancers, orchestrators and Prometheus. None asks for credentials, and
//! none tells anything about keys or callers.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use meridian_audit::Metrics;
use meridian_audit::metrics::CONTENT_TYPE;
use meridian_model::Region;
use serde::Serialize;

use crate::answer::{Answer, PLAIN, document};
use crate::endpoint::{Endpoint, NodeReadiness};

/// The process answers. A constant: the floor of every benchmark.
pub(crate) fn healthz() -> Answer {
    document(StatusCode::OK, PLAIN, Bytes::from_static(b"ok\n"))
}

/// Whether every Region served here has a node that is ready: 200 or 503, with the reasons.
pub(crate) fn readyz(endpoints: &[Arc<dyn Endpoint>]) -> Answer {
    let regions: Vec<_> = endpoints.iter().map(|endpoint| RegionReadiness::of(&**endpoint)).collect();
    let ready = regions.iter().all(|region| region.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_vec(&Report { ready, regions }).expect("strings and booleans have a JSON form");
    document(status, "application/json", body)
}

pub(crate) fn metrics(metrics: &Metrics) -> Answer {
    document(StatusCode::OK, CONTENT_TYPE, metrics.encode())
}

#[derive(Serialize)]
struct Report<'a> {
    ready: bool,
    regions: Vec<RegionReadiness<'a>>,
}

#[derive(Serialize)]
struct RegionReadiness<'a> {
    region: &'a Region,
    ready: bool,
    nodes: Vec<NodeReadiness>,
}

impl<'a> RegionReadiness<'a> {
    fn of(endpoint: &'a dyn Endpoint) -> Self {
        let nodes = endpoint.readiness();
        Self { region: endpoint.region(), ready: nodes.iter().any(|node| node.ready), nodes }
    }
}
