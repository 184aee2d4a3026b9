//! Signed requests as a listener meets them: accepted unaltered, refused with the service's own code otherwise.

use std::sync::{Arc, Mutex};

use http::request::Parts;
use http::{HeaderValue, Request};
use meridian_identity::query::QueryCode;
use meridian_identity::sigv4::{SKEW_MAX, claimed_service, sign};
use meridian_identity::{
    Accepted, AccessKey, Caller, CallerKind, Claimed, ClientCredentials, CredentialFault, CredentialStore,
    DevCredentials, Service, SignatureError, Verified, Verifier,
};
use meridian_model::ErrorCode::{
    IncompleteSignature, InvalidSignature, MissingAuthenticationToken, UnrecognizedClient,
};
use meridian_model::{ErrorCode, Partition, Region, ServiceError, Timestamp};
use proptest::prelude::*;

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your \
                        AWS Secret Access Key and signing method. Consult the service documentation for details.";
/// 30 August 2015, 12:36:00 UTC, and half a second.
const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_500);
const BODY: &[u8] = br#"{"KeyId":"alias/a","Plaintext":"aGVsbG8="}"#;

fn region() -> Region {
    "us-east-1".parse().expect("valid")
}

fn unsigned() -> Parts {
    let request = Request::post("/")
        .header("host", "kms.us-east-1.example:7600")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "TrentService.Encrypt")
        .header("user-agent", "test");
    request.body(()).expect("valid").into_parts().0
}

fn signed_at(at: Timestamp) -> Parts {
    let mut parts = unsigned();
    sign(&mut parts, BODY, &ClientCredentials::new("test", "test"), &region(), "kms", at).expect("signable");
    parts
}

fn signed() -> Parts {
    signed_at(NOW)
}

fn verifier() -> Verifier<DevCredentials> {
    Verifier::new(DevCredentials::danger_well_known())
}

fn verify_at(parts: &Parts, body: &[u8], now: Timestamp) -> Result<Verified, SignatureError> {
    verifier().verify(parts, body, now, accepted(&[region()], &[Service::Kms, Service::Sts, Service::Iam]))
}

fn accepted<'a>(regions: &'a [Region; 1], services: &'a [Service]) -> Accepted<'a> {
    Accepted { regions, regions_of_iam: regions, home_of_iam: &regions[0], services }
}

fn verify(parts: &Parts) -> Result<Verified, SignatureError> {
    verify_at(parts, BODY, NOW)
}

/// The signed request after `change`, which happens on the way.
fn altered(change: impl FnOnce(&mut Parts)) -> Parts {
    let mut parts = signed();
    change(&mut parts);
    parts
}

fn set(parts: &mut Parts, name: &'static str, value: &str) {
    parts.headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
}

fn replace(parts: &mut Parts, from: &str, to: &str) {
    let header = parts.headers["authorization"].to_str().expect("ASCII").replace(from, to);
    set(parts, "authorization", &header);
}

#[test]
fn an_unaltered_request_is_accepted() {
    let verified = verify(&signed()).expect("genuine");
    assert_eq!(verified.caller.arn, "arn:aws:iam::000000000000:user/administrator");
    assert_eq!((verified.region, verified.service), (region(), Service::Kms));
    assert_eq!(verified.signed_at, Timestamp::from_millis(1_440_938_160_000));
}

#[test]
fn the_second_request_is_verified_with_the_cached_key() {
    let verifier = verifier();
    let here = [region()];
    let accepted = accepted(&here, &[Service::Kms]);
    for _ in 0..3 {
        verifier.verify(&signed(), BODY, NOW, accepted).expect("genuine");
    }
    let tampered = verifier.verify(&signed(), b"{}", NOW, accepted);
    assert_eq!(tampered.err(), Some(SignatureError::Mismatch));
}

#[test]
fn unsigned_headers_may_change_on_the_way() {
    let parts = altered(|parts| {
        set(parts, "user-agent", "another");
        set(parts, "x-amzn-trace-id", "Root=1");
        parts.headers.append("via", HeaderValue::from_static("1.1 proxy"));
        parts.headers.append("via", HeaderValue::from_static("1.1 another"));
    });
    assert!(verify(&parts).is_ok());
}

