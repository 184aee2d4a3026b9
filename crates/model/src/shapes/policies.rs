//! Key policies.

use crate::wire::limits::{Items, KEY_ID, LIMIT, MARKER, POLICY, POLICY_NAME};
use crate::wire::structure::shapes;

shapes! {
    /// The request of `GetKeyPolicy`.
    #[derive(Clone, Default)]
    GetKeyPolicyRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional policy_name: String = "PolicyName", POLICY_NAME;
    }

    /// The answer of `GetKeyPolicy`.
    #[derive(Clone, Default)]
    GetKeyPolicyResponse {
        required policy: String = "Policy", POLICY;
        required policy_name: String = "PolicyName", POLICY_NAME;
    }

    /// The request of `PutKeyPolicy`.
    #[derive(Clone, Default)]
    PutKeyPolicyRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional policy_name: String = "PolicyName", POLICY_NAME;
        required policy: String = "Policy", POLICY;
        optional bypass_policy_lockout_safety_check: bool = "BypassPolicyLockoutSafetyCheck";
    }

    /// The answer of `PutKeyPolicy`: an empty body.
    #[derive(Clone, Default)]
    PutKeyPolicyResponse {}

    /// The request of `ListKeyPolicies`.
    #[derive(Clone, Default)]
    ListKeyPoliciesRequest {
        required key_id: String = "KeyId", KEY_ID;
        optional limit: u32 = "Limit", LIMIT;
        optional marker: String = "Marker", MARKER;
    }

    /// The answer of `ListKeyPolicies`.
    #[derive(Clone, Default)]
    ListKeyPoliciesResponse {
        required policy_names: Vec<String> = "PolicyNames", Items::any(POLICY_NAME);
        optional next_marker: String = "NextMarker", MARKER;
        required truncated: bool = "Truncated";
    }
}
