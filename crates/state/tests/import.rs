//! Imported material: which material a key takes, what its going and coming does to the key, and what other Regions get.

use std::collections::BTreeMap;

use meridian_crypto::{DomainKeyId, SealedMaterial};
use meridian_model::time::days;
use meridian_model::{
    ErrorCode, KeyId, KeyMaterialId, KeySpec, KeyState, KeyUsageType, OriginType, Partition, Region, RotationType,
    Timestamp,
};
use meridian_state::command::{
    CreateKey, ImportKind, ImportMaterial, NewMaterial, ReserveReplica, RotateKey, UpdatePrimaryRegion,
};
use meridian_state::links::{Delivered, Message};
use meridian_state::{Command, Done, Op, Outcome, RegionState, apply};

const NOW: u64 = 1_700_000_000_000;

fn region(name: &str) -> Region {
    name.parse().expect("a valid Region")
}

fn id(number: u8) -> KeyMaterialId {
    KeyMaterialId::from_bytes([number; 32])
}

fn material(number: u8) -> NewMaterial {
    let sealed = SealedMaterial { domain_key_id: DomainKeyId([1; 16]), nonce: [number; 12], ciphertext: vec![3; 49] };
    NewMaterial { id: id(number), sealed }
}

/// A Region with one key, and the time that it has got to.
struct Subject {
    state: RegionState,
    key_id: KeyId,
    now: Timestamp,
}

impl Subject {
    fn new(key_id: KeyId, origin: OriginType, spec: KeySpec) -> Self {
        let state = RegionState::new(region("us-east-1"), Partition::Aws);
        let mut subject = Self { state, key_id, now: Timestamp::from_millis(NOW) };
        let create = CreateKey {
            key_id,
            account: "111122223333".parse().expect("12 digits"),
            spec,
            usage: KeyUsageType::EncryptDecrypt,
            origin,
            description: String::new(),
            policy: None,
            tags: BTreeMap::new(),
            material: (origin == OriginType::AwsKms).then(|| material(99)),
        };
        subject.apply(Op::CreateKey(create)).expect("created");
        subject
    }

    fn external() -> Self {
        Self::new(KeyId::single_region([7; 16]), OriginType::External, KeySpec::SymmetricDefault)
    }

    fn multi_region() -> Self {
        Self::new(KeyId::multi_region([7; 16]), OriginType::External, KeySpec::SymmetricDefault)
    }

    fn apply(&mut self, op: Op) -> Outcome {
        apply(&mut self.state, &Command { at: self.now, op }).outcome
    }

    fn import_as(&mut self, number: u8, kind: Option<ImportKind>, valid_to: Option<Timestamp>) -> Outcome {
        let (key_id, material) = (self.key_id, material(number));
        self.apply(Op::ImportMaterial(ImportMaterial { key_id, material, kind, description: None, valid_to }))
    }

    fn import(&mut self, number: u8) -> Outcome {
        self.import_as(number, None, None)
    }

    fn delete(&mut self, number: Option<u8>) -> Outcome {
        self.apply(Op::DeleteImportedMaterial { key_id: self.key_id, material_id: number.map(id) })
    }

    fn tick_after(&mut self, number_of_days: u32) {
        self.now = self.now.plus(days(number_of_days));
        self.apply(Op::Tick).expect("time passes");
    }

    fn key_state(&self) -> KeyState {
        self.state.key(self.key_id).expect("the key").state
    }

    fn here(&self) -> Vec<KeyMaterialId> {
        self.state.materials_of(self.key_id).map(|row| row.material_id).collect()
    }

    /// Puts the key into `state` by what a client can do, with material 1 imported before if the state allows.
    fn bring_into(&mut self, state: &str) {
        let key_id = self.key_id;
        if state != "PendingImport" {
            self.import(1).expect("imported");
        }
        match state {
            "Disabled" => drop(self.apply(Op::DisableKey(key_id))),
            "PendingDeletion" => drop(self.apply(Op::ScheduleKeyDeletion { key_id, window_days: 30 })),
            _ => {}
        }
        assert_eq!(self.key_state().to_string(), state);
    }
}

