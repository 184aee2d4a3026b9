//! A closed loop of clients: each sends its next request once the last one is answered.
//!
//! Requests that end within the window count; those of the warm-up and those that end after it do not. The loop ends with the
//! window, with its budget of requests, or with connections that keep failing, whichever comes first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::client::{Call, Connection, Outgoing, Signer};
use super::cpu::{self, Process};
use super::endpoint::Endpoint;
use super::samples::Samples;

/// How long requests that are under way at the end of the window may take.
const GRACE: Duration = Duration::from_secs(10);
/// Failed connections or exchanges in a row after which a client gives up.
const FAILURES_IN_A_ROW_MAX: u32 = 10;

/// Where a client takes its requests from.
#[derive(Clone)]
pub(super) enum Source {
    /// Signed one by one, while the client is measured (but not within a request's latency).
    Fresh { signer: Signer, call: Call },
    /// Made before, sent in turn and over again.
    Rotation { requests: Vec<Outgoing>, at: usize },
}

impl Source {
    /// One request without a signature.
    pub(super) fn unsigned(request: Outgoing) -> Self {
        Self::Rotation { requests: vec![request], at: 0 }
    }

    /// Requests of one operation: `ahead` of them signed now, or each when it is sent.
    pub(super) fn signed(signer: &Signer, call: &Call, ahead: Option<usize>) -> Result<Self> {
        let Some(count) = ahead else {
            return Ok(Self::Fresh { signer: signer.clone(), call: call.clone() });
        };
        let requests = (0..count).map(|_| signer.sign(call)).collect::<Result<_>>()?;
        Ok(Self::Rotation { requests, at: 0 })
    }

    fn next(&mut self) -> Result<Outgoing> {
        match self {
            Self::Fresh { signer, call } => signer.sign(call),
            Self::Rotation { requests, at } => {
                let request = requests.get(*at).context("no request was made ahead")?.clone();
                *at = (*at + 1) % requests.len();
                Ok(request)
            }
        }
    }
}

/// Requests that may still be sent, by all clients of a case.
struct Budget(AtomicU64);

impl Budget {
    fn new(requests: u64) -> Self {
        Self(AtomicU64::new(requests))
    }

    fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// What to run.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) endpoint: Endpoint,
    pub(super) clients: usize,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    /// Requests that may be sent, warm-up included.
    pub(super) requests_max: u64,
    /// Whether bodies of successful answers are kept, those of the warm-up too.
    pub(super) keep_answers: bool,
    /// The process of the server, if it runs on this machine.
    pub(super) server: Option<Process>,
}

/// What was measured.
#[derive(Default)]
pub(super) struct Measured {
    /// Latencies of successful requests.
    pub(super) samples: Samples,
    /// Failed requests by the code of the error.
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) answers: Vec<Bytes>,
    /// Length of the window; shorter than planned if the budget ran out.
    pub(super) window: Duration,
    /// All requests, warm-up included.
    pub(super) sent: u64,
    /// CPU time in the window.
    pub(super) client_cpu: Option<Duration>,
    pub(super) server_cpu: Option<Duration>,
}

/// Connects `plan.clients` clients, each with requests of its own from `source`, and runs them.
///
/// # Errors
/// If not all can connect at the start, or requests cannot be signed. What fails later is counted.
pub(super) async fn run(plan: &Plan, source: impl Fn() -> Result<Source>) -> Result<Measured> {
    let mut clients = Vec::with_capacity(plan.clients);
    for _ in 0..plan.clients {
        let connection = Some(Connection::open(&plan.endpoint).await?);
        clients.push(Client {
            endpoint: plan.endpoint.clone(),
            connection,
            source: source()?,
            keep_answers: plan.keep_answers,
            counted: Counted::default(),
        });
    }
    let budget = Arc::new(Budget::new(plan.requests_max));
    let start = Instant::now() + plan.warmup;
    let window = Window { start, end: start + plan.duration };
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(client.run(window, Arc::clone(&budget)));
    }
    tokio::time::sleep_until(start.into()).await;
    let cpu_before = cpu_of(plan);
    let mut counted = Counted::default();
    while let Some(client) = tasks.join_next().await {
        counted.merge(client.context("a client ended abnormally")?);
    }
    let cpu_after = cpu_of(plan);
    let spent = |before: Option<Duration>, after: Option<Duration>| Some(after?.saturating_sub(before?));
    let end = if budget.left() == 0 { counted.last.unwrap_or(start) } else { window.end };
    Ok(Measured {
        samples: counted.samples,
        errors: counted.errors,
        answers: counted.answers,
        window: end.saturating_duration_since(start),
        sent: plan.requests_max - budget.left(),
        client_cpu: spent(cpu_before.0, cpu_after.0),
        server_cpu: spent(cpu_before.1, cpu_after.1),
    })
}

fn cpu_of(plan: &Plan) -> (Option<Duration>, Option<Duration>) {
    (cpu::used(Process::Own), plan.server.and_then(cpu::used))
}

