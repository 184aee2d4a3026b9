//! Cargo tools that the checks need, installed on first use into `target/tools`, each in one exact version.
//!
//! `cargo install` from a registry ignores the configuration of the tree, so the tools are ordinary host builds.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::{command, workspace};

/// A Cargo subcommand from the registry.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Licences, bans, sources and advisories of all dependencies.
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// The test runner: one process per test.
pub(crate) const NEXTEST: Tool = Tool { name: "cargo-nextest", version: "0.9.151" };

impl Tool {
    /// Path of the installed tool; installs it when this version is not there yet.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        let root = workspace::target().join("tools");
        let path = root.join("bin").join(self.name);
        if !path.exists() || !self.is_current(&path) {
            println!("installing {} {} into {} (once)", self.name, self.version, root.display());
            let mut install = command::cargo();
            install.args(["install", self.name, "--version", self.version, "--locked", "--quiet", "--force", "--root"]);
            // Unoptimised: it runs for seconds, and the optimised build takes twice as long.
            install.arg(&root).arg("--debug").env("CARGO_PROFILE_DEV_DEBUG", "0").env_remove("CARGO_TARGET_DIR");
            ensure!(command::succeeds(&mut install)?, "cannot install {} {}", self.name, self.version);
        }
        Ok(path)
    }

    fn is_current(&self, path: &std::path::Path) -> bool {
        command::output_of(command::command(path).arg("--version")).is_ok_and(|text| text.contains(self.version))
    }
}
