//! A client of the service: one kept-alive HTTP/1.1 connection, signed requests over it, decoded answers.
//!
//! Nothing is retried: a measurement counts what happened.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request as HttpRequest, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use meridian_identity::{ClientCredentials, Service, sigv4};
use meridian_model::{Clock, Region, Request, Response};

use super::endpoint::Endpoint;
use crate::SystemClock;

/// What is sent.
pub(super) type Outgoing = HttpRequest<Full<Bytes>>;

/// More than the longest answer: a page of 1000 grants.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longer than the server lets any request take, ReplicateKey included.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("no connection")]
    Connect(#[source] anyhow::Error),
    #[error("the connection failed")]
    Transport(#[source] hyper::Error),
    #[error("the answer is broken off or longer than {ANSWER_BYTES_MAX} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Answer {
    /// `None` for a success; else the code of the service, or the HTTP status if there is none.
    pub(super) fn error_code(&self) -> Option<String> {
        (!self.status.is_success())
            .then(|| self.member("__type").unwrap_or_else(|| format!("HTTP {}", self.status.as_u16())))
    }

    fn member(&self, name: &str) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let text = body.get(name)?.as_str()?;
        // Some services put a namespace before the code: `com.amazonaws.kms#NotFoundException`.
        Some(text.rsplit('#').next().unwrap_or(text).to_owned())
    }
}

/// One connection. The task that uses it drives it too, so that no request waits for another task.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once the connection has ended.
    driver: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, Fault> {
        let stream = endpoint.connect().await.map_err(Fault::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(Fault::Transport)?;
        Ok(Self { sender, driver: Some(Box::pin(connection)) })
    }

    /// Sends one request and reads the whole answer. After an error, and if dropped before its end, the connection is of
    /// no more use.
    pub(super) async fn exchange(&mut self, request: Outgoing) -> Result<Answer, Fault> {
        let sender = &mut self.sender;
        let mut answer = std::pin::pin!(async move {
            sender.ready().await.map_err(Fault::Transport)?;
            let response = sender.send_request(request).await.map_err(Fault::Transport)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(Fault::Body)?;
            Ok(Answer { status, body: body.to_bytes() })
        });
        if let Some(driver) = &mut self.driver {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                // Why it ended is told to the request as well.
                _ended = driver => self.driver = None,
            }
        }
        answer.await // complete or failed by now: nothing is left that could keep it waiting
    }
}

/// Makes signed requests for one Region at one server.
#[derive(Clone)]
pub(super) struct Signer {
    credentials: ClientCredentials,
    region: Region,
    authority: HeaderValue,
}

impl Signer {
    pub(super) fn new(credentials: ClientCredentials, region: Region, endpoint: &Endpoint) -> Self {
        Self { credentials, region, authority: endpoint.authority().clone() }
    }

    /// The HTTP request of `call`, signed now.
    pub(super) fn sign(&self, call: &Call) -> Result<Outgoing> {
        let (mut parts, ()) = HttpRequest::new(()).into_parts();
        parts.method = Method::POST;
        parts.headers.insert(HOST, self.authority.clone());
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
        parts.headers.insert("x-amz-target", call.target.clone());
        let service = Service::Kms.as_str();
        sigv4::sign(&mut parts, &call.body, &self.credentials, &self.region, service, SystemClock.now())
            .context("signing a request")?;
        Ok(HttpRequest::from_parts(parts, Full::new(call.body.clone())))
    }
}

/// An operation and its body, ready to be signed any number of times.
#[derive(Clone)]
pub(super) struct Call {
    target: HeaderValue,
    body: Bytes,
}

impl From<&Request> for Call {
    fn from(request: &Request) -> Self {
        let target = HeaderValue::try_from(request.operation().target()).expect("operations are named in ASCII");
        Self { target, body: request.to_json().into() }
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("{operation} was not answered")]
    Fault {
        operation: &'static str,
        #[source]
        source: Fault,
    },
    #[error("{operation} was not answered within {} s", TIMEOUT.as_secs())]
    Timeout { operation: &'static str },
    #[error("{operation}: {code}: {message}")]
    Refused { operation: &'static str, code: String, message: String },
    #[error("{operation} was answered with something else")]
    Answer {
        operation: &'static str,
        #[source]
        source: meridian_model::ServiceError,
    },
    #[error("{operation} could not be signed")]
    Sign { operation: &'static str, source: anyhow::Error },
}

impl CallError {
    /// Whether the service says that the key does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        self.is_refused_with("NotFoundException")
    }

    /// Whether the service does not offer the operation, or not for this key.
    pub(super) fn is_unsupported(&self) -> bool {
        self.is_refused_with("UnsupportedOperationException")
    }

    fn is_refused_with(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == expected)
    }
}

/// Calls operations of one Region, one after the other; reconnects where the last connection has failed.
pub(super) struct KmsClient {
    endpoint: Endpoint,
    signer: Signer,
    connection: Option<Connection>,
}

impl KmsClient {
    pub(super) fn new(endpoint: Endpoint, credentials: ClientCredentials, region: Region) -> Self {
        let signer = Signer::new(credentials, region, &endpoint);
        Self { endpoint, signer, connection: None }
    }

