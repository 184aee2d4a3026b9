//! Sets of multi-Region keys across several Regions, with perfect and with repeating links.

use std::collections::BTreeMap;

use meridian_crypto::{DomainKeyId, SealedMaterial};
use meridian_model::{
    ErrorCode, KeyId, KeyMaterialId, KeySpec, KeyState, KeyUsageType, MultiRegionKeyType, OriginType, Partition,
    Region, ServiceError, Timestamp,
};
use meridian_state::command::{CreateKey, NewMaterial, ReserveReplica};
use meridian_state::links::{Delivered, Message};
use meridian_state::{Command, KeyRecord, Op, RegionState, ReplicaStatus, apply};

const DAY_MS: u64 = 86_400_000;

/// Some Regions and the links between them.
struct World {
    regions: BTreeMap<Region, RegionState>,
    now: Timestamp,
    /// Every message is delivered twice.
    is_repeating: bool,
}

impl World {
    fn new(names: &[&str]) -> Self {
        let region = |name: &&str| name.parse::<Region>().expect("a valid Region");
        let regions = names.iter().map(region).map(|name| (name.clone(), RegionState::new(name, Partition::Aws)));
        Self { regions: regions.collect(), now: Timestamp::from_millis(1_000_000), is_repeating: false }
    }

    fn run(&mut self, region: &str, op: Op) -> Result<(), ServiceError> {
        let at = self.now;
        let state = self.regions.get_mut(&region.parse().expect("valid")).expect("a Region of this world");
        apply(state, &Command { at, op }).outcome.map(drop)
    }

    fn key(&self, region: &str, key_id: KeyId) -> &KeyRecord {
        self.find(region, key_id).expect("the key exists")
    }

    fn find(&self, region: &str, key_id: KeyId) -> Option<&KeyRecord> {
        self.regions[&region.parse::<Region>().expect("valid")].key(key_id).map(AsRef::as_ref)
    }

    /// Delivers one message of any link; false if none waits.
    fn deliver_one(&mut self) -> bool {
        let waiting = self.regions.iter().find_map(|(from, state)| {
            let mut to_others = self.regions.keys().filter(|to| *to != from);
            to_others.find_map(|to| state.outbox_for(to).next()).map(|row| (from.clone(), row.clone()))
        });
        let Some((from, row)) = waiting else { return false };
        let op = Op::ApplyMessage {
            from: from.clone(),
            sequence: row.sequence,
            committed_at: row.committed_at,
            message: self.carried(&from, &row.message),
        };
        for _ in 0..=u8::from(self.is_repeating) {
            self.run(row.to.as_str(), op.clone()).expect("messages are never refused");
        }
        let through = self.regions[&row.to].cursor(&from).last_applied;
        self.run(from.as_str(), Op::AcknowledgeOutbox { to: row.to.clone(), through }).expect("never refused");
        true
    }

    /// The message as it arrives; material gets its bytes on the way.
    fn carried(&self, from: &Region, message: &Message) -> Delivered {
        match message {
            Message::TransferMaterial(reference) => {
                let row =
                    self.regions[from].material(reference.key_id, reference.material_id).expect("the sender has it");
                Delivered::Material { reference: *reference, sealed: row.sealed.clone() }
            }
            other => Delivered::Plain(other.clone()),
        }
    }

    fn settle(&mut self) {
        let mut steps = 0;
        while self.deliver_one() {
            steps += 1;
            assert!(steps < 1_000, "the Regions never stop talking");
        }
    }

    fn create(&mut self, region: &str) -> KeyId {
        let key_id = KeyId::multi_region([7; 16]);
        let material = NewMaterial { id: KeyMaterialId::from_bytes([8; 32]), sealed: sealed() };
        let create = CreateKey {
            key_id,
            account: "111122223333".parse().expect("12 digits"),
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsageType::EncryptDecrypt,
            origin: OriginType::AwsKms,
            description: "primary".to_owned(),
            policy: None,
            tags: BTreeMap::new(),
            material: Some(material),
        };
        self.run(region, Op::CreateKey(create)).expect("created");
        key_id
    }

    fn replicate(&mut self, from: &str, to: &str, key_id: KeyId) -> Result<(), ServiceError> {
        let reserve = ReserveReplica {
            key_id,
            region: to.parse().expect("valid"),
            created_at: self.now,
            description: "replica".to_owned(),
            policy: Some("{}".to_owned()),
            tags: BTreeMap::from([("Project".to_owned(), "Alpha".to_owned())]),
        };
        self.run(from, Op::ReserveReplica(reserve))
    }

