//! What was wrong with a request, in the words of the service.
//!
//! A value of the wrong JSON type ends the decoding (`SerializationException`). A value that breaks a constraint of the
//! API model is noted here, and the decoding goes on, so that the caller hears of all violations at once
//! (`ValidationException`). Secret values are never handed to this module.

use std::fmt::{self, Write as _};

use crate::{ErrorCode, ServiceError};

/// Violations spelled out in one message; further ones are counted only. Bounds the message of a hostile request.
const VIOLATIONS_SPELLED_OUT_MAX: usize = 32;

/// Characters of one offending value that the message repeats.
const VALUE_CHARS_MAX: usize = 1024;

/// Where a value stands in a request: a list on the stack, made text only when there is something to complain about.
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Root,
    Member(&'static str),
    Item(usize),
    Entry(&'a str),
}

impl<'a> Path<'a> {
    pub(crate) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    /// The member with the wire name `name` of the structure at this path.
    pub(crate) fn member(&'a self, name: &'static str) -> Self {
        Self { parent: Some(self), step: Step::Member(name) }
    }

    /// The item at `index`, counted from zero, of the list at this path.
    pub(crate) fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Item(index) }
    }

    /// The value under `key` of the map at this path.
    pub(crate) fn entry(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Entry(key) }
    }
}

/// The form of the service's messages: `tags.1.member.tagKey`, members in lower camel case, items counted from one.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent.filter(|parent| !matches!(parent.step, Step::Root)) {
            write!(f, "{parent}.")?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Member(name) => {
                let mut letters = name.chars();
                letters.next().into_iter().try_for_each(|first| f.write_char(first.to_ascii_lowercase()))?;
                f.write_str(letters.as_str())
            }
            Step::Item(index) => write!(f, "{}.member", index + 1),
            Step::Entry(key) => write!(f, "{}.member", Shortened(key)),
        }
    }
}

/// One constraint of the API model, as the service words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constraint {
    NotNull,
    LengthMin(usize),
    LengthMax(usize),
    ValueMin(u32),
    ValueMax(u32),
    Pattern(&'static str),
    EnumSet(&'static [&'static str]),
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNull => f.write_str("Member must not be null"),
            Self::LengthMin(min) => write!(f, "Member must have length greater than or equal to {min}"),
            Self::LengthMax(max) => write!(f, "Member must have length less than or equal to {max}"),
            Self::ValueMin(min) => write!(f, "Member must have value greater than or equal to {min}"),
            Self::ValueMax(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::Pattern(regex) => write!(f, "Member must satisfy regular expression pattern: {regex}"),
            Self::EnumSet(values) => write!(f, "Member must satisfy enum value set: [{}]", values.join(", ")),
        }
    }
}

/// Several constraints on the items of a list, in the order in which the service names them.
pub(crate) struct Constraints<'a>(pub(crate) &'a [Constraint]);

impl fmt::Display for Constraints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Member must satisfy constraint: [")?;
        for (at, constraint) in self.0.iter().enumerate() {
            write!(f, "{}{constraint}", if at == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

/// The offending value, as far as the message may show it.
pub(crate) enum Shown<'a> {
    Null,
    Text(&'a str),
    /// Secrets and blobs.
    Withheld,
}

/// The violations found so far.
#[derive(Default)]
pub(crate) struct Report {
    text: String,
    count: usize,
}

impl Report {
    pub(crate) fn violation(&mut self, at: &Path<'_>, value: &Shown<'_>, constraint: &dyn fmt::Display) {
        self.count += 1;
        if self.count > VIOLATIONS_SPELLED_OUT_MAX {
            return;
        }
        let separator = if self.count == 1 { "" } else { "; " };
        let text = &mut self.text;
        let _ = match value {
            Shown::Null => write!(text, "{separator}Value null at '{at}'"),
            Shown::Text(value) => write!(text, "{separator}Value '{}' at '{at}'", Shortened(value)),
            Shown::Withheld => write!(text, "{separator}Value at '{at}'"),
        };
        let _ = write!(text, " failed to satisfy constraint: {constraint}");
    }

    /// The refusal that the violations amount to; `None` if there are none.
    pub(crate) fn into_error(self) -> Option<ServiceError> {
        let plural = if self.count == 1 { "" } else { "s" };
        let message = format!("{} validation error{plural} detected: {}", self.count, self.text);
        (self.count > 0).then(|| ServiceError::new(ErrorCode::Validation, message))
    }
}

/// A text, cut after [`VALUE_CHARS_MAX`] characters.
pub(crate) struct Shortened<'a>(pub(crate) &'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(VALUE_CHARS_MAX) {
            Some((end, _)) => write!(f, "{}...", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_worded_as_the_service_words_them() {
        let root = Path::ROOT;
        let tags = root.member("Tags");
        let first = tags.item(0);
        assert_eq!(first.member("TagKey").to_string(), "tags.1.member.tagKey");
        let context = root.member("EncryptionContext");
        assert_eq!(context.entry("a").to_string(), "encryptionContext.a.member");
    }

    #[test]
    fn a_hostile_number_of_violations_gives_a_bounded_message() {
        let mut report = Report::default();
        let long = "x".repeat(100_000);
        for _ in 0..1000 {
            report.violation(&Path::ROOT.member("KeyId"), &Shown::Text(&long), &Constraint::LengthMax(1));
        }
        let message = report.into_error().expect("violations").message;
        assert!(message.starts_with("1000 validation errors detected: Value 'xxx"));
        assert!(message.len() < 40_000, "{}", message.len());
    }
}
