//! Metrics of links in the Prometheus format. Labels: the node, and the Regions at both ends.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Which link, and at which node it was measured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LinkLabels {
    /// Node id within its Region.
    pub node: u64,
    /// The sending Region.
    pub from: String,
    /// The receiving Region.
    pub to: String,
}

/// Which link, and why an envelope was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    /// Node id within its Region.
    pub node: u64,
    /// The sending Region.
    pub from: String,
    /// The receiving Region.
    pub to: String,
    /// Why.
    pub reason: &'static str,
}

/// The metrics of all links of a process. A clone stands for the same metrics.
#[derive(Clone, Debug)]
pub struct LinkMetrics {
    pub(crate) lag: Family<LinkLabels, Histogram, fn() -> Histogram>,
    pub(crate) round_trip: Family<LinkLabels, Gauge<f64, AtomicU64>>,
    pub(crate) outbox: Family<LinkLabels, Gauge>,
    pub(crate) connected: Family<LinkLabels, Gauge>,
    pub(crate) sent: Family<LinkLabels, Counter>,
    pub(crate) applied: Family<LinkLabels, Counter>,
    pub(crate) duplicates: Family<LinkLabels, Counter>,
    pub(crate) sessions: Family<LinkLabels, Counter>,
    pub(crate) refused: Family<RefusalLabels, Counter>,
}

impl LinkMetrics {
    /// New metrics, registered under `meridian_link_*`. Call it once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        let links = registry.sub_registry_with_prefix("meridian_link");
        links.register("lag_seconds", "From commit in the sending Region to applied here", metrics.lag.clone());
        links.register("round_trip_seconds", "Newest round trip of a heartbeat", metrics.round_trip.clone());
        links.register("outbox_messages", "Messages that wait to be acknowledged", metrics.outbox.clone());
        links.register("connected", "1 while the sending leader has a session", metrics.connected.clone());
        links.register("envelopes_sent", "Envelopes sent, repetitions included", metrics.sent.clone());
        links.register("envelopes_applied", "Envelopes applied here", metrics.applied.clone());
        links.register("envelopes_duplicate", "Envelopes that had been applied before", metrics.duplicates.clone());
        links.register("sessions", "Sessions begun by the sending leader", metrics.sessions.clone());
        links.register("envelopes_refused", "Envelopes and sessions refused here", metrics.refused.clone());
        metrics
    }

    /// Metrics that nobody reads.
    #[must_use]
    pub fn unregistered() -> Self {
        Self {
            lag: Family::new_with_constructor(lag_histogram as fn() -> Histogram),
            round_trip: Family::default(),
            outbox: Family::default(),
            connected: Family::default(),
            sent: Family::default(),
            applied: Family::default(),
            duplicates: Family::default(),
            sessions: Family::default(),
            refused: Family::default(),
        }
    }
}

/// The metrics of one direction between this Region and another, looked up once.
#[derive(Clone)]
pub(crate) struct DirectionMetrics {
    pub(crate) lag: Histogram,
    pub(crate) round_trip: Gauge<f64, AtomicU64>,
    pub(crate) outbox: Gauge,
    pub(crate) connected: Gauge,
    pub(crate) sent: Counter,
    pub(crate) applied: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) sessions: Counter,
    refused: Family<RefusalLabels, Counter>,
    labels: Arc<LinkLabels>,
}

impl DirectionMetrics {
    pub(crate) fn new(metrics: &LinkMetrics, labels: LinkLabels) -> Self {
        Self {
            lag: metrics.lag.get_or_create_owned(&labels),
            round_trip: metrics.round_trip.get_or_create_owned(&labels),
            outbox: metrics.outbox.get_or_create_owned(&labels),
            connected: metrics.connected.get_or_create_owned(&labels),
            sent: metrics.sent.get_or_create_owned(&labels),
            applied: metrics.applied.get_or_create_owned(&labels),
            duplicates: metrics.duplicates.get_or_create_owned(&labels),
            sessions: metrics.sessions.get_or_create_owned(&labels),
            refused: metrics.refused.clone(),
            labels: Arc::new(labels),
        }
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        let LinkLabels { node, from, to } = LinkLabels::clone(&self.labels);
        self.refused.get_or_create(&RefusalLabels { node, from, to, reason }).inc();
    }
}

/// From a millisecond, a loopback, to more than a minute, an outage.
fn lag_histogram() -> Histogram {
    Histogram::new([
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_in_the_text_format_under_their_names() {
        let mut registry = Registry::default();
        let metrics = LinkMetrics::register(&mut registry);
        let labels = LinkLabels { node: 2, from: "us-east-1".to_owned(), to: "us-west-2".to_owned() };
        let direction = DirectionMetrics::new(&metrics, labels);
        direction.lag.observe(0.004);
        direction.refused("signature");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a String takes everything");
        let link = r#"node="2",from="us-east-1",to="us-west-2""#;
        for line in [
            format!(r#"meridian_link_lag_seconds_bucket{{le="0.005",{link}}} 1"#),
            format!(r#"meridian_link_envelopes_refused_total{{{link},reason="signature"}} 1"#),
            format!("meridian_link_connected{{{link}}} 0"),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