fn code(outcome: &Outcome) -> Option<ErrorCode> {
    outcome.as_ref().err().map(|error| error.code)
}

#[test]
fn what_happens_to_the_key_by_its_state() {
    // From, then the states after importing the material, deleting it and letting it expire.
    let table = "
        PendingImport    Enabled          PendingImport    -
        Enabled          Enabled          PendingImport    PendingImport
        Disabled         Disabled         PendingImport    PendingImport
        PendingDeletion  refused          PendingDeletion  PendingDeletion
    ";
    for row in table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|row| !row.is_empty()) {
        let fresh = || {
            let mut subject = Subject::external();
            subject.bring_into(row[0]);
            subject
        };
        let mut importing = fresh();
        match importing.import(1) {
            Ok(_) => assert_eq!(importing.key_state().to_string(), row[1], "import in {}", row[0]),
            Err(error) => assert_eq!((error.code, row[1]), (ErrorCode::KmsInvalidState, "refused"), "{}", row[0]),
        }
        let mut deleting = fresh();
        deleting.delete(None).expect("deleted");
        assert_eq!((deleting.key_state().to_string().as_str(), deleting.here()), (row[2], vec![]), "{}", row[0]);
        if row[3] != "-" {
            let mut expiring = Subject::external();
            expiring.import_as(1, None, Some(expiring.now.plus(days(1)))).expect("imported");
            match row[0] {
                "Disabled" => drop(expiring.apply(Op::DisableKey(expiring.key_id))),
                "PendingDeletion" => {
                    let key_id = expiring.key_id;
                    drop(expiring.apply(Op::ScheduleKeyDeletion { key_id, window_days: 30 }));
                }
                _ => {}
            }
            expiring.tick_after(1);
            assert_eq!((expiring.key_state().to_string().as_str(), expiring.here()), (row[3], vec![]), "{}", row[0]);
        }
    }
}

#[test]
fn a_key_keeps_its_first_material_for_ever() {
    let mut subject = Subject::external();
    subject.import_as(1, None, Some(subject.now.plus(days(10)))).expect("the first");
    assert_eq!(code(&subject.import(2)), Some(ErrorCode::IncorrectKeyMaterial));
    subject.delete(None).expect("deleted");
    assert_eq!(code(&subject.import(2)), Some(ErrorCode::IncorrectKeyMaterial));
    subject.import_as(1, None, Some(subject.now.plus(days(10)))).expect("the same again");
    subject.tick_after(10);
    assert_eq!(subject.key_state(), KeyState::PendingImport);
    assert_eq!(code(&subject.import(2)), Some(ErrorCode::IncorrectKeyMaterial));
    subject.import(1).expect("the same again");
    assert_eq!((subject.key_state(), subject.here()), (KeyState::Enabled, vec![id(1)]));
}

#[test]
fn other_keys_take_no_imports() {
    let mut generated = Subject::new(KeyId::single_region([7; 16]), OriginType::AwsKms, KeySpec::SymmetricDefault);
    for outcome in [generated.import(1), generated.delete(None)] {
        let error = outcome.expect_err("generated material");
        assert_eq!(error.code, ErrorCode::UnsupportedOperation);
        assert!(error.message.ends_with(" origin is AWS_KMS which is not valid for this operation."), "{error}");
    }
    let mut hmac = Subject::new(KeyId::single_region([7; 16]), OriginType::External, KeySpec::Hmac256);
    hmac.import(1).expect("the first");
    assert_eq!(code(&hmac.import_as(2, Some(ImportKind::New), None)), Some(ErrorCode::UnsupportedOperation));
}

#[test]
fn what_the_importer_says_has_to_be_so() {
    let mut subject = Subject::external();
    let existing = Some(ImportKind::Existing);
    assert_eq!(code(&subject.import_as(1, existing, None)), Some(ErrorCode::IncorrectKeyMaterial));
    subject.import_as(1, Some(ImportKind::New), None).expect("the first");
    assert_eq!(code(&subject.import_as(1, Some(ImportKind::New), None)), Some(ErrorCode::IncorrectKeyMaterial));
    subject.import_as(1, existing, None).expect("again");
}

