//! Requests per second and latency of operations, each beside the floor: `GET /healthz` of the same server, by the same
//! client, with as many connections.
//!
//! The floor is measured before and after each operation, so that a machine whose speed drifts does not shift the ratio.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use clap::Args;
use http::header::HOST;
use http_body_util::Full;
use meridian_model::Region;
use serde::Serialize;

use super::arguments::{Credentials, DurationArgument};
use super::cases::{Case, Results, group_commit_factor};
use super::client::{Call, KmsClient, Outgoing, Signer};
use super::cpu::Process;
use super::endpoint::Endpoint;
use super::keys;
use super::load::{self, Measured, Plan, Source};
use super::report::Document;
use super::workload::{Material, Subject};

/// With the longest warm-up, well below the five minutes for which a signature is valid.
const DURATION_MAX: Duration = Duration::from_mins(2);
const WARMUP_MAX: Duration = Duration::from_mins(1);
/// About one kilobyte of memory each.
const PRESIGNED_MAX: usize = 500_000;
/// The request that does nothing.
const FLOOR: &str = "GET /healthz";

/// What `meridian bench throughput` is asked for.
#[derive(Debug, Args, Serialize)]
pub struct ThroughputArguments {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:7601")]
    endpoint: String,
    /// Certificates, in PEM, that an https endpoint is trusted by.
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Region that requests are signed for.
    #[arg(long, default_value = "us-east-1")]
    region: Region,
    #[command(flatten)]
    credentials: Credentials,
    /// Operations to measure, separated by commas.
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',', default_values_t = DEFAULT_OPERATIONS)]
    operations: Vec<Subject>,
    /// Numbers of clients, each with one connection, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: Vec<u16>,
    /// Time for which each operation is measured.
    #[arg(long, default_value = "5s")]
    duration: DurationArgument,
    /// Time for which each floor is measured.
    #[arg(long, default_value = "2s")]
    floor_duration: DurationArgument,
    /// Time before each measurement in which requests are sent, but do not count.
    #[arg(long, default_value = "1s")]
    warmup: DurationArgument,
    /// Sign this many requests of each client before it is measured, and send them in turn. Without it each request is signed
    /// when it is sent.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    presign: Option<u16>,
    /// Length of what is encrypted.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    plaintext_bytes: u16,
    /// Key to use; without it one is created.
    #[arg(long)]
    key_id: Option<String>,
    /// Process of the server, if it runs on this machine: its CPU time is reported.
    #[arg(long)]
    server_pid: Option<u32>,
    /// Keys that each case of CreateKey may create.
    #[arg(long, default_value_t = 10_000)]
    max_keys: u64,
    /// RSA keys that each case of CreateKey may create: no more than the server makes ahead.
    #[arg(long, default_value_t = 8)]
    max_rsa_keys: u64,
    /// Time that the server is given to make them, before each of those cases.
    #[arg(long, default_value = "20s")]
    rsa_stock_time: DurationArgument,
    /// Requests that the whole run may send.
    #[arg(long, default_value_t = 5_000_000)]
    max_requests: u64,
    /// Time after which no further case is begun.
    #[arg(long, default_value = "15m")]
    max_time: DurationArgument,
    /// File that the report is written to.
    #[arg(long)]
    json: Option<PathBuf>,
}

const DEFAULT_OPERATIONS: [Subject; 4] =
    [Subject::Encrypt, Subject::Decrypt, Subject::GenerateDataKey, Subject::CreateKey];

impl ThroughputArguments {
    fn check(&self) -> Result<()> {
        for (name, given, longest) in [
            ("--duration", self.duration, DURATION_MAX),
            ("--floor-duration", self.floor_duration, DURATION_MAX),
            ("--warmup", self.warmup, WARMUP_MAX),
        ] {
            ensure!(given.0 <= longest, "{name} must not be longer than {}", DurationArgument(longest));
        }
        ensure!(!self.duration.0.is_zero() && !self.floor_duration.0.is_zero(), "the durations must not be zero");
        let clients_max = self.concurrency.iter().copied().max().map_or(0, usize::from);
        let presigned = clients_max * self.presign.map_or(0, usize::from);
        ensure!(
            presigned <= PRESIGNED_MAX,
            "--presign times the highest --concurrency is {presigned}; it must not be above {PRESIGNED_MAX}"
        );
        Ok(())
    }
}

/// Measures, prints and writes the report.
pub(super) async fn run(arguments: ThroughputArguments) -> Result<()> {
    arguments.check()?;
    let mut bench = Bench::prepare(&arguments).await?;
    let measured = bench.measure().await;
    // Also after a failure: nothing that was created stays without need.
    let scheduled = keys::schedule_deletion(|| bench.client(), &bench.created).await;
    measured?;
    let results = Results {
        group_commit_factor: group_commit_factor(&bench.cases),
        cases: bench.cases,
        keys_created: bench.created.len(),
        keys_scheduled_for_deletion: scheduled,
        notes: bench.notes,
    };
    let document = Document::new("throughput", &arguments, &results);
    println!("{}\n\n{}", document.heading(), results.table());
    results.remarks().iter().for_each(|line| println!("{line}"));
    arguments.json.as_deref().map_or(Ok(()), |path| document.write(path))
}

