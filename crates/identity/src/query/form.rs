//! Forms: the parameters of a request, and their reading within the constraints of the API models.
//!
//! Always true: a parameter is given once, and no message repeats a policy document.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::query::constraints::{TAG_KEY, TAG_VALUE, TAGS_MAX, Text};
use crate::query::error::{QueryCode, QueryError};

/// Parameters of one request at most: CreateRole with all of its tags has about a hundred.
const PARAMETERS_MAX: usize = 1000;

/// Violations spelled out in one message; further ones are counted only.
const VIOLATIONS_SPELLED_OUT_MAX: usize = 32;

/// Characters of one offending value that a message repeats.
const VALUE_CHARS_MAX: usize = 256;

/// The parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form(BTreeMap<String, String>);

/// A tag of a resource or of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its key; compared without regard to case, kept as written.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl Form {
    /// Parses a query string or a body of the type `application/x-www-form-urlencoded`, or both: `pieces` are read in turn.
    /// Parameters whose names begin with `X-Amz-` belong to the signature and are left out.
    ///
    /// # Errors
    /// `MalformedQueryString` for what is no list of parameters or gives one twice; `MissingAction`.
    pub fn parse(pieces: &[&[u8]]) -> Result<Self, QueryError> {
        let mut parameters = BTreeMap::new();
        for piece in pieces {
            let text = std::str::from_utf8(piece).map_err(|_| malformed("not UTF-8"))?;
            for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                let name = decoded(name)?;
                if is_of_signature(&name) {
                    continue;
                }
                if parameters.len() >= PARAMETERS_MAX {
                    return Err(malformed("too many parameters"));
                }
                let value = decoded(value)?;
                // No action takes one, and each would be six characters in the audit trail.
                if name.chars().chain(value.chars()).any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
                    return Err(malformed("a control character"));
                }
                if parameters.insert(name, value).is_some() {
                    return Err(malformed("a parameter is given twice"));
                }
            }
        }
        let form = Self(parameters);
        if form.action().is_empty() {
            return Err(QueryError::new(QueryCode::MissingAction, "The request must contain the parameter Action."));
        }
        Ok(form)
    }

    /// The name of the action that is asked for.
    #[must_use]
    pub fn action(&self) -> &str {
        self.0.get("Action").map_or("", String::as_str)
    }

    pub(crate) fn version(&self) -> &str {
        self.0.get("Version").map_or("", String::as_str)
    }

    /// The parameters of the action itself, in the order of their names.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| !matches!(*name, "Action" | "Version"))
    }
}

fn is_of_signature(name: &str) -> bool {
    name.as_bytes().first_chunk::<6>().is_some_and(|start| start.eq_ignore_ascii_case(b"x-amz-"))
}

fn malformed(what: &str) -> QueryError {
    QueryError::new(QueryCode::MalformedQueryString, format!("The request is no list of parameters: {what}"))
}

fn decoded(text: &str) -> Result<String, QueryError> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().map_err(|_| malformed("a bad escape"))?;
    Ok(decoded.into_owned())
}

