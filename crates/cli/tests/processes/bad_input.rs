//! What no well-behaved client sends. Each is refused in the service's own words, and none leaves a mark.

use std::time::Duration;

use http::HeaderValue;
use meridian_model::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{Answer, Client, head, now};
use crate::cluster::{Dev, DevOptions};

/// Where the id of the key stands in a ciphertext.
const KEY_ID: std::ops::Range<usize> = 5..22;
/// The longest body that is read.
const BODY_BYTES_MAX: usize = 1 << 20;

#[test]
fn nothing_that_a_client_sends_harms_the_service() {
    let dev = DevOptions::one_region(1).ephemeral().start();
    let client = dev.client("us-east-1");
    let key = client.create_key();
    let ciphertext = client.encrypt(&key, "still readable");

    bodies(&client, &key);
    contents(&client, &key, &ciphertext);
    targets(&client);
    signatures(&client, &dev);
    connections(&client);

    assert_eq!(client.decrypt(&ciphertext), "still readable");
    let keys = client.call("ListKeys", &json!({}));
    assert_eq!(keys["Keys"].as_array().map(Vec::len), Some(1), "nothing was half done: {keys}");
    let metrics = client.get("/metrics").expect("an answer").text();
    assert!(metrics.contains("meridian_panics_total 0"), "{metrics}");
    dev.process.end(Signal::TERM).assert_clean();
}

/// Bodies that are no request.
fn bodies(client: &Client, key: &str) {
    let check = |operation: &str, body: &[u8], status: u16, code: &str| {
        let answer = client.send(&client.signed(operation, body), body).expect("an answer");
        refused(&format!("{operation} {}", excerpt(body)), &answer, status, code);
    };
    let whole = json!({"KeyId": key}).to_string().into_bytes();
    for length in 1..whole.len() {
        check("DescribeKey", &whole[..length], 400, "SerializationException");
    }
    let deep = |open: &str, close: &str| format!("{{\"KeyId\": {}{}}}", open.repeat(100_000), close.repeat(100_000));
    for body in [
        &b"\xff\xfe{\"KeyId\": \"x\"}"[..],
        b"{\"KeyId\": \"\xc3\x28\"}",
        b"{\"KeyId\": \"\xed\xa0\x80\"}",
        b"{\"KeyId\": \"\\ud800\"}",
        b"{\"KeyId\": 1}",
        b"{\"KeyId\": null, \"KeyId\": 7}",
        b"{\"KeyId\": [\"x\"]}",
        b"{\"KeyId\": {\"x\": 1}}",
        b"{\"KeyId\": true}",
        b"[]",
        b"\"text\"",
        b"17",
        b"{\"KeyId\": \"x\"} {}",
        b"{\"KeyId\": \"x\",}",
        b"{'KeyId': 'x'}",
        b"\0",
        b"<xml/>",
        b"{\"KeyId\": 1e999999}",
        deep("[", "]").as_bytes(),
        deep("{\"a\":", "}").as_bytes(),
        "[".repeat(500_000).as_bytes(),
    ] {
        check("DescribeKey", body, 400, "SerializationException");
    }
    let numbers: [&[u8]; 4] = [
        b"{\"NumberOfBytes\": \"16\"}",
        b"{\"NumberOfBytes\": 1.5}",
        b"{\"NumberOfBytes\": 99999999999999999999}",
        b"{\"NumberOfBytes\": {}}",
    ];
    for body in numbers {
        check("GenerateRandom", body, 400, "SerializationException");
    }
    for plaintext in ["%%%", "abc", "YQ", "Y Q==", "YQ==YQ=="] {
        let body = json!({"KeyId": key, "Plaintext": plaintext}).to_string();
        check("Encrypt", body.as_bytes(), 400, "SerializationException");
    }
    lengths(client, key);
}

