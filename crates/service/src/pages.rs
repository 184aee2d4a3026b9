//! Listing page by page: how many, where to go on, and what a marker looks like.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meridian_model::{ErrorCode, ServiceError};

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub(crate) next_marker: Option<String>,
}

/// Takes at most `limit` of `items`; `last` tells after which item the next page goes on.
pub(crate) fn page<T>(items: impl Iterator<Item = T>, limit: usize, last: impl Fn(&T) -> String) -> Page<T> {
    let mut items: Vec<T> = items.take(limit + 1).collect();
    let is_truncated = items.len() > limit;
    items.truncate(limit);
    let next_marker = items.last().filter(|_| is_truncated).map(|item| encode_marker(&last(item)));
    Page { items, next_marker }
}

/// The limit of a request within `1..=most`, by default `default`. A larger one is cut, as the API allows.
pub(crate) fn limit(requested: Option<u32>, default: u32, most: u32) -> usize {
    requested.unwrap_or(default).min(most) as usize
}

/// The item after which a request wants to go on.
pub(crate) fn after<T: std::str::FromStr>(marker: Option<&str>) -> Result<Option<T>, ServiceError> {
    marker.map(decode_marker).transpose()
}

const PREFIX: &str = "v1:";

fn encode_marker(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{PREFIX}{last}"))
}

fn decode_marker<T: std::str::FromStr>(marker: &str) -> Result<T, ServiceError> {
    let decoded = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded
        .and_then(|text| text.strip_prefix(PREFIX)?.parse().ok())
        .ok_or_else(|| ServiceError::new(ErrorCode::InvalidMarker, "Could not deserialize marker"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_every_item_once() {
        let mut seen = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let start = after::<u32>(marker.as_deref()).expect("own marker").map_or(0, |last| last + 1);
            let page = page(start..10, 3, ToString::to_string);
            seen.extend(page.items);
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..10).collect::<Vec<u32>>());
    }

    #[test]
    fn a_full_last_page_is_not_truncated() {
        assert!(page(0..3, 3, ToString::to_string).next_marker.is_none());
    }

    #[test]
    fn foreign_markers_are_refused() {
        for marker in ["", "x", "djE6", "!!!!"] {
            assert_eq!(after::<u32>(Some(marker)).expect_err(marker).code, ErrorCode::InvalidMarker);
        }
    }
}