#[test]
fn new_material_waits_beside_the_current_one() {
    let mut subject = Subject::external();
    subject.import(1).expect("the first");
    subject.import_as(2, Some(ImportKind::New), None).expect("the next");
    let key = subject.state.key(subject.key_id).expect("the key");
    assert_eq!((key.current_material, key.state), (Some(id(1)), KeyState::Enabled));
    assert_eq!(subject.state.pending_version(subject.key_id), Some(id(2)));
    assert_eq!(code(&subject.import_as(3, Some(ImportKind::New), None)), Some(ErrorCode::KmsInvalidState));
    subject.import(2).expect("what waits may come again");

    subject.delete(Some(2)).expect("deleted");
    assert_eq!((subject.key_state(), subject.here()), (KeyState::Enabled, vec![id(1)]));
    assert_eq!(subject.state.pending_version(subject.key_id), None);
    assert_eq!(code(&subject.import(2)), Some(ErrorCode::IncorrectKeyMaterial), "it is forgotten");
    subject.import_as(3, Some(ImportKind::New), Some(subject.now.plus(days(1)))).expect("another in its place");
    subject.tick_after(1);
    assert_eq!((subject.key_state(), subject.here()), (KeyState::Enabled, vec![id(1)]), "expired, and forgotten");
    subject.import_as(3, Some(ImportKind::New), None).expect("new once more");
}

#[test]
fn a_key_without_material_becomes_usable_by_its_own_material_only() {
    let mut subject = Subject::external();
    subject.import(1).expect("the first");
    subject.delete(None).expect("deleted");
    subject.import_as(2, Some(ImportKind::New), None).expect("the next");
    assert_eq!(subject.key_state(), KeyState::PendingImport);
    subject.import(1).expect("what is missing");
    assert_eq!(subject.key_state(), KeyState::Enabled);
}

#[test]
fn deleting_what_is_not_there() {
    let mut subject = Subject::external();
    subject.delete(None).expect("no effect");
    assert_eq!(subject.key_state(), KeyState::PendingImport);
    assert_eq!(code(&subject.delete(Some(1))), Some(ErrorCode::NotFound));
    subject.import(1).expect("imported");
    assert_eq!(code(&subject.delete(Some(2))), Some(ErrorCode::NotFound));
    subject.delete(Some(1)).expect("deleted");
    subject.delete(Some(1)).expect("no effect");
    assert_eq!(subject.key_state(), KeyState::PendingImport);
}

#[test]
fn a_cancelled_deletion_enables_nothing_that_is_empty() {
    let mut subject = Subject::external();
    let key_id = subject.key_id;
    subject.apply(Op::ScheduleKeyDeletion { key_id, window_days: 7 }).expect("scheduled");
    subject.apply(Op::CancelKeyDeletion(key_id)).expect("cancelled");
    assert_eq!(subject.key_state(), KeyState::PendingImport, "it never had material");
    subject.import(1).expect("imported");
    subject.apply(Op::ScheduleKeyDeletion { key_id, window_days: 7 }).expect("scheduled");
    subject.apply(Op::CancelKeyDeletion(key_id)).expect("cancelled");
    assert_eq!(subject.key_state(), KeyState::Disabled, "as any other key");
    subject.apply(Op::ScheduleKeyDeletion { key_id, window_days: 7 }).expect("scheduled");
    subject.delete(None).expect("deleted");
    subject.apply(Op::CancelKeyDeletion(key_id)).expect("cancelled");
    assert_eq!(subject.key_state(), KeyState::PendingImport);
    assert_eq!(code(&subject.apply(Op::EnableKey(key_id))), Some(ErrorCode::KmsInvalidState));
}

#[test]
fn a_description_stays_until_another_is_given() {
    let mut subject = Subject::external();
    let described = |subject: &mut Subject, description: Option<&str>| {
        let (key_id, description) = (subject.key_id, description.map(str::to_owned));
        let (material, kind, valid_to) = (material(1), None, None);
        let op = Op::ImportMaterial(ImportMaterial { key_id, material, kind, description, valid_to });
        subject.apply(op).expect("imported");
        let version = subject.state.version(key_id, id(1)).expect("known").import.clone();
        version.expect("imported").description
    };
    assert_eq!(described(&mut subject, Some("of 2024")).as_deref(), Some("of 2024"));
    assert_eq!(described(&mut subject, None).as_deref(), Some("of 2024"));
    assert_eq!(described(&mut subject, Some("of 2025")).as_deref(), Some("of 2025"));
}

