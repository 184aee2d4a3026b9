//! Why a request of the query protocol is refused: a code of IAM or STS, its HTTP status, and a message.

use meridian_model::{ErrorCode, ServiceError};
use serde::{Deserialize, Serialize};

use crate::query::answer::{QueryAnswer, escaped};
use crate::query::namespace;
use crate::sigv4::{Service, SignatureError};

/// Declares the codes with their spelling and HTTP status.
macro_rules! query_codes {
    ($($variant:ident = $text:literal, $status:literal;)+) => {
        /// Why a request was refused, spelled and numbered as IAM and STS do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[allow(missing_docs)] // the codes document themselves: they are the wire's
        pub enum QueryCode { $($variant),+ }

        impl QueryCode {
            /// The code, as it stands in an answer.
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

query_codes! {
    AccessDenied = "AccessDenied", 403;
    ConcurrentModification = "ConcurrentModification", 409;
    DeleteConflict = "DeleteConflict", 409;
    EntityAlreadyExists = "EntityAlreadyExists", 409;
    ExpiredToken = "ExpiredToken", 403;
    IncompleteSignature = "IncompleteSignature", 400;
    InvalidAction = "InvalidAction", 400;
    InvalidClientTokenId = "InvalidClientTokenId", 403;
    InvalidInput = "InvalidInput", 400;
    LimitExceeded = "LimitExceeded", 409;
    MalformedPolicyDocument = "MalformedPolicyDocument", 400;
    MalformedQueryString = "MalformedQueryString", 404;
    MissingAction = "MissingAction", 400;
    MissingAuthenticationToken = "MissingAuthenticationToken", 403;
    NoSuchEntity = "NoSuchEntity", 404;
    PackedPolicyTooLarge = "PackedPolicyTooLarge", 400;
    PolicyNotAttachable = "PolicyNotAttachable", 400;
    RequestEntityTooLarge = "RequestEntityTooLarge", 413;
    ServiceFailure = "ServiceFailure", 500;
    ServiceUnavailable = "ServiceUnavailable", 503;
    SignatureDoesNotMatch = "SignatureDoesNotMatch", 403;
    UnmodifiableEntity = "UnmodifiableEntity", 400;
    UnsupportedOperation = "UnsupportedOperation", 400;
    ValidationError = "ValidationError", 400;
}

/// A refusal, exactly as the client sees it. Nothing secret ever goes into the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct QueryError {
    /// The reason.
    pub code: QueryCode,
    /// What was wrong.
    pub message: String,
}

impl QueryError {
    /// An error with a message of its own.
    pub fn new(code: QueryCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Something of ours failed; what, is logged and never sent.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(QueryCode::ServiceFailure, "An internal error occurred. Try the request again.")
    }

    /// The answer that tells the error to a client of `service`.
    #[must_use]
    pub fn answer(&self, service: Service, request_id: &str) -> QueryAnswer {
        let fault = if self.code.status() < 500 { "Sender" } else { "Receiver" };
        let body = format!(
            "<ErrorResponse xmlns=\"{}\">\n  <Error>\n    <Type>{fault}</Type>\n    <Code>{}</Code>\n    \
             <Message>{}</Message>\n  </Error>\n  <RequestId>{}</RequestId>\n</ErrorResponse>\n",
            namespace(service),
            self.code.as_str(),
            escaped(&self.message),
            escaped(request_id),
        );
        QueryAnswer { status: self.code.status(), body }
    }
}

impl From<ServiceError> for QueryError {
    /// The same refusal in the codes of IAM and STS. What these do not know is a failure of ours.
    fn from(ServiceError { code, message }: ServiceError) -> Self {
        let code = match code {
            ErrorCode::AccessDenied => QueryCode::AccessDenied,
            ErrorCode::IamConcurrentModification => QueryCode::ConcurrentModification,
            ErrorCode::IamDeleteConflict => QueryCode::DeleteConflict,
            ErrorCode::IamEntityAlreadyExists => QueryCode::EntityAlreadyExists,
            ErrorCode::IamInvalidInput => QueryCode::InvalidInput,
            ErrorCode::IamLimitExceeded | ErrorCode::LimitExceeded => QueryCode::LimitExceeded,
            ErrorCode::IamMalformedPolicyDocument | ErrorCode::MalformedPolicyDocument => {
                QueryCode::MalformedPolicyDocument
            }
            ErrorCode::IamNoSuchEntity => QueryCode::NoSuchEntity,
            ErrorCode::IamUnmodifiableEntity => QueryCode::UnmodifiableEntity,
            ErrorCode::RequestEntityTooLarge => QueryCode::RequestEntityTooLarge,
            ErrorCode::Serialization => QueryCode::MalformedQueryString,
            ErrorCode::ServiceUnavailable | ErrorCode::DependencyTimeout => QueryCode::ServiceUnavailable,
            ErrorCode::UnsupportedOperation => QueryCode::UnsupportedOperation,
            ErrorCode::StsPackedPolicyTooLarge => QueryCode::PackedPolicyTooLarge,
            ErrorCode::UnrecognizedClient => QueryCode::InvalidClientTokenId,
            ErrorCode::InvalidMarker | ErrorCode::Validation => QueryCode::ValidationError,
            _ => QueryCode::ServiceFailure,
        };
        Self { code, message }
    }
}

impl From<&SignatureError> for QueryError {
    fn from(error: &SignatureError) -> Self {
        Self::new(error.query_code(), error.to_string())
    }
}
