//! The wire of the API: routing, signatures, errors, Regions, STS.

use crate::support::{Ask, Reply, closed, describe, now, start, sts, to_bytes};
use meridian_model::{ErrorCode, Operation, Timestamp};
use meridian_server::Limits;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn an_operation_is_answered_with_its_request_id() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let reply = server.ask(&describe("alias/a").to_bytes()).await;
    assert_eq!(reply.status, 200);
    let seen = reply.json();
    assert_eq!(reply.header("x-amzn-requestid"), seen["requestId"].as_str());
    assert_eq!(reply.header("content-type"), Some("application/x-amz-json-1.1"));
    assert!(reply.header("date").is_some());
    assert_eq!(seen["arn"], "arn:aws:iam::000000000000:user/administrator");
    assert_eq!((&seen["userAgent"], &seen["host"]), (&"test/1".into(), &"kms.test".into()));
    assert_eq!((&seen["sourceIp"], &seen["tls"]), (&"127.0.0.1".into(), &serde_json::Value::Null));

    let ask = Ask { target: Some("TrentService.EnableKey"), ..describe("k") };
    let reply = server.ask(&ask.to_bytes()).await;
    assert_eq!((reply.status, reply.body.as_str(), reply.header("content-length")), (200, "", Some("0")));
}

#[tokio::test]
async fn refusals_carry_code_and_message() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let refusal = server.ask(&describe("refuse").to_bytes()).await.refusal();
    assert_eq!(refusal, (400, "NotFoundException".into(), "Key 'refuse' does not exist".into()));
    let reply = server.ask(&describe("refuse silently").to_bytes()).await;
    assert_eq!(reply.json(), serde_json::json!({"__type": "InvalidCiphertextException"}));
    let exposition = server.metrics.encode();
    let counted = r#"{region="us-east-1",operation="DescribeKey",code="NotFoundException"} 1"#;
    assert!(exposition.contains(counted), "{exposition}");
}

#[tokio::test]
async fn only_known_targets_are_operations() {
    let server = start(&["us-east-1"], Limits::default()).await;
    for target in [None, Some(""), Some("TrentService.Nothing"), Some("Other.Encrypt"), Some("TrentService.encrypt")] {
        let ask = Ask { target, ..describe("k") };
        let expected = (400, "UnknownOperationException".to_owned(), String::new());
        assert_eq!(server.ask(&ask.to_bytes()).await.refusal(), expected, "{target:?}");
    }
    for target in
        ["x-amz-target: \u{fc}\u{1f600}", "x-amz-target: TrentService.DescribeKey\r\nx-amz-target: TrentService.X"]
    {
        let raw = format!("POST / HTTP/1.1\r\nhost: a\r\n{target}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(server.ask(raw.as_bytes()).await.refusal().1, "UnknownOperationException", "{target}");
    }
}

#[tokio::test]
async fn nobody_is_believed_without_a_signature() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let unsigned =
        b"POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: TrentService.DescribeKey\r\ncontent-length: 2\r\n\r\n{}";
    let refusal = server.ask(unsigned).await.refusal();
    assert_eq!((refusal.0, refusal.1.as_str()), (400, "MissingAuthenticationTokenException"));

    let refused = |ask: Ask<'static>| {
        let server = &server;
        async move { server.ask(&ask.to_bytes()).await.refusal().1 }
    };
    assert_eq!(refused(Ask { secret: "wrong", ..describe("k") }).await, "InvalidSignatureException");
    assert_eq!(refused(Ask { service: "s3", ..describe("k") }).await, "InvalidSignatureException");
    assert_eq!(refused(Ask { service: "sts", ..describe("k") }).await, "InvalidSignatureException");

    let mut tampered = describe("key").signed();
    *tampered.body_mut() = tampered.body().replace("key", "kez");
    assert_eq!(server.ask(&to_bytes(&tampered)).await.refusal().1, "InvalidSignatureException");
    let stale = describe("key").signed_at(Timestamp::from_millis(now().as_millis() - 3_600_000));
    assert_eq!(server.ask(&to_bytes(&stale)).await.refusal().1, "InvalidSignatureException");
    let mut unknown = describe("key").signed();
    let text = unknown.headers()["authorization"].to_str().unwrap().replace("Credential=test/", "Credential=toast/");
    unknown.headers_mut().insert("authorization", text.parse().unwrap());
    assert_eq!(server.ask(&to_bytes(&unknown)).await.refusal().1, "UnrecognizedClientException");
    unknown.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 nonsense".parse().unwrap());
    assert_eq!(server.ask(&to_bytes(&unknown)).await.refusal().1, "IncompleteSignatureException");
    assert!(server.puppets[0].refused.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_decoded_is_recorded_and_refused() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let ask = Ask { body: "{\"KeyId\":7}".into(), ..describe("") };
    assert_eq!(server.ask(&ask.to_bytes()).await.refusal().1, "SerializationException");
    assert_eq!(
        server.ask(&Ask { body: "{}".into(), ..describe("") }.to_bytes()).await.refusal().1,
        "ValidationException"
    );
    let expected =
        [(Operation::DescribeKey, ErrorCode::Serialization), (Operation::DescribeKey, ErrorCode::Validation)];
    assert_eq!(*server.puppets[0].refused.lock().unwrap(), expected);

    let unrecordable = Ask { headers: vec![("user-agent", "unrecordable")], ..ask };
    assert_eq!(server.ask(&unrecordable.to_bytes()).await.refusal().1, "KMSInternalException");
}