struct Bench<'a> {
    arguments: &'a ThroughputArguments,
    endpoint: Endpoint,
    signer: Signer,
    client: Box<dyn Fn() -> KmsClient + 'a>,
    material: Material,
    requests_left: u64,
    deadline: Instant,
    cases: Vec<Case>,
    created: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Bench<'a> {
    async fn prepare(arguments: &'a ThroughputArguments) -> Result<Self> {
        let endpoint = Endpoint::parse(&arguments.endpoint, arguments.ca_file.as_deref())?;
        let credentials = arguments.credentials.resolve()?;
        let signer = Signer::new(credentials.clone(), arguments.region.clone(), &endpoint);
        let connect_to = endpoint.clone();
        let client = move || KmsClient::new(connect_to.clone(), credentials.clone(), arguments.region.clone());
        let mut first = client();
        let mut created = Vec::new();
        let key_id = match &arguments.key_id {
            Some(key_id) => key_id.clone(),
            None => keys::create(&mut first, false).await?.key_id,
        };
        if arguments.key_id.is_none() {
            created.push(key_id.clone());
        }
        let mut material = Material::prepare(&mut first, key_id, arguments.plaintext_bytes.into()).await?;
        created.extend(material.add_keys(&mut first, &arguments.operations).await?);
        let (requests_left, deadline) = (arguments.max_requests, Instant::now() + arguments.max_time.0);
        let (cases, notes) = (Vec::new(), Vec::new());
        let client = Box::new(client);
        Ok(Self { arguments, endpoint, signer, client, material, requests_left, deadline, cases, created, notes })
    }

    fn client(&self) -> KmsClient {
        (self.client)()
    }

    /// Measures every case until the caps of the run end it.
    async fn measure(&mut self) -> Result<()> {
        for clients in self.arguments.concurrency.clone() {
            let Some(mut before) = self.floor(clients).await? else { return Ok(()) };
            self.cases.push(before.clone());
            for subject in self.arguments.operations.clone() {
                let Some(case) = self.operation(subject, clients).await? else { return Ok(()) };
                let after = self.floor(clients).await?;
                self.cases.push(case.beside(&before, after.as_ref().unwrap_or(&before)));
                let Some(after) = after else { return Ok(()) };
                self.cases.push(after.clone());
                before = after;
            }
        }
        Ok(())
    }

    async fn floor(&mut self, clients: u16) -> Result<Option<Case>> {
        let request = floor_request(&self.endpoint);
        let plan = self.plan(clients, self.arguments.floor_duration.0);
        let measured = self.case(FLOOR, &plan, || Ok(Source::unsigned(request.clone()))).await?;
        Ok(measured.map(|measured| Case::new(FLOOR, clients, &measured)))
    }

    async fn operation(&mut self, subject: Subject, clients: u16) -> Result<Option<Case>> {
        let call = Call::from(&self.material.request(subject));
        let (signer, ahead) = (self.signer.clone(), self.arguments.presign.map(usize::from));
        let mut plan = self.plan(clients, self.arguments.duration.0);
        if subject.creates_keys() {
            plan.keep_answers = true;
            plan.requests_max = plan.requests_max.min(self.arguments.max_keys);
        }
        if subject == Subject::CreateKeyRsa4096 {
            plan.warmup = Duration::ZERO;
            plan.requests_max = plan.requests_max.min(self.arguments.max_rsa_keys);
            tokio::time::sleep(self.arguments.rsa_stock_time.0).await;
        }
        let measured = self.case(subject.name(), &plan, || Source::signed(&signer, &call, ahead)).await?;
        let Some(measured) = measured else { return Ok(None) };
        self.created.extend(measured.answers.iter().filter_map(|body| keys::created(body)));
        Ok(Some(Case::new(subject.name(), clients, &measured)))
    }

    fn plan(&self, clients: u16, duration: Duration) -> Plan {
        Plan {
            endpoint: self.endpoint.clone(),
            clients: clients.into(),
            warmup: self.arguments.warmup.0,
            duration,
            requests_max: self.requests_left,
            keep_answers: false,
            server: self.arguments.server_pid.map(Process::Id),
        }
    }

    /// Runs one case; `None` if the caps of the run do not allow it.
    async fn case(
        &mut self,
        request: &str,
        plan: &Plan,
        source: impl Fn() -> Result<Source>,
    ) -> Result<Option<Measured>> {
        let is_late = Instant::now() + plan.warmup + plan.duration > self.deadline;
        if is_late || plan.requests_max == 0 {
            let cap = if is_late { "--max-time" } else { "--max-requests" };
            self.notes.push(format!("Ended by {cap} before {request} with {} clients.", plan.clients));
            return Ok(None);
        }
        eprintln!("{request}, {} clients", plan.clients); // a run takes minutes
        let measured = load::run(plan, source).await?;
        self.requests_left = self.requests_left.saturating_sub(measured.sent);
        if measured.sent == plan.requests_max {
            let (clients, seconds) = (plan.clients, measured.window.as_secs_f64());
            let cap = match self.requests_left {
                0 => "--max-requests",
                _ if request == Subject::CreateKeyRsa4096.name() => "--max-rsa-keys",
                _ => "--max-keys",
            };
            self.notes.push(format!("{request} with {clients} clients was measured for {seconds:.1} s, until {cap}."));
        }
        Ok(Some(measured))
    }
}

