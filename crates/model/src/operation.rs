//! The 56 operations of the API.

/// Hands the list of operations to the macro `$with`: name, request, response, whether it changes state (the CloudTrail
/// member `readOnly`), and whether its answer has a body. This list is the only place where an operation is entered.
macro_rules! operations {
    ($with:ident) => {
        $with! {
            CancelKeyDeletion(CancelKeyDeletionRequest, CancelKeyDeletionResponse): changing, body,
            ConnectCustomKeyStore(ConnectCustomKeyStoreRequest, ConnectCustomKeyStoreResponse): changing, empty,
            CreateAlias(CreateAliasRequest, CreateAliasResponse): changing, empty,
            CreateCustomKeyStore(CreateCustomKeyStoreRequest, CreateCustomKeyStoreResponse): changing, body,
            CreateGrant(CreateGrantRequest, CreateGrantResponse): changing, body,
            CreateKey(CreateKeyRequest, CreateKeyResponse): changing, body,
            Decapsulate(DecapsulateRequest, DecapsulateResponse): read_only, body,
            Decrypt(DecryptRequest, DecryptResponse): read_only, body,
            DeleteAlias(DeleteAliasRequest, DeleteAliasResponse): changing, empty,
            DeleteCustomKeyStore(DeleteCustomKeyStoreRequest, DeleteCustomKeyStoreResponse): changing, empty,
            DeleteImportedKeyMaterial(DeleteImportedKeyMaterialRequest, DeleteImportedKeyMaterialResponse): changing, body,
            DeriveSharedSecret(DeriveSharedSecretRequest, DeriveSharedSecretResponse): read_only, body,
            DescribeCustomKeyStores(DescribeCustomKeyStoresRequest, DescribeCustomKeyStoresResponse): read_only, body,
            DescribeKey(DescribeKeyRequest, DescribeKeyResponse): read_only, body,
            DisableKey(DisableKeyRequest, DisableKeyResponse): changing, empty,
            DisableKeyRotation(DisableKeyRotationRequest, DisableKeyRotationResponse): changing, empty,
            DisconnectCustomKeyStore(DisconnectCustomKeyStoreRequest, DisconnectCustomKeyStoreResponse): changing, empty,
            EnableKey(EnableKeyRequest, EnableKeyResponse): changing, empty,
            EnableKeyRotation(EnableKeyRotationRequest, EnableKeyRotationResponse): changing, empty,
            Encapsulate(EncapsulateRequest, EncapsulateResponse): read_only, body,
            Encrypt(EncryptRequest, EncryptResponse): read_only, body,
            GenerateDataKey(GenerateDataKeyRequest, GenerateDataKeyResponse): read_only, body,
            GenerateDataKeyPair(GenerateDataKeyPairRequest, GenerateDataKeyPairResponse): read_only, body,
            GenerateDataKeyPairWithoutPlaintext(GenerateDataKeyPairWithoutPlaintextRequest, GenerateDataKeyPairWithoutPlaintextResponse): read_only, body,
            GenerateDataKeyWithoutPlaintext(GenerateDataKeyWithoutPlaintextRequest, GenerateDataKeyWithoutPlaintextResponse): read_only, body,
            GenerateMac(GenerateMacRequest, GenerateMacResponse): read_only, body,
            GenerateRandom(GenerateRandomRequest, GenerateRandomResponse): read_only, body,
            GetKeyLastUsage(GetKeyLastUsageRequest, GetKeyLastUsageResponse): read_only, body,
            GetKeyPolicy(GetKeyPolicyRequest, GetKeyPolicyResponse): read_only, body,
            GetKeyRotationStatus(GetKeyRotationStatusRequest, GetKeyRotationStatusResponse): read_only, body,
            GetParametersForImport(GetParametersForImportRequest, GetParametersForImportResponse): read_only, body,
            GetPublicKey(GetPublicKeyRequest, GetPublicKeyResponse): read_only, body,
            ImportKeyMaterial(ImportKeyMaterialRequest, ImportKeyMaterialResponse): changing, body,
            ListAliases(ListAliasesRequest, ListAliasesResponse): read_only, body,
            ListGrants(ListGrantsRequest, ListGrantsResponse): read_only, body,
            ListKeyPolicies(ListKeyPoliciesRequest, ListKeyPoliciesResponse): read_only, body,
            ListKeyRotations(ListKeyRotationsRequest, ListKeyRotationsResponse): read_only, body,
            ListKeys(ListKeysRequest, ListKeysResponse): read_only, body,
            ListResourceTags(ListResourceTagsRequest, ListResourceTagsResponse): read_only, body,
            ListRetirableGrants(ListRetirableGrantsRequest, ListRetirableGrantsResponse): read_only, body,
            PutKeyPolicy(PutKeyPolicyRequest, PutKeyPolicyResponse): changing, empty,
            ReEncrypt(ReEncryptRequest, ReEncryptResponse): read_only, body,
            ReplicateKey(ReplicateKeyRequest, ReplicateKeyResponse): changing, body,
            RetireGrant(RetireGrantRequest, RetireGrantResponse): changing, empty,
            RevokeGrant(RevokeGrantRequest, RevokeGrantResponse): changing, empty,
            RotateKeyOnDemand(RotateKeyOnDemandRequest, RotateKeyOnDemandResponse): changing, body,
            ScheduleKeyDeletion(ScheduleKeyDeletionRequest, ScheduleKeyDeletionResponse): changing, body,
            Sign(SignRequest, SignResponse): read_only, body,
            TagResource(TagResourceRequest, TagResourceResponse): changing, empty,
            UntagResource(UntagResourceRequest, UntagResourceResponse): changing, empty,
            UpdateAlias(UpdateAliasRequest, UpdateAliasResponse): changing, empty,
            UpdateCustomKeyStore(UpdateCustomKeyStoreRequest, UpdateCustomKeyStoreResponse): changing, empty,
            UpdateKeyDescription(UpdateKeyDescriptionRequest, UpdateKeyDescriptionResponse): changing, empty,
            UpdatePrimaryRegion(UpdatePrimaryRegionRequest, UpdatePrimaryRegionResponse): changing, empty,
            Verify(VerifyRequest, VerifyResponse): read_only, body,
            VerifyMac(VerifyMacRequest, VerifyMacResponse): read_only, body,
        }
    };
}
pub(crate) use operations;