/// One request that is wrong in every way, repaired step by step.
#[tokio::test]
async fn faults_are_told_in_order() {
    let server = start(&["us-east-1"], Limits::default()).await;
    let mut ask = Ask { target: Some("TrentService.Nothing"), secret: "wrong", body: "[]".into(), ..describe("") };
    assert_eq!(server.ask(&ask.to_bytes()).await.refusal().1, "UnknownOperationException");
    ask.target = Some("TrentService.DescribeKey");
    assert_eq!(server.ask(&ask.to_bytes()).await.refusal().1, "InvalidSignatureException");
    ask.secret = "test";
    assert_eq!(server.ask(&ask.to_bytes()).await.refusal().1, "SerializationException");
    ask.body = describe("refuse").body;
    assert_eq!(server.ask(&ask.to_bytes()).await.refusal().1, "NotFoundException");
    ask.body = describe("k").body;
    assert_eq!(server.ask(&ask.to_bytes()).await.status, 200);
}

#[tokio::test]
async fn the_signed_region_is_the_one_that_answers() {
    let gateway = start(&["us-east-1", "eu-west-1"], Limits::default()).await;
    for region in ["us-east-1", "eu-west-1"] {
        let reply = gateway.ask(&Ask { region, ..describe("k") }.to_bytes()).await;
        assert_eq!(reply.json()["region"], region);
    }
    let port = start(&["eu-west-1"], Limits::default()).await;
    for server in [&gateway, &port] {
        let refusal = server.ask(&Ask { region: "us-west-2", ..describe("k") }.to_bytes()).await.refusal();
        assert_eq!((refusal.0, refusal.1.as_str()), (400, "InvalidSignatureException"));
        assert!(refusal.2.starts_with("Credential should be scoped to a valid region"), "{}", refusal.2);
    }
    assert_eq!(port.ask(&describe("k").to_bytes()).await.refusal().1, "InvalidSignatureException");
}

