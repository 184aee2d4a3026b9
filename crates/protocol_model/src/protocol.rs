//! What Regions do: commands of users and operators, messages, and what must hold after each of them.

use std::collections::VecDeque;

use stateright::{Model, Property};

use crate::set::{Region, Set, Version};

/// The fencing number of primacy. Every change of the primary by hand-over takes the next number, every forced failover the
/// next generation: whatever a lost Region still did, it did in an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// How many forced failovers there were.
    pub generation: u8,
    /// How many changes there were since.
    pub number: u8,
}

impl Epoch {
    const FIRST: Self = Self { generation: 0, number: 0 };

    fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }

    fn forced(self) -> Self {
        Self { generation: self.generation + 1, number: 0 }
    }
}

/// Who belongs to the set, as its primary says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Fencing number.
    pub epoch: Epoch,
    /// Grows with every change of the membership.
    pub version: u8,
    /// Where the primary is.
    pub primary: Region,
    /// Replicas that exist.
    pub created: Set,
    /// Replicas that were asked for.
    pub reserved: Set,
}

impl Membership {
    fn replicas(self) -> Set {
        self.created.and(self.reserved)
    }

    /// Whether this is newer than `known`. Two Regions that are promoted at once share an epoch; their names decide then.
    fn is_newer_than(self, known: Self) -> bool {
        (self.epoch, self.primary, self.version) > (known.epoch, known.primary, known.version)
    }

    /// `new` becomes the primary and the former one a replica.
    fn handed_to(self, new: Region, epoch: Epoch) -> Self {
        let created = self.created.without(new).with(self.primary);
        let reserved = self.reserved.without(new);
        Self { epoch, version: self.version + 1, primary: new, created, reserved }
    }
}

/// A version that is staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    /// Which one.
    pub version: Version,
    /// Who has not confirmed it. Only the primary's counts.
    pub waiting_for: Set,
}

/// The key of one Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// What it knows of its set.
    pub set: Membership,
    /// Handing over, and no longer the primary.
    pub updating: bool,
    /// Not complete yet: encrypts and decrypts nothing.
    pub creating: bool,
    /// Enabled or disabled by its owner.
    pub enabled: bool,
    /// Versions that are here.
    pub materials: Set,
    /// Versions that the replica waits for before it is usable.
    pub missing: Set,
    /// The version that encrypts.
    pub current: Version,
    /// The version that is staged.
    pub pending: Option<Pending>,
}

impl Key {
    fn is_primary(&self, here: Region) -> bool {
        self.set.primary == here
    }

    /// Whether it holds everything that a primary must hold.
    fn is_complete(&self) -> bool {
        self.missing.is_empty()
            && self.materials.has(self.current)
            && self.pending.is_none_or(|pending| self.materials.has(pending.version))
    }
}

/// What one Region tells another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Make a replica.
    CreateReplica {
        /// The set, the new replica included.
        set: Membership,
        /// Versions to come.
        materials: Set,
        /// The version that encrypts.
        current: Version,
    },
    /// The replica that was asked for in this epoch is there.
    ReplicaCreated(Epoch),
    /// A version of the material.
    TransferMaterial(Version, Epoch),
    /// Who belongs to the set now.
    SetMembership(Membership),
    /// How the key is rotated now.
    SetRotation {
        /// The primary's epoch.
        epoch: Epoch,
        /// The version that encrypts.
        current: Version,
        /// The version that is staged.
        pending: Option<Pending>,
    },
    /// The staged version is here.
    MaterialInstalled(Version, Epoch),
    /// Be the primary.
    HandOver(Membership),
    /// No.
    HandOverRefused(Epoch),
    /// I am the primary now.
    PrimaryChanged(Membership),
    /// You lack a replica that I had made before I heard of you.
    MemberUnknown(Region),
}

/// All Regions and all links.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    /// The key of each Region.
    pub keys: Vec<Option<Key>>,
    /// `links[from][to]`, the oldest message first.
    pub links: Vec<Vec<VecDeque<Message>>>,
    /// The version that the next rotation makes.
    pub next_version: Version,
    /// What was done, against the bounds.
    pub done: Done,
}

/// How often each command was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Done {
    updates: u8,
    promotions: u8,
    toggles: u8,
}

