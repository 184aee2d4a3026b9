//! Identities in several Regions: what the home tells, what the others take, and what happens when either changes.

mod identity_world;

use identity_world::*;
use meridian_model::EntityKind;
use meridian_state::identities::change::NewSessionKey;
use meridian_state::identities::messages::{IdentityMessage, SecretReference};
use meridian_state::identities::{AccessKeyStatus, IdentityChange};
use meridian_state::links::{Delivered, Message};
use meridian_state::{IdentityRow, Op, OutboxRow, RegionState};
use proptest::prelude::*;

const US: &str = "us-east-1";
const EU: &str = "eu-west-1";
const SOUTH: &str = "ap-southeast-1";
const ALL: [&str; 3] = [US, EU, SOUTH];

struct World(Vec<(&'static str, Place)>);

impl World {
    /// Three Regions that agree on the home.
    fn new() -> Self {
        let mut world = Self::strangers();
        for at in ALL {
            world.at(at).done(regions(US, &ALL));
        }
        world.settle();
        world
    }

    /// Regions that know nothing of each other.
    fn strangers() -> Self {
        Self(ALL.map(|name| (name, Place::new(name))).into())
    }

    fn at(&mut self, name: &str) -> &mut Place {
        &mut self.0.iter_mut().find(|(known, _)| *known == name).expect("a Region of this world").1
    }

    fn state(&self, name: &str) -> &RegionState {
        &self.0.iter().find(|(known, _)| *known == name).expect("a Region of this world").1.state
    }

    fn waiting(&self, from: &str, to: &str) -> Option<OutboxRow> {
        self.state(from).outbox_for(&region(to)).next().map(|row| OutboxRow::clone(row))
    }

    /// Delivers what waits on one link.
    fn deliver(&mut self, from: &str, to: &str) {
        while let Some(row) = self.waiting(from, to) {
            let message = carried(self.state(from), &row.message);
            let (from_region, sequence, committed_at) = (region(from), row.sequence, row.committed_at);
            let apply = Op::ApplyMessage { from: from_region, sequence, committed_at, message };
            self.at(to).run(apply).expect("messages are never refused");
            self.at(from).run(Op::AcknowledgeOutbox { to: region(to), through: sequence }).expect("never refused");
        }
    }

    /// Delivers until nothing waits.
    fn settle(&mut self) {
        let links = || ALL.into_iter().flat_map(|from| ALL.into_iter().map(move |to| (from, to)));
        for _ in 0..100 {
            if links().all(|(from, to)| self.waiting(from, to).is_none()) {
                return;
            }
            links().for_each(|(from, to)| self.deliver(from, to));
        }
        panic!("the Regions never stop talking");
    }

    /// Everything that a Region knows of identities, but for which Regions there are.
    fn known(&self, name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.state(name).rows().filter(|(id, _)| (15..=21).contains(&id[0])).collect()
    }

    fn assert_alike(&self) {
        assert_eq!(self.known(EU), self.known(US));
        assert_eq!(self.known(SOUTH), self.known(US));
    }
}

/// The message as it arrives. A secret comes with its bytes, which in this world are sealed alike everywhere.
fn carried(sender: &RegionState, message: &Message) -> Delivered {
    let Message::Identity(identity) = message else { return Delivered::Plain(message.clone()) };
    match identity.as_ref() {
        IdentityMessage::Secret(reference) => match reference.sealed_in(sender) {
            Some(sealed) => Delivered::Secret { reference: reference.clone(), sealed: sealed.clone() },
            None => Delivered::Plain(message.clone()),
        },
        _ => Delivered::Plain(message.clone()),
    }
}

fn add_session_key() -> IdentityChange {
    IdentityChange::AddSessionKey(NewSessionKey { id: session_key_id(1), sealed: sealed() })
}

/// One of everything.
fn changes() -> Vec<IdentityChange> {
    vec![
        create_user("alice"),
        create_group("admins"),
        create_role("reader"),
        create_policy("one"),
        new_version("one", true),
        create_access_key(Some("alice"), 1),
        add_session_key(),
    ]
}

fn deactivate() -> IdentityChange {
    IdentityChange::UpdateAccessKey {
        account: account(),
        user: Some(user_id("alice")),
        id: access_key_id(1),
        status: AccessKeyStatus::Inactive,
    }
}

fn delete_key() -> IdentityChange {
    IdentityChange::DeleteAccessKey { account: account(), user: Some(user_id("alice")), id: access_key_id(1) }
}

#[test]
fn what_the_home_makes_changes_and_removes_the_others_do_too() {
    let mut world = World::new();
    for change in changes() {
        world.at(US).done(change);
    }
    world.settle();
    world.assert_alike();
    assert_eq!(world.known(EU).len(), 8);
    world.at(US).done(deactivate());
    world.settle();
    let status = |world: &World| world.state(EU).identities().access_key("AKIA0000000000000001").map(|row| row.status);
    assert_eq!(status(&world), Some(AccessKeyStatus::Inactive));
    world.at(US).done(delete_key());
    world.at(US).done(IdentityChange::DeleteEntity(entity(EntityKind::User, "alice")));
    world.settle();
    assert_eq!(status(&world), None);
    assert!(!world.state(EU).identities().exists(&entity(EntityKind::User, "alice")));
    world.assert_alike();
}

#[test]
fn a_region_that_was_cut_off_catches_up() {
    let mut world = World::new();
    for change in changes() {
        world.at(US).done(change);
    }
    world.at(US).done(delete_key()); // before its secret has left
    world.deliver(US, SOUTH);
    assert_eq!(world.known(SOUTH), world.known(US));
    assert!(world.known(EU).is_empty(), "nothing has arrived there");
    world.settle();
    world.assert_alike();
}

#[test]
fn a_new_region_learns_everything_whoever_hears_of_the_other_first() {
    for home_first in [true, false] {
        let mut world = World::strangers();
        world.at(US).done(regions(US, &[US, EU]));
        for change in changes() {
            world.at(US).done(change);
        }
        let hear = |world: &mut World, at: &str| {
            world.at(at).done(regions(US, &ALL));
            world.settle();
        };
        hear(&mut world, EU);
        for at in if home_first { [US, SOUTH] } else { [SOUTH, US] } {
            hear(&mut world, at);
        }
        world.assert_alike();
        world.at(US).done(deactivate());
        world.settle();
        world.assert_alike();
    }
}

#[test]
fn what_a_returning_region_has_beyond_is_dropped() {
    let mut world = World::new();
    for change in changes() {
        world.at(US).done(change);
    }
    world.settle();
    world.at(US).done(regions(US, &[US, EU])); // the South is no part of the cluster for a while
    world.at(US).done(delete_key());
    world.at(US).done(IdentityChange::DeleteEntity(entity(EntityKind::User, "alice")));
    world.settle();
    assert!(world.state(SOUTH).identities().exists(&entity(EntityKind::User, "alice")), "it does not know");
    world.at(US).done(regions(US, &ALL));
    world.settle();
    world.assert_alike();
}

#[test]
fn names_that_moved_while_a_region_was_away_are_found_there() {
    // Of the two unique ids either may be the lower one.
    for (first, second) in [("a", "b"), ("b", "a")] {
        let mut world = World::new();
        world.at(US).done(create_user(first));
        world.settle();
        world.at(US).done(regions(US, &[US, EU])); // the South is no part of the cluster for a while
        let rename = |from: &str, to: &str| IdentityChange::UpdateEntity {
            entity: entity(EntityKind::User, from),
            path: None,
            name: Some(name(to)),
        };
        world.at(US).done(rename(first, "carol"));
        world.at(US).done(create_user(second));
        world.at(US).done(rename(second, first));
        world.at(US).done(regions(US, &ALL));
        world.settle();
        for at in ALL {
            let id = |text: &str| world.state(at).identities().user(account(), &name(text)).expect("there").id.clone();
            assert_eq!((id("carol"), id(first)), (user_id(first), user_id(second)), "{at}");
        }
    }
}

#[test]
fn the_home_moves_whoever_hears_of_it_first() {
    for order in [[US, EU, SOUTH], [EU, US, SOUTH], [SOUTH, EU, US], [SOUTH, US, EU]] {
        let mut world = World::new();
        for change in changes() {
            world.at(US).done(change);
        }
        world.settle();
        for at in order {
            world.at(at).done(regions(EU, &ALL));
            world.settle();
        }
        world.at(EU).done(create_user("bob"));
        world.settle();
        world.assert_alike();
        assert!(world.state(US).identities().exists(&entity(EntityKind::User, "bob")), "{order:?}");
        assert!(world.at(US).refused(create_user("carol")).message.contains("eu-west-1"));
    }
}

#[test]
fn only_the_home_is_heard() {
    let mut world = World::new();
    world.at(US).done(create_user("alice"));
    world.settle();
    let before = world.known(EU);
    let alice = world.state(US).identities().user(account(), &name("alice")).expect("made").clone();
    let forged = [
        IdentityMessage::Put(IdentityRow::User(alice)),
        IdentityMessage::Delete(
            IdentityRow::User(world.state(US).identities().user(account(), &name("alice")).expect("made").clone()).id(),
        ),
        IdentityMessage::Retain { after: None, through: None, ids: Vec::new() },
    ];
    let mut sequence = world.state(EU).cursor(&region(SOUTH)).last_applied;
    let mut apply = |world: &mut World, message: Delivered| {
        sequence += 1;
        let (from, committed_at) = (region(SOUTH), meridian_model::Timestamp::default());
        world.at(EU).run(Op::ApplyMessage { from, sequence, committed_at, message }).expect("never refused");
    };
    for message in forged {
        apply(&mut world, Delivered::Plain(Message::Identity(Box::new(message))));
    }
    let reference =
        SecretReference::SessionKey { id: session_key_id(9), created_at: meridian_model::Timestamp::default() };
    apply(&mut world, Delivered::Secret { reference, sealed: sealed() });
    assert_eq!(world.known(EU), before);
    assert_eq!(world.waiting(EU, SOUTH), None, "and nothing is answered");
}

#[test]
fn which_regions_there_are_is_told_by_nobody_else() {
    let mut world = World::new();
    let row = world.state(US).identities().regions().expect("known").clone();
    let sequence = world.state(EU).cursor(&region(US)).last_applied;
    for (step, message) in [
        IdentityMessage::Put(IdentityRow::Regions(row)),
        IdentityMessage::Delete(meridian_state::identities::IdentityRowId::Regions),
        IdentityMessage::Retain { after: None, through: None, ids: Vec::new() },
    ]
    .into_iter()
    .enumerate()
    {
        let message = Delivered::Plain(Message::Identity(Box::new(message)));
        let (from, sequence) = (region(US), sequence + 1 + step as u64);
        let committed_at = meridian_model::Timestamp::default();
        world.at(EU).run(Op::ApplyMessage { from, sequence, committed_at, message }).expect("never refused");
    }
    assert!(world.state(EU).identities().regions().is_some());
}

/// Changes that often meet.
fn any_change() -> impl Strategy<Value = IdentityChange> {
    let names = || prop::sample::select(vec!["a", "B", "c"]);
    let kinds = prop::sample::select(vec![EntityKind::User, EntityKind::Group, EntityKind::Role]);
    let entities = (kinds, names()).prop_map(|(kind, text)| entity(kind, text)).boxed();
    let entities_of = || entities.clone();
    prop_oneof![
        names().prop_map(create_user),
        names().prop_map(create_group),
        names().prop_map(create_role),
        names().prop_map(create_policy),
        names().prop_map(|text| new_version(text, true)),
        (names(), 1u8..6).prop_map(|(text, number)| create_access_key(Some(text), number)),
        (names(), 1u8..6).prop_map(|(text, number)| IdentityChange::DeleteAccessKey {
            account: account(),
            user: Some(user_id(text)),
            id: access_key_id(number)
        }),
        entities_of().prop_map(IdentityChange::DeleteEntity),
        (entities_of(), names())
            .prop_map(|(entity, text)| IdentityChange::AttachPolicy { entity, policy: policy_arn(text) }),
        (entities_of(), names())
            .prop_map(|(entity, text)| IdentityChange::DetachPolicy { entity, policy: policy_arn(text) }),
        (entities_of(), names()).prop_map(|(entity, text)| IdentityChange::PutInlinePolicy {
            entity,
            policy: name(text),
            document: "{}".into()
        }),
        names().prop_map(|text| IdentityChange::DeletePolicy { account: account(), policy: name(text) }),
        (names(), names()).prop_map(|(user, group)| {
            let membership = meridian_state::identities::change::Membership {
                account: account(),
                user: name(user),
                group: name(group),
            };
            IdentityChange::AddUserToGroup(membership)
        }),
        (entities_of(), names()).prop_map(|(entity, text)| IdentityChange::UpdateEntity {
            entity,
            path: None,
            name: Some(name(text))
        }),
        Just(regions(US, &[US, EU])),
        Just(regions(US, &ALL)),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_every_region_ends_with_what_the_home_has(
        steps in prop::collection::vec((any_change(), prop::option::of(prop::sample::select(vec![EU, SOUTH]))), 0..60),
    ) {
        let mut world = World::new();
        for (change, delivered) in steps {
            let _ = world.at(US).run(Op::Identity(Box::new(change))); // many are refused
            if let Some(to) = delivered {
                world.deliver(US, to);
            }
        }
        let _ = world.at(US).run(Op::Identity(Box::new(regions(US, &ALL))));
        world.settle();
        prop_assert_eq!(world.known(EU), world.known(US));
        prop_assert_eq!(world.known(SOUTH), world.known(US));
        // The indexes are those of the rows.
        let state = world.state(US);
        let restored = RegionState::from_rows(region(US), meridian_model::Partition::Aws, state.rows()).expect("own rows");
        for text in ["a", "B", "c"] {
            let (one, other) = (state.identities(), restored.identities());
            prop_assert!(one.users_of_policy(&policy_arn(text)).eq(other.users_of_policy(&policy_arn(text))));
            if let Some(group) = one.group(account(), &name(text)) {
                prop_assert!(one.users_in(group, None).eq(other.users_in(group, None)));
            }
            let id = user_id(text);
            prop_assert!(one.access_keys_of(account(), Some(&id)).eq(other.access_keys_of(account(), Some(&id))));
            let has_keys = one.access_keys_of(account(), Some(&id)).next().is_some();
            prop_assert!(!has_keys || one.user_by_id(id.as_str()).is_some(), "access keys of nobody");
            prop_assert_eq!(one.user(account(), &name(text)), other.user(account(), &name(text)));
        }
    }
}
