//! Recorded latencies, and their exact percentiles.
//!
//! Eight bytes per sample; the number of samples is bounded by the number of requests that a run may send.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Latencies in the order of their recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    nanos: Vec<u64>,
}

impl Samples {
    pub(super) fn record(&mut self, latency: Duration) {
        self.nanos.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all of `other`.
    pub(super) fn merge(&mut self, other: Self) {
        self.nanos.extend(other.nanos);
    }

    pub(super) fn len(&self) -> usize {
        self.nanos.len()
    }

    /// `None` without samples.
    pub(super) fn summary(&self) -> Option<Summary> {
        let mut sorted = self.nanos.clone();
        sorted.sort_unstable();
        let max = sorted.last().copied().map(Duration::from_nanos)?;
        let at = |percent| Duration::from_nanos(sorted[rank(percent, sorted.len())]);
        Some(Summary { count: sorted.len(), p50: at(50), p90: at(90), p99: at(99), max })
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(latencies: I) -> Self {
        let mut samples = Self::default();
        latencies.into_iter().for_each(|latency| samples.record(latency));
        samples
    }
}

/// The nearest rank (NIST Engineering Statistics Handbook, section 7.2.6.2, without interpolation): the smallest sample that
/// at least `percent` of all samples do not exceed. Counted from zero; `count` is not zero.
fn rank(percent: usize, count: usize) -> usize {
    (count * percent).div_ceil(100).max(1) - 1
}

/// Percentiles of latencies. Every one is a latency that was measured, none is interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) count: usize,
    #[serde(rename = "p50_us", serialize_with = "micros")]
    pub(super) p50: Duration,
    #[serde(rename = "p90_us", serialize_with = "micros")]
    pub(super) p90: Duration,
    #[serde(rename = "p99_us", serialize_with = "micros")]
    pub(super) p99: Duration,
    #[serde(rename = "max_us", serialize_with = "micros")]
    pub(super) max: Duration,
}

/// A duration as a JSON number of microseconds, to the nanosecond.
#[allow(clippy::trivially_copy_pass_by_ref)] // the form that serde calls
pub(super) fn micros<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(as_micros(*duration))
}

/// Microseconds with three decimals.
pub(super) fn as_micros(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e9).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(millis: impl IntoIterator<Item = u64>) -> Option<[u64; 4]> {
        let samples: Samples = millis.into_iter().map(Duration::from_millis).collect();
        let summary = samples.summary()?;
        Some(
            [summary.p50, summary.p90, summary.p99, summary.max]
                .map(|part| u64::try_from(part.as_millis()).expect("small")),
        )
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        assert_eq!(summary([]), None);
        assert_eq!(summary([7]), Some([7, 7, 7, 7]));
        assert_eq!(summary([2, 1]), Some([1, 2, 2, 2]));
        assert_eq!(summary((1..=100).rev()), Some([50, 90, 99, 100]));
        assert_eq!(summary(1..=1000), Some([500, 900, 990, 1000]));
        assert_eq!(summary(1..=101), Some([51, 91, 100, 101]));
    }

    #[test]
    fn merged_samples_are_counted_together() {
        let mut samples: Samples = [Duration::from_millis(1)].into_iter().collect();
        samples.merge([Duration::from_millis(9), Duration::from_millis(5)].into_iter().collect());
        let summary = samples.summary().expect("three");
        assert_eq!((summary.count, summary.p50, summary.max), (3, Duration::from_millis(5), Duration::from_millis(9)));
    }

    #[test]
    fn json_has_microseconds() {
        let samples: Samples = [Duration::from_nanos(1_234_567)].into_iter().collect();
        let json = serde_json::to_value(samples.summary()).expect("JSON");
        assert_eq!(json["p50_us"], 1234.567);
        assert_eq!(json["count"], 1);
    }
}
