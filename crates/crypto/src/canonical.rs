//! Injective encodings of what gets authenticated.
//!
//! Always true: two different sequences of fields never encode to the same bytes, because each field is preceded by
//! its length (4 bytes, big-endian) and lists by their count.

use std::collections::BTreeMap;

/// Fields one after the other, the first one always a label that says what they are.
pub(crate) struct Canonical(Vec<u8>);

impl Canonical {
    pub(crate) fn labelled(label: &[u8]) -> Self {
        Self(Vec::with_capacity(256)).field(label)
    }

    /// Appends one field.
    pub(crate) fn field(mut self, bytes: &[u8]) -> Self {
        push_prefixed(&mut self.0, bytes);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Appends an encryption context in the order of its keys, as the map has it.
pub(crate) fn push_context(out: &mut Vec<u8>, context: &BTreeMap<String, String>) {
    push_len(out, context.len());
    for (key, value) in context {
        push_prefixed(out, key.as_bytes());
        push_prefixed(out, value.as_bytes());
    }
}

/// How many bytes [`push_context`] will append.
pub(crate) fn context_len(context: &BTreeMap<String, String>) -> usize {
    LEN_LEN + context.iter().map(|(key, value)| 2 * LEN_LEN + key.len() + value.len()).sum::<usize>()
}

fn push_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    push_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn push_len(out: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).expect("a field comes from a request or envelope, which is far below 4 GiB");
    out.extend_from_slice(&len.to_be_bytes());
}

const LEN_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(context: &BTreeMap<String, String>) -> Vec<u8> {
        let mut out = Vec::new();
        push_context(&mut out, context);
        out
    }

    #[test]
    fn moving_a_boundary_changes_the_encoding() {
        let one = Canonical::labelled(b"l").field(b"ab").field(b"c").finish();
        let two = Canonical::labelled(b"l").field(b"a").field(b"bc").finish();
        assert_ne!(one, two);
    }

    proptest! {
        #[test]
        fn contexts_encode_alike_only_if_equal(
            one in proptest::collection::btree_map("[ab]{0,2}", "[ab]{0,2}", 0..4),
            two in proptest::collection::btree_map("[ab]{0,2}", "[ab]{0,2}", 0..4),
        ) {
            prop_assert_eq!(encoded(&one) == encoded(&two), one == two);
            prop_assert_eq!(encoded(&one).len(), context_len(&one));
        }
    }
}