/// How often each command may be carried out, so that the search ends.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Regions.
    pub regions: Region,
    /// Replicas that exist from the start.
    pub replicas: Region,
    /// Changes of the primary.
    pub updates: u8,
    /// Rotations.
    pub rotations: u8,
    /// Forced failovers.
    pub promotions: u8,
    /// Times that a key is disabled, or enabled again.
    pub toggles: u8,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A user asks the primary for a replica.
    Replicate(Region, Region),
    /// A user or the schedule rotates the primary.
    Rotate(Region),
    /// A user moves the primary.
    Update(Region, Region),
    /// An operator makes the replica of a Region the primary, because the primary's Region is lost.
    Promote(Region),
    /// A user disables or enables a key.
    Toggle(Region),
    /// The next message of a link is applied.
    Deliver(Region, Region),
}

/// The protocol, within bounds.
#[derive(Clone, Copy, Debug)]
pub struct Protocol(pub Bounds);

/// One Region at work, and the messages that go out.
struct Work {
    here: Region,
    out: Vec<(Region, Message)>,
}

impl Work {
    fn send(&mut self, to: Region, message: Message) {
        self.out.push((to, message));
    }

    fn tell_replicas(&mut self, key: &Key, message: Message) {
        for region in key.set.replicas().iter() {
            self.send(region, message);
        }
    }

    fn share_rotation(&mut self, key: &Key) {
        let Key { set: Membership { epoch, .. }, current, pending, .. } = *key;
        self.tell_replicas(key, Message::SetRotation { epoch, current, pending });
    }

    // ---- commands

    fn replicate(&mut self, key: &mut Key, to: Region) {
        key.set.reserved = key.set.reserved.with(to);
        key.set.version += 1;
        self.ask_for_replica(key, to);
    }

    /// Sends everything that a replica needs, the staged version included; it is waited for. How the key is rotated comes
    /// last: by then the replica holds every version that this may name.
    fn ask_for_replica(&mut self, key: &mut Key, to: Region) {
        let (set, materials, current) = (key.set, key.materials, key.current);
        self.send(to, Message::CreateReplica { set, materials, current });
        for version in materials.iter() {
            self.send(to, Message::TransferMaterial(version, set.epoch));
        }
        if let Some(pending) = key.pending.as_mut() {
            pending.waiting_for = pending.waiting_for.with(to);
        }
        self.send(to, Message::SetRotation { epoch: set.epoch, current, pending: key.pending });
    }

    fn rotate(&mut self, key: &mut Key, version: Version) {
        key.materials = key.materials.with(version);
        key.pending = Some(Pending { version, waiting_for: key.set.replicas() });
        if key.set.replicas().is_empty() {
            return self.activate(key);
        }
        self.share_rotation(key);
        self.tell_replicas(key, Message::TransferMaterial(version, key.set.epoch));
    }

    /// Everybody has confirmed.
    fn activate(&mut self, key: &mut Key) {
        if let Some(pending) = key.pending.take() {
            key.current = pending.version;
            self.share_rotation(key);
        }
    }

    fn update(&mut self, key: &mut Key, to: Region) {
        key.set = key.set.handed_to(to, key.set.epoch.next());
        key.updating = true;
        self.send(to, Message::HandOver(key.set));
    }

    /// Takes the role without being asked. What the lost primary had reserved is asked for again; what it had staged goes on
    /// if it is here, and is given up if it is not.
    fn promote(&mut self, key: &mut Key) {
        key.set = key.set.handed_to(self.here, key.set.epoch.forced());
        key.updating = false;
        key.pending = key.pending.filter(|pending| key.materials.has(pending.version));
        self.assume(key);
        for region in key.set.reserved.iter() {
            self.ask_for_replica(key, region);
        }
    }

    /// Tells everybody who is the primary and how the key is rotated, and asks again for what is staged.
    fn assume(&mut self, key: &mut Key) {
        self.tell_replicas(key, Message::PrimaryChanged(key.set));
        if let Some(pending) = key.pending.as_mut() {
            pending.waiting_for = key.set.replicas();
        }
        self.share_rotation(key);
        if let Some(pending) = key.pending {
            self.tell_replicas(key, Message::TransferMaterial(pending.version, key.set.epoch));
        }
    }

    // ---- messages

