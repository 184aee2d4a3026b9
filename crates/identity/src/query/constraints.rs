//! The constraints that the API models of IAM and STS put on parameters.
//!
//! A pattern is a regular expression in the model and a hand-written function here, side by side; both hold for the whole
//! value. IAM words some of its patterns as sentences, which stand beside them.

/// Limits of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    /// Characters at least.
    pub(crate) min: usize,
    /// Characters at most.
    pub(crate) max: usize,
    pub(crate) pattern: Option<Pattern>,
}

impl Text {
    const fn any(min: usize, max: usize) -> Self {
        Self { min, max, pattern: None }
    }

    const fn of(min: usize, max: usize, pattern: Pattern) -> Self {
        Self { min, max, pattern: Some(pattern) }
    }
}

/// A regular expression of the model, the function that decides it, and what IAM says instead of quoting it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: &'static str,
    pub(crate) matches: fn(&str) -> bool,
    pub(crate) words: Option<&'static str>,
}

const fn pattern(regex: &'static str, matches: fn(&str) -> bool) -> Pattern {
    Pattern { regex, matches, words: None }
}

const NAME: Pattern = Pattern {
    regex: r"[\w+=,.@-]+",
    matches: |text| text.bytes().all(|byte| word_or(byte, b"+=,.@-")),
    words: Some("It must contain only alphanumeric characters and/or the following: +=,.@_-"),
};
const PATH_PATTERN: Pattern = Pattern {
    regex: r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)",
    matches: is_path,
    words: Some("It must begin and end with / and contain only alphanumeric characters and/or / characters."),
};
const POLICY_PATH_PATTERN: Pattern = Pattern {
    regex: r"((/[A-Za-z0-9\.,\+@=_-]+)*)/",
    matches: is_policy_path,
    words: Some("It must begin and end with / and contain only alphanumeric characters and/or / characters."),
};
const DOCUMENT_PATTERN: Pattern = Pattern {
    regex: r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    matches: |text| text.chars().all(|letter| matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{ff}')),
    words: Some("It must contain only printable ASCII characters."),
};
const DESCRIPTION_PATTERN: Pattern = pattern(r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*", |text| {
    text.chars().all(|letter| matches!(letter, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}'))
});
const MARKER_PATTERN: Pattern =
    pattern(r"[\u0020-\u00FF]+", |text| text.chars().all(|letter| matches!(letter, ' '..='\u{ff}')));
const WORD: Pattern = pattern(r"[\w]+", |text| text.bytes().all(|byte| word_or(byte, b"")));
const SESSION_WORD: Pattern = pattern(r"[\w+=,.@-]*", NAME.matches);

pub(crate) const NAME_64: Text = Text::of(1, 64, NAME);
pub(crate) const NAME_128: Text = Text::of(1, 128, NAME);
pub(crate) const PATH: Text = Text::of(1, 512, PATH_PATTERN);
pub(crate) const PATH_PREFIX: Text = Text::of(1, 512, pattern(r"\u002F[\u0021-\u007F]*", is_path_prefix));
pub(crate) const POLICY_PATH: Text = Text::of(1, 512, POLICY_PATH_PATTERN);
pub(crate) const ARN: Text = Text::any(20, 2048);
pub(crate) const DOCUMENT: Text = Text::of(1, 131_072, DOCUMENT_PATTERN);
pub(crate) const DESCRIPTION: Text = Text::of(0, 1000, DESCRIPTION_PATTERN);
pub(crate) const POLICY_DESCRIPTION: Text = Text::any(0, 1000);
pub(crate) const MARKER: Text = Text::of(1, 320, MARKER_PATTERN);
pub(crate) const ACCESS_KEY_ID: Text = Text::of(16, 128, WORD);
pub(crate) const VERSION_ID: Text = Text::of(0, 128, pattern(r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?", is_version_id));
pub(crate) const TAG_KEY: Text = Text::of(1, 128, pattern(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+", is_tag_text));
pub(crate) const TAG_VALUE: Text = Text::of(0, 256, pattern(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", is_tag_text));
pub(crate) const TASK_ID: Text = Text::any(1, 1000);
pub(crate) const SESSION_NAME: Text = Text::of(2, 64, SESSION_WORD);
pub(crate) const FEDERATED_NAME: Text = Text::of(2, 32, SESSION_WORD);
pub(crate) const SESSION_POLICY: Text = Text::of(1, 2048, DOCUMENT_PATTERN);
pub(crate) const EXTERNAL_ID: Text =
    Text::of(2, 1224, pattern(r"[\w+=,.@:\/-]*", |text| text.bytes().all(|byte| word_or(byte, b"+=,.@:/-"))));
pub(crate) const SERIAL_NUMBER: Text =
    Text::of(9, 256, pattern(r"[\w+=/:,.@-]*", |text| text.bytes().all(|byte| word_or(byte, b"+=/:,.@-"))));
pub(crate) const TOKEN_CODE: Text =
    Text::of(6, 6, pattern(r"[\d]*", |text| text.bytes().all(|byte| byte.is_ascii_digit())));

/// Tags of one resource or session at most, and session policies named by ARN.
pub(crate) const TAGS_MAX: usize = 50;
pub(crate) const SESSION_POLICY_ARNS_MAX: usize = 10;

/// A letter, a digit, `_`, or one of `others`.
fn word_or(byte: u8, others: &[u8]) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || others.contains(&byte)
}

fn is_path(text: &str) -> bool {
    let is_bounded = text == "/" || text.len() >= 3 && text.starts_with('/') && text.ends_with('/');
    is_bounded && text.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
}

fn is_path_prefix(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| matches!(byte, 0x21..=0x7f))
}

fn is_policy_path(text: &str) -> bool {
    let Some(inner) = text.strip_suffix('/') else { return false };
    let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| word_or(byte, b".,+@=-"));
    inner.is_empty() || inner.strip_prefix('/').is_some_and(|inner| inner.split('/').all(is_segment))
}

fn is_version_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else { return false };
    let (number, suffix) = rest.split_once('.').unwrap_or((rest, ""));
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty() && !number.starts_with('0');
    is_number && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Letters, separators and numbers of every script, and a few signs.
fn is_tag_text(text: &str) -> bool {
    let is_separator = |letter: char| letter.is_whitespace() && !letter.is_control();
    text.chars().all(|letter| letter.is_alphanumeric() || is_separator(letter) || "_.:/=+-@".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_decide_as_their_regular_expressions_do() {
        let table: &[(Text, &[&str], &[&str])] = &[
            (NAME_64, &["alice", "A_b+=,.@-9"], &["a b", "a/b", "ä", "a*"]),
            (PATH, &["/", "/a/", "/a/b!/"], &["", "a", "/a", "a/", "//", "/a b/", "/\u{7f}/"]),
            (PATH_PREFIX, &["/", "/a", "/a/"], &["", "a", "/ä", "/ "]),
            (POLICY_PATH, &["/", "/a/", "/a.,+@=_-/b/"], &["", "a", "/a", "//", "/a//", "/a!/", "/a b/"]),
            (DOCUMENT, &["{}", "\t\r\n ÿ"], &["\u{100}", "\u{b}", "\0"]),
            (DESCRIPTION, &["", "a b\t~ÿ"], &["\u{7f}", "\u{a0}", "\u{100}"]),
            (MARKER, &["a ÿ"], &["\t", "\u{100}"]),
            (ACCESS_KEY_ID, &["AKIA_9"], &["a-b", "a b"]),
            (VERSION_ID, &["v1", "v10.a-B", "v1."], &["", "v0", "v", "1", "v1x", "v1.a_b", "v01"]),
            (TAG_KEY, &["a b", "ÄÖ 9_.:/=+-@", "部門"], &["a*b", "a\tb", "a#", "☃"]),
            (SESSION_NAME, &["a", "a@b.c"], &["a b", "a:b"]),
            (EXTERNAL_ID, &["a:b/c"], &["a b", "a%"]),
            (SERIAL_NUMBER, &["arn:aws:iam::1:mfa/u"], &["a b"]),
            (TOKEN_CODE, &["123456"], &["12345a"]),
        ];
        for (text, inside, outside) in table {
            let pattern = text.pattern.expect("a pattern");
            inside.iter().for_each(|value| assert!((pattern.matches)(value), "{value:?} in {pattern:?}"));
            outside.iter().for_each(|value| assert!(!(pattern.matches)(value), "{value:?} not in {pattern:?}"));
        }
    }
}
