//! Grants: who may use one KMS key for which operations.

use std::collections::BTreeMap;

use crate::wire::limits::{
    GRANT_ID, GRANT_NAME, GRANT_TOKEN, GRANT_TOKENS, Items, KEY_ID, LIMIT, MARKER, PRINCIPAL, SERVICE_PRINCIPAL,
    SOURCE_ARN,
};
use crate::wire::structure::shapes;
use crate::{GrantOperation, Timestamp};

shapes! {
    /// The encryption contexts and source that a grant is restricted to.
    #[derive(Clone, Default)]
    GrantConstraints {
        optional encryption_context_subset: BTreeMap<String, String> = "EncryptionContextSubset";
        optional encryption_context_equals: BTreeMap<String, String> = "EncryptionContextEquals";
        optional source_arn: String = "SourceArn", SOURCE_ARN;
    }

    /// One grant of a list.
    #[derive(Clone, Default)]
    GrantListEntry {
        required key_id: String = "KeyId", KEY_ID;
        required grant_id: String = "GrantId", GRANT_ID;
        optional name: String = "Name", GRANT_NAME;
        required creation_date: Timestamp = "CreationDate";
        optional grantee_principal: String = "GranteePrincipal", PRINCIPAL;
        optional retiring_principal: String = "RetiringPrincipal", PRINCIPAL;
        required issuing_account: String = "IssuingAccount", PRINCIPAL;
        required operations: Vec<GrantOperation> = "Operations", Items::any(());
        optional constraints: GrantConstraints = "Constraints";
        optional grantee_service_principal: String = "GranteeServicePrincipal", SERVICE_PRINCIPAL;
        optional retiring_service_principal: String = "RetiringServicePrincipal", SERVICE_PRINCIPAL;
    }

    /// The request of `CreateGrant`.
    #[derive(Clone, Default)]
    CreateGrantRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional grantee_principal: String = "GranteePrincipal", PRINCIPAL;
        optional retiring_principal: String = "RetiringPrincipal", PRINCIPAL;
        required operations: Vec<GrantOperation> = "Operations", Items::any(());
        optional constraints: GrantConstraints = "Constraints";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional name: String = "Name", GRANT_NAME;
        optional dry_run: bool = "DryRun";
        optional grantee_service_principal: String = "GranteeServicePrincipal", SERVICE_PRINCIPAL;
        optional retiring_service_principal: String = "RetiringServicePrincipal", SERVICE_PRINCIPAL;
    }

    /// The answer of `CreateGrant`.
    #[derive(Clone, Default)]
    CreateGrantResponse {
        required grant_token: String = "GrantToken", GRANT_TOKEN;
        required grant_id: String = "GrantId", GRANT_ID;
    }

    /// The request of `ListGrants`.
    #[derive(Clone, Default)]
    ListGrantsRequest {
        optional limit: u32 = "Limit", LIMIT;
        optional marker: String = "Marker", MARKER;
        required key_id: String = "KeyId", KEY_ID;
        optional grant_id: String = "GrantId", GRANT_ID;
        optional grantee_principal: String = "GranteePrincipal", PRINCIPAL;
        optional grantee_service_principal: String = "GranteeServicePrincipal", SERVICE_PRINCIPAL;
    }

    /// The answer of `ListGrants`.
    #[derive(Clone, Default)]
    ListGrantsResponse {
        required grants: Vec<GrantListEntry> = "Grants", Items::any(());
        optional next_marker: String = "NextMarker", MARKER;
        required truncated: bool = "Truncated";
    }

    /// The request of `ListRetirableGrants`.
    #[derive(Clone, Default)]
    ListRetirableGrantsRequest {
        optional limit: u32 = "Limit", LIMIT;
        optional marker: String = "Marker", MARKER;
        optional retiring_principal: String = "RetiringPrincipal", PRINCIPAL;
        optional retiring_service_principal: String = "RetiringServicePrincipal", SERVICE_PRINCIPAL;
    }

    /// The answer of `ListRetirableGrants`.
    #[derive(Clone, Default)]
    ListRetirableGrantsResponse {
        required grants: Vec<GrantListEntry> = "Grants", Items::any(());
        optional next_marker: String = "NextMarker", MARKER;
        required truncated: bool = "Truncated";
    }

    /// The request of `RetireGrant`.
    #[derive(Clone, Default)]
    RetireGrantRequest {
        optional grant_token: String = "GrantToken", GRANT_TOKEN;
        optional key_id: String = "KeyId", KEY_ID;
        optional grant_id: String = "GrantId", GRANT_ID;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `RetireGrant`: an empty body.
    #[derive(Clone, Default)]
    RetireGrantResponse {}

    /// The request of `RevokeGrant`.
    #[derive(Clone, Default)]
    RevokeGrantRequest {
        required key_id: String = "KeyId", KEY_ID;
        required grant_id: String = "GrantId", GRANT_ID;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `RevokeGrant`: an empty body.
    #[derive(Clone, Default)]
    RevokeGrantResponse {}
}