fn floor_request(endpoint: &Endpoint) -> Outgoing {
    let mut request = Outgoing::new(Full::new(Bytes::new()));
    *request.uri_mut() = http::Uri::from_static("/healthz");
    request.headers_mut().insert(HOST, endpoint.authority().clone());
    request
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::bench::test_server::TestServer;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: ThroughputArguments,
    }

    fn parse(line: &[&str]) -> Result<ThroughputArguments> {
        let line = Line::try_parse_from([&["bench"], line].concat())?;
        line.arguments.check().map(|()| line.arguments)
    }

    #[test]
    fn defaults() {
        let arguments = parse(&[]).expect("valid");
        assert_eq!(arguments.operations, DEFAULT_OPERATIONS);
        assert_eq!(arguments.concurrency, [1, 8, 64]);
        assert_eq!(arguments.duration.0, Duration::from_secs(5));
    }

    #[test]
    fn operations_are_named_in_any_case() {
        let arguments = parse(&["--operations", "encrypt,DescribeKey", "--concurrency", "2"]).expect("valid");
        assert_eq!(arguments.operations, [Subject::Encrypt, Subject::DescribeKey]);
        assert_eq!(arguments.concurrency, [2]);
    }

    #[test]
    fn impossible_arguments_are_refused() {
        for (line, part) in [
            (&["--duration", "3m"][..], "--duration must not be longer than 2m"),
            (&["--duration", "0s"], "zero"),
            (&["--presign", "10000", "--concurrency", "1,64"], "640000"),
            (&["--concurrency", "0"], "0"),
            (&["--operations", "Paint"], "Paint"),
            (&["--access-key", "a"], "--secret-key"),
            (&["--region", "mars"], "mars"),
        ] {
            let error = parse(line).err().map(|error| error.to_string());
            assert!(error.as_deref().is_some_and(|text| text.contains(part)), "{line:?}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_whole_run_against_a_server() {
        let server = TestServer::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let json = folder.path().join("report.json");
        let url = server.url();
        let line = [
            "--endpoint",
            &url,
            "--access-key",
            "test",
            "--secret-key",
            "test",
            "--operations",
            "Encrypt,CreateKey",
            "--concurrency",
            "1,2",
            "--duration",
            "50ms",
            "--floor-duration",
            "50ms",
            "--warmup",
            "10ms",
            "--json",
            json.to_str().expect("text"),
        ];
        run(parse(&line).expect("valid")).await.expect("measured");
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).expect("written")).expect("JSON");
        let cases = report["results"]["cases"].as_array().expect("cases");
        assert_eq!(cases.len(), 10, "two operations and three floors for each number of clients");
        for case in cases {
            assert_eq!(case["of_floor"].is_null(), case["request"] == FLOOR, "{case}");
            assert_eq!(case["errors"], serde_json::json!({}), "{case}");
        }
        let requests: u64 = cases.iter().filter_map(|case| case["latency"]["count"].as_u64()).sum();
        assert!(requests > 0, "a short window may be empty, but not each");
        assert_eq!(report["results"]["keys_created"], report["results"]["keys_scheduled_for_deletion"]);
        assert_eq!(report["parameters"]["credentials"], serde_json::json!({"access_key": "test"}));
    }

    #[tokio::test]
    async fn a_run_ends_with_its_requests() {
        let server = TestServer::start().await;
        let url = server.url();
        let line = ["--endpoint", &url, "--access-key", "test", "--secret-key", "test", "--max-requests", "10"];
        let arguments = parse(&line).expect("valid");
        let mut bench = Bench::prepare(&arguments).await.expect("prepared");
        bench.measure().await.expect("measured");
        assert_eq!((bench.cases.len(), bench.requests_left), (1, 0));
        assert_eq!(
            bench.notes,
            [
                "GET /healthz with 1 clients was measured for 0.0 s, until --max-requests.",
                "Ended by --max-requests before Encrypt with 1 clients.",
            ]
        );
    }
}