/// Bodies at the limit: with the length said first, and in chunks.
fn lengths(client: &Client, key: &str) {
    let padded = |length: usize| {
        let (before, after) = (format!("{{\"KeyId\": \"{key}\""), "}");
        format!("{before}{}{after}", " ".repeat(length - before.len() - after.len())).into_bytes()
    };
    let fits = padded(BODY_BYTES_MAX);
    let answer = client.send(&client.signed("DescribeKey", &fits), &fits).expect("an answer");
    assert_eq!(answer.status, 200, "a body of exactly the limit: {}", answer.text());
    for length in [BODY_BYTES_MAX + 1, 3 * BODY_BYTES_MAX] {
        let body = padded(length);
        let parts = client.signed("DescribeKey", &body);
        refused("too long", &client.send(&parts, &body).expect("an answer"), 413, "RequestEntityTooLargeException");
        let chunk = [format!("{length:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
        let bytes = [head(&parts, "transfer-encoding: chunked\r\n"), chunk].concat();
        let answer = client.exchange(&bytes).expect("an answer");
        refused("too long, in a chunk", &answer, 413, "RequestEntityTooLargeException");
    }
    // Only a claim: nothing of it is waited for.
    let claim = head(&client.signed("DescribeKey", b"{}"), "content-length: 99999999999\r\n");
    let answer = client.exchange_half(&claim);
    assert!(answer.is_none_or(|answer| answer.status == 413));
}

/// Requests that can be read, and ask for what cannot be.
fn contents(client: &Client, key: &str, ciphertext: &str) {
    let check = |operation: &str, request: Value, status: u16, code: &str| {
        let answer = client.try_call(operation, &request).expect("an answer");
        refused(&format!("{operation} {}", excerpt(request.to_string().as_bytes())), &answer, status, code);
    };
    let unknown = "11111111-2222-3333-4444-555555555555";
    let arn = |region: &str, account: &str, resource: &str| format!("arn:aws:kms:{region}:{account}:{resource}");
    let ours = |resource: &str| arn("us-east-1", "000000000000", resource);
    for (id, code) in [
        (unknown.to_owned(), "NotFoundException"),
        ("alias/nobody".to_owned(), "NotFoundException"),
        ("../../etc/passwd".to_owned(), "NotFoundException"),
        ("x".repeat(2048), "NotFoundException"),
        ("x".repeat(2049), "ValidationException"),
        (String::new(), "ValidationException"),
        (ours(&format!("key/{unknown}")), "NotFoundException"),
        (ours("key/"), "NotFoundException"),
        (ours("alias/nobody"), "NotFoundException"),
        (arn("mars-north-1", "000000000000", &format!("key/{key}")), "NotFoundException"),
        (arn("us-east-1", "999999999999", &format!("key/{key}")), "NotFoundException"),
        (ours(key), "InvalidArnException"),
        (arn("us-east-1", "12", &format!("key/{key}")), "InvalidArnException"),
        (format!("arn:aws:s3:us-east-1:000000000000:key/{key}"), "InvalidArnException"),
        ("arn:".to_owned(), "InvalidArnException"),
        ("arn:::::".to_owned(), "InvalidArnException"),
        (format!("arn:aws:kms:us-east-1:000000000000:key/{key}:more"), "NotFoundException"),
        ("\u{0}\u{7}\u{1f600}".to_owned(), "NotFoundException"),
    ] {
        check("DescribeKey", json!({"KeyId": id}), 400, code);
        check("Encrypt", json!({"KeyId": id, "Plaintext": "YQ=="}), 400, code);
    }
    check("DescribeKey", json!({}), 400, "ValidationException");
    check("Encrypt", json!({"KeyId": key, "Plaintext": ""}), 400, "ValidationException");
    check("Encrypt", json!({"KeyId": key, "Plaintext": "A".repeat(8192)}), 400, "ValidationException");
    check("CreateKey", json!({"Policy": "{"}), 400, "MalformedPolicyDocumentException");
    check("CreateKey", json!({"KeySpec": "ROT13"}), 400, "ValidationException");
    check("CreateKey", json!({"Description": "x".repeat(8193)}), 400, "ValidationException");
    check("CreateAlias", json!({"AliasName": "alias/aws/mine", "TargetKeyId": key}), 400, "NotAuthorizedException");
    check("CreateAlias", json!({"AliasName": "nobody", "TargetKeyId": key}), 400, "ValidationException");
    check("ListKeys", json!({"Limit": 0}), 400, "ValidationException");
    check("ListKeys", json!({"Limit": 1001}), 400, "ValidationException");
    check("ListKeys", json!({"Marker": "made up"}), 400, "InvalidMarkerException");
    check("GenerateRandom", json!({"NumberOfBytes": 1025}), 400, "ValidationException");
    check("GenerateRandom", json!({"NumberOfBytes": 0}), 400, "ValidationException");
    foreign_ciphertexts(&check, ciphertext);
}

/// Ciphertexts that are not ours, or no longer.
fn foreign_ciphertexts(check: &impl Fn(&str, Value, u16, &str), ciphertext: &str) {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let ours = STANDARD.decode(ciphertext).expect("base64");
    let decrypt = |bytes: &[u8]| {
        let request = json!({"CiphertextBlob": STANDARD.encode(bytes)});
        check("Decrypt", request, 400, "InvalidCiphertextException");
    };
    for byte in 0..ours.len() {
        let mut changed = ours.clone();
        changed[byte] ^= 1;
        let request = json!({"CiphertextBlob": STANDARD.encode(changed)});
        // A changed key id names a key that does not exist, and AWS KMS does not say which of the two it is.
        let code = if KEY_ID.contains(&byte) { "AccessDeniedException" } else { "InvalidCiphertextException" };
        check("Decrypt", request, 400, code);
    }
    for length in [1, 16, ours.len() / 2, ours.len() - 1] {
        decrypt(&ours[..length]);
    }
    decrypt(&[ours.as_slice(), b"more"].concat());
    decrypt(&vec![0; 6144]);
    decrypt(b"AQICAHh from somewhere else entirely, with a length that is plausible");
    let context = json!({"CiphertextBlob": ciphertext, "EncryptionContext": {"not": "there"}});
    check("Decrypt", context, 400, "InvalidCiphertextException");
    check("Decrypt", json!({"CiphertextBlob": STANDARD.encode(vec![0; 6145])}), 400, "ValidationException");
    check("Decrypt", json!({}), 400, "ValidationException");
}

/// Requests for what there is not.
fn targets(client: &Client) {
    let check = |target: Option<&[u8]>, status: u16, code: &str| {
        let mut parts = client.unsigned("ListKeys");
        parts.headers.remove("x-amz-target");
        if let Some(target) = target {
            parts.headers.insert("x-amz-target", HeaderValue::from_bytes(target).expect("a header value"));
        }
        let what = format!("target {:?}", target.map(String::from_utf8_lossy));
        client.sign(&mut parts, b"{}", now());
        refused(&what, &client.send(&parts, b"{}").expect("an answer"), status, code);
    };
    let targets: [&[u8]; 8] = [
        b"TrentService.Explode",
        b"TrentService.",
        b"TrentService.listkeys",
        b"ListKeys",
        b"OtherService.ListKeys",
        b"TrentService.ListKeys.More",
        b"\xff\xfe",
        b"",
    ];
    for target in targets {
        check(Some(target), 400, "UnknownOperationException");
    }
    check(Some(&b"T".repeat(8_000)), 400, "UnknownOperationException");
    check(None, 400, "UnknownOperationException");
    for (request, status) in [
        ("GET / HTTP/1.1", 405),
        ("PUT / HTTP/1.1", 405),
        ("DELETE / HTTP/1.1", 405),
        ("OPTIONS / HTTP/1.1", 405),
        ("BREW / HTTP/1.1", 405),
        ("POST /healthz HTTP/1.1", 405),
        ("POST /anywhere HTTP/1.1", 404),
        ("GET /../../etc/passwd HTTP/1.1", 404),
        ("GET /%2e%2e/%00 HTTP/1.1", 404),
    ] {
        let text = format!("{request}\r\nhost: {}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", client.address);
        let answer = client.exchange(text.as_bytes()).expect("an answer");
        assert_eq!(answer.status, status, "{request}: {}", answer.text());
    }
}

/// Signatures that prove nothing.
fn signatures(client: &Client, dev: &Dev) {
    let body = b"{}";
    let send = |parts: &http::request::Parts| client.send(parts, body).expect("an answer");
    let check = |what: &str, answer: &Answer, code: &str| refused(what, answer, 400, code);
    check("none", &send(&client.unsigned("ListKeys")), "MissingAuthenticationTokenException");

    let as_other = |id: &str, secret: &str| {
        let credentials = meridian_identity::ClientCredentials::new(id, secret);
        let other = Client { credentials, ..client.clone() };
        send(&other.signed("ListKeys", body))
    };
    check("a wrong secret", &as_other("test", "guess"), "InvalidSignatureException");
    check("an unknown key", &as_other("AKIAIOSFODNN7EXAMPLE", "test"), "UnrecognizedClientException");
    check("an empty key", &as_other("", "test"), "UnrecognizedClientException");
    check("a long key", &as_other(&"A".repeat(4_000), "test"), "UnrecognizedClientException");

    let elsewhere = dev.client("eu-west-1");
    check("another Region", &send(&elsewhere.signed("ListKeys", body)), "InvalidSignatureException");

    let day = Duration::from_hours(24);
    let yesterday = Timestamp::from_millis(now().as_millis() - u64::try_from(day.as_millis()).expect("short"));
    for (what, time) in [("expired", yesterday), ("early", now().plus(day)), ("ancient", Timestamp::from_millis(0))] {
        let mut parts = client.unsigned("ListKeys");
        client.sign(&mut parts, body, time);
        check(what, &send(&parts), "InvalidSignatureException");
    }

    let signed = client.signed("ListKeys", body);
    let tampered = client.send(&signed, b"{\"Limit\": 1}").expect("an answer");
    check("a tampered body", &tampered, "InvalidSignatureException");
    let mut parts = signed.clone();
    parts.headers.insert("x-amz-target", HeaderValue::from_static("TrentService.CreateKey"));
    check("another operation", &send(&parts), "InvalidSignatureException");
    let mut parts = signed.clone();
    parts.headers.append("x-amz-date", parts.headers["x-amz-date"].clone());
    check("a date twice", &send(&parts), "InvalidSignatureException");

    let signature = signed.headers["authorization"].to_str().expect("text").to_owned();
    for (what, authorization, code) in [
        ("another scheme", "Basic dGVzdDp0ZXN0".to_owned(), "MissingAuthenticationTokenException"),
        ("nothing but a scheme", "AWS4-HMAC-SHA256".to_owned(), "IncompleteSignatureException"),
        ("no pairs", "AWS4-HMAC-SHA256 nonsense".to_owned(), "IncompleteSignatureException"),
        ("a cut signature", signature[..signature.len() - 1].to_owned(), "InvalidSignatureException"),
        ("a long signature", format!("{signature}{}", "0".repeat(10_000)), "InvalidSignatureException"),
        ("another scope", signature.replace("/kms/", "/s3/"), "InvalidSignatureException"),
        ("another terminator", signature.replace("aws4_request", "aws5"), "InvalidSignatureException"),
        ("no host", signature.replace("host;", ""), "InvalidSignatureException"),
        ("a header that is not there", signature.replace("host;", "host;nobody;"), "InvalidSignatureException"),
    ] {
        let mut parts = signed.clone();
        parts.headers.insert("authorization", HeaderValue::from_str(&authorization).expect("text"));
        check(what, &send(&parts), code);
    }
    let mut parts = client.signed("ListKeys", body);
    parts.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00".parse().expect("a URI");
    check("presigned", &send(&parts), "IncompleteSignatureException");
    parts.headers.remove("authorization");
    check("presigned only", &send(&parts), "IncompleteSignatureException");
}

/// Bytes that are no HTTP, or too much of it.
fn connections(client: &Client) {
    let flood = |count: usize, length: usize| {
        let line = |number: usize| format!("x-flood-{number}: {}\r\n", "a".repeat(length));
        let more: String = (0..count).map(line).collect();
        head(&client.signed("ListKeys", b"{}"), &format!("{more}content-length: 2\r\n"))
    };
    for bytes in [flood(500, 8), flood(20_000, 64), flood(1, 2 << 20), flood(60, 4_000)] {
        // The head is refused as a whole; what comes after it may meet a closed connection.
        if let Ok(answer) = client.exchange(&bytes) {
            assert!(matches!(answer.status, 400 | 431), "{}", answer.text());
        }
    }
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], // a greeting of TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense, and no frames at all",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\nconnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nhost: a\nx: \x01\x02\r\n\r\n",
    ] {
        if let Some(answer) = client.exchange_half(bytes) {
            assert!((400..500).contains(&answer.status), "{}: {}", excerpt(bytes), answer.text());
        }
    }
    // Two lengths are two requests for whoever believes the other one: refused, never guessed.
    let smuggled = head(&client.signed("ListKeys", b"{}"), "content-length: 2\r\ntransfer-encoding: chunked\r\n");
    let answer = client.exchange_half(&[smuggled.as_slice(), b"0\r\n\r\n{}"].concat());
    assert!(answer.is_none_or(|answer| answer.status == 400));
    // Bodies that never come: nobody waits for them but the connection itself.
    let patient: Vec<_> =
        (0..50).map(|_| client.open(&head(&client.signed("ListKeys", b"{}"), "content-length: 900000\r\n"))).collect();
    client.call("ListKeys", &json!({}));
    drop(patient);
}

fn refused(what: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {}", answer.text());
    assert!(answer.has_request_id(), "{what}: {}", answer.head);
    let text = answer.text();
    for leak in ["panicked", "src/", ".rs:", "/root/", "/tmp/"] {
        assert!(!text.contains(leak), "{what}: {text}");
    }
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
    format!("{text:?} ({} bytes)", body.len())
}
