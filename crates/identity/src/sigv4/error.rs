//! Why a request is not believed, in the words and codes of the service.

use meridian_model::{ErrorCode, ServiceError};

use crate::credentials::CredentialFault;
use crate::query::QueryCode;
use crate::sigv4::{ALGORITHM, Service, TERMINATOR};

/// Why the signature of a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No signature, or one of another scheme.
    #[error("Missing Authentication Token")]
    MissingAuthenticationToken,
    /// More than one header where exactly one is meant; two readers could choose differently.
    #[error("The request has more than one '{header}' header.")]
    DuplicateHeader {
        /// The name in question.
        header: String,
    },
    /// One signature in the header and one in the query string; two readers could choose differently.
    #[error("Only one auth mechanism allowed; the request has a signature in its header and one in its query string.")]
    TwoSignatures,
    /// Another algorithm of the family, such as the asymmetric one.
    #[error("Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now).")]
    UnsupportedAlgorithm {
        /// What was asked for.
        algorithm: String,
    },
    /// A part of the signature, or the date, is missing. The message lists all of them.
    #[error("{0}")]
    MissingParts(String),
    /// The `Authorization` header is no list of `key=value`, or gives a key twice.
    #[error("Authorization header is malformed: {0}")]
    MalformedAuthorization(&'static str),
    /// The date cannot be read.
    #[error("Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601")]
    MalformedDate {
        /// What was sent.
        date: String,
    },
    /// The credential is not `keyid/date/region/service/term`.
    #[error(
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
    )]
    MalformedCredential {
        /// What was sent.
        credential: String,
    },
    /// A percent escape in the query string is none.
    #[error("Illegal hex character in escape % pattern in the query string")]
    MalformedQuery,
    /// Signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - {validity})")]
    Expired {
        /// When it was signed.
        signed: String,
        /// The earliest moment that would do.
        earliest: String,
        /// The time of the service.
        now: String,
        /// How long such a signature is good for.
        validity: String,
    },
    /// Signed in the future.
    #[error("Signature not yet current: {signed} is still later than {latest} ({now} + 5 min.)")]
    NotYetCurrent {
        /// When it was signed.
        signed: String,
        /// The latest moment that would do.
        latest: String,
        /// The time of the service.
        now: String,
    },
    /// The `Host` header, or `:authority`, is not signed.
    #[error("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")]
    HostNotSigned,
    /// A header that changes the meaning of the request is not signed.
    #[error("'{header}' must be a 'SignedHeader' in the AWS Authorization.")]
    HeaderNotSigned {
        /// The name in question.
        header: String,
    },
    /// The credential is scoped to another Region, service, date or terminator. The message lists all faults.
    #[error("{0}")]
    WrongScope(String),
    /// The access key does not exist or is inactive, or the session token is not one of this access key.
    #[error("The security token included in the request is invalid.")]
    UnrecognizedClient,
    /// The temporary credentials have expired.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// A header that only services send, from somebody else.
    #[error("The request has headers that only services may send.")]
    NotAService,
    /// A header of a service that cannot be read.
    #[error("The headers that say for whom the service calls are malformed.")]
    MalformedServiceCall,
    /// Access keys cannot be looked up just now.
    #[error("The service cannot verify requests at the moment. Try the request again.")]
    Unavailable,
    /// This node opens no secret, so it knows no access key.
    #[error("This node is sealed: it has no root key. An operator has to unseal it.")]
    Sealed,
    /// `x-amz-content-sha256` is not the hash of the body.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    BodyHashMismatch,
    /// The signature is not that of the owner of the access key over this request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl SignatureError {
    /// The code in the JSON protocol.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::MissingAuthenticationToken => ErrorCode::MissingAuthenticationToken,
            Self::TwoSignatures
            | Self::UnsupportedAlgorithm { .. }
            | Self::MissingParts(_)
            | Self::MalformedAuthorization(_)
            | Self::MalformedDate { .. }
            | Self::MalformedCredential { .. }
            | Self::MalformedQuery
            | Self::MalformedServiceCall => ErrorCode::IncompleteSignature,
            Self::DuplicateHeader { .. }
            | Self::Expired { .. }
            | Self::NotYetCurrent { .. }
            | Self::HostNotSigned
            | Self::HeaderNotSigned { .. }
            | Self::WrongScope(_)
            | Self::BodyHashMismatch
            | Self::NotAService
            | Self::Mismatch => ErrorCode::InvalidSignature,
            Self::UnrecognizedClient => ErrorCode::UnrecognizedClient,
            Self::ExpiredToken => ErrorCode::ExpiredToken,
            Self::Unavailable | Self::Sealed => ErrorCode::ServiceUnavailable,
        }
    }

    /// The code in the query protocol of STS and IAM, which names the same faults differently.
    #[must_use]
    pub const fn query_code(&self) -> QueryCode {
        match self.code() {
            ErrorCode::MissingAuthenticationToken => QueryCode::MissingAuthenticationToken,
            ErrorCode::UnrecognizedClient => QueryCode::InvalidClientTokenId,
            ErrorCode::ExpiredToken => QueryCode::ExpiredToken,
            ErrorCode::ServiceUnavailable => QueryCode::ServiceUnavailable,
            ErrorCode::InvalidSignature => QueryCode::SignatureDoesNotMatch,
            _ => QueryCode::IncompleteSignature,
        }
    }

    /// The faults of a credential scope, as one message in the order in which the service lists them.
    pub(crate) fn wrong_scope(faults: &[ScopeFault<'_>]) -> Self {
        Self::WrongScope(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }
}

impl From<CredentialFault> for SignatureError {
    fn from(fault: CredentialFault) -> Self {
        match fault {
            CredentialFault::Unrecognized => Self::UnrecognizedClient,
            CredentialFault::Expired => Self::ExpiredToken,
            CredentialFault::Unavailable => Self::Unavailable,
            CredentialFault::Sealed => Self::Sealed,
        }
    }
}

impl From<SignatureError> for ServiceError {
    fn from(error: SignatureError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// One fault of a credential scope.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScopeFault<'a> {
    #[error("Credential should be scoped to a valid region, not '{0}'.")]
    Region(&'a str),
    #[error("Credential should be scoped to correct service: '{0}'.")]
    Service(Service),
    #[error("Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{0}'.")]
    Terminator(&'a str),
    #[error(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{scope}' != \
         '{}', from '{signed}'.", &signed[..8]
    )]
    Date { scope: &'a str, signed: &'a str },
}
