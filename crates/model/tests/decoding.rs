//! How bodies of requests are read, in the words that clients see.

use meridian_model::{EncryptRequest, ErrorCode, Operation, Request, Response, SecretBlob, ServiceError, Timestamp};

fn refusal(operation: Operation, body: &str) -> ServiceError {
    Request::decode(operation, body.as_bytes()).expect_err(body)
}

fn decoded(operation: Operation, body: &str) -> Request {
    Request::decode(operation, body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {}", error.message))
}

#[test]
fn an_encrypt_request_is_decoded() {
    let body = r#"{"KeyId":"alias/a","Plaintext":"aGk=","EncryptionContext":{"b":"2","a":"1"},
        "GrantTokens":["t"],"EncryptionAlgorithm":"SYMMETRIC_DEFAULT","DryRun":true,"Unknown":{"deep":[1,{}]}}"#;
    let Request::Encrypt(request) = decoded(Operation::Encrypt, body) else { panic!("another operation") };
    assert_eq!(request.key_id, "alias/a");
    assert_eq!(request.plaintext.expose(), b"hi");
    assert_eq!(request.encryption_context.get("b").map(String::as_str), Some("2"));
    assert_eq!(request.grant_tokens, ["t"]);
    assert_eq!(request.dry_run, Some(true));
}

#[test]
fn null_and_absent_are_the_same() {
    let with_nulls = r#"{"KeyId":"k","Plaintext":"aGk=","EncryptionContext":null,"GrantTokens":null,"DryRun":null}"#;
    let without = r#"{"KeyId":"k","Plaintext":"aGk="}"#;
    assert_eq!(decoded(Operation::Encrypt, with_nulls), decoded(Operation::Encrypt, without));
    assert_eq!(decoded(Operation::ListKeys, ""), decoded(Operation::ListKeys, "{}"));
}

#[test]
fn numbers_in_an_encryption_context_stand_for_their_texts() {
    let context = r#"{"a":7,"b":-9223372036854775808,"c":10103.0,"d":1.5e2,"e":"7"}"#;
    let body = format!(r#"{{"KeyId":"k","Plaintext":"aGk=","EncryptionContext":{context}}}"#);
    let Request::Encrypt(request) = decoded(Operation::Encrypt, &body) else { panic!("another operation") };
    let texts: Vec<&str> = request.encryption_context.values().map(String::as_str).collect();
    assert_eq!(texts, ["7", "-9223372036854775808", "10103.0", "150.0", "7"]);
}

#[test]
fn escapes_are_understood_in_names_and_values() {
    let body = r#"{"Key\u0049d":"\u006b","Plaintext":"\/\/8=","EncryptionAlgorithm":"SYMMETRIC\u005fDEFAULT"}"#;
    let Request::Encrypt(request) = decoded(Operation::Encrypt, body) else { panic!("another operation") };
    assert_eq!((request.key_id.as_str(), request.plaintext.expose()), ("k", &[0xff, 0xff][..]));
}

#[test]
fn violations_are_worded_as_the_service_words_them() {
    for (operation, body, message) in [
        (
            Operation::CreateKey,
            r#"{"KeySpec":"AES"}"#,
            "1 validation error detected: Value 'AES' at 'keySpec' failed to satisfy constraint: Member must satisfy \
             enum value set: [RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, \
             ECC_SECG_P256K1, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2, ML_DSA_44, ML_DSA_65, \
             ML_DSA_87, ECC_NIST_EDWARDS25519, ML_KEM_512, ML_KEM_768, ML_KEM_1024]",
        ),
        (
            Operation::Encrypt,
            r#"{"Plaintext":""}"#,
            "2 validation errors detected: Value at 'plaintext' failed to satisfy constraint: Member must have length \
             greater than or equal to 1; Value null at 'keyId' failed to satisfy constraint: Member must not be null",
        ),
        (
            Operation::TagResource,
            r#"{"KeyId":"k","Tags":[{"TagKey":"a","TagValue":""},{"TagKey":"","TagValue":"v"},{"TagKey":"b"}]}"#,
            "2 validation errors detected: Value '' at 'tags.2.member.tagKey' failed to satisfy constraint: Member \
             must have length greater than or equal to 1; Value null at 'tags.3.member.tagValue' failed to satisfy \
             constraint: Member must not be null",
        ),
        (
            Operation::CreateAlias,
            r#"{"AliasName":"a b","TargetKeyId":"k"}"#,
            "1 validation error detected: Value 'a b' at 'aliasName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: ^[a-zA-Z0-9:/_-]+$",
        ),
        (
            Operation::ListKeys,
            r#"{"Limit":1001,"ResourceOwners":[]}"#,
            "2 validation errors detected: Value '1001' at 'limit' failed to satisfy constraint: Member must have \
             value less than or equal to 1000; Value '[]' at 'resourceOwners' failed to satisfy constraint: Member must \
             have length greater than or equal to 1",
        ),
        (
            Operation::ListKeys,
            r#"{"Limit":-1,"ResourceOwners":["SELF","ME",null]}"#,
            "3 validation errors detected: Value '-1' at 'limit' failed to satisfy constraint: Member must have value \
             greater than or equal to 1; Value '[SELF, ME, null]' at 'resourceOwners' failed to satisfy constraint: \
             Member must satisfy constraint: [Member must satisfy enum value set: [SELF, OTHER_ACCOUNTS_VIA_RAM], \
             Member must not be null]; Value '[SELF, ME, null]' at 'resourceOwners' failed to satisfy constraint: \
             Member must have length less than or equal to 2",
        ),
        (
            Operation::Encrypt,
            r#"{"KeyId":"k","Plaintext":"aGk=","EncryptionContext":{"a":null}}"#,
            "1 validation error detected: Value null at 'encryptionContext.a.member' failed to satisfy constraint: \
             Member must not be null",
        ),
    ] {
        let error = refusal(operation, body);
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::Validation, message));
    }
}

