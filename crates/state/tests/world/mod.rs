//! Some Regions with one multi-Region set, and links between them that a test holds up, repeats and lets go.

#![allow(dead_code)] // each test file uses a part of it

use std::collections::{BTreeMap, BTreeSet};

use meridian_crypto::{DomainKeyId, SealedMaterial};
use meridian_model::{
    KeyId, KeyMaterialId, KeySpec, KeyState, KeyUsageType, MultiRegionKeyType, OriginType, Partition, Region,
    RotationType, ServiceError, Timestamp,
};
use meridian_state::command::{CreateKey, NewMaterial, ReserveReplica, RotateKey, UpdatePrimaryRegion};
use meridian_state::links::{Delivered, Message};
use meridian_state::schedule::Due;
use meridian_state::{Command, KeyRecord, Op, OutboxRow, RegionState, apply};

pub(crate) const US: &str = "us-east-1";
pub(crate) const EU: &str = "eu-west-1";
pub(crate) const SOUTH: &str = "ap-southeast-1";
pub(crate) const DAY_MS: u64 = 86_400_000;

/// Every Region there can be.
pub(crate) const REGIONS: [&str; 4] = [US, EU, SOUTH, "sa-east-1"];

pub(crate) struct World {
    pub(crate) regions: BTreeMap<Region, RegionState>,
    pub(crate) now: Timestamp,
    pub(crate) key_id: KeyId,
    materials: u8,
    held: BTreeSet<(String, String)>,
}

pub(crate) fn region(name: &str) -> Region {
    name.parse().expect("a valid Region")
}

/// Asks for a change of the primary.
pub(crate) fn primary_change(key_id: KeyId, to: &str) -> Op {
    Op::UpdatePrimaryRegion(UpdatePrimaryRegion { key_id, region: region(to), request: vec![1, 2, 3] })
}

impl World {
    /// A primary in the first of `members`, replicas in the others, nothing under way.
    pub(crate) fn with_set(members: &[&str]) -> Self {
        let regions = REGIONS.iter().map(|name| (region(name), RegionState::new(region(name), Partition::Aws)));
        let (key_id, now) = (KeyId::multi_region([7; 16]), Timestamp::from_millis(1_000_000));
        let mut world = Self { regions: regions.collect(), now, key_id, materials: 0, held: BTreeSet::new() };
        world.create(members[0], key_id);
        for replica in &members[1..] {
            world.replicate(members[0], replica).expect("reserved");
            world.settle();
        }
        world
    }

    pub(crate) fn create_single(&mut self, at: &str) -> KeyId {
        let key_id = KeyId::single_region([9; 16]);
        self.create(at, key_id);
        key_id
    }

    fn create(&mut self, at: &str, key_id: KeyId) {
        let create = CreateKey {
            key_id,
            account: "111122223333".parse().expect("12 digits"),
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsageType::EncryptDecrypt,
            origin: OriginType::AwsKms,
            description: String::new(),
            policy: None,
            tags: BTreeMap::new(),
            material: Some(self.new_material()),
        };
        self.run(at, Op::CreateKey(create)).expect("created");
    }

    fn new_material(&mut self) -> NewMaterial {
        self.materials += 1;
        let sealed = SealedMaterial {
            domain_key_id: DomainKeyId([1; 16]),
            nonce: [2; 12],
            ciphertext: vec![self.materials; 49],
        };
        NewMaterial { id: KeyMaterialId::from_bytes([self.materials; 32]), sealed }
    }

    pub(crate) fn run(&mut self, at: &str, op: Op) -> Result<(), ServiceError> {
        let command = Command { at: self.now, op };
        let command = Command::decode(&command.encode()).expect("own bytes");
        apply(self.regions.get_mut(&region(at)).expect("a Region of this world"), &command).outcome.map(drop)
    }

    pub(crate) fn state(&self, at: &str) -> &RegionState {
        &self.regions[&region(at)]
    }

    pub(crate) fn find(&self, at: &str) -> Option<&KeyRecord> {
        self.state(at).key(self.key_id).map(AsRef::as_ref)
    }

