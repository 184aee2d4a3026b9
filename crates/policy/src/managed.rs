//! The managed policies that come with the service.
//!
//! AWS Managed Policy Reference Guide.

use std::sync::LazyLock;

use crate::stored::StoredPolicy;

/// A managed policy that belongs to no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// Its name; its ARN is `arn:<partition>:iam::aws:policy/<name>`.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Its document.
    pub document: &'static str,
}

/// Everything.
pub const ADMINISTRATOR_ACCESS: ManagedPolicy = ManagedPolicy {
    name: "AdministratorAccess",
    description: "Provides full access to all services and resources.",
    document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
};

/// Creating keys, and reading everything about all of them (AWS KMS Developer Guide, "AWS managed policies for AWS KMS").
pub const KEY_MANAGEMENT_POWER_USER: ManagedPolicy = ManagedPolicy {
    name: "AWSKeyManagementServicePowerUser",
    description: "Provides access to the key management service.",
    document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:CreateAlias","kms:CreateKey","kms:DeleteAlias","kms:Describe*","kms:GenerateRandom","kms:Get*","kms:List*","kms:TagResource","kms:UntagResource","iam:ListGroups","iam:ListRoles","iam:ListUsers"],"Resource":"*"}]}"#,
};

/// Reading and changing identities.
pub const IAM_FULL_ACCESS: ManagedPolicy = ManagedPolicy {
    name: "IAMFullAccess",
    description: "Provides full access to identities.",
    document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}"#,
};

/// Reading identities.
pub const IAM_READ_ONLY_ACCESS: ManagedPolicy = ManagedPolicy {
    name: "IAMReadOnlyAccess",
    description: "Provides read only access to identities.",
    document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*"],"Resource":"*"}]}"#,
};

/// All of them.
pub const ALL: [ManagedPolicy; 4] =
    [ADMINISTRATOR_ACCESS, KEY_MANAGEMENT_POWER_USER, IAM_FULL_ACCESS, IAM_READ_ONLY_ACCESS];

/// The document of the policy called `name`, compiled once for everybody.
#[must_use]
pub fn document_of(name: &str) -> Option<&'static StoredPolicy> {
    static DOCUMENTS: LazyLock<[StoredPolicy; ALL.len()]> =
        LazyLock::new(|| ALL.map(|policy| StoredPolicy::from(policy.document)));
    ALL.iter().position(|policy| policy.name == name).map(|at| &DOCUMENTS[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Policy, PolicyKind};

    #[test]
    fn all_are_valid() {
        for policy in ALL {
            Policy::parse(policy.document, PolicyKind::Identity).expect(policy.name);
        }
    }
}
