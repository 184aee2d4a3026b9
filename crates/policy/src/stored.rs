//! A policy document as it is kept: its text, verbatim.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A policy document that was accepted. Equal texts are equal documents; on the wire and on disk it is its text.
#[derive(Clone)]
pub struct StoredPolicy {
    text: Arc<str>,
}

impl StoredPolicy {
    /// The document, verbatim.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The characters that are not white space, as the quotas of IAM count them.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.chars().filter(|character| !character.is_whitespace()).count()
    }
}

impl From<&str> for StoredPolicy {
    fn from(text: &str) -> Self {
        Self { text: text.into() }
    }
}

impl From<String> for StoredPolicy {
    fn from(text: String) -> Self {
        Self { text: text.into() }
    }
}

impl PartialEq for StoredPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for StoredPolicy {}

impl fmt::Debug for StoredPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for StoredPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for StoredPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}
