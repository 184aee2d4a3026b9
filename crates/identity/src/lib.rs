//! Who is calling: signatures of requests, access keys, and the two calls of STS and IAM that need no state.
//!
//! [`sigv4`] verifies and makes signatures, [`credentials`] says which access keys there are, [`caller`] what a verified
//! caller is, [`service_calls`] on whose behalf a service calls, [`sts`] answers `GetCallerIdentity` in the query protocol. What the caller may do is decided elsewhere.
//!
//! Always true: nothing of a request is believed before its signature is verified, and secrets are wiped when dropped.

pub mod caller;
pub mod credentials;
pub mod query;
pub mod service_calls;
pub mod sigv4;
pub mod sts;

pub use caller::{Caller, CallerKind, CallerSource, ServiceCall, Session};
pub use credentials::{
    AccessKey, Claimed, ClientCredentials, CredentialFault, CredentialStore, DevCredentials, EitherStore,
    SecretAccessKey, StaticCredentials,
};
pub use sigv4::{Accepted, Service, SignatureError, Verified, Verifier};
