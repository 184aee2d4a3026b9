//! The signature in the query string: a request that somebody else may send, for a while.
//!
//! Source: AWS IAM User Guide, "Create a signed AWS API request" ("Query string parameters").
//! Always true: no parameter of the signature is given twice, whatever its case.

use std::time::Duration;

use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::sigv4::authorization::Authorization;
use crate::sigv4::{ALGORITHM, SignatureError};

/// How long a presigned request may be good for: seven days.
const VALIDITY_MAX: Duration = Duration::from_hours(7 * 24);

/// Begins the names of the parameters that belong to the signature.
const PREFIX: &[u8] = b"x-amz-";

/// The parameter that the signature itself stands in, which cannot be part of what is signed.
pub(crate) const SIGNATURE: &str = "X-Amz-Signature";

/// The parameters of a signature in the query string, decoded.
#[derive(Clone, Default)]
pub(crate) struct Presigned {
    algorithm: Option<String>,
    credential: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    signed_headers: Option<String>,
    signature: Option<String>,
    session_token: Option<String>,
}

impl Presigned {
    /// Whether the query string of `parts` claims to carry a signature.
    pub(crate) fn is_claimed(parts: &Parts) -> bool {
        let query = parts.uri.query().unwrap_or_default();
        query.split('&').any(|parameter| {
            let name = parameter.split('=').next().unwrap_or_default();
            name.eq_ignore_ascii_case("x-amz-algorithm") || name.eq_ignore_ascii_case(SIGNATURE)
        })
    }

    /// The parameters of the signature; `None` if the query string carries none.
    pub(crate) fn read(parts: &Parts) -> Result<Option<Self>, SignatureError> {
        if !Self::is_claimed(parts) {
            return Ok(None);
        }
        let mut presigned = Self::default();
        for parameter in parts.uri.query().unwrap_or_default().split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let Some(slot) = presigned.slot(name) else { continue };
            let value = percent_decode_str(value).decode_utf8().map_err(|_| SignatureError::MalformedQuery)?;
            if slot.replace(value.into_owned()).is_some() {
                return Err(SignatureError::MalformedAuthorization("a parameter of the signature is given twice"));
            }
        }
        Ok(Some(presigned))
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        let start = name.as_bytes().first_chunk::<6>()?;
        if !start.eq_ignore_ascii_case(PREFIX) {
            return None;
        }
        match name[PREFIX.len()..].to_ascii_lowercase().as_str() {
            "algorithm" => Some(&mut self.algorithm),
            "credential" => Some(&mut self.credential),
            "date" => Some(&mut self.date),
            "expires" => Some(&mut self.expires),
            "signedheaders" => Some(&mut self.signed_headers),
            "signature" => Some(&mut self.signature),
            "security-token" => Some(&mut self.session_token),
            _ => None,
        }
    }

    /// The parts that a signature in the header has as well.
    ///
    /// # Errors
    /// If one is missing, or the algorithm is another one.
    pub(crate) fn authorization(&self) -> Result<Authorization<'_>, SignatureError> {
        let parts = [
            ("X-Amz-Algorithm", self.algorithm.as_ref()),
            ("X-Amz-Credential", self.credential.as_ref()),
            (SIGNATURE, self.signature.as_ref()),
            ("X-Amz-SignedHeaders", self.signed_headers.as_ref()),
            ("X-Amz-Date", self.date.as_ref()),
        ];
        let missing: Vec<String> =
            parts.iter().filter(|(_, value)| text(*value).is_empty()).map(|(name, _)| format!("'{name}'")).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            let message =
                format!("AWS query-string parameters must include {missing}. Re-examine the query-string parameters.");
            return Err(SignatureError::MissingParts(message));
        }
        let algorithm = text(self.algorithm.as_ref());
        if algorithm != ALGORITHM {
            return Err(SignatureError::UnsupportedAlgorithm { algorithm: algorithm.to_owned() });
        }
        Ok(Authorization {
            credential: text(self.credential.as_ref()),
            signed_headers: text(self.signed_headers.as_ref()),
            signature: text(self.signature.as_ref()),
        })
    }

    /// When the request was signed, as it says.
    pub(crate) fn date(&self) -> Option<&str> {
        self.date.as_deref()
    }

    /// How long the request is good for; `None` if it says nothing, and is no better than one signed in its header.
    ///
    /// # Errors
    /// If that is no number of seconds within [`VALIDITY_MAX`].
    pub(crate) fn validity(&self) -> Result<Option<Duration>, SignatureError> {
        let Some(expires) = &self.expires else { return Ok(None) };
        let seconds = expires.parse().ok().map(Duration::from_secs).filter(|validity| !validity.is_zero());
        let validity = seconds.filter(|validity| *validity <= VALIDITY_MAX);
        validity
            .map(Some)
            .ok_or(SignatureError::MalformedAuthorization("X-Amz-Expires must be from 1 to 604800 seconds"))
    }

    /// The session token, if there is one.
    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }
}

fn text(value: Option<&String>) -> &str {
    value.map(String::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn read(query: &str) -> Result<Option<Presigned>, SignatureError> {
        let request = Request::get(format!("/?{query}")).body(()).expect("a request");
        Presigned::read(&request.into_parts().0)
    }

    #[test]
    fn parameters_are_decoded() {
        let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb%2Fc%2Fd%2Fe&X-Amz-Date=D&X-Amz-Expires=60\
                     &X-Amz-SignedHeaders=host&X-Amz-Signature=00&X-Amz-Security-Token=t%2B&Action=A";
        let presigned = read(query).expect("well-formed").expect("a signature");
        let authorization = presigned.authorization().expect("whole");
        assert_eq!(
            (authorization.credential, authorization.signed_headers, authorization.signature),
            ("a/b/c/d/e", "host", "00")
        );
        assert_eq!((presigned.date(), presigned.session_token()), (Some("D"), Some("t+")));
        assert_eq!(presigned.validity(), Ok(Some(Duration::from_mins(1))));
        assert!(read("Action=A").expect("well-formed").is_none());
    }

    #[test]
    fn what_is_missing_doubled_or_out_of_range_is_refused() {
        let lonely = read("X-Amz-Signature=00").expect("well-formed").expect("a signature");
        let missing = lonely.authorization();
        assert!(
            matches!(missing, Err(SignatureError::MissingParts(text)) if text.contains("'X-Amz-Algorithm', 'X-Amz-C"))
        );
        assert!(read("X-Amz-Signature=00&x-amz-signature=01").is_err());
        for expires in ["0", "604801", "-1", "a", ""] {
            let presigned = read(&format!("X-Amz-Signature=00&X-Amz-Expires={expires}")).expect("well-formed");
            assert!(presigned.expect("a signature").validity().is_err(), "{expires}");
        }
    }
}
