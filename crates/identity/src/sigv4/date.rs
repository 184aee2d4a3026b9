//! The date of a signature: ISO 8601 in its basic format, `20150830T123600Z`.

use meridian_model::Timestamp;
use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// A moment in the basic format, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignatureDate {
    text: [u8; 16],
    at: Timestamp,
}

impl SignatureDate {
    /// The date at `at`; fractions of a second are cut off.
    pub(crate) fn from_timestamp(at: Timestamp) -> Self {
        let seconds = i64::try_from(at.as_millis() / 1000).unwrap_or(i64::MAX);
        // A clock beyond the year 9999 is told apart from nothing else anyway.
        let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let text = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second()
        );
        let text = text.into_bytes().try_into().expect("years have four digits up to 9999, the end of `time`");
        Self { text, at: Timestamp::from_millis(at.as_millis() / 1000 * 1000) }
    }

    /// Parses the value of `x-amz-date`.
    pub(crate) fn parse_basic(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().try_fold(0_u16, |sum, byte| {
                byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')) // at most 9999
            })
        };
        let small = |from: usize| number(from, from + 2).and_then(|value| u8::try_from(value).ok());
        let month = Month::try_from(small(4)?).ok()?;
        let date = Date::from_calendar_date(i32::from(number(0, 4)?), month, small(6)?).ok()?;
        let time = Time::from_hms(small(9)?, small(11)?, small(13)?).ok()?;
        let seconds = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
        let at = Timestamp::from_millis(u64::try_from(seconds).ok()? * 1000);
        Some(Self { text: bytes, at })
    }

    /// Parses the value of `Date`: the basic format, or that of HTTP (RFC 9110, section 5.6.7).
    pub(crate) fn parse_http(text: &str) -> Option<Self> {
        Self::parse_basic(text).or_else(|| {
            let seconds = OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp();
            Some(Self::from_timestamp(Timestamp::from_millis(u64::try_from(seconds).ok()?.checked_mul(1000)?)))
        })
    }

    /// `20150830T123600Z`.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("made of ASCII digits and letters")
    }

    /// `20150830`.
    pub(crate) fn day(&self) -> &str {
        &self.as_str()[..8]
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basic_format_is_read_and_written() {
        let date = SignatureDate::parse_basic("20150830T123600Z").expect("valid");
        assert_eq!(date.timestamp(), Timestamp::from_millis(1_440_938_160_000));
        assert_eq!(SignatureDate::from_timestamp(Timestamp::from_millis(1_440_938_160_999)), date);
        assert_eq!(date.day(), "20150830");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "20150830T123600",
            "20150830t123600Z",
            "2015-08-30T12:36",
            "20151330T123600Z",
            "20150230T123600Z",
            "20150830T243600Z",
            "20150830T123660Z",
            "2015083 T123600Z",
            "+0150830T123600Z",
            "19690101T000000Z",
            "２０１５0830Z",
        ] {
            assert_eq!(SignatureDate::parse_basic(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_date_header_may_have_the_format_of_http() {
        let date = SignatureDate::parse_http("Sun, 30 Aug 2015 12:36:00 GMT").expect("valid");
        assert_eq!(date.as_str(), "20150830T123600Z");
        assert_eq!(SignatureDate::parse_http("yesterday"), None);
    }

    #[test]
    fn a_broken_clock_gives_some_date() {
        let _ = SignatureDate::from_timestamp(Timestamp::from_millis(u64::MAX));
    }
}
