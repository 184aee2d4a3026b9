//! Signing of requests, for clients of the service: benchmarks, tests, other nodes.

use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::request::Parts;
use meridian_model::{Region, Timestamp};

use crate::credentials::ClientCredentials;
use crate::sigv4::canonical::{self, hex_sha256, host};
use crate::sigv4::date::SignatureDate;
use crate::sigv4::signing_key::SigningKey;
use crate::sigv4::verify::signature;
use crate::sigv4::{ALGORITHM, SignatureError, TERMINATOR};

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The request names no host, neither in a header nor in its URI.
    #[error("the request has no host")]
    NoHost,
    /// The request cannot be spelled canonically.
    #[error("the request cannot be signed")]
    NotCanonical(#[source] SignatureError),
    /// The access key id cannot stand in a header.
    #[error("the access key id cannot stand in a header")]
    AccessKeyId(#[source] http::header::InvalidHeaderValue),
}

/// Signs a request whose headers are complete: sets `x-amz-date`, `Host` if only the URI names it, and `Authorization`.
///
/// Signed are host, content type and every `x-amz-` header. `service` is any name, as clients of other services (an
/// external key store proxy) need it.
///
/// # Errors
/// If the request names no host, repeats a header that is signed, or the access key id is no header text.
pub fn sign(
    parts: &mut Parts,
    body: &[u8],
    credentials: &ClientCredentials,
    region: &Region,
    service: &str,
    now: Timestamp,
) -> Result<(), SignError> {
    let date = SignatureDate::from_timestamp(now);
    let host = host(parts).map_err(SignError::NotCanonical)?.ok_or(SignError::NoHost)?;
    let host = HeaderValue::from_bytes(host).map_err(|_| SignError::NoHost)?;
    parts.headers.insert(HOST, host);
    let date_value = HeaderValue::from_str(date.as_str()).expect("digits and letters");
    parts.headers.insert("x-amz-date", date_value);

    let signed_headers = canonical::headers_to_sign(parts);
    let body_hash = hex_sha256(body);
    let request_hash = canonical::request_hash(parts, &signed_headers, &body_hash).map_err(SignError::NotCanonical)?;
    let scope = format!("{}/{region}/{service}/{TERMINATOR}", date.day());
    let key = SigningKey::derive(&credentials.secret, date.day(), region.as_str(), service);
    let signature = hex::encode(*signature(&key, date, &scope, &request_hash));
    let access_key_id = &credentials.access_key_id;
    let authorization = format!(
        "{ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
    );
    let authorization = HeaderValue::from_str(&authorization).map_err(SignError::AccessKeyId)?;
    parts.headers.insert(AUTHORIZATION, authorization);
    Ok(())
}
