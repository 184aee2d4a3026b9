//! The direction of dependencies: a crate may use only crates that stand before it in the order of the design.
//!
//! All kinds of dependencies count: a test-only arrow up makes a circle as well. `cargo metadata` is the source.
//!
//! Always true: a workspace crate that the order does not name fails the check, so a new crate needs its place.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// The order: each crate may use the ones before it. Only the two last may know everything.
const ORDER: [&str; 17] = [
    "meridian-hostile",
    "meridian-protocol-model",
    "meridian-model",
    "meridian-crypto",
    "meridian-policy",
    "meridian-state",
    "meridian-storage",
    "meridian-consensus",
    "meridian-replication",
    "meridian-keystores",
    "meridian-identity",
    "meridian-audit",
    "meridian-service",
    "meridian-server",
    "meridian",
    "meridian-testkit",
    "meridian-sdk-tests",
];

/// Crates without I/O, clock or generator of their own.
const PURE: [&str; 4] = ["meridian-model", "meridian-crypto", "meridian-policy", "meridian-state"];

/// What a pure crate may not use directly: runtimes, sockets, engines, the wire.
const IMPURE: [&str; 9] =
    ["tokio", "hyper", "tonic", "rustls", "openraft", "sled", "raft-log", "tracing", "async-trait"];

/// Tasks are outside of the product: they use none of its crates.
const TASKS: &str = "xtask";

/// What is wrong with the arrows of this workspace, one sentence per line; empty when they all point down.
pub(crate) fn faults() -> Result<String> {
    let json =
        command::output_of(command::cargo().args(["metadata", "--no-deps", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&json).context("cargo metadata did not write JSON")?;
    let mut faults = String::new();
    for package in metadata["packages"].as_array().context("cargo metadata names no packages")? {
        let name = package["name"].as_str().unwrap_or_default();
        let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        for fault in dependencies.iter().filter_map(|used| fault(name, used["name"].as_str().unwrap_or_default())) {
            let _ = writeln!(faults, "  {fault}"); // writing to a String cannot fail
        }
        if place(name).is_none() && name != TASKS {
            let _ = writeln!(faults, "  {name} has no place in the order of crates (crates/xtask/src/arrows.rs)");
        }
    }
    Ok(faults)
}

fn fault(from: &str, to: &str) -> Option<String> {
    if PURE.contains(&from) && IMPURE.contains(&to) {
        return Some(format!("{from} uses {to}, but it is a pure crate: no runtime, socket, file or log"));
    }
    let lower = place(to)?;
    match place(from) {
        Some(upper) if lower < upper => None,
        Some(_) => Some(format!("{from} uses {to}, which stands above it")),
        None => Some(format!("{from} uses {to}, but tasks use no crate of the product")),
    }
}

fn place(name: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn arrows() {
        for (user, used, allowed) in [
            ("meridian-state", "meridian-model", true),
            ("meridian-state", "serde", true),
            ("meridian-testkit", "meridian", true),
            ("meridian-model", "meridian-state", false),
            ("meridian-storage", "meridian-service", false),
            ("meridian-service", "meridian-service", false),
            ("meridian-state", "tokio", false),
            ("xtask", "meridian-model", false),
        ] {
            assert_eq!(fault(user, used).is_none(), allowed, "{user} -> {used}");
        }
    }

    #[test]
    fn this_workspace() {
        assert_eq!(super::faults().expect("cargo metadata runs"), "");
    }
}
