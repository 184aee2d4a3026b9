//! Hostile bytes on a connection, with and without a valid signature: an answer in the service's form, or the end of the
//! connection; never a panic, a failure of ours, or a server that has had enough.

use std::time::Duration;

use meridian_hostile::Campaign;
use meridian_server::Limits;
use tokio::io::AsyncWriteExt;

use crate::support::{Ask, Reply, Server, closed, describe, start, sts};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/corpus");
const SHORT: Duration = Duration::from_millis(500);

const WORDS: [&str; 26] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    " ",
    ":",
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/2.0",
    "POST / ",
    "GET /metrics ",
    "content-length: 0\r\n",
    "content-length: 18446744073709551616\r\n",
    "content-length: -1\r\n",
    "transfer-encoding: chunked\r\n",
    "ffffffffffffffff\r\n",
    "0\r\n\r\n",
    "expect: 100-continue\r\n",
    "connection: close\r\n",
    "connection: upgrade\r\nupgrade: h2c\r\n",
    "x-amz-target: TrentService.Encrypt\r\n",
    "authorization: AWS4-HMAC-SHA256 \r\n",
    "host: a\r\n",
    "\0",
    "\u{fc}",
    "content-type: application/x-www-form-urlencoded\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

async fn unharmed(server: &Server) {
    assert_eq!(server.ask(&describe("k").to_bytes()).await.status, 200);
    assert_eq!(server.metrics.panics().get(), 0);
}

#[tokio::test]
async fn bytes_on_a_connection() {
    let limits = Limits { head_time_max: SHORT, body_time_max: SHORT, idle_time_max: SHORT, ..Limits::default() };
    let server = start(&["us-east-1"], limits).await;
    let valid = [
        describe("k").to_bytes(),
        sts("GetCallerIdentity").to_bytes(),
        b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
    ];
    for input in Campaign::against("bytes on a connection").inputs(valid).words(&WORDS).begin() {
        let mut stream = server.connect().await;
        if stream.write_all(&input).await.is_ok() {
            let _ = stream.shutdown().await; // nothing more will come
        }
        let answer = closed(&mut stream).await;
        assert!(!answer.starts_with(b"HTTP/1.1 5"), "{}", String::from_utf8_lossy(&answer));
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn bodies_that_are_signed() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let mut stream = server.connect().await;
    let campaign = Campaign::against("bodies that are signed")
        .folder(format!("{CORPUS}/requests"))
        .folder(format!("{CORPUS}/json"));
    for input in campaign.begin() {
        let Ok(body) = String::from_utf8(input) else { continue }; // the client of this test sends text
        for target in ["TrentService.Decrypt", "TrentService.CreateKey"] {
            let ask = Ask { target: Some(target), body: body.clone(), ..describe("") };
            stream.write_all(&ask.to_bytes()).await.unwrap();
            let reply = Reply::read(&mut stream).await.expect("the connection is kept");
            if reply.status != 200 {
                let (status, code, message) = reply.refusal();
                assert!(matches!(&*code, "ValidationException" | "SerializationException"), "{code}: {message}");
                assert!(status == 400 && !message.is_empty());
            }
        }
    }
    unharmed(&server).await;
}
