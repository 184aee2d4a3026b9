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
        let trimmed = values.iter().map(|value| if has_prefix { without_0x(value) } else { value.as_str() });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{ConditionContext, ContextValue};

    /// One key with these values; no values is no key.
    struct Only<'a>(&'a [&'a str]);

    impl ConditionContext for Only<'_> {
        fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
            if key.name() != "test:key" {
                return None;
            }
            match self.0 {
                [] => None,
                [value] => Some(ContextValue::one(*value)),
                values => Some(ContextValue::Many(values.iter().map(|value| (*value).into()).collect())),
            }
        }
    }

    fn parse(operator: &str, values: &[&str]) -> Result<Condition, ConditionFault> {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        Condition::parse(operator, ContextKey::parse("test:Key").expect("a key"), &values, true)
    }

    fn holds(operator: &str, values: &[&str], request: &[&str]) -> bool {
        let context = Only(request);
        parse(operator, values).expect(operator).holds(&Lookup { context: &context, by_key_policy: false })
    }

    /// AWS IAM User Guide, "IAM JSON policy elements: Condition operators".
    #[test]
    fn operators() {
        for (operator, policy, request, expected) in [
            ("StringEquals", "a", "a", true),
            ("StringEquals", "a", "A", false),
            ("StringEquals", "a*", "ab", false),
            ("StringEquals", "", "", true),
            ("StringNotEquals", "a", "b", true),
            ("StringNotEquals", "a", "a", false),
            ("StringEqualsIgnoreCase", "aÄ", "Aä", true),
            ("StringEqualsIgnoreCase", "a", "b", false),
            ("StringNotEqualsIgnoreCase", "a", "A", false),
            ("StringLike", "a?c*", "abcd", true),
            ("StringLike", "a?c*", "Abcd", false),
            ("StringNotLike", "a*", "abc", false),
            ("ArnEquals", "arn:aws:s3:::*", "arn:aws:s3:::bucket/x", true),
            ("ArnLike", "arn:aws:*:us-*::x", "arn:aws:s3:us-west-2::x", true),
            ("ArnLike", "arn:aws:*:::x", "arn:aws:s3:us-west-2::x", false),
            ("ArnNotEquals", "arn:aws:s3:::a", "arn:aws:s3:::b", true),
            ("ArnNotLike", "arn:aws:s3:::*", "arn:aws:s3:::b", false),
            ("NumericEquals", "10", "10.0", true),
            ("NumericNotEquals", "10", "10.0", false),
            ("NumericLessThan", "21", "21", false),
            ("NumericLessThanEquals", "21", "21", true),
            ("NumericLessThanEquals", "1546257599.0", "1546257600", false),
            ("NumericGreaterThan", "9", "10", true),
            ("NumericGreaterThanEquals", "9", "8", false),
            ("NumericLessThan", "9", "many", false),
            ("DateEquals", "2018-12-31T11:59:59Z", "1546257599", true),
            ("DateNotEquals", "2018-12-31T11:59:59Z", "1546257599", false),
            ("DateLessThan", "2027-01-01", "2026-11-25T19:30:00Z", true),
            ("DateLessThanEquals", "1546257599", "2018-12-31T11:59:59Z", true),
            ("DateGreaterThan", "2027-01-01T00:00:00+01:00", "2026-12-31T23:30:00Z", true),
            ("DateGreaterThanEquals", "2027-01-01", "2026-12-31T23:59:59Z", false),
            ("Bool", "true", "true", true),
            ("Bool", "True", "true", true),
            ("Bool", "false", "true", false),
            ("BinaryEquals", "QUJD", "QUJD", true),
            ("BinaryEquals", "QUJD", "QUJE", false),
            ("IpAddress", "192.0.2.0/24", "192.0.2.9", true),
            ("IpAddress", "192.0.2.0/24", "192.0.3.9", false),
            ("IpAddress", "192.0.2.0/24", "nowhere", false),
            ("NotIpAddress", "192.0.2.0/24", "192.0.3.9", true),
            ("NotIpAddress", "2001:db8::/32", "2001:db8::1", false),
        ] {
            assert_eq!(holds(operator, &[policy], &[request]), expected, "{operator} {policy} / {request}");
        }
    }

    /// AWS IAM User Guide, "Evaluation logic for multiple context keys or values" and "Set operators for multivalued
    /// context keys".
    #[test]
    fn absence_lists_and_sets() {
        let (policy, none, one): ([&str; 2], [&str; 0], [&str; 1]) = (["a", "b"], [], ["a"]);
        for (operator, of_none, of_one, of_other, of_both) in [
            ("StringEquals", false, true, false, true),
            ("StringEqualsIfExists", true, true, false, true),
            ("StringNotEquals", true, false, true, false),
            ("StringNotEqualsIfExists", true, false, true, false),
            ("ForAllValues:StringEquals", true, true, false, false),
            ("ForAnyValue:StringEquals", false, true, false, true),
            ("ForAnyValue:StringEqualsIfExists", true, true, false, true),
            ("ForAllValues:StringNotEquals", true, false, true, false),
            ("ForAnyValue:StringNotEquals", false, false, true, true),
        ] {
            let requests: [(&[&str], bool); 4] =
                [(&none, of_none), (&one, of_one), (&["x"], of_other), (&["a", "x"], of_both)];
            for (request, expected) in requests {
                assert_eq!(holds(operator, &policy, request), expected, "{operator} / {request:?}");
            }
        }
        assert!(holds("ForAllValues:StringLike", &["a*", "x"], &["ab", "ac", "x"]));
        for (value, of_none, of_one) in [("true", true, false), ("false", false, true)] {
            assert_eq!((holds("Null", &[value], &none), holds("Null", &[value], &one)), (of_none, of_one), "{value}");
        }
        assert!(!holds("StringEquals", &[], &one) && holds("StringNotEquals", &[], &one), "no values at all");
    }

    #[test]
    fn what_is_no_condition() {
        for operator in
            ["", "Equals", "stringequals", "StringEqualsIfExistsIfExists", "NullIfExists", "ForSome:StringEquals"]
        {
            assert_eq!(parse(operator, &["true"]).err(), Some(ConditionFault::UnknownOperator), "{operator}");
        }
        for (operator, value) in [
            ("NumericEquals", "ten"),
            ("NumericLessThan", "${aws:username}"),
            ("DateLessThan", "tomorrow"),
            ("IpAddress", "192.0.2.0/33"),
            ("BinaryEquals", "not base64"),
            ("ArnLike", "bucket"),
            ("Null", "maybe"),
        ] {
            assert_eq!(parse(operator, &[value]).err(), Some(ConditionFault::InvalidValue), "{operator} {value}");
        }
    }

    /// AWS KMS Developer Guide, "Condition keys for attested platforms": the examples write registers with `0x`.
    #[test]
    fn registers_of_attestation_documents_may_be_written_with_a_prefix() {
        struct Document;
        impl ConditionContext for Document {
            fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
                (key.attribute() == Some("PCR1")).then(|| ContextValue::one("0ab1"))
            }
        }
        let key = ContextKey::parse("kms:RecipientAttestation:PCR1").expect("a key");
        let condition =
            Condition::parse("StringEqualsIgnoreCase", key, &["0x0AB1".to_owned()], true).expect("a condition");
        assert!(condition.holds(&Lookup { context: &Document, by_key_policy: true }));
    }
}
