//! The parts of the `Authorization` header.

use crate::sigv4::{ALGORITHM, SignatureError};

/// A parsed header: `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authorization<'a> {
    /// `keyid/date/region/service/term`, not yet split.
    pub(crate) credential: &'a str,
    /// Names separated by `;`, not yet checked.
    pub(crate) signed_headers: &'a str,
    /// 64 hex digits, not yet checked.
    pub(crate) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Parses the header. `has_date` says whether the request has a date, whose absence is told in the same message.
    pub(crate) fn parse(header: &'a str, has_date: bool) -> Result<Self, SignatureError> {
        if !header.starts_with("AWS4-") {
            return Err(SignatureError::MissingAuthenticationToken);
        }
        let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split([',', ' ']).filter(|part| !part.is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or(SignatureError::MalformedAuthorization("not a list of key=value pairs"))?;
            let slot = match key {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(SignatureError::MalformedAuthorization("an unknown key")),
            };
            if slot.replace(value).is_some() {
                return Err(SignatureError::MalformedAuthorization("a key is given twice"));
            }
        }
        let present = |value: Option<&'a str>| value.filter(|value| !value.is_empty());
        match (present(credential), present(signed_headers), present(signature)) {
            (Some(credential), Some(signed_headers), Some(signature)) if has_date => {
                if algorithm != ALGORITHM {
                    return Err(SignatureError::UnsupportedAlgorithm { algorithm: algorithm.to_owned() });
                }
                Ok(Self { credential, signed_headers, signature })
            }
            (credential, signed_headers, signature) => Err(missing(credential, signature, signed_headers, has_date)),
        }
    }
}

fn missing(
    credential: Option<&str>,
    signature: Option<&str>,
    signed_headers: Option<&str>,
    has_date: bool,
) -> SignatureError {
    let parts = [("Credential", credential), ("Signature", signature), ("SignedHeaders", signed_headers)];
    let mut faults: Vec<String> = parts
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| format!("Authorization header requires '{name}' parameter."))
        .collect();
    if !has_date {
        faults.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_owned());
    }
    SignatureError::MissingParts(faults.join(" "))
}

/// The elements of a credential: `keyid/date/region/service/term`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Credential<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) terminator: &'a str,
    /// Everything after the access key id, as it goes into the string to sign.
    pub(crate) scope: &'a str,
}

impl<'a> Credential<'a> {
    pub(crate) fn parse(credential: &'a str) -> Result<Self, SignatureError> {
        let malformed = || SignatureError::MalformedCredential { credential: credential.to_owned() };
        let (access_key_id, scope) = credential.split_once('/').ok_or_else(malformed)?;
        let mut elements = scope.split('/');
        let mut next = || elements.next().ok_or_else(malformed);
        let (date, region, service, terminator) = (next()?, next()?, next()?, next()?);
        if elements.next().is_some() {
            return Err(malformed());
        }
        Ok(Self { access_key_id, date, region, service, terminator, scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_parts_and_spaces_do_not_matter() {
        for header in [
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 Signature=00,SignedHeaders=host,Credential=a/b/c/d/e",
        ] {
            let parsed = Authorization::parse(header, true).expect("valid");
            assert_eq!((parsed.credential, parsed.signed_headers, parsed.signature), ("a/b/c/d/e", "host", "00"));
        }
    }

    #[test]
    fn credentials_have_five_elements() {
        let parsed = Credential::parse("a/20150830/r/s/t").expect("five");
        assert_eq!((parsed.access_key_id, parsed.region, parsed.scope), ("a", "r", "20150830/r/s/t"));
        for credential in ["", "a", "a/b/c/d", "a/b/c/d/e/f"] {
            assert!(matches!(Credential::parse(credential), Err(SignatureError::MalformedCredential { .. })));
        }
    }
}
