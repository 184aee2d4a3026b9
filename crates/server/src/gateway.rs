//! From a request of HTTP to its answer: routing, and what is the same for all protocols.
//!
//! Always true: every request of the API is answered with a request id, even if its handler panics; and nothing of a
//! panic, or of any error of ours, reaches the client.

use std::fmt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use hyper::body::Incoming;
use meridian_audit::{Metrics, ids, metrics};
use meridian_identity::sigv4::is_presigned;
use meridian_identity::{Accepted, Caller, CredentialStore, Service, SignatureError, Verified, Verifier};
use meridian_model::{Clock, ErrorCode, Operation, Region, Request as ApiRequest, ServiceError};
use tokio::sync::Semaphore;

use crate::activity::Activity;
use crate::answer::{Answer, PLAIN, document, method_not_allowed, refusal, success};
use crate::body::{self, Body, BodyError};
use crate::endpoint::{CallContext, Endpoint};
use crate::limits::Limits;
use crate::tls::TlsSession;
use crate::{health, query};

/// Verifies signatures for all gateways of a process, which so share its cache.
pub type SharedVerifier = Arc<Verifier<Arc<dyn CredentialStore>>>;

/// Serves one Region, or several by the Region that a request is signed for.
pub struct Gateway {
    /// `regions[i]` is the Region of `endpoints[i]`.
    regions: Vec<Region>,
    endpoints: Vec<Arc<dyn Endpoint>>,
    /// The Regions that requests to IAM may be signed for: IAM belongs to none.
    regions_of_iam: Vec<Region>,
    /// Which of the endpoints serves IAM.
    home: usize,
    verifier: SharedVerifier,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    limits: Limits,
    large_bodies: Semaphore,
}

/// What all requests of a connection have in common.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    pub(crate) tls: Option<TlsSession>,
    pub(crate) activity: Arc<Activity>,
}

/// What became of a request, and what the metrics call it.
pub(crate) struct Handled<'a> {
    pub(crate) answer: Answer,
    /// Known once the signature is verified.
    pub(crate) region: Option<&'a Region>,
    pub(crate) operation: &'static str,
    pub(crate) code: &'static str,
}

impl Gateway {
    /// A gateway to `endpoints`, of which each has a Region of its own. IAM is served by the one of `home`, the Region where
    /// identities are changed, or by the first one if that is not among them. `clock` judges the age of signatures and is
    /// the system's clock even where Regions live by a virtual one.
    ///
    /// # Panics
    /// Without any endpoint.
    #[must_use]
    pub fn new(
        endpoints: Vec<Arc<dyn Endpoint>>,
        home: &Region,
        verifier: SharedVerifier,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        limits: Limits,
    ) -> Self {
        assert!(!endpoints.is_empty(), "a gateway leads somewhere");
        let regions: Vec<Region> = endpoints.iter().map(|endpoint| endpoint.region().clone()).collect();
        let signed_for = SIGNING_REGIONS_OF_IAM.map(|region| region.parse().expect("a Region of AWS"));
        let regions_of_iam = regions.iter().cloned().chain([home.clone()]).chain(signed_for).collect();
        let home = regions.iter().position(|region| region == home).unwrap_or(0);
        let large_bodies = Semaphore::new(limits.large_bodies_max);
        Self { regions, endpoints, regions_of_iam, home, verifier, clock, metrics, limits, large_bodies }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, connection: &Connection, request: Request<Incoming>) -> Answer {
        let _under_way = connection.activity.request();
        let (parts, body) = request.into_parts();
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let path = parts.uri.path();
        let is_call = parts.method == Method::POST || parts.method == Method::GET && parts.uri.query().is_some();
        if path == "/" && is_call {
            return self.answer_api(connection, &parts, body).await;
        }
        body::pass_over(body, &self.limits).await;
        match path {
            "/healthz" if is_read => health::healthz(),
            "/readyz" if is_read => health::readyz(&self.endpoints),
            "/metrics" if is_read => health::metrics(&self.metrics),
            "/" => method_not_allowed("POST"),
            "/healthz" | "/readyz" | "/metrics" => method_not_allowed("GET, HEAD"),
            _ => document(StatusCode::NOT_FOUND, PLAIN, NOT_FOUND_TEXT),
        }
    }

