//! A server on a port of its own, with an endpoint that does what its requests say, and raw clients.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use meridian_audit::Metrics;
use meridian_identity::query::{Answer, Form, Members, QueryCall, QueryCode, QueryError};
use meridian_identity::{ClientCredentials, DevCredentials, Service, Verifier, sigv4};
use meridian_model::{Clock, ErrorCode, Operation, Region, Request, ServiceError, Timestamp};
use meridian_server::{CallContext, Endpoint, Gateway, Limits, Listener, NodeReadiness};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Does what the `KeyId` of a `DescribeKey` says; everything else succeeds with an empty body.
pub(crate) struct Puppet {
    region: Region,
    pub(crate) ready: std::sync::atomic::AtomicBool,
    pub(crate) started: Notify,
    pub(crate) release: Notify,
    pub(crate) refused: Mutex<Vec<(Operation, ErrorCode)>>,
}

impl Puppet {
    pub(crate) fn new(region: &str) -> Arc<Self> {
        Arc::new(Self {
            region: region.parse().unwrap(),
            ready: true.into(),
            started: Notify::new(),
            release: Notify::new(),
            refused: Mutex::default(),
        })
    }
}

impl Endpoint for Puppet {
    fn region(&self) -> &Region {
        &self.region
    }

    fn call(&self, context: CallContext, request: Request) -> BoxFuture<'_, Result<Vec<u8>, ServiceError>> {
        Box::pin(async move {
            let Request::DescribeKey(request) = request else { return Ok(Vec::new()) };
            match request.key_id.as_str() {
                "panic" => panic!("the puppet was told to: canary"),
                "wait" => {
                    self.started.notify_one();
                    self.release.notified().await;
                }
                "refuse" => return Err(ServiceError::new(ErrorCode::NotFound, "Key 'refuse' does not exist")),
                "refuse silently" => return Err(ServiceError::new(ErrorCode::InvalidCiphertext, "")),
                _ => {}
            }
            let seen = serde_json::json!({
                "region": self.region, "requestId": context.request_id, "arn": context.caller.arn,
                "sourceIp": context.source_ip, "userAgent": context.user_agent, "host": context.host_header,
                "tls": context.tls.map(|tls| [tls.version, tls.cipher_suite, tls.key_exchange.unwrap_or("")]),
                "keyId": request.key_id,
            });
            Ok(seen.to_string().into_bytes())
        })
    }

    /// `GetCallerIdentity` tells the caller; `CreateUser` fails.
    fn query(&self, context: CallContext, service: Service, form: Form) -> BoxFuture<'_, Result<Answer, QueryError>> {
        Box::pin(async move {
            match QueryCall::read(service, &form)?.action() {
                "CreateUser" => {
                    Err(QueryError::new(QueryCode::EntityAlreadyExists, "User with name a&b already exists."))
                }
                _ => Ok(Some(Members::new().text("Arn", &context.caller.arn).text("Region", &self.region))),
            }
        })
    }

    fn refuse<'a>(
        &'a self,
        context: &'a CallContext,
        operation: Operation,
        error: &'a ServiceError,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        Box::pin(async move {
            self.refused.lock().unwrap().push((operation, error.code));
            let is_recordable = context.user_agent.as_deref() != Some("unrecordable");
            is_recordable.then_some(()).ok_or_else(ServiceError::internal)
        })
    }

    fn readiness(&self) -> Vec<NodeReadiness> {
        let ready = self.ready.load(std::sync::atomic::Ordering::Relaxed);
        let node = format!("{}/1", self.region);
        vec![NodeReadiness { node, ready, sealed: !ready, leader_known: true, fresh: true, recording: true }]
    }
}

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis().try_into().unwrap())
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) puppets: Vec<Arc<Puppet>>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

pub(crate) async fn start(regions: &[&str], limits: Limits) -> Server {
    start_with(regions, limits, None).await
}