/// The time in which requests count.
#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

#[derive(Default)]
struct Counted {
    samples: Samples,
    errors: BTreeMap<String, u64>,
    answers: Vec<Bytes>,
    /// When the last request that counts ended.
    last: Option<Instant>,
}

impl Counted {
    fn merge(&mut self, other: Self) {
        self.samples.merge(other.samples);
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.answers.extend(other.answers);
        self.last = self.last.max(other.last);
    }

    fn fail(&mut self, code: String) {
        *self.errors.entry(code).or_default() += 1;
    }
}

struct Client {
    endpoint: Endpoint,
    connection: Option<Connection>,
    source: Source,
    keep_answers: bool,
    counted: Counted,
}

impl Client {
    async fn run(mut self, window: Window, budget: Arc<Budget>) -> Counted {
        let latest = tokio::time::Instant::from_std(window.end + GRACE);
        if tokio::time::timeout_at(latest, self.send_until(window, &budget)).await.is_err() {
            self.counted.fail("timeout".to_owned());
        }
        self.counted
    }

    async fn send_until(&mut self, window: Window, budget: &Budget) {
        let mut failures_in_a_row = 0;
        while failures_in_a_row < FAILURES_IN_A_ROW_MAX && Instant::now() < window.end && budget.take() {
            let Ok(request) = self.source.next() else {
                return self.counted.fail("not signed".to_owned());
            };
            failures_in_a_row = if self.send(request, window).await { 0 } else { failures_in_a_row + 1 };
        }
    }

    /// Sends one request; false if there was no answer.
    async fn send(&mut self, request: Outgoing, window: Window) -> bool {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match Connection::open(&self.endpoint).await {
                Ok(connection) => connection,
                Err(_fault) => {
                    self.counted.fail("no connection".to_owned());
                    return false;
                }
            },
        };
        let sent = Instant::now();
        let answer = connection.exchange(request).await;
        let done = Instant::now();
        let counts = (window.start..=window.end).contains(&done);
        let Ok(answer) = answer else {
            self.counted.fail("no answer".to_owned());
            return false;
        };
        self.connection = Some(connection);
        if let Some(code) = answer.error_code() {
            self.counted.fail(code); // in the warm-up too: an error is never without interest
            return true;
        }
        if self.keep_answers {
            self.counted.answers.push(answer.body);
        }
        if counts {
            self.counted.samples.record(done - sent);
            self.counted.last = Some(done);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::test_server::TestServer;

    fn plan(server: &TestServer, requests_max: u64) -> Plan {
        Plan {
            endpoint: server.endpoint(),
            clients: 3,
            warmup: Duration::ZERO,
            duration: Duration::from_mins(1),
            requests_max,
            keep_answers: true,
            server: Some(Process::Own),
        }
    }

    fn source(server: &TestServer, path: &str) -> Source {
        Source::unsigned(server.get(path))
    }

    #[tokio::test]
    async fn a_run_ends_with_its_budget() {
        let server = TestServer::start().await;
        let measured = run(&plan(&server, 50), || Ok(source(&server, "/healthz"))).await.expect("measured");
        assert_eq!((measured.samples.len(), measured.answers.len(), measured.sent), (50, 50, 50));
        assert!(measured.errors.is_empty() && measured.window < Duration::from_mins(1));
        assert_eq!(server.connections(), 3, "connections are kept alive");
    }

    #[tokio::test]
    async fn a_run_ends_with_its_window() {
        let server = TestServer::start().await;
        let plan = Plan { duration: Duration::from_millis(100), ..plan(&server, u64::MAX) };
        let measured = run(&plan, || Ok(source(&server, "/healthz"))).await.expect("measured");
        assert_eq!(measured.window, plan.duration);
        assert!(measured.samples.len() > 0);
    }

    #[tokio::test]
    async fn errors_are_counted_by_code() {
        let server = TestServer::start().await;
        let refused = run(&plan(&server, 9), || Ok(source(&server, "/refused"))).await.expect("measured");
        assert_eq!(refused.errors, BTreeMap::from([("ThrottlingException".to_owned(), 9)]));
        assert!(refused.samples.summary().is_none() && refused.answers.is_empty());
    }

    #[tokio::test]
    async fn clients_reconnect_and_give_up_in_the_end() {
        let server = TestServer::start().await;
        let plan = Plan { clients: 1, ..plan(&server, u64::MAX) };
        let measured = run(&plan, || Ok(source(&server, "/hang-up"))).await.expect("measured");
        assert_eq!(measured.errors, BTreeMap::from([("no answer".to_owned(), FAILURES_IN_A_ROW_MAX.into())]));
        assert_eq!(server.connections(), FAILURES_IN_A_ROW_MAX as usize);
    }

    #[tokio::test]
    async fn who_cannot_connect_measures_nothing() {
        let plan = plan(&TestServer::start().await, 1); // and gone
        let source = || Ok(Source::Rotation { requests: Vec::new(), at: 0 });
        assert!(run(&plan, source).await.is_err());
    }
}
