//! The macro that declares shapes: each member once, with its Rust name, wire name, type and constraints.
//!
//! - `required name: T` is always there: absent in a request is a violation, and an answer always has it. A response
//!   member that the service always gives is declared so although the model calls it optional.
//! - `optional name: T` is an `Option<T>`, left out when `None`.
//! - `plain name: T` is a `T` for which absent and empty mean the same (lists, maps); left out when empty.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::wire::member::{Slot, Wire};
use crate::wire::report::{Path, Report};
use crate::wire::token::{UNEXPECTED_LIST, refuse_scalars};

/// A shape that is a JSON object.
pub(crate) trait Structure: Wire {
    /// Reads all members; `None` after reporting a violation.
    fn read<'de, A: MapAccess<'de>>(map: A, at: &Path<'_>, report: &mut Report) -> Result<Option<Self>, A::Error>;
}

/// [`Wire::decode`] of structures.
pub(crate) fn decode<'de, T: Structure, D: Deserializer<'de>>(
    deserializer: D,
    at: &Path<'_>,
    report: &mut Report,
) -> Result<Slot<T>, D::Error> {
    deserializer.deserialize_any(StructureVisitor { at, report, shape: PhantomData })
}

struct StructureVisitor<'a, T> {
    at: &'a Path<'a>,
    report: &'a mut Report,
    shape: PhantomData<T>,
}

impl<'de, T: Structure> Visitor<'de> for StructureVisitor<'_, T> {
    type Value = Slot<T>;

    refuse_scalars!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a structure")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Slot::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(UNEXPECTED_LIST))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::read(map, self.at, self.report).map(|shape| shape.map_or(Slot::Bad, Slot::Good))
    }
}

/// The Rust type of a member.
macro_rules! field_type {
    (required $type:ty) => { $type };
    (optional $type:ty) => { Option<$type> };
    (plain $type:ty) => { $type };
}

/// The value of a member after reading; `None` after reporting a violation.
macro_rules! settle {
    (required $slot:ident $wire:literal $at:ident $report:ident) => {
        $slot.required(&$at.member($wire), $report)
    };
    (optional $slot:ident $wire:literal $at:ident $report:ident) => {
        $slot.optional()
    };
    (plain $slot:ident $wire:literal $at:ident $report:ident) => {
        $slot.or_empty()
    };
}

/// Writes a member unless it is absent.
macro_rules! write_member {
    (required $map:ident $wire:literal $value:expr) => {
        $crate::wire::member::write(&mut $map, $wire, $value)?
    };
    (optional $map:ident $wire:literal $value:expr) => {
        if let Some(value) = $value {
            $crate::wire::member::write(&mut $map, $wire, value)?;
        }
    };
    (plain $map:ident $wire:literal $value:expr) => {
        if !$crate::wire::member::Wire::is_empty($value) {
            $crate::wire::member::write(&mut $map, $wire, $value)?;
        }
    };
}

/// The bytes that a member takes as JSON.
macro_rules! size_of_member {
    (optional $wire:literal $value:expr) => {
        $value.as_ref().map_or(0, |value| $crate::wire::member::size($wire, value))
    };
    ($need:ident $wire:literal $value:expr) => {
        $crate::wire::member::size($wire, &$value)
    };
}

/// The constraints of a member; none unless given.
macro_rules! limits {
    () => {
        ()
    };
    ($limits:expr) => {
        $limits
    };
}

/// Declares shapes.
macro_rules! shapes {
    ($(
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$doc:meta])* $need:ident $field:ident: $type:ty = $wire:literal $(, $limits:expr)?;)*
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Debug, PartialEq)]
        #[allow(missing_docs)] // members without a line of their own mean what the public API reference says
        pub struct $name {
            $($(#[$doc])* pub $field: $crate::wire::structure::field_type!($need $type),)*
        }

        impl serde::Serialize for $name {
            #[allow(unused_mut)] // shapes without members
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $($crate::wire::structure::write_member!($need map $wire &self.$field);)*
                map.end()
            }
        }

        impl $crate::wire::member::Wire for $name {
            type Limits = ();

            fn encode<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(self, serializer)
            }

            fn size(&self) -> usize {
                2 $(+ $crate::wire::structure::size_of_member!($need $wire self.$field))*
            }

            fn decode<'de, D: serde::Deserializer<'de>>(
                deserializer: D,
                (): &(),
                at: &$crate::wire::report::Path<'_>,
                report: &mut $crate::wire::report::Report,
            ) -> Result<$crate::wire::member::Slot<Self>, D::Error> {
                $crate::wire::structure::decode(deserializer, at, report)
            }
        }

        impl $crate::wire::containers::Item for $name {
            fn read_all<'de, A: serde::de::SeqAccess<'de>>(
                items: A,
                limits: &$crate::wire::limits::Items<()>,
                at: &$crate::wire::report::Path<'_>,
                report: &mut $crate::wire::report::Report,
            ) -> Result<Option<Vec<Self>>, A::Error> {
                $crate::wire::containers::read_structures(items, limits, at, report)
            }
        }

        impl $crate::wire::structure::Structure for $name {
            #[allow(unused_variables, irrefutable_let_patterns, clippy::match_single_binding)] // shapes without members
            fn read<'de, A: serde::de::MapAccess<'de>>(
                mut map: A,
                at: &$crate::wire::report::Path<'_>,
                report: &mut $crate::wire::report::Report,
            ) -> Result<Option<Self>, A::Error> {
                $(let mut $field = $crate::wire::member::Slot::<$type>::Unset;)*
                while let Some(name) = map.next_key_seed($crate::wire::token::Name)? {
                    match &*name {
                        $($wire => $field.fill(
                            &mut map,
                            &$crate::wire::structure::limits!($($limits)?),
                            &at.member($wire),
                            report,
                        )?,)*
                        _ => map.next_value_seed($crate::wire::token::Skip)?,
                    }
                }
                $(let $field = $crate::wire::structure::settle!($need $field $wire at report);)*
                let ($(Some($field),)*) = ($($field,)*) else { return Ok(None) };
                Ok(Some(Self { $($field),* }))
            }
        }

        #[cfg(test)]
        impl $crate::wire::samples::Samples for $name {
            fn inside((): &()) -> Vec<serde_json::Value> {
                $crate::wire::samples::structures(&Self::members())
            }

            fn outside((): &()) -> Vec<$crate::wire::samples::Outside> {
                $crate::wire::samples::broken_structures(&Self::members())
            }
        }

        #[cfg(test)]
        impl $name {
            /// Every member with values just inside and just outside of its constraints.
            pub(crate) fn members() -> Vec<$crate::wire::samples::Member> {
                vec![$($crate::wire::samples::Member::new::<$type>(
                    stringify!($need),
                    $wire,
                    &$crate::wire::structure::limits!($($limits)?),
                )),*]
            }
        }
    )+};
}

pub(crate) use {field_type, limits, settle, shapes, size_of_member, write_member};
