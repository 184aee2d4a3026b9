//! What can be the value of a member, and what becomes of it while a request is decoded.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::wire::report::{Constraint, Path, Report, Shown};

/// The state of one member while its structure is read.
pub(crate) enum Slot<T> {
    /// Not met so far.
    Unset,
    /// Met as `null`.
    Null,
    /// Met, and in violation of a constraint; reported already.
    Bad,
    Good(T),
}

/// A value on the wire.
pub(crate) trait Wire: Sized {
    /// The constraints that a use of the type may carry.
    type Limits: Copy;

    /// Writes the value as JSON.
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads the value from JSON. A wrong JSON type is an error, a violated constraint goes to `report`.
    fn decode<'de, D: Deserializer<'de>>(
        deserializer: D,
        limits: &Self::Limits,
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<Slot<Self>, D::Error>;

    /// Bytes that the value takes as JSON, at least where no text needs escapes. Answers are written into a buffer of
    /// this size, so that a secret in them is never left behind in a smaller one that was outgrown.
    fn size(&self) -> usize;

    /// Whether a member that may be left out is left out for holding nothing.
    fn is_empty(&self) -> bool {
        false
    }
}

/// A borrowed value as `serde` wants it.
pub(crate) struct Encoded<'a, T>(pub(crate) &'a T);

impl<T: Wire> Serialize for Encoded<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.encode(serializer)
    }
}

/// [`Wire::decode`] as `serde` wants it.
pub(crate) struct Decoding<'a, T: Wire> {
    pub(crate) limits: &'a T::Limits,
    pub(crate) at: &'a Path<'a>,
    pub(crate) report: &'a mut Report,
}

impl<'de, T: Wire> DeserializeSeed<'de> for Decoding<'_, T> {
    type Value = Slot<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Slot<T>, D::Error> {
        T::decode(deserializer, self.limits, self.at, self.report)
    }
}

impl<T: Wire> Slot<T> {
    /// Reads the value that follows in `map` into this slot.
    pub(crate) fn fill<'de, A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        limits: &T::Limits,
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<(), A::Error> {
        if !matches!(self, Self::Unset) {
            return Err(A::Error::custom("A member is given more than once"));
        }
        *self = map.next_value_seed(Decoding { limits, at, report })?;
        Ok(())
    }

    /// The value of a member that must be there; `None` after reporting that it is not.
    pub(crate) fn required(self, at: &Path<'_>, report: &mut Report) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad => None,
            Self::Unset | Self::Null => {
                report.violation(at, &Shown::Null, &Constraint::NotNull);
                None
            }
        }
    }

    /// The value of a member that may be absent; the outer `None` stands for a reported violation.
    #[allow(clippy::option_option)] // one is the member, the other the outcome of reading it
    pub(crate) fn optional(self) -> Option<Option<T>> {
        match self {
            Self::Good(value) => Some(Some(value)),
            Self::Bad => None,
            Self::Unset | Self::Null => Some(None),
        }
    }

    /// The value of a list, map or flag for which absent and empty mean the same.
    pub(crate) fn or_empty(self) -> Option<T>
    where
        T: Default,
    {
        self.optional().map(Option::unwrap_or_default)
    }
}

/// Bytes that the member `name` takes, with its quotes, colon and comma.
pub(crate) fn size<T: Wire>(name: &'static str, value: &T) -> usize {
    name.len() + 4 + value.size()
}

/// Writes the member `name`.
pub(crate) fn write<T: Wire, M: SerializeMap>(map: &mut M, name: &'static str, value: &T) -> Result<(), M::Error> {
    map.serialize_entry(name, &Encoded(value))
}
