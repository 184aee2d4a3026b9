//! What the operating system is really asked to do before an entry is acknowledged, seen by a tracer of system
//! calls; and what happens when it refuses.

use std::io::Write;
use std::process::{Command, Output};

use bytes::Bytes;
use meridian_storage::LogStore;
use meridian_storage::raft_types::{Entry, Payload, Proposal, TypeConfig, Vote, log_id};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;

/// How many entries the appending process writes.
const ENTRIES: u64 = 20;

/// Tells this test binary to be the appending process, and where.
const FOLDER: &str = "MERIDIAN_APPEND_TO";

/// The appending process: tells on standard output what was acknowledged, and ends at the first failure. Does
/// nothing in an ordinary test run.
#[test]
fn append_and_tell() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    if let Err(error) = runtime.block_on(append(&folder)) {
        tell(&format!("failed: {error}"));
        std::process::exit(1);
    }
}

async fn append(folder: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut log = LogStore::open(folder.as_ref())?;
    log.save_vote(&Vote::new_committed(1, 1)).await?;
    for index in 0..ENTRIES {
        let payload = Payload::Normal(Proposal(Bytes::from(vec![7; 100])));
        let (sender, flushed) = TypeConfig::oneshot();
        log.append([Entry { log_id: log_id(1, 1, index), payload }], IOFlushed::signal(sender)).await?;
        flushed.await??;
        tell(&format!("acknowledged {index}"));
    }
    Ok(())
}

/// One write to standard output, so that it shows up as one system call.
fn tell(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush()).expect("standard output is open");
}

/// Runs the appending process under strace; `None`, loudly, where that is not possible.
fn traced(folder: &str, trace: &str, extra: &[&str]) -> Option<Output> {
    let output = Command::new("strace")
        .args(["-f", "-y", "-s", "64", "-o", trace, "-e", "trace=write,writev,pwrite64,fdatasync,fsync"])
        .args(extra)
        .arg(std::env::current_exe().expect("a test knows where it is"))
        .args(["append_and_tell", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .output();
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("not permitted") => {
            eprintln!("SKIPPED: strace is not allowed here, durability was not observed");
            None
        }
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: strace cannot be run ({error}), durability was not observed");
            None
        }
    }
}

#[test]
fn nothing_is_acknowledged_before_its_fsync_returned() {
    let temp = tempfile::tempdir().unwrap();
    let (folder, trace) = (temp.path().join("log"), temp.path().join("trace"));
    std::fs::create_dir(&folder).unwrap();
    let Some(output) = traced(folder.to_str().unwrap(), trace.to_str().unwrap(), &[]) else { return };
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(trace).unwrap();
    let (mut is_written, mut is_synced, mut acknowledged) = (false, false, 0);
    for line in trace.lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        let is_done = |name: &str| {
            let begun = call.starts_with(&format!("{name}(")) && !call.ends_with("<unfinished ...>");
            (begun || call.starts_with(&format!("<... {name} resumed>"))) && !call.contains("= -1")
        };
        if (call.starts_with("write") && call.contains(".wal>")) || is_done("writev") {
            (is_written, is_synced) = (true, false);
        } else if is_done("fdatasync") || is_done("fsync") {
            is_synced = is_written;
        } else if call.starts_with("write(1") && call.contains("acknowledged") {
            assert!(is_written && is_synced, "acknowledged without a sync: {line}\n{trace}");
            (is_written, is_synced) = (false, false);
            acknowledged += 1;
        }
    }
    assert_eq!(acknowledged, ENTRIES, "{trace}");
}

#[test]
fn a_full_or_failing_disk_is_an_error_and_nothing_acknowledged_is_lost() {
    for fault in ["fdatasync:error=EIO:when=9+", "writev,write:error=ENOSPC:when=9+"] {
        let temp = tempfile::tempdir().unwrap();
        let (folder, trace) = (temp.path().join("log"), temp.path().join("trace"));
        std::fs::create_dir(&folder).unwrap();
        // Only calls on the log's first file are traced, and so only they fail.
        let wal = folder.join("r-00_000_000_000_000_000_000.wal");
        let inject = format!("inject={fault}");
        let extra = ["-e", inject.as_str(), "-P", wal.to_str().unwrap()];
        let Some(output) = traced(folder.to_str().unwrap(), trace.to_str().unwrap(), &extra) else { return };
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let trace = std::fs::read_to_string(trace).unwrap();
        assert_eq!(output.status.code(), Some(1), "{fault}: {output:?}\n{trace}");
        assert!(told.lines().any(|line| line.starts_with("failed: ")), "{fault}: {told}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
        let acknowledged = told.lines().filter(|line| line.contains("acknowledged")).count() as u64;
        assert!(acknowledged > 0 && acknowledged < ENTRIES, "{fault}: {told}");
        let log = LogStore::open(&folder).unwrap();
        let state = futures::executor::block_on(log.clone().get_log_state()).unwrap();
        assert!(state.last_log_id.is_some_and(|last| last.index + 1 >= acknowledged), "{fault}: {state:?}, {told}");
    }
}
