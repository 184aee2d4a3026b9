//! The Python environment of the client tests: `target/venv`, made from the pinned `tests/python/requirements.txt`.
//!
//! Made again whenever the requirements change; a half-made environment is never used.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{command, workspace};

/// pytest over one folder of the tree, in the environment of the client tests. The caller adds what the tests need.
pub(crate) fn pytest(folder: &str) -> Result<Command> {
    let environment = environment()?;
    let mut pytest = command::command(environment.join("bin/python"));
    pytest.args(["-m", "pytest", folder, "-ra", "--color=no", "-p", "no:cacheprovider"]);
    // Byte code belongs to the target folder: tests leave nothing in the tree.
    pytest.env("PYTHONPYCACHEPREFIX", workspace::target().join("pycache")).env("PYTHONUNBUFFERED", "1");
    Ok(pytest)
}

fn environment() -> Result<PathBuf> {
    let folder = workspace::target().join("venv");
    let requirements = workspace::root().join("tests/python/requirements.txt");
    let wanted =
        std::fs::read_to_string(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let installed = folder.join("installed-requirements.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(folder);
    }
    println!("making the Python environment {} (once)", folder.display());
    make(&folder, &requirements)?;
    std::fs::write(&installed, wanted).with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(folder)
}

fn make(folder: &Path, requirements: &Path) -> Result<()> {
    let python = INTERPRETERS.into_iter().find(|python| is_usable(python));
    let python = python.context("needs Python 3.11 or newer with the modules venv and ensurepip")?;
    let made = command::succeeds(command::command(python).args(["-m", "venv", "--clear"]).arg(folder))?;
    ensure!(made, "{python} cannot make {}", folder.display());
    let mut pip = command::command(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"]);
    ensure!(command::succeeds(pip.arg(requirements))?, "pip cannot install {}", requirements.display());
    Ok(())
}

fn is_usable(python: &str) -> bool {
    let question = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    command::answers(command::command(python).args(["-c", question]))
}

const INTERPRETERS: [&str; 5] = ["python3", "/usr/bin/python3", "python3.13", "python3.12", "python3.11"];
