//! The actions of the service as types, so that a permission for one can never serve as a permission for another.
//!
//! AWS KMS Developer Guide, "AWS KMS permissions".

/// Something that a policy may allow.
pub trait Action {
    /// The name of the action without its `kms:` prefix.
    const NAME: &'static str;
    /// The name as policies write it.
    const FULL_NAME: &'static str;
    /// Whether principals of other accounts can be allowed to; otherwise, what allows them has no effect.
    const CROSSES_ACCOUNTS: bool;
}

/// An action that is about no key in particular, so that only identity policies can allow it.
pub trait InAccount: Action {}

/// An action that must be allowed on an alias, by identity policies, and on keys as well.
pub trait OnAlias: Action {}

macro_rules! actions {
    ($($crosses:literal: $($name:ident)+;)+) => {$($(
        /// Permission action of the operation of the same name.
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Action for $name {
            const NAME: &'static str = stringify!($name);
            const FULL_NAME: &'static str = concat!("kms:", stringify!($name));
            const CROSSES_ACCOUNTS: bool = $crosses;
        }
    )+)+

        /// Whether the action `kms:<name>` can be allowed to other accounts; `None` if there is none of that name.
        pub(crate) fn crosses_accounts(name: &str) -> Option<bool> {
            match name {
                $($(stringify!($name) => Some($crosses),)+)+
                _ => None,
            }
        }

        /// The names of all actions.
        pub const NAMES: &[&str] = &[$($(stringify!($name)),+),+];
    };
}

actions! {
    true:
        CreateGrant Decapsulate Decrypt DeriveSharedSecret DescribeKey Encapsulate Encrypt GenerateDataKey
        GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext GenerateMac
        GetKeyRotationStatus GetPublicKey ListGrants ReEncryptFrom ReEncryptTo RetireGrant RevokeGrant Sign Verify
        VerifyMac;
    false:
        CancelKeyDeletion ConnectCustomKeyStore CreateAlias CreateCustomKeyStore CreateKey DeleteAlias
        DeleteCustomKeyStore DeleteImportedKeyMaterial DescribeCustomKeyStores DisableKey DisableKeyRotation
        DisconnectCustomKeyStore EnableKey EnableKeyRotation GenerateRandom GetKeyLastUsage GetKeyPolicy
        GetParametersForImport ImportKeyMaterial ListAliases ListKeyPolicies ListKeyRotations ListKeys ListResourceTags
        ListRetirableGrants PutKeyPolicy ReplicateKey RotateKeyOnDemand ScheduleKeyDeletion TagResource UntagResource
        UpdateAlias UpdateCustomKeyStore UpdateKeyDescription UpdatePrimaryRegion;
}

macro_rules! mark {
    ($($marker:ident: $($name:ident)+;)+) => {$($(impl $marker for $name {})+)+};
}

mark! {
    InAccount:
        ConnectCustomKeyStore CreateCustomKeyStore CreateKey DeleteCustomKeyStore DescribeCustomKeyStores
        DisconnectCustomKeyStore GenerateRandom ListAliases ListKeys ListRetirableGrants UpdateCustomKeyStore;
    OnAlias: CreateAlias DeleteAlias UpdateAlias;
}
