//! Shared rotation and changes of the primary across several Regions: step by step, and in any order that links allow.

mod world;

use meridian_model::{ErrorCode, KeyState, MultiRegionKeyType, RotationType};
use meridian_state::Op;
use meridian_state::links::Message;
use world::{EU, SOUTH, US, World, primary_change};

#[test]
fn new_material_encrypts_nowhere_before_every_region_has_it() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    world.on_demand(US).expect("begun");
    world.cut(SOUTH);
    world.settle();
    assert_eq!(world.currents(), [1, 1, 1], "a Region that is down delays the rotation");
    assert_eq!(world.versions(), [2, 2, 1]);
    let shared = world.state(EU).rotation(world.key_id).expect("shared").pending.clone().expect("pending");
    assert_eq!(shared.started.expect("begun").kind, RotationType::OnDemand);
    assert_eq!(world.on_demand(US).expect_err("one at a time").code, ErrorCode::Conflict);
    world.heal();
    world.settle();
    assert_eq!(world.currents(), [2, 2, 2]);
    world.assert_converged();
}

#[test]
fn a_replica_shows_the_schedule_and_cannot_change_it() {
    let mut world = World::with_set(&[US, EU]);
    let key_id = world.key_id;
    world.run(US, Op::EnableKeyRotation { key_id, period_days: 90 }).expect("switched on");
    world.settle();
    world.assert_converged();
    assert_eq!(world.state(EU).rotation(key_id).expect("shared").automatic.expect("on").period_days, 90);
    assert_eq!(world.state(EU).next_due(), None, "only the primary rotates");
    for op in [Op::EnableKeyRotation { key_id, period_days: 90 }, Op::DisableKeyRotation(key_id)] {
        assert_eq!(world.run(EU, op).expect_err("a replica").code, ErrorCode::UnsupportedOperation);
    }
    assert_eq!(world.on_demand(EU).expect_err("a replica").code, ErrorCode::UnsupportedOperation);
    world.pass_days(90);
    assert_eq!(world.versions(), [2, 2]);
    world.run(US, Op::DisableKeyRotation(key_id)).expect("switched off");
    world.settle();
    assert_eq!(world.state(EU).rotation(key_id).expect("shared").automatic, None);
    world.assert_converged();
}

#[test]
fn a_replica_that_joins_during_a_rotation_is_waited_for_and_one_that_joins_later_knows_the_history() {
    let mut world = World::with_set(&[US, EU]);
    world.cut(EU);
    world.on_demand(US).expect("begun");
    world.replicate(US, SOUTH).expect("reserved");
    world.settle();
    assert_eq!(world.key(SOUTH).state, KeyState::Enabled);
    assert_eq!((world.current(US), world.current(SOUTH)), (1, 1));
    world.heal();
    world.settle();
    assert_eq!(world.currents(), [2, 2, 2]);
    world.assert_converged();
}

#[test]
fn a_region_that_leaves_is_not_waited_for() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    world.run(SOUTH, Op::ScheduleKeyDeletion { key_id: world.key_id, window_days: 7 }).expect("scheduled");
    world.hold(US, SOUTH);
    world.on_demand(US).expect("begun");
    world.settle();
    assert_eq!(world.current(US), 1, "a key that waits for its deletion can still be kept");
    world.pass_days(7);
    assert_eq!((world.current(US), world.current(EU)), (2, 2));
    world.heal();
    world.settle();
    world.assert_converged();
}

#[test]
fn the_old_primary_is_a_replica_from_the_moment_it_hands_over() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    let key_id = world.key_id;
    world.change_primary(US, EU).expect("committed");
    assert_eq!(world.primaries(), [] as [&str; 0], "nobody is the primary until the other Region has applied it");
    assert_eq!(world.key(US).state, KeyState::Updating);
    for op in [Op::DisableKey(key_id), Op::EnableKey(key_id), Op::ScheduleKeyDeletion { key_id, window_days: 7 }] {
        let refusal = world.run(US, op).expect_err("updating");
        assert!(refusal.code == ErrorCode::KmsInvalidState && refusal.message.ends_with(" is updating."), "{refusal}");
    }
    assert!(world.replicate(US, "sa-east-1").is_err());
    assert!(world.on_demand(US).is_err());
    world.change_primary(US, EU).expect("repeating it changes nothing");
    assert_eq!(world.change_primary(US, SOUTH).expect_err("to another Region").code, ErrorCode::KmsInvalidState);
    world.settle();
    assert_eq!(world.primaries(), [EU]);
    world.assert_converged();
    assert!([US, EU, SOUTH].iter().all(|region| world.key(region).state == KeyState::Enabled));
    let us = US.parse().expect("valid");
    assert_eq!(world.key(US).multi_region.as_ref().expect("a set").role(&us), MultiRegionKeyType::Replica);
    assert_eq!(world.change_primary(US, SOUTH).expect_err("a replica now").code, ErrorCode::UnsupportedOperation);
    // The new primary does what primaries do.
    world.on_demand(EU).expect("rotates");
    world.replicate(EU, "sa-east-1").expect("replicates");
    world.settle();
    assert_eq!(world.versions(), [2, 2, 2, 2]);
    world.change_primary(EU, US).expect("and back");
    world.settle();
    assert_eq!(world.primaries(), [US]);
    world.assert_converged();
}