#[test]
fn http2_names_the_host_in_its_authority() {
    let parts = altered(|parts| {
        parts.headers.remove("host");
        parts.uri = "http://kms.us-east-1.example:7600/".parse().expect("valid");
    });
    assert!(verify(&parts).is_ok());
}

#[test]
fn the_date_header_is_read_where_there_is_no_amz_date() {
    let verified = verify(&altered(|parts| {
        parts.headers.remove("x-amz-date");
        set(parts, "date", "Sun, 30 Aug 2015 12:36:00 GMT");
        replace(parts, ";x-amz-date", "");
    }));
    // The headers signed are others, so the signature differs; what matters is how far the request got.
    assert_eq!(verified.err(), Some(SignatureError::Mismatch));
}

#[test]
fn clocks_may_differ_by_five_minutes() {
    let millis = i64::try_from(SKEW_MAX.as_millis()).expect("small");
    let at = |offset: i64| Timestamp::from_millis(NOW.as_millis().checked_add_signed(offset).expect("in range"));
    for (offset, is_accepted) in
        [(0, true), (millis, true), (-millis, true), (millis + 1000, false), (-millis - 1000, false)]
    {
        assert_eq!(verify(&signed_at(at(offset))).is_ok(), is_accepted, "{offset} ms");
    }
    let late = verify(&signed_at(at(-millis - 1000))).expect_err("too late").to_string();
    assert_eq!(
        late,
        "Signature expired: 20150830T123059Z is now earlier than 20150830T123100Z (20150830T123600Z - 5 min.)"
    );
    let early = verify(&signed_at(at(millis + 1000))).expect_err("too early").to_string();
    assert_eq!(
        early,
        "Signature not yet current: 20150830T124101Z is still later than 20150830T124100Z (20150830T123600Z + 5 min.)"
    );
}

/// Each row: a request, and the code and message that it is refused with.
fn check_refusals(table: Vec<(Parts, ErrorCode, &str)>) {
    for (parts, code, message) in table {
        let error = ServiceError::from(verify(&parts).expect_err(message));
        assert_eq!((error.code, error.message.as_str()), (code, message));
    }
}

