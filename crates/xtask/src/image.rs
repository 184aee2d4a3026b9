//! The container image: one static binary on an empty root, nothing pulled from anywhere.
//!
//! The binary is staged beside a copy of `deploy/Dockerfile` in a folder below `target/`, so that the build context
//! holds nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{command, workspace};

/// How the binary in the image is built and what the image is called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Profile of the binary: `release`, or `dev` to package what the tests have already built.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    pub(crate) profile: Profile,
    /// Name and tag of the image.
    #[arg(long, default_value = "meridian:dev")]
    pub(crate) tag: String,
}

/// A Cargo profile.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Profile {
    Release,
    Dev,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }
}

/// Builds the binary and the image.
pub(crate) fn build(options: &Options) -> Result<()> {
    ensure!(engine_answers(), "no Docker engine answers: `docker version` fails");
    package(&binary(options.profile)?, options)
}

/// Builds the image around a binary that is there already.
pub(crate) fn package(binary: &Path, options: &Options) -> Result<()> {
    let context = stage(binary, options.profile)?;
    let mut docker = command::command("docker");
    docker.args(["build", "--quiet", "--tag", &options.tag]).arg(&context);
    if !command::answers(command::command("docker").args(["buildx", "version"])) {
        // Without the plugin, the engine's own builder has to be asked for; it does what this Dockerfile needs.
        docker.env("DOCKER_BUILDKIT", "0");
    }
    command::succeeds_quietly(&mut docker)?;
    println!("image {} ({} profile)", options.tag, options.profile.name());
    Ok(())
}

/// Whether a Docker engine can be reached; the client alone is not enough.
pub(crate) fn engine_answers() -> bool {
    command::answers(command::command("docker").args(["version", "--format", "{{.Server.Version}}"]))
}

/// Builds the `meridian` binary alone, in the given profile.
fn binary(profile: Profile) -> Result<PathBuf> {
    built(&["--package", "meridian", "--bin", "meridian", "--profile", profile.name()])
}

/// The `meridian` binary as the tests of the whole workspace use it: nothing is left to compile after they ran.
/// Building the package alone would choose other features of shared dependencies, and compile those again.
pub(crate) fn tested_binary() -> Result<PathBuf> {
    built(&["--workspace", "--bins", "--tests"])
}

/// Builds; where the binary stands is what Cargo says, whatever target folder or triple is configured.
fn built(what: &[&str]) -> Result<PathBuf> {
    let mut cargo = command::cargo();
    cargo.args(["build", "--locked", "--quiet", "--message-format=json-render-diagnostics"]).args(what);
    let messages = command::output_of(&mut cargo)?;
    messages.lines().find_map(executable).context("Cargo built no binary `meridian`")
}

fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let is_binary = target["name"] == "meridian" && target["kind"][0] == "bin" && message["profile"]["test"] == false;
    is_binary.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}

/// Puts the binary, without its debug information where `strip` is installed, beside the Dockerfile.
fn stage(binary: &Path, profile: Profile) -> Result<PathBuf> {
    let context = workspace::target().join("image").join(profile.name());
    std::fs::create_dir_all(context.join("empty")).with_context(|| format!("cannot make {}", context.display()))?;
    let staged = context.join("meridian");
    let mut strip = command::command("strip");
    if !command::answers(strip.arg("--strip-debug").arg("-o").arg(&staged).arg(binary)) {
        std::fs::copy(binary, &staged).with_context(|| format!("cannot copy {}", binary.display()))?;
    }
    ensure!(is_static(&staged)?, "{} is not a static binary; it would not start on an empty root", binary.display());
    let dockerfile = workspace::root().join("deploy/Dockerfile");
    std::fs::copy(&dockerfile, context.join("Dockerfile"))
        .with_context(|| format!("cannot copy {}", dockerfile.display()))?;
    Ok(context)
}

/// Whether an ELF file asks for no interpreter, which an empty root does not have.
fn is_static(path: &Path) -> Result<bool> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes.starts_with(b"\x7fELF\x02\x01"), "{} is not a 64-bit little-endian ELF file", path.display());
    let number = |at: usize, width: usize| {
        let field = bytes.get(at..at + width).with_context(|| format!("{} is cut short", path.display()))?;
        Ok::<usize, anyhow::Error>(field.iter().rev().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
    };
    let (table, size, count) = (number(ELF_PHOFF, 8)?, number(ELF_PHENTSIZE, 2)?, number(ELF_PHNUM, 2)?);
    for index in 0..count {
        if number(table + index * size, 4)? == PT_INTERP {
            return Ok(false);
        }
    }
    Ok(true)
}

// ELF-64 header: where the program headers begin, how long each is, how many there are; and the type of the one
// that names an interpreter.
const ELF_PHOFF: usize = 32;
const ELF_PHENTSIZE: usize = 54;
const ELF_PHNUM: usize = 56;
const PT_INTERP: usize = 3;
