//! The query protocol of STS and IAM: forms in, XML out. What is answered is `identity`'s business.

use http::StatusCode;
use hyper::body::Incoming;
use meridian_audit::metrics;
use meridian_identity::query::{QueryAnswer, QueryError};
use meridian_identity::sigv4::claimed_service;
use meridian_identity::{Service, sts};
use meridian_model::ServiceError;

use crate::answer::{Answer, xml};
use crate::gateway::{Call, Handled, Unauthenticated};

/// Serves one request of the query protocol.
pub(crate) async fn handle(call: Call<'_>, body: Incoming) -> Handled<'_> {
    let (body, verified) = match call.authenticated(body, &[Service::Sts, Service::Iam]).await {
        Ok(authenticated) => authenticated,
        Err(error) => return refused(call, &query_error(error)),
    };
    let answer = sts::answer(verified.service, &body.bytes, &verified.caller, call.request_id);
    let code = if answer.status < 400 { metrics::OK } else { "Refused" };
    Handled { answer: sent(answer, call), region: None, operation: OPERATION, code }
}

fn refused<'a>(call: Call<'a>, error: &QueryError) -> Handled<'a> {
    // Whom nobody is believed to have asked still answers in its own namespace.
    let service = claimed_service(call.headers()).unwrap_or(Service::Sts);
    let answer = error.answer(service, call.request_id);
    Handled { answer: sent(answer, call), region: None, operation: OPERATION, code: error.code }
}

fn query_error(error: Unauthenticated) -> QueryError {
    match error {
        Unauthenticated::Signature(error) => QueryError::from(&error),
        Unauthenticated::Body(ServiceError { code, message }) => {
            QueryError { code: code.as_str(), status: code.status(), message }
        }
    }
}

fn sent(answer: QueryAnswer, call: Call<'_>) -> Answer {
    let status = StatusCode::from_u16(answer.status).expect("the query protocol has statuses of HTTP");
    xml(status, answer.body, call.request_id)
}

/// One label for all actions: STS and IAM are not what this service is measured by.
const OPERATION: &str = "Query";
