//! What the service answers when it refuses: a code of the API, its HTTP status, and a message for the caller.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{KeyArn, KeyState, OriginType};

/// Declares the codes of the wire with their HTTP status.
macro_rules! error_codes {
    ($($variant:ident = $text:literal, $status:literal;)+) => {
        /// Why a request was refused; spelled and numbered as the service does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[allow(missing_docs)] // the codes document themselves: they are the wire's
        pub enum ErrorCode { $($variant),+ }

        impl ErrorCode {
            /// The code, as `__type` carries it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The HTTP status of the answer.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }
        }
    };
}

error_codes! {
    AccessDenied = "AccessDeniedException", 400;
    AlreadyExists = "AlreadyExistsException", 400;
    CloudHsmClusterInUse = "CloudHsmClusterInUseException", 400;
    CloudHsmClusterInvalidConfiguration = "CloudHsmClusterInvalidConfigurationException", 400;
    CloudHsmClusterNotActive = "CloudHsmClusterNotActiveException", 400;
    CloudHsmClusterNotFound = "CloudHsmClusterNotFoundException", 400;
    CloudHsmClusterNotRelated = "CloudHsmClusterNotRelatedException", 400;
    Conflict = "ConflictException", 400;
    CustomKeyStoreHasCmks = "CustomKeyStoreHasCMKsException", 400;
    CustomKeyStoreInvalidState = "CustomKeyStoreInvalidStateException", 400;
    CustomKeyStoreNameInUse = "CustomKeyStoreNameInUseException", 400;
    CustomKeyStoreNotFound = "CustomKeyStoreNotFoundException", 400;
    DependencyTimeout = "DependencyTimeoutException", 500;
    Disabled = "DisabledException", 400;
    DryRunOperation = "DryRunOperationException", 400;
    ExpiredImportToken = "ExpiredImportTokenException", 400;
    ExpiredToken = "ExpiredTokenException", 400;
    IncompleteSignature = "IncompleteSignatureException", 400;
    IncorrectKey = "IncorrectKeyException", 400;
    IncorrectKeyMaterial = "IncorrectKeyMaterialException", 400;
    IncorrectTrustAnchor = "IncorrectTrustAnchorException", 400;
    InvalidAliasName = "InvalidAliasNameException", 400;
    InvalidArn = "InvalidArnException", 400;
    InvalidCiphertext = "InvalidCiphertextException", 400;
    InvalidGrantId = "InvalidGrantIdException", 400;
    InvalidGrantToken = "InvalidGrantTokenException", 400;
    InvalidImportToken = "InvalidImportTokenException", 400;
    InvalidKeyUsage = "InvalidKeyUsageException", 400;
    InvalidMarker = "InvalidMarkerException", 400;
    InvalidSignature = "InvalidSignatureException", 400;
    KeyUnavailable = "KeyUnavailableException", 500;
    KmsInternal = "KMSInternalException", 500;
    KmsInvalidMac = "KMSInvalidMacException", 400;
    KmsInvalidSignature = "KMSInvalidSignatureException", 400;
    KmsInvalidState = "KMSInvalidStateException", 400;
    LimitExceeded = "LimitExceededException", 400;
    MalformedPolicyDocument = "MalformedPolicyDocumentException", 400;
    MissingAuthenticationToken = "MissingAuthenticationTokenException", 400;
    NotAuthorized = "NotAuthorizedException", 400;
    NotFound = "NotFoundException", 400;
    RequestEntityTooLarge = "RequestEntityTooLargeException", 413;
    Serialization = "SerializationException", 400;
    ServiceUnavailable = "ServiceUnavailableException", 503;
    Tag = "TagException", 400;
    Throttling = "ThrottlingException", 400;
    UnknownOperation = "UnknownOperationException", 400;
    UnrecognizedClient = "UnrecognizedClientException", 400;
    UnsupportedOperation = "UnsupportedOperationException", 400;
    Validation = "ValidationException", 400;
    XksKeyAlreadyInUse = "XksKeyAlreadyInUseException", 400;
    XksKeyInvalidConfiguration = "XksKeyInvalidConfigurationException", 400;
    XksKeyNotFound = "XksKeyNotFoundException", 400;
    XksProxyIncorrectAuthenticationCredential = "XksProxyIncorrectAuthenticationCredentialException", 400;
    XksProxyInvalidConfiguration = "XksProxyInvalidConfigurationException", 400;
    XksProxyInvalidResponse = "XksProxyInvalidResponseException", 400;
    XksProxyUriEndpointInUse = "XksProxyUriEndpointInUseException", 400;
    XksProxyUriInUse = "XksProxyUriInUseException", 400;
    XksProxyUriUnreachable = "XksProxyUriUnreachableException", 400;
    XksProxyVpcEndpointServiceInUse = "XksProxyVpcEndpointServiceInUseException", 400;
    XksProxyVpcEndpointServiceInvalidConfiguration = "XksProxyVpcEndpointServiceInvalidConfigurationException", 400;
    XksProxyVpcEndpointServiceNotFound = "XksProxyVpcEndpointServiceNotFoundException", 400;
    // IAM and STS. Added at the end: the position is part of encodings.
    IamConcurrentModification = "ConcurrentModification", 409;
    IamDeleteConflict = "DeleteConflict", 409;
    IamEntityAlreadyExists = "EntityAlreadyExists", 409;
    IamInvalidInput = "InvalidInput", 400;
    IamLimitExceeded = "LimitExceeded", 409;
    IamMalformedPolicyDocument = "MalformedPolicyDocument", 400;
    IamNoSuchEntity = "NoSuchEntity", 404;
    IamServiceFailure = "ServiceFailure", 500;
    IamUnmodifiableEntity = "UnmodifiableEntity", 400;
    StsPackedPolicyTooLarge = "PackedPolicyTooLarge", 400;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal, or a failure of ours, exactly as the client sees it. Nothing secret ever goes into the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct ServiceError {
    /// The reason.
    pub code: ErrorCode,
    /// The message for the caller; may be empty, as some of the service's are.
    pub message: String,
}

impl ServiceError {
    /// An error with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The key does not exist (any more).
    #[must_use]
    pub fn key_not_found(key: &KeyArn) -> Self {
        Self::new(ErrorCode::NotFound, format!("Key '{key}' does not exist"))
    }

    /// The key is in `state`, which does not allow the operation; code and text by the key-state table of the
    /// AWS KMS Developer Guide ("Key states of AWS KMS keys").
    #[must_use]
    pub fn key_state(key: &KeyArn, state: KeyState) -> Self {
        let (code, text) = match state {
            KeyState::Disabled => (ErrorCode::Disabled, "disabled"),
            KeyState::PendingDeletion => (ErrorCode::KmsInvalidState, "pending deletion"),
            KeyState::PendingReplicaDeletion => (ErrorCode::KmsInvalidState, "pending replica deletion"),
            KeyState::PendingImport => (ErrorCode::KmsInvalidState, "pending import"),
            KeyState::Unavailable => (ErrorCode::KmsInvalidState, "unavailable"),
            KeyState::Creating => (ErrorCode::KmsInvalidState, "creating"),
            KeyState::Updating => (ErrorCode::KmsInvalidState, "updating"),
            KeyState::Enabled => (ErrorCode::KmsInvalidState, "enabled"),
        };
        Self::new(code, format!("{key} is {text}."))
    }

    /// The operation is not for keys whose material comes from `origin`.
    #[must_use]
    pub fn key_origin(key: &KeyArn, origin: OriginType) -> Self {
        Self::new(
            ErrorCode::UnsupportedOperation,
            format!("{key} origin is {origin} which is not valid for this operation."),
        )
    }

    /// The key waits for no deletion that could be cancelled.
    #[must_use]
    pub fn not_pending_deletion(key: &KeyArn) -> Self {
        Self::new(ErrorCode::KmsInvalidState, format!("{key} is not pending deletion."))
    }

    /// Something of ours failed; retryable. What failed is logged, never sent.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorCode::KmsInternal, "An internal error occurred. Try the request again.")
    }

    /// Whether the client should simply try again.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.code.status() >= 500
    }
}
