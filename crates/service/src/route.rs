//! Which operations the service offers, and where each of them runs.

use meridian_model::Operation;

/// Where an operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// On the node that was asked, on its applied state.
    Cryptography,
    /// On the node that was asked, after a read barrier.
    Read,
    /// On the leader.
    Change,
    /// Nowhere yet.
    Unsupported,
}

impl Route {
    /// The route of `operation`.
    #[must_use]
    pub const fn of(operation: Operation) -> Self {
        use Operation as O;
        match operation {
            O::Encrypt
            | O::Decrypt
            | O::ReEncrypt
            | O::GenerateDataKey
            | O::GenerateDataKeyWithoutPlaintext
            | O::GenerateRandom
            | O::GenerateDataKeyPair
            | O::GenerateDataKeyPairWithoutPlaintext
            | O::Sign
            | O::Verify
            | O::GetPublicKey
            | O::GenerateMac
            | O::VerifyMac
            | O::DeriveSharedSecret
            | O::Encapsulate
            | O::Decapsulate => Self::Cryptography,
            O::DescribeKey
            | O::ListKeys
            | O::ListAliases
            | O::ListResourceTags
            | O::GetKeyLastUsage
            | O::GetKeyPolicy
            | O::ListGrants
            | O::ListRetirableGrants
            | O::ListKeyPolicies
            | O::GetKeyRotationStatus
            | O::ListKeyRotations
            | O::GetParametersForImport => Self::Read,
            O::CreateKey
            | O::UpdateKeyDescription
            | O::EnableKey
            | O::DisableKey
            | O::ScheduleKeyDeletion
            | O::CancelKeyDeletion
            | O::CreateAlias
            | O::UpdateAlias
            | O::DeleteAlias
            | O::TagResource
            | O::UntagResource
            | O::PutKeyPolicy
            | O::CreateGrant
            | O::RetireGrant
            | O::RevokeGrant
            | O::ReplicateKey
            | O::EnableKeyRotation
            | O::DisableKeyRotation
            | O::RotateKeyOnDemand
            | O::UpdatePrimaryRegion
            | O::ImportKeyMaterial
            | O::DeleteImportedKeyMaterial => Self::Change,
            _ => Self::Unsupported,
        }
    }
}