    fn pass_days(&mut self, days: u64) {
        self.now = Timestamp::from_millis(self.now.as_millis() + days * DAY_MS);
        let names: Vec<Region> = self.regions.keys().cloned().collect();
        for name in names {
            self.run(name.as_str(), Op::Tick).expect("never refused");
        }
        self.settle();
    }
}

fn sealed() -> SealedMaterial {
    SealedMaterial { domain_key_id: DomainKeyId([1; 16]), nonce: [2; 12], ciphertext: vec![3; 49] }
}

#[test]
fn a_replica_gets_shared_properties_its_own_ones_and_the_material() {
    let mut world = World::new(&["us-east-1", "eu-west-1"]);
    let key_id = world.create("us-east-1");
    world.replicate("us-east-1", "eu-west-1", key_id).expect("reserved");
    assert!(world.deliver_one(), "the replica is asked for");
    assert_eq!(world.key("eu-west-1", key_id).state, KeyState::Creating);
    world.settle();
    let (primary, replica) = (world.key("us-east-1", key_id), world.key("eu-west-1", key_id));
    assert_eq!(replica.state, KeyState::Enabled);
    assert_eq!((replica.spec, replica.usage, replica.origin), (primary.spec, primary.usage, primary.origin));
    assert_eq!(replica.current_material, primary.current_material);
    assert_eq!((primary.description.as_str(), replica.description.as_str()), ("primary", "replica"));
    let eu = &world.regions[&"eu-west-1".parse::<Region>().expect("valid")];
    assert_eq!(eu.policy(key_id), Some("{}"));
    assert_eq!(eu.tags(key_id).map(BTreeMap::len), Some(1));
    assert_eq!(eu.materials_of(key_id).count(), 1);
}

#[test]
fn every_region_learns_the_membership() {
    let mut world = World::new(&["us-east-1", "eu-west-1", "ap-southeast-1"]);
    world.is_repeating = true;
    let key_id = world.create("us-east-1");
    for to in ["eu-west-1", "ap-southeast-1"] {
        world.replicate("us-east-1", to, key_id).expect("reserved");
        world.settle();
    }
    let expected = world.key("us-east-1", key_id).multi_region.clone().expect("a set");
    assert!(expected.replicas.values().all(|status| *status == ReplicaStatus::Created));
    assert_eq!(expected.replicas.len(), 2);
    for region in ["eu-west-1", "ap-southeast-1"] {
        let known = world.key(region, key_id).multi_region.clone().expect("a set");
        assert_eq!(known, expected, "{region}");
        assert_eq!(known.role(&region.parse().expect("valid")), MultiRegionKeyType::Replica);
    }
}

#[test]
fn one_key_of_a_set_per_region() {
    let mut world = World::new(&["us-east-1", "eu-west-1"]);
    let key_id = world.create("us-east-1");
    world.replicate("us-east-1", "eu-west-1", key_id).expect("reserved");
    world.replicate("us-east-1", "eu-west-1", key_id).expect("repeating a reservation resumes it");
    world.settle();
    for (from, to, code) in [
        ("us-east-1", "eu-west-1", ErrorCode::AlreadyExists),
        ("us-east-1", "us-east-1", ErrorCode::AlreadyExists),
        ("eu-west-1", "us-east-1", ErrorCode::UnsupportedOperation),
    ] {
        assert_eq!(world.replicate(from, to, key_id).expect_err("refused").code, code, "{from} -> {to}");
    }
    world.run("us-east-1", Op::DisableKey(key_id)).expect("disabled");
    assert_eq!(world.key("eu-west-1", key_id).state, KeyState::Enabled, "key states are independent");
}

