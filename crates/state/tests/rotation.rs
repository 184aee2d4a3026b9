//! Rotation of single-Region keys: dates, versions, and what a repeated or late proposal may do.

use std::collections::{BTreeMap, BTreeSet};

use meridian_crypto::{DomainKeyId, SealedMaterial};
use meridian_model::{
    ErrorCode, KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Partition, RotationType, ServiceError,
    Timestamp,
};
use meridian_state::command::{CreateKey, NewMaterial, RotateKey};
use meridian_state::links::Message;
use meridian_state::rows::{Imported, PendingRotation, RotationRecord, Row, VersionRecord};
use meridian_state::schedule::Due;
use meridian_state::{Command, KeyRecord, Op, RegionState, apply};

const DAY_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;

/// One Region with one key, and a leader that rotates whatever is due.
struct Keeper {
    state: RegionState,
    now: Timestamp,
    key_id: KeyId,
    materials: u8,
}

impl Keeper {
    fn new(spec: KeySpec, origin: OriginType) -> Self {
        let state = RegionState::new("us-east-1".parse().expect("valid"), Partition::Aws);
        let key_id = KeyId::single_region([1; 16]);
        let mut keeper = Self { state, now: Timestamp::from_millis(1_640_995_200_000), key_id, materials: 0 };
        let usage =
            if spec == KeySpec::SymmetricDefault { KeyUsageType::EncryptDecrypt } else { KeyUsageType::SignVerify };
        let material = Some(keeper.new_material());
        let create = CreateKey {
            key_id,
            account: "111122223333".parse().expect("12 digits"),
            spec,
            usage,
            origin,
            description: String::new(),
            policy: None,
            tags: BTreeMap::new(),
            material,
        };
        keeper.run(Op::CreateKey(create)).expect("created");
        keeper
    }

    fn symmetric() -> Self {
        Self::new(KeySpec::SymmetricDefault, OriginType::AwsKms)
    }

    fn new_material(&mut self) -> NewMaterial {
        self.materials += 1;
        let sealed = SealedMaterial { domain_key_id: DomainKeyId([1; 16]), nonce: [2; 12], ciphertext: vec![3; 49] };
        NewMaterial { id: KeyMaterialId::from_bytes([self.materials; 32]), sealed }
    }

    fn run(&mut self, op: Op) -> Result<(), ServiceError> {
        apply(&mut self.state, &Command { at: self.now, op }).outcome.map(drop)
    }

    fn enable(&mut self, period_days: u32) {
        let key_id = self.key_id;
        self.run(Op::EnableKeyRotation { key_id, period_days }).expect("switched on");
    }

    fn on_demand(&mut self) -> Result<(), ServiceError> {
        let material = Some(self.new_material());
        self.run(Op::RotateKey(RotateKey { key_id: self.key_id, kind: RotationType::OnDemand, material }))
    }

    /// What the leader does every moment.
    fn rotate_due(&mut self) {
        let due: Vec<Due> = self.state.due(self.now).collect();
        for due in due {
            let Due::Rotation(key_id) = due else { panic!("{due:?} is due") };
            let material = Some(self.new_material());
            self.run(Op::RotateKey(RotateKey { key_id, kind: RotationType::Automatic, material })).expect("no refusal");
        }
    }

    /// Lets `days` pass, one by one.
    fn pass(&mut self, days: u64) {
        for _ in 0..days {
            self.now = Timestamp::from_millis(self.now.as_millis() + DAY_MS);
            self.rotate_due();
        }
    }

    fn key(&self) -> &KeyRecord {
        self.state.key(self.key_id).expect("there")
    }

    fn current(&self) -> u8 {
        self.key().current_material.expect("has material").as_bytes()[0]
    }

    fn versions(&self) -> usize {
        self.state.materials_of(self.key_id).count()
    }

    fn next_in_days(&self) -> Option<i64> {
        let automatic = self.state.rotation(self.key_id)?.automatic?;
        let next = i64::try_from(automatic.next.as_millis()).expect("small");
        Some((next - i64::try_from(self.now.as_millis()).expect("small")) / i64::try_from(DAY_MS).expect("small"))
    }
}

