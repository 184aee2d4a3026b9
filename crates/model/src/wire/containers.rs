//! Members that are lists or maps.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};
use serde_json::Number;

use crate::wire::limits::Items;
use crate::wire::member::{Decoding, Encoded, Slot, Wire};
use crate::wire::report::{Constraint, Constraints, Path, Report, Shown};
use crate::wire::scalars::{Scalar, read_raw};
use crate::wire::token::{Name, Token, UNEXPECTED_LIST, UNEXPECTED_STRUCTURE, refuse_scalars};

/// An item of a list. Violations of scalar items are reported about the whole list, those of structures about the
/// member of the item, as the service does.
pub(crate) trait Item: Wire {
    /// Reads all items; `None` after reporting a violation.
    fn read_all<'de, A: SeqAccess<'de>>(
        items: A,
        limits: &Items<Self::Limits>,
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<Option<Vec<Self>>, A::Error>;
}

impl<T: Scalar> Item for T {
    fn read_all<'de, A: SeqAccess<'de>>(
        mut items: A,
        limits: &Items<<T as Wire>::Limits>,
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<Option<Vec<T>>, A::Error> {
        let mut raws = Vec::new();
        let (mut has_bad_items, mut has_bad_size) = (false, false);
        while let Some(raw) = items.next_element_seed(RawSeed::<T>(PhantomData))? {
            match &raw {
                Some(raw) => T::check(raw, &limits.each, |_| has_bad_items = true),
                None => has_bad_items = true,
            }
            raws.push(raw);
        }
        limits.size.check(raws.len(), |_| has_bad_size = true);
        if !has_bad_items && !has_bad_size {
            return Ok(raws.into_iter().map(|raw| raw.and_then(T::accept)).collect());
        }
        let shown = show_items::<T>(&raws);
        let shown = shown.as_deref().map_or(Shown::Withheld, Shown::Text);
        if has_bad_items {
            report.violation(at, &shown, &Constraints(&item_constraints::<T>(&limits.each)));
        }
        limits.size.check(raws.len(), |constraint| report.violation(at, &shown, &constraint));
        Ok(None)
    }
}

/// A list as messages show it; `None` if it holds what they may not.
fn show_items<T: Scalar>(raws: &[Option<T::Raw>]) -> Option<String> {
    let show = |raw: &Option<T::Raw>| raw.as_ref().map_or(Some("null".to_owned()), T::shown);
    let items = raws.iter().map(show).collect::<Option<Vec<_>>>()?;
    Some(format!("[{}]", items.join(", ")))
}

/// What the one violation about the items of a list names: every constraint on them.
fn item_constraints<T: Scalar>(limits: &T::Limits) -> Vec<Constraint> {
    let mut constraints = T::constraints(limits);
    constraints.push(Constraint::NotNull);
    constraints
}

struct RawSeed<T>(PhantomData<T>);

impl<'de, T: Scalar> DeserializeSeed<'de> for RawSeed<T> {
    type Value = Option<T::Raw>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        read_raw::<T, D>(deserializer)
    }
}

/// [`Item::read_all`] of structures.
pub(crate) fn read_structures<'de, T: Wire, A: SeqAccess<'de>>(
    mut items: A,
    limits: &Items<T::Limits>,
    at: &Path<'_>,
    report: &mut Report,
) -> Result<Option<Vec<T>>, A::Error> {
    let (mut values, mut count, mut is_good) = (Vec::new(), 0, true);
    loop {
        let item = at.item(count);
        let decoding = Decoding::<T> { limits: &limits.each, at: &item, report };
        let Some(slot) = items.next_element_seed(decoding)? else { break };
        match slot {
            Slot::Good(value) => values.push(value),
            Slot::Bad => is_good = false,
            Slot::Null | Slot::Unset => {
                report.violation(&item, &Shown::Null, &Constraint::NotNull);
                is_good = false;
            }
        }
        count += 1;
    }
    limits.size.check(count, |constraint| {
        is_good = false;
        report.violation(at, &Shown::Withheld, &constraint);
    });
    Ok(is_good.then_some(values))
}

impl<T: Item> Wire for Vec<T> {
    type Limits = Items<T::Limits>;

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|item| list.serialize_element(&Encoded(item)))?;
        list.end()
    }

    fn size(&self) -> usize {
        2 + self.iter().map(|item| item.size() + 1).sum::<usize>()
    }

    fn decode<'de, D: Deserializer<'de>>(
        deserializer: D,
        limits: &Self::Limits,
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<Slot<Self>, D::Error> {
        deserializer.deserialize_any(ListVisitor::<T> { limits, at, report })
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

struct ListVisitor<'a, T: Item> {
    limits: &'a Items<T::Limits>,
    at: &'a Path<'a>,
    report: &'a mut Report,
}

impl<'de, T: Item> Visitor<'de> for ListVisitor<'_, T> {
    type Value = Slot<Vec<T>>;

    refuse_scalars!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Slot::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(UNEXPECTED_STRUCTURE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        let Self { limits, at, report } = self;
        T::read_all(items, limits, at, report).map(|values| values.map_or(Slot::Bad, Slot::Good))
    }
}

/// A map of texts, the service's encryption contexts; the model puts no constraints on those.
impl Wire for BTreeMap<String, String> {
    type Limits = ();

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }

    fn size(&self) -> usize {
        2 + self.iter().map(|(key, value)| key.len() + value.len() + 6).sum::<usize>()
    }

    fn decode<'de, D: Deserializer<'de>>(
        deserializer: D,
        (): &(),
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<Slot<Self>, D::Error> {
        deserializer.deserialize_any(MapVisitor { at, report })
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

struct MapVisitor<'a> {
    at: &'a Path<'a>,
    report: &'a mut Report,
}

impl<'de> Visitor<'de> for MapVisitor<'_> {
    type Value = Slot<BTreeMap<String, String>>;

    refuse_scalars!();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Slot::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(UNEXPECTED_LIST))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Self { at, report } = self;
        let (mut values, mut is_good) = (BTreeMap::new(), true);
        while let Some(key) = entries.next_key_seed(Name)? {
            let Some(value) = entries.next_value_seed(EntryValue)? else {
                report.violation(&at.entry(&key), &Shown::Null, &Constraint::NotNull);
                is_good = false;
                continue;
            };
            if values.insert(key.into_owned(), value).is_some() {
                return Err(A::Error::custom("A key of a map is given more than once"));
            }
        }
        Ok(if is_good { Slot::Good(values) } else { Slot::Bad })
    }
}

/// Reads the value of a map entry; `None` for `null`.
///
/// AWS KMS Developer Guide, "Encryption context": a value that is an integer or a float is taken for a string.
struct EntryValue;

impl<'de> DeserializeSeed<'de> for EntryValue {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match Token::read(deserializer)? {
            Token::Null => Ok(None),
            Token::Integer(number) => Ok(Some(number.to_string())),
            // Beyond it two numbers could become the same text.
            Token::Float(number) if number.abs() < EXACT_INTEGER_MAX => {
                Ok(Number::from_f64(number).map(|n| n.to_string()))
            }
            token => String::read(token).map(Some).map_err(D::Error::custom),
        }
    }
}

/// Below 2^53 every whole number is a 64-bit float of its own.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;
