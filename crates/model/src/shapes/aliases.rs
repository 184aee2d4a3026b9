//! Aliases: friendly names of KMS keys.

use crate::Timestamp;
use crate::wire::limits::{ALIAS_NAME, ARN, Items, KEY_ID, LIMIT, MARKER};
use crate::wire::structure::shapes;

shapes! {
    /// One alias of a list.
    #[derive(Clone, Default)]
    AliasListEntry {
        required alias_name: String = "AliasName", ALIAS_NAME;
        required alias_arn: String = "AliasArn", ARN;
        optional target_key_id: String = "TargetKeyId", KEY_ID;
        optional creation_date: Timestamp = "CreationDate";
        optional last_updated_date: Timestamp = "LastUpdatedDate";
    }

    /// The request of `CreateAlias`.
    #[derive(Clone, Default)]
    CreateAliasRequest {
        required alias_name: String = "AliasName", ALIAS_NAME;
        required target_key_id: String = "TargetKeyId", KEY_ID;
    }

    /// The answer of `CreateAlias`: an empty body.
    #[derive(Clone, Default)]
    CreateAliasResponse {}

    /// The request of `UpdateAlias`.
    #[derive(Clone, Default)]
    UpdateAliasRequest {
        required alias_name: String = "AliasName", ALIAS_NAME;
        required target_key_id: String = "TargetKeyId", KEY_ID;
    }

    /// The answer of `UpdateAlias`: an empty body.
    #[derive(Clone, Default)]
    UpdateAliasResponse {}

    /// The request of `DeleteAlias`.
    #[derive(Clone, Default)]
    DeleteAliasRequest {
        required alias_name: String = "AliasName", ALIAS_NAME;
    }

    /// The answer of `DeleteAlias`: an empty body.
    #[derive(Clone, Default)]
    DeleteAliasResponse {}

    /// The request of `ListAliases`.
    #[derive(Clone, Default)]
    ListAliasesRequest {
        optional key_id: String = "KeyId", KEY_ID;
        optional limit: u32 = "Limit", LIMIT;
        optional marker: String = "Marker", MARKER;
    }

    /// The answer of `ListAliases`.
    #[derive(Clone, Default)]
    ListAliasesResponse {
        required aliases: Vec<AliasListEntry> = "Aliases", Items::any(());
        optional next_marker: String = "NextMarker", MARKER;
        required truncated: bool = "Truncated";
    }
}
