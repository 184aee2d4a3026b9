//! Properties of the state machine: determinism, snapshots, indexes, and what a refusal may change.

#[path = "identity_world/mod.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};

use meridian_crypto::{DomainKeyId, SealedMaterial, WrappedDomainKey};
use meridian_model::{
    AccountId, AliasName, EntityKind, KeyId, KeyMaterialId, KeySpec, KeyState, KeyUsageType, OriginType, Partition,
    Region, Timestamp,
};
use meridian_state::command::{AliasTarget, CreateKey, ImportKind, ImportMaterial, NewMaterial, ReserveReplica};
use meridian_state::identities::IdentityChange;
use meridian_state::identities::change::Membership;
use meridian_state::links::{Delivered, Message};
use meridian_state::{Command, Op, RegionState, apply};
use proptest::prelude::*;

fn region(name: &str) -> Region {
    name.parse().expect("a valid Region")
}

fn empty() -> RegionState {
    RegionState::new(region("us-east-1"), Partition::Aws)
}

fn account(number: u8) -> AccountId {
    format!("{number:012}").parse().expect("12 digits")
}

fn key_id(number: u8) -> KeyId {
    if number.is_multiple_of(2) { KeyId::multi_region([number; 16]) } else { KeyId::single_region([number; 16]) }
}

fn sealed() -> SealedMaterial {
    SealedMaterial { domain_key_id: DomainKeyId([1; 16]), nonce: [2; 12], ciphertext: vec![3; 48] }
}

fn material(number: u8) -> NewMaterial {
    NewMaterial { id: KeyMaterialId::from_bytes([number; 32]), sealed: sealed() }
}

/// Every third key waits for imported material.
fn create(number: u8) -> Op {
    let is_external = number.is_multiple_of(3);
    Op::CreateKey(CreateKey {
        key_id: key_id(number),
        account: account(number % 3),
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsageType::EncryptDecrypt,
        origin: if is_external { OriginType::External } else { OriginType::AwsKms },
        description: format!("key {number}"),
        policy: (number.is_multiple_of(5)).then(|| "{}".to_owned()),
        tags: BTreeMap::from([("Project".to_owned(), number.to_string())]),
        material: (!is_external).then(|| material(number)),
    })
}

fn alias(number: u8, target: u8) -> AliasTarget {
    let name: AliasName = format!("alias/a{}", number % 4).parse().expect("a valid name");
    AliasTarget { account: account(target % 3), name, target: key_id(target) }
}

