//! Lags between Regions: what was recorded, what would be possible at best, and how both are told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use meridian_model::Region;
use serde::{Serialize, Serializer};

use super::report::{NONE, Table, millis};
use super::samples::{Samples, Summary, as_micros};
use super::watch::Sighting;

/// A span of time that is measured, for each Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// The call of ReplicateKey.
    ReplicateCall,
    /// From its answer until the replica is `Enabled` in its Region.
    AnswerUntilEnabled,
    /// Both together.
    CallUntilEnabled,
    /// From the answer of ReplicateKey until another Region's DescribeKey lists the replica.
    ReplicaListed,
    /// From the answer of EnableKeyRotation until a replica's GetKeyRotationStatus shows it: one shared change.
    RotationStatus,
}

impl Measure {
    const fn name(self) -> &'static str {
        match self {
            Self::ReplicateCall => "ReplicateKey call",
            Self::AnswerUntilEnabled => "answer until Enabled",
            Self::CallUntilEnabled => "call until Enabled",
            Self::ReplicaListed => "replica listed",
            Self::RotationStatus => "rotation status",
        }
    }
}

/// What the network and the disks make possible at best.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of one message from Region to Region.
    pub(super) delay: Duration,
    /// One durable write.
    pub(super) commit: Duration,
}

impl Limits {
    fn of(&self, measure: Measure) -> Option<Duration> {
        match measure {
            // Three round trips (reserve, hand over the material, confirm) and four durable commits, two on each side.
            Measure::CallUntilEnabled => Some(self.delay * 6 + self.commit * 4),
            // One message, and one durable commit where it arrives.
            Measure::RotationStatus => Some(self.delay + self.commit),
            Measure::ReplicateCall | Measure::AnswerUntilEnabled | Measure::ReplicaListed => None,
        }
    }
}

/// All that was recorded.
#[derive(Default)]
pub(super) struct Lags {
    series: BTreeMap<(Measure, Region), Series>,
    /// How late sightings may be.
    pub(super) granularity: Samples,
}

#[derive(Default)]
struct Series {
    samples: Samples,
    seen_at_first_look: usize,
}

impl Lags {
    pub(super) fn record(&mut self, measure: Measure, region: &Region, lag: Duration) {
        self.series(measure, region).samples.record(lag);
    }

    /// Records the time from `since` to the sighting.
    pub(super) fn sighted(&mut self, measure: Measure, region: &Region, since: Instant, seen: Sighting) {
        let series = self.series(measure, region);
        series.samples.record(seen.at.saturating_duration_since(since));
        series.seen_at_first_look += usize::from(seen.looks == 1);
        self.granularity.record(seen.granularity);
    }

    fn series(&mut self, measure: Measure, region: &Region) -> &mut Series {
        self.series.entry((measure, region.clone())).or_default()
    }

    /// One row per measure and Region.
    pub(super) fn rows(&self, limits: Option<Limits>) -> Vec<Lag> {
        let row = |(key, series): (&(Measure, Region), &Series)| {
            let (measure, region) = key;
            let latency = series.samples.summary()?;
            let limit = limits.and_then(|limits| limits.of(*measure));
            Some(Lag {
                measure: measure.name(),
                region: region.clone(),
                latency,
                seen_at_first_look: (!matches!(measure, Measure::ReplicateCall | Measure::CallUntilEnabled))
                    .then_some(series.seen_at_first_look),
                limit,
                of_limit: limit.map(|limit| latency.p50.as_secs_f64() / limit.as_secs_f64().max(f64::EPSILON)),
            })
        };
        self.series.iter().filter_map(row).collect()
    }
}

/// One measure in one Region.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Lag {
    measure: &'static str,
    region: Region,
    latency: Summary,
    /// Sightings that were no later than the first look: the lag is below what can be measured.
    seen_at_first_look: Option<usize>,
    #[serde(rename = "limit_us", serialize_with = "optional_micros")]
    limit: Option<Duration>,
    /// Median over limit.
    of_limit: Option<f64>,
}

#[allow(clippy::ref_option)] // the form that serde calls
fn optional_micros<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(as_micros).serialize(serializer)
}

