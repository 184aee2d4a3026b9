//! The enums of the public API model, with exactly its values.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An enum of the wire: closed, spelled as the API model spells it.
pub trait WireEnum: Sized + Copy + 'static {
    /// Every value, in the order of the API model.
    const VALUES: &'static [&'static str];

    /// The value spelled `text`; `None` if the model has no such value.
    fn from_wire(text: &str) -> Option<Self>;

    /// The spelling of the value.
    fn as_str(self) -> &'static str;
}

/// Declares enums of the wire; the spelling of a value is data, never derived from the Rust name.
macro_rules! wire_enums {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // the values document themselves: they are the wire's
        pub enum $name { $($variant),+ }

        impl WireEnum for $name {
            const VALUES: &'static [&'static str] = &[$($text),+];

            fn from_wire(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownValue;

            fn from_str(text: &str) -> Result<Self, UnknownValue> {
                Self::from_wire(text).ok_or(UnknownValue)
            }
        }

        // By name in every format, so that a value added in the middle never changes the meaning of stored bytes.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::from_wire(&text).ok_or_else(|| D::Error::unknown_variant(&text, Self::VALUES))
            }
        }
    )+};
}

/// The text is not a value of the enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a value of this enum")]
pub struct UnknownValue;

wire_enums! {
    /// Wrapping algorithm of an import.
    AlgorithmSpec { RsaesPkcs1V15 = "RSAES_PKCS1_V1_5", RsaesOaepSha1 = "RSAES_OAEP_SHA_1", RsaesOaepSha256 = "RSAES_OAEP_SHA_256", RsaAesKeyWrapSha1 = "RSA_AES_KEY_WRAP_SHA_1", RsaAesKeyWrapSha256 = "RSA_AES_KEY_WRAP_SHA_256", Sm2pke = "SM2PKE" }
    /// Spec under its deprecated member name; the values of [`KeySpec`] up to SM2.
    CustomerMasterKeySpec { Rsa2048 = "RSA_2048", Rsa3072 = "RSA_3072", Rsa4096 = "RSA_4096", EccNistP256 = "ECC_NIST_P256", EccNistP384 = "ECC_NIST_P384", EccNistP521 = "ECC_NIST_P521", EccSecgP256k1 = "ECC_SECG_P256K1", SymmetricDefault = "SYMMETRIC_DEFAULT", Hmac224 = "HMAC_224", Hmac256 = "HMAC_256", Hmac384 = "HMAC_384", Hmac512 = "HMAC_512", Sm2 = "SM2" }
    /// Why a custom key store is not connected to its backing key store.
    ConnectionErrorCodeType { InvalidCredentials = "INVALID_CREDENTIALS", ClusterNotFound = "CLUSTER_NOT_FOUND", NetworkErrors = "NETWORK_ERRORS", InternalError = "INTERNAL_ERROR", InsufficientCloudhsmHsms = "INSUFFICIENT_CLOUDHSM_HSMS", UserLockedOut = "USER_LOCKED_OUT", UserNotFound = "USER_NOT_FOUND", UserLoggedIn = "USER_LOGGED_IN", SubnetNotFound = "SUBNET_NOT_FOUND", InsufficientFreeAddressesInSubnet = "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET", XksProxyAccessDenied = "XKS_PROXY_ACCESS_DENIED", XksProxyNotReachable = "XKS_PROXY_NOT_REACHABLE", XksVpcEndpointServiceNotFound = "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND", XksProxyInvalidResponse = "XKS_PROXY_INVALID_RESPONSE", XksProxyInvalidConfiguration = "XKS_PROXY_INVALID_CONFIGURATION", XksVpcEndpointServiceInvalidConfiguration = "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION", XksProxyTimedOut = "XKS_PROXY_TIMED_OUT", XksProxyInvalidTlsConfiguration = "XKS_PROXY_INVALID_TLS_CONFIGURATION" }
    /// Where a custom key store stands in being connected.
    ConnectionStateType { Connected = "CONNECTED", Connecting = "CONNECTING", Failed = "FAILED", Disconnected = "DISCONNECTED", Disconnecting = "DISCONNECTING" }
    /// Kind of a custom key store.
    CustomKeyStoreType { AwsCloudhsm = "AWS_CLOUDHSM", ExternalKeyStore = "EXTERNAL_KEY_STORE" }
    /// Kind of a data key pair.
    DataKeyPairSpec { Rsa2048 = "RSA_2048", Rsa3072 = "RSA_3072", Rsa4096 = "RSA_4096", EccNistP256 = "ECC_NIST_P256", EccNistP384 = "ECC_NIST_P384", EccNistP521 = "ECC_NIST_P521", EccSecgP256k1 = "ECC_SECG_P256K1", Sm2 = "SM2", EccNistEdwards25519 = "ECC_NIST_EDWARDS25519", MlKem512 = "ML_KEM_512", MlKem768 = "ML_KEM_768", MlKem1024 = "ML_KEM_1024" }
    /// Length of a data key.
    DataKeySpec { Aes256 = "AES_256", Aes128 = "AES_128" }
    /// What a dry run may leave out.
    DryRunModifierType { IgnoreCiphertext = "IGNORE_CIPHERTEXT" }
    /// Algorithm of a key encapsulation.
    EncapsulationAlgorithmSpec { MlKem = "ML_KEM" }
    /// Algorithm of an encryption.
    EncryptionAlgorithmSpec { SymmetricDefault = "SYMMETRIC_DEFAULT", RsaesOaepSha1 = "RSAES_OAEP_SHA_1", RsaesOaepSha256 = "RSAES_OAEP_SHA_256", Sm2pke = "SM2PKE" }
    /// Whether imported key material expires.
    ExpirationModelType { KeyMaterialExpires = "KEY_MATERIAL_EXPIRES", KeyMaterialDoesNotExpire = "KEY_MATERIAL_DOES_NOT_EXPIRE" }
    /// An operation that a grant may allow.
    GrantOperation { Decrypt = "Decrypt", Encrypt = "Encrypt", GenerateDataKey = "GenerateDataKey", GenerateDataKeyWithoutPlaintext = "GenerateDataKeyWithoutPlaintext", ReEncryptFrom = "ReEncryptFrom", ReEncryptTo = "ReEncryptTo", Sign = "Sign", Verify = "Verify", GetPublicKey = "GetPublicKey", CreateGrant = "CreateGrant", RetireGrant = "RetireGrant", DescribeKey = "DescribeKey", GenerateDataKeyPair = "GenerateDataKeyPair", GenerateDataKeyPairWithoutPlaintext = "GenerateDataKeyPairWithoutPlaintext", GenerateMac = "GenerateMac", VerifyMac = "VerifyMac", DeriveSharedSecret = "DeriveSharedSecret", Encapsulate = "Encapsulate", Decapsulate = "Decapsulate" }
    /// Whether a version of imported key material is there.
    ImportState { Imported = "IMPORTED", PendingImport = "PENDING_IMPORT" }
    /// Whether an import brings new material or restores former material.
    ImportType { NewKeyMaterial = "NEW_KEY_MATERIAL", ExistingKeyMaterial = "EXISTING_KEY_MATERIAL" }
    /// What `ListKeyRotations` lists.
    IncludeKeyMaterial { AllKeyMaterial = "ALL_KEY_MATERIAL", RotationsOnly = "ROTATIONS_ONLY" }
    /// Algorithm of a key agreement.
    KeyAgreementAlgorithmSpec { Ecdh = "ECDH" }
    /// How a response is encrypted for an attested recipient.
    KeyEncryptionMechanism { RsaesOaepSha256 = "RSAES_OAEP_SHA_256" }
    /// An operation whose last use is kept.
    KeyLastUsageTrackingOperation { Decrypt = "Decrypt", DeriveSharedSecret = "DeriveSharedSecret", Encrypt = "Encrypt", GenerateDataKey = "GenerateDataKey", GenerateDataKeyPair = "GenerateDataKeyPair", GenerateDataKeyPairWithoutPlaintext = "GenerateDataKeyPairWithoutPlaintext", GenerateDataKeyWithoutPlaintext = "GenerateDataKeyWithoutPlaintext", GenerateMac = "GenerateMac", ReEncrypt = "ReEncrypt", Sign = "Sign", Verify = "Verify", VerifyMac = "VerifyMac", Encapsulate = "Encapsulate", Decapsulate = "Decapsulate" }
    /// Who manages a key.
    KeyManagerType { Aws = "AWS", Customer = "CUSTOMER" }
    /// Where a version of key material stands in its life.
    KeyMaterialState { NonCurrent = "NON_CURRENT", Current = "CURRENT", PendingRotation = "PENDING_ROTATION", PendingMultiRegionImportAndRotation = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION" }
    /// Kind of a KMS key's material.
    KeySpec { Rsa2048 = "RSA_2048", Rsa3072 = "RSA_3072", Rsa4096 = "RSA_4096", EccNistP256 = "ECC_NIST_P256", EccNistP384 = "ECC_NIST_P384", EccNistP521 = "ECC_NIST_P521", EccSecgP256k1 = "ECC_SECG_P256K1", SymmetricDefault = "SYMMETRIC_DEFAULT", Hmac224 = "HMAC_224", Hmac256 = "HMAC_256", Hmac384 = "HMAC_384", Hmac512 = "HMAC_512", Sm2 = "SM2", MlDsa44 = "ML_DSA_44", MlDsa65 = "ML_DSA_65", MlDsa87 = "ML_DSA_87", EccNistEdwards25519 = "ECC_NIST_EDWARDS25519", MlKem512 = "ML_KEM_512", MlKem768 = "ML_KEM_768", MlKem1024 = "ML_KEM_1024" }
    /// State of a KMS key.
    KeyState { Creating = "Creating", Enabled = "Enabled", Disabled = "Disabled", PendingDeletion = "PendingDeletion", PendingImport = "PendingImport", PendingReplicaDeletion = "PendingReplicaDeletion", Unavailable = "Unavailable", Updating = "Updating" }
    /// What a KMS key may be used for.
    KeyUsageType { SignVerify = "SIGN_VERIFY", EncryptDecrypt = "ENCRYPT_DECRYPT", GenerateVerifyMac = "GENERATE_VERIFY_MAC", KeyAgreement = "KEY_AGREEMENT", EncapsulateDecapsulate = "ENCAPSULATE_DECAPSULATE" }
    /// Algorithm of a MAC.
    MacAlgorithmSpec { HmacSha224 = "HMAC_SHA_224", HmacSha256 = "HMAC_SHA_256", HmacSha384 = "HMAC_SHA_384", HmacSha512 = "HMAC_SHA_512" }
    /// What the bytes of a message to be signed are.
    MessageType { Raw = "RAW", Digest = "DIGEST", ExternalMu = "EXTERNAL_MU" }
    /// Role of a multi-Region key within its set.
    MultiRegionKeyType { Primary = "PRIMARY", Replica = "REPLICA" }
    /// Where key material comes from.
    OriginType { AwsKms = "AWS_KMS", External = "EXTERNAL", AwsCloudhsm = "AWS_CLOUDHSM", ExternalKeyStore = "EXTERNAL_KEY_STORE" }
    /// Whose keys a listing shows.
    ResourceOwnerType { SelfOwned = "SELF", OtherAccountsViaRam = "OTHER_ACCOUNTS_VIA_RAM" }
    /// What started a rotation.
    RotationType { Automatic = "AUTOMATIC", OnDemand = "ON_DEMAND" }
    /// Algorithm of a signature.
    SigningAlgorithmSpec { RsassaPssSha256 = "RSASSA_PSS_SHA_256", RsassaPssSha384 = "RSASSA_PSS_SHA_384", RsassaPssSha512 = "RSASSA_PSS_SHA_512", RsassaPkcs1V15Sha256 = "RSASSA_PKCS1_V1_5_SHA_256", RsassaPkcs1V15Sha384 = "RSASSA_PKCS1_V1_5_SHA_384", RsassaPkcs1V15Sha512 = "RSASSA_PKCS1_V1_5_SHA_512", EcdsaSha256 = "ECDSA_SHA_256", EcdsaSha384 = "ECDSA_SHA_384", EcdsaSha512 = "ECDSA_SHA_512", Sm2dsa = "SM2DSA", MlDsaShake256 = "ML_DSA_SHAKE_256", Ed25519Sha512 = "ED25519_SHA_512", Ed25519PhSha512 = "ED25519_PH_SHA_512" }
    /// Kind of the key that wraps imported material.
    WrappingKeySpec { Rsa2048 = "RSA_2048", Rsa3072 = "RSA_3072", Rsa4096 = "RSA_4096", Sm2 = "SM2" }
    /// How an external key store proxy is reached.
    XksProxyConnectivityType { PublicEndpoint = "PUBLIC_ENDPOINT", VpcEndpointService = "VPC_ENDPOINT_SERVICE" }
}

impl KeySpec {
    /// The same spec under the deprecated member name; `None` for the specs that came after the renaming.
    #[must_use]
    pub fn as_customer_master_key_spec(self) -> Option<CustomerMasterKeySpec> {
        CustomerMasterKeySpec::from_wire(self.as_str())
    }
}

impl From<CustomerMasterKeySpec> for KeySpec {
    fn from(spec: CustomerMasterKeySpec) -> Self {
        Self::from_wire(spec.as_str()).expect("every deprecated spec is a key spec")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_its_own_spelling() {
        for text in KeySpec::VALUES {
            assert_eq!(KeySpec::from_wire(text).map(WireEnum::as_str), Some(*text));
        }
        for text in CustomerMasterKeySpec::VALUES {
            let spec = CustomerMasterKeySpec::from_wire(text).expect("own value");
            assert_eq!(KeySpec::from(spec).as_customer_master_key_spec(), Some(spec));
        }
    }
}
