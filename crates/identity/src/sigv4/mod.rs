//! AWS Signature Version 4: in the `Authorization` header, made by clients and verified by the service, or in the query
//! string (presigned), verified only.
//!
//! Source: AWS IAM User Guide, "Create a signed AWS API request". Chunked uploads and the asymmetric variant (SigV4A) are
//! refused by name.
//!
//! Always true: signing and verifying build the canonical request with the same code, the body is always covered, and
//! whatever two readers could understand differently (a header twice, two hosts) is refused.

mod authorization;
mod canonical;
mod date;
mod error;
mod presigned;
mod sign;
mod signing_key;
#[cfg(test)]
mod vectors;
mod verify;

pub use error::SignatureError;
pub use sign::{SignError, sign};
pub use verify::{Accepted, SKEW_MAX, Verified, Verifier, claimed_service, is_presigned};

/// The name of the algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The last element of every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";

/// A service that a request can be signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// The key management service.
    Kms,
    /// The security token service.
    Sts,
    /// Identity and access management.
    Iam,
}

impl Service {
    /// The name, as it stands in the credential scope.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kms => "kms",
            Self::Sts => "sts",
            Self::Iam => "iam",
        }
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
