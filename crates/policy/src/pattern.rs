//! Texts of policies that stand for many: wildcards, and variables that a request fills.
//!
//! AWS IAM User Guide, "IAM policy elements: Variables and tags". A wildcard in the value of a variable is an ordinary
//! character.
//!
//! Always true: no text is searched twice for the same part of a pattern, so time grows with text and pattern, for parts
//! with `?` with their product, and never with the number of ways to match.

use std::borrow::Cow;

use crate::context::{ContextKey, ContextValue, Lookup};

/// What a text of a policy may hold besides ordinary characters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    /// `*` and `?`
    pub(crate) wildcards: bool,
    /// `${name}`; only documents of version 2012-10-17 have them.
    pub(crate) variables: bool,
}

/// A text without wildcards.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Fixed(Box<str>),
    WithVariables(Box<[Piece]>),
}

impl Text {
    pub(crate) fn parse(text: &str, variables: bool) -> Self {
        let pieces = pieces(text, Syntax { wildcards: false, variables });
        match &pieces[..] {
            [] => Self::Fixed("".into()),
            [Piece::Text(text)] => Self::Fixed(text.as_str().into()),
            _ => Self::WithVariables(pieces.into()),
        }
    }

    /// The text of a request; `None` if it lacks the value of a variable.
    pub(crate) fn resolve(&self, lookup: &Lookup<'_>) -> Option<Cow<'_, str>> {
        match self {
            Self::Fixed(text) => Some(Cow::Borrowed(text)),
            Self::WithVariables(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    text.push_str(&piece.text(lookup)?);
                }
                Some(Cow::Owned(text))
            }
        }
    }
}

/// A text with wildcards.
#[derive(Clone, Debug)]
pub(crate) enum Glob {
    Fixed(Pattern),
    WithVariables(Box<[Piece]>),
}

impl Glob {
    pub(crate) fn parse(text: &str, variables: bool) -> Self {
        let pieces = pieces(text, Syntax { wildcards: true, variables });
        if pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. })) {
            Self::WithVariables(pieces.into())
        } else {
            Self::Fixed(Pattern::new(&pieces))
        }
    }

    /// Whether `text` is one of those that this one stands for. Without the value of a variable it stands for none.
    pub(crate) fn matches(&self, text: &str, lookup: &Lookup<'_>) -> bool {
        match self {
            Self::Fixed(pattern) => pattern.matches(text),
            Self::WithVariables(pieces) => {
                let resolved: Option<Vec<Piece>> = pieces.iter().map(|piece| piece.resolve(lookup)).collect();
                resolved.is_some_and(|pieces| Pattern::new(&pieces).matches(text))
            }
        }
    }
}

/// An ARN of a policy, compared part by part: a wildcard does not reach beyond a colon of the first five.
#[derive(Clone, Debug)]
pub(crate) enum ArnGlob {
    Anything,
    Parts(Box<[Glob; 6]>),
}

impl ArnGlob {
    /// `None` if `text` has not the six parts of an ARN and is not `*`.
    pub(crate) fn parse(text: &str, variables: bool) -> Option<Self> {
        if text == "*" {
            return Some(Self::Anything);
        }
        let parts: Vec<Glob> =
            arn_parts(text, variables).into_iter().map(|part| Glob::parse(part, variables)).collect();
        parts.try_into().ok().map(|parts| Self::Parts(Box::new(parts)))
    }

    pub(crate) fn matches(&self, text: &str, lookup: &Lookup<'_>) -> bool {
        let Self::Parts(globs) = self else { return true };
        let mut parts = text.splitn(6, ':');
        globs.iter().all(|glob| parts.next().is_some_and(|part| glob.matches(part, lookup)))
    }
}

