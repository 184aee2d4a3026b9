//! A small HTTP server for the tests: constant answers of the operations that the benchmark calls, and a path for each way
//! of failing. It ends when dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::client::Outgoing;
use super::endpoint::Endpoint;

/// The key that is created.
pub(super) const KEY_ID: &str = "mrk-1234abcd12ab34cd56ef1234567890ab";

/// A server on a port of the system's choice.
pub(super) struct TestServer {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    /// Answers of DescribeKey that still show no replicas.
    without_replicas: AtomicUsize,
    knows_rotation: AtomicBool,
}

impl TestServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&self.url(), None).expect("an address")
    }

    /// A request without a signature.
    pub(super) fn get(&self, path: &str) -> Outgoing {
        let request = Request::get(path).header(HOST, self.address.to_string());
        request.body(Full::new(Bytes::new())).expect("a path")
    }

    /// Connections that were ever opened.
    pub(super) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// From now on `looks` answers of DescribeKey show no replicas.
    pub(super) fn show_replicas_after(&self, looks: usize) {
        self.state.without_replicas.store(looks, Ordering::SeqCst);
    }

    /// From now on the operations of rotation are known.
    pub(super) fn know_rotation(&self) {
        self.state.knows_rotation.store(true, Ordering::SeqCst);
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut tasks = tokio::task::JoinSet::new(); // dropped with this task
    while let Ok((stream, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::SeqCst);
        let connection = hyper::server::conn::http1::Builder::new();
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        tasks.spawn(connection.serve_connection(TokioIo::new(stream), service));
    }
}

/// An error hangs up.
async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, &'static str> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err("the request broke off") };
    let (status, body) = match parts.uri.path() {
        "/healthz" => (StatusCode::OK, Value::Null),
        "/refused" => (StatusCode::BAD_REQUEST, json!({"__type": "ThrottlingException", "message": "Rate exceeded"})),
        "/nameless" => (StatusCode::BAD_GATEWAY, Value::Null),
        "/hang-up" => return Err("as asked"),
        _ => operation(&state, &parts, &body.to_bytes()),
    };
    let mut response = Response::new(Full::new(body.to_string().into()));
    *response.status_mut() = status;
    if parts.uri.path() == "/healthz" && parts.uri.query() == Some("last") {
        response.headers_mut().insert("connection", http::HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn operation(state: &State, parts: &http::request::Parts, body: &[u8]) -> (StatusCode, Value) {
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !header("authorization").contains("Credential=test/") {
        return (StatusCode::BAD_REQUEST, json!({"__type": "com.amazonaws.kms#UnrecognizedClientException"}));
    }
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let key_id = request["KeyId"].as_str().unwrap_or(KEY_ID);
    if key_id == "absent" {
        return (StatusCode::BAD_REQUEST, json!({"__type": "NotFoundException", "message": "no such key"}));
    }
    let rotation = state.knows_rotation.load(Ordering::SeqCst);
    let answer = match header("x-amz-target").trim_start_matches("TrentService.") {
        "CreateKey" => json!({"KeyMetadata": metadata(key_id, &[])}),
        "DescribeKey" => {
            let take = |left: usize| left.checked_sub(1);
            let hidden = state.without_replicas.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
            json!({"KeyMetadata": metadata(key_id, if hidden { &[] } else { &["us-west-2", "eu-west-1"] })})
        }
        "ReplicateKey" if request["ReplicaRegion"] == "ap-northeast-1" => {
            return (StatusCode::BAD_REQUEST, json!({"__type": "ValidationException", "message": "not here"}));
        }
        "ReplicateKey" => {
            json!({"ReplicaKeyMetadata": metadata(key_id, &[]), "ReplicaPolicy": "{}", "ReplicaTags": []})
        }
        "Encrypt" => json!({"KeyId": key_id, "CiphertextBlob": "AQID", "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
        "ScheduleKeyDeletion" => json!({"KeyId": key_id, "KeyState": "PendingDeletion", "PendingWindowInDays": 7}),
        "UpdateKeyDescription" => json!({}),
        "EnableKeyRotation" if rotation => json!({}),
        "GetKeyRotationStatus" if rotation => json!({"KeyId": key_id, "KeyRotationEnabled": true}),
        _ => {
            let error = json!({"__type": "UnsupportedOperationException", "message": "no such operation"});
            return (StatusCode::BAD_REQUEST, error);
        }
    };
    (StatusCode::OK, answer)
}

fn metadata(key_id: &str, replicas: &[&str]) -> Value {
    let member =
        |region: &str| json!({"Arn": format!("arn:aws:kms:{region}:000000000000:key/{key_id}"), "Region": region});
    let primary = member("us-east-1");
    json!({
        "AWSAccountId": "000000000000", "KeyId": key_id, "Arn": primary["Arn"], "CreationDate": 1_440_938_160,
        "Enabled": true, "Description": "", "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Enabled", "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER", "KeySpec": "SYMMETRIC_DEFAULT", "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": true, "MultiRegionConfiguration": {
            "MultiRegionKeyType": "PRIMARY",
            "PrimaryKey": primary,
            "ReplicaKeys": replicas.iter().map(|region| member(region)).collect::<Vec<_>>(),
        },
    })
}
