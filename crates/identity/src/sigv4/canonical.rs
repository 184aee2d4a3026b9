//! The canonical request: one spelling of method, path, query, signed headers and body, hashed.
//!
//! The path is taken as sent and encoded once more, as every service but S3 has it. Repeated signed headers are refused
//! rather than joined.

use std::borrow::Cow;

use http::header::{HOST, HeaderName};
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use crate::sigv4::SignatureError;
use crate::sigv4::presigned::SIGNATURE;

/// RFC 3986, section 2.3: what is never escaped. Everything else is.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes that the canonical request of an ordinary call fits into.
const USUAL_LENGTH: usize = 1024;

/// The hash of the canonical request, in lower-case hex.
///
/// `signed_headers` are names in lower case and ascending order; `body_hash` is lower-case hex.
///
/// # Errors
/// If a signed header is missing or repeated, or the query string is malformed.
pub(crate) fn request_hash(parts: &Parts, signed_headers: &str, body_hash: &[u8]) -> Result<[u8; 64], SignatureError> {
    let mut text = Vec::with_capacity(USUAL_LENGTH);
    text.extend_from_slice(parts.method.as_str().as_bytes());
    text.push(b'\n');
    put_path(&mut text, parts.uri.path());
    text.push(b'\n');
    put_query(&mut text, parts.uri.query().unwrap_or_default())?;
    text.push(b'\n');
    for name in signed_headers.split(';') {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        put_header(&mut text, parts, name)?;
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend_from_slice(signed_headers.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(body_hash);
    Ok(hex_sha256(&text))
}

/// SHA-256 in lower-case hex.
pub(crate) fn hex_sha256(bytes: &[u8]) -> [u8; 64] {
    let mut text = [0; 64];
    hex::encode_to_slice(Sha256::digest(bytes), &mut text).expect("64 digits for 32 bytes");
    text
}

/// The path without empty and dot segments, each byte escaped unless unreserved.
fn put_path(text: &mut Vec<u8>, path: &str) {
    if matches!(path, "/" | "") {
        return text.push(b'/');
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        text.push(b'/');
        put_escaped(text, segment.as_bytes());
    }
    let ends_in_directory = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    if segments.is_empty() || ends_in_directory {
        text.push(b'/');
    }
}

/// The parameters but the signature, unescaped, escaped canonically and sorted.
fn put_query(text: &mut Vec<u8>, query: &str) -> Result<(), SignatureError> {
    if query.is_empty() {
        return Ok(());
    }
    let mut parameters = query
        .split('&')
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .filter(|(name, value)| !(name.eq_ignore_ascii_case(SIGNATURE) || name.is_empty() && value.is_empty()))
        .map(|(name, value)| Ok((respelled(name)?, respelled(value)?)))
        .collect::<Result<Vec<_>, SignatureError>>()?;
    parameters.sort_unstable();
    for (at, (name, value)) in parameters.iter().enumerate() {
        if at > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_bytes());
    }
    Ok(())
}

fn respelled(text: &str) -> Result<String, SignatureError> {
    let escapes_are_whole = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[0].is_ascii_hexdigit() && digits[1].is_ascii_hexdigit()
    });
    if !escapes_are_whole {
        return Err(SignatureError::MalformedQuery);
    }
    let bytes: Cow<'_, [u8]> = percent_decode_str(text).into();
    Ok(percent_encode(&bytes, RESERVED).to_string())
}

fn put_escaped(text: &mut Vec<u8>, bytes: &[u8]) {
    percent_encode(bytes, RESERVED).for_each(|piece| text.extend_from_slice(piece.as_bytes()));
}

/// The value of the one header called `name`.
fn put_header(text: &mut Vec<u8>, parts: &Parts, name: &str) -> Result<(), SignatureError> {
    if name == HOST.as_str() {
        put_trimmed(text, host(parts)?.ok_or(SignatureError::Mismatch)?);
        return Ok(());
    }
    let mut values = parts.headers.get_all(name).iter();
    let value = values.next().ok_or(SignatureError::Mismatch)?;
    if values.next().is_some() {
        return Err(SignatureError::DuplicateHeader { header: name.to_owned() });
    }
    put_trimmed(text, value.as_bytes());
    Ok(())
}

/// The host that the request is meant for: the `Host` header of HTTP/1.1 or `:authority` of HTTP/2. `None` without
/// either.
///
/// # Errors
/// If there are two that differ, or two `Host` headers.
pub(crate) fn host(parts: &Parts) -> Result<Option<&[u8]>, SignatureError> {
    let duplicate = || SignatureError::DuplicateHeader { header: HOST.as_str().to_owned() };
    let mut headers = parts.headers.get_all(HOST).iter();
    let header = headers.next().map(http::HeaderValue::as_bytes);
    if headers.next().is_some() {
        return Err(duplicate());
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    match (header, authority) {
        (Some(header), Some(authority)) if !header.eq_ignore_ascii_case(authority) => Err(duplicate()),
        (header, authority) => Ok(header.or(authority)),
    }
}

/// The value without spaces around it and with runs of spaces inside it made one.
fn put_trimmed(text: &mut Vec<u8>, value: &[u8]) {
    let value = value.trim_ascii();
    let mut was_space = false;
    for byte in value {
        let is_space = *byte == b' ';
        if !(is_space && was_space) {
            text.push(*byte);
        }
        was_space = is_space;
    }
}

/// The names of the headers that clients sign: host, content type, and all that the service acts upon.
pub(crate) fn headers_to_sign(parts: &Parts) -> String {
    let is_signed = |name: &&HeaderName| must_be_signed(name.as_str()) || name.as_str() == "content-type";
    let mut names: Vec<&str> = parts.headers.keys().filter(is_signed).map(HeaderName::as_str).collect();
    names.push(HOST.as_str());
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

/// Whether a header changes what the request means, so that it must not be added or altered on the way.
pub(crate) fn must_be_signed(name: &str) -> bool {
    name.starts_with("x-amz-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> String {
        let mut text = Vec::new();
        put_path(&mut text, path);
        String::from_utf8(text).expect("escaped")
    }

    #[test]
    fn paths_are_normalized_and_escaped() {
        for (sent, canonical) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/example/..", "/"),
            ("/a/b/../..", "/"),
            ("/../../a", "/a"),
            ("/./example", "/example"),
            ("//example//", "/example/"),
            ("/a%20b", "/a%2520b"),
            ("/-._~09AZaz", "/-._~09AZaz"),
        ] {
            assert_eq!(path(sent), canonical, "{sent}");
        }
    }

    #[test]
    fn queries_are_sorted_and_respelled() {
        let query = |query: &str| {
            let mut text = Vec::new();
            put_query(&mut text, query).map(|()| String::from_utf8(text).expect("escaped"))
        };
        for (sent, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("a", "a="),
            ("a=%7e%2f", "a=~%2F"),
            ("a=b=c", "a=b%3Dc"),
            ("&a=1&", "a=1"),
            ("b=1&X-Amz-Signature=00&X-Amz-Date=d", "X-Amz-Date=d&b=1"),
        ] {
            assert_eq!(query(sent).as_deref(), Ok(canonical), "{sent}");
        }
        for sent in ["a=%", "a=%4", "%zz=1", "a=%+1"] {
            assert_eq!(query(sent), Err(SignatureError::MalformedQuery), "{sent}");
        }
    }

    #[test]
    fn values_are_trimmed() {
        let mut text = Vec::new();
        put_trimmed(&mut text, b"  \"a   b  c\" ");
        assert_eq!(text, b"\"a b c\"");
    }
}
