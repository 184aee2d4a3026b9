//! Values of conditions that are more than texts: numbers, moments, ranges of addresses.

use std::net::{IpAddr, Ipv6Addr};

/// A decimal number. Whole numbers are exact up to 2^53.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    is_decimal.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(i64);

const SECOND: i64 = 1_000_000;

impl Moment {
    /// Parses a date and time of ISO 8601 in the forms of the W3C profile, or seconds since the Unix epoch. A time without
    /// an offset, and a date without a time, are UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_epoch = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.len() != 4;
        if is_epoch {
            let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
            let seconds: i64 = seconds.parse().ok()?;
            return Some(Self(seconds.checked_mul(SECOND)?.checked_add(parse_fraction(fraction)?)?));
        }
        let (date, time) = text.split_once('T').unwrap_or((text, ""));
        let day = parse_date(date)?;
        let of_day = if time.is_empty() { 0 } else { parse_time(time)? };
        Some(Self(day * 86_400 * SECOND + of_day))
    }
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, as days since the Unix epoch.
fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = parse_digits(parts.next()?, 4)?;
    let month = parts.next().map_or(Some(1), |month| parse_digits(month, 2))?;
    let day = parts.next().map_or(Some(1), |day| parse_digits(day, 2))?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (parts.next().is_none() && (1..=days_of_month).contains(&day)).then(|| days_since_epoch(year, month, day))
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March so that the leap day comes last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.f`, with `Z`, `±hh:mm` or nothing, as microseconds of the day of UTC.
fn parse_time(text: &str) -> Option<i64> {
    let (clock, offset) = match text.find(['Z', '+', '-']) {
        Some(at) => (&text[..at], parse_offset(&text[at..])?),
        None => (text, 0),
    };
    let mut parts = clock.split(':');
    let hour = parse_digits(parts.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = parse_digits(parts.next()?, 2).filter(|minute| *minute < 60)?;
    let (second, fraction) = parts.next().map_or(("00", "0"), |second| second.split_once('.').unwrap_or((second, "0")));
    let second = parse_digits(second, 2).filter(|second| *second <= 60)?;
    let fraction = parse_fraction(fraction)?;
    parts.next().is_none().then(|| ((hour * 60 + minute - offset) * 60 + second) * SECOND + fraction)
}

/// `Z` or `±hh:mm`, as minutes.
fn parse_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = text.strip_prefix('-').map_or((1, text.get(1..)?), |rest| (-1, rest));
    let (hours, minutes) = rest.split_once(':').or_else(|| rest.split_at_checked(2))?;
    Some(sign * (parse_digits(hours, 2)? * 60 + parse_digits(minutes, 2)?))
}

/// Digits behind a point, as microseconds; what is smaller is cut.
fn parse_fraction(text: &str) -> Option<i64> {
    let is_fraction = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_fraction.then(|| {
        text.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0, |value, digit| value * 10 + i64::from(digit - b'0'))
    })
}

fn parse_digits(text: &str, len: usize) -> Option<i64> {
    (text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// A range of IP addresses in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IpRange {
    network: u128,
    mask: u128,
    is_v6: bool,
}

impl IpRange {
    /// Parses `address` or `address/bits`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv6() { 128 } else { 32 };
        let bits = bits.map_or(Some(width), |bits| parse_bits(bits, width))?;
        let mask = u128::MAX.checked_shl(width - bits).unwrap_or(0);
        Some(Self { network: number(address) & mask, mask, is_v6: address.is_ipv6() })
    }

    /// Whether `address` lies in the range. An IPv4 address that is written as an IPv6 one is an IPv4 address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv6() == self.is_v6 && number(address) & self.mask == self.network
    }
}

fn parse_bits(text: &str, width: u32) -> Option<u32> {
    let is_number = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|bits| *bits <= width)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(Ipv6Addr::from(address.octets())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2018-12-31T11:59:59Z", 1_546_257_599),
            ("1546257599", 1_546_257_599),
            ("1546257599.0", 1_546_257_599),
            ("2018-12-31T12:59:59+01:00", 1_546_257_599),
            ("2018-12-31T06:59:59-0500", 1_546_257_599),
            ("2018-12-31T11:59:59.999Z", 1_546_257_599),
            ("2000-02-29", 951_782_400),
            ("2000-03", 951_868_800),
            ("2001", 978_307_200),
            ("2026-11-25T19:30Z", 1_795_635_000),
            ("0", 0),
        ] {
            assert_eq!(Moment::parse(text).expect(text).0.div_euclid(SECOND), seconds, "{text}");
        }
        for text in ["", "yesterday", "2001-13-01", "2001-02-29", "2001-01-01T24:00Z", "1.2.3", "2001-01-01T10", "-5"] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers() {
        for (text, number) in [("21", 21.0), ("-1", -1.0), ("1546257599.0", 1_546_257_599.0), ("1e3", 1_000.0)] {
            assert!(parse_number(text).is_some_and(|parsed| (parsed - number).abs() < f64::EPSILON), "{text}");
        }
        for text in ["", "inf", "NaN", "0x10", "1e999", "1,5"] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_of_addresses() {
        for (range, address, contains) in [
            ("192.0.2.0/24", "192.0.2.7", true),
            ("192.0.2.9/24", "192.0.2.7", true),
            ("192.0.2.0/24", "192.0.3.7", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
        ] {
            let range_parsed = IpRange::parse(range).expect(range);
            assert_eq!(range_parsed.contains(address.parse().expect(address)), contains, "{range} / {address}");
        }
        for text in ["", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "2001:db8::/129", "192.0.2.0/+8", "corp"] {
            assert_eq!(IpRange::parse(text), None, "{text}");
        }
    }
}