#[test]
fn what_is_no_signature_is_refused() {
    check_refusals(vec![
        (unsigned(), MissingAuthenticationToken, "Missing Authentication Token"),
        (
            altered(|parts| set(parts, "authorization", "Basic dGVzdA==")),
            MissingAuthenticationToken,
            "Missing Authentication Token",
        ),
        (
            altered(|parts| set(parts, "authorization", "AWS4-HMAC-SHA256")),
            IncompleteSignature,
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
             Authorization header requires 'SignedHeaders' parameter.",
        ),
        (
            altered(|parts| replace(parts, "Signature=", "Signature=,Sig=")),
            IncompleteSignature,
            "Authorization header is malformed: an unknown key",
        ),
        (
            altered(|parts| replace(parts, "Credential=", "Signature=00, Credential=")),
            IncompleteSignature,
            "Authorization header is malformed: a key is given twice",
        ),
        (
            altered(|parts| drop(parts.headers.remove("x-amz-date"))),
            IncompleteSignature,
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ),
        (
            altered(|parts| set(parts, "x-amz-date", "2015/08/30")),
            IncompleteSignature,
            "Date must be in ISO-8601 'basic format'. Got '2015/08/30'. See http://en.wikipedia.org/wiki/ISO_8601",
        ),
        (
            altered(|parts| replace(parts, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
            IncompleteSignature,
            "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now).",
        ),
        (
            altered(|parts| replace(parts, "/kms/aws4_request", "/kms")),
            IncompleteSignature,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
             'test/20150830/us-east-1/kms'",
        ),
        (
            altered(|parts| parts.uri = "/?X-Amz-Signature=00".parse().expect("valid")),
            IncompleteSignature,
            "Only one auth mechanism allowed; the request has a signature in its header and one in its query string.",
        ),
    ]);
}

#[test]
fn signatures_that_cover_too_little_or_aim_elsewhere_are_refused() {
    check_refusals(vec![
        (
            altered(|parts| replace(parts, "host;", "")),
            InvalidSignature,
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            altered(|parts| replace(parts, ";x-amz-target", "")),
            InvalidSignature,
            "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            altered(|parts| replace(parts, "us-east-1", "us-west-2")),
            InvalidSignature,
            "Credential should be scoped to a valid region, not 'us-west-2'.",
        ),
        (
            altered(|parts| replace(parts, "/kms/", "/s3/")),
            InvalidSignature,
            "Credential should be scoped to correct service: 'kms'.",
        ),
        (
            altered(|parts| replace(parts, "20150830/us-east-1/kms/aws4_request", "20150829/a/b/c")),
            InvalidSignature,
            "Credential should be scoped to a valid region, not 'a'. Credential should be scoped to correct service: \
             'kms'. Credential should be scoped with a valid terminator: 'aws4_request', not 'c'. Date in Credential \
             scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' != '20150830', from \
             '20150830T123600Z'.",
        ),
    ]);
}

#[test]
fn strangers_and_altered_requests_are_refused() {
    check_refusals(vec![
        (
            altered(|parts| replace(parts, "Credential=test/", "Credential=AKIDNOBODY/")),
            UnrecognizedClient,
            "The security token included in the request is invalid.",
        ),
        (
            altered(|parts| {
                set(parts, "x-amz-security-token", "token");
                replace(parts, "x-amz-date;", "x-amz-date;x-amz-security-token;");
            }),
            UnrecognizedClient,
            "The security token included in the request is invalid.",
        ),
        (
            altered(|parts| {
                set(parts, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
                replace(parts, "host;", "host;x-amz-content-sha256;");
            }),
            InvalidSignature,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
        (
            altered(|parts| {
                parts.headers.append("x-amz-target", HeaderValue::from_static("TrentService.Decrypt"));
            }),
            InvalidSignature,
            "The request has more than one 'x-amz-target' header.",
        ),
        (
            altered(|parts| {
                parts.headers.append("host", HeaderValue::from_static("other"));
            }),
            InvalidSignature,
            "The request has more than one 'host' header.",
        ),
        (
            altered(|parts| parts.uri = "http://other/".parse().expect("valid")),
            InvalidSignature,
            "The request has more than one 'host' header.",
        ),
        (altered(|parts| set(parts, "x-amz-target", "TrentService.Decrypt")), InvalidSignature, MISMATCH),
        (altered(|parts| parts.method = http::Method::PUT), InvalidSignature, MISMATCH),
        (altered(|parts| replace(parts, "Signature=", "Signature=zz")), InvalidSignature, MISMATCH),
    ]);
}

#[test]
fn the_claimed_service_is_told_without_verification() {
    assert_eq!(claimed_service(&signed()), Some(Service::Kms));
    assert_eq!(claimed_service(&altered(|parts| replace(parts, "/kms/", "/iam/"))), Some(Service::Iam));
    assert_eq!(claimed_service(&altered(|parts| replace(parts, "/kms/", "/s3/"))), None);
    assert_eq!(claimed_service(&unsigned()), None);
}

#[test]
fn the_query_protocol_names_refusals_differently() {
    for (error, code) in [
        (SignatureError::MissingAuthenticationToken, QueryCode::MissingAuthenticationToken),
        (SignatureError::UnrecognizedClient, QueryCode::InvalidClientTokenId),
        (SignatureError::ExpiredToken, QueryCode::ExpiredToken),
        (SignatureError::Mismatch, QueryCode::SignatureDoesNotMatch),
        (SignatureError::TwoSignatures, QueryCode::IncompleteSignature),
        (SignatureError::NotAService, QueryCode::SignatureDoesNotMatch),
        (SignatureError::Unavailable, QueryCode::ServiceUnavailable),
    ] {
        assert_eq!(error.query_code(), code);
    }
}

/// The signature of the empty key over nothing: a presigned request that nobody signed.
fn presigned_with(signature: &str, expires: &str, date: &str) -> Parts {
    let query = format!(
        "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20150830%2F\
         us-east-1%2Fsts%2Faws4_request&X-Amz-Date={date}&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&\
         X-Amz-Signature={signature}"
    );
    let request = Request::get(format!("/?{query}")).header("host", "sts.us-east-1.amazonaws.com");
    request.body(()).expect("valid").into_parts().0
}

/// Made by botocore's `SigV4QueryAuth`, as `generate_presigned_url` has it, with access key `test` and secret `test`.
const PRESIGNED_BY_BOTOCORE: &str = "3b29295bd4237faa735cf72e8fbc22800ea77e7752780ce535f836f97d66e475";

#[test]
fn a_request_signed_in_its_query_is_good_as_long_as_it_says() {
    let parts = presigned_with(PRESIGNED_BY_BOTOCORE, "900", "20150830T123600Z");
    let verified = verify_at(&parts, b"", NOW).expect("genuine");
    assert_eq!((verified.caller.access_key_id.as_str(), verified.service), ("test", Service::Sts));
    assert_eq!(claimed_service(&parts), Some(Service::Sts));
    let late = verify_at(&parts, b"", NOW.plus(std::time::Duration::from_mins(15)));
    assert!(late.is_ok(), "{late:?}");
    let expired = verify_at(&parts, b"", NOW.plus(std::time::Duration::from_secs(901))).expect_err("expired");
    assert_eq!(
        expired.to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
    );
    let early = verify_at(&parts, b"", Timestamp::from_millis(NOW.as_millis() - 301_000));
    assert!(matches!(early, Err(SignatureError::NotYetCurrent { .. })), "{early:?}");
}

#[test]
fn nothing_of_a_presigned_request_may_change() {
    let genuine = presigned_with(PRESIGNED_BY_BOTOCORE, "900", "20150830T123600Z");
    for (parts, body) in [
        (presigned_with(PRESIGNED_BY_BOTOCORE, "901", "20150830T123600Z"), &b""[..]),
        (presigned_with(PRESIGNED_BY_BOTOCORE, "900", "20150830T123601Z"), b""),
        (presigned_with(&"0".repeat(64), "900", "20150830T123600Z"), b""),
        (genuine.clone(), b"Action=AssumeRole"),
    ] {
        assert_eq!(verify_at(&parts, body, NOW).err(), Some(SignatureError::Mismatch));
    }
    let mut more = genuine.clone();
    more.uri = format!("{}&Extra=1", genuine.uri).parse().expect("valid");
    assert_eq!(verify_at(&more, b"", NOW).err(), Some(SignatureError::Mismatch));
    let mut target = genuine;
    target.headers.insert("x-amz-target", HeaderValue::from_static("TrentService.Encrypt"));
    assert!(matches!(verify_at(&target, b"", NOW), Err(SignatureError::HeaderNotSigned { .. })));
}

/// One access key whose secret changes.
struct Rotating(Mutex<&'static str>);

impl CredentialStore for Shared {
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        let account = "111122223333".parse().expect("valid");
        let caller = Arc::new(Caller::root(Partition::Aws, account, claimed.access_key_id));
        Ok(AccessKey { secret: (*self.0.0.lock().expect("not poisoned")).into(), caller })
    }

    fn represented(&self, _: &Caller, _: &str, _: &Region) -> Result<Caller, CredentialFault> {
        Err(CredentialFault::Unrecognized)
    }
}

struct Shared(Arc<Rotating>);

#[test]
fn a_changed_secret_counts_at_once() {
    let rotating = Arc::new(Rotating(Mutex::new("test")));
    let verifier = Verifier::new(Shared(Arc::clone(&rotating)));
    let here = [region()];
    let accepted = accepted(&here, &[Service::Kms]);
    verifier.verify(&signed(), BODY, NOW, accepted).expect("genuine");
    *rotating.0.lock().expect("not poisoned") = "changed";
    let refused = verifier.verify(&signed(), BODY, NOW, accepted);
    assert_eq!(refused.err(), Some(SignatureError::Mismatch));
}

/// The service `s3.amazonaws.com` with one access key, and alice, for whom it may call; one temporary access key.
struct Platform;

const SERVICE_KEY: &str = "AKIASERVICE";
const TEMPORARY_KEY: &str = "ASIATEMPORARY";

impl CredentialStore for Platform {
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        let account = "111122223333".parse().expect("valid");
        let caller = match (claimed.access_key_id, claimed.session_token) {
            (SERVICE_KEY, None) => Caller::service(account, "s3.amazonaws.com", SERVICE_KEY),
            ("AKIAALICE", None) | (TEMPORARY_KEY, Some("token")) => alice(claimed.access_key_id),
            (TEMPORARY_KEY, Some("expired")) => return Err(CredentialFault::Expired),
            ("AKIASEALED", _) => return Err(CredentialFault::Unavailable),
            _ => return Err(CredentialFault::Unrecognized),
        };
        Ok(AccessKey { secret: "secret".into(), caller: Arc::new(caller) })
    }

    fn represented(&self, service: &Caller, arn: &str, _: &Region) -> Result<Caller, CredentialFault> {
        let alice = alice(&service.access_key_id);
        if alice.arn == arn { Ok(alice) } else { Err(CredentialFault::Unrecognized) }
    }
}

fn alice(access_key_id: &str) -> Caller {
    let account = "111122223333".parse().expect("valid");
    Caller::user(Partition::Aws, account, "alice", "AIDA0000000000000001", access_key_id)
}

/// Who the platform says has signed a request with `headers`.
fn signed_with(key: &str, headers: &[(&'static str, &str)]) -> Result<Arc<Caller>, SignatureError> {
    let mut parts = unsigned();
    for (name, value) in headers {
        set(&mut parts, name, value);
    }
    sign(&mut parts, BODY, &ClientCredentials::new(key, "secret"), &region(), "kms", NOW).expect("signable");
    let here = [region()];
    let accepted = accepted(&here, &[Service::Kms]);
    Verifier::new(Platform).verify(&parts, BODY, NOW, accepted).map(|verified| verified.caller)
}

#[test]
fn temporary_access_keys_need_their_token() {
    let token = |text| signed_with(TEMPORARY_KEY, &[("x-amz-security-token", text)]).map(|caller| caller.arn.clone());
    assert_eq!(token("token").as_deref(), Ok("arn:aws:iam::111122223333:user/alice"));
    assert_eq!(token("another"), Err(SignatureError::UnrecognizedClient));
    assert_eq!(token("expired"), Err(SignatureError::ExpiredToken));
    assert_eq!(signed_with(TEMPORARY_KEY, &[]).err(), Some(SignatureError::UnrecognizedClient));
    assert_eq!(signed_with("AKIASEALED", &[]).err(), Some(SignatureError::Unavailable));
    let with_token = signed_with("AKIAALICE", &[("x-amz-security-token", "token")]);
    assert_eq!(with_token.err(), Some(SignatureError::UnrecognizedClient));
}

#[test]
fn a_token_that_is_not_signed_is_refused() {
    let mut parts = unsigned();
    sign(&mut parts, BODY, &ClientCredentials::new(TEMPORARY_KEY, "secret"), &region(), "kms", NOW).expect("signable");
    set(&mut parts, "x-amz-security-token", "token");
    let here = [region()];
    let accepted = accepted(&here, &[Service::Kms]);
    let refused = Verifier::new(Platform).verify(&parts, BODY, NOW, accepted).err();
    assert_eq!(refused, Some(SignatureError::HeaderNotSigned { header: "x-amz-security-token".to_owned() }));
}

#[test]
fn a_service_says_for_whom_it_calls() {
    let own =
        signed_with(SERVICE_KEY, &[("x-amz-source-account", "444455556666"), ("x-amz-source-arn", "arn:aws:s3:::b")]);
    let own = own.expect("signed");
    assert_eq!(own.kind, CallerKind::Service { name: "s3.amazonaws.com".to_owned() });
    let call = own.service_call.as_ref().expect("a service calls");
    assert_eq!(call.source_account, "444455556666".parse().ok());
    assert_eq!((call.service.as_str(), call.source_arn.as_deref()), ("s3.amazonaws.com", Some("arn:aws:s3:::b")));

    let arn = alice("").arn;
    let forwarded = signed_with(SERVICE_KEY, &[("x-amz-meridian-on-behalf-of", &arn)]).expect("signed");
    assert_eq!((forwarded.user_name(), forwarded.access_key_id.as_str()), (Some("alice"), SERVICE_KEY));
    assert_eq!(forwarded.service_call.as_ref().expect("a service calls").service, "s3.amazonaws.com");
}

#[test]
fn nobody_else_calls_for_others() {
    let arn = alice("").arn;
    for (key, header, value, refusal) in [
        ("AKIAALICE", "x-amz-meridian-on-behalf-of", arn.as_str(), SignatureError::NotAService),
        ("AKIAALICE", "x-amz-source-account", "444455556666", SignatureError::NotAService),
        ("AKIAALICE", "x-amz-source-arn", "arn:aws:s3:::b", SignatureError::NotAService),
        (SERVICE_KEY, "x-amz-meridian-on-behalf-of", "arn:aws:iam::1:user/bob", SignatureError::UnrecognizedClient),
        (SERVICE_KEY, "x-amz-meridian-on-behalf-of", "", SignatureError::MalformedServiceCall),
        (SERVICE_KEY, "x-amz-source-account", "4444", SignatureError::MalformedServiceCall),
        (SERVICE_KEY, "x-amz-source-arn", &"a".repeat(2_049), SignatureError::MalformedServiceCall),
    ] {
        assert_eq!(signed_with(key, &[(header, value)]).err(), Some(refusal), "{key} {header}");
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_in_the_body_is_refused(at in 0..BODY.len(), bit in 0..8_u8) {
        let mut body = BODY.to_vec();
        body[at] ^= 1_u8 << bit;
        prop_assert_eq!(verify_at(&signed(), &body, NOW).err(), Some(SignatureError::Mismatch));
    }

    #[test]
    fn a_changed_byte_in_a_signed_header_is_refused(name in 0..5_usize, at in any::<prop::sample::Index>(), byte in 33_u8..127) {
        let name = ["host", "content-type", "x-amz-target", "x-amz-date", "authorization"][name];
        let mut parts = signed();
        let mut value = parts.headers[name].as_bytes().to_vec();
        let at = at.index(value.len());
        prop_assume!(value[at] != byte && value[at] != b' ');
        value[at] = byte;
        parts.headers.insert(name, HeaderValue::from_bytes(&value).expect("visible ASCII"));
        // Hex digits of the signature in upper case are the same signature.
        prop_assume!(!(name == "authorization" && value.eq_ignore_ascii_case(signed().headers[name].as_bytes())));
        prop_assert!(verify(&parts).is_err(), "{:?}", parts.headers[name]);
    }

    #[test]
    fn a_changed_path_or_query_is_refused(path in "/[a-z0-9]{1,8}", query in "[a-z]{1,4}=[a-z0-9]{0,4}") {
        for uri in [path.clone(), format!("/?{query}"), format!("{path}?{query}")] {
            let parts = altered(|parts| parts.uri = uri.parse().expect("valid"));
            prop_assert_eq!(verify(&parts).err(), Some(SignatureError::Mismatch));
        }
    }

    #[test]
    fn no_authorization_header_makes_the_verifier_panic(header in "\\PC{0,200}") {
        if let Ok(value) = HeaderValue::from_str(&format!("AWS4-{header}")) {
            let parts = altered(|parts| drop(parts.headers.insert("authorization", value)));
            prop_assert!(verify(&parts).is_err());
        }
    }

    #[test]
    fn what_is_signed_is_verified(body in prop::collection::vec(any::<u8>(), 0..600), path in "(/[a-zA-Z0-9._~%20-]{0,6}){1,3}", query in "([a-z%2B=&~.]{0,12})?") {
        let uri = format!("{path}?{query}");
        prop_assume!(uri.parse::<http::Uri>().is_ok());
        let mut parts = altered(|parts| parts.uri = uri.parse().expect("valid"));
        let signed = sign(&mut parts, &body, &ClientCredentials::new("111122223333", "test"), &region(), "sts", NOW);
        prop_assume!(signed.is_ok()); // a lone percent sign cannot be signed
        let verified = verify_at(&parts, &body, NOW);
        prop_assert!(verified.is_ok(), "{:?}", verified.err());
    }
}