/// Reads the parameters of one action, and notes every violation. What is in violation reads as empty or absent: nobody
/// looks at it, because [`Reader::finish`] refuses.
pub(crate) struct Reader<'a> {
    form: &'a Form,
    /// Whether messages repeat values and quote patterns, as those of STS do; IAM withholds the ones and words the others.
    is_plain: bool,
    violations: String,
    count: usize,
    /// The first pattern of IAM's that does not match, in IAM's words.
    unmatched: Option<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(form: &'a Form, is_plain: bool) -> Self {
        Self { form, is_plain, violations: String::new(), count: 0, unmatched: None }
    }

    /// The refusal that the violations amount to.
    pub(crate) fn finish(self) -> Result<(), QueryError> {
        let message = match (self.count, self.unmatched) {
            (0, None) => return Ok(()),
            (0, Some(unmatched)) => unmatched,
            (1, _) => format!("1 validation error detected: {}", self.violations),
            (count, _) => format!("{count} validation errors detected: {}", self.violations),
        };
        Err(QueryError::new(QueryCode::ValidationError, message))
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, name: &str, limits: &Text) -> String {
        if !self.form.0.contains_key(name) {
            self.missing(name);
        }
        self.optional(name, limits).unwrap_or_default()
    }

    /// A text that may be absent.
    pub(crate) fn optional(&mut self, name: &str, limits: &Text) -> Option<String> {
        let form = self.form;
        let value = form.0.get(name)?;
        let length = value.chars().count();
        let words = limits.pattern.and_then(|pattern| pattern.words).filter(|_| !self.is_plain);
        if length > limits.max {
            self.violation(name, value, format_args!("Member must have length less than or equal to {}", limits.max));
        } else if length < limits.min {
            self.violation(
                name,
                value,
                format_args!("Member must have length greater than or equal to {}", limits.min),
            );
        }
        match (limits.pattern.filter(|pattern| length > 0 && !(pattern.matches)(value)), words) {
            (Some(_), Some(words)) => {
                let message = || format!("The specified value for {} is invalid. {words}", path(name));
                self.unmatched.get_or_insert_with(message);
            }
            (Some(pattern), None) => {
                let regex = pattern.regex;
                self.violation(name, value, format_args!("Member must satisfy regular expression pattern: {regex}"));
            }
            (None, _) => {}
        }
        Some(value.clone())
    }

    /// A whole number within `min` and `max`.
    pub(crate) fn number(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        let form = self.form;
        let value = form.0.get(name)?;
        match value.parse::<i64>() {
            Err(_) => self.violation(name, value, format_args!("Member must be a whole number")),
            Ok(number) if number > i64::from(max) => {
                self.violation(name, value, format_args!("Member must have value less than or equal to {max}"));
            }
            Ok(number) if number < i64::from(min) => {
                self.violation(name, value, format_args!("Member must have value greater than or equal to {min}"));
            }
            Ok(number) => return u32::try_from(number).ok(),
        }
        None
    }

    /// `true` or `false`; absent means `false`.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        self.choice(name, &["true", "false"]) == Some("true")
    }

    /// One of `values`.
    pub(crate) fn choice(&mut self, name: &str, values: &[&'static str]) -> Option<&'static str> {
        let form = self.form;
        let value = form.0.get(name)?;
        let found = values.iter().copied().find(|known| known == value);
        if found.is_none() {
            let set = values.join(", ");
            self.violation(name, value, format_args!("Member must satisfy enum value set: [{set}]"));
        }
        found
    }

    /// One of `values`, which must be there; the first one after a violation.
    pub(crate) fn required_choice(&mut self, name: &str, values: &[&'static str]) -> &'static str {
        if !self.form.0.contains_key(name) {
            self.missing(name);
        }
        self.choice(name, values).unwrap_or(values[0])
    }

    /// A list of at most `max` texts.
    pub(crate) fn texts(&mut self, name: &str, max: usize, limits: &Text) -> Vec<String> {
        let items = self.items(name, max);
        items.into_iter().map(|at| self.required(&format!("{name}.member.{at}"), limits)).collect()
    }

    /// A list of at most `max` structures, of each its only member `member`.
    pub(crate) fn only_members(&mut self, name: &str, member: &str, max: usize, limits: &Text) -> Vec<String> {
        let items = self.items(name, max);
        items.into_iter().map(|at| self.required(&format!("{name}.member.{at}.{member}"), limits)).collect()
    }

    /// The list of tags. Keys that differ in case only are one key, and refused.
    pub(crate) fn tags(&mut self) -> Vec<Tag> {
        let items = self.items("Tags", TAGS_MAX);
        let mut tags = Vec::with_capacity(items.len());
        let mut keys = BTreeSet::new();
        for at in items {
            let key = self.required(&format!("Tags.member.{at}.Key"), &TAG_KEY);
            let value = self.required(&format!("Tags.member.{at}.Value"), &TAG_VALUE);
            if !keys.insert(key.to_lowercase()) {
                let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
                self.unmatched.get_or_insert_with(|| message.to_owned());
            }
            tags.push(Tag { key, value });
        }
        tags
    }

    /// Whether the list `name` is there, be it empty.
    pub(crate) fn require_list(&mut self, name: &str) {
        if !self.form.0.contains_key(name) && self.positions(name).is_empty() {
            self.missing(name);
        }
    }

    /// Whether any parameter of the list `name` is given.
    pub(crate) fn has_items(&self, name: &str) -> bool {
        !self.positions(name).is_empty()
    }

    /// The positions of the items of a list, in ascending order.
    fn items(&mut self, name: &str, max: usize) -> BTreeSet<u32> {
        let items = self.positions(name);
        if items.len() > max {
            self.violation(name, "", format_args!("Member must have length less than or equal to {max}"));
            return BTreeSet::new();
        }
        items
    }

    fn positions(&self, name: &str) -> BTreeSet<u32> {
        let prefix = format!("{name}.member.");
        let names = self.form.0.range(prefix.clone()..).map(|(name, _)| name.as_str());
        let within = names.map_while(|name| name.strip_prefix(prefix.as_str()));
        within.filter_map(|rest| rest.split('.').next()?.parse().ok()).collect()
    }

    fn missing(&mut self, name: &str) {
        self.note(format_args!("Value null at '{}' failed to satisfy constraint: Member must not be null", path(name)));
    }

    fn violation(&mut self, name: &str, value: &str, constraint: fmt::Arguments<'_>) {
        let path = path(name);
        if self.is_plain && !path.starts_with("policy") && path != "tokenCode" {
            let shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
            self.note(format_args!("Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"));
        } else {
            self.note(format_args!("Value at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }

    fn note(&mut self, text: fmt::Arguments<'_>) {
        self.count += 1;
        if self.count <= VIOLATIONS_SPELLED_OUT_MAX {
            let separator = if self.count == 1 { "" } else { "; " };
            let _ = write!(self.violations, "{separator}{text}");
        }
    }
}

/// A parameter as messages name it: `Tags.member.1.Key` is `tags.1.member.key`.
fn path(name: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    let mut rest = name.split('.');
    while let Some(step) = rest.next() {
        match (step, rest.clone().next()) {
            ("member", Some(at)) => {
                rest.next();
                steps.extend([at, "member"]);
            }
            (step, _) => steps.push(step),
        }
    }
    steps.into_iter().map(lower_first).collect::<Vec<_>>().join(".")
}

fn lower_first(step: &str) -> String {
    let mut letters = step.chars();
    letters.next().into_iter().map(|first| first.to_ascii_lowercase()).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::constraints::{NAME_64, SESSION_NAME};

    fn form(body: &str) -> Form {
        Form::parse(&[body.as_bytes()]).expect("a form")
    }

    fn refusal<T>(body: &str, is_plain: bool, read: impl FnOnce(&mut Reader<'_>) -> T) -> String {
        let form = form(body);
        let mut reader = Reader::new(&form, is_plain);
        read(&mut reader);
        let error = reader.finish().expect_err("a violation");
        assert_eq!(error.code, QueryCode::ValidationError);
        error.message
    }

    #[test]
    fn forms_are_decoded() {
        let form =
            Form::parse(&[b"X-Amz-Date=1&Version=2011-06-15", b"Action=Get%43aller+Identity&A=%26"]).expect("valid");
        assert_eq!((form.action(), form.version()), ("GetCaller Identity", "2011-06-15"));
        assert_eq!(form.parameters().collect::<Vec<_>>(), [("A", "&")]);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for (body, code) in [
            (&b""[..], QueryCode::MissingAction),
            (b"Action=", QueryCode::MissingAction),
            (b"Version=1", QueryCode::MissingAction),
            (b"Action=A&Action=B", QueryCode::MalformedQueryString),
            (b"Action=%ff", QueryCode::MalformedQueryString),
            (b"\xff", QueryCode::MalformedQueryString),
        ] {
            assert_eq!(Form::parse(&[body]).map_err(|error| error.code), Err(code));
        }
        let twice = Form::parse(&[b"Action=A", b"Action=B"]);
        assert_eq!(twice.map_err(|error| error.code), Err(QueryCode::MalformedQueryString));
        let many = (0..2000).map(|at| format!("a{at}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(Form::parse(&[many.as_bytes()]).map_err(|error| error.code), Err(QueryCode::MalformedQueryString));
    }

    #[test]
    fn iam_words_its_violations() {
        let name = |reader: &mut Reader<'_>| reader.required("UserName", &NAME_64);
        assert_eq!(
            refusal("Action=A", false, name),
            "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(
            refusal("Action=A&UserName=", false, name),
            "1 validation error detected: Value at 'userName' failed to satisfy constraint: Member must have length greater \
             than or equal to 1"
        );
        assert_eq!(
            refusal("Action=A&UserName=a+b", false, name),
            "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-"
        );
        assert!(
            refusal("Action=A&MaxItems=0", false, |reader| reader.number("MaxItems", 1, 1000)).contains("'maxItems'")
        );
        assert!(
            refusal("Action=A&Status=on", false, |reader| reader.required_choice("Status", &["Active"]))
                .ends_with("Member must satisfy enum value set: [Active]")
        );
    }

    #[test]
    fn sts_shows_what_it_refuses() {
        assert_eq!(
            refusal("Action=A&RoleSessionName=a+b&DurationSeconds=1", true, |reader| {
                reader.required("RoleSessionName", &SESSION_NAME);
                reader.number("DurationSeconds", 900, 43_200)
            }),
            "2 validation errors detected: Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [\\w+=,.@-]*; Value '1' at 'durationSeconds' failed to satisfy constraint: \
             Member must have value greater than or equal to 900"
        );
    }

    #[test]
    fn lists_are_read_in_the_order_of_their_numbers() {
        let form = form("Action=A&Keys.member.10=c&Keys.member.2=b&Keys.member.1=a&Keysx.member.1=d&Keys.member.x=e");
        let mut reader = Reader::new(&form, false);
        assert_eq!(reader.texts("Keys", 50, &TAG_KEY), ["a", "b", "c"]);
        assert!(reader.has_items("Keys") && !reader.has_items("Tags"));
        reader.finish().expect("no violation");
    }

    #[test]
    fn tags_are_checked_one_by_one() {
        let tags = |reader: &mut Reader<'_>| reader.tags();
        assert!(refusal("Action=A&Tags.member.1.Key=a", false, tags).contains("Value null at 'tags.1.member.value'"));
        assert!(
            refusal("Action=A&Tags.member.1.Key=a*&Tags.member.1.Value=", false, tags).contains("'tags.1.member.key'")
        );
        let twice = "Action=A&Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.2.Key=A&Tags.member.2.Value=";
        assert!(refusal(twice, false, tags).starts_with("Duplicate tag keys"));
        let many: Vec<_> = (1..=51).map(|at| format!("&Tags.member.{at}.Key=k{at}&Tags.member.{at}.Value=v")).collect();
        let many = many.concat();
        assert!(refusal(&format!("Action=A{many}"), false, tags).contains("length less than or equal to 50"));
    }

    #[test]
    fn a_hostile_number_of_violations_gives_a_bounded_message() {
        let names = (0..900).map(|at| format!("&Keys.member.{at}=")).collect::<Vec<_>>().concat();
        let message = refusal(&format!("Action=A{names}"), true, |reader| reader.texts("Keys", 1000, &TAG_KEY));
        assert!(message.starts_with("900 validation errors detected: ") && message.len() < 10_000, "{}", message.len());
    }
}