#[test]
fn what_is_no_request_is_a_serialization_error() {
    let deep = format!(r#"{{"Unknown":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    for (body, message) in [
        ("[]", "Start of list found where not expected"),
        ("null", "Unexpected value type in payload"),
        ("7", "Unexpected value type in payload"),
        ("\"text\"", "Unexpected value type in payload"),
        ("{", "The request body is not valid JSON at line 1 column 1"),
        (" ", "The request body is not valid JSON at line 1 column 1"),
        ("{} {}", "The request body is not valid JSON at line 1 column 4"),
        ("{\"KeyId\":'k'}", "The request body is not valid JSON at line 1 column 10"),
        (deep.as_str(), "The request body is not valid JSON at line 1 column 138"),
        (r#"{"KeyId":7}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#"{"KeyId":true}"#, "TRUE_VALUE cannot be converted to String"),
        (r#"{"KeyId":[]}"#, "Start of list found where not expected"),
        (r#"{"KeyId":{}}"#, "Start of structure or map found where not expected"),
        (r#"{"KeyId":"a","KeyId":"b"}"#, "A member is given more than once"),
        (r#"{"Plaintext":"$$$"}"#, "STRING_VALUE is not valid base64"),
        (r#"{"Plaintext":"aGk"}"#, "STRING_VALUE is not valid base64"),
        (r#"{"DryRun":"true"}"#, "STRING_VALUE cannot be converted to Boolean"),
        (r#"{"GrantTokens":"t"}"#, "Unexpected value type in payload"),
        (r#"{"GrantTokens":{}}"#, "Start of structure or map found where not expected"),
        (r#"{"EncryptionContext":[]}"#, "Start of list found where not expected"),
        (r#"{"EncryptionContext":{"a":true}}"#, "TRUE_VALUE cannot be converted to String"),
        (r#"{"EncryptionContext":{"a":18446744073709551615}}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#"{"EncryptionContext":{"a":1e16}}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#"{"EncryptionContext":{"a":"1","a":"2"}}"#, "A key of a map is given more than once"),
    ] {
        let error = refusal(Operation::Encrypt, body);
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::Serialization, message), "{body}");
    }
    assert_eq!(refusal(Operation::Encrypt, "{\"KeyId\":\"\u{0}\"}").code, ErrorCode::Serialization);
    let not_utf8 = Request::decode(Operation::Encrypt, b"{\"KeyId\":\"\xff\"}").expect_err("not UTF-8");
    assert_eq!(not_utf8.code, ErrorCode::Serialization);
}

#[test]
fn numbers_are_whole_and_in_range() {
    for (body, is_accepted) in [
        (r#"{"Limit":5.0}"#, true),
        (r#"{"Limit":5.5}"#, false),
        (r#"{"Limit":1e30}"#, false),
        (r#"{"Limit":"5"}"#, false),
    ] {
        let error = Request::decode(Operation::ListKeys, body.as_bytes()).err();
        assert_eq!(error.map(|error| error.code), (!is_accepted).then_some(ErrorCode::Serialization), "{body}");
    }
}

#[test]
fn timestamps_are_seconds_with_milliseconds() {
    let body = |seconds: &str| {
        format!(r#"{{"KeyId":"k","ImportToken":"AA==","EncryptedKeyMaterial":"AA==","ValidTo":{seconds}}}"#)
    };
    for (seconds, millis) in
        [("1502910355.475", 1_502_910_355_475), ("1502910355", 1_502_910_355_000), ("1.5e9", 1_500_000_000_000)]
    {
        let Request::ImportKeyMaterial(request) = decoded(Operation::ImportKeyMaterial, &body(seconds)) else {
            panic!("another operation")
        };
        assert_eq!(request.valid_to, Some(Timestamp::from_millis(millis)));
    }
    for seconds in ["-1", "\"2017-08-16\"", "1e300", "true"] {
        assert_eq!(refusal(Operation::ImportKeyMaterial, &body(seconds)).code, ErrorCode::Serialization, "{seconds}");
    }
}

#[test]
fn secrets_turn_up_in_no_message() {
    for (operation, body) in [
        (Operation::Encrypt, r#"{"KeyId":"k","Plaintext":{"hunter2":"hunter2"}}"#.to_owned()),
        (Operation::Encrypt, r#"{"KeyId":"k","Plaintext":"hunter2"}"#.to_owned()),
        (Operation::Encrypt, r#"{"KeyId":"k","Plaintext":"hunter2"#.to_owned()),
        (Operation::Encrypt, r#"{"KeyId":"k","DryRun":"hunter2"}"#.to_owned()),
        (Operation::Encrypt, r#"{"KeyId":"k","GrantTokens":"hunter2"}"#.to_owned()),
        (
            Operation::CreateCustomKeyStore,
            format!(r#"{{"CustomKeyStoreName":"n","KeyStorePassword":"hunter2{}"}}"#, "x".repeat(40)),
        ),
        (
            Operation::CreateCustomKeyStore,
            r#"{"CustomKeyStoreName":"n","XksProxyAuthenticationCredential":
                {"AccessKeyId":"ABCDEFGHIJKLMNOPQRST","RawSecretAccessKey":"hunter2"}}"#
                .to_owned(),
        ),
        (
            Operation::CreateCustomKeyStore,
            r#"{"CustomKeyStoreName":"n","XksProxyAuthenticationCredential":
                {"AccessKeyId":"hunter2","RawSecretAccessKey":"x"}}"#
                .to_owned(),
        ),
    ] {
        let error = refusal(operation, &body);
        assert!(!error.message.contains("hunter2"), "{}", error.message);
    }
}

#[test]
fn requests_and_responses_are_written_as_the_wire_has_them() {
    let request = EncryptRequest {
        key_id: "k".to_owned(),
        plaintext: SecretBlob::from(vec![0xff, 0xff]),
        encryption_context: [("a".to_owned(), "1".to_owned())].into(),
        grant_tokens: Vec::new(),
        encryption_algorithm: None,
        dry_run: Some(false),
    };
    let json = r#"{"KeyId":"k","Plaintext":"//8=","EncryptionContext":{"a":"1"},"DryRun":false}"#;
    assert_eq!(String::from_utf8(Request::from(request).to_json()).expect("JSON"), json);

    let response = meridian_model::ListAliasesResponse {
        aliases: vec![meridian_model::AliasListEntry {
            alias_name: "alias/a".to_owned(),
            alias_arn: "arn:aws:kms:us-east-1:123456789012:alias/a".to_owned(),
            target_key_id: None,
            creation_date: Some(Timestamp::from_millis(1_502_910_355_475)),
            last_updated_date: None,
        }],
        next_marker: None,
        truncated: false,
    };
    let json = r#"{"Aliases":[{"AliasName":"alias/a","AliasArn":"arn:aws:kms:us-east-1:123456789012:alias/a","CreationDate":1502910355.475}],"Truncated":false}"#;
    assert_eq!(String::from_utf8(Response::from(response).to_json()).expect("JSON"), json);
}

#[test]
fn operations_without_output_answer_with_an_empty_body() {
    assert_eq!(Response::from(meridian_model::EnableKeyResponse {}).to_json(), b"");
    for operation in Operation::ALL.iter().filter(|operation| !operation.has_output()) {
        let response = Response::decode(*operation, b"").expect("empty");
        assert_eq!((response.operation(), response.to_json().len()), (*operation, 0));
    }
}
