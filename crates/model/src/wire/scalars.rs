//! Members that are one JSON scalar: strings, enums, numbers, flags, timestamps, blobs, secrets.

use serde::de::{Deserializer, Error};
use serde::ser::Serializer;

use crate::wire::limits::{Range, Size, Text};
use crate::wire::member::{Slot, Wire};
use crate::wire::report::{Constraint, Path, Report, Shown};
use crate::wire::token::{Mismatch, Token};
use crate::{Blob, SecretBlob, SecretString, Timestamp, WireEnum};

/// The last second of the year 9999; a later timestamp is a mistake of units.
const EPOCH_SECONDS_MAX: f64 = 253_402_300_799.0;

/// A member that is one JSON scalar.
pub(crate) trait Scalar: Sized {
    type Limits: Copy;
    /// The value before its constraints are checked.
    type Raw;

    /// The token as a value of this JSON type.
    fn read(token: Token<'_>) -> Result<Self::Raw, Mismatch>;

    /// Hands every constraint that `raw` violates to `broken`.
    fn check(raw: &Self::Raw, limits: &Self::Limits, broken: impl FnMut(Constraint));

    /// The value, if it can be one at all.
    fn accept(raw: Self::Raw) -> Option<Self>;

    /// The value as messages may show it; `None` for what they may not.
    fn shown(raw: &Self::Raw) -> Option<String>;

    /// Every constraint on an item of a list of these, as the service names them about the whole list.
    fn constraints(limits: &Self::Limits) -> Vec<Constraint>;

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// As [`Wire::size`]; the default is enough for any number or flag.
    fn size(&self) -> usize {
        24
    }
}

impl<T: Scalar> Wire for T {
    type Limits = T::Limits;

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write(serializer)
    }

    fn size(&self) -> usize {
        Scalar::size(self)
    }

    fn decode<'de, D: Deserializer<'de>>(
        deserializer: D,
        limits: &T::Limits,
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<Slot<Self>, D::Error> {
        let Some(raw) = read_raw::<T, D>(deserializer)? else { return Ok(Slot::Null) };
        let mut is_good = true;
        T::check(&raw, limits, |constraint| {
            is_good = false;
            let shown = T::shown(&raw);
            report.violation(at, &shown.as_deref().map_or(Shown::Withheld, Shown::Text), &constraint);
        });
        Ok(T::accept(raw).filter(|_| is_good).map_or(Slot::Bad, Slot::Good))
    }
}

/// The value before its constraints are checked; `None` for `null`.
pub(crate) fn read_raw<'de, T: Scalar, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T::Raw>, D::Error> {
    match Token::read(deserializer)? {
        Token::Null => Ok(None),
        token => T::read(token).map(Some).map_err(D::Error::custom),
    }
}

impl Scalar for String {
    type Limits = Text;
    type Raw = Self;

    fn read(token: Token<'_>) -> Result<Self, Mismatch> {
        match token {
            Token::Borrowed(text) => Ok(text.to_owned()),
            Token::Unescaped(mut text) => Ok(std::mem::take(&mut *text)),
            token => Err(token.mismatch("String")),
        }
    }

    fn check(raw: &Self, limits: &Text, broken: impl FnMut(Constraint)) {
        limits.check(raw, broken);
    }

    fn accept(raw: Self) -> Option<Self> {
        Some(raw)
    }

    fn shown(raw: &Self) -> Option<String> {
        Some(raw.clone())
    }

    fn constraints(limits: &Text) -> Vec<Constraint> {
        limits.constraints()
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }

    fn size(&self) -> usize {
        self.len() + 2
    }
}

impl Scalar for SecretString {
    type Limits = Text;
    type Raw = Self;

    fn read(token: Token<'_>) -> Result<Self, Mismatch> {
        String::read(token).map(Self::from)
    }

    fn check(raw: &Self, limits: &Text, broken: impl FnMut(Constraint)) {
        limits.check(raw.expose(), broken);
    }

    fn accept(raw: Self) -> Option<Self> {
        Some(raw)
    }

    fn shown(_: &Self) -> Option<String> {
        None
    }

    fn constraints(limits: &Text) -> Vec<Constraint> {
        limits.constraints()
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }

    fn size(&self) -> usize {
        self.expose().len() + 2
    }
}

impl<T: WireEnum> Scalar for T {
    type Limits = ();
    type Raw = Result<T, String>;

    fn read(token: Token<'_>) -> Result<Self::Raw, Mismatch> {
        match token {
            Token::Borrowed(text) => Ok(T::from_wire(text).ok_or_else(|| text.to_owned())),
            Token::Unescaped(mut text) => Ok(T::from_wire(&text).ok_or_else(|| std::mem::take(&mut *text))),
            token => Err(token.mismatch("String")),
        }
    }

    fn check(raw: &Self::Raw, (): &(), mut broken: impl FnMut(Constraint)) {
        if raw.is_err() {
            broken(Constraint::EnumSet(T::VALUES));
        }
    }

