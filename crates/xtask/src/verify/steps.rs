//! The steps of `cargo verify`, in the order in which they run: what is quick and fails often comes first.

use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::counts::Counts;
use crate::{arrows, command, image, python, tools};

/// How a step ended.
pub(super) enum Ending {
    Passed,
    Failed,
    /// Could not be tried, and why; allowed only for what the tree cannot bring along.
    Skipped(String),
}

/// One step: what it checks, how, and what to do when it fails.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) advice: &'static str,
    pub(super) run: fn(&mut Counts) -> Result<Ending>,
}

pub(super) const STEPS: [Step; 10] = [
    Step {
        name: "toolchain",
        about: "the Rust that is installed is new enough",
        advice: "install the stable Rust that Cargo.toml names as `rust-version`, or a newer one",
        run: toolchain,
    },
    Step { name: "format", about: "rustfmt has nothing to change", advice: "run `cargo fmt --all`", run: format },
    Step {
        name: "arrows",
        about: "dependencies between crates point down",
        advice: "move what is shared into the lower crate, or turn the dependency into a trait that the lower crate owns",
        run: arrows,
    },
    Step {
        name: "clippy",
        about: "clippy (pedantic) has nothing to say",
        advice: "mend what the first message names; `cargo clippy --fix` does the mechanical ones",
        run: clippy,
    },
    Step {
        name: "deny",
        about: "licences, banned crates and sources of all dependencies",
        advice: "see deny.toml: each rule states its reason; change the dependency rather than the rule",
        run: deny,
    },
    Step {
        name: "advisories",
        about: "no dependency has an open security advisory",
        advice: "update the crate; an advisory that cannot concern us is listed in deny.toml, with the reason",
        run: advisories,
    },
    Step {
        name: "tests",
        about: "unit and integration tests of all crates (nextest)",
        advice: "repeat one test with `cargo test -p <crate> <name>`; a failing simulation prints its seed",
        run: tests,
    },
    Step {
        name: "doctests",
        about: "examples in the documentation of all crates",
        advice: "repeat with `cargo test --doc -p <crate>`",
        run: doctests,
    },
    Step {
        name: "clients",
        about: "boto3, AWS CLI and AWS Encryption SDK against a local cluster",
        advice: "the log of the cluster is shown above; repeat one with `cargo verify --only clients`",
        run: clients,
    },
    Step {
        name: "compose",
        about: "three Regions of three nodes in containers, with nodes and a Region killed",
        advice: "repeat with `cargo verify --only compose`; logs of all containers are shown above",
        run: compose,
    },
];

fn toolchain(_: &mut Counts) -> Result<Ending> {
    let version = command::output_of(command::cargo().arg("--version"))?;
    print!("{version}");
    let installed = version.split_whitespace().nth(1).and_then(release);
    let needed = release(env!("CARGO_PKG_RUST_VERSION"));
    ensure!(needed.is_some(), "Cargo.toml names no rust-version");
    Ok(ended(installed >= needed))
}

/// `1.95.0` or `1.97.0-nightly` as numbers that compare.
fn release(version: &str) -> Option<[u32; 3]> {
    let mut numbers = version.split(['.', '-']).map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok);
    Some([next()?, next()?, next()?])
}

fn format(_: &mut Counts) -> Result<Ending> {
    run(command::cargo().args(["fmt", "--all", "--check"]))
}

fn arrows(_: &mut Counts) -> Result<Ending> {
    let faults = arrows::faults()?;
    print!("{faults}");
    Ok(ended(faults.is_empty()))
}

fn clippy(_: &mut Counts) -> Result<Ending> {
    run(command::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

fn deny(_: &mut Counts) -> Result<Ending> {
    run(command::command(tools::DENY.path()?).args(["--locked", "check", "licenses", "bans", "sources"]))
}

fn advisories(_: &mut Counts) -> Result<Ending> {
    let deny = tools::DENY.path()?;
    // Fetching is a step of its own, so that "no way to the database" and "an open advisory" stay apart.
    if !command::answers(command::command(&deny).args(["fetch", "db"])) {
        return Ok(Ending::Skipped("the advisory database cannot be fetched from here".to_owned()));
    }
    run(command::command(&deny).args(["--locked", "check", "--disable-fetch", "advisories"]))
}

fn tests(counts: &mut Counts) -> Result<Ending> {
    let mut nextest = command::command(tools::NEXTEST.path()?);
    nextest.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--status-level", "slow"]);
    nextest.args(["--final-status-level", "fail", "--cargo-quiet"]);
    run_tests(&mut nextest, counts)
}

fn doctests(counts: &mut Counts) -> Result<Ending> {
    run_tests(command::cargo().args(["test", "--doc", "--workspace", "--locked", "--quiet", "--no-fail-fast"]), counts)
}

fn clients(counts: &mut Counts) -> Result<Ending> {
    let binary = image::tested_binary()?;
    let mut pytest = python::pytest("tests/python")?;
    run_tests(pytest.env("MERIDIAN_BIN", binary), counts)
}

fn compose(counts: &mut Counts) -> Result<Ending> {
    if !image::engine_answers() {
        return Ok(Ending::Skipped("no Docker engine answers".to_owned()));
    }
    let Some(compose) = compose_command() else {
        return Ok(Ending::Skipped("neither `docker compose` nor `docker-compose` is installed".to_owned()));
    };
    // The binary that the tests have used already: the release profile would cost many minutes here.
    let tag = "meridian:verify";
    image::package(&image::tested_binary()?, &image::Options { profile: image::Profile::Dev, tag: tag.to_owned() })?;
    let mut pytest = python::pytest("tests/compose")?;
    run_tests(pytest.env("MERIDIAN_IMAGE", tag).env("MERIDIAN_COMPOSE", compose), counts)
}

fn compose_command() -> Option<&'static str> {
    if command::answers(command::command("docker").args(["compose", "version"])) {
        return Some("docker compose");
    }
    command::answers(command::command("docker-compose").arg("version")).then_some("docker-compose")
}

fn run(command: &mut Command) -> Result<Ending> {
    Ok(ended(command::succeeds(command)?))
}

/// Runs a test runner and adds up what its summaries say.
fn run_tests(command: &mut Command, counts: &mut Counts) -> Result<Ending> {
    let mut of_step = Counts::default();
    let succeeded = command::tee(command, |line| of_step = of_step.plus(Counts::of_line(line)))?;
    *counts = counts.plus(of_step);
    if succeeded && of_step.failed > 0 {
        bail!("the runner reports success and {} failed tests", of_step.failed);
    }
    Ok(ended(succeeded))
}

fn ended(succeeded: bool) -> Ending {
    if succeeded { Ending::Passed } else { Ending::Failed }
}

#[cfg(test)]
mod tests {
    use super::{STEPS, release};
    use std::collections::BTreeSet;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(release("1.100.0") > release("1.95.0"));
        assert_eq!(release("1.97.0-nightly"), Some([1, 97, 0]));
        assert_eq!(release("stable"), None);
    }

    #[test]
    fn names_are_unique() {
        assert_eq!(STEPS.iter().map(|step| step.name).collect::<BTreeSet<_>>().len(), STEPS.len());
    }
}