#[tokio::test]
async fn sts_tells_callers_who_they_are() {
    let server = start(&["us-east-1", "eu-west-1"], Limits::default()).await;
    for region in ["us-east-1", "eu-west-1"] {
        let reply = server.ask(&Ask { region, ..sts("GetCallerIdentity") }.to_bytes()).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/xml")));
        assert!(reply.body.contains("<Arn>arn:aws:iam::000000000000:user/administrator</Arn>"), "{}", reply.body);
        assert!(reply.body.contains(&format!("<Region>{region}</Region>")), "{}", reply.body);
        assert!(reply.body.contains(reply.header("x-amzn-requestid").unwrap()));
    }
    let reply = server.ask(&Ask { secret: "wrong", ..sts("GetCallerIdentity") }.to_bytes()).await;
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("<Code>SignatureDoesNotMatch</Code>"), "{}", reply.body);
    let unsigned =
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 0\r\n\r\n";
    let reply = server.ask(unsigned).await;
    assert!(reply.status == 403 && reply.body.contains("<Code>MissingAuthenticationToken</Code>"), "{reply:?}");
    assert_eq!(server.ask(&sts("Nothing").to_bytes()).await.status, 400);
    let iam = Ask { service: "iam", secret: "wrong", ..sts("ListUsers") };
    assert!(server.ask(&iam.to_bytes()).await.body.contains("xmlns=\"https://iam.amazonaws.com/"));
}

#[tokio::test]
async fn iam_is_served_by_its_home_whatever_region_it_is_signed_for() {
    let server = start(&["eu-west-1", "ap-southeast-1"], Limits::default()).await; // the last one is the home
    for region in ["eu-west-1", "ap-southeast-1", "us-east-1", "cn-north-1"] {
        let body = "Action=ListUsers&Version=2010-05-08".to_owned();
        let reply = server.ask(&Ask { region, service: "iam", body, ..sts("") }.to_bytes()).await;
        assert!(reply.status == 200 && reply.body.contains("<Region>ap-southeast-1</Region>"), "{reply:?}");
    }
    let body = "Action=CreateUser&Version=2010-05-08&UserName=a".to_owned();
    let reply = server.ask(&Ask { region: "us-east-1", service: "iam", body, ..sts("") }.to_bytes()).await;
    assert_eq!(reply.status, 409);
    for part in
        ["<Type>Sender</Type>", "<Code>EntityAlreadyExists</Code>", "<Message>User with name a&amp;b already exists."]
    {
        assert!(reply.body.contains(part), "{}", reply.body);
    }
    let elsewhere = Ask { region: "us-west-2", service: "iam", ..sts("ListUsers") };
    assert!(server.ask(&elsewhere.to_bytes()).await.body.contains("<Code>SignatureDoesNotMatch</Code>"));
}

#[tokio::test]
async fn everything_else_is_told_apart() {
    let server = start(&["us-east-1", "eu-west-1"], Limits::default()).await;
    let rows = [
        ("GET /healthz", 200),
        ("HEAD /healthz", 200),
        ("GET /metrics", 200),
        ("GET /readyz", 200),
        ("POST /healthz", 405),
        ("GET /", 405),
        ("DELETE /", 405),
        ("GET /etc/passwd", 404),
        ("POST /other", 404),
        ("OPTIONS *", 404),
    ];
    for (request, status) in rows {
        let raw = format!("{request} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let mut stream = server.connect().await;
        stream.write_all(raw.as_bytes()).await.unwrap();
        let answer = String::from_utf8(closed(&mut stream).await).unwrap();
        assert_eq!(answer[9..12].parse(), Ok(status), "{request}: {answer}");
    }
}

#[tokio::test]
async fn readiness_follows_the_nodes() {
    let server = start(&["us-east-1", "eu-west-1"], Limits::default()).await;
    let ask = b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(server.ask(ask).await.json()["ready"], true);
    server.puppets[1].ready.store(false, std::sync::atomic::Ordering::Relaxed);
    let reply: Reply = server.ask(ask).await;
    assert_eq!(reply.status, 503);
    let region = &reply.json()["regions"][1];
    assert_eq!((&region["region"], &region["ready"]), (&"eu-west-1".into(), &false.into()));
    let expected = serde_json::json!({
        "node": "eu-west-1/1", "ready": false, "sealed": true, "leaderKnown": true, "fresh": true,
        "recording": true,
    });
    assert_eq!(region["nodes"][0], expected);
}
