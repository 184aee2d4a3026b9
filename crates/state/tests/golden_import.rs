//! Bytes of the commands, messages and rows of imported material, which version 2 of the encodings brought; kept for ever.

use std::collections::BTreeMap;

use meridian_crypto::{DomainKeyId, SealedMaterial};
use meridian_model::{
    KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Partition, Region, RotationType, Timestamp,
};
use meridian_state::command::{CreateKey, ImportKind, ImportMaterial, NewMaterial};
use meridian_state::links::{Delivered, ImportedVersion, Membership, Message, NewReplica};
use meridian_state::rows::Rotated;
use meridian_state::{Command, Op, RegionState, ReplicaStatus, apply};

const COMMANDS: &str = include_str!("golden/import-commands-v2.hex");
const ROWS: &str = include_str!("golden/import-rows-v2.hex");

fn region(name: &str) -> Region {
    name.parse().expect("a valid Region")
}

fn at(step: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + step)
}

fn import(number: u8, kind: Option<ImportKind>, valid_to: Option<Timestamp>) -> Op {
    let sealed = SealedMaterial { domain_key_id: DomainKeyId([7; 16]), nonce: [8; 12], ciphertext: vec![9; 49] };
    Op::ImportMaterial(ImportMaterial {
        key_id: KeyId::single_region([0x11; 16]),
        material: NewMaterial { id: KeyMaterialId::from_bytes([number; 32]), sealed },
        kind,
        description: kind.map(|_| "golden".to_owned()),
        valid_to,
    })
}

/// A replica of a key of imported material, as the primary's Region sends it.
fn replica() -> Op {
    let replica = NewReplica {
        account: "111122223333".parse().expect("12 digits"),
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsageType::EncryptDecrypt,
        origin: OriginType::External,
        materials: Vec::new(),
        current_material: Some(KeyMaterialId::from_bytes([3; 32])),
        created_at: at(0),
        membership: Membership {
            key_id: KeyId::multi_region([0x22; 16]),
            epoch: 1,
            version: 2,
            primary: region("eu-west-1"),
            replicas: BTreeMap::from([(region("us-east-1"), ReplicaStatus::Reserved)]),
        },
        description: "golden".to_owned(),
        policy: None,
        tags: BTreeMap::new(),
    };
    let rotation = Some(Rotated { at: at(0), kind: RotationType::OnDemand });
    let versions = vec![ImportedVersion { material_id: KeyMaterialId::from_bytes([3; 32]), rotation }];
    let message = Delivered::Plain(Message::CreateImportedReplica { replica, versions });
    Op::ApplyMessage { from: region("eu-west-1"), sequence: 1, committed_at: at(0), message }
}

fn commands() -> Vec<Command> {
    let key_id = KeyId::single_region([0x11; 16]);
    let create = Op::CreateKey(CreateKey {
        key_id,
        account: "111122223333".parse().expect("12 digits"),
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsageType::EncryptDecrypt,
        origin: OriginType::External,
        description: String::new(),
        policy: None,
        tags: BTreeMap::new(),
        material: None,
    });
    let ops = [
        create,
        import(1, None, Some(at(5))),
        import(1, Some(ImportKind::Existing), Some(at(5))),
        import(2, Some(ImportKind::New), None),
        replica(),
        Op::Tick,
        Op::DeleteImportedMaterial { key_id, material_id: None },
        Op::DeleteImportedMaterial { key_id, material_id: Some(KeyMaterialId::from_bytes([1; 32])) },
    ];
    (0..).zip(ops).map(|(step, op)| Command { at: at(step), op }).collect()
}

fn state_after(commands: &[Command]) -> RegionState {
    let mut state = RegionState::new(region("us-east-1"), Partition::Aws);
    for command in commands {
        apply(&mut state, command).outcome.expect("golden commands are not refused");
    }
    state
}

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| hex::decode(line).expect("golden files hold hex")).collect()
}

fn to_text(rows: impl IntoIterator<Item = Vec<u8>>) -> String {
    rows.into_iter().map(|row| hex::encode(row) + "\n").collect()
}

#[test]
fn commands_are_read_and_written() {
    let written = to_text(commands().iter().map(Command::encode));
    assert_eq!(written, COMMANDS, "the encoding of commands changed: give it a new version");
    let read: Vec<Command> = lines(COMMANDS).iter().map(|bytes| Command::decode(bytes).expect("golden")).collect();
    assert_eq!(read, commands());
}

#[test]
fn rows_are_read_and_written() {
    let state = state_after(&commands());
    let written = to_text(state.rows().flat_map(|(id, value)| [id, value]));
    assert_eq!(written, ROWS, "the encoding of rows changed: give it a new version");
    let rows = lines(ROWS);
    let pairs = rows.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    let read = RegionState::from_rows(region("us-east-1"), Partition::Aws, pairs).expect("golden");
    assert!(read.rows().eq(state.rows()));
}
