//! Conditions of statements: every operator of the policy language.
//!
//! AWS IAM User Guide, "IAM JSON policy elements: Condition operators" and "Single-valued vs. multivalued context keys".
//! Values of a policy are parsed when the policy is; one that its operator cannot read is refused there.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::condition_values::{IpRange, Moment, parse_number};
use crate::context::{ContextKey, Lookup};
use crate::pattern::{ArnGlob, Glob, Text};

/// One operator with one key and the values of the policy.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) operator: Box<str>,
    pub(crate) key: ContextKey,
    /// `ForAllValues` or `ForAnyValue`
    quantifier: Option<Quantifier>,
    /// `...IfExists`
    is_optional: bool,
    /// `...Not...`
    is_negated: bool,
    operands: Operands,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantifier {
    All,
    Any,
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Equals,
    Less,
    LessOrEquals,
    Greater,
    GreaterOrEquals,
}

impl Comparison {
    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equals => left == right,
            Self::Less => left < right,
            Self::LessOrEquals => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEquals => left >= right,
        }
    }
}

#[derive(Clone, Debug)]
enum Operands {
    Text(Box<[Text]>),
    TextInAnyCase(Box<[Text]>),
    Like(Box<[Glob]>),
    Arn(Box<[ArnGlob]>),
    Number(Comparison, Box<[f64]>),
    Moment(Comparison, Box<[Moment]>),
    Bytes(Box<[Vec<u8>]>),
    Address(Box<[IpRange]>),
    /// Whether the key must be absent.
    Absence(Box<[bool]>),
}

/// Why a condition is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConditionFault {
    UnknownOperator,
    InvalidValue,
}

impl Condition {
    /// Parses `operator` with the `values` of `key`.
    pub(crate) fn parse(
        operator: &str,
        key: ContextKey,
        values: &[String],
        variables: bool,
    ) -> Result<Self, ConditionFault> {
        let (quantifier, name) = split_quantifier(operator);
        let (name, is_optional) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let family = Family::named(name).filter(|family| !(is_optional && matches!(family, Family::Null)));
        let family = family.ok_or(ConditionFault::UnknownOperator)?;
        // The registers of attestation documents are often written with a prefix that the documents do not have.
        let has_prefix = key.name() == "kms:recipientattestation";
        let trimmed = values.iter().map(|value| if has_prefix { without_0x(value) } else { value });
        let operands = family.operands(trimmed, variables).ok_or(ConditionFault::InvalidValue)?;
        let is_negated = name.contains("Not");
        Ok(Self { operator: operator.into(), key, quantifier, is_optional, is_negated, operands })
    }

    pub(crate) fn quantifier(&self) -> Option<Quantifier> {
        self.quantifier
    }

    /// Whether the condition holds of a request.
    pub(crate) fn holds(&self, lookup: &Lookup<'_>) -> bool {
        let value = lookup.value(&self.key);
        if let Operands::Absence(wanted) = &self.operands {
            return wanted.contains(&value.is_none());
        }
        let Some(value) = value else { return self.holds_of_nothing() };
        let equals = |value: &str| self.operands.include(value, lookup);
        let mut values = value.all().iter();
        match self.quantifier {
            Some(Quantifier::All) => values.all(|value| equals(value) != self.is_negated),
            Some(Quantifier::Any) => values.any(|value| equals(value) != self.is_negated),
            None => values.any(|value| equals(value)) != self.is_negated,
        }
    }

    /// Whether the condition holds of a request without the key.
    fn holds_of_nothing(&self) -> bool {
        match self.quantifier {
            Some(Quantifier::All) => true,
            Some(Quantifier::Any) => self.is_optional,
            None => self.is_optional || self.is_negated,
        }
    }
}

impl Operands {
    /// Whether `value` of a request is one of these.
    fn include(&self, value: &str, lookup: &Lookup<'_>) -> bool {
        let resolved =
            |text: &Text, equals: fn(&str, &str) -> bool| text.resolve(lookup).is_some_and(|text| equals(&text, value));
        match self {
            Self::Text(texts) => texts.iter().any(|text| resolved(text, |one, other| one == other)),
            Self::TextInAnyCase(texts) => texts.iter().any(|text| resolved(text, is_same_in_any_case)),
            Self::Like(globs) => globs.iter().any(|glob| glob.matches(value, lookup)),
            Self::Arn(globs) => globs.iter().any(|glob| glob.matches(value, lookup)),
            Self::Number(comparison, numbers) => {
                parse_number(value).is_some_and(|value| numbers.iter().any(|number| comparison.holds(&value, number)))
            }
            Self::Moment(comparison, moments) => {
                Moment::parse(value).is_some_and(|value| moments.iter().any(|moment| comparison.holds(&value, moment)))
            }
            Self::Bytes(all) => STANDARD.decode(value).is_ok_and(|value| all.contains(&value)),
            Self::Address(ranges) => {
                value.parse::<IpAddr>().is_ok_and(|address| ranges.iter().any(|range| range.contains(address)))
            }
            Self::Absence(_) => false,
        }
    }
}

