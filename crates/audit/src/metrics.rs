//! Counters and histograms for operators, in the OpenMetrics text format.
//!
//! One [`Metrics`] per process. Always true: no label carries a secret, a key id or anything else that a caller chose;
//! only Regions served here, operations and codes of the API.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meridian_model::Region;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The metrics of a process; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    connections: Gauge,
    panics: Counter,
}

impl Metrics {
    /// A registry with the metrics of the request path.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("meridian");
        let requests = Family::default();
        let durations = Family::new_with_constructor(latency_histogram as fn() -> Histogram);
        let (connections, panics) = (Gauge::default(), Counter::default());
        registry.register("requests", "Requests by Region, operation and code", requests.clone());
        let help = "Time from the whole request to its answer, by Region and operation";
        registry.register("request_duration_seconds", help, durations.clone());
        registry.register("connections", "Open client connections", connections.clone());
        registry.register("panics", "Requests ended by a panic", panics.clone());
        Self { registry: Arc::new(Mutex::new(registry)), requests, durations, connections, panics }
    }

    /// Counts one answered request. There is no Region if nobody proved to have meant one; `code` is an error code of
    /// the API, or [`OK`].
    pub fn observe(&self, region: Option<&Region>, operation: &'static str, code: &'static str, took: Duration) {
        let labels = RequestLabels { region: region.cloned(), operation, code };
        self.requests.get_or_create(&labels).inc();
        let labels = DurationLabels { region: labels.region, operation };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// The number of open client connections.
    #[must_use]
    pub fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// Requests that ended in a panic; any is a defect.
    #[must_use]
    pub fn panics(&self) -> &Counter {
        &self.panics
    }

    /// The place where other crates register theirs. Names get the prefix `meridian_`.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().expect("registering and encoding do not panic"));
    }

    /// The exposition, of content type [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        let registry = self.registry.lock().expect("registering and encoding do not panic");
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("writing to memory does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RequestLabels {
    region: Option<Region>,
    operation: &'static str,
    code: &'static str,
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let labels =
            [("region", region_name(self.region.as_ref())), ("operation", self.operation), ("code", self.code)];
        labels.iter().try_for_each(|label| encode_label(encoder, *label))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct DurationLabels {
    region: Option<Region>,
    operation: &'static str,
}

impl EncodeLabelSet for DurationLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let labels = [("region", region_name(self.region.as_ref())), ("operation", self.operation)];
        labels.iter().try_for_each(|label| encode_label(encoder, *label))
    }
}

fn region_name(region: Option<&Region>) -> &str {
    region.map_or("none", Region::as_str)
}

fn encode_label(encoder: &mut LabelSetEncoder<'_>, label: (&str, &str)) -> fmt::Result {
    use prometheus_client::encoding::EncodeLabel;
    label.encode(encoder.encode_label())
}

/// From 50 microseconds, below which nothing signed is answered, doubling to 26 seconds, above which clients give up.
fn latency_histogram() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(50e-6, 2.0, 20))
}

/// The code of a request that succeeded.
pub const OK: &str = "OK";
/// What `/metrics` declares (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_observed_and_registered_is_exposed() {
        let metrics = Metrics::new();
        let region = "us-east-1".parse().unwrap();
        metrics.observe(Some(&region), "Encrypt", OK, Duration::from_micros(70));
        metrics.observe(Some(&region), "Encrypt", "DisabledException", Duration::from_micros(40));
        let lag: Gauge = Gauge::default();
        lag.set(7);
        metrics.register(|registry| registry.register("replication_lag", "Lag", lag.clone()));
        let text = metrics.encode();
        for line in [
            r#"meridian_requests_total{region="us-east-1",operation="Encrypt",code="OK"} 1"#,
            r#"meridian_requests_total{region="us-east-1",operation="Encrypt",code="DisabledException"} 1"#,
            r#"meridian_request_duration_seconds_bucket{le="0.00005",region="us-east-1",operation="Encrypt"} 1"#,
            r#"meridian_request_duration_seconds_count{region="us-east-1",operation="Encrypt"} 2"#,
            "meridian_replication_lag 7",
            "meridian_panics_total 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
