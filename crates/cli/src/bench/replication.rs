//! How long multi-Region keys, and changes of them, take from one Region to others.
//!
//! Every time is taken by this client with its monotonic clock, so the clocks of the Regions do not matter. One key follows
//! the other: the times are those of a cluster that does nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use futures::future::join_all;
use meridian_identity::ClientCredentials;
use meridian_model::{EnableKeyRotationRequest, Region, ReplicateKeyRequest, UpdateKeyDescriptionRequest};
use serde::Serialize;

use super::arguments::{Credentials, DurationArgument};
use super::client::KmsClient;
use super::endpoint::Endpoint;
use super::keys;
use super::lags::{Lags, Limits, Measure, Results};
use super::report::Document;
use super::samples::{Samples, Summary};
use super::watch::{Pace, Sight, Sighting, Unseen, watch};

/// Durable writes that the length of one commit is taken from.
const COMMITS: usize = 50;
/// Failed keys in a row after which the run ends.
const FAILURES_IN_A_ROW_MAX: usize = 3;
/// What stands for the Region in an endpoint.
const REGION_PLACE: &str = "{region}";

/// What `meridian bench replication` is asked for.
#[derive(Debug, Args, Serialize)]
pub struct ReplicationArguments {
    /// URL of a gateway that serves all Regions, or of each Region with {region} in place of its name.
    #[arg(long, alias = "gateway", default_value = "http://127.0.0.1:7600")]
    endpoint: String,
    /// Certificates, in PEM, that https endpoints are trusted by.
    #[arg(long)]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    credentials: Credentials,
    /// Region of the primary keys.
    #[arg(long, default_value = "us-east-1")]
    from: Region,
    /// Regions of the replicas, separated by commas, in the order of replication.
    #[arg(long, value_delimiter = ',', default_value = "us-west-2,eu-west-1")]
    to: Vec<Region>,
    /// Keys that are measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    keys: u16,
    /// Keys before them that are not.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=100))]
    warmup_keys: u16,
    /// Time from the beginning of a look at a Region to the next one.
    #[arg(long, default_value = "1ms")]
    poll_interval: DurationArgument,
    /// Time after which a change counts as lost.
    #[arg(long, default_value = "30s")]
    timeout: DurationArgument,
    /// Delay of each message between Regions, one way, with which the cluster was started; the report compares with what it
    /// makes possible at best.
    #[arg(long)]
    link_delay_ms: Option<u16>,
    /// Time after which no further key is begun.
    #[arg(long, default_value = "10m")]
    max_time: DurationArgument,
    /// File that the report is written to.
    #[arg(long)]
    json: Option<PathBuf>,
}

impl ReplicationArguments {
    fn check(&self) -> Result<()> {
        ensure!(
            !self.poll_interval.0.is_zero(),
            "--poll-interval must not be zero: looking would be all that is measured"
        );
        for (at, region) in self.to.iter().enumerate() {
            ensure!(*region != self.from, "--to must not hold {region}, the Region of --from");
            ensure!(!self.to[..at].contains(region), "--to holds {region} twice");
        }
        Ok(())
    }

    fn endpoint(&self, region: &Region) -> Result<Endpoint> {
        Endpoint::parse(&self.endpoint.replace(REGION_PLACE, region.as_str()), self.ca_file.as_deref())
    }
}

/// Measures, prints and writes the report.
pub(super) async fn run(arguments: ReplicationArguments) -> Result<()> {
    arguments.check()?;
    let mut bench = Bench::prepare(&arguments)?;
    let measured = bench.measure().await;
    // Also after a failure: nothing that was created stays without need.
    let scheduled = bench.clean_up().await;
    let commit = measured?;
    let results = bench.results(commit.summary(), scheduled);
    let document = Document::new("replication", &arguments, &results);
    println!("{}\n\n{}", document.heading(), results.table());
    results.remarks().iter().for_each(|line| println!("{line}"));
    arguments.json.as_deref().map_or(Ok(()), |path| document.write(path))?;
    ensure!(results.has_samples(), "nothing could be measured");
    Ok(())
}

