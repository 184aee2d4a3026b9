//! Hostile bodies of requests and hostile identifiers: refused in the service's words or read, and nothing else.

use meridian_hostile::Campaign;
use meridian_model::ids::split_kms_arn;
use meridian_model::{AliasName, ErrorCode, KeyArn, KeyId, Operation, Region, Request, Response};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
/// A refusal repeats at most so much, however many violations there are and however long their values.
const MESSAGE_BYTES_MAX: usize = 300 << 10;

const WORDS: [&str; 24] = [
    "null",
    "true",
    "{}",
    "[]",
    "{\"",
    "\":",
    ",",
    "\"\"",
    "1e9",
    "-1",
    "0.5",
    "\\u0000",
    "\\ud83d",
    "\\\\",
    "=",
    "AAAA",
    "\"KeyId\":",
    "\"Tags\":[",
    "\"GrantTokens\":[",
    "\"EncryptionContext\":{",
    "\"Recipient\":{",
    "\"DryRun\":true",
    "18446744073709551616",
    "\u{feff}",
];

fn campaign(target: &'static str) -> Campaign {
    Campaign::against(target).folder(format!("{CORPUS}/requests")).folder(format!("{CORPUS}/json")).words(&WORDS)
}

fn check(operation: Operation, body: &[u8]) {
    match Request::decode(operation, body) {
        Ok(request) => {
            assert_eq!(request.operation(), operation);
            let json = request.to_json();
            let again = Request::decode(operation, &json).expect("what was read can be written and read again");
            assert_eq!(again, request);
        }
        Err(error) => {
            let is_known = matches!(error.code, ErrorCode::Validation | ErrorCode::Serialization);
            assert!(is_known && !error.message.is_empty(), "{operation}: {error:?}");
            assert!(error.message.len() <= MESSAGE_BYTES_MAX, "{operation}: {} bytes", error.message.len());
        }
    }
}

#[test]
fn requests_of_all_operations() {
    let mut operations = Operation::ALL.iter().cycle();
    campaign("requests of all operations").run(|body| {
        for operation in operations.by_ref().take(8) {
            check(*operation, body);
        }
    });
}

#[test]
fn every_saved_request_is_read_by_its_operation() {
    for operation in Operation::ALL {
        let path = format!("{CORPUS}/requests/{operation}.json");
        let body = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Request::decode(*operation, &body).unwrap_or_else(|error| panic!("{path}: {}", error.message));
    }
}

/// Answers come from the node that made a change; it may be of another build, or damaged on its way.
#[test]
fn answers_of_all_operations() {
    let mut operations = Operation::ALL.iter().cycle();
    campaign("answers of all operations").run(|body| {
        for operation in operations.by_ref().take(8) {
            if let Ok(response) = Response::decode(*operation, body) {
                let again = Response::decode(*operation, &response.to_json()).expect("own JSON");
                assert_eq!(again, response);
            }
        }
    });
}

#[test]
fn identifiers() {
    let arn = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let saved = [
        arn,
        "mrk-1234abcd12ab34cd56ef1234567890ab",
        "alias/a",
        "us-east-1",
        "arn:aws-cn:kms:cn-north-1:000000000000:alias/b",
    ];
    Campaign::against("identifiers").inputs(saved).words(&["arn:", ":", "/", "key/", "alias/", "mrk-", "-"]).run(
        |input| {
            let text = String::from_utf8_lossy(input);
            if let Ok(arn) = text.parse::<KeyArn>() {
                assert_eq!(arn.to_string().parse::<KeyArn>().expect("own text"), arn);
            }
            if let Ok(key_id) = text.parse::<KeyId>() {
                assert_eq!(key_id.to_string(), text);
            }
            if let Ok(name) = text.parse::<AliasName>() {
                assert_eq!(name.to_string(), text);
            }
            if let Ok(region) = text.parse::<Region>() {
                assert_eq!(region.to_string(), text);
            }
            let _ = split_kms_arn(&text).map(|arn| arn.resource.len());
        },
    );
}