    /// Calls an operation and decodes its answer.
    pub(super) async fn call(&mut self, request: impl Into<Request> + Send) -> Result<Response, CallError> {
        let request = request.into();
        let operation = request.operation().name();
        let outgoing =
            self.signer.sign(&Call::from(&request)).map_err(|source| CallError::Sign { operation, source })?;
        let answer = tokio::time::timeout(TIMEOUT, self.exchange(outgoing)).await;
        let answer = answer
            .map_err(|_elapsed| CallError::Timeout { operation })?
            .map_err(|source| CallError::Fault { operation, source })?;
        if let Some(code) = answer.error_code() {
            let message = answer.member("message").or_else(|| answer.member("Message")).unwrap_or_default();
            return Err(CallError::Refused { operation, code, message });
        }
        Response::decode(request.operation(), &answer.body).map_err(|source| CallError::Answer { operation, source })
    }

    /// The connection is put back only after a whole answer, so a call that is dropped half-way costs a connection.
    async fn exchange(&mut self, outgoing: Outgoing) -> Result<Answer, Fault> {
        let mut connection = match self.connection.take().filter(|connection| connection.driver.is_some()) {
            Some(connection) => connection,
            None => Connection::open(&self.endpoint).await?,
        };
        let answer = connection.exchange(outgoing).await?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use meridian_model::DescribeKeyRequest;

    use super::*;
    use crate::bench::test_server::{KEY_ID, TestServer};

    fn client(server: &TestServer, access_key: &str) -> KmsClient {
        let region = "us-east-1".parse().expect("a Region");
        KmsClient::new(server.endpoint(), ClientCredentials::new(access_key, "test"), region)
    }

    fn describe(key_id: &str) -> DescribeKeyRequest {
        DescribeKeyRequest { key_id: key_id.to_owned(), ..DescribeKeyRequest::default() }
    }

    #[tokio::test]
    async fn calls_share_a_connection_and_are_decoded() {
        let server = TestServer::start().await;
        let mut client = client(&server, "test");
        for _ in 0..3 {
            let answer = client.call(describe(KEY_ID)).await.expect("answered");
            assert!(matches!(answer, Response::DescribeKey(described) if described.key_metadata.key_id == KEY_ID));
        }
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn a_refusal_tells_code_and_message() {
        let server = TestServer::start().await;
        let error = client(&server, "test").call(describe("absent")).await.expect_err("refused");
        assert_eq!(error.to_string(), "DescribeKey: NotFoundException: no such key");
        assert!(error.is_not_found());
        let error = client(&server, "stranger").call(describe(KEY_ID)).await.expect_err("refused");
        assert!(error.to_string().contains(" UnrecognizedClientException:"), "without a namespace: {error}");
    }

    #[tokio::test]
    async fn no_server_is_a_fault_that_names_it() {
        let server = TestServer::start().await;
        let mut client = client(&server, "test");
        drop(server);
        let error = client.call(describe(KEY_ID)).await.expect_err("nobody there");
        let source = error.source().and_then(Error::source).map(ToString::to_string);
        assert!(source.is_some_and(|text| text.starts_with("connecting to 127.0.0.1:")), "{error:?}");
    }

    #[tokio::test]
    async fn the_last_answer_of_a_connection_is_read() {
        let server = TestServer::start().await;
        let mut connection = Connection::open(&server.endpoint()).await.expect("connected");
        let answer = connection.exchange(server.get("/healthz?last")).await.expect("answered");
        assert_eq!(answer.status, StatusCode::OK);
        assert!(connection.exchange(server.get("/healthz")).await.is_err(), "the server has closed it");
    }

    #[tokio::test]
    async fn errors_without_a_code_are_counted_by_status() {
        let server = TestServer::start().await;
        let mut connection = Connection::open(&server.endpoint()).await.expect("connected");
        for (path, code) in
            [("/healthz", None), ("/refused", Some("ThrottlingException")), ("/nameless", Some("HTTP 502"))]
        {
            let answer = connection.exchange(server.get(path)).await.expect("answered");
            assert_eq!(answer.error_code().as_deref(), code, "{path}");
        }
    }
}
