//! What throughput was measured, and how it is told.
//!
//! Always true: a rate counts successful requests only, and stands beside the floor measured just before and after it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::load::Measured;
use super::report::{NONE, Table, millis, percent};
use super::samples::{Summary, as_micros};
use super::workload::Subject;

/// Everything that was measured.
#[derive(Serialize)]
pub(super) struct Results {
    pub(super) cases: Vec<Case>,
    pub(super) group_commit_factor: Option<GroupCommit>,
    pub(super) keys_created: usize,
    pub(super) keys_scheduled_for_deletion: usize,
    pub(super) notes: Vec<String>,
}

/// One operation, or the floor, with one number of clients.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Case {
    request: &'static str,
    clients: u16,
    /// Successful requests in the window, per second.
    rate_per_second: f64,
    /// Mean of the floors before and after, per second; none for a floor itself.
    floor_per_second: Option<f64>,
    of_floor: Option<f64>,
    window_seconds: f64,
    latency: Option<Summary>,
    errors: BTreeMap<String, u64>,
    /// CPU time of a process per request, in microseconds.
    client_cpu_us: Option<f64>,
    server_cpu_us: Option<f64>,
}

impl Case {
    pub(super) fn new(request: &'static str, clients: u16, measured: &Measured) -> Self {
        let count = count(measured.samples.len());
        let per_request = |cpu: Option<Duration>| cpu.filter(|_| count > 0.0).map(|cpu| as_micros(cpu) / count);
        let seconds = measured.window.as_secs_f64();
        Self {
            request,
            clients,
            rate_per_second: if seconds > 0.0 { count / seconds } else { 0.0 },
            floor_per_second: None,
            of_floor: None,
            window_seconds: seconds,
            latency: measured.samples.summary(),
            errors: measured.errors.clone(),
            client_cpu_us: per_request(measured.client_cpu),
            server_cpu_us: per_request(measured.server_cpu),
        }
    }

    pub(super) fn beside(mut self, before: &Self, after: &Self) -> Self {
        let floor = f64::midpoint(before.rate_per_second, after.rate_per_second);
        self.floor_per_second = Some(floor);
        self.of_floor = (floor > 0.0).then(|| self.rate_per_second / floor);
        self
    }

    fn cells(&self) -> Vec<String> {
        let latency = |part: fn(&Summary) -> Duration| {
            self.latency.as_ref().map_or_else(|| NONE.to_owned(), |summary| millis(part(summary)))
        };
        let cpu = |micros: Option<f64>| micros.map_or_else(|| NONE.to_owned(), |micros| format!("{micros:.1}"));
        vec![
            self.request.to_owned(),
            self.clients.to_string(),
            format!("{:.0}", self.rate_per_second),
            self.of_floor.map_or_else(|| NONE.to_owned(), percent),
            latency(|summary| summary.p50),
            latency(|summary| summary.p90),
            latency(|summary| summary.p99),
            latency(|summary| summary.max),
            cpu(self.client_cpu_us),
            cpu(self.server_cpu_us),
            self.errors.values().sum::<u64>().to_string(),
        ]
    }
}

/// Exact below 2^53 requests.
#[allow(clippy::cast_precision_loss)]
fn count(requests: usize) -> f64 {
    requests as f64
}

/// How much more many clients write than one, because their writes share one durable commit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct GroupCommit {
    clients: u16,
    factor: f64,
}

/// Rate of CreateKey with the most clients over its rate with one; none unless both were measured.
pub(super) fn group_commit_factor(cases: &[Case]) -> Option<GroupCommit> {
    let writes = || cases.iter().filter(|case| case.request == Subject::CreateKey.name());
    let one = writes().find(|case| case.clients == 1)?.rate_per_second;
    let most = writes().max_by_key(|case| case.clients).filter(|case| case.clients > 1)?;
    (one > 0.0).then(|| GroupCommit { clients: most.clients, factor: most.rate_per_second / one })
}

impl Results {
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new([
            "request",
            "clients",
            "per s",
            "of floor",
            "p50 ms",
            "p90 ms",
            "p99 ms",
            "max ms",
            "client CPU µs",
            "server CPU µs",
            "errors",
        ]);
        self.cases.iter().for_each(|case| table.row(case.cells()));
        table
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(GroupCommit { clients, factor }) = self.group_commit_factor {
            lines.push(format!("Group commit: {clients} clients create {factor:.1} times as many keys as one."));
        }
        for case in self.cases.iter().filter(|case| !case.errors.is_empty()) {
            let codes: Vec<String> = case.errors.iter().map(|(code, count)| format!("{count} x {code}")).collect();
            lines.push(format!("{} with {} clients: {}", case.request, case.clients, codes.join(", ")));
        }
        lines.extend(self.notes.iter().cloned());
        let (created, scheduled) = (self.keys_created, self.keys_scheduled_for_deletion);
        lines.push(format!("Keys created: {created}, of them scheduled for deletion: {scheduled}."));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(requests: u64, window: Duration) -> Measured {
        Measured {
            samples: (1..=requests).map(Duration::from_millis).collect(),
            window,
            client_cpu: Some(Duration::from_secs(1)),
            ..Measured::default()
        }
    }

    fn case(request: &'static str, clients: u16, requests: u64) -> Case {
        Case::new(request, clients, &measured(requests, Duration::from_secs(2)))
    }

    #[test]
    #[allow(clippy::float_cmp)] // halves and quarters are exact
    fn an_operation_is_compared_with_the_mean_of_the_floors_around_it() {
        let compared = case("Encrypt", 8, 100).beside(&case("GET /healthz", 8, 300), &case("GET /healthz", 8, 100));
        assert_eq!(
            (compared.rate_per_second, compared.floor_per_second, compared.of_floor),
            (50.0, Some(100.0), Some(0.5))
        );
        assert_eq!((compared.client_cpu_us, compared.server_cpu_us), (Some(10_000.0), None));
    }

    #[test]
    fn nothing_measured_is_nothing_divided() {
        let empty = Case::new("Encrypt", 1, &measured(0, Duration::ZERO));
        let compared = empty.clone().beside(&empty, &empty);
        assert_eq!((compared.of_floor, compared.client_cpu_us), (None, None));
        assert_eq!(group_commit_factor(&[case("CreateKey", 1, 0), case("CreateKey", 64, 10)]), None);
    }

    #[test]
    fn group_commit_compares_the_most_clients_with_one() {
        let cases =
            [case("CreateKey", 1, 10), case("CreateKey", 8, 30), case("CreateKey", 64, 100), case("Encrypt", 64, 999)];
        assert_eq!(group_commit_factor(&cases), Some(GroupCommit { clients: 64, factor: 10.0 }));
        assert_eq!(group_commit_factor(&cases[..1]), None);
        assert_eq!(group_commit_factor(&cases[1..]), None);
    }

    #[test]
    fn errors_and_leftovers_are_told() {
        let mut throttled = case("Encrypt", 64, 10);
        throttled.errors = BTreeMap::from([("ThrottlingException".to_owned(), 3), ("timeout".to_owned(), 1)]);
        let results = Results {
            cases: vec![throttled],
            group_commit_factor: None,
            keys_created: 2,
            keys_scheduled_for_deletion: 1,
            notes: vec!["note".to_owned()],
        };
        let remarks = results.remarks();
        assert_eq!(remarks[0], "Encrypt with 64 clients: 3 x ThrottlingException, 1 x timeout");
        assert_eq!(&remarks[1..], ["note", "Keys created: 2, of them scheduled for deletion: 1."]);
        assert!(results.table().to_string().lines().nth(1).is_some_and(|row| row.ends_with(" 4")));
    }
}
