//! Running other programs: always from the root of the tree, without standard input, errors naming the command.
//!
//! Output goes straight to the terminal, or line by line through [`tee`] where a step has to read it as well.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A command that starts in the root of the tree and has nothing to read.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command
}

/// The Cargo that runs this task.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs to the end, output to the terminal. True when it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    Ok(status.success())
}

/// Runs to the end and shows what it wrote only if it fails, which is an error.
pub(crate) fn succeeds_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{} failed", shown(command));
    }
    Ok(())
}

/// Whether the command can be started and succeeds; its output is thrown away. For questions such as "is it there?".
pub(crate) fn answers(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs to the end and returns what it wrote to standard output; standard error goes to the terminal.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    anyhow::ensure!(output.status.success(), "{} failed", shown(command));
    String::from_utf8(output.stdout).with_context(|| format!("{} did not write UTF-8", shown(command)))
}

/// Runs to the end, output to the terminal line by line, each line also to `each`. True when it succeeded.
pub(crate) fn tee(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    // Bounded: when the terminal is slow, the program waits for it, as it would without the pipe.
    let (lines, received) = sync_channel::<String>(LINES_IN_FLIGHT);
    forward(child.stdout.take().expect("standard output is piped"), lines.clone());
    forward(child.stderr.take().expect("standard error is piped"), lines);
    for line in received {
        // A closed terminal must not stop the check whose exit code somebody waits for.
        let _ = writeln!(std::io::stdout(), "{line}");
        each(&line);
    }
    Ok(child.wait().with_context(|| format!("cannot wait for {}", shown(command)))?.success())
}

fn forward(stream: impl Read + Send + 'static, lines: SyncSender<String>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            line.clear();
            if lines.send(text).is_err() {
                return;
            }
        }
    });
}

fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

const LINES_IN_FLIGHT: usize = 256;
