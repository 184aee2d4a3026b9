//! Writing JSON text directly, because a record is written for every request and read by almost nobody.
//!
//! Reading is serde_json's business. Always true: a [`JsonText`] is one valid JSON value without line breaks.

use std::fmt::{self, Display};
use std::io::Write as _;

/// One JSON value, ready to be put into a record.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Vec<u8>);

impl JsonText {
    /// An object whose members `fill` writes.
    ///
    /// ```
    /// let text = meridian_audit::JsonText::object(|object| {
    ///     object.string("keyId", "alias/app").number("numberOfBytes", 32);
    /// });
    /// assert_eq!(text.as_str(), r#"{"keyId":"alias/app","numberOfBytes":32}"#);
    /// ```
    pub fn object(fill: impl FnOnce(&mut Object<'_>)) -> Self {
        let mut out = Vec::with_capacity(128);
        write_object(&mut out, fill);
        Self(out)
    }

    /// The text of a value that serde_json holds.
    #[must_use]
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self(value.to_string().into_bytes())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only whole strings are ever written into it")
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes the members of one JSON object; names are this crate's and its callers' literals and need no escaping.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl Object<'_> {
    /// A string member.
    pub fn string(&mut self, name: &'static str, value: &str) -> &mut Self {
        write_string(self.name(name), value);
        self
    }

    /// A string member whose text needs no escaping in JSON: identifiers, dates, numbers.
    pub fn plain(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        let out = self.name(name);
        write!(out, "\"{value}\"").expect("writing to memory does not fail");
        self
    }

    /// A string member, if there is a value.
    pub fn optional(&mut self, name: &'static str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.string(name, value);
        }
        self
    }

    /// A whole number.
    pub fn number(&mut self, name: &'static str, value: impl Into<i64>) -> &mut Self {
        let value: i64 = value.into();
        let out = self.name(name);
        write!(out, "{value}").expect("writing to memory does not fail");
        self
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str, value: bool) -> &mut Self {
        self.name(name).extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// A value that is text already; `null` if there is none.
    pub fn json(&mut self, name: &'static str, value: Option<&JsonText>) -> &mut Self {
        self.name(name).extend_from_slice(value.map_or(b"null", JsonText::as_bytes));
        self
    }

    /// An object member.
    pub fn nested(&mut self, name: &'static str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        write_object(self.name(name), fill);
        self
    }

    /// An object of strings whose names are data, such as an encryption context.
    pub fn pairs<'p>(
        &mut self,
        name: &'static str,
        pairs: impl IntoIterator<Item = (&'p String, &'p String)>,
    ) -> &mut Self {
        let out = self.name(name);
        out.push(b'{');
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(out, key);
            out.push(b':');
            write_string(out, value);
        }
        out.push(b'}');
        self
    }

    /// A list of objects.
    pub fn objects<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Object<'_>, T),
    ) -> &mut Self {
        let out = self.name(name);
        out.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_object(out, |object| fill(object, item));
        }
        out.push(b']');
        self
    }

    /// A list of strings.
    pub fn strings<'s>(&mut self, name: &'static str, items: impl IntoIterator<Item = &'s str>) -> &mut Self {
        let out = self.name(name);
        out.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(out, item);
        }
        out.push(b']');
        self
    }

    fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.is_empty { b"\"" } else { b",\"" });
        self.is_empty = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

/// Appends one object to `out`.
pub(crate) fn write_object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, is_empty: true });
    out.push(b'}');
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string always has a JSON form, and memory takes it");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_written_is_what_serde_json_reads() {
        let pairs = BTreeMap::from([("a\"b".to_owned(), "c\nd\u{1}".to_owned()), ("ü".to_owned(), String::new())]);
        let text = JsonText::object(|object| {
            object.string("one", "line\r\nbreak \\ \u{2028}").boolean("two", true).number("three", -3);
            object.pairs("four", &pairs).strings("five", ["x", "y\""]).json("six", None);
            object.nested("seven", |inner| {
                inner.plain("eight", 8).optional("nine", None);
            });
            object.objects("ten", [1, 2], |inner, value| {
                inner.number("n", value);
            });
        });
        assert!(!text.as_str().contains('\n'));
        let value: serde_json::Value = serde_json::from_str(text.as_str()).unwrap();
        assert_eq!(value["one"], "line\r\nbreak \\ \u{2028}");
        assert_eq!(value["four"]["a\"b"], "c\nd\u{1}");
        assert_eq!(value["five"][1], "y\"");
        assert_eq!(value["six"], serde_json::Value::Null);
        assert_eq!(value["seven"], serde_json::json!({"eight": "8"}));
        assert_eq!(value["ten"], serde_json::json!([{"n": 1}, {"n": 2}]));
        assert_eq!(JsonText::from_value(&value).as_str().len(), value.to_string().len());
    }
}
