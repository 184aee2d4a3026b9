//! Hostile heads of requests for the verifier of signatures, and hostile forms for the query protocol.

use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use meridian_hostile::Campaign;
use meridian_identity::query::{Form, QueryCall};
use meridian_identity::sigv4::{claimed_service, sign};
use meridian_identity::{Accepted, ClientCredentials, DevCredentials, Service, Verifier};
use meridian_model::{Region, ServiceError, Timestamp};

/// 30 August 2015, 12:36:00 UTC.
const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);
const BODY: &[u8] = br#"{"KeyId":"alias/a"}"#;
/// An answer repeats an action at most once, and escapes it.
const ANSWER_BYTES_MAX: usize = 100 << 10;

fn region() -> Region {
    "us-east-1".parse().expect("valid")
}

/// A signed request as lines: the target, then the headers.
fn signed(target: &str) -> Vec<u8> {
    let request = Request::post(target)
        .header("host", "kms.us-east-1.example:7600")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "TrentService.Encrypt");
    let mut parts = request.body(()).expect("valid").into_parts().0;
    sign(&mut parts, BODY, &ClientCredentials::new("test", "test"), &region(), "kms", NOW).expect("signable");
    let mut lines = target.as_bytes().to_vec();
    for (name, value) in &parts.headers {
        lines.extend_from_slice(&[b"\n", name.as_str().as_bytes(), b":", value.as_bytes()].concat());
    }
    lines
}

/// The request that such lines describe; `None` if HTTP itself refuses them.
fn parts_of(lines: &[u8]) -> Option<Parts> {
    let mut lines = lines.split(|byte| *byte == b'\n');
    let target = lines.next()?;
    let mut parts = Request::post(target).body(()).ok()?.into_parts().0;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
        parts.headers.append(name, value);
    }
    Some(parts)
}

const WORDS: [&str; 25] = [
    "AWS4-HMAC-SHA256 ",
    "Credential=",
    "SignedHeaders=",
    "Signature=",
    ", ",
    ";",
    "/",
    "aws4_request",
    "20150830",
    "\nx-amz-date:",
    "20150830T123600Z",
    "\nauthorization:",
    "\nhost:a",
    "\nx-amz-content-sha256:UNSIGNED-PAYLOAD",
    "\nx-amz-security-token:a",
    "?X-Amz-Signature=a",
    "&X-Amz-Algorithm=AWS4-HMAC-SHA256",
    "&X-Amz-Credential=test%2F20150830%2Fus-east-1%2Fsts%2Faws4_request",
    "&X-Amz-Expires=900",
    "?a=b&a=%",
    "%",
    "+",
    "\ndate:Sun, 30 Aug 2015 12:36:00 GMT",
    "\t",
    "  ",
];

#[test]
fn heads_of_requests() {
    let verifier = Verifier::new(DevCredentials::danger_well_known());
    let here = [region()];
    let services = [Service::Kms, Service::Sts, Service::Iam];
    let accepted = Accepted { regions: &here, regions_of_iam: &here, home_of_iam: &here[0], services: &services };
    let valid = [signed("/"), signed("/?b=2&a=1"), signed("/a%20b/../c")];
    for lines in &valid[..1] {
        verifier.verify(&parts_of(lines).expect("valid"), BODY, NOW, accepted).expect("genuine");
    }
    Campaign::against("heads of requests").inputs(valid).words(&WORDS).run(|lines| {
        let Some(parts) = parts_of(lines) else { return };
        let _ = claimed_service(&parts);
        match verifier.verify(&parts, BODY, NOW, accepted) {
            Ok(genuine) => assert_eq!(genuine.caller.arn, "arn:aws:iam::000000000000:user/administrator"),
            Err(error) => {
                assert!((400..=503).contains(&error.query_code().status()));
                assert!(!ServiceError::from(error).message.is_empty());
            }
        }
    });
}

#[test]
fn forms_of_the_query_protocol() {
    let forms = [
        "Action=GetCallerIdentity&Version=2011-06-15",
        "Version=2010-05-08&Action=ListUsers&PathPrefix=%2F&MaxItems=3",
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fa&Tags.member.1.Key=a",
    ];
    let words = [
        "&",
        "=",
        "%",
        "%3Cscript%3E",
        "<script>",
        "Action=",
        "Version=2011-06-15",
        "%00",
        "%ff",
        "+",
        ".member.99999",
        ";",
    ];
    Campaign::against("forms of the query protocol").inputs(forms).words(&words).run(|form| {
        for service in [Service::Sts, Service::Iam] {
            let form = Form::parse(&[form]);
            let Err(error) = form.and_then(|form| QueryCall::read(service, &form)) else { continue };
            let answer = error.answer(service, "request");
            assert!((400..500).contains(&answer.status), "{}", answer.status);
            assert!(answer.body.len() < ANSWER_BYTES_MAX, "{} bytes", answer.body.len());
            assert!(!answer.body.contains("<script>"), "what a client sent is escaped");
        }
    });
}
