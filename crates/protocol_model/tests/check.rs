//! The model holds what it promises, in every order of events within bounds.

use meridian_protocol_model::{Bounds, Protocol};
use stateright::{Checker, Model};

/// Searches everything within `bounds`, and prints how much that was.
fn check(name: &str, bounds: Bounds) {
    let checker = Protocol(bounds).checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} of them different, depth {}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

#[test]
fn changes_and_rotations() {
    check(
        "changes, rotations",
        Bounds { regions: 3, replicas: 2, updates: 2, rotations: 1, promotions: 0, toggles: 1 },
    );
}

#[test]
fn replicas_that_are_made_meanwhile() {
    check("replicas", Bounds { regions: 3, replicas: 1, updates: 2, rotations: 2, promotions: 0, toggles: 1 });
}

#[test]
fn forced_failover() {
    check("failover", Bounds { regions: 3, replicas: 2, updates: 1, rotations: 1, promotions: 1, toggles: 0 });
}

#[test]
fn two_forced_failovers() {
    check("two failovers", Bounds { regions: 3, replicas: 2, updates: 0, rotations: 1, promotions: 2, toggles: 0 });
}

#[test]
fn forced_failover_while_replicas_are_made() {
    check(
        "failover, replicas",
        Bounds { regions: 3, replicas: 1, updates: 1, rotations: 1, promotions: 1, toggles: 0 },
    );
}