/// Splits at the first five colons outside of variables.
fn arn_parts(text: &str, variables: bool) -> Vec<&str> {
    let (mut parts, mut start, mut at) = (Vec::with_capacity(6), 0, 0);
    while let Some(next) = text[at..].chars().next() {
        if variables && text[at..].starts_with("${") {
            at += variable_len(&text[at..]).unwrap_or(2);
            continue;
        }
        if next == ':' && parts.len() < 5 {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        at += next.len_utf8();
    }
    parts.push(&text[start..]);
    parts
}

/// A piece of a text of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// `*`
    AnyText,
    /// `?`
    AnyCharacter,
    /// A variable; one without a key names nothing that a request could have.
    Variable {
        key: Option<ContextKey>,
        default: Option<String>,
    },
}

impl Piece {
    /// The text of a piece without wildcards.
    fn text(&self, lookup: &Lookup<'_>) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::AnyText | Self::AnyCharacter => None,
            Self::Variable { key, default } => {
                // A key with several values cannot be a variable.
                let value = key.as_ref().and_then(|key| lookup.value(key));
                let value = value.and_then(|value| match value {
                    ContextValue::One(value) => Some(Cow::Owned(value.into_owned())),
                    ContextValue::Many(_) => None,
                });
                value.or_else(|| default.as_deref().map(Cow::Borrowed))
            }
        }
    }

    /// The piece without variables.
    fn resolve(&self, lookup: &Lookup<'_>) -> Option<Self> {
        match self {
            Self::AnyText | Self::AnyCharacter => Some(self.clone()),
            Self::Text(_) | Self::Variable { .. } => self.text(lookup).map(|text| Self::Text(text.into_owned())),
        }
    }
}

/// Cuts `text` into pieces; texts never stand beside each other.
fn pieces(text: &str, syntax: Syntax) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(next) = rest.chars().next() {
        let variable = if syntax.variables { parse_variable(rest) } else { None };
        let (piece, len) = match (variable, next) {
            (Some(variable), _) => variable,
            (None, '*') if syntax.wildcards => (Piece::AnyText, 1),
            (None, '?') if syntax.wildcards => (Piece::AnyCharacter, 1),
            (None, _) => (Piece::Text(next.into()), next.len_utf8()),
        };
        rest = &rest[len..];
        match (pieces.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => pieces.push(piece),
        }
    }
    pieces
}

/// The variable at the start of `text`, and how long it is. What only looks like one is ordinary text.
fn parse_variable(text: &str) -> Option<(Piece, usize)> {
    let len = variable_len(text)?;
    let inside = &text[2..len - 1];
    if matches!(inside, "*" | "?" | "$") {
        return Some((Piece::Text(inside.to_owned()), len));
    }
    let (name, default) = match inside.split_once(',') {
        Some((name, default)) => (name, Some(default.trim().strip_prefix('\'')?.strip_suffix('\'')?.to_owned())),
        None => (inside, None),
    };
    Some((Piece::Variable { key: ContextKey::parse(name.trim()), default }, len))
}

/// How long the variable at the start of `text` is. A brace between quotes does not end it.
fn variable_len(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("${")?;
    let mut is_quoted = false;
    let end = inside.find(|next| {
        is_quoted ^= next == '\'';
        next == '}' && !is_quoted
    })?;
    Some(end + 3)
}

/// A pattern without variables.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// `*`
    Anything,
    /// No `*`
    Exact(Segment),
    /// What stands before the first `*`, between two of them each, and behind the last.
    Split { first: Segment, middle: Box<[Segment]>, last: Segment },
}

impl Pattern {
    fn new(pieces: &[Piece]) -> Self {
        let mut segments: Vec<Segment> = pieces.split(|piece| *piece == Piece::AnyText).map(Segment::new).collect();
        let first = segments.remove(0);
        let Some(last) = segments.pop() else { return Self::Exact(first) };
        segments.retain(|segment| !segment.is_empty());
        if first.is_empty() && last.is_empty() && segments.is_empty() {
            return Self::Anything;
        }
        Self::Split { first, middle: segments.into(), last }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let (first, middle, last) = match self {
            Self::Anything => return true,
            Self::Exact(segment) => return segment.strip_start(text).is_some_and(str::is_empty),
            Self::Split { first, middle, last } => (first, middle, last),
        };
        let Some(rest) = first.strip_start(text) else { return false };
        let Some(mut rest) = last.strip_end(rest) else { return false };
        // The leftmost place of each segment leaves most for those that follow.
        middle.iter().all(|segment| segment.strip_through(rest).map(|after| rest = after).is_some())
    }
}