/// Everything that was measured.
#[derive(Serialize)]
pub(super) struct Results {
    /// UpdateKeyDescription in the Region of the primaries, one call after the other.
    pub(super) durable_commit: Option<Summary>,
    pub(super) lags: Vec<Lag>,
    /// How late sightings may be: the time since the look before.
    pub(super) granularity: Option<Summary>,
    pub(super) keys_created: usize,
    pub(super) keys_scheduled_for_deletion: usize,
    pub(super) errors: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Results {
    pub(super) fn has_samples(&self) -> bool {
        !self.lags.is_empty()
    }

    pub(super) fn table(&self) -> Table {
        let mut table = Table::new([
            "lag",
            "Region",
            "count",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "at first look",
            "limit ms",
            "p50 / limit",
        ]);
        for lag in &self.lags {
            let Summary { count, p50, p90, p99, max } = lag.latency;
            let mut cells = vec![lag.measure.to_owned(), lag.region.to_string(), count.to_string()];
            cells.extend([p50, p90, p99, max].map(millis));
            cells.push(lag.seen_at_first_look.map_or_else(|| NONE.to_owned(), |count| count.to_string()));
            cells.push(lag.limit.map_or_else(|| NONE.to_owned(), millis));
            cells.push(lag.of_limit.map_or_else(|| NONE.to_owned(), |ratio| format!("{ratio:.2}")));
            table.row(cells);
        }
        table
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(Summary { p50, p99, .. }) = self.durable_commit {
            lines.push(format!(
                "Durable commit (UpdateKeyDescription): p50 {} ms, p99 {} ms.",
                millis(p50),
                millis(p99)
            ));
        }
        if let Some(Summary { p50, max, .. }) = self.granularity {
            let (p50, max) = (millis(p50), millis(max));
            lines.push(format!(
                "Changes are seen late by up to the time between two looks: p50 {p50} ms, max {max} ms."
            ));
        }
        if self.lags.iter().any(|lag| lag.limit.is_some()) {
            lines.push(
                "Limits: call until Enabled, 3 link round trips + 4 durable commits; rotation status, one way + 1 commit."
                    .to_owned(),
            );
        }
        lines.extend(self.errors.iter().map(|error| format!("Failed: {error}")));
        lines.extend(self.notes.iter().cloned());
        let (created, scheduled) = (self.keys_created, self.keys_scheduled_for_deletion);
        lines.push(format!("Keys created: {created}, of them scheduled for deletion: {scheduled}."));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_made_of_trips_and_commits() {
        let limits = Limits { delay: Duration::from_millis(50), commit: Duration::from_millis(2) };
        assert_eq!(limits.of(Measure::CallUntilEnabled), Some(Duration::from_millis(308)));
        assert_eq!(limits.of(Measure::RotationStatus), Some(Duration::from_millis(52)));
        assert_eq!(limits.of(Measure::ReplicateCall), None);
    }

    #[test]
    #[allow(clippy::float_cmp)] // one half is exact
    fn rows_are_by_measure_and_region() {
        let region = |name: &str| name.parse::<Region>().expect("a Region");
        let (mut lags, since) = (Lags::default(), Instant::now());
        let seen = |millis, looks| Sighting {
            at: since + Duration::from_millis(millis),
            granularity: Duration::from_millis(1),
            looks,
        };
        lags.sighted(Measure::RotationStatus, &region("us-west-2"), since, seen(26, 1));
        lags.sighted(Measure::RotationStatus, &region("us-west-2"), since, seen(30, 7));
        lags.record(Measure::ReplicateCall, &region("us-west-2"), Duration::from_millis(5));
        let limits = Limits { delay: Duration::from_millis(50), commit: Duration::from_millis(2) };
        let rows = lags.rows(Some(limits));
        assert_eq!(rows.iter().map(|row| row.measure).collect::<Vec<_>>(), ["ReplicateKey call", "rotation status"]);
        assert_eq!((rows[0].seen_at_first_look, rows[0].of_limit), (None, None));
        assert_eq!((rows[1].seen_at_first_look, rows[1].of_limit), (Some(1), Some(0.5)));
        assert_eq!(lags.rows(None)[1].limit, None);
        assert_eq!(lags.granularity.len(), 2);
    }
}