#[test]
fn a_primary_waits_for_the_deletion_of_its_replicas() {
    let mut world = World::new(&["us-east-1", "eu-west-1"]);
    let key_id = world.create("us-east-1");
    world.replicate("us-east-1", "eu-west-1", key_id).expect("reserved");
    world.settle();
    world.run("us-east-1", Op::ScheduleKeyDeletion { key_id, window_days: 8 }).expect("scheduled");
    let waiting = world.key("us-east-1", key_id);
    assert_eq!(waiting.state, KeyState::PendingReplicaDeletion);
    assert_eq!(waiting.deletion.expect("scheduled").due, None);
    world.pass_days(40);
    assert!(world.find("us-east-1", key_id).is_some(), "no clock runs while a replica exists");

    world.run("eu-west-1", Op::ScheduleKeyDeletion { key_id, window_days: 7 }).expect("scheduled");
    world.pass_days(7);
    assert!(world.find("eu-west-1", key_id).is_none());
    let pending = world.key("us-east-1", key_id);
    assert_eq!(pending.state, KeyState::PendingDeletion);
    assert_eq!(
        pending.deletion.expect("scheduled").due,
        Some(Timestamp::from_millis(world.now.as_millis() + 8 * DAY_MS))
    );
    world.pass_days(8);
    assert!(world.find("us-east-1", key_id).is_none());
    let events = |name: &str| {
        let name: Region = name.parse().expect("valid");
        let state = &world.regions[&name];
        state.outbox_for(&name).filter(|row| matches!(row.message, Message::KeyDeleted { .. })).count()
    };
    assert_eq!((events("us-east-1"), events("eu-west-1")), (1, 1), "each deletion is told to the audit trail");
}

#[test]
fn a_deleted_replica_can_be_made_again() {
    let mut world = World::new(&["us-east-1", "eu-west-1"]);
    let key_id = world.create("us-east-1");
    world.replicate("us-east-1", "eu-west-1", key_id).expect("reserved");
    world.settle();
    world.run("eu-west-1", Op::ScheduleKeyDeletion { key_id, window_days: 7 }).expect("scheduled");
    assert_eq!(
        world.replicate("us-east-1", "eu-west-1", key_id).expect_err("still there").code,
        ErrorCode::AlreadyExists
    );
    world.pass_days(7);
    assert!(world.key("us-east-1", key_id).multi_region.as_ref().expect("a set").replicas.is_empty());
    world.replicate("us-east-1", "eu-west-1", key_id).expect("reserved again");
    world.settle();
    assert_eq!(world.key("eu-west-1", key_id).state, KeyState::Enabled);
}

#[test]
fn a_region_that_holds_the_key_already_refuses_and_the_primary_forgets_the_reservation() {
    let mut world = World::new(&["us-east-1", "eu-west-1"]);
    let key_id = world.create("us-east-1");
    assert_eq!(world.create("eu-west-1"), key_id, "the same id, by accident or malice");
    world.replicate("us-east-1", "eu-west-1", key_id).expect("reserved");
    world.settle();
    assert!(world.key("us-east-1", key_id).multi_region.as_ref().expect("a set").replicas.is_empty());
    assert_eq!(world.key("eu-west-1", key_id).description, "primary", "the key over there is untouched");
}

#[test]
fn material_comes_from_the_primary_or_not_at_all() {
    let mut world = World::new(&["us-east-1", "eu-west-1", "ap-southeast-1"]);
    let key_id = world.create("us-east-1");
    world.replicate("us-east-1", "eu-west-1", key_id).expect("reserved");
    assert!(world.deliver_one(), "the replica is asked for");
    let reference = meridian_state::links::MaterialReference {
        account: "111122223333".parse().expect("12 digits"),
        key_id,
        material_id: KeyMaterialId::from_bytes([8; 32]),
        epoch: 1,
    };
    let op = Op::ApplyMessage {
        from: "ap-southeast-1".parse().expect("valid"),
        sequence: 1,
        committed_at: world.now,
        message: Delivered::Material { reference, sealed: sealed() },
    };
    world.run("eu-west-1", op).expect("applied without effect");
    assert_eq!(world.key("eu-west-1", key_id).state, KeyState::Creating);
    world.settle();
    assert_eq!(world.key("eu-west-1", key_id).state, KeyState::Enabled);
}

#[test]
fn only_the_primary_changes_the_membership() {
    let mut world = World::new(&["us-east-1", "eu-west-1", "ap-southeast-1"]);
    let key_id = world.create("us-east-1");
    world.replicate("us-east-1", "eu-west-1", key_id).expect("reserved");
    world.settle();
    let before = world.key("eu-west-1", key_id).clone();
    let mut forged = before.multi_region.clone().expect("a set");
    forged.version += 10;
    let membership = meridian_state::links::Membership {
        key_id,
        epoch: forged.epoch,
        version: forged.version,
        primary: "us-east-1".parse().expect("valid"),
        replicas: BTreeMap::new(),
    };
    let op = Op::ApplyMessage {
        from: "ap-southeast-1".parse().expect("valid"),
        sequence: 1,
        committed_at: world.now,
        message: Delivered::Plain(Message::SetMembership(membership)),
    };
    world.run("eu-west-1", op).expect("applied without effect");
    assert_eq!(world.key("eu-west-1", key_id), &before);
}