/// A part of a pattern without `*`.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    Text(Box<str>),
    /// With `?`, which is `None`.
    Characters(Box<[Option<char>]>),
}

impl Segment {
    fn new(pieces: &[Piece]) -> Self {
        if let [] | [Piece::Text(_)] = pieces {
            let text = pieces.first().map_or("", |piece| if let Piece::Text(text) = piece { text } else { "" });
            return Self::Text(text.into());
        }
        let mut characters = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => characters.extend(text.chars().map(Some)),
                _ => characters.push(None),
            }
        }
        // Resolved variables leave texts beside each other.
        match characters.iter().copied().collect::<Option<String>>() {
            Some(text) => Self::Text(text.into()),
            None => Self::Characters(characters.into()),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    /// What follows this segment at the start of `text`.
    fn strip_start<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Text(segment) => text.strip_prefix(&**segment),
            Self::Characters(characters) => {
                let mut rest = text.chars();
                let fits = |wanted: &Option<char>| rest.next().is_some_and(|found| wanted.is_none_or(|it| it == found));
                characters.iter().all(fits).then_some(rest.as_str())
            }
        }
    }

    /// What precedes this segment at the end of `text`.
    fn strip_end<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Text(segment) => text.strip_suffix(&**segment),
            Self::Characters(characters) => {
                let mut rest = text.chars();
                let fits =
                    |wanted: &Option<char>| rest.next_back().is_some_and(|found| wanted.is_none_or(|it| it == found));
                characters.iter().rev().all(fits).then_some(rest.as_str())
            }
        }
    }

    /// What follows the first place of this segment in `text`.
    fn strip_through<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Text(segment) => text.find(&**segment).map(|at| &text[at + segment.len()..]),
            Self::Characters(characters) => {
                // A segment has at least as many bytes as characters: shorter ends need no look.
                let last = text.len().checked_sub(characters.len())?;
                let mut starts = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= last);
                starts.find_map(|at| self.strip_start(&text[at..]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{ConditionContext, NoContext};

    const NOTHING: Lookup<'static> = Lookup { context: &NoContext, by_key_policy: false };

    #[test]
    fn wildcards() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "", true),
            ("a", "a", true),
            ("a", "A", false),
            ("a*", "a", true),
            ("a*", "ab", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("a*bc*bd", "abcbd", true),
            ("a*bc*cd", "abcd", false),
            ("?", "", false),
            ("?", "ä", true),
            ("?", "ab", false),
            ("a?c", "abc", true),
            ("*?", "", false),
            ("?*", "a", true),
            ("*a?c*", "--abc--", true),
            ("*a?c*", "--abd-azc", true),
            ("*a?", "aab", true),
            ("*??*", "a", false),
            ("*??*", "äö", true),
            ("*ä?ö*", "xäääöx", true),
            ("kms:Get*", "kms:GetKeyPolicy", true),
            ("arn:aws:kms:*:111122223333:key/*", "arn:aws:kms:us-west-2:111122223333:key/1", true),
            ("arn:aws:kms:*:111122223333:key/*", "arn:aws:kms:us-west-2:444455556666:key/1", false),
        ] {
            assert_eq!(Glob::parse(pattern, true).matches(text, &NOTHING), matches, "{pattern} / {text}");
        }
    }

    #[test]
    fn arns_are_compared_part_by_part() {
        for (pattern, text, matches) in [
            ("*", "arn:aws:s3:::bucket", true),
            ("arn:aws:s3:::*", "arn:aws:s3:::bucket/a:b", true),
            ("arn:aws:*:1", "arn:aws:s3:::1", false),
            ("arn:*:us-west-2:*:key/a", "arn:aws:kms:us-west-2:111122223333:key/a", false),
            ("arn:*:*:us-west-2:*:key/a", "arn:aws:kms:us-west-2:111122223333:key/a", true),
            ("arn:aws:sns:*:*:a:b", "arn:aws:sns:us-west-2:111122223333:a:b", true),
            ("arn:aws:s3:::bucket", "arn:aws:s3", false),
        ] {
            let matched = ArnGlob::parse(pattern, true).is_some_and(|glob| glob.matches(text, &NOTHING));
            assert_eq!(matched, matches, "{pattern} / {text}");
        }
        assert!(ArnGlob::parse("arn:aws:s3", true).is_none());
        let with_variable = ArnGlob::parse("arn:aws:s3:::${aws:username, 'a:b'}", true).expect("six parts");
        assert!(with_variable.matches("arn:aws:s3:::a:b", &NOTHING));
    }

    struct Alice;
    impl ConditionContext for Alice {
        fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
            match (key.name(), key.attribute()) {
                ("aws:username", None) => Some(ContextValue::one("al*ce")),
                ("aws:principaltag", Some("team")) => Some(ContextValue::one("blue")),
                ("aws:tagkeys", None) => Some(ContextValue::Many(vec!["one".into()])),
                _ => None,
            }
        }
    }

    #[test]
    fn variables() {
        let lookup = Lookup { context: &Alice, by_key_policy: false };
        for (pattern, text, matches) in [
            ("${aws:username}", "al*ce", true),
            ("${aws:username}", "alice", false),
            ("${aws:USERNAME}", "al*ce", true),
            ("home/${aws:username}/*", "home/al*ce/x", true),
            ("home/${aws:username}/*", "home/alice/x", false),
            ("${aws:PrincipalTag/team}-?", "blue-1", true),
            ("${aws:PrincipalTag/none, 'all'}", "all", true),
            ("${aws:PrincipalTag/none, '}*'}", "}*", true),
            ("${aws:PrincipalTag/none}", "", false),
            ("${aws:PrincipalTag/none}*", "anything", false),
            ("${aws:TagKeys}", "one", false),
            ("${*}${?}${$}", "*?$", true),
            ("${*}", "anything", false),
            ("${none}", "${none}", false),
            ("${none, 'default'}", "default", true),
            ("${aws:username", "${aws:username", true),
            ("${aws:username, default}", "${aws:username, default}", true),
            ("$${aws:username}", "$al*ce", true),
        ] {
            assert_eq!(Glob::parse(pattern, true).matches(text, &lookup), matches, "{pattern} / {text}");
            let exact = Text::parse(pattern, true);
            let resolved = exact.resolve(&lookup);
            if !pattern.replace("${*}", "").contains('*') && pattern != "${aws:PrincipalTag/team}-?" {
                assert_eq!(resolved.as_deref() == Some(text), matches, "{pattern} / {text}");
            }
        }
        assert!(Glob::parse("${aws:username}", false).matches("${aws:username}", &lookup), "an older document");
    }

    /// Each of these has exponentially many, or quadratically many, ways to be tried.
    #[test]
    fn hostile_patterns_take_no_time() {
        let text = "a".repeat(8_192);
        for pattern in [
            format!("{}b", "a*".repeat(8_000)),
            format!("{}b", "*".repeat(32_000)),
            format!("{}b", "*a".repeat(8_000)),
            format!("*{}b*", "a".repeat(4_000)),
            format!("*{}b*", "?".repeat(4_000)),
            "*?a".repeat(4_000) + "b",
        ] {
            assert!(!Glob::parse(&pattern, true).matches(&text, &NOTHING), "{} bytes", pattern.len());
        }
    }
}