    async fn answer_api(&self, connection: &Connection, parts: &Parts, body: Incoming) -> Answer {
        let started = Instant::now();
        let request_id = ids::unique_id().to_string();
        let call = Call { gateway: self, connection, parts, request_id: &request_id };
        let handled = AssertUnwindSafe(call.handle(body)).catch_unwind().await.unwrap_or_else(|_| {
            self.metrics.panics().inc();
            tracing::error!(request_id, "a request ended in a panic; its message stands on standard error");
            call.refused(call.operation().map_or(UNKNOWN_OPERATION, Operation::name), None, &ServiceError::internal())
        });
        self.metrics.observe(handled.region, handled.operation, handled.code, started.elapsed());
        handled.answer
    }

    fn endpoint(&self, region: &Region) -> (&Region, &dyn Endpoint) {
        let index = self.regions.iter().position(|served| served == region);
        let index = index.expect("the verifier accepts no Region but these");
        (&self.regions[index], &*self.endpoints[index])
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("regions", &self.regions).finish_non_exhaustive()
    }
}

/// One request on its way through the server.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    gateway: &'a Gateway,
    connection: &'a Connection,
    parts: &'a Parts,
    pub(crate) request_id: &'a str,
}

/// Why a request is not even looked at.
#[derive(Debug)]
pub(crate) enum Unauthenticated {
    /// Its body did not arrive, or is too long.
    Body(ServiceError),
    /// Nobody proved to have sent it.
    Signature(SignatureError),
}

impl From<Unauthenticated> for ServiceError {
    fn from(error: Unauthenticated) -> Self {
        match error {
            Unauthenticated::Body(error) => error,
            Unauthenticated::Signature(error) => error.into(),
        }
    }
}