#[test]
fn a_key_rotates_a_period_after_it_was_switched_on_and_then_every_period() {
    let mut keeper = Keeper::symmetric();
    keeper.pass(73);
    keeper.enable(365);
    keeper.pass(364);
    assert_eq!(keeper.versions(), 1, "not a day too early");
    keeper.pass(1);
    assert_eq!((keeper.versions(), keeper.current()), (2, 2));
    assert_eq!(keeper.next_in_days(), Some(365));
    keeper.pass(364);
    assert_eq!(keeper.versions(), 2, "nothing in between");
    keeper.pass(1);
    assert_eq!((keeper.versions(), keeper.current()), (3, 3));
}

#[test]
fn switching_it_on_again_moves_nothing_unless_the_period_changes() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(365);
    keeper.pass(100);
    keeper.enable(365);
    assert_eq!(keeper.next_in_days(), Some(265));
    keeper.enable(90);
    assert_eq!(keeper.next_in_days(), Some(90));
    keeper.run(Op::DisableKeyRotation(keeper.key_id)).expect("off");
    keeper.run(Op::DisableKeyRotation(keeper.key_id)).expect("off already");
    keeper.pass(400);
    assert_eq!((keeper.versions(), keeper.state.next_due()), (1, None));
    keeper.enable(365);
    assert_eq!(keeper.next_in_days(), Some(365), "a new cycle");
}

#[test]
fn a_disabled_key_waits_and_old_material_is_rotated_as_soon_as_it_is_enabled() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(365);
    keeper.pass(200);
    keeper.run(Op::DisableKey(keeper.key_id)).expect("disabled");
    keeper.pass(200);
    assert_eq!(keeper.versions(), 1);
    keeper.run(Op::EnableKey(keeper.key_id)).expect("enabled");
    assert_eq!(keeper.versions(), 1, "the request does not wait for it");
    keeper.rotate_due();
    assert_eq!((keeper.versions(), keeper.next_in_days()), (2, Some(365)));
}

#[test]
fn young_material_is_rotated_as_planned_after_a_time_of_being_disabled() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(365);
    keeper.pass(200);
    keeper.run(Op::DisableKey(keeper.key_id)).expect("disabled");
    keeper.pass(100);
    keeper.run(Op::EnableKey(keeper.key_id)).expect("enabled");
    assert_eq!(keeper.next_in_days(), Some(65));
    // A rotation on demand makes the material young; the date that was missed is not made up for.
    keeper.on_demand().expect("rotated");
    keeper.run(Op::DisableKey(keeper.key_id)).expect("disabled");
    keeper.pass(70);
    keeper.run(Op::EnableKey(keeper.key_id)).expect("enabled");
    keeper.rotate_due();
    assert_eq!((keeper.versions(), keeper.next_in_days()), (2, Some(360)));
}

#[test]
fn material_older_than_a_period_is_rotated_at_once_though_the_schedule_is_young() {
    let mut keeper = Keeper::symmetric();
    keeper.pass(400);
    keeper.enable(365);
    keeper.run(Op::EnableKey(keeper.key_id)).expect("it is enabled");
    keeper.rotate_due();
    assert_eq!(keeper.versions(), 1, "enabling an enabled key is no way out of being disabled");
    keeper.run(Op::DisableKey(keeper.key_id)).expect("disabled");
    keeper.run(Op::EnableKey(keeper.key_id)).expect("enabled");
    keeper.rotate_due();
    assert_eq!((keeper.versions(), keeper.next_in_days()), (2, Some(365)));
}

