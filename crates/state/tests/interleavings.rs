//! Sets under random requests, with links that delay and repeat and Regions that crash: what must hold at every moment, and
//! that everything agrees once everything has arrived.

mod world;

use std::collections::BTreeMap;

use meridian_model::{Partition, Timestamp};
use meridian_state::{Op, OutboxRow, RegionState};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use world::{DAY_MS, EU, REGIONS, SOUTH, US, World, region};

#[derive(Clone, Debug)]
enum Step {
    Replicate(usize, usize),
    OnDemand(usize),
    EnableRotation(usize, u32),
    DisableRotation(usize),
    ChangePrimary(usize, usize),
    Disable(usize),
    Enable(usize),
    ScheduleDeletion(usize),
    CancelDeletion(usize),
    PassDays(u64),
    /// The oldest message of one link arrives.
    Deliver(prop::sample::Index),
    /// It arrives, but its sender crashes before it hears so, and sends it again.
    DeliverTwice(prop::sample::Index),
    /// The message behind it arrives first.
    DeliverEarly(prop::sample::Index),
    /// A Region starts again from its rows.
    Restart(usize),
    /// Everything arrives.
    Settle,
}

fn any_step() -> impl Strategy<Value = Step> {
    let place = 0..REGIONS.len();
    let link = any::<prop::sample::Index>;
    prop_oneof![
        3 => (place.clone(), place.clone()).prop_map(|(from, to)| Step::Replicate(from, to)),
        5 => place.clone().prop_map(Step::OnDemand),
        1 => (place.clone(), prop_oneof![Just(90), Just(365)]).prop_map(|(at, days)| Step::EnableRotation(at, days)),
        1 => place.clone().prop_map(Step::DisableRotation),
        8 => (place.clone(), place.clone()).prop_map(|(from, to)| Step::ChangePrimary(from, to)),
        1 => place.clone().prop_map(Step::Disable),
        2 => place.clone().prop_map(Step::Enable),
        1 => place.clone().prop_map(Step::ScheduleDeletion),
        1 => place.clone().prop_map(Step::CancelDeletion),
        1 => prop_oneof![Just(3), Just(7), Just(90)].prop_map(Step::PassDays),
        20 => link().prop_map(Step::Deliver),
        4 => link().prop_map(Step::DeliverTwice),
        2 => link().prop_map(Step::DeliverEarly),
        1 => place.prop_map(Step::Restart),
        1 => Just(Step::Settle),
    ]
}

impl World {
    fn take(&mut self, step: &Step) {
        let key_id = self.key_id;
        // Whoever has no right to a request is refused; which requests those are is for other tests to say.
        let attempt = |world: &mut Self, at: usize, op: Op| drop(world.run(REGIONS[at], op));
        match step {
            Step::Replicate(from, to) => drop(self.replicate(REGIONS[*from], REGIONS[*to])),
            Step::OnDemand(at) => drop(self.on_demand(REGIONS[*at])),
            Step::EnableRotation(at, period) => {
                attempt(self, *at, Op::EnableKeyRotation { key_id, period_days: *period });
            }
            Step::DisableRotation(at) => attempt(self, *at, Op::DisableKeyRotation(key_id)),
            Step::ChangePrimary(from, to) => drop(self.change_primary(REGIONS[*from], REGIONS[*to])),
            Step::Disable(at) => attempt(self, *at, Op::DisableKey(key_id)),
            Step::Enable(at) => attempt(self, *at, Op::EnableKey(key_id)),
            Step::ScheduleDeletion(at) => attempt(self, *at, Op::ScheduleKeyDeletion { key_id, window_days: 7 }),
            Step::CancelDeletion(at) => attempt(self, *at, Op::CancelKeyDeletion(key_id)),
            Step::PassDays(days) => {
                self.now = Timestamp::from_millis(self.now.as_millis() + days * DAY_MS);
                self.do_due();
            }
            Step::Deliver(index) => self.deliver_some(*index, |world, from, row| {
                world.deliver(from, row);
                world.acknowledge(from, row.to.as_str());
            }),
            Step::DeliverTwice(index) => self.deliver_some(*index, |world, from, row| {
                world.deliver(from, row);
                world.deliver(from, row);
            }),
            Step::DeliverEarly(index) => self.deliver_some(*index, |world, from, row| {
                let next = world.state(from).outbox_after(&row.to, row.sequence).next().cloned();
                if let Some(next) = next {
                    world.deliver(from, &next);
                }
            }),
            Step::Restart(at) => {
                let rows: Vec<_> = self.state(REGIONS[*at]).rows().collect();
                let state = RegionState::from_rows(region(REGIONS[*at]), Partition::Aws, rows).expect("own rows");
                self.regions.insert(region(REGIONS[*at]), state);
            }
            Step::Settle => self.settle(),
        }
    }

    fn deliver_some(&mut self, index: prop::sample::Index, deliver: impl FnOnce(&mut Self, &str, &OutboxRow)) {
        let ready = self.ready();
        if ready.is_empty() {
            return;
        }
        let (from, to) = &ready[index.index(ready.len())];
        let row = self.state(from.as_str()).outbox_for(to).next().expect("ready").clone();
        deliver(self, from.as_str(), &row);
    }

    /// Notes who acts as primary in which epoch.
    fn note_primaries(&self, primaries: &mut BTreeMap<u64, &'static str>) {
        for primary in self.primaries() {
            let epoch = self.key(primary).multi_region.as_ref().expect("a set").epoch;
            let first = *primaries.entry(epoch).or_insert(primary);
            assert_eq!(first, primary, "two primaries in epoch {epoch}");
        }
    }
}

/// Runs `steps` on a set of three, and everything that is under way after them. Gives the number of epochs and of versions.
fn run(steps: &[Step]) -> (usize, usize) {
    let mut world = World::with_set(&[US, EU, SOUTH]);
    let mut primaries = BTreeMap::new();
    for step in steps {
        world.take(step);
        world.assert_safe();
        world.note_primaries(&mut primaries);
    }
    // Rotations that were due while others were under way come one after the other.
    for _ in 0..3 {
        world.settle();
        world.do_due();
    }
    world.settle();
    world.note_primaries(&mut primaries);
    if REGIONS.iter().all(|name| world.find(name).is_none()) {
        return (primaries.len(), 0); // every key of the set was deleted
    }
    world.assert_converged();
    (primaries.len(), world.versions()[0])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn one_primary_no_unconfirmed_material_and_agreement_in_the_end(steps in prop::collection::vec(any_step(), 0..120)) {
        run(&steps);
    }
}

#[test]
fn random_steps_reach_changes_of_the_primary_and_rotations() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(any_step(), 120);
    let (mut epochs, mut versions) = (0, 0);
    for _ in 0..64 {
        let steps = strategy.new_tree(&mut runner).expect("a value").current();
        let (of_run, made) = run(&steps);
        epochs = epochs.max(of_run);
        versions = versions.max(made);
    }
    assert!(epochs >= 4 && versions >= 4, "{epochs} epochs and {versions} versions are not much of a test");
}