    pub(crate) fn key(&self, at: &str) -> &KeyRecord {
        self.find(at).unwrap_or_else(|| panic!("no key in {at}"))
    }

    /// The number of the version that encrypts in a Region.
    pub(crate) fn current(&self, at: &str) -> u8 {
        self.key(at).current_material.expect("has material").as_bytes()[0]
    }

    fn members(&self) -> Vec<&'static str> {
        REGIONS.iter().copied().filter(|name| self.find(name).is_some()).collect()
    }

    pub(crate) fn currents(&self) -> Vec<u8> {
        self.members().iter().map(|name| self.current(name)).collect()
    }

    pub(crate) fn versions(&self) -> Vec<usize> {
        self.members().iter().map(|name| self.state(name).materials_of(self.key_id).count()).collect()
    }

    /// The Regions that act as primaries.
    pub(crate) fn primaries(&self) -> Vec<&'static str> {
        let is_primary = |name: &&str| {
            let set = self.key(name).multi_region.as_ref().expect("a set");
            set.role(&region(name)) == MultiRegionKeyType::Primary
        };
        self.members().into_iter().filter(is_primary).collect()
    }

    pub(crate) fn replicate(&mut self, from: &str, to: &str) -> Result<(), ServiceError> {
        let reserve = ReserveReplica {
            key_id: self.key_id,
            region: region(to),
            created_at: self.now,
            description: String::new(),
            policy: None,
            tags: BTreeMap::new(),
        };
        self.run(from, Op::ReserveReplica(reserve))
    }

    pub(crate) fn on_demand(&mut self, at: &str) -> Result<(), ServiceError> {
        let rotate =
            RotateKey { key_id: self.key_id, kind: RotationType::OnDemand, material: Some(self.new_material()) };
        self.run(at, Op::RotateKey(rotate))
    }

    pub(crate) fn change_primary(&mut self, from: &str, to: &str) -> Result<(), ServiceError> {
        self.run(from, primary_change(self.key_id, to))
    }

    /// Holds up one direction of a link.
    pub(crate) fn hold(&mut self, from: &str, to: &str) {
        self.held.insert((from.to_owned(), to.to_owned()));
    }

    /// Cuts a Region off.
    pub(crate) fn cut(&mut self, name: &str) {
        for other in REGIONS {
            self.hold(name, other);
            self.hold(other, name);
        }
    }

    pub(crate) fn heal(&mut self) {
        self.held.clear();
    }

    /// The links that have something to deliver.
    pub(crate) fn ready(&self) -> Vec<(Region, Region)> {
        let waits =
            |from: &Region, to: &Region| from != to && self.state(from.as_str()).outbox_for(to).next().is_some();
        let is_held = |from: &Region, to: &Region| self.held.contains(&(from.to_string(), to.to_string()));
        let all = self.regions.keys().flat_map(|from| self.regions.keys().map(move |to| (from.clone(), to.clone())));
        all.filter(|(from, to)| waits(from, to) && !is_held(from, to)).collect()
    }

    /// Delivers the oldest message of a link.
    pub(crate) fn deliver_from(&mut self, from: &str, to: &str) {
        let row = OutboxRow::clone(self.state(from).outbox_for(&region(to)).next().expect("something to deliver"));
        self.deliver(from, &row);
        self.acknowledge(from, to);
    }

    /// Delivers a message; its sender does not hear of it.
    pub(crate) fn deliver(&mut self, from: &str, row: &OutboxRow) {
        let op = Op::ApplyMessage {
            from: region(from),
            sequence: row.sequence,
            committed_at: row.committed_at,
            message: self.carried(from, &row.message),
        };
        self.run(row.to.as_str(), op).expect("messages are never refused");
    }

    /// The sender drops what was applied.
    pub(crate) fn acknowledge(&mut self, from: &str, to: &str) {
        let through = self.state(to).cursor(&region(from)).last_applied;
        self.run(from, Op::AcknowledgeOutbox { to: region(to), through }).expect("never refused");
    }

    /// The message as it arrives; material gets its bytes on the way, if its sender still has them.
    fn carried(&self, from: &str, message: &Message) -> Delivered {
        let Message::TransferMaterial(reference) = message else { return Delivered::Plain(message.clone()) };
        match self.state(from).material(reference.key_id, reference.material_id) {
            Some(row) => Delivered::Material { reference: *reference, sealed: row.sealed.clone() },
            None => Delivered::Plain(message.clone()),
        }
    }

    /// Delivers everything that is not held up.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let Some((from, to)) = self.ready().into_iter().next() else { return };
            self.deliver_from(from.as_str(), to.as_str());
        }
        panic!("the Regions never stop talking");
    }

    /// Lets time pass, and leaders do what is due.
    pub(crate) fn pass_days(&mut self, days: u64) {
        self.now = Timestamp::from_millis(self.now.as_millis() + days * DAY_MS);
        self.do_due();
        self.settle();
    }

    /// What leaders do at every moment.
    pub(crate) fn do_due(&mut self) {
        for name in REGIONS {
            self.run(name, Op::Tick).expect("never refused");
            let due: Vec<Due> = self.state(name).due(self.now).collect();
            for due in due {
                let Due::Rotation(key_id) = due else { continue };
                let material = Some(self.new_material());
                let rotate = RotateKey { key_id, kind: RotationType::Automatic, material };
                self.run(name, Op::RotateKey(rotate)).expect("never refused");
            }
        }
    }

    /// Asserts what holds at every moment: at most one primary, and nobody encrypts with what another one cannot open.
    pub(crate) fn assert_safe(&self) {
        assert!(self.primaries().len() <= 1, "two primaries: {:?}", self.primaries());
        // A replica that is being made is usable once it holds everything.
        let is_made = |name: &&str| self.key(name).multi_region.as_ref().expect("a set").missing_materials.is_empty();
        for encrypts in self.members().iter().filter(|name| is_made(name)) {
            let current = self.key(encrypts).current_material.expect("has material");
            for decrypts in self.members().iter().filter(|name| is_made(name)) {
                let here = self.state(decrypts).material(self.key_id, current);
                assert!(here.is_some(), "{encrypts} encrypts with what {decrypts} cannot open");
            }
        }
    }

    /// Asserts that all keys of the set agree on what they share. Nothing may be under way.
    pub(crate) fn assert_converged(&self) {
        assert_eq!(self.ready(), []);
        self.assert_safe();
        let members = self.members();
        let primary = self.primaries().first().copied().unwrap_or_else(|| panic!("no primary among {members:?}"));
        let said = self.key(primary).multi_region.as_ref().expect("a set");
        let listed: Vec<&str> = said.regions().map(Region::as_str).collect();
        assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), members.iter().copied().collect::<BTreeSet<_>>());
        for name in members {
            let (here, there) = (self.key(name), self.key(primary));
            assert_eq!(here.multi_region, there.multi_region, "{name}: the set");
            assert_eq!(here.current_material, there.current_material, "{name}: the current version");
            assert_ne!(here.state, KeyState::Updating, "{name}");
            let rotation = |name: &str| {
                let record = self.state(name).rotation(self.key_id);
                record.map(|record| (record.automatic, record.on_demand, record.pending.is_some()))
            };
            assert_eq!(rotation(name), rotation(primary), "{name}: the rotation");
            let history = |name: &str| -> Vec<_> {
                self.state(name)
                    .versions_of(self.key_id)
                    .map(|version| (version.material_id, version.rotation))
                    .collect()
            };
            assert_eq!(history(name), history(primary), "{name}: what was rotated when");
            let materials = |name: &str| -> Vec<_> {
                self.state(name)
                    .materials_of(self.key_id)
                    .map(|row| (row.material_id, row.sealed.ciphertext[0]))
                    .collect()
            };
            assert_eq!(materials(name), materials(primary), "{name}: the versions");
        }
    }
}
