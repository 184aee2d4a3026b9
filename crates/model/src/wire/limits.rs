//! The constraints that the API model puts on the values of members.
//!
//! A pattern is a regular expression in the model and a hand-written function here, side by side; both hold for the
//! whole value. Limits that only the service knows (deletion window, page sizes) are not here.

use std::fmt;

use crate::wire::report::Constraint;

/// Limits of a string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    /// Unicode code points at least.
    pub(crate) min: usize,
    /// Unicode code points at most.
    pub(crate) max: usize,
    pub(crate) pattern: Option<Pattern>,
}

impl Text {
    pub(crate) const fn new(min: usize, max: usize) -> Self {
        Self { min, max, pattern: None }
    }

    /// Hands every broken constraint to `broken`.
    pub(crate) fn check(&self, text: &str, mut broken: impl FnMut(Constraint)) {
        let length = text.chars().count();
        if length > self.max {
            broken(Constraint::LengthMax(self.max));
        }
        if length < self.min {
            broken(Constraint::LengthMin(self.min));
        }
        if let Some(pattern) = self.pattern.filter(|pattern| !(pattern.matches)(text)) {
            broken(Constraint::Pattern(pattern.regex));
        }
    }

    pub(crate) fn constraints(&self) -> Vec<Constraint> {
        let pattern = self.pattern.map(|pattern| Constraint::Pattern(pattern.regex));
        [Constraint::LengthMax(self.max), Constraint::LengthMin(self.min)].into_iter().chain(pattern).collect()
    }
}

/// Limits of a blob, in bytes before base64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl Size {
    pub(crate) const fn new(min: usize, max: usize) -> Self {
        Self { min, max }
    }

    pub(crate) fn check(&self, length: usize, mut broken: impl FnMut(Constraint)) {
        if length > self.max {
            broken(Constraint::LengthMax(self.max));
        }
        if length < self.min {
            broken(Constraint::LengthMin(self.min));
        }
    }
}

/// Limits of an integer, both ends allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

impl Range {
    pub(crate) const fn new(min: u32, max: u32) -> Self {
        Self { min, max }
    }

    pub(crate) fn check(self, value: i64, mut broken: impl FnMut(Constraint)) {
        if value > i64::from(self.max) {
            broken(Constraint::ValueMax(self.max));
        }
        if value < i64::from(self.min) {
            broken(Constraint::ValueMin(self.min));
        }
    }
}

/// Limits of a list and of each of its items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items<L> {
    pub(crate) size: Size,
    pub(crate) each: L,
}

impl<L> Items<L> {
    /// A list of any length, as far as the size of a request allows.
    pub(crate) const fn any(each: L) -> Self {
        Self { size: Size::new(0, usize::MAX), each }
    }

    pub(crate) const fn new(min: usize, max: usize, each: L) -> Self {
        Self { size: Size::new(min, max), each }
    }
}

/// A regular expression of the model and the function that decides it.
#[derive(Clone, Copy)]
pub(crate) struct Pattern {
    pub(crate) regex: &'static str,
    pub(crate) matches: fn(&str) -> bool,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.regex)
    }
}

const fn pattern(regex: &'static str, matches: fn(&str) -> bool) -> Pattern {
    Pattern { regex, matches }
}

const fn text(min: usize, max: usize, pattern: Pattern) -> Text {
    Text { min, max, pattern: Some(pattern) }
}

/// Any text without limits.
pub(crate) const ANY_TEXT: Text = Text::new(0, usize::MAX);
pub(crate) const KEY_ID: Text = Text::new(1, 2048);
pub(crate) const ARN: Text = Text::new(20, 2048);
pub(crate) const DESCRIPTION: Text = Text::new(0, 8192);
pub(crate) const TAG_KEY: Text = Text::new(1, 128);
pub(crate) const TAG_VALUE: Text = Text::new(0, 256);
pub(crate) const GRANT_ID: Text = Text::new(1, 128);
pub(crate) const GRANT_TOKEN: Text = Text::new(1, 8192);
pub(crate) const GRANT_TOKENS: Items<Text> = Items::new(0, 10, GRANT_TOKEN);
pub(crate) const KEY_STORE_ID: Text = Text::new(1, 64);
pub(crate) const KEY_STORE_NAME: Text = Text::new(1, 256);
pub(crate) const KEY_STORE_PASSWORD: Text = Text::new(7, 32);
pub(crate) const TRUST_ANCHOR: Text = Text::new(1, 5000);

pub(crate) const ALIAS_NAME: Text =
    text(1, 256, pattern("^[a-zA-Z0-9:/_-]+$", |text| some_of(text, |byte| alphanumeric_or(byte, b":/_-"))));
pub(crate) const GRANT_NAME: Text = ALIAS_NAME;
pub(crate) const PRINCIPAL: Text =
    text(1, 256, pattern(r"^[\w+=,.@:/-]+$", |text| some_of(text, |byte| alphanumeric_or(byte, b"_+=,.@:/-"))));