fn any_op() -> impl Strategy<Value = Op> {
    let key = 0u8..8;
    prop_oneof![
        4 => key.clone().prop_map(create),
        1 => key.clone().prop_map(|n| Op::EnableKey(key_id(n))),
        1 => key.clone().prop_map(|n| Op::DisableKey(key_id(n))),
        2 => (key.clone(), 7u32..=30).prop_map(|(n, window_days)| Op::ScheduleKeyDeletion { key_id: key_id(n), window_days }),
        1 => key.clone().prop_map(|n| Op::CancelKeyDeletion(key_id(n))),
        1 => (key.clone(), ".{0,8}").prop_map(|(n, description)| Op::UpdateKeyDescription { key_id: key_id(n), description }),
        2 => (key.clone(), key.clone()).prop_map(|(n, t)| Op::CreateAlias(alias(n, t))),
        1 => (key.clone(), key.clone()).prop_map(|(n, t)| Op::UpdateAlias(alias(n, t))),
        1 => (key.clone(), key.clone()).prop_map(|(n, t)| { let a = alias(n, t); Op::DeleteAlias { account: a.account, name: a.name } }),
        1 => (key.clone(), "[a-c]").prop_map(|(n, k)| Op::TagResource { key_id: key_id(n), tags: BTreeMap::from([(k, String::new())]) }),
        1 => (key.clone(), "[a-c]").prop_map(|(n, k)| Op::UntagResource { key_id: key_id(n), tag_keys: BTreeSet::from([k]) }),
        1 => key.clone().prop_map(|n| Op::PutKeyPolicy { key_id: key_id(n), policy: "{\"Version\":\"2012-10-17\"}".to_owned() }),
        2 => Just(Op::Tick),
        1 => key.clone().prop_map(|n| Op::ReserveReplica(ReserveReplica { key_id: key_id(n), region: region("eu-west-1"), created_at: Timestamp::from_millis(9), description: String::new(), policy: None, tags: BTreeMap::new() })),
        2 => (key.clone(), 1u64..6, 0u8..3).prop_map(|(n, sequence, kind)| {
            let key_id = key_id(n);
            let message = match kind { 0 => Message::ReplicaCreated(key_id), 1 => Message::ReplicaDeleted(key_id), _ => Message::ReplicaRefused { key_id, code: meridian_model::ErrorCode::AlreadyExists } };
            Op::ApplyMessage { from: region("eu-west-1"), sequence, committed_at: Timestamp::from_millis(sequence), message: Delivered::Plain(message) }
        }),
        1 => (0u64..8).prop_map(|through| Op::AcknowledgeOutbox { to: region("eu-west-1"), through }),
        4 => (0u8..3, 1u8..4, 0u8..3, prop::option::of(0u64..20 * 86_400_000)).prop_map(|(n, m, kind, end)| {
            let kind = match kind { 0 => Some(ImportKind::New), 1 => Some(ImportKind::Existing), _ => None };
            Op::ImportMaterial(ImportMaterial { key_id: key_id(3 * n), material: material(m), kind, description: None, valid_to: end.map(Timestamp::from_millis) })
        }),
        2 => (0u8..3, prop::option::of(1u8..4)).prop_map(|(n, m)| Op::DeleteImportedMaterial { key_id: key_id(3 * n), material_id: m.map(|m| KeyMaterialId::from_bytes([m; 32])) }),
        6 => any_identity_change().prop_map(|change| Op::Identity(Box::new(change))),
        1 => (0u8..3).prop_map(|n| Op::AddDomainKey(WrappedDomainKey { id: DomainKeyId([n; 16]), created_at: Timestamp::from_millis(u64::from(n)), nonce: [n; 12], ciphertext: vec![n; 48] })),
    ]
}

/// Changes that meet often enough for many of them to be accepted.
fn any_identity_change() -> impl Strategy<Value = IdentityChange> {
    let names = || prop::sample::select(vec!["a", "B"]);
    prop_oneof![
        3 => Just(world::regions("us-east-1", &["us-east-1", "eu-west-1"])),
        1 => Just(world::regions("eu-west-1", &["us-east-1", "eu-west-1"])),
        3 => names().prop_map(world::create_user),
        2 => names().prop_map(world::create_group),
        2 => names().prop_map(world::create_policy),
        2 => names().prop_map(|text| world::new_version(text, true)),
        2 => (names(), 1u8..4).prop_map(|(text, number)| world::create_access_key(Some(text), number)),
        2 => (names(), names()).prop_map(|(user, policy)| IdentityChange::AttachPolicy { entity: world::entity(EntityKind::User, user), policy: world::policy_arn(policy) }),
        2 => (names(), names()).prop_map(|(user, group)| IdentityChange::AddUserToGroup(Membership { account: world::account(), user: world::name(user), group: world::name(group) })),
        1 => names().prop_map(|text| IdentityChange::DeleteEntity(world::entity(EntityKind::User, text))),
        1 => (names(), names()).prop_map(|(from, to)| IdentityChange::UpdateEntity { entity: world::entity(EntityKind::User, from), path: None, name: Some(world::name(to)) }),
    ]
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let step = (any_op(), 0u64..20 * 86_400_000).prop_map(|(op, at)| Command { at: Timestamp::from_millis(at), op });
    prop::collection::vec(step, 0..80)
}

