//! Points in time as the API gives them: Unix time with millisecond precision.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
///
/// On the wire of the API a timestamp is a JSON number of seconds with a millisecond fraction; see
/// [`Timestamp::as_epoch_seconds`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A timestamp from milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Seconds since the Unix epoch with a millisecond fraction, as the wire carries it.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // 2^53 ms lies 285,000 years ahead
    pub fn as_epoch_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This moment plus `duration`; saturates at the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// How long this moment lies after `earlier`; zero if it does not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A length of `days` days of 24 hours.
#[must_use]
pub const fn days(days: u32) -> Duration {
    Duration::from_secs(days as u64 * 86_400)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_later_is_seven_days_since() {
        let start = Timestamp::from_millis(1_502_910_355_475);
        assert_eq!(start.plus(days(7)).since(start), days(7));
        assert_eq!(start.since(start.plus(days(7))), Duration::ZERO);
    }

    #[test]
    fn epoch_seconds_keep_the_millisecond_fraction() {
        assert_eq!(Timestamp::from_millis(1_502_910_355_475).as_epoch_seconds().to_string(), "1502910355.475");
    }
}
