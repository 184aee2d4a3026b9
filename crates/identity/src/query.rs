//! The query protocol of STS and IAM: forms in, XML out.
//!
//! Source: the public API references of both services ("Query API", "Common errors").

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

use crate::sigv4::{Service, SignatureError};

/// The content type of every answer.
pub const CONTENT_TYPE: &str = "text/xml";

/// Parameters of one request at most; the calls served here have two.
const PARAMETERS_MAX: usize = 1000;

/// An answer, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body, of the type [`CONTENT_TYPE`].
    pub body: String,
}

/// An error of the query protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// The code, spelled as the protocol spells it.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong.
    pub message: String,
}

impl QueryError {
    /// The answer that tells the error to a client of `service`.
    #[must_use]
    pub fn answer(&self, service: Service, request_id: &str) -> QueryAnswer {
        let fault = if self.status < 500 { "Sender" } else { "Receiver" };
        let body = format!(
            "<ErrorResponse xmlns=\"{}\">\n  <Error>\n    <Type>{fault}</Type>\n    <Code>{}</Code>\n    \
             <Message>{}</Message>\n  </Error>\n  <RequestId>{}</RequestId>\n</ErrorResponse>\n",
            namespace(service),
            self.code,
            escaped(&self.message),
            escaped(request_id),
        );
        QueryAnswer { status: self.status, body }
    }
}

impl From<&SignatureError> for QueryError {
    fn from(error: &SignatureError) -> Self {
        let (code, status) = error.query_code();
        Self { code, status, message: error.to_string() }
    }
}

/// The XML namespace of the answers of `service`.
pub(crate) fn namespace(service: Service) -> &'static str {
    match service {
        Service::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
        Service::Sts | Service::Kms => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}

/// What a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) version: String,
}

impl Form {
    /// Parses a body of the type `application/x-www-form-urlencoded`.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, QueryError> {
        let malformed = |what: &str| QueryError {
            code: "MalformedQueryString",
            status: 404,
            message: format!("The body is no list of parameters: {what}"),
        };
        let body = std::str::from_utf8(body).map_err(|_| malformed("not UTF-8"))?;
        let (mut action, mut version) = (None, None);
        for (at, parameter) in body.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
            if at >= PARAMETERS_MAX {
                return Err(malformed("too many parameters"));
            }
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let slot = match decoded(name).ok_or_else(|| malformed("a bad escape"))?.as_str() {
                "Action" => &mut action,
                "Version" => &mut version,
                _ => continue,
            };
            let value = decoded(value).ok_or_else(|| malformed("a bad escape"))?;
            if slot.replace(value).is_some() {
                return Err(malformed("a parameter is given twice"));
            }
        }
        let action = action.filter(|action| !action.is_empty()).ok_or_else(|| QueryError {
            code: "MissingAction",
            status: 400,
            message: "The request must contain the parameter Action.".to_owned(),
        })?;
        Ok(Self { action, version: version.unwrap_or_default() })
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// A text as it may stand between tags; characters that XML 1.0 cannot hold are left out.
pub(crate) fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(xml, "&#{};", u32::from(letter));
            }
            letter if letter < ' ' || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            letter => xml.push(letter),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = Form::parse(b"Version=2011-06-15&Other=1&Action=Get%43aller+Identity").expect("valid");
        assert_eq!((form.action.as_str(), form.version.as_str()), ("GetCaller Identity", "2011-06-15"));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for (body, code) in [
            (&b""[..], "MissingAction"),
            (b"Action=", "MissingAction"),
            (b"Version=1", "MissingAction"),
            (b"Action=A&Action=B", "MalformedQueryString"),
            (b"Action=%ff", "MalformedQueryString"),
            (b"\xff", "MalformedQueryString"),
        ] {
            assert_eq!(Form::parse(body).map_err(|error| error.code), Err(code));
        }
        let many = "a=1&".repeat(2000);
        assert_eq!(Form::parse(many.as_bytes()).map_err(|error| error.code), Err("MalformedQueryString"));
    }

    #[test]
    fn xml_cannot_be_broken_out_of() {
        assert_eq!(escaped("<a href=\"b\">&'\0\n"), "&lt;a href=&quot;b&quot;&gt;&amp;&apos;&#10;");
    }
}
