//! A process of the binary: started, watched line by line, signalled, and never left behind.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Long enough for the busiest machine; reached only by tests that fail.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// Within this time a process that was asked to end has ended.
pub const END_LIMIT: Duration = Duration::from_secs(15);
/// How often something outside this process is looked at.
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running process, or one that has ended.
pub struct Process {
    name: String,
    child: Child,
    started: Instant,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
}

/// What a process that has ended left.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Everything that it wrote to standard output.
    pub stdout: String,
    /// Everything that it wrote to standard error.
    pub stderr: String,
    /// From the signal, or from the start, to the end.
    pub took: Duration,
}

impl Process {
    /// Starts `meridian` with `arguments`.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, arguments, &BTreeMap::new())
    }

    /// Starts `meridian` with `arguments`; of `MERIDIAN_*` it sees only `environment`.
    pub fn start_with(name: &str, arguments: &[impl AsRef<OsStr>], environment: &BTreeMap<&str, String>) -> Self {
        let mut process = Self::spawn(name, arguments, environment);
        let (stdout, stderr) = (process.child.stdout.take(), process.child.stderr.take());
        process.readers = vec![
            read_lines(stdout.expect("piped"), &process.stdout),
            read_lines(stderr.expect("piped"), &process.stderr),
        ];
        process
    }

    /// Starts `meridian` with `arguments`; whatever it writes meets a closed pipe.
    pub fn start_unread(name: &str, arguments: &[impl AsRef<OsStr>]) -> Self {
        let mut process = Self::spawn(name, arguments, &BTreeMap::new());
        drop((process.child.stdout.take(), process.child.stderr.take()));
        process
    }

    fn spawn(name: &str, arguments: &[impl AsRef<OsStr>], environment: &BTreeMap<&str, String>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        for (key, _) in std::env::vars_os() {
            if key == "RUST_LOG" || key.to_string_lossy().starts_with("MERIDIAN_") {
                command.env_remove(key);
            }
        }
        command.args(arguments).envs(environment).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let child = command.spawn().expect("the binary starts");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        Self { name: name.to_owned(), child, started, stdout, stderr, readers: Vec::new() }
    }

    /// Waits for a line of standard output that contains `text`; gives the time since the start.
    pub fn wait_stdout(&mut self, text: &str) -> Duration {
        let deadline = Instant::now() + PATIENCE;
        let found = self.stdout.wait(text, deadline);
        assert!(found, "{}: no line with {text:?}\n{}", self.name, self.everything());
        self.started.elapsed()
    }

    /// Waits for a line of standard error that contains `text`.
    pub fn wait_stderr(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let found = self.stderr.wait(text, deadline);
        assert!(found, "{}: no line with {text:?}\n{}", self.name, self.everything());
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Asks the process to end with `signal`, and waits until it has.
    pub fn end(mut self, signal: Signal) -> Ended {
        let asked = Instant::now();
        self.signal(signal);
        self.finish(asked, END_LIMIT)
    }

    /// Ends the process like a crash: no handler of its own runs.
    pub fn kill(mut self) -> Ended {
        let asked = Instant::now();
        self.signal(Signal::KILL);
        self.finish(asked, END_LIMIT)
    }

    /// Waits until the process ends by itself.
    pub fn wait_end(mut self) -> Ended {
        let started = self.started;
        self.finish(started, PATIENCE)
    }

    /// The lines of standard error that tell of trouble, without those that contain one of `expected`.
    pub fn complaints(&self, expected: &[&str]) -> Vec<String> {
        complaints(&self.stderr.text(), expected)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{}: cannot be signalled: {error}", self.name));
    }

    fn finish(&mut self, since: Instant, limit: Duration) -> Ended {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait().expect("a child of ours") {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(POLL_INTERVAL),
                None => panic!("{}: has not ended within {limit:?}\n{}", self.name, self.everything()),
            }
        };
        let took = since.elapsed();
        self.ended(status, took)
    }

    fn ended(&mut self, status: ExitStatus, took: Duration) -> Ended {
        for reader in self.readers.drain(..) {
            reader.join().expect("readers do not panic");
        }
        Ended { code: status.code(), stdout: self.stdout.text(), stderr: self.stderr.text(), took }
    }

    fn everything(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("=== {}\n{}", self.name, self.everything());
        }
    }
}

impl Ended {
    /// It ended because it was asked to, in order, and had nothing to complain about.
    pub fn assert_clean(&self) {
        assert_eq!(self.code, Some(0), "exit code\n{}", self.stderr);
        let complaints = complaints(&self.stderr, &[]);
        assert!(complaints.is_empty(), "unexpected log lines:\n{}", complaints.join("\n"));
    }

    /// It gave up with exactly one line for the operator, which contains all of `parts`.
    pub fn assert_refused(&self, parts: &[&str]) {
        assert!(self.code.is_some_and(|code| code != 0), "exit code {:?}\n{}", self.code, self.stderr);
        let start = self.stderr.find("meridian: ").or_else(|| self.stderr.find("error: "));
        let start = start.unwrap_or_else(|| panic!("no message: {}", self.stderr));
        let message = &self.stderr[start..];
        for part in parts {
            assert!(message.contains(part), "{part:?} is missing in: {message}");
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// The lines that tell of trouble, without those that contain one of `expected`.
pub fn complaints(log: &str, expected: &[&str]) -> Vec<String> {
    let is_complaint = |line: &&str| {
        [" WARN ", "ERROR ", "panicked", "RUST_BACKTRACE"].iter().any(|mark| line.contains(mark))
            && !expected.iter().any(|part| line.contains(part))
    };
    log.lines().filter(is_complaint).map(str::to_owned).collect()
}

/// Lines as they come.
#[derive(Default)]
struct Lines {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Lines {
    fn push(&self, line: String) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.push(line);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.changed.notify_all();
    }

    /// Whether a line that contains `text` has come before `deadline`.
    fn wait(&self, text: &str, deadline: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.0.iter().any(|line| line.contains(text)) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn text(&self) -> String {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.join("\n")
    }
}

fn read_lines(stream: impl Read + Send + 'static, lines: &Arc<Lines>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
            line.clear();
        }
        lines.close();
    })
}

/// Looks at something until it is there.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(POLL_INTERVAL);
    }
}
