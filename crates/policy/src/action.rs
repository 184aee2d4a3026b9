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

        const FULL_NAMES: &[&str] = &[$($(concat!("kms:", stringify!($name))),+),+];
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

/// Some of the actions of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ActionSet(u64);

const _: () = assert!(NAMES.len() <= 64, "a set has a bit for each action");

impl ActionSet {
    /// The actions whose names in lower case pass `filter`.
    pub(crate) fn of(filter: impl Fn(&str) -> bool) -> Self {
        let passing = FULL_NAMES.iter().enumerate().filter(|(_, name)| in_lower_case(name, &filter));
        Self(passing.fold(0, |set, (number, _)| set | 1 << number))
    }

    /// Whether the action `number` is one of them.
    pub(crate) fn has(self, number: u8) -> bool {
        self.0 >> number & 1 == 1
    }
}

/// Which of [`NAMES`] the action `full_name` is, in whichever case; `None` for actions of other services.
pub(crate) fn number_of(full_name: &str) -> Option<u8> {
    let is_it = |name: &&str| name.eq_ignore_ascii_case(full_name);
    FULL_NAMES.iter().position(is_it).and_then(|number| u8::try_from(number).ok())
}

/// Gives `text` in lower case to `then`, on the stack if it is not longer than names of actions are.
pub(crate) fn in_lower_case<T>(text: &str, then: impl FnOnce(&str) -> T) -> T {
    let mut buffer = [0; 64];
    match buffer.get_mut(..text.len()) {
        Some(buffer) if text.is_ascii() => {
            buffer.copy_from_slice(text.as_bytes());
            buffer.make_ascii_lowercase();
            then(std::str::from_utf8(buffer).expect("ASCII"))
        }
        _ => then(&text.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_list() {
        for (number, name) in NAMES.iter().enumerate() {
            let full_name = format!("KMS:{name}");
            assert_eq!(number_of(&full_name).map(usize::from), Some(number), "{name}");
            assert!(crosses_accounts(name).is_some(), "{name}");
        }
        assert_eq!((number_of("Decrypt"), number_of("iam:Decrypt"), crosses_accounts("decrypt")), (None, None, None));
    }

    #[test]
    fn sets() {
        let set = ActionSet::of(|name| name.starts_with("kms:decrypt"));
        let has = |name: &str| number_of(name).is_some_and(|number| set.has(number));
        assert!(has("kms:Decrypt") && !has("kms:Encrypt"));
        assert_eq!(ActionSet::of(|_| false), ActionSet::default());
    }
}
