//! Connections: kept alive, pipelined, HTTP/2, TLS; panics and shutdown.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meridian_server::{Limits, tls};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::support::{Reply, closed, describe, start, start_with};

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let mut stream = server.connect().await;
    let mut ids = std::collections::BTreeSet::new();
    for key in ["a", "refuse", "b"] {
        stream.write_all(&describe(key).to_bytes()).await.unwrap();
        ids.insert(Reply::read(&mut stream).await.unwrap().header("x-amzn-requestid").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_refusal_that_needs_no_body_still_reads_it_and_keeps_the_connection() {
    let server = start(&["us-east-1"], Limits::default()).await;
    for head in [
        "POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: TrentService.Nothing\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: TrentService.DescribeKey\r\n",
        "PUT / HTTP/1.1\r\nhost: a\r\n",
        "POST /elsewhere HTTP/1.1\r\nhost: a\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(format!("{head}content-length: 2\r\n\r\n").as_bytes()).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await; // the head comes alone, as several clients send it
        }
        stream.write_all(b"{}").await.unwrap();
        assert!(Reply::read(&mut stream).await.unwrap().status >= 400, "{head}");
        stream.write_all(&describe("k").to_bytes()).await.unwrap();
        assert_eq!(Reply::read(&mut stream).await.expect(head).status, 200);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let mut stream = server.connect().await;
    let keys = ["a", "b", "c", "d"];
    let all: Vec<u8> = keys.iter().flat_map(|key| describe(key).to_bytes()).collect();
    let (first, second) = all.split_at(all.len() - 40);
    stream.write_all(first).await.unwrap();
    for (index, key) in keys.iter().enumerate() {
        if index == keys.len() - 1 {
            stream.write_all(second).await.unwrap();
        }
        assert_eq!(Reply::read(&mut stream).await.unwrap().json()["keyId"], *key);
    }
}

async fn ask_http2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> serde_json::Value {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let mut answers = Vec::new();
    for key in ["a", "b", "c"] {
        let (mut parts, body) = describe(key).signed().into_parts();
        parts.uri = "http://kms.test/".parse().unwrap();
        parts.headers.remove("host");
        let request = http::Request::from_parts(parts, Full::<bytes::Bytes>::from(body));
        answers.push(sender.send_request(request));
    }
    let mut last = serde_json::Value::Null;
    for answer in futures::future::join_all(answers).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().contains_key("x-amzn-requestid"));
        last = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    }
    last
}

#[tokio::test]
async fn http2_works_by_prior_knowledge() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let seen = ask_http2(server.connect().await).await;
    assert_eq!((&seen["keyId"], &seen["host"]), (&"c".into(), &"kms.test".into()));
}

/// Server settings, and a client connector that trusts them and offers `protocol`.
fn tls_pair(protocol: &[u8]) -> (Arc<rustls::ServerConfig>, TlsConnector) {
    let pair = rcgen::generate_simple_self_signed(["kms.test".to_owned()]).unwrap();
    let config = tls::server_config(pair.cert.pem().as_bytes(), pair.signing_key.serialize_pem().as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    (config, TlsConnector::from(Arc::new(client)))
}

#[tokio::test]
async fn tls_speaks_both_protocols_and_prefers_the_hybrid_exchange() {
    for protocol in ["http/1.1", "h2"] {
        let (config, connector) = tls_pair(protocol.as_bytes());
        let server = start_with(&["us-east-1"], Limits::default(), Some(config)).await;
        let name = ServerName::try_from("kms.test").unwrap();
        let mut stream = connector.connect(name, server.connect().await).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        let seen = if protocol == "h2" {
            ask_http2(stream).await
        } else {
            stream.write_all(&describe("c").to_bytes()).await.unwrap();
            Reply::read(&mut stream).await.unwrap().json()
        };
        assert_eq!(seen["keyId"], "c");
        assert_eq!((&seen["tls"][0], &seen["tls"][2]), (&"TLSv1.3".into(), &"X25519MLKEM768".into()));
        assert!(seen["tls"][1].as_str().unwrap().starts_with("TLS_AES_"), "{seen}");
    }
}

#[tokio::test]
async fn a_tls_port_speaks_nothing_else() {
    let limits = Limits { head_time_max: Duration::from_millis(200), ..Limits::default() };
    let server = start_with(&["us-east-1"], limits, Some(tls_pair(b"h2").0)).await;
    let mut plain = server.connect().await;
    plain.write_all(&describe("k").to_bytes()).await.unwrap();
    let answer = closed(&mut plain).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    assert!(closed(&mut server.connect().await).await.is_empty(), "a handshake has its time");
}

#[test]
fn unusable_tls_material_is_refused() {
    let pair = rcgen::generate_simple_self_signed(["kms.test".to_owned()]).unwrap();
    let (certificate, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(["kms.test".to_owned()]).unwrap().signing_key.serialize_pem();
    for (certificate, key) in
        [("", key.as_str()), (certificate.as_str(), ""), ("junk", "junk"), (certificate.as_str(), other.as_str())]
    {
        assert!(tls::server_config(certificate.as_bytes(), key.as_bytes()).is_err());
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_of_one_request() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(&describe("panic").to_bytes()).await.unwrap();
    let reply = Reply::read(&mut stream).await.unwrap();
    let (status, code, _) = reply.refusal();
    assert_eq!((status, code.as_str()), (500, "KMSInternalException"));
    assert!(!reply.body.contains("canary") && !reply.head.contains("canary"));
    assert_eq!(server.metrics.panics().get(), 1);
    stream.write_all(&describe("k").to_bytes()).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.unwrap().status, 200);
}

#[tokio::test]
async fn shutdown_lets_requests_end_and_takes_no_new_ones() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(&describe("wait").to_bytes()).await.unwrap();
    server.puppets[0].started.notified().await;
    server.shutdown.cancel();
    assert!(closed(&mut idle).await.is_empty());
    assert!(!server.task.is_finished());
    server.puppets[0].release.notify_one();
    assert_eq!(Reply::read(&mut busy).await.unwrap().status, 200);
    assert!(closed(&mut busy).await.is_empty());
    server.task.await.unwrap();
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
    assert_eq!(server.metrics.connections().get(), 0);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let limits = Limits { shutdown_time_max: Duration::from_millis(100), ..Limits::default() };
    let server = start(&["us-east-1"], limits).await;
    let mut stuck = server.connect().await;
    stuck.write_all(&describe("wait").to_bytes()).await.unwrap();
    server.puppets[0].started.notified().await;
    server.shutdown.cancel();
    server.task.await.unwrap();
    let mut rest = Vec::new();
    let _reset_is_fine_too = stuck.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_handshakes() {
    let server = start_with(&["us-east-1"], Limits::default(), Some(tls_pair(b"h2").0)).await;
    let mut silent = server.connect().await;
    while server.metrics.connections().get() == 0 {
        tokio::task::yield_now().await;
    }
    let asked = std::time::Instant::now();
    server.shutdown.cancel();
    server.task.await.unwrap();
    assert!(asked.elapsed() < Limits::default().head_time_max);
    assert!(closed(&mut silent).await.is_empty());
}
