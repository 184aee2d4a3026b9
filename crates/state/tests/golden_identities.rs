//! Bytes of the commands, messages and rows of identities, which version 3 of the encodings brought; kept for ever.

mod identity_world;

use identity_world::*;
use meridian_model::{EntityKind, Partition};
use meridian_state::identities::change::{Membership, NewSessionKey, Tagged};
use meridian_state::identities::messages::{IdentityMessage, SecretReference};
use meridian_state::identities::{AccessKeyStatus, IdentityChange, IdentityRowId};
use meridian_state::links::{Delivered, Message};
use meridian_state::{Command, Op, RegionState, apply};

const COMMANDS: &str = include_str!("golden/identity-commands-v3.hex");
const ROWS: &str = include_str!("golden/identity-rows-v3.hex");

/// Every change, in an order in which none is refused; they leave a row in every table and every message in the outbox.
fn changes() -> Vec<IdentityChange> {
    let alice = || entity(EntityKind::User, "alice");
    let (account, one) = (account(), name("one"));
    let membership = || Membership { account, user: name("alice"), group: name("admins") };
    let linked = service_linked_role("linked");
    let tags = [("Stage".to_owned(), "golden".to_owned())].into();
    let access_key = |number, status| IdentityChange::UpdateAccessKey {
        account,
        user: Some(user_id("alice")),
        id: access_key_id(number),
        status,
    };
    vec![
        regions("us-east-1", &["us-east-1", "eu-west-1"]),
        create_user("alice"),
        create_user("bob"),
        create_group("admins"),
        create_role("reader"),
        IdentityChange::CreateRole(linked.clone()),
        create_policy("one"),
        new_version("one", false),
        new_version("one", false),
        IdentityChange::SetDefaultPolicyVersion { account, policy: one.clone(), version: 2 },
        IdentityChange::DeletePolicyVersion { account, policy: one.clone(), version: 3 },
        IdentityChange::AddUserToGroup(membership()),
        IdentityChange::RemoveUserFromGroup(membership()),
        IdentityChange::AddUserToGroup(membership()),
        IdentityChange::UpdateRole {
            account,
            role: name("reader"),
            description: Some("reads".to_owned()),
            session_seconds_max: Some(7_200),
        },
        IdentityChange::UpdateAssumeRolePolicy { account, role: name("reader"), document: "{ }".into() },
        IdentityChange::PutInlinePolicy { entity: alice(), policy: name("inline"), document: "{}".into() },
        IdentityChange::PutInlinePolicy { entity: alice(), policy: name("gone"), document: "{}".into() },
        IdentityChange::DeleteInlinePolicy { entity: alice(), policy: name("gone") },
        IdentityChange::AttachPolicy { entity: alice(), policy: policy_arn("one") },
        IdentityChange::DetachPolicy { entity: alice(), policy: policy_arn("one") },
        IdentityChange::AttachPolicy { entity: alice(), policy: policy_arn("one") },
        IdentityChange::SetBoundary { entity: alice(), boundary: Some(policy_arn("one")) },
        IdentityChange::Tag { resource: Tagged::Role(account, name("reader")), tags },
        IdentityChange::Untag { resource: Tagged::User(account, name("alice")), keys: ["Project".to_owned()].into() },
        create_access_key(Some("alice"), 1),
        create_access_key(Some("alice"), 2),
        create_access_key(None, 3),
        access_key(1, AccessKeyStatus::Inactive),
        IdentityChange::DeleteAccessKey { account, user: Some(user_id("alice")), id: access_key_id(2) },
        IdentityChange::AddSessionKey(NewSessionKey { id: session_key_id(1), sealed: sealed() }),
        IdentityChange::UpdateEntity {
            entity: alice(),
            path: Some("/golden/".parse().expect("valid")),
            name: Some(name("Alicia")),
        },
        IdentityChange::DeleteEntity(entity(EntityKind::User, "bob")),
        IdentityChange::DeleteServiceLinkedRole { account, role: linked.name },
        create_policy("two"),
        IdentityChange::DeletePolicy { account, policy: name("two") },
        create_administrator("root", 4),
    ]
}

/// What the other Region may say, or send.
fn messages() -> Vec<Delivered> {
    let plain = |message| Delivered::Plain(Message::Identity(Box::new(message)));
    let (id, created_at) = (session_key_id(2), at(7));
    let reference = SecretReference::SessionKey { id, created_at };
    vec![
        plain(IdentityMessage::Ask),
        plain(IdentityMessage::Retain { after: None, through: Some(IdentityRowId::Regions), ids: Vec::new() }),
        plain(IdentityMessage::Secret(reference.clone())),
        Delivered::Secret { reference, sealed: sealed() },
    ]
}

fn at(step: u64) -> meridian_model::Timestamp {
    meridian_model::Timestamp::from_millis(1_700_000_000_000 + step)
}

fn commands() -> Vec<Command> {
    let changes = changes().into_iter().map(|change| Op::Identity(Box::new(change)));
    let messages = messages().into_iter().zip(1..).map(|(message, sequence)| Op::ApplyMessage {
        from: region("eu-west-1"),
        sequence,
        committed_at: at(0),
        message,
    });
    changes.chain(messages).zip(0..).map(|(op, step)| Command { at: at(step), op }).collect()
}

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| hex::decode(line).expect("golden files hold hex")).collect()
}

fn to_text(rows: impl IntoIterator<Item = Vec<u8>>) -> String {
    rows.into_iter().map(|row| hex::encode(row) + "\n").collect()
}

#[test]
fn commands_of_identities_are_read_and_written() {
    let written = to_text(commands().iter().map(Command::encode));
    assert_eq!(written, COMMANDS, "the encoding of commands changed: give it a new version");
    let read: Vec<Command> = lines(COMMANDS).iter().map(|bytes| Command::decode(bytes).expect("golden")).collect();
    assert_eq!(read, commands());
}

#[test]
fn rows_of_identities_are_read_and_written() {
    let mut state = RegionState::new(region("us-east-1"), Partition::Aws);
    for command in commands() {
        apply(&mut state, &command).outcome.expect("golden commands are not refused");
    }
    let tables: std::collections::BTreeSet<u8> = state.rows().map(|(id, _)| id[0]).collect();
    assert!((14..=21).all(|table| tables.contains(&table)), "a row in every table: {tables:?}");
    let written = to_text(state.rows().flat_map(|(id, value)| [id, value]));
    assert_eq!(written, ROWS, "the encoding of rows changed: give it a new version");
    let rows = lines(ROWS);
    let pairs = rows.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    let read = RegionState::from_rows(region("us-east-1"), Partition::Aws, pairs).expect("golden");
    assert!(read.rows().eq(state.rows()));
}
