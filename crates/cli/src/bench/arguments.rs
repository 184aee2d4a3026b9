//! Arguments that both measurements take: durations, credentials.
//!
//! A secret never stands in the help text or in a report.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use meridian_identity::ClientCredentials;
use meridian_identity::credentials::DEV_ACCESS_KEY;
use serde::{Serialize, Serializer};

/// A duration on the command line: a whole number with `ms`, `s` or `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DurationArgument(pub Duration);

impl FromStr for DurationArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no duration; write it like 500ms, 5s or 2m");
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let number: u32 = digits.parse().map_err(|_| wrong())?;
        match &text[digits.len()..] {
            "ms" => Ok(Self(Duration::from_millis(number.into()))),
            "s" => Ok(Self(Duration::from_secs(number.into()))),
            "m" => Ok(Self(Duration::from_secs(u64::from(number) * 60))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for DurationArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match (millis % 60_000, millis % 1000) {
            (0, _) if millis > 0 => write!(f, "{}m", millis / 60_000),
            (_, 0) => write!(f, "{}s", millis / 1000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

impl Serialize for DurationArgument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What requests are signed with.
#[derive(Args, Serialize)]
pub struct Credentials {
    /// Access key id; without it that of AWS_ACCESS_KEY_ID, else the dev credentials.
    #[arg(long, requires = "secret_key")]
    access_key: Option<String>,
    /// Secret access key; without it that of AWS_SECRET_ACCESS_KEY, else the dev credentials.
    #[arg(long, requires = "access_key")]
    #[serde(skip)]
    secret_key: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The pair of the command line, else that of the environment, else the one of dev mode.
    pub(super) fn resolve(&self) -> Result<ClientCredentials> {
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let environment = (given("AWS_ACCESS_KEY_ID"), given("AWS_SECRET_ACCESS_KEY"));
        self.resolve_with(environment)
    }

    fn resolve_with(&self, environment: (Option<String>, Option<String>)) -> Result<ClientCredentials> {
        if let (Some(id), Some(secret)) = (&self.access_key, &self.secret_key) {
            return Ok(ClientCredentials::new(id, secret));
        }
        match environment {
            (Some(id), Some(secret)) => Ok(ClientCredentials::new(&id, &secret)),
            (None, None) => Ok(ClientCredentials::new(DEV_ACCESS_KEY, DEV_ACCESS_KEY)),
            (Some(_), None) => bail!("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"),
            (None, Some(_)) => bail!("AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, millis) in [("500ms", 500), ("5s", 5000), ("2m", 120_000), ("90s", 90_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(DurationArgument(Duration::from_millis(millis))), "{text}");
            assert_eq!(DurationArgument(Duration::from_millis(millis)).to_string(), text);
        }
        for text in ["", "5", "s", "-1s", "1.5s", "5h", "5 s", "99999999999s", "5µs"] {
            assert!(text.parse::<DurationArgument>().is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_come_from_flags_then_environment_then_dev_mode() {
        let text = |value: &str| Some(value.to_owned());
        let resolved = |flags: [Option<String>; 2], environment| {
            let [access_key, secret_key] = flags;
            let credentials = Credentials { access_key, secret_key }.resolve_with(environment);
            credentials.map(|pair| (pair.access_key_id, pair.secret.expose().to_owned())).ok()
        };
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        let (flags, environment) = ([text("a"), text("b")], (text("c"), text("d")));
        assert_eq!(resolved(flags, environment.clone()), pair("a", "b"));
        assert_eq!(resolved([None, None], environment), pair("c", "d"));
        assert_eq!(resolved([None, None], (None, None)), pair("test", "test"));
        assert_eq!(resolved([None, None], (text("c"), None)), None);
        assert_eq!(resolved([None, None], (None, text("d"))), None);
    }

    #[test]
    fn the_secret_is_neither_printed_nor_reported() {
        let credentials = Credentials { access_key: Some("id".into()), secret_key: Some("hidden".into()) };
        assert!(!format!("{credentials:?}").contains("hidden"));
        assert!(!serde_json::to_string(&credentials).expect("JSON").contains("hidden"));
    }
}