/// Operators that read their values alike.
#[derive(Clone, Copy, Debug)]
enum Family {
    Text,
    TextInAnyCase,
    Like,
    Arn,
    Number(Comparison),
    Moment(Comparison),
    Bool,
    Bytes,
    Address,
    Null,
}

impl Family {
    fn named(name: &str) -> Option<Self> {
        use Comparison as C;
        Some(match name {
            "StringEquals" | "StringNotEquals" => Self::Text,
            "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => Self::TextInAnyCase,
            "StringLike" | "StringNotLike" => Self::Like,
            "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" => Self::Arn,
            "NumericEquals" | "NumericNotEquals" => Self::Number(C::Equals),
            "NumericLessThan" => Self::Number(C::Less),
            "NumericLessThanEquals" => Self::Number(C::LessOrEquals),
            "NumericGreaterThan" => Self::Number(C::Greater),
            "NumericGreaterThanEquals" => Self::Number(C::GreaterOrEquals),
            "DateEquals" | "DateNotEquals" => Self::Moment(C::Equals),
            "DateLessThan" => Self::Moment(C::Less),
            "DateLessThanEquals" => Self::Moment(C::LessOrEquals),
            "DateGreaterThan" => Self::Moment(C::Greater),
            "DateGreaterThanEquals" => Self::Moment(C::GreaterOrEquals),
            "Bool" => Self::Bool,
            "BinaryEquals" => Self::Bytes,
            "IpAddress" | "NotIpAddress" => Self::Address,
            "Null" => Self::Null,
            _ => return None,
        })
    }

    /// Reads all `values`; `None` if one of them cannot be one.
    fn operands<'a>(self, values: impl Iterator<Item = &'a str>, variables: bool) -> Option<Operands> {
        let texts = |value: &str| Text::parse(value, variables);
        Some(match self {
            Self::Text => Operands::Text(values.map(texts).collect()),
            // A truth value may come from a variable, and is compared as the text that it is.
            Self::TextInAnyCase | Self::Bool => Operands::TextInAnyCase(values.map(texts).collect()),
            Self::Like => Operands::Like(values.map(|value| Glob::parse(value, variables)).collect()),
            Self::Arn => Operands::Arn(values.map(|value| ArnGlob::parse(value, variables)).collect::<Option<_>>()?),
            Self::Number(comparison) => Operands::Number(comparison, values.map(parse_number).collect::<Option<_>>()?),
            Self::Moment(comparison) => Operands::Moment(comparison, values.map(Moment::parse).collect::<Option<_>>()?),
            Self::Bytes => Operands::Bytes(values.map(|value| STANDARD.decode(value).ok()).collect::<Option<_>>()?),
            Self::Address => Operands::Address(values.map(IpRange::parse).collect::<Option<_>>()?),
            Self::Null => Operands::Absence(values.map(parse_truth).collect::<Option<_>>()?),
        })
    }
}

fn split_quantifier(operator: &str) -> (Option<Quantifier>, &str) {
    if let Some(name) = operator.strip_prefix("ForAllValues:") {
        (Some(Quantifier::All), name)
    } else if let Some(name) = operator.strip_prefix("ForAnyValue:") {
        (Some(Quantifier::Any), name)
    } else {
        (None, operator)
    }
}

fn parse_truth(value: &str) -> Option<bool> {
    [true, false].into_iter().find(|truth| value.eq_ignore_ascii_case(if *truth { "true" } else { "false" }))
}

fn without_0x(value: &str) -> &str {
    value.strip_prefix("0x").unwrap_or(value)
}

fn is_same_in_any_case(one: &str, other: &str) -> bool {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    one.eq_ignore_ascii_case(other) || (!(one.is_ascii() && other.is_ascii()) && lower(one) == lower(other))
}