pub(crate) const SERVICE_PRINCIPAL: Text =
    text(1, 128, pattern(r"^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$", is_service_principal));
pub(crate) const SOURCE_ARN: Text =
    text(20, 512, pattern("^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$", is_source_arn));
pub(crate) const POLICY: Text = text(1, 131_072, pattern(r"[\u0009\u000A\u000D\u0020-\u00FF]+", is_policy));
pub(crate) const POLICY_NAME: Text =
    text(1, 128, pattern(r"[\w]+", |text| some_of(text, |byte| alphanumeric_or(byte, b"_"))));
pub(crate) const MARKER: Text = text(1, 1024, pattern(r"[\u0020-\u00FF]*", is_marker));
pub(crate) const KEY_MATERIAL_ID: Text = text(64, 64, pattern("^[a-f0-9]+$", is_lower_hex));
pub(crate) const KEY_MATERIAL_DESCRIPTION: Text =
    text(0, 256, pattern(r"^[a-zA-Z0-9:/_\s.-]+$", is_key_material_description));
pub(crate) const REGION: Text = text(1, 32, pattern(r"^([a-z]+-){2,3}\d+$", is_region));
pub(crate) const CLUSTER_ID: Text = text(19, 24, pattern("cluster-[2-7a-zA-Z]{11,16}", is_cluster_id));
pub(crate) const XKS_KEY_ID: Text =
    text(1, 128, pattern("^[a-zA-Z0-9-_.]+$", |text| some_of(text, |byte| alphanumeric_or(byte, b"-_."))));
pub(crate) const XKS_ACCESS_KEY_ID: Text =
    text(20, 30, pattern("^[A-Z2-7]+$", |text| some_of(text, |byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))));
pub(crate) const XKS_SECRET_ACCESS_KEY: Text =
    text(43, 64, pattern(r"^[a-zA-Z0-9\/+=]+$", |text| some_of(text, |byte| alphanumeric_or(byte, b"/+="))));
pub(crate) const XKS_URI_ENDPOINT: Text = text(10, 128, pattern("^https://[a-zA-Z0-9.-]+$", is_https_endpoint));
pub(crate) const XKS_URI_PATH: Text =
    text(10, 128, pattern(r"^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$", is_xks_path));
pub(crate) const VPC_ENDPOINT_SERVICE_NAME: Text = text(
    20,
    64,
    pattern(r"^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$", is_vpc_endpoint_service_name),
);
pub(crate) const VPC_ENDPOINT_SERVICE_OWNER: Text = text(12, 12, pattern("[0-9]{12}", is_account));

pub(crate) const LIMIT: Range = Range::new(1, 1000);
pub(crate) const NUMBER_OF_BYTES: Range = Range::new(1, 1024);
pub(crate) const WINDOW_DAYS: Range = Range::new(1, 365);
pub(crate) const ROTATION_PERIOD_DAYS: Range = Range::new(90, 2560);
pub(crate) const CIPHERTEXT: Size = Size::new(1, 6144);
pub(crate) const PLAINTEXT: Size = Size::new(1, 4096);
pub(crate) const PUBLIC_KEY: Size = Size::new(1, 8192);
pub(crate) const ATTESTATION_DOCUMENT: Size = Size::new(1, 262_144);

/// Not empty, and every byte is `allowed`.
fn some_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

fn alphanumeric_or(byte: u8, others: &[u8]) -> bool {
    byte.is_ascii_alphanumeric() || others.contains(&byte)
}

fn is_service_principal(text: &str) -> bool {
    text.split('.').count() >= 3 && text.split('.').all(|label| some_of(label, |byte| alphanumeric_or(byte, b"-")))
}

fn is_source_arn(text: &str) -> bool {
    let is_word = |part: &str| part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else { return false };
    let line_terminators = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']; // what `.` does not match
    arn == "arn"
        && partition.strip_prefix("aws").is_some_and(is_word)
        && !service.is_empty()
        && is_word(service)
        && is_word(region)
        && is_account(account)
        && !resource.is_empty()
        && !resource.contains(line_terminators)
}

fn is_policy(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{ff}'))
}

fn is_marker(text: &str) -> bool {
    text.chars().all(|letter| matches!(letter, ' '..='\u{ff}'))
}

fn is_lower_hex(text: &str) -> bool {
    some_of(text, |byte| matches!(byte, b'a'..=b'f' | b'0'..=b'9'))
}

fn is_key_material_description(text: &str) -> bool {
    some_of(text, |byte| alphanumeric_or(byte, b":/_ \t\n\x0b\x0c\r.-"))
}

fn is_region(text: &str) -> bool {
    let Some((words, number)) = text.rsplit_once('-') else { return false };
    let words_count = words.split('-').count();
    (2..=3).contains(&words_count)
        && words.split('-').all(|word| some_of(word, |byte| byte.is_ascii_lowercase()))
        && some_of(number, |byte| byte.is_ascii_digit())
}

fn is_cluster_id(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'2'..=b'7');
    text.strip_prefix("cluster-").is_some_and(|id| (11..=16).contains(&id.len()) && id.bytes().all(is_allowed))
}

