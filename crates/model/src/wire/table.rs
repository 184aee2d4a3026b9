//! Every operation and every constrained member, with values just inside and just outside of the constraint, both ways
//! through the wire; and random combinations of them.

use proptest::prelude::*;
use serde_json::Value;

use crate::operation::operations;
use crate::shapes::*;
use crate::wire::decode;
use crate::wire::member::Wire;
use crate::wire::samples::{Member, broken_structures, structures};
use crate::{ErrorCode, Operation, Request, Response};

/// The members of the request and of the response of an operation.
fn members(operation: Operation) -> (Vec<Member>, Vec<Member>) {
    macro_rules! members_of {
        ($($name:ident($request:ident, $response:ident): $effect:ident, $answer:ident,)+) => {
            match operation { $(Operation::$name => ($request::members(), $response::members())),+ }
        };
    }
    operations!(members_of)
}

/// The size of the buffer that a response is written into.
fn response_size(operation: Operation, body: &[u8]) -> usize {
    macro_rules! size_of {
        ($($name:ident($request:ident, $response:ident): $effect:ident, $answer:ident,)+) => {
            match operation { $(Operation::$name => decode::<$response>(body).expect("own JSON").size()),+ }
        };
    }
    operations!(size_of)
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

#[test]
fn values_inside_the_constraints_survive_the_wire() {
    let mut count = 0;
    for operation in Operation::ALL {
        let (request, response) = members(*operation);
        for value in structures(&request) {
            let decoded = Request::decode(*operation, &bytes(&value)).unwrap_or_else(|error| {
                panic!("{operation} {}: {value}", error.message);
            });
            let again = Request::decode(*operation, &decoded.to_json()).expect("own JSON");
            assert_eq!((&again, again.operation()), (&decoded, *operation), "{value}");
            count += 1;
        }
        for value in structures(&response) {
            let decoded = Response::decode(*operation, &bytes(&value)).unwrap_or_else(|error| {
                panic!("{operation} {}: {value}", error.message);
            });
            let body = decoded.to_json();
            let has_escapes = body.contains(&b'\\');
            assert!(has_escapes || body.len() <= response_size(*operation, &body), "{operation}: {value}");
            let again = Response::decode(*operation, &body).expect("own JSON");
            assert_eq!((&again, again.operation()), (&decoded, *operation), "{value}");
            count += 1;
        }
    }
    assert!(count > 900, "only {count} values were tried");
}

#[test]
fn values_outside_the_constraints_are_refused_by_name() {
    let mut count = 0;
    for operation in Operation::ALL {
        for broken in broken_structures(&members(*operation).0) {
            let error = Request::decode(*operation, &bytes(&broken.value)).expect_err(&broken.constraint);
            let place = format!("at '{}' failed to satisfy constraint: ", &broken.path[1..]);
            assert_eq!(error.code, ErrorCode::Validation, "{operation}: {}", error.message);
            let (_, told) = error.message.split_once(&place).unwrap_or_else(|| {
                panic!("{operation}: {place} in {}", error.message);
            });
            assert!(told.contains(&broken.constraint), "{operation}: {} in {told}", broken.constraint);
            count += 1;
        }
    }
    assert!(count > 400, "only {count} values were tried");
}

#[test]
fn every_required_member_is_required() {
    for operation in Operation::ALL {
        let required = members(*operation).0.into_iter().filter(|member| member.is_required).collect::<Vec<_>>();
        let outcome = Request::decode(*operation, b"{}");
        assert_eq!(outcome.is_ok(), required.is_empty(), "{operation}");
        let message = outcome.err().map(|error| error.message).unwrap_or_default();
        for member in required {
            assert!(message.contains(&format!("Value null at '{}'", member.path())), "{operation}: {message}");
        }
    }
}

/// A request of some operation: for each member either nothing or one of its values.
fn some_request() -> impl Strategy<Value = (Operation, Value)> {
    let operation = prop::sample::select(Operation::ALL);
    (operation, prop::collection::vec(any::<Option<prop::sample::Index>>(), 16)).prop_map(|(operation, choices)| {
        let chosen = members(operation).0.into_iter().zip(choices).filter_map(|(member, choice)| {
            let choice = choice.map(|index| index.get(&member.inside).clone());
            let value = if member.is_required { choice.or_else(|| member.inside.first().cloned()) } else { choice };
            value.map(|value| (member.name.to_owned(), value))
        });
        (operation, Value::Object(chosen.collect()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_requests_survive_the_wire((operation, value) in some_request()) {
        let decoded = Request::decode(operation, &bytes(&value)).expect("valid");
        let json = decoded.to_json();
        prop_assert_eq!(&Request::decode(operation, &json).expect("own JSON"), &decoded);
        prop_assert_eq!(Request::decode(operation, &json).expect("own JSON").to_json(), json);
    }

    #[test]
    fn damaged_requests_are_refused_or_read_but_never_panic(
        (operation, value) in some_request(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = bytes(&value);
        let at = at.index(body.len());
        body[at] = byte;
        let _ = Request::decode(operation, &body);
        body.truncate(at);
        prop_assert!(Request::decode(operation, &body).is_err() || body.is_empty());
    }

    #[test]
    fn noise_is_refused_but_never_panics(operation in prop::sample::select(Operation::ALL), body in "\\PC{1,64}") {
        if let Err(error) = Request::decode(operation, body.as_bytes()) {
            prop_assert!(matches!(error.code, ErrorCode::Serialization | ErrorCode::Validation));
        }
    }
}
