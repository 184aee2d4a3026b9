//! What a client may not do to the server, none of which takes a signature to be refused.

use std::time::Duration;

use meridian_server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Ask, Reply, Server, closed, describe, start};

const SHORT: Duration = Duration::from_millis(200);

fn tight() -> Limits {
    Limits { head_time_max: SHORT, body_time_max: SHORT, idle_time_max: SHORT * 2, ..Limits::default() }
}

/// The server still serves others.
async fn unharmed(server: &Server) {
    assert_eq!(server.ask(&describe("k").to_bytes()).await.status, 200);
}

fn head_for(length: usize) -> String {
    let mut request = describe("k").signed();
    request.headers_mut().insert("content-length", length.into());
    request.body_mut().clear();
    String::from_utf8(crate::support::to_bytes(&request)).unwrap()
}

#[tokio::test]
async fn a_body_of_a_mebibyte_is_read_and_one_more_byte_is_not() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let padded = |length: usize| {
        let (start, end) = ("{\"KeyId\":\"k\",\"Padding\":\"", "\"}");
        let ask = Ask { body: format!("{start}{}{end}", "x".repeat(length - start.len() - end.len())), ..describe("") };
        ask.to_bytes()
    };
    assert_eq!(server.ask(&padded(1 << 20)).await.status, 200);
    let (status, code, _) = server.ask(&padded((1 << 20) + 1)).await.refusal();
    assert_eq!((status, code.as_str()), (413, "RequestEntityTooLargeException"));
    unharmed(&server).await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_too() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let mut stream = server.connect().await;
    let head = head_for(0).replace("content-length: 0", "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.unwrap().status, 413);
    unharmed(&server).await;
}

#[tokio::test]
async fn many_large_bodies_wait_for_each_other() {
    let server = start(&["us-east-1"], Limits { large_bodies_max: 1, ..Limits::default() }).await;
    let ask = Ask { body: format!("{{\"KeyId\":\"k\",\"Padding\":\"{}\"}}", "x".repeat(500_000)), ..describe("") };
    let ask = ask.to_bytes();
    let asked = futures::future::join_all((0..8).map(|_| server.ask(&ask))).await;
    assert!(asked.iter().all(|reply| reply.status == 200));
}

#[tokio::test]
async fn a_truncated_body_reaches_nobody() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(head_for(100).as_bytes()).await.unwrap();
    stream.write_all(b"{\"KeyId\":").await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = String::from_utf8(closed(&mut stream).await).unwrap();
    assert!(answer.is_empty() || answer.contains("SerializationException"), "{answer}");
    unharmed(&server).await;
}

#[tokio::test]
async fn a_slow_body_is_not_waited_for() {
    let server = start(&["us-east-1"], tight()).await;
    let mut stream = server.connect().await;
    stream.write_all(head_for(100).as_bytes()).await.unwrap();
    let (status, code, _) = Reply::read(&mut stream).await.unwrap().refusal();
    assert_eq!((status, code.as_str()), (400, "SerializationException"));
    unharmed(&server).await;
}

#[tokio::test]
async fn a_slow_head_is_not_waited_for_however_steadily_it_drips() {
    let server = start(&["us-east-1"], Limits { idle_time_max: Duration::from_mins(1), ..tight() }).await;
    for first in ["P", "PRI", "POST / HTTP/1.1\r\nhost: a\r\n"] {
        let (mut reader, mut writer) = server.connect().await.into_split();
        writer.write_all(first.as_bytes()).await.unwrap();
        let dripping = tokio::spawn(async move {
            let mut pace = tokio::time::interval(SHORT / 10);
            while writer.write_all(b"x").await.is_ok() {
                pace.tick().await;
            }
        });
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(SHORT * 50, reader.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{first:?} is still open");
        dripping.abort();
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn http2_connections_are_bounded_by_the_idle_time() {
    let server = start(&["us-east-1"], tight()).await;
    let mut stream = server.connect().await;
    let opened = std::time::Instant::now();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    closed(&mut stream).await;
    assert!(opened.elapsed() > SHORT * 2, "closed after {:?}", opened.elapsed());
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_used_one_kept() {
    let server = start(&["us-east-1"], tight()).await;
    let idle = [server.connect().await, server.connect().await];
    let mut used = server.connect().await;
    let mut pace = tokio::time::interval(SHORT / 2);
    for _ in 0..8 {
        pace.tick().await;
        used.write_all(&describe("k").to_bytes()).await.unwrap();
        assert_eq!(Reply::read(&mut used).await.unwrap().status, 200);
    }
    for mut stream in idle {
        assert!(closed(&mut stream).await.is_empty());
    }
    assert!(closed(&mut used).await.is_empty());
}

#[tokio::test]
async fn a_request_that_takes_long_is_not_idle() {
    let server = start(&["us-east-1"], tight()).await;
    let mut stream = server.connect().await;
    stream.write_all(&describe("wait").to_bytes()).await.unwrap();
    server.puppets[0].started.notified().await;
    tokio::time::sleep(SHORT * 5).await; // longer than any limit on idleness
    server.puppets[0].release.notify_one();
    assert_eq!(Reply::read(&mut stream).await.unwrap().status, 200);
}

#[tokio::test]
async fn heads_are_bounded_in_fields_and_bytes() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let many = (0..200).map(|number| format!("x-{number}: 1")).collect::<Vec<_>>().join("\r\n") + "\r\n";
    let long = format!("x: {}\r\n", "y".repeat(100 << 10));
    for flood in [many, long] {
        let mut stream = server.connect().await;
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{flood}\r\n");
        let _closed_early = stream.write_all(request.as_bytes()).await;
        let answer = closed(&mut stream).await;
        let refused = answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 ") || answer.starts_with(b"HTTP/1.1 400 ");
        assert!(refused, "{}", String::from_utf8_lossy(&answer));
    }
    let token = "z".repeat(16 << 10);
    let ask = Ask { headers: vec![("x-big", &token)], ..describe("k") };
    assert_eq!(server.ask(&ask.to_bytes()).await.status, 200);
    unharmed(&server).await;
}

#[tokio::test]
async fn what_is_no_http_is_dropped() {
    let server = start(&["us-east-1"], tight()).await;
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"]
    {
        let mut stream = server.connect().await;
        stream.write_all(bytes).await.unwrap();
        closed(&mut stream).await;
    }
    for framing in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: -1",
        "content-length: 99999999999999999999",
        "transfer-encoding: gzip",
        "content-length: 2\r\ntransfer-encoding: chunked",
    ] {
        let mut stream = server.connect().await;
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{{}}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(closed(&mut stream).await).unwrap();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{framing}: {answer}");
    }
    unharmed(&server).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = start(&["us-east-1"], Limits { connections_max: 2, ..Limits::default() }).await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    for stream in [&mut first, &mut second] {
        stream.write_all(&describe("k").to_bytes()).await.unwrap();
        assert_eq!(Reply::read(stream).await.unwrap().status, 200);
    }
    let mut third: TcpStream = server.connect().await;
    third.write_all(&describe("k").to_bytes()).await.unwrap();
    let early = tokio::time::timeout(SHORT, third.read_u8()).await;
    assert!(early.is_err(), "the third connection was served beside two others");
    drop(first);
    assert_eq!(Reply::read(&mut third).await.unwrap().status, 200);
}
