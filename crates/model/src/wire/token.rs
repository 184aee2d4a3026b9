//! One JSON value on its way from the parser to a member, and the refusal of values of a wrong JSON type.
//!
//! Always true: no message made here contains any part of the request, which may be secret.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// A JSON value that is neither an array nor an object.
pub(crate) enum Token<'de> {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number with a fraction or an exponent, or beyond 64 bits.
    Float(f64),
    Borrowed(&'de str),
    /// A string that had escapes; wiped because it may be the base64 of a secret.
    Unescaped(Zeroizing<String>),
}

impl<'de> Token<'de> {
    /// Reads one scalar. An array or object is an error.
    pub(crate) fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }

    /// The service's message about a value of this type where a `wanted` was expected.
    pub(crate) fn mismatch(&self, wanted: &'static str) -> Mismatch {
        let found = match self {
            Self::Null => "NULL_VALUE",
            Self::Bool(true) => "TRUE_VALUE",
            Self::Bool(false) => "FALSE_VALUE",
            Self::Integer(_) | Self::Float(_) => "NUMBER_VALUE",
            Self::Borrowed(_) | Self::Unescaped(_) => "STRING_VALUE",
        };
        Mismatch::Type { found, wanted }
    }
}

/// Why a value cannot become the member that it stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mismatch {
    Type { found: &'static str, wanted: &'static str },
    Other(&'static str),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { found, wanted } => write!(f, "{found} cannot be converted to {wanted}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The message about an array where none belongs.
pub(crate) const UNEXPECTED_LIST: &str = "Start of list found where not expected";
/// The message about an object where none belongs.
pub(crate) const UNEXPECTED_STRUCTURE: &str = "Start of structure or map found where not expected";
/// The message about a scalar where an array or object belongs.
pub(crate) const UNEXPECTED_SCALAR: &str = "Unexpected value type in payload";

struct TokenVisitor;

impl<'de> Visitor<'de> for TokenVisitor {
    type Value = Token<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Token::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Token::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Token::Integer(value))
    }

    #[allow(clippy::cast_precision_loss)] // far beyond every range of the model either way
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Token::Float(value as f64), Token::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Token::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Token::Borrowed(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Token::Unescaped(Zeroizing::new(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(UNEXPECTED_LIST))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(UNEXPECTED_STRUCTURE))
    }
}

/// Refuses every scalar inside a visitor of arrays or objects. The defaults of `serde` would repeat the value.
macro_rules! refuse_scalars {
    () => {
        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Err(E::custom($crate::wire::token::UNEXPECTED_SCALAR))
        }
        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Err(E::custom($crate::wire::token::UNEXPECTED_SCALAR))
        }
        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Err(E::custom($crate::wire::token::UNEXPECTED_SCALAR))
        }
        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Err(E::custom($crate::wire::token::UNEXPECTED_SCALAR))
        }
        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Err(E::custom($crate::wire::token::UNEXPECTED_SCALAR))
        }
    };
}
pub(crate) use refuse_scalars;

/// Reads the name of a member, or the key of a map entry, borrowing it where it has no escapes.
pub(crate) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

/// Steps over the value of an unknown member. Unlike `serde::de::IgnoredAny` it counts the depth, so that a value nested
/// too deeply is refused wherever it stands.
pub(crate) struct Skip;

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Skip)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_key_seed(Skip)?.is_some() {
            entries.next_value_seed(Skip)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_in_skipped_values() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut deserializer = serde_json::Deserializer::from_str(&deep);
        assert!(Skip.deserialize(&mut deserializer).is_err());
    }
}
