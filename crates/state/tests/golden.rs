//! Bytes that version 1 of the encodings wrote, kept for ever: a change that cannot read them is not compatible.

use std::collections::BTreeMap;

use meridian_crypto::{DomainKeyId, SealedMaterial, WrappedDomainKey};
use meridian_model::{KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Partition, Timestamp};
use meridian_state::command::{AliasTarget, CreateKey, NewMaterial, ReserveReplica};
use meridian_state::{Command, Op, RegionState, apply};

const COMMANDS: &str = include_str!("golden/commands-v1.hex");
const ROWS: &str = include_str!("golden/rows-v1.hex");

/// Commands that leave at least one row in every table.
fn commands() -> Vec<Command> {
    let key_id = KeyId::multi_region([0x11; 16]);
    let account = "111122223333".parse().expect("12 digits");
    let sealed = SealedMaterial { domain_key_id: DomainKeyId([7; 16]), nonce: [8; 12], ciphertext: vec![9; 48] };
    let ops = [
        Op::AddDomainKey(WrappedDomainKey {
            id: DomainKeyId([7; 16]),
            created_at: Timestamp::from_millis(1_000),
            nonce: [1; 12],
            ciphertext: vec![2; 48],
        }),
        Op::CreateKey(CreateKey {
            key_id,
            account,
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsageType::EncryptDecrypt,
            origin: OriginType::AwsKms,
            description: "golden".to_owned(),
            policy: Some("{}".to_owned()),
            tags: BTreeMap::from([("Project".to_owned(), "Alpha".to_owned())]),
            material: Some(NewMaterial { id: KeyMaterialId::from_bytes([3; 32]), sealed }),
        }),
        Op::CreateAlias(AliasTarget { account, name: "alias/golden".parse().expect("valid"), target: key_id }),
        Op::ReserveReplica(ReserveReplica {
            key_id,
            region: "eu-west-1".parse().expect("valid"),
            created_at: Timestamp::from_millis(1_700_000_000_000),
            description: "replica".to_owned(),
            policy: None,
            tags: BTreeMap::new(),
        }),
        Op::ScheduleKeyDeletion { key_id, window_days: 7 },
    ];
    let at = |step: usize| Timestamp::from_millis(1_700_000_000_000 + step as u64);
    ops.into_iter().enumerate().map(|(step, op)| Command { at: at(step), op }).collect()
}

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| hex::decode(line).expect("golden files hold hex")).collect()
}

fn to_text(rows: impl IntoIterator<Item = Vec<u8>>) -> String {
    rows.into_iter().map(|row| hex::encode(row) + "\n").collect()
}

fn state_after(commands: &[Command]) -> RegionState {
    let mut state = RegionState::new("us-east-1".parse().expect("valid"), Partition::Aws);
    for command in commands {
        apply(&mut state, command).outcome.expect("golden commands are not refused");
    }
    state
}

#[test]
fn commands_of_version_1_are_read_and_written() {
    let written = to_text(commands().iter().map(Command::encode));
    assert_eq!(written, COMMANDS, "the encoding of commands changed: give it a new version");
    let read: Vec<Command> = lines(COMMANDS).iter().map(|bytes| Command::decode(bytes).expect("golden")).collect();
    assert_eq!(read, commands());
}

#[test]
fn rows_of_version_1_are_read_and_written() {
    let state = state_after(&commands());
    let written = to_text(state.rows().flat_map(|(id, value)| [id, value]));
    assert_eq!(written, ROWS, "the encoding of rows changed: give it a new version");
    let rows = lines(ROWS);
    let pairs = rows.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    let read = RegionState::from_rows("us-east-1".parse().expect("valid"), Partition::Aws, pairs).expect("golden");
    assert!(read.rows().eq(state.rows()));
}

#[test]
fn unknown_versions_are_named() {
    let mut bytes = commands()[0].encode();
    bytes[0] = 250;
    let error = Command::decode(&bytes).expect_err("version 250 does not exist");
    assert!(error.to_string().contains("250"), "{error}");
}