/// The prefix of `X-Amz-Target`.
const TARGET_PREFIX: &str = "TrentService.";

macro_rules! declare {
    ($($name:ident($request:ident, $response:ident): $effect:ident, $answer:ident,)+) => {
        /// An operation of the API, named as the wire names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // the public API reference says what each does
        pub enum Operation { $($name),+ }

        impl Operation {
            /// Every operation, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name, as the target, the audit record and `kms:<name>` in policies have it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// The operation called `name`; `None` if there is none.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)+ _ => None }
            }

            /// Whether it leaves the state of the service as it was: the member `readOnly` of its CloudTrail record.
            /// True for every cryptographic operation.
            #[must_use]
            pub const fn is_read_only(self) -> bool {
                match self { $(Self::$name => declare!($effect)),+ }
            }

            /// Whether the answer has a body; operations without output answer with an empty one.
            #[must_use]
            pub const fn has_output(self) -> bool {
                match self { $(Self::$name => declare!($answer)),+ }
            }
        }
    };
    (read_only) => { true };
    (changing) => { false };
    (body) => { true };
    (empty) => { false };
}

operations!(declare);

impl Operation {
    /// The operation of an `X-Amz-Target` header such as `TrentService.Encrypt`; `None` if there is none, which the
    /// service answers with `UnknownOperationException`.
    #[must_use]
    pub fn from_target(target: &str) -> Option<Self> {
        target.strip_prefix(TARGET_PREFIX).and_then(Self::from_name)
    }

    /// The `X-Amz-Target` header of the operation.
    #[must_use]
    pub fn target(self) -> String {
        format!("{TARGET_PREFIX}{}", self.name())
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

// By name in every format, so that an operation added in the middle never changes the meaning of stored bytes.
impl serde::Serialize for Operation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Operation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom("not an operation of the API"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_survives_its_target() {
        assert_eq!(Operation::ALL.len(), 56);
        for operation in Operation::ALL {
            assert_eq!(Operation::from_target(&operation.target()), Some(*operation));
        }
        for target in
            ["", "Encrypt", "TrentService.", "TrentService.encrypt", "TrentService.Encrypt ", "trentservice.Encrypt"]
        {
            assert_eq!(Operation::from_target(target), None, "{target:?}");
        }
    }

    #[test]
    fn cryptography_is_read_only_and_changes_are_not() {
        assert!(Operation::Encrypt.is_read_only());
        assert!(Operation::GetParametersForImport.is_read_only());
        assert!(!Operation::CreateGrant.is_read_only());
        assert!(!Operation::RotateKeyOnDemand.is_read_only());
        assert_eq!(Operation::ALL.iter().filter(|operation| operation.is_read_only()).count(), 29);
    }
}
