//! The query protocol of STS and IAM: forms in, XML out. What the forms mean is `identity`'s business, what they do is the
//! Region's.

use http::StatusCode;
use hyper::body::Incoming;
use meridian_audit::metrics;
use meridian_identity::query::{Form, QueryAnswer, QueryError, answer};
use meridian_identity::sigv4::claimed_service;
use meridian_identity::{Service, Verified};
use meridian_model::Region;

use crate::answer::{Answer, xml};
use crate::gateway::{Call, Handled, Unauthenticated};

/// Serves one request of the query protocol.
pub(crate) async fn handle(call: Call<'_>, body: Incoming) -> Handled<'_> {
    let (body, verified) = match call.authenticated(body, &[Service::Sts, Service::Iam]).await {
        Ok(authenticated) => authenticated,
        Err(error) => {
            // Whom nobody is believed to have asked still answers in its own namespace.
            let service = claimed_service(call.parts()).unwrap_or(Service::Sts);
            return refused(call, service, None, &query_error(error));
        }
    };
    let Verified { service, caller, region, .. } = verified;
    let (region, endpoint) = match service {
        Service::Iam => call.home(),
        Service::Sts | Service::Kms => call.endpoint(&region),
    };
    let query = call.parts().uri.query().unwrap_or_default();
    let form = match Form::parse(&[query.as_bytes(), &body.bytes]) {
        Ok(form) => form,
        Err(error) => return refused(call, service, Some(region), &error),
    };
    drop(body); // its place among the large ones is for the next
    let action = form.action().to_owned();
    match endpoint.query(call.context(caller), service, form).await {
        Ok(told) => {
            let answer = answer::success(service, &action, &told, call.request_id);
            Handled { answer: sent(answer, call), region: Some(region), operation: OPERATION, code: metrics::OK }
        }
        Err(error) => refused(call, service, Some(region), &error),
    }
}

fn refused<'a>(call: Call<'a>, service: Service, region: Option<&'a Region>, error: &QueryError) -> Handled<'a> {
    let answer = error.answer(service, call.request_id);
    Handled { answer: sent(answer, call), region, operation: OPERATION, code: error.code.as_str() }
}

fn query_error(error: Unauthenticated) -> QueryError {
    match error {
        Unauthenticated::Signature(error) => QueryError::from(&error),
        Unauthenticated::Body(error) => QueryError::from(error),
    }
}

fn sent(answer: QueryAnswer, call: Call<'_>) -> Answer {
    let status = StatusCode::from_u16(answer.status).expect("the query protocol has statuses of HTTP");
    xml(status, answer.body, call.request_id)
}

/// One label for all actions: STS and IAM are not what this service is measured by.
const OPERATION: &str = "Query";
