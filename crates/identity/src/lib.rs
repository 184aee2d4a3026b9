//! Who is calling: signatures of requests, access keys, and the query protocol of STS and IAM.
//!
//! [`sigv4`] verifies and makes signatures, [`credentials`] says which access keys there are, [`caller`] what a verified
//! caller is, [`service_calls`] on whose behalf a service calls, [`query`] reads the requests of STS and IAM and writes their
//! answers. What the caller may do, and what those requests do, is decided elsewhere.
//!
//! Always true: nothing of a request is believed before its signature is verified, and secrets are wiped when dropped.

pub mod caller;
pub mod credentials;
pub mod query;
pub mod service_calls;
pub mod sigv4;

pub use caller::{Caller, CallerKind, CallerSource, ServiceCall, Session};
pub use credentials::{
    AccessKey, Claimed, ClientCredentials, CredentialFault, CredentialStore, DevCredentials, EitherStore,
    SecretAccessKey, StaticCredentials,
};
pub use sigv4::{Accepted, Service, SignatureError, Verified, Verifier};