/// Found by the model of the protocol.
#[test]
fn a_version_that_a_former_primary_had_promised_is_confirmed_to_the_new_one() {
    let mut world = World::with_set(&[US, EU]);
    world.on_demand(US).expect("begun");
    world.replicate(US, SOUTH).expect("reserved");
    for (from, to) in [(US, EU), (US, EU), (EU, US), (US, SOUTH), (SOUTH, US)] {
        world.deliver_from(from, to);
    }
    world.change_primary(US, EU).expect("EU holds the new version");
    for (from, to) in [(US, EU), (US, EU), (EU, SOUTH), (EU, SOUTH)] {
        world.deliver_from(from, to); // SOUTH knows the new primary and what is staged before it has the material
    }
    assert_eq!(world.primaries(), [EU]);
    while world.state(US).outbox_for(&SOUTH.parse().expect("valid")).next().is_some() {
        world.deliver_from(US, SOUTH);
    }
    assert_eq!(world.currents(), [1, 1, 1]);
    world.settle();
    assert_eq!(world.currents(), [2, 2, 2]);
    world.assert_converged();
}

#[test]
fn what_cannot_become_the_primary() {
    let mut world = World::with_set(&[US, EU]);
    for (to, code) in [(US, ErrorCode::UnsupportedOperation), (SOUTH, ErrorCode::NotFound)] {
        assert_eq!(world.change_primary(US, to).expect_err("impossible").code, code, "{to}");
    }
    world.cut(SOUTH);
    world.replicate(US, SOUTH).expect("reserved");
    for to in [EU, SOUTH] {
        assert_eq!(world.change_primary(US, to).expect_err("reserved").code, ErrorCode::KmsInvalidState, "{to}");
    }
    world.heal();
    world.settle();
    world.run(US, Op::DisableKey(world.key_id)).expect("disabled");
    assert_eq!(world.change_primary(US, EU).expect_err("disabled").code, ErrorCode::Disabled);
    assert_eq!(world.primaries(), [US]);
}

#[test]
fn a_hand_over_that_comes_too_late_is_refused_and_the_old_primary_goes_on() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    world.change_primary(US, EU).expect("committed");
    world.run(EU, Op::DisableKey(world.key_id)).expect("meanwhile");
    world.settle();
    assert_eq!(world.primaries(), [US]);
    assert_eq!(world.key(US).multi_region.as_ref().expect("a set").epoch, 3, "the refused epoch is used up");
    world.assert_converged();
    world.on_demand(US).expect("rotates");
    world.settle();
    assert_eq!(world.currents(), [2, 2, 2]);
}

#[test]
fn a_deletion_told_to_the_former_primary_is_not_lost() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    world.hold(SOUTH, US);
    world.run(SOUTH, Op::ScheduleKeyDeletion { key_id: world.key_id, window_days: 7 }).expect("scheduled");
    world.pass_days(7);
    assert!(world.find(SOUTH).is_none(), "gone, and only the primary of that time is told");
    world.change_primary(US, EU).expect("committed");
    world.settle();
    world.heal();
    world.settle();
    assert_eq!(world.primaries(), [EU]);
    world.assert_converged();
    assert_eq!(world.key(EU).multi_region.as_ref().expect("a set").replicas.len(), 1);
    world.replicate(EU, SOUTH).expect("there is room again");
    world.settle();
    assert_eq!(world.key(SOUTH).state, KeyState::Enabled);
    world.assert_converged();
}

#[test]
fn a_deletion_that_is_told_late_does_not_remove_the_replica_that_came_after_it() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    world.hold(SOUTH, US);
    world.run(SOUTH, Op::ScheduleKeyDeletion { key_id: world.key_id, window_days: 7 }).expect("scheduled");
    world.pass_days(7);
    world.change_primary(US, EU).expect("committed");
    world.settle();
    world.replicate(EU, SOUTH).expect("made again");
    world.settle();
    world.change_primary(EU, US).expect("and back");
    world.settle();
    world.heal();
    world.settle();
    assert_eq!(world.primaries(), [US]);
    assert_eq!(world.key(SOUTH).state, KeyState::Enabled);
    world.assert_converged();
}

