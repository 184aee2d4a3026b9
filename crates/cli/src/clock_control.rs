//! Moving the virtual clock of a local cluster from another process, over a socket that only its owner can use.
//!
//! One line in, milliseconds to advance; one line out, the new time in milliseconds since the epoch.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use meridian_model::clock::VirtualClock;
use meridian_model::{Clock, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// Name of the socket in the cluster's folder.
const SOCKET: &str = "clock.sock";
/// The longest step: 100 years.
const STEP_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// Listens for steps of `clock` in `folder`.
///
/// # Errors
/// If the socket cannot be made.
pub fn listen(folder: &Path) -> Result<UnixListener> {
    let path = folder.join(SOCKET);
    let _ = std::fs::remove_file(&path); // left over from a crash; the folder is locked by this process
    let listener = UnixListener::bind(&path).with_context(|| format!("making {}", path.display()))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Moves `clock` as it is told; one connection at a time is enough for a person.
pub async fn serve(listener: UnixListener, clock: Arc<VirtualClock>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (reader, mut writer) = stream.into_split();
        let mut lines = tokio::io::BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let step = line.trim().parse().ok().map(Duration::from_millis).filter(|step| *step <= STEP_MAX);
            let Some(step) = step else { break };
            clock.advance(step);
            if writer.write_all(format!("{}\n", clock.now().as_millis()).as_bytes()).await.is_err() {
                break;
            }
        }
    }
}

/// Tells the cluster in `folder` to advance its clock; gives the new time.
///
/// # Errors
/// If no cluster with a virtual clock runs there.
pub fn advance(folder: &Path, step: Duration) -> Result<Timestamp> {
    let path = folder.join(SOCKET);
    let stream = UnixStream::connect(&path).with_context(|| {
        format!("no cluster with a virtual clock runs in {} (start one with --clock virtual)", folder.display())
    })?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    writeln!(&stream, "{}", step.as_millis())?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).context("reading the answer")?;
    match answer.trim().parse() {
        Ok(millis) => Ok(Timestamp::from_millis(millis)),
        Err(_) => bail!("the cluster refused to advance its clock by {step:?}"),
    }
}

/// A length of time such as `90s`, `15m`, `12h` or `7d`.
///
/// # Errors
/// Says what would be right.
pub fn parse_step(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a number and a unit: 90s, 15m, 12h or 7d".to_owned();
    let (digits, seconds) = match text.char_indices().last().ok_or_else(wrong)? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3_600),
        (at, 'd') => (&text[..at], 86_400),
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let step = number.checked_mul(seconds).map(Duration::from_secs).filter(|step| *step <= STEP_MAX);
    step.ok_or_else(|| "must be at most 100 years".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_a_number_and_a_unit() {
        assert_eq!(parse_step("7d"), Ok(Duration::from_hours(7 * 24)));
        assert_eq!(parse_step("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "7", "d", "7w", "-1d", "7dd", "999999999d", "7é"] {
            assert!(parse_step(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_clock_moves_when_told_through_the_socket() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(VirtualClock::starting_at(Timestamp::from_millis(1_000)));
        let serving = tokio::spawn(serve(listen(folder.path()).expect("a socket"), Arc::clone(&clock)));
        let path = folder.path().to_owned();
        let told = tokio::task::spawn_blocking(move || advance(&path, Duration::from_secs(2))).await.expect("no panic");
        assert_eq!(told.expect("advanced"), Timestamp::from_millis(3_000));
        assert_eq!(clock.now(), Timestamp::from_millis(3_000));
        serving.abort();
    }
}