    fn receive(&mut self, here: &mut Option<Key>, from: Region, message: Message) {
        if let Message::CreateReplica { set, materials, current } = message {
            return self.create_replica(here, from, (set, materials, current));
        }
        let Some(key) = here else { return };
        match message {
            Message::CreateReplica { .. } => {}
            Message::ReplicaCreated(epoch) => self.replica_created(key, from, epoch),
            Message::TransferMaterial(version, epoch) => self.install(key, from, version, epoch),
            Message::SetMembership(set) => {
                if set.primary == from && set.is_newer_than(key.set) {
                    self.follow(key, set);
                }
            }
            Message::SetRotation { epoch, current, pending } => {
                self.set_rotation(key, from, (epoch, current, pending));
            }
            Message::MaterialInstalled(version, epoch) => self.material_installed(key, from, version, epoch),
            Message::HandOver(set) => self.take(key, from, set),
            Message::HandOverRefused(epoch) => self.take_back(key, from, epoch),
            Message::PrimaryChanged(set) => {
                if set.primary == from && set.is_newer_than(key.set) {
                    self.follow(key, set);
                    key.updating = false;
                }
            }
            Message::MemberUnknown(region) => self.adopt(key, region),
        }
    }

    fn create_replica(&mut self, here: &mut Option<Key>, from: Region, asked: (Membership, Set, Version)) {
        let (set, materials, current) = asked;
        match here {
            None => {
                *here = Some(Key {
                    set,
                    updating: false,
                    creating: true,
                    enabled: true,
                    materials: Set::EMPTY,
                    missing: materials,
                    current,
                    pending: None,
                });
            }
            // A promoted primary asks for what the lost one had made, or had begun to make.
            Some(known) if set.is_newer_than(known.set) && set.primary == from => {
                self.follow(known, set);
                known.missing = materials.minus(known.materials);
                known.creating &= !known.missing.is_empty();
                known.pending = None;
                known.updating = false;
            }
            Some(_) => return,
        }
        self.send(from, Message::ReplicaCreated(set.epoch));
    }

    fn replica_created(&mut self, key: &mut Key, from: Region, epoch: Epoch) {
        if key.is_primary(self.here) && key.set.epoch == epoch && key.set.reserved.has(from) {
            key.set.reserved = key.set.reserved.without(from);
            key.set.created = key.set.created.with(from);
            key.set.version += 1;
            self.tell_replicas(key, Message::SetMembership(key.set));
        }
    }

    fn install(&mut self, key: &mut Key, from: Region, version: Version, epoch: Epoch) {
        let is_by_primary = key.set.primary == from && key.set.epoch == epoch;
        let is_staged = key.pending.is_some_and(|pending| pending.version == version);
        if is_staged && is_by_primary {
            // Also if it is here: a former primary may have sent it after the new one had announced it.
            key.materials = key.materials.with(version);
            self.send(from, Message::MaterialInstalled(version, epoch));
        }
        let is_by_former = key.set.replicas().has(from) && epoch < key.set.epoch;
        if key.missing.has(version) && (is_by_primary || is_by_former) {
            key.materials = key.materials.with(version);
            key.missing = key.missing.without(version);
            key.creating &= !key.missing.is_empty();
        }
    }

    fn set_rotation(&mut self, key: &mut Key, from: Region, said: (Epoch, Version, Option<Pending>)) {
        let (epoch, current, pending) = said;
        if key.set.primary != from || key.set.epoch != epoch {
            return;
        }
        (key.current, key.pending) = (current, pending);
        let held = pending.filter(|pending| key.materials.has(pending.version));
        if let Some(pending) = held {
            self.send(from, Message::MaterialInstalled(pending.version, epoch));
        }
    }

    fn material_installed(&mut self, key: &mut Key, from: Region, version: Version, epoch: Epoch) {
        if !key.is_primary(self.here) || key.set.epoch != epoch {
            return;
        }
        let Some(pending) = key.pending.as_mut().filter(|pending| pending.version == version) else { return };
        pending.waiting_for = pending.waiting_for.without(from);
        if pending.waiting_for.is_empty() {
            self.activate(key);
        }
    }