#[test]
fn an_import_moves_the_expiry() {
    let mut subject = Subject::external();
    assert_eq!(subject.state.imported_validity(subject.key_id), None);
    let end = subject.now.plus(days(10));
    subject.import_as(1, None, Some(end)).expect("imported");
    assert_eq!(subject.state.imported_validity(subject.key_id), Some(Some(end)));
    assert_eq!(subject.state.next_due(), Some(end));
    subject.import(1).expect("without an end");
    assert_eq!((subject.state.imported_validity(subject.key_id), subject.state.next_due()), (Some(None), None));
    subject.tick_after(11);
    assert_eq!(subject.key_state(), KeyState::Enabled);
    let past = subject.now.plus(days(1));
    subject.import_as(1, None, Some(past)).expect("imported");
    subject.tick_after(1);
    assert_eq!(subject.state.imported_validity(subject.key_id), Some(Some(past)), "it is still told");
    assert_eq!(subject.state.next_due(), None);
}

#[test]
fn an_expiry_is_told_to_the_audit_trail_once() {
    let mut subject = Subject::external();
    subject.import_as(1, None, Some(subject.now.plus(days(1)))).expect("imported");
    subject.tick_after(1);
    subject.tick_after(1);
    let events: Vec<_> = subject.state.outbox_for(&region("us-east-1")).map(|row| row.message.clone()).collect();
    let account = "111122223333".parse().expect("12 digits");
    let expected = Message::ImportedMaterialExpired { account, key_id: subject.key_id, material_id: id(1) };
    assert_eq!(events, [expected]);
}

#[test]
fn a_key_whose_window_ends_with_its_material_is_gone() {
    let mut subject = Subject::external();
    let key_id = subject.key_id;
    subject.import_as(1, None, Some(subject.now.plus(days(7)))).expect("imported");
    subject.apply(Op::ScheduleKeyDeletion { key_id, window_days: 7 }).expect("scheduled");
    subject.tick_after(7);
    assert!(subject.state.key(key_id).is_none(), "the expiry must not bring it back");
    assert_eq!((subject.state.next_due(), subject.state.versions_of(key_id).count()), (None, 0));
    subject.tick_after(1);
    assert!(subject.state.key(key_id).is_none());
}

/// What the primary sends to eu-west-1, applied there.
fn replicated(primary: &mut Subject) -> Subject {
    let reserve = ReserveReplica {
        key_id: primary.key_id,
        region: region("eu-west-1"),
        created_at: primary.now,
        description: String::new(),
        policy: None,
        tags: BTreeMap::new(),
    };
    assert!(matches!(primary.apply(Op::ReserveReplica(reserve)), Ok(Done::Key(_))));
    let state = RegionState::new(region("eu-west-1"), Partition::Aws);
    let mut replica = Subject { state, key_id: primary.key_id, now: primary.now };
    let sent: Vec<_> = primary.state.outbox_for(&region("eu-west-1")).cloned().collect();
    for row in sent {
        assert!(!matches!(row.message, Message::TransferMaterial(_)), "imported material never leaves its Region");
        replica
            .apply(Op::ApplyMessage {
                from: region("us-east-1"),
                sequence: row.sequence,
                committed_at: row.committed_at,
                message: Delivered::Plain(row.message.clone()),
            })
            .expect("applied");
    }
    replica
}