fn is_https_endpoint(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|host| some_of(host, |byte| alphanumeric_or(byte, b".-")))
}

fn is_xks_path(text: &str) -> bool {
    let Some((prefix, version)) = text.rsplit_once("/kms/xks/v") else { return false };
    let has_version = (1..=2).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit());
    let rest_of_prefix = prefix.strip_prefix('/');
    has_version
        && (prefix.is_empty() || rest_of_prefix.is_some_and(|rest| some_of(rest, |byte| alphanumeric_or(byte, b"/_-"))))
}

fn is_vpc_endpoint_service_name(text: &str) -> bool {
    let rest = text.strip_prefix("com").or_else(|| text.strip_prefix("eu"));
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix(".amazonaws.vpce.")) else { return false };
    let Some((region, service)) = rest.split_once(".vpce-svc-") else { return false };
    is_region(region) && some_of(service, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pattern with texts that match and texts that do not.
    #[test]
    fn patterns_decide_as_their_regular_expressions_do() {
        let table: &[(Text, &[&str], &[&str])] = &[
            (ALIAS_NAME, &["alias/a", "a:b/_-9"], &["", "alias/a b", "alias/ä", "a.b"]),
            (PRINCIPAL, &["arn:aws:iam::123456789012:user/a", "a_b+=,.@:/-"], &["", "a b", "a*", "a#"]),
            (SERVICE_PRINCIPAL, &["a.b.c", "ec2.us-east-1.amazonaws.com"], &["", "a.b", "a..b", "a.b.", "a_b.c.d"]),
            (
                SOURCE_ARN,
                &["arn:aws:s3::123456789012:x", "arn:aws-cn:a:b:123456789012:c:d e"],
                &["", "arn:aws:s3::12345678901:x", "arn:aws:s3::123456789012:", "arn:aws:S3::123456789012:x", "a:b"],
            ),
            (POLICY, &["{}", "\t\r\n ÿ"], &["", "\u{100}", "\u{b}", "\0"]),
            (POLICY_NAME, &["default", "A_9"], &["", "a-b", "ä"]),
            (MARKER, &["", "abc ÿ"], &["\t", "\u{100}"]),
            (KEY_MATERIAL_ID, &["0af"], &["", "A", "g"]),
            (KEY_MATERIAL_DESCRIPTION, &["a b\tc:/_.-", "\u{c}"], &["", "ä", "a+b"]),
            (REGION, &["us-east-1", "us-gov-west-12"], &["", "us-1", "a-b-c-d-1", "us-east-", "US-east-1", "us--1"]),
            (CLUSTER_ID, &["cluster-234abcdABCD"], &["cluster-1abcdefghij", "cluster-abc", "xcluster-234abcdABCD"]),
            (XKS_KEY_ID, &["a-b_c.9"], &["", "a/b", "a b"]),
            (XKS_ACCESS_KEY_ID, &["ABC234"], &["", "abc", "A1"]),
            (XKS_SECRET_ACCESS_KEY, &["aB9/+="], &["", "a-b"]),
            (XKS_URI_ENDPOINT, &["https://a.b-c"], &["", "http://a.b", "https://", "https://a/b", "https://a:1"]),
            (
                XKS_URI_PATH,
                &["/kms/xks/v1", "/a/b_-/kms/xks/v12", "//kms/xks/kms/xks/v1"],
                &["", "kms/xks/v1", "/kms/xks/v", "/kms/xks/v123", "//kms/xks/v1", "/a b/kms/xks/v1", "/kms/xks/v1/"],
            ),
            (
                VPC_ENDPOINT_SERVICE_NAME,
                &["com.amazonaws.vpce.us-east-1.vpce-svc-0a", "eu.amazonaws.vpce.eusc-de-east-1.vpce-svc-0"],
                &["", "org.amazonaws.vpce.us-east-1.vpce-svc-0a", "com.amazonaws.vpce.us-east-1.vpce-svc-", "com"],
            ),
            (VPC_ENDPOINT_SERVICE_OWNER, &["123456789012"], &["", "12345678901", "1234567890123", "12345678901a"]),
        ];
        for (text, inside, outside) in table {
            let pattern = text.pattern.expect("a pattern");
            inside.iter().for_each(|value| assert!((pattern.matches)(value), "{value:?} in {pattern:?}"));
            outside.iter().for_each(|value| assert!(!(pattern.matches)(value), "{value:?} not in {pattern:?}"));
        }
    }

    #[test]
    fn lengths_are_counted_in_code_points() {
        let mut broken = Vec::new();
        Text::new(1, 2).check("äö", |constraint| broken.push(constraint));
        assert!(broken.is_empty());
        Text { pattern: POLICY.pattern, ..Text::new(3, 3) }.check("a\u{100}", |constraint| broken.push(constraint));
        let regex = POLICY.pattern.expect("one").regex;
        assert_eq!(broken, [Constraint::LengthMin(3), Constraint::Pattern(regex)]);
    }
}