fn image(state: &RegionState) -> Vec<(Vec<u8>, Vec<u8>)> {
    state.rows().collect()
}

proptest! {
    #[test]
    fn a_snapshot_anywhere_plus_the_tail_equals_full_replay(commands in commands(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(commands.len() + 1);
        let mut full = empty();
        let mut head = empty();
        for command in &commands[..cut] {
            prop_assert_eq!(apply(&mut full, command), apply(&mut head, command));
        }
        let mut restored = RegionState::from_rows(region("us-east-1"), Partition::Aws, image(&head)).expect("own rows");
        for command in &commands[cut..] {
            let bytes = command.encode();
            let decoded = Command::decode(&bytes).expect("own bytes");
            prop_assert_eq!(apply(&mut full, command), apply(&mut restored, &decoded));
        }
        prop_assert_eq!(image(&full), image(&restored));
        prop_assert_eq!(full.next_due(), restored.next_due());
    }

    #[test]
    fn changed_rows_alone_keep_an_image_equal_to_the_state(commands in commands()) {
        let mut state = empty();
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for command in &commands {
            for change in apply(&mut state, command).changes {
                match change.value {
                    Some(value) => rows.insert(change.key, value),
                    None => rows.remove(&change.key),
                };
            }
        }
        rows.entry(vec![1]).or_insert_with(|| image(&state)[0].1.clone()); // no command, no clock row yet
        let mut expected = image(&state);
        expected.sort();
        prop_assert_eq!(rows.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_refusal_changes_nothing_but_the_clock(commands in commands()) {
        let mut state = empty();
        for command in &commands {
            let before = image(&state);
            if apply(&mut state, command).outcome.is_err() {
                prop_assert_eq!(&before[1..], &image(&state)[1..]);
            }
        }
    }

    #[test]
    fn indexes_agree_with_the_tables(commands in commands()) {
        let mut state = empty();
        for command in &commands {
            apply(&mut state, command);
        }
        let listed: usize = (0..3).map(|n| state.keys_of(account(n), None).count()).sum();
        prop_assert_eq!(listed, state.total_keys());
        for n in 0..3 {
            prop_assert_eq!(state.key_count(account(n)), state.keys_of(account(n), None).count());
            for alias in state.aliases_in(account(n), None) {
                prop_assert!(state.aliases_of(alias.target).any(|found| found.name == alias.name));
                prop_assert!(state.key(alias.target).is_some(), "an alias of a deleted key");
            }
        }
    }

    #[test]
    fn a_key_of_imported_material_is_usable_only_with_all_of_it(commands in commands()) {
        let mut state = empty();
        for command in &commands {
            apply(&mut state, command);
            for key in (0..3).filter_map(|n| state.key(key_id(3 * n))).filter(|key| key.origin == OriginType::External) {
                let is_usable = matches!(key.state, KeyState::Enabled | KeyState::Disabled);
                prop_assert!(!is_usable || !state.lacks_imported_material(key), "{key:?}");
                let waits = key.state == KeyState::PendingImport;
                prop_assert!(!waits || state.lacks_imported_material(key), "{key:?}");
            }
        }
    }

    #[test]
    fn outbox_sequences_have_no_gaps(commands in commands()) {
        let mut state = empty();
        for command in &commands {
            apply(&mut state, command);
            for to in ["eu-west-1", "us-east-1"] {
                let sequences: Vec<u64> = state.outbox_for(&region(to)).map(|row| row.sequence).collect();
                prop_assert!(sequences.windows(2).all(|pair| pair[0] + 1 == pair[1]));
                if let Some(last) = sequences.last() {
                    prop_assert_eq!(*last, state.cursor(&region(to)).last_sent);
                }
            }
        }
    }

    #[test]
    fn damaged_commands_are_errors_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Command::decode(&bytes);
        let _ = RegionState::from_rows(region("us-east-1"), Partition::Aws, [(bytes.clone(), bytes)]);
    }
}
