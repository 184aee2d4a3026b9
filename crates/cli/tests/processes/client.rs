//! A client of the API, small enough to send what no real client would: one connection per request, bytes as given.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use meridian_identity::ClientCredentials;
use meridian_identity::sigv4::sign;
use meridian_model::{Region, Timestamp};
use serde_json::{Value, json};

/// Longer than the service takes for any request.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Whom to ask, and as whom.
#[derive(Clone)]
pub struct Client {
    /// Where the API is.
    pub address: SocketAddr,
    /// What requests are signed for.
    pub region: Region,
    /// What they are signed with.
    pub credentials: ClientCredentials,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// The administrator of a local cluster at `address`.
    pub fn dev(address: SocketAddr, region: &str) -> Self {
        let region = region.parse().expect("a Region");
        Self { address, region, credentials: ClientCredentials::new("test", "test") }
    }

    /// Asks for `operation`; an error is one of the connection.
    pub fn try_call(&self, operation: &str, request: &Value) -> io::Result<Answer> {
        let body = request.to_string();
        self.send(&self.signed(operation, body.as_bytes()), body.as_bytes())
    }

    /// Asks for `operation`, which must succeed.
    pub fn call(&self, operation: &str, request: &Value) -> Value {
        let answer = self.try_call(operation, request).unwrap_or_else(|error| panic!("{operation}: {error}"));
        assert_eq!(answer.status, 200, "{operation} {request}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Asks for `operation` until it succeeds, for a cluster that is finding its leader.
    pub fn call_until_done(&self, operation: &str, request: &Value) -> Value {
        crate::process::wait_for(operation, || {
            let answer = self.try_call(operation, request).ok()?;
            (answer.status == 200).then(|| if answer.body.is_empty() { Value::Null } else { answer.json() })
        })
    }

    /// Makes a key, and gives its id.
    pub fn create_key(&self) -> String {
        let created = self.call("CreateKey", &json!({}));
        created["KeyMetadata"]["KeyId"].as_str().expect("a key has an id").to_owned()
    }

    /// Encrypts `text` under `key`; gives the ciphertext in base64. A node serves cryptography from what it has applied:
    /// it may hear of a key a moment after another one made it.
    pub fn encrypt(&self, key: &str, text: &str) -> String {
        let request = json!({"KeyId": key, "Plaintext": STANDARD.encode(text)});
        self.call_until_done("Encrypt", &request)["CiphertextBlob"].as_str().expect("a ciphertext").to_owned()
    }

    /// Decrypts what [`Self::encrypt`] gave.
    pub fn decrypt(&self, ciphertext: &str) -> String {
        let answer = self.call("Decrypt", &json!({"CiphertextBlob": ciphertext}));
        let plaintext = STANDARD.decode(answer["Plaintext"].as_str().expect("a plaintext")).expect("base64");
        String::from_utf8(plaintext).expect("text")
    }

    /// The head of a request for `operation`, complete and signed.
    pub fn signed(&self, operation: &str, body: &[u8]) -> Parts {
        let mut parts = self.unsigned(operation);
        self.sign(&mut parts, body, now());
        parts
    }

    /// The head of a request for `operation`, without a signature.
    pub fn unsigned(&self, operation: &str) -> Parts {
        let request = http::Request::post("/")
            .header("host", self.address.to_string())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("TrentService.{operation}"));
        request.body(()).expect("a valid request").into_parts().0
    }

    /// Signs `parts` as of `now`.
    pub fn sign(&self, parts: &mut Parts, body: &[u8], now: Timestamp) {
        sign(parts, body, &self.credentials, &self.region, "kms", now).expect("can be signed");
    }

    /// Sends a request with its length.
    pub fn send(&self, parts: &Parts, body: &[u8]) -> io::Result<Answer> {
        self.exchange(&[head(parts, &format!("content-length: {}\r\n", body.len())).as_slice(), body].concat())
    }

    /// Sends bytes and reads the one answer to them.
    pub fn exchange(&self, bytes: &[u8]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        // A server may answer, and close, before it has read everything.
        let written = stream.write_all(bytes);
        let mut received = Vec::new();
        match stream.read_to_end(&mut received) {
            Err(error) if received.is_empty() => return Err(written.err().unwrap_or(error)),
            _ => {}
        }
        Answer::parse(&received).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"))
    }

    /// Sends bytes, closes that direction, and reads the answer, if there is one.
    pub fn exchange_half(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.open(bytes);
        let _ = stream.shutdown(Shutdown::Write); // the server may have closed already
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received); // so may it now, with bytes unread
        Answer::parse(&received)
    }

    /// Sends bytes, and leaves the connection open.
    pub fn open(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT).expect("a connection");
        stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
        stream.set_write_timeout(Some(TIMEOUT)).expect("not zero");
        let _ = stream.write_all(bytes); // the server may close before it has read everything
        stream
    }

    /// `GET path`, without credentials.
    pub fn get(&self, path: &str) -> io::Result<Answer> {
        let text = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        self.exchange(text.as_bytes())
    }
}

impl Answer {
    fn parse(received: &[u8]) -> Option<Self> {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = &received[end + 4..];
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        (length.is_none_or(|length| length == body.len())).then(|| Self { status, head, body: body.to_vec() })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// The code of a refusal, or nothing.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["__type"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether the refusal carries the id that an operator can look for.
    pub fn has_request_id(&self) -> bool {
        self.head.contains("\r\nx-amzn-requestid: ")
    }
}

/// The head of a request as it goes over the wire, with `more` header lines.
pub fn head(parts: &Parts, more: &str) -> Vec<u8> {
    let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut bytes = format!("{} {path} HTTP/1.1\r\n", parts.method).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(more.as_bytes());
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    bytes
}

/// The time of the system.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).expect("this age"))
}
