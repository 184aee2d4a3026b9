//! The answers of the AWS JSON 1.1 protocol, and those that belong to no protocol.
//!
//! Every answer to a request of the API carries `x-amzn-RequestId`; `Content-Length` and `Date` are hyper's. A refusal is
//! `{"__type": <code>, "message": <text>}`, as AWS KMS sends it, except that it spells the `Message` of a denied access with
//! a capital letter; clients read both. Codes without a text send no message.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use meridian_model::{ErrorCode, ServiceError};

/// What is sent back.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The answer of an operation; `body` is empty for operations without output.
pub(crate) fn success(body: Vec<u8>, request_id: &str) -> Answer {
    api_answer(StatusCode::OK, JSON, body.into(), request_id)
}

/// A refusal in the JSON protocol.
pub(crate) fn refusal(error: &ServiceError, request_id: &str) -> Answer {
    let mut body = serde_json::json!({"__type": error.code.as_str()});
    if !error.message.is_empty() {
        let name = if error.code == ErrorCode::AccessDenied { "Message" } else { "message" };
        body[name] = error.message.as_str().into();
    }
    api_answer(status(error), JSON, body.to_string().into(), request_id)
}

/// An answer of the query protocol.
pub(crate) fn xml(status: StatusCode, body: String, request_id: &str) -> Answer {
    api_answer(status, XML, body.into(), request_id)
}

/// A document that is not of the API.
pub(crate) fn document(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// The path is served, but not for this method.
pub(crate) fn method_not_allowed(allow: &'static str) -> Answer {
    let text = format!("This path answers {allow} only.\n");
    let mut answer = document(StatusCode::METHOD_NOT_ALLOWED, PLAIN, text);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

fn api_answer(status: StatusCode, content_type: HeaderValue, body: Bytes, request_id: &str) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.reserve(5); // with the two that hyper adds
    headers.insert(REQUEST_ID, HeaderValue::from_str(request_id).expect("a UUID is a header value"));
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_STORE); // plaintexts and data keys belong in no cache
    answer
}

/// The HTTP status of a refusal.
fn status(error: &ServiceError) -> StatusCode {
    StatusCode::from_u16(error.code.status()).expect("the codes of the API have statuses of HTTP")
}

pub(crate) const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const XML: HeaderValue = HeaderValue::from_static("text/xml");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-cache, no-store, must-revalidate, private");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn a_denied_access_spells_its_message_as_the_service_does() {
        for (code, text, body) in [
            (ErrorCode::NotFound, "no", json!({"__type": "NotFoundException", "message": "no"})),
            (ErrorCode::AccessDenied, "no", json!({"__type": "AccessDeniedException", "Message": "no"})),
            (ErrorCode::InvalidCiphertext, "", json!({"__type": "InvalidCiphertextException"})),
        ] {
            let answer = refusal(&ServiceError::new(code, text), "id");
            assert_eq!(answer.status(), 400);
            let sent = answer.into_body().collect().await.expect("a whole body").to_bytes();
            assert_eq!(serde_json::from_slice::<Value>(&sent).expect("JSON"), body);
        }
    }
}