    fn take(&mut self, key: &mut Key, from: Region, offered: Membership) {
        let is_offered = key.set.primary == from && offered.epoch > key.set.epoch && offered.primary == self.here;
        if !is_offered || key.updating || !key.enabled || key.creating || !key.is_complete() {
            return self.send(from, Message::HandOverRefused(offered.epoch));
        }
        key.set = Membership { version: offered.version + 1, ..offered };
        self.assume(key);
    }

    fn take_back(&mut self, key: &mut Key, from: Region, epoch: Epoch) {
        if !key.updating || key.set.epoch != epoch || key.set.primary != from {
            return;
        }
        key.set = key.set.handed_to(self.here, epoch.next());
        key.updating = false;
        self.assume(key);
    }

    /// Takes over what another Region says of the set. After a forced failover each Region names the members that it knows
    /// and the new primary does not.
    fn follow(&mut self, key: &mut Key, set: Membership) {
        if set.epoch.generation > key.set.epoch.generation {
            let known = set.replicas().with(set.primary);
            for region in key.set.replicas().with(key.set.primary).minus(known).iter() {
                self.send(set.primary, Message::MemberUnknown(region));
            }
        }
        key.set = set;
    }

    /// Makes a replica of this set again, so that it belongs to it; a Region that is no longer the primary passes it on.
    fn adopt(&mut self, key: &mut Key, region: Region) {
        if !key.is_primary(self.here) {
            self.send(key.set.primary, Message::MemberUnknown(region));
        } else if !key.set.replicas().has(region) && region != self.here {
            self.replicate(key, region);
        }
    }
}

/// Lets a Region work, and puts what it sends into its links.
fn work(cluster: &mut Cluster, here: Region, act: impl FnOnce(&mut Work, &mut Option<Key>)) {
    let mut work = Work { here, out: Vec::new() };
    act(&mut work, &mut cluster.keys[usize::from(here)]);
    for (to, message) in work.out {
        cluster.links[usize::from(here)][usize::from(to)].push_back(message);
    }
}

/// Lets a Region work on its key, which exists.
fn work_on_key(cluster: &mut Cluster, here: Region, act: impl FnOnce(&mut Work, &mut Key)) {
    work(cluster, here, |work, key| {
        if let Some(key) = key {
            act(work, key);
        }
    });
}

impl Protocol {
    fn commands(self, cluster: &Cluster, here: Region, events: &mut Vec<Event>) {
        let Some(key) = &cluster.keys[usize::from(here)] else { return };
        let Self(bounds) = self;
        if cluster.done.toggles < bounds.toggles && !key.creating && !key.updating {
            events.push(Event::Toggle(here));
        }
        let is_usable = key.enabled && !key.creating && !key.updating;
        if !key.is_primary(here) {
            if cluster.done.promotions < bounds.promotions && is_usable && key.missing.is_empty() {
                events.push(Event::Promote(here));
            }
            return;
        }
        if !is_usable {
            return;
        }
        let others = (0..bounds.regions).filter(|region| *region != here);
        let absent = others.filter(|region| !key.set.replicas().has(*region));
        events.extend(absent.map(|region| Event::Replicate(here, region)));
        if key.pending.is_none() && cluster.next_version <= bounds.rotations {
            events.push(Event::Rotate(here));
        }
        if cluster.done.updates < bounds.updates && key.set.reserved.is_empty() {
            let waits = |region| key.pending.is_some_and(|pending| pending.waiting_for.has(region));
            let targets = key.set.created.iter().filter(|region| !waits(*region));
            events.extend(targets.map(|region| Event::Update(here, region)));
        }
    }
}

impl Model for Protocol {
    type State = Cluster;
    type Action = Event;

    fn init_states(&self) -> Vec<Cluster> {
        let Self(bounds) = self;
        let replicas = (1..=bounds.replicas).fold(Set::EMPTY, Set::with);
        let set = Membership { epoch: Epoch::FIRST, version: 0, primary: 0, created: replicas, reserved: Set::EMPTY };
        let key = Key {
            set,
            updating: false,
            creating: false,
            enabled: true,
            materials: Set::of(0),
            missing: Set::EMPTY,
            current: 0,
            pending: None,
        };
        let keys = (0..bounds.regions).map(|region| (region <= bounds.replicas).then_some(key)).collect();
        let links = vec![vec![VecDeque::new(); usize::from(bounds.regions)]; usize::from(bounds.regions)];
        vec![Cluster { keys, links, next_version: 1, done: Done::default() }]
    }

