//! Tags of KMS keys.

use crate::wire::limits::{Items, KEY_ID, LIMIT, MARKER, TAG_KEY, TAG_VALUE};
use crate::wire::structure::shapes;

shapes! {
    /// A label of a key: a name and a value.
    #[derive(Clone, Default)]
    Tag {
        required tag_key: String = "TagKey", TAG_KEY;
        required tag_value: String = "TagValue", TAG_VALUE;
    }

    /// The request of `TagResource`.
    #[derive(Clone, Default)]
    TagResourceRequest {
        required key_id: String = "KeyId", KEY_ID;
        required tags: Vec<Tag> = "Tags", Items::any(());
    }

    /// The answer of `TagResource`: an empty body.
    #[derive(Clone, Default)]
    TagResourceResponse {}

    /// The request of `UntagResource`.
    #[derive(Clone, Default)]
    UntagResourceRequest {
        required key_id: String = "KeyId", KEY_ID;
        required tag_keys: Vec<String> = "TagKeys", Items::any(TAG_KEY);
    }

    /// The answer of `UntagResource`: an empty body.
    #[derive(Clone, Default)]
    UntagResourceResponse {}

    /// The request of `ListResourceTags`.
    #[derive(Clone, Default)]
    ListResourceTagsRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional limit: u32 = "Limit", LIMIT;
        optional marker: String = "Marker", MARKER;
    }

    /// The answer of `ListResourceTags`.
    #[derive(Clone, Default)]
    ListResourceTagsResponse {
        required tags: Vec<Tag> = "Tags", Items::any(());
        optional next_marker: String = "NextMarker", MARKER;
        required truncated: bool = "Truncated";
    }
}