pub(crate) async fn start_with(regions: &[&str], limits: Limits, tls: Option<Arc<rustls::ServerConfig>>) -> Server {
    let puppets: Vec<_> = regions.iter().map(|region| Puppet::new(region)).collect();
    let endpoints = puppets.iter().map(|puppet| Arc::clone(puppet) as Arc<dyn Endpoint>).collect();
    let credentials = DevCredentials::danger_well_known();
    let verifier = Arc::new(Verifier::new(Arc::new(credentials) as Arc<dyn meridian_identity::CredentialStore>));
    let metrics = Metrics::new();
    let home = regions[regions.len() - 1].parse().unwrap();
    let listener = Listener::new(&limits, tls);
    let gateway = Arc::new(Gateway::new(endpoints, &home, verifier, Arc::new(WallClock), metrics.clone(), limits));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (socket.local_addr().unwrap(), CancellationToken::new());
    let token = shutdown.clone();
    let task = tokio::spawn(async move { listener.serve(socket, gateway, token).await });
    Server { address, puppets, metrics, shutdown, task }
}

impl Server {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` on a connection of its own.
    pub(crate) async fn ask(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        Reply::read(&mut stream).await.expect("an answer")
    }
}

/// What to sign and send.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) target: Option<&'a str>,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) headers: Vec<(&'static str, &'a str)>,
    pub(crate) body: String,
}

pub(crate) fn describe(key_id: &str) -> Ask<'static> {
    Ask {
        target: Some("TrentService.DescribeKey"),
        region: "us-east-1",
        service: "kms",
        secret: "test",
        headers: vec![("content-type", "application/x-amz-json-1.1"), ("user-agent", "test/1")],
        body: serde_json::json!({"KeyId": key_id}).to_string(),
    }
}

pub(crate) fn sts(action: &str) -> Ask<'static> {
    Ask {
        target: None,
        service: "sts",
        headers: vec![("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
        body: format!("Action={action}&Version=2011-06-15"),
        ..describe("")
    }
}

impl Ask<'_> {
    pub(crate) fn signed(&self) -> http::Request<String> {
        self.signed_at(now())
    }

    pub(crate) fn signed_at(&self, at: Timestamp) -> http::Request<String> {
        let mut builder = http::Request::post("/").header("host", "kms.test").header("content-length", self.body.len());
        for (name, value) in &self.headers {
            builder = builder.header(*name, *value);
        }
        if let Some(target) = self.target {
            builder = builder.header("x-amz-target", target);
        }
        let (mut parts, body) = builder.body(self.body.clone()).unwrap().into_parts();
        let credentials = ClientCredentials::new("test", self.secret);
        let region = self.region.parse().unwrap();
        sigv4::sign(&mut parts, body.as_bytes(), &credentials, &region, self.service, at).unwrap();
        http::Request::from_parts(parts, body)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        to_bytes(&self.signed())
    }
}

pub(crate) fn to_bytes(request: &http::Request<String>) -> Vec<u8> {
    let mut bytes = b"POST / HTTP/1.1\r\n".to_vec();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(request.body().as_bytes());
    bytes
}

/// One answer of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Reads one answer; `None` if the connection ends instead.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        let status = head[9..12].parse().unwrap();
        Some(Self { status, head, body: String::from_utf8(body).unwrap() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Code and message of a refusal, which must have the form of one.
    pub(crate) fn refusal(&self) -> (u16, String, String) {
        assert_eq!(self.header("content-type"), Some("application/x-amz-json-1.1"));
        assert_eq!(self.header("x-amzn-requestid").map(str::len), Some(36));
        let json = self.json();
        let code = json["__type"].as_str().unwrap().to_owned();
        (self.status, code, json["message"].as_str().unwrap_or_default().to_owned())
    }
}

/// Waits until the server closes the connection.
pub(crate) async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    let _reset_is_fine_too = ended.expect("the server closes the connection");
    rest
}