#[test]
fn a_replica_takes_the_material_of_its_primary_and_no_other() {
    let mut primary = Subject::multi_region();
    primary.import(1).expect("imported");
    let mut replica = replicated(&mut primary);
    assert_eq!((replica.key_state(), replica.here()), (KeyState::PendingImport, vec![]));
    assert_eq!(replica.state.imported_validity(replica.key_id), None, "nothing was imported here");
    for kind in [None, Some(ImportKind::New), Some(ImportKind::Existing)] {
        assert!(replica.import_as(2, kind, None).is_err(), "{kind:?}");
    }
    replica.import_as(1, None, Some(replica.now.plus(days(1)))).expect("the same");
    assert_eq!(replica.key_state(), KeyState::Enabled);
    replica.tick_after(1);
    assert_eq!((replica.key_state(), primary.key_state()), (KeyState::PendingImport, KeyState::Enabled));
    primary.delete(None).expect("deleted");
    replica.import(1).expect("whatever the primary has by now");
    assert_eq!((replica.key_state(), primary.key_state()), (KeyState::Enabled, KeyState::PendingImport));
}

#[test]
fn material_that_expires_while_the_primary_changes_is_missed_at_its_end() {
    let mut primary = Subject::multi_region();
    primary.import_as(1, None, Some(primary.now.plus(days(1)))).expect("imported");
    let replica = replicated(&mut primary);
    let message = |sequence, message| Op::ApplyMessage {
        from: region("eu-west-1"),
        sequence,
        committed_at: Timestamp::from_millis(NOW),
        message: Delivered::Plain(message),
    };
    primary.apply(message(1, Message::ReplicaCreated(replica.key_id))).expect("applied");
    let (key_id, to) = (primary.key_id, region("eu-west-1"));
    let update = UpdatePrimaryRegion { key_id, region: to, request: Vec::new() };
    primary.apply(Op::UpdatePrimaryRegion(update)).expect("handed over");
    primary.tick_after(1);
    assert_eq!((primary.key_state(), primary.here()), (KeyState::Updating, vec![]));
    let epoch = primary.state.key(key_id).and_then(|key| key.multi_region.as_ref()).expect("a set").epoch;
    primary.apply(message(2, Message::HandOverRefused { key_id, epoch })).expect("applied");
    assert_eq!(primary.key_state(), KeyState::PendingImport);
    primary.import(1).expect("the same");
    assert_eq!(primary.key_state(), KeyState::Enabled);
}

#[test]
fn new_material_becomes_current_by_a_rotation_and_belongs_to_the_key_from_then_on() {
    let mut subject = Subject::external();
    let key_id = subject.key_id;
    let rotate = || Op::RotateKey(RotateKey { key_id, kind: RotationType::OnDemand, material: None });
    subject.import(1).expect("the first");
    assert_eq!(code(&subject.apply(rotate())), Some(ErrorCode::KmsInvalidState), "nothing waits");
    subject.import_as(2, Some(ImportKind::New), None).expect("the next");
    subject.apply(rotate()).expect("rotated");
    let current = |subject: &Subject| subject.state.key(key_id).expect("the key").current_material;
    assert_eq!((current(&subject), subject.state.pending_version(key_id)), (Some(id(2)), None));
    subject.delete(Some(1)).expect("deleted");
    assert_eq!(subject.key_state(), KeyState::PendingImport, "the former one is needed as well");
    assert_eq!(code(&subject.import(3)), Some(ErrorCode::IncorrectKeyMaterial));
    subject.import(1).expect("the former one");
    assert_eq!((subject.key_state(), current(&subject)), (KeyState::Enabled, Some(id(2))));
    subject.delete(None).expect("deleted");
    assert_eq!((subject.key_state(), subject.here()), (KeyState::PendingImport, vec![id(1)]), "the current one went");
}

#[test]
fn a_multi_region_key_keeps_its_first_material() {
    let mut primary = Subject::multi_region();
    primary.import(1).expect("the first");
    assert_eq!(code(&primary.import_as(2, Some(ImportKind::New), None)), Some(ErrorCode::UnsupportedOperation));
}

#[test]
fn a_primary_without_material_is_not_replicated() {
    let mut primary = Subject::multi_region();
    let reserve = ReserveReplica {
        key_id: primary.key_id,
        region: region("eu-west-1"),
        created_at: primary.now,
        description: String::new(),
        policy: None,
        tags: BTreeMap::new(),
    };
    assert_eq!(code(&primary.apply(Op::ReserveReplica(reserve))), Some(ErrorCode::KmsInvalidState));
}
