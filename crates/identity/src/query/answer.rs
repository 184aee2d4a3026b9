//! What an action tells back: a tree of named values, and the XML that it becomes.
//!
//! The same tree becomes the response elements of an audit record; see [`Value::Secret`] for what must not.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use meridian_model::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::query::namespace;
use crate::sigv4::Service;

/// An answer, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct QueryAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body, of the type [`crate::query::CONTENT_TYPE`]. May hold a secret access key.
    pub body: String,
}

impl fmt::Debug for QueryAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

/// What an action tells back; `None` for actions that have no output.
pub type Answer = Option<Members>;

/// Named values in the order in which they are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Members(Vec<(Cow<'static, str>, Value)>);

/// One value of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A text.
    Text(String),
    /// A policy document, which IAM sends percent-encoded (RFC 3986).
    Document(String),
    /// A secret, told to the client and to nobody else.
    Secret(SecretText),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// A moment.
    Time(Timestamp),
    /// A list.
    List(Vec<Value>),
    /// A structure.
    Members(Members),
    /// A map of texts to numbers.
    Numbers(Vec<(String, u64)>),
}

/// A text that nobody may print. Wiped on drop. Encoded only for the way from the leader to the node that answers.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The only door to the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({} bytes)", self.0.len())
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl Members {
    /// No members yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// With the member `name`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.push((Cow::Borrowed(name), value));
        self
    }

    /// With the text `name`.
    #[must_use]
    pub fn text(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.with(name, Value::Text(value.to_string()))
    }

    /// With the text `name`, if there is one.
    #[must_use]
    pub fn optional(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// With the moment `name`.
    #[must_use]
    pub fn time(self, name: &'static str, at: Timestamp) -> Self {
        self.with(name, Value::Time(at))
    }

    /// With the structure `name`.
    #[must_use]
    pub fn nested(self, name: &'static str, members: Self) -> Self {
        self.with(name, Value::Members(members))
    }

    /// With the list `name` of structures.
    #[must_use]
    pub fn list(self, name: &'static str, items: impl IntoIterator<Item = Self>) -> Self {
        self.with(name, Value::List(items.into_iter().map(Value::Members).collect()))
    }

    /// With the list `name` of texts.
    #[must_use]
    pub fn texts(self, name: &'static str, items: impl IntoIterator<Item = String>) -> Self {
        self.with(name, Value::List(items.into_iter().map(Value::Text).collect()))
    }

    /// The members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    fn write(&self, xml: &mut String) {
        for (name, value) in self.iter() {
            element(xml, name, |xml| value.write(xml));
        }
    }
}

impl Value {
    /// The value as it stands between tags.
    fn write(&self, xml: &mut String) {
        match self {
            Self::Text(text) => push_escaped(xml, text),
            Self::Document(text) => xml.push_str(&encoded(text)),
            Self::Secret(text) => push_escaped(xml, text.expose()),
            Self::Flag(flag) => xml.push_str(if *flag { "true" } else { "false" }),
            Self::Number(number) => {
                let _ = write!(xml, "{number}");
            }
            Self::Time(at) => xml.push_str(&iso_seconds(*at)),
            Self::List(items) => items.iter().for_each(|item| element(xml, "member", |xml| item.write(xml))),
            Self::Members(members) => members.write(xml),
            Self::Numbers(entries) => {
                for (key, number) in entries {
                    let entry = Members::new().text("key", key).with("value", Self::Number(*number));
                    element(xml, "entry", |xml| entry.write(xml));
                }
            }
        }
    }
}

/// The answer that tells `answer` to a client of `service` who asked for `action`.
#[must_use]
pub fn success(service: Service, action: &str, answer: &Answer, request_id: &str) -> QueryAnswer {
    let mut body = String::with_capacity(BODY_LENGTH_USUAL); // a secret in it is not left behind in a smaller one
    let _ = write!(body, "<{action}Response xmlns=\"{}\">", namespace(service));
    if let Some(members) = answer {
        element(&mut body, &format!("{action}Result"), |xml| members.write(xml));
    }
    element(&mut body, "ResponseMetadata", |xml| {
        element(xml, "RequestId", |xml| push_escaped(xml, request_id));
    });
    let _ = writeln!(body, "</{action}Response>");
    QueryAnswer { status: 200, body }
}

/// Longer than any answer with a secret in it: credentials with the longest session token and names.
const BODY_LENGTH_USUAL: usize = 24 * 1024;

fn element(xml: &mut String, name: &str, fill: impl FnOnce(&mut String)) {
    let _ = write!(xml, "<{name}>");
    fill(xml);
    let _ = write!(xml, "</{name}>");
}

/// A text as it may stand between tags.
pub(crate) fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    push_escaped(&mut xml, text);
    xml
}

/// Appends a text as it may stand between tags; characters that XML 1.0 cannot hold are left out.
fn push_escaped(xml: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(xml, "&#{};", u32::from(letter));
            }
            letter if letter < ' ' || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            letter => xml.push(letter),
        }
    }
}

/// A policy document as IAM sends it: every byte escaped but those that RFC 3986 calls unreserved.
#[must_use]
pub fn encoded(document: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(document, RESERVED).to_string()
}

/// A moment in whole seconds, such as `2026-05-08T03:01:29Z`.
fn iso_seconds(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_millis() / 1000).unwrap_or(i64::MAX);
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH); // beyond the year 9999
    at.format(&Rfc3339).expect("a date in UTC has this form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_has_its_form() {
        let inner = Members::new().text("A", "<&>").with("Flag", Value::Flag(true));
        let members = Members::new()
            .time("At", Timestamp::from_millis(1_440_938_160_999))
            .with("Doc", Value::Document("{\"a\": 1}".to_owned()))
            .with("Secret", Value::Secret("s/+".to_owned().into()))
            .list("L", [inner])
            .texts("T", ["x".to_owned()])
            .with("Map", Value::Numbers(vec![("Users".to_owned(), 3)]))
            .optional("No", None::<&str>);
        let answer = success(Service::Iam, "Do", &Some(members), "id");
        assert_eq!(
            answer.body,
            "<DoResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><DoResult><At>2015-08-30T12:36:00Z</At>\
             <Doc>%7B%22a%22%3A%201%7D</Doc><Secret>s/+</Secret><L><member><A>&lt;&amp;&gt;</A><Flag>true</Flag></member></L>\
             <T><member>x</member></T><Map><entry><key>Users</key><value>3</value></entry></Map></DoResult>\
             <ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DoResponse>\n"
        );
    }

    #[test]
    fn an_action_without_output_has_no_result() {
        let body = success(Service::Sts, "Do", &None, "id").body;
        assert!(!body.contains("DoResult"), "{body}");
        assert!(success(Service::Sts, "Do", &Some(Members::new()), "id").body.contains("<DoResult></DoResult>"));
    }

    #[test]
    fn xml_cannot_be_broken_out_of() {
        assert_eq!(escaped("<a href=\"b\">&'\0\n"), "&lt;a href=&quot;b&quot;&gt;&amp;&apos;&#10;");
    }

    #[test]
    fn debug_shows_no_secret() {
        let members = Members::new().with("Secret", Value::Secret("hush".to_owned().into()));
        let answer = success(Service::Iam, "Do", &Some(members.clone()), "id");
        assert!(!format!("{members:?}{answer:?}").contains("hush"));
    }
}