    fn accept(raw: Self::Raw) -> Option<Self> {
        raw.ok()
    }

    fn shown(raw: &Self::Raw) -> Option<String> {
        Some(raw.as_ref().map_or_else(Clone::clone, |value| value.as_str().to_owned()))
    }

    fn constraints((): &()) -> Vec<Constraint> {
        vec![Constraint::EnumSet(T::VALUES)]
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }

    fn size(&self) -> usize {
        self.as_str().len() + 2
    }
}

impl Scalar for u32 {
    type Limits = Range;
    type Raw = i64;

    #[allow(clippy::cast_possible_truncation)] // a whole number within 32 bits
    fn read(token: Token<'_>) -> Result<i64, Mismatch> {
        const OUT_OF_RANGE: Mismatch = Mismatch::Other("NUMBER_VALUE is out of the range of Integer");
        match token {
            Token::Integer(value) if i32::try_from(value).is_ok() => Ok(value),
            Token::Float(value) if value.fract() != 0.0 => Err(token.mismatch("Integer")),
            Token::Float(value) if value.abs() < f64::from(i32::MAX) => Ok(value as i64),
            Token::Integer(_) | Token::Float(_) => Err(OUT_OF_RANGE),
            token => Err(token.mismatch("Integer")),
        }
    }

    fn check(raw: &i64, limits: &Range, broken: impl FnMut(Constraint)) {
        limits.check(*raw, broken);
    }

    fn accept(raw: i64) -> Option<Self> {
        Self::try_from(raw).ok()
    }

    fn shown(raw: &i64) -> Option<String> {
        Some(raw.to_string())
    }

    fn constraints(limits: &Range) -> Vec<Constraint> {
        vec![Constraint::ValueMax(limits.max), Constraint::ValueMin(limits.min)]
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(*self)
    }
}

/// Declares scalars without constraints that messages never need to show.
macro_rules! plain_scalars {
    ($($type:ty, |$token:ident| $read:expr, |$value:ident, $serializer:ident| $write:expr;)+) => {$(
        impl Scalar for $type {
            type Limits = ();
            type Raw = Self;

            fn read($token: Token<'_>) -> Result<Self, Mismatch> {
                $read
            }

            fn check(_: &Self, (): &(), _: impl FnMut(Constraint)) {}

            fn accept(raw: Self) -> Option<Self> {
                Some(raw)
            }

            fn shown(_: &Self) -> Option<String> {
                None
            }

            fn constraints((): &()) -> Vec<Constraint> {
                Vec::new()
            }

            fn write<S: Serializer>(&self, $serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                $write
            }
        }
    )+};
}

plain_scalars! {
    bool,
        |token| match token { Token::Bool(value) => Ok(value), token => Err(token.mismatch("Boolean")) },
        |value, serializer| serializer.serialize_bool(*value);
    Timestamp, |token| read_timestamp(&token), |value, serializer| serializer.serialize_f64(value.as_epoch_seconds());
}

/// Seconds since the epoch, whole or with a fraction; rounded to milliseconds.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // range checked
fn read_timestamp(token: &Token<'_>) -> Result<Timestamp, Mismatch> {
    let seconds = match token {
        Token::Integer(seconds) => *seconds as f64,
        Token::Float(seconds) => *seconds,
        token => return Err(token.mismatch("Date")),
    };
    if !(0.0..=EPOCH_SECONDS_MAX).contains(&seconds) {
        return Err(Mismatch::Other("NUMBER_VALUE is out of the range of Date"));
    }
    Ok(Timestamp::from_millis((seconds * 1000.0).round() as u64))
}

/// Declares the two kinds of blobs, which differ in how they are kept in memory only.
macro_rules! blob_scalars {
    ($($type:ty, |$value:ident| $length:expr, $base64:expr;)+) => {$(
        impl Scalar for $type {
            type Limits = Size;
            type Raw = Self;

            fn read(token: Token<'_>) -> Result<Self, Mismatch> {
                let bytes = match &token {
                    Token::Borrowed(text) => Self::from_base64(text),
                    Token::Unescaped(text) => Self::from_base64(text),
                    token => return Err(token.mismatch("Blob")),
                };
                bytes.ok_or(Mismatch::Other("STRING_VALUE is not valid base64"))
            }

            fn check($value: &Self, limits: &Size, broken: impl FnMut(Constraint)) {
                limits.check($length, broken);
            }

            fn accept(raw: Self) -> Option<Self> {
                Some(raw)
            }

            fn shown(_: &Self) -> Option<String> {
                None
            }

            fn constraints(limits: &Size) -> Vec<Constraint> {
                vec![Constraint::LengthMax(limits.max), Constraint::LengthMin(limits.min)]
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                serializer.collect_str(&$base64)
            }

            fn size(&self) -> usize {
                let $value = self;
                $length.div_ceil(3) * 4 + 2
            }
        }
    )+};
}

blob_scalars! {
    Blob, |value| value.as_slice().len(), value.base64();
    SecretBlob, |value| value.len(), value.expose_base64();
}