#[test]
fn a_key_that_waits_for_its_deletion_is_not_rotated() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(90);
    keeper.pass(80);
    keeper.run(Op::ScheduleKeyDeletion { key_id: keeper.key_id, window_days: 30 }).expect("scheduled");
    keeper.pass(20);
    assert_eq!(keeper.versions(), 1);
    let enable = Op::EnableKeyRotation { key_id: keeper.key_id, period_days: 365 };
    let refusal = keeper.run(enable).expect_err("pending deletion");
    assert_eq!(refusal.code, ErrorCode::KmsInvalidState);
    assert!(refusal.message.ends_with(" is pending deletion."), "{refusal}");
    keeper.run(Op::CancelKeyDeletion(keeper.key_id)).expect("cancelled");
    keeper.rotate_due();
    assert_eq!(keeper.versions(), 1, "cancelling leaves the key disabled");
    assert_eq!(keeper.run(Op::DisableKeyRotation(keeper.key_id)).expect_err("disabled").code, ErrorCode::Disabled);
    keeper.run(Op::EnableKey(keeper.key_id)).expect("enabled");
    keeper.rotate_due();
    assert_eq!((keeper.versions(), keeper.next_in_days()), (2, Some(90)));
}

#[test]
fn a_proposal_that_comes_twice_or_late_changes_nothing() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(90);
    keeper.now = Timestamp::from_millis(keeper.now.as_millis() + 90 * DAY_MS);
    let twice: Vec<Op> = (0..2)
        .map(|_| {
            let material = Some(keeper.new_material());
            Op::RotateKey(RotateKey { key_id: keeper.key_id, kind: RotationType::Automatic, material })
        })
        .collect();
    for op in &twice {
        keeper.run(op.clone()).expect("never refused");
    }
    assert_eq!((keeper.versions(), keeper.current()), (2, 2));
    keeper.now = Timestamp::from_millis(keeper.now.as_millis() + 90 * DAY_MS);
    keeper.run(Op::DisableKey(keeper.key_id)).expect("disabled meanwhile");
    keeper.run(twice[1].clone()).expect("never refused");
    assert_eq!(keeper.versions(), 2);
}

#[test]
fn rotations_on_demand_keep_the_schedule_and_have_a_limit() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(365);
    keeper.pass(10);
    for rotation in 1..=25 {
        keeper.on_demand().unwrap_or_else(|error| panic!("rotation {rotation}: {error}"));
    }
    assert_eq!((keeper.versions(), keeper.next_in_days()), (26, Some(355)));
    assert_eq!(keeper.on_demand().expect_err("the 26th").code, ErrorCode::LimitExceeded);
    keeper.pass(355);
    assert_eq!(keeper.versions(), 27, "automatic rotations have no limit");
}

#[test]
fn no_rotation_on_demand_within_twenty_minutes_of_an_automatic_one() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(90);
    let due = keeper.now.as_millis() + 90 * DAY_MS;
    for (before_ms, is_refused) in [(20 * MINUTE_MS + 1, false), (20 * MINUTE_MS, true), (0, true)] {
        keeper.now = Timestamp::from_millis(due - before_ms);
        let outcome = keeper.on_demand().map_err(|error| error.code);
        assert_eq!(outcome, if is_refused { Err(ErrorCode::Conflict) } else { Ok(()) }, "{before_ms} ms before");
    }
}

#[test]
fn only_generated_symmetric_material_is_rotated() {
    for (spec, origin, on_demand) in [
        (KeySpec::Rsa2048, OriginType::AwsKms, ErrorCode::UnsupportedOperation),
        (KeySpec::Hmac256, OriginType::AwsKms, ErrorCode::UnsupportedOperation),
        (KeySpec::SymmetricDefault, OriginType::AwsCloudhsm, ErrorCode::UnsupportedOperation),
        (KeySpec::SymmetricDefault, OriginType::ExternalKeyStore, ErrorCode::UnsupportedOperation),
        (KeySpec::SymmetricDefault, OriginType::External, ErrorCode::KmsInvalidState),
    ] {
        let mut keeper = Keeper::new(spec, origin);
        let key_id = keeper.key_id;
        for op in [Op::EnableKeyRotation { key_id, period_days: 365 }, Op::DisableKeyRotation(key_id)] {
            let refusal = keeper.run(op).expect_err("not this kind of key");
            assert_eq!(refusal.code, ErrorCode::UnsupportedOperation, "{spec} {origin}");
        }
        assert_eq!(keeper.on_demand().expect_err("nothing to rotate to").code, on_demand, "{spec} {origin}");
        assert_eq!(keeper.versions(), 1);
    }
}

