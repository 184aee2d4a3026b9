//! Members that are lists or maps.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};

use crate::wire::limits::{ANY_TEXT, Items};
use crate::wire::member::{Decoding, Encoded, Slot, Wire};
use crate::wire::report::{Constraint, Constraints, Path, Report, Shown};
use crate::wire::scalars::{Scalar, read_raw};
use crate::wire::token::{Name, UNEXPECTED_LIST, UNEXPECTED_STRUCTURE, refuse_scalars};

/// An item of a list. Violations of scalar items are reported about the whole list, those of structures about the
/// member of the item, as the service does.
pub(crate) trait Item: Wire {
    /// Reads all items; how many there were, and the items themselves unless one was bad.
    fn read_all<'de, A: SeqAccess<'de>>(
        items: A,
        limits: &Self::Limits,
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<(usize, Option<Vec<Self>>), A::Error>;
}

impl<T: Scalar> Item for T {
    fn read_all<'de, A: SeqAccess<'de>>(
        mut items: A,
        limits: &<T as Wire>::Limits,
        at: &Path<'_>,
        report: &mut Report,
    ) -> Result<(usize, Option<Vec<T>>), A::Error> {
        let mut raws = Vec::new();
        let mut is_good = true;
        while let Some(raw) = items.next_element_seed(RawSeed::<T>(PhantomData))? {
            match &raw {
                Some(raw) => T::check(raw, limits, |_| is_good = false),
                None => is_good = false,
            }
            raws.push(raw);
        }
        let count = raws.len();
        if is_good {
            return Ok((count, raws.into_iter().map(|raw| raw.and_then(T::accept)).collect()));
        }
        report_items::<T>(&raws, limits, at, report);
        Ok((count, None))
    }
}

/// One violation for the whole list, naming every constraint on its items.
fn report_items<T: Scalar>(raws: &[Option<T::Raw>], limits: &T::Limits, at: &Path<'_>, report: &mut Report) {
    let mut constraints = T::constraints(limits);
    constraints.push(Constraint::NotNull);
    let is_secret = raws.iter().flatten().any(|raw| T::shown(raw).is_none());
    let show = |raw: &Option<T::Raw>| raw.as_ref().map_or(Some("null".to_owned()), T::shown).unwrap_or_default();
    let shown = format!("[{}]", raws.iter().map(show).collect::<Vec<_>>().join(", "));
    let shown = if is_secret { Shown::Withheld } else { Shown::Text(&shown) };
    report.violation(at, &shown, &Constraints(&constraints));
}

struct RawSeed<T>(PhantomData<T>);

impl<'de, T: Scalar> serde::de::DeserializeSeed<'de> for RawSeed<T> {
    type Value = Option<T::Raw>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        read_raw::<T, D>(deserializer)
    }
}

/// [`Item::read_all`] of structures.
pub(crate) fn read_structures<'de, T: Wire, A: SeqAccess<'de>>(
    mut items: A,
    limits: &T::Limits,
    at: &Path<'_>,
    report: &mut Report,
) -> Result<(usize, Option<Vec<T>>), A::Error> {
    let (mut values, mut count, mut is_good) = (Vec::new(), 0, true);
    loop {
        let item = at.item(count);
        let Some(slot) = items.next_element_seed(Decoding::<T> { limits, at: &item, report })? else { break };
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
    Ok((count, is_good.then_some(values)))
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
        let (count, values) = T::read_all(items, &limits.each, at, report)?;
        let mut is_good = true;
        limits.size.check(count, |constraint| {
            is_good = false;
            report.violation(at, &Shown::Withheld, &constraint);
        });
        Ok(values.filter(|_| is_good).map_or(Slot::Bad, Slot::Good))
    }
}

/// A map of texts; the model puts no constraints on those.
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
            let entry = at.entry(&key);
            let slot = entries.next_value_seed(Decoding::<String> { limits: &ANY_TEXT, at: &entry, report })?;
            if let Some(value) = slot.required(&entry, report) {
                if values.insert(key.into_owned(), value).is_some() {
                    return Err(A::Error::custom("A key of a map is given more than once"));
                }
            } else {
                is_good = false;
            }
        }
        Ok(if is_good { Slot::Good(values) } else { Slot::Bad })
    }
}
