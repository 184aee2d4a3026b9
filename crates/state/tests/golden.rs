//! Bytes that each version of the encodings wrote, kept for ever: a change that cannot read them is not compatible.

use std::collections::BTreeMap;

use meridian_crypto::{DomainKeyId, SealedMaterial, WrappedDomainKey};
use meridian_model::{KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Partition, RotationType, Timestamp};
use meridian_state::command::{AliasTarget, CreateKey, NewMaterial, ReserveReplica, RotateKey, UpdatePrimaryRegion};
use meridian_state::links::{Delivered, HandOver, MaterialReference, Membership, Message, SharedRotation};
use meridian_state::rows::{AutomaticRotation, Rotated};
use meridian_state::{Command, Op, RegionState, ReplicaStatus, apply};

const COMMANDS: &str = include_str!("golden/commands-v1.hex");
const ROWS: &str = include_str!("golden/rows-v1.hex");
const ROTATION_COMMANDS: &str = include_str!("golden/rotation-commands-v2.hex");
const ROTATION_ROWS: &str = include_str!("golden/rotation-rows-v2.hex");

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

/// Commands that version 2 brought for rotation and for changes of the primary; after those of version 1 they leave a row in
/// every table of rotation and every message of it in the outbox.
fn rotation_commands() -> Vec<Command> {
    let key_id = KeyId::multi_region([0x11; 16]);
    let account = "111122223333".parse().expect("12 digits");
    let sealed = SealedMaterial { domain_key_id: DomainKeyId([7; 16]), nonce: [8; 12], ciphertext: vec![9; 48] };
    let reference = |number: u8, epoch| MaterialReference {
        account,
        key_id,
        material_id: KeyMaterialId::from_bytes([number; 32]),
        epoch,
    };
    let material =
        |number: u8| Some(NewMaterial { id: KeyMaterialId::from_bytes([number; 32]), sealed: sealed.clone() });
    let rotate = |number| Op::RotateKey(RotateKey { key_id, kind: RotationType::OnDemand, material: material(number) });
    let mut sequence = 0;
    let mut from_europe = |message: Message| {
        sequence += 1;
        let (from, committed_at) = ("eu-west-1".parse().expect("valid"), Timestamp::from_millis(1_700_000_000_000));
        Op::ApplyMessage { from, sequence, committed_at, message: Delivered::Plain(message) }
    };
    let membership = |epoch, primary: &str, replica: &str| Membership {
        key_id,
        epoch,
        version: 9,
        primary: primary.parse().expect("valid"),
        replicas: BTreeMap::from([(replica.parse().expect("valid"), ReplicaStatus::Created)]),
    };
    let (us, eu) = ("us-east-1", "eu-west-1");
    let hand_over = HandOver { membership: membership(5, us, eu), account, request: vec![1, 2] };
    let shared = SharedRotation {
        key_id,
        epoch: 4,
        current_material: Some(KeyMaterialId::from_bytes([4; 32])),
        automatic: Some(AutomaticRotation { period_days: 100, next: Timestamp::from_millis(1_900_000_000_000) }),
        on_demand: 2,
        pending: None,
        versions: BTreeMap::from([(KeyMaterialId::from_bytes([4; 32]), rotated(1_700_000_000_500))]),
    };
    let update = |region: &str| {
        let region = region.parse().expect("valid");
        Op::UpdatePrimaryRegion(UpdatePrimaryRegion { key_id, region, request: vec![1, 2] })
    };
    let ops = vec![
        Op::CancelKeyDeletion(key_id),
        Op::EnableKey(key_id),
        from_europe(Message::ReplicaCreated(key_id)),
        Op::EnableKeyRotation { key_id, period_days: 365 },
        rotate(4),
        from_europe(Message::MaterialInstalled(reference(4, 1))),
        Op::DisableKeyRotation(key_id),
        update(eu),
        from_europe(Message::HandOverRefused { key_id, epoch: 2 }),
        update(eu),
        from_europe(Message::PrimaryChanged(membership(4, eu, us))),
        from_europe(Message::SetRotation(shared)),
        from_europe(Message::HandOver(hand_over)),
        from_europe(Message::ReplicaMissing { key_id: KeyId::multi_region([0x22; 16]), epoch: 5 }),
        from_europe(Message::PrimaryChanged(Membership {
            key_id: KeyId::multi_region([0x33; 16]),
            ..membership(1, eu, us)
        })),
        rotate(5),
    ];
    let at = |step: usize| Timestamp::from_millis(1_700_000_001_000 + step as u64);
    ops.into_iter().enumerate().map(|(step, op)| Command { at: at(step), op }).collect()
}

fn rotated(at: u64) -> Rotated {
    Rotated { at: Timestamp::from_millis(at), kind: RotationType::OnDemand }
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
fn commands_of_rotation_are_read_and_written() {
    let written = to_text(rotation_commands().iter().map(Command::encode));
    assert_eq!(written, ROTATION_COMMANDS, "the encoding of commands changed: give it a new version");
    let read = lines(ROTATION_COMMANDS);
    let read: Vec<Command> = read.iter().map(|bytes| Command::decode(bytes).expect("golden")).collect();
    assert_eq!(read, rotation_commands());
}

#[test]
fn rows_of_rotation_are_read_and_written() {
    let state = state_after(&[commands(), rotation_commands()].concat());
    let key = state.key(KeyId::multi_region([0x11; 16])).expect("there");
    assert_eq!(key.multi_region.as_ref().expect("a set").epoch, 5, "it took the hand-over");
    assert!(state.rotation(key.key_id).is_some_and(|rotation| rotation.pending.is_some()));
    let written = to_text(state.rows().flat_map(|(id, value)| [id, value]));
    assert_eq!(written, ROTATION_ROWS, "the encoding of rows changed: give it a new version");
    let rows = lines(ROTATION_ROWS);
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
