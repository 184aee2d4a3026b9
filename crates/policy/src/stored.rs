//! A policy document as it is kept: its text, verbatim, and what it was compiled to when it was first needed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::document::{Policy, PolicyKind, policy_size};

/// A policy document that was accepted. Equal texts are equal documents; on the wire and on disk it is its text.
///
/// Clones share what was compiled. It goes with the last of them, so that nothing outlives the document.
#[derive(Clone)]
pub struct StoredPolicy(Arc<Inner>);

struct Inner {
    text: Box<str>,
    compiled: OnceLock<Arc<Policy>>,
}

impl StoredPolicy {
    /// The document, verbatim.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The compiled document; one that cannot be read denies everything. A document is always of one kind, so that the first
    /// `kind` asked for is the one that counts.
    #[must_use]
    pub fn compiled(&self, kind: PolicyKind) -> &Arc<Policy> {
        let compiled = self.0.compiled.get_or_init(|| Arc::new(Policy::stored(self.text(), kind)));
        debug_assert!(compiled.kind() == kind, "one document of two kinds");
        compiled
    }

    /// The characters that are not white space, as the quotas of IAM count them.
    #[must_use]
    pub fn size(&self) -> usize {
        policy_size(self.text())
    }
}

impl From<&str> for StoredPolicy {
    fn from(text: &str) -> Self {
        Self(Arc::new(Inner { text: text.into(), compiled: OnceLock::new() }))
    }
}

impl From<String> for StoredPolicy {
    fn from(text: String) -> Self {
        Self(Arc::new(Inner { text: text.into(), compiled: OnceLock::new() }))
    }
}

impl PartialEq for StoredPolicy {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.text() == other.text()
    }
}

impl Eq for StoredPolicy {}

impl fmt::Debug for StoredPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text(), f)
    }
}

impl Serialize for StoredPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for StoredPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_compiled_once_for_all_of_its_clones() {
        let stored = StoredPolicy::from(crate::managed::ADMINISTRATOR_ACCESS.document);
        let clone = stored.clone();
        let compiled = Arc::clone(stored.compiled(PolicyKind::Identity));
        assert!(Arc::ptr_eq(&compiled, clone.compiled(PolicyKind::Identity)));
        drop((stored, clone));
        assert_eq!(Arc::strong_count(&compiled), 1, "nothing else holds it");
    }

    #[test]
    fn on_the_wire_it_is_its_text() {
        let stored = StoredPolicy::from("{ }");
        let json = serde_json::to_string(&stored).expect("JSON");
        assert_eq!(json, "\"{ }\"");
        assert_eq!(serde_json::from_str::<StoredPolicy>(&json).expect("own JSON"), stored);
        assert_eq!(stored.size(), 2);
    }
}