struct Bench<'a> {
    arguments: &'a ReplicationArguments,
    credentials: ClientCredentials,
    endpoints: BTreeMap<Region, Endpoint>,
    clients: BTreeMap<Region, KmsClient>,
    lags: Lags,
    /// Of every Region, in the order of creation.
    created: Vec<(Region, String)>,
    errors: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Bench<'a> {
    fn prepare(arguments: &'a ReplicationArguments) -> Result<Self> {
        let credentials = arguments.credentials.resolve()?;
        let regions = std::iter::once(&arguments.from).chain(&arguments.to);
        let endpoints = regions
            .map(|region| Ok((region.clone(), arguments.endpoint(region)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        let client = |(region, endpoint): (&Region, &Endpoint)| {
            (region.clone(), KmsClient::new(endpoint.clone(), credentials.clone(), region.clone()))
        };
        let clients = endpoints.iter().map(client).collect();
        let (lags, created, errors, notes) = (Lags::default(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { arguments, credentials, endpoints, clients, lags, created, errors, notes })
    }

    /// Measures all keys; answers with the length of a durable commit.
    async fn measure(&mut self) -> Result<Samples> {
        let commit = self.durable_commits().await?;
        let deadline = Instant::now() + self.arguments.max_time.0;
        let warmup = self.arguments.warmup_keys;
        let mut failures_in_a_row = 0;
        for at in 0..warmup + self.arguments.keys {
            if at == warmup {
                self.lags = Lags::default();
            }
            if Instant::now() > deadline {
                self.notes.push(format!("Ended by --max-time after {at} of {} keys.", warmup + self.arguments.keys));
                break;
            }
            let measured = self.key().await;
            failures_in_a_row = if measured.is_ok() { 0 } else { failures_in_a_row + 1 };
            if let Err(error) = measured {
                self.errors.push(format!("{error:#}"));
            }
            if failures_in_a_row == FAILURES_IN_A_ROW_MAX {
                self.notes.push(format!("Ended after {FAILURES_IN_A_ROW_MAX} failed keys in a row."));
                break;
            }
        }
        Ok(commit)
    }

    /// Times of single durable writes in the Region of the primaries, HTTP included.
    async fn durable_commits(&mut self) -> Result<Samples> {
        let from = self.arguments.from.clone();
        let key_id = self.create(false).await?;
        let mut commits = Samples::default();
        for at in 0..COMMITS {
            let request = UpdateKeyDescriptionRequest {
                key_id: key_id.clone(),
                description: format!("meridian bench {at}"), // never what it was, which might be no write
            };
            let began = Instant::now();
            self.client(&from).call(request).await.context("measuring durable commits")?;
            commits.record(began.elapsed());
        }
        Ok(commits)
    }

    /// One key: replicated to every Region, then changed.
    async fn key(&mut self) -> Result<()> {
        let key_id = self.create(true).await?;
        let mut members = vec![self.arguments.from.clone()];
        for to in self.arguments.to.clone() {
            self.replicate(&key_id, &to, &members).await.with_context(|| format!("replicating to {to}"))?;
            members.push(to);
        }
        self.rotate(&key_id).await
    }

    /// Replicates a key and watches for the replica, both where it is and in the Regions that had the key before.
    async fn replicate(&mut self, key_id: &str, to: &Region, members: &[Region]) -> Result<()> {
        let request = ReplicateKeyRequest {
            key_id: key_id.to_owned(),
            replica_region: to.to_string(),
            ..ReplicateKeyRequest::default()
        };
        let from = self.arguments.from.clone();
        let began = Instant::now();
        self.client(&from).call(request).await?;
        let answered = Instant::now();
        self.created.push((to.clone(), key_id.to_owned()));
        self.lags.record(Measure::ReplicateCall, to, answered - began);
        let sight_in = |region: &Region| match region {
            region if region == to => Some(Sight::Enabled),
            region => members.contains(region).then(|| Sight::ReplicaIn(to.clone())),
        };
        for (region, seen) in self.watch(key_id, sight_in).await {
            let seen = seen.with_context(|| format!("watching {region}"))?;
            if region == *to {
                self.lags.record(Measure::CallUntilEnabled, &region, seen.at - began);
                self.lags.sighted(Measure::AnswerUntilEnabled, &region, answered, seen);
            } else {
                self.lags.sighted(Measure::ReplicaListed, &region, answered, seen);
            }
        }
        Ok(())
    }

    /// Changes a shared property of the primary and watches for it in the other Regions. A server without rotation is measured
    /// without it.
    async fn rotate(&mut self, key_id: &str) -> Result<()> {
        let from = self.arguments.from.clone();
        let request = EnableKeyRotationRequest { key_id: key_id.to_owned(), rotation_period_in_days: None };
        match self.client(&from).call(request).await {
            Err(error) if error.is_unsupported() => {
                let note = format!("Not measured: rotation status. {error}");
                self.notes.retain(|known| *known != note);
                self.notes.push(note);
                return Ok(());
            }
            answer => answer.map(drop)?,
        }
        let answered = Instant::now();
        for (region, seen) in self.watch(key_id, |region| (*region != from).then_some(Sight::Rotation)).await {
            let seen = seen.with_context(|| format!("watching {region} for the rotation status"))?;
            self.lags.sighted(Measure::RotationStatus, &region, answered, seen);
        }
        Ok(())
    }

    /// Watches several Regions at the same time.
    async fn watch(
        &mut self,
        key_id: &str,
        sight_in: impl Fn(&Region) -> Option<Sight>,
    ) -> Vec<(Region, Result<Sighting, Unseen>)> {
        let pace = Pace { interval: self.arguments.poll_interval.0, timeout: self.arguments.timeout.0 };
        let watches = self.clients.iter_mut().filter_map(|(region, client)| {
            let sight = sight_in(region)?;
            Some(async move { (region.clone(), watch(client, key_id, &sight, pace).await) })
        });
        join_all(watches).await
    }

    async fn create(&mut self, multi_region: bool) -> Result<String> {
        let from = self.arguments.from.clone();
        let key = keys::create(self.client(&from), multi_region).await?;
        self.created.push((from, key.key_id.clone()));
        Ok(key.key_id)
    }

    fn client(&mut self, region: &Region) -> &mut KmsClient {
        self.clients.get_mut(region).expect("there is a client for --from and each of --to")
    }

    /// Replicas first, as a primary key waits for them.
    async fn clean_up(&self) -> usize {
        let mut scheduled = 0;
        for region in self.arguments.to.iter().chain([&self.arguments.from]) {
            let of_region = self.created.iter().filter(|(created_in, _)| created_in == region);
            let key_ids: Vec<String> = of_region.map(|(_, key_id)| key_id.clone()).collect();
            let endpoint = &self.endpoints[region];
            let connect = || KmsClient::new(endpoint.clone(), self.credentials.clone(), region.clone());
            scheduled += keys::schedule_deletion(connect, &key_ids).await;
        }
        scheduled
    }

    fn results(&mut self, commit: Option<Summary>, keys_scheduled_for_deletion: usize) -> Results {
        let delay = self.arguments.link_delay_ms.map(|millis| Duration::from_millis(millis.into()));
        let limits = delay.zip(commit).map(|(delay, commit)| Limits { delay, commit: commit.p50 });
        let lags = std::mem::take(&mut self.lags);
        Results {
            durable_commit: commit,
            lags: lags.rows(limits),
            granularity: lags.granularity.summary(),
            keys_created: self.created.len(),
            keys_scheduled_for_deletion,
            errors: std::mem::take(&mut self.errors),
            notes: std::mem::take(&mut self.notes),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::bench::test_server::TestServer;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: ReplicationArguments,
    }

    fn parse(line: &[&str]) -> Result<ReplicationArguments> {
        let line = Line::try_parse_from([&["bench"], line].concat())?;
        line.arguments.check().map(|()| line.arguments)
    }

    #[test]
    fn regions_are_told_apart() {
        for (line, part) in [
            (&["--to", "us-east-1"][..], "the Region of --from"),
            (&["--to", "us-west-2,eu-west-1,us-west-2"], "us-west-2 twice"),
            (&["--poll-interval", "0s"], "--poll-interval"),
            (&["--keys", "0"], "0"),
        ] {
            let error = parse(line).err().map(|error| error.to_string());
            assert!(error.as_deref().is_some_and(|text| text.contains(part)), "{line:?}: {error:?}");
        }
        assert_eq!(parse(&["--gateway", "http://h:1"]).expect("an alias").endpoint, "http://h:1");
    }

    #[test]
    fn an_endpoint_may_name_its_region() {
        let arguments = parse(&["--endpoint", "http://kms.{region}.test:7600"]).expect("valid");
        let endpoint = arguments.endpoint(&arguments.from).expect("a URL");
        assert_eq!(endpoint.authority(), "kms.us-east-1.test:7600");
    }

    async fn report(server: &TestServer, more: &[&str]) -> (Result<()>, serde_json::Value) {
        let folder = tempfile::tempdir().expect("a folder");
        let json = folder.path().join("report.json");
        let url = server.url();
        let line = [
            &[
                "--gateway",
                &url,
                "--access-key",
                "test",
                "--secret-key",
                "test",
                "--json",
                json.to_str().expect("text"),
            ],
            more,
        ];
        let outcome = run(parse(&line.concat()).expect("valid")).await;
        let written = std::fs::read(json).expect("written");
        (outcome, serde_json::from_slice(&written).expect("JSON"))
    }

    #[tokio::test]
    async fn a_whole_run_against_a_server() {
        let server = TestServer::start().await;
        server.know_rotation();
        let (outcome, report) = report(&server, &["--keys", "2", "--link-delay-ms", "10"]).await;
        outcome.expect("measured");
        let lags = report["results"]["lags"].as_array().expect("rows");
        let measures: Vec<_> =
            lags.iter().map(|row| (row["measure"].as_str(), row["latency"]["count"].as_u64())).collect();
        assert_eq!(
            measures,
            [
                (Some("ReplicateKey call"), Some(2)),
                (Some("ReplicateKey call"), Some(2)),
                (Some("answer until Enabled"), Some(2)),
                (Some("answer until Enabled"), Some(2)),
                (Some("call until Enabled"), Some(2)),
                (Some("call until Enabled"), Some(2)),
                (Some("replica listed"), Some(4)),
                (Some("replica listed"), Some(2)),
                (Some("rotation status"), Some(2)),
                (Some("rotation status"), Some(2)),
            ]
        );
        assert!(lags[4]["limit_us"].as_f64() > Some(60_000.0), "three round trips of 20 ms");
        assert_eq!(report["results"]["errors"], serde_json::json!([]));
        assert_eq!(report["results"]["keys_created"], report["results"]["keys_scheduled_for_deletion"]);
    }

    #[tokio::test]
    async fn a_server_without_rotation_is_measured_without_it() {
        let server = TestServer::start().await;
        let (outcome, report) = report(&server, &["--keys", "2"]).await;
        outcome.expect("replicas were measured");
        let notes = report["results"]["notes"].as_array().expect("texts");
        assert_eq!(notes.len(), 1, "once, not for each key: {notes:?}");
        assert!(notes[0].as_str().is_some_and(|text| text.contains("EnableKeyRotation")), "{notes:?}");
        assert_eq!(report["results"]["errors"], serde_json::json!([]));
    }

    #[tokio::test]
    async fn a_run_that_keeps_failing_ends_and_says_why() {
        let server = TestServer::start().await;
        let (outcome, report) = report(&server, &["--keys", "50", "--to", "ap-northeast-1"]).await;
        outcome.expect_err("the server refuses that Region");
        let errors = report["results"]["errors"].as_array().expect("texts");
        assert_eq!(errors.len(), FAILURES_IN_A_ROW_MAX);
        let expected = "replicating to ap-northeast-1: ReplicateKey: ValidationException";
        assert!(errors[0].as_str().is_some_and(|text| text.starts_with(expected)), "{errors:?}");
        assert_eq!(report["results"]["notes"][0], "Ended after 3 failed keys in a row.");
    }
}