#[test]
fn a_deleted_target_refuses_and_leaves_the_set() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    world.hold(US, EU);
    world.change_primary(US, EU).expect("committed");
    world.run(EU, Op::ScheduleKeyDeletion { key_id: world.key_id, window_days: 7 }).expect("scheduled");
    world.pass_days(7);
    assert!(world.find(EU).is_none());
    world.heal();
    world.settle();
    assert_eq!(world.primaries(), [US]);
    world.assert_converged();
    assert!(world.key(US).multi_region.as_ref().expect("a set").replicas.keys().all(|region| region.as_str() == SOUTH));
}

#[test]
fn a_rotation_under_way_goes_on_under_the_new_primary() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    world.cut(SOUTH);
    world.on_demand(US).expect("begun");
    assert_eq!(
        world.change_primary(US, EU).expect_err("it does not hold the new material yet").code,
        ErrorCode::KmsInvalidState
    );
    world.settle();
    world.change_primary(US, EU).expect("it does now");
    world.settle();
    assert_eq!(world.primaries(), [EU]);
    assert_eq!((world.current(US), world.current(EU)), (1, 1));
    world.heal();
    world.settle();
    assert_eq!(world.currents(), [2, 2, 2]);
    world.assert_converged();
}

#[test]
fn a_replica_that_is_still_getting_its_material_gets_it_from_the_former_primary() {
    let mut world = World::with_set(&[US, EU]);
    world.on_demand(US).expect("begun");
    world.settle();
    world.replicate(US, SOUTH).expect("reserved");
    world.deliver_from(US, SOUTH); // the replica is there; its material is on its way
    world.hold(US, SOUTH);
    world.settle();
    assert_eq!(world.key(SOUTH).state, KeyState::Creating);
    world.change_primary(US, EU).expect("the replica is made");
    world.settle();
    assert_eq!(world.key(SOUTH).multi_region.as_ref().expect("a set").primary.as_str(), EU);
    world.heal();
    world.settle();
    assert_eq!(world.key(SOUTH).state, KeyState::Enabled);
    world.assert_converged();
}

#[test]
fn what_a_former_primary_still_says_changes_nothing() {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    let key_id = world.key_id;
    world.hold(US, SOUTH);
    world.run(US, Op::EnableKeyRotation { key_id, period_days: 100 }).expect("switched on");
    world.change_primary(US, EU).expect("committed");
    world.settle();
    world.run(EU, Op::EnableKeyRotation { key_id, period_days: 200 }).expect("changed");
    world.settle();
    world.heal();
    world.settle();
    assert_eq!(world.state(SOUTH).rotation(key_id).expect("shared").automatic.expect("on").period_days, 200);
    world.assert_converged();
}

#[test]
fn a_primary_that_waits_for_its_replicas_does_not_hand_over() {
    let mut world = World::with_set(&[US, EU]);
    world.run(US, Op::ScheduleKeyDeletion { key_id: world.key_id, window_days: 7 }).expect("scheduled");
    let refusal = world.change_primary(US, EU).expect_err("pending replica deletion");
    assert!(refusal.message.ends_with(" is pending replica deletion."), "{refusal}");
    world.run(US, Op::CancelKeyDeletion(world.key_id)).expect("cancelled");
    world.run(US, Op::EnableKey(world.key_id)).expect("enabled");
    world.change_primary(US, EU).expect("committed");
    world.settle();
    // The former primary goes as a replica goes, and the new one waits for it.
    world.run(EU, Op::ScheduleKeyDeletion { key_id: world.key_id, window_days: 7 }).expect("scheduled");
    assert_eq!(world.key(EU).state, KeyState::PendingReplicaDeletion);
    world.run(US, Op::ScheduleKeyDeletion { key_id: world.key_id, window_days: 7 }).expect("scheduled");
    world.pass_days(7);
    assert!(world.find(US).is_none());
    assert_eq!(world.key(EU).state, KeyState::PendingDeletion);
}

#[test]
fn the_trails_of_both_regions_hear_of_it() {
    let mut world = World::with_set(&[US, EU]);
    world.change_primary(US, EU).expect("committed");
    world.settle();
    let told = |region: &str| {
        let state = world.state(region);
        let events = state.outbox_for(state.region()).filter(|row| matches!(row.message, Message::PrimaryUpdated(_)));
        events.count()
    };
    assert_eq!((told(US), told(EU)), (0, 1), "the caller's own Region has recorded the request already");
}

#[test]
fn a_key_of_its_own_region_has_no_primary_to_change() {
    let mut world = World::with_set(&[US]);
    let key_id = world.create_single(US);
    assert_eq!(
        world.run(US, primary_change(key_id, EU)).expect_err("single-Region").code,
        ErrorCode::UnsupportedOperation
    );
}