impl<'a> Call<'a> {
    async fn handle(self, body: Incoming) -> Handled<'a> {
        let Parts { method, uri, headers, .. } = self.parts;
        let is_form = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(FORM));
        let names_action = || uri.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("Action=")));
        if !headers.contains_key(TARGET) && (is_form || method == Method::GET || names_action()) {
            query::handle(self, body).await
        } else {
            self.handle_json(body).await
        }
    }

    /// The JSON protocol: target, then signature, then content, then the operation. The content type is not looked at;
    /// the target says enough.
    async fn handle_json(self, body: Incoming) -> Handled<'a> {
        let Some(operation) = self.operation() else {
            body::pass_over(body, self.gateway.limits()).await;
            return self.refused(UNKNOWN_OPERATION, None, &ServiceError::new(ErrorCode::UnknownOperation, ""));
        };
        let (body, verified) = match self.authenticated(body, &[Service::Kms]).await {
            Ok(authenticated) => authenticated,
            Err(error) => return self.refused(operation.name(), None, &error.into()),
        };
        let (region, endpoint) = self.gateway.endpoint(&verified.region);
        match self.serve(operation, endpoint, body, verified.caller).await {
            Ok(body) => Handled {
                answer: success(body, self.request_id),
                region: Some(region),
                operation: operation.name(),
                code: metrics::OK,
            },
            Err(error) => self.refused(operation.name(), Some(region), &error),
        }
    }

    async fn serve(
        self,
        operation: Operation,
        endpoint: &dyn Endpoint,
        body: Body<'_>,
        caller: Arc<Caller>,
    ) -> Result<Vec<u8>, ServiceError> {
        let context = self.context(caller);
        match ApiRequest::decode(operation, &body.bytes) {
            Ok(request) => {
                drop(body); // its place among the large ones is for the next
                endpoint.call(context, request).await
            }
            Err(error) => {
                endpoint.refuse(&context, operation, &error).await?;
                Err(error)
            }
        }
    }

    /// Reads the body and proves who sent it.
    pub(crate) async fn authenticated(
        self,
        body: Incoming,
        services: &[Service],
    ) -> Result<(Body<'a>, Verified), Unauthenticated> {
        let Gateway { limits, large_bodies, clock, verifier, regions, regions_of_iam, .. } = self.gateway;
        let accepted = Accepted { regions, regions_of_iam, home_of_iam: self.home().0, services };
        if !self.parts.headers.contains_key(AUTHORIZATION) && !is_presigned(self.parts) {
            body::pass_over(body, limits).await; // worth no memory
            return Err(Unauthenticated::Signature(SignatureError::MissingAuthenticationToken));
        }
        let read = body::read(body, limits, large_bodies).await;
        let body = read.map_err(|error| Unauthenticated::Body(self.body_error(error)))?;
        let verified = verifier.verify(self.parts, &body.bytes, clock.now(), accepted);
        verified.map(|verified| (body, verified)).map_err(Unauthenticated::Signature)
    }

    pub(crate) fn parts(self) -> &'a Parts {
        self.parts
    }

    /// The endpoint of a Region that the verifier has accepted.
    pub(crate) fn endpoint(self, region: &Region) -> (&'a Region, &'a dyn Endpoint) {
        self.gateway.endpoint(region)
    }

    /// The endpoint that serves IAM.
    pub(crate) fn home(self) -> (&'a Region, &'a dyn Endpoint) {
        let Gateway { regions, endpoints, home, .. } = self.gateway;
        (&regions[*home], &*endpoints[*home])
    }

    /// What the operation may know about the request.
    pub(crate) fn context(self, caller: Arc<Caller>) -> CallContext {
        let headers = &self.parts.headers;
        let authority = || self.parts.uri.authority().map(|authority| authority.as_str().to_owned());
        CallContext {
            request_id: self.request_id.to_owned(),
            caller,
            source_ip: self.connection.peer,
            user_agent: text(headers, &USER_AGENT),
            host_header: text(headers, &HOST).or_else(authority),
            tls: self.connection.tls,
        }
    }

    /// A refusal in the JSON protocol.
    fn refused(self, operation: &'static str, region: Option<&'a Region>, error: &ServiceError) -> Handled<'a> {
        Handled { answer: refusal(error, self.request_id), region, operation, code: error.code.as_str() }
    }

    fn operation(self) -> Option<Operation> {
        let mut targets = self.parts.headers.get_all(TARGET).iter();
        let target = targets.next()?.to_str().ok()?;
        Operation::from_target(target).filter(|_| targets.next().is_none())
    }

    fn body_error(self, error: BodyError) -> ServiceError {
        let bytes_max = self.gateway.limits.body_bytes_max;
        match error {
            BodyError::TooLong => {
                let text = format!("The request is longer than {bytes_max} bytes.");
                ServiceError::new(ErrorCode::RequestEntityTooLarge, text)
            }
            BodyError::TooSlow => {
                ServiceError::new(ErrorCode::Serialization, "The body of the request did not arrive in time.")
            }
            BodyError::Broken => ServiceError::new(ErrorCode::Serialization, "The body of the request is incomplete."),
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const FORM: &[u8] = b"application/x-www-form-urlencoded";
/// What AWS SDKs sign requests to IAM for, in each partition.
const SIGNING_REGIONS_OF_IAM: [&str; 3] = ["us-east-1", "cn-north-1", "us-gov-west-1"];
/// The label of requests that name no operation; what they did name is the caller's word and no label.
const UNKNOWN_OPERATION: &str = "Unknown";
const NOT_FOUND_TEXT: &str = "Nothing is served here. The API is POST / (STS and IAM: GET /?Action=... as well); besides there are GET /healthz, /readyz and /metrics.\n";
