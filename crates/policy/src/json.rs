//! JSON as policies need it: in the order of the text, and without a name that stands twice in one object.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As a text: numbers of policies are compared as whatever their operator takes them for.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// Parses `text`; `None` if it is no JSON, has a name twice in one object, or is nested deeper than 128.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// One value, or each of a list.
    pub(crate) fn one_or_many(&self) -> &[Self] {
        if let Self::List(values) = self { values } else { std::slice::from_ref(self) }
    }

    /// A text, or each text of a list; `None` if there is anything else.
    pub(crate) fn texts(&self) -> Option<Vec<&str>> {
        self.one_or_many().iter().map(|value| if let Self::Text(text) = value { Some(&**text) } else { None }).collect()
    }

    /// The text of a text, a truth value or a number.
    pub(crate) fn scalar(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text.clone()),
            Self::Bool(truth) => Some(truth.to_string()),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(format!("{value:?}"))) // keeps the point of 1.0
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(A::Error::custom("a name stands twice in one object"));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_order_and_their_text() {
        let parsed = Json::parse(r#"{"b":[null,true,-1,10103.0,"x"],"a":{}}"#).expect("JSON");
        let list = [Json::Null, Json::Bool(true), number("-1"), number("10103.0"), Json::Text("x".to_owned())];
        let members = vec![("b".to_owned(), Json::List(list.into())), ("a".to_owned(), Json::Object(Vec::new()))];
        assert_eq!(parsed, Json::Object(members));
    }

    fn number(text: &str) -> Json {
        Json::Number(text.to_owned())
    }

    #[test]
    fn what_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in
            ["", "{", "{} {}", r#"{"a":1,"b":2,"a":3}"#, r#"[{"a":{"b":1,"b":1}}]"#, r#"{"a":1,"\u0061":2}"#, &deep]
        {
            assert_eq!(Json::parse(text), None, "{text}");
        }
        assert!(Json::parse(r#"[{"a":1},{"a":1}]"#).is_some(), "two objects");
    }
}
