//! The key-state table: every requirement against every state, with the service's messages.

use meridian_model::{KeyArn, KeyState, WireEnum};
use meridian_state::key_states::Requirement;

fn requirement(name: &str) -> Requirement {
    match name {
        "Any" => Requirement::Any,
        "Usable" => Requirement::Usable,
        "Grantable" => Requirement::Grantable,
        "Replicable" => Requirement::Replicable,
        "Switchable" => Requirement::Switchable,
        "Editable" => Requirement::Editable,
        "Deletable" => Requirement::Deletable,
        "PendingDeletion" => Requirement::PendingDeletion,
        "Wrappable" => Requirement::Wrappable,
        "Importable" => Requirement::Importable,
        "Emptiable" => Requirement::Emptiable,
        other => panic!("no requirement {other}"),
    }
}

/// The cell of the table: `ok`, or the code and the end of the message.
fn expected(cell: &str) -> Option<(&'static str, &'static str)> {
    Some(match cell {
        "ok" => return None,
        "disabled" => ("DisabledException", " is disabled."),
        "deletion" => ("KMSInvalidStateException", " is pending deletion."),
        "replicas" => ("KMSInvalidStateException", " is pending replica deletion."),
        "import" => ("KMSInvalidStateException", " is pending import."),
        "unavailable" => ("KMSInvalidStateException", " is unavailable."),
        "creating" => ("KMSInvalidStateException", " is creating."),
        "updating" => ("KMSInvalidStateException", " is updating."),
        "not" => ("KMSInvalidStateException", " is not pending deletion."),
        other => panic!("no cell {other}"),
    })
}

fn check(table: &str) {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|l| !l.is_empty());
    let states: Vec<KeyState> =
        lines.next().expect("a heading")[1..].iter().map(|name| KeyState::from_wire(name).expect("a state")).collect();
    assert_eq!(states.len(), KeyState::VALUES.len(), "a state has no column");
    let arn: KeyArn =
        "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse().expect("valid");
    for line in lines {
        for (state, cell) in states.iter().zip(&line[1..]) {
            let outcome = requirement(line[0]).check(&arn, *state);
            let got = outcome.as_ref().err().map(|error| (error.code.as_str(), error.message.clone()));
            let want = expected(cell).map(|(code, end)| (code, format!("{arn}{end}")));
            assert_eq!(got, want, "{} in {state}", line[0]);
        }
    }
}

#[test]
fn every_requirement_in_every_state() {
    check(
        "
        requirement      Enabled Disabled PendingDeletion PendingReplicaDeletion PendingImport Unavailable Creating Updating
        Any              ok      ok       ok              ok                     ok            ok          ok       ok
        Usable           ok      disabled deletion        replicas               import        unavailable creating ok
        Grantable        ok      disabled deletion        replicas               import        ok          creating ok
        Replicable       ok      disabled deletion        replicas               import        unavailable creating updating
        Switchable       ok      ok       deletion        replicas               import        ok          creating updating
        Editable         ok      ok       deletion        replicas               ok            ok          ok       ok
        Deletable        ok      ok       deletion        replicas               ok            ok          ok       updating
        PendingDeletion  not     not      ok              ok                     not           not         not      not
        Wrappable        ok      ok       deletion        replicas               ok            unavailable creating updating
        Importable       ok      ok       deletion        replicas               ok            unavailable creating ok
        Emptiable        ok      ok       ok              ok                     ok            unavailable creating updating
        ",
    );
}