    fn actions(&self, cluster: &Cluster, events: &mut Vec<Event>) {
        let regions = 0..self.0.regions;
        for here in regions.clone() {
            self.commands(cluster, here, events);
            let waiting = regions.clone().filter(|from| !cluster.link(*from, here).is_empty());
            events.extend(waiting.map(|from| Event::Deliver(from, here)));
        }
    }

    fn next_state(&self, cluster: &Cluster, event: Event) -> Option<Cluster> {
        let mut next = cluster.clone();
        match event {
            Event::Replicate(here, to) => work_on_key(&mut next, here, |work, key| work.replicate(key, to)),
            Event::Rotate(here) => {
                let version = next.next_version;
                next.next_version += 1;
                work_on_key(&mut next, here, |work, key| work.rotate(key, version));
            }
            Event::Update(here, to) => {
                next.done.updates += 1;
                work_on_key(&mut next, here, |work, key| work.update(key, to));
            }
            Event::Promote(here) => {
                next.done.promotions += 1;
                work_on_key(&mut next, here, Work::promote);
            }
            Event::Toggle(here) => {
                next.done.toggles += 1;
                work_on_key(&mut next, here, |_, key| key.enabled = !key.enabled);
            }
            Event::Deliver(from, here) => {
                let message = next.links[usize::from(from)][usize::from(here)].pop_front()?;
                work(&mut next, here, |work, key| work.receive(key, from, message));
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "at most one primary in an epoch, and one at all before the first failover",
                |_, cluster: &Cluster| cluster.has_one_primary_per_epoch(),
            ),
            Property::always(
                "what encrypts anywhere decrypts in every Region that holds a usable key",
                |_, cluster: &Cluster| cluster.can_decrypt_everywhere(),
            ),
            Property::always(
                "Regions that have heard everything agree, and one of them is the primary",
                |_, cluster: &Cluster| !cluster.is_quiet() || cluster.agrees(),
            ),
            Property::sometimes("a rotation is activated", |_, cluster: &Cluster| {
                cluster.keys().any(|(_, key)| key.current > 0)
            }),
            Property::sometimes("the primary changes", |_, cluster: &Cluster| {
                cluster.keys().any(|(here, key)| here > 0 && key.is_primary(here))
            }),
        ]
    }
}

impl Cluster {
    fn link(&self, from: Region, to: Region) -> &VecDeque<Message> {
        &self.links[usize::from(from)][usize::from(to)]
    }

    fn keys(&self) -> impl Iterator<Item = (Region, &Key)> {
        (0..).zip(&self.keys).filter_map(|(region, key)| Some((region, key.as_ref()?)))
    }

    fn has_one_primary_per_epoch(&self) -> bool {
        let primaries: Vec<Epoch> =
            self.keys().filter(|(here, key)| key.is_primary(*here)).map(|(_, key)| key.set.epoch).collect();
        let is_forced = self.done.promotions > 0;
        // Regions that are promoted at once share a generation until they hear of each other, and never a name.
        is_forced || primaries.len() <= 1
    }

    /// Every Region may encrypt with its current version at any moment. After a forced failover this is promised for the
    /// Regions that it knows of.
    fn can_decrypt_everywhere(&self) -> bool {
        let usable = || self.keys().filter(|(_, key)| !key.creating && key.missing.is_empty());
        let is_meant =
            |from: &Key, to: Region| self.done.promotions == 0 || from.set.created.has(to) || from.set.primary == to;
        usable().all(|(_, from)| usable().all(|(to, key)| !is_meant(from, to) || key.materials.has(from.current)))
    }

    /// Nothing is under way.
    fn is_quiet(&self) -> bool {
        self.links.iter().flatten().all(VecDeque::is_empty)
    }

    fn agrees(&self) -> bool {
        let mut keys = self.keys();
        let Some((_, first)) = keys.next() else { return true };
        let same = self.keys().all(|(_, key)| {
            let of = |key: &Key| (key.set.epoch, key.set.primary, key.set.created, key.set.reserved);
            of(key) == of(first) && key.current == first.current && !key.updating && !key.creating
        });
        let primaries = self.keys().filter(|(here, key)| key.is_primary(*here)).count();
        same && primaries == 1 && self.keys().all(|(_, key)| key.pending.is_none())
    }
}