/// A key whose second version was imported and waits; `waiting_for` are Regions that do not have it.
fn with_imported_version(waiting_for: &[&str]) -> Keeper {
    let keeper = Keeper::new(KeySpec::SymmetricDefault, OriginType::External);
    let (key_id, material_id) = (keeper.key_id, KeyMaterialId::from_bytes([9; 32]));
    let mut rows: Vec<_> = keeper.state.rows().collect();
    let (mut id, mut value) = rows.iter().find(|(id, _)| id[0] == 3).expect("a material").clone();
    let at = id.len() - 32;
    id[at..].copy_from_slice(&[9; 32]);
    let place = value.windows(32).position(|window| window == [1; 32]).expect("its id");
    value[place..place + 32].copy_from_slice(&[9; 32]);
    rows.push((id, value));
    let import = Some(Imported { description: Some("second".to_owned()), valid_to: None });
    let waiting_for: BTreeSet<_> = waiting_for.iter().map(|name| name.parse().expect("valid")).collect();
    let pending = Some(PendingRotation { material_id, started: None, waiting_for });
    for row in [
        Row::Version(VersionRecord { key_id, material_id, rotation: None, import }.into()),
        Row::Rotation(RotationRecord { key_id, automatic: None, on_demand: 0, pending }.into()),
    ] {
        rows.push((row.id().encode(), row.encode()));
    }
    let state = RegionState::from_rows("us-east-1".parse().expect("valid"), Partition::Aws, rows).expect("rows");
    Keeper { state, ..keeper }
}

#[test]
fn imported_material_becomes_current_when_somebody_asks() {
    let mut keeper = with_imported_version(&[]);
    let key_id = keeper.key_id;
    let rotate = Op::RotateKey(RotateKey { key_id, kind: RotationType::OnDemand, material: None });
    keeper.run(rotate.clone()).expect("rotated");
    assert_eq!(keeper.current(), 9);
    let version = keeper.state.version(key_id, KeyMaterialId::from_bytes([9; 32])).expect("known").clone();
    assert_eq!(version.rotation.expect("rotated").kind, RotationType::OnDemand);
    assert_eq!(
        version.import.as_ref().expect("imported").description.as_deref(),
        Some("second"),
        "what was known stays known"
    );
    assert_eq!(keeper.run(rotate).expect_err("nothing waits").code, ErrorCode::KmsInvalidState);
}

#[test]
fn imported_material_has_to_be_everywhere_first() {
    let mut keeper = with_imported_version(&["eu-west-1"]);
    let rotate = Op::RotateKey(RotateKey { key_id: keeper.key_id, kind: RotationType::OnDemand, material: None });
    assert_eq!(keeper.run(rotate).expect_err("a replica lacks it").code, ErrorCode::KmsInvalidState);
    assert_eq!(keeper.current(), 1);
}

#[test]
fn each_rotation_is_told_to_the_audit_trail_once() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(90);
    keeper.on_demand().expect("rotated");
    keeper.pass(90);
    let here = keeper.state.region().clone();
    let told: Vec<_> = keeper
        .state
        .outbox_for(&here)
        .map(|row| match row.message {
            Message::KeyRotated(rotated) => {
                (rotated.kind, rotated.previous.map(|id| id.as_bytes()[0]), rotated.current.as_bytes()[0])
            }
            ref other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(RotationType::OnDemand, Some(1), 2), (RotationType::Automatic, Some(2), 3)]);
}

#[test]
fn a_deleted_key_leaves_nothing_of_its_rotations() {
    let mut keeper = Keeper::symmetric();
    keeper.enable(90);
    keeper.pass(90);
    keeper.run(Op::ScheduleKeyDeletion { key_id: keeper.key_id, window_days: 7 }).expect("scheduled");
    keeper.now = Timestamp::from_millis(keeper.now.as_millis() + 7 * DAY_MS);
    keeper.run(Op::Tick).expect("deleted");
    let key_id = keeper.key_id;
    assert!(keeper.state.rotation(key_id).is_none() && keeper.state.versions_of(key_id).next().is_none());
    assert_eq!((keeper.versions(), keeper.state.next_due()), (0, None));
    assert!(keeper.state.key(key_id).is_none());
}
