//! How a measurement is told: an aligned table for people, one JSON document for programs.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use meridian_model::{Clock, Timestamp};
use serde::Serialize;

use super::machine::Machine;
use crate::SystemClock;

/// Everything about one run.
#[derive(Serialize)]
pub(super) struct Document<'a, P, R> {
    benchmark: &'static str,
    version: &'static str,
    date: String,
    machine: Machine,
    parameters: &'a P,
    results: &'a R,
}

impl<'a, P: Serialize, R: Serialize> Document<'a, P, R> {
    pub(super) fn new(benchmark: &'static str, parameters: &'a P, results: &'a R) -> Self {
        let date = iso_8601(SystemClock.now());
        Self { benchmark, version: env!("CARGO_PKG_VERSION"), date, machine: Machine::this(), parameters, results }
    }

    /// The lines above the table.
    pub(super) fn heading(&self) -> String {
        let Machine { cpu, cores, kernel } = &self.machine;
        format!(
            "meridian bench {}, version {}, {}\n{cpu}, {cores} cores, Linux {kernel}",
            self.benchmark, self.version, self.date
        )
    }

    /// Writes the document; a file that is there already is replaced.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut json = serde_json::to_vec_pretty(self).context("writing the report as JSON")?;
        json.push(b'\n');
        std::fs::write(path, json).with_context(|| format!("writing the report to {}", path.display()))
    }
}

/// A table: the first column to the left, all others to the right, each as wide as its widest cell.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<const N: usize>(titles: [&str; N]) -> Self {
        Self { rows: vec![titles.map(str::to_owned).to_vec()] }
    }

    /// Adds a row; it has as many cells as there are titles.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.rows[0].len(), "a cell per title");
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for row in &self.rows {
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match at {
                    0 => write!(f, "{cell:<width$}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A cell for what was not measured.
pub(super) const NONE: &str = "-";

/// Milliseconds, to the microsecond.
pub(super) fn millis(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}

/// A share as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `2026-08-30T12:36:00Z`, in UTC to the second.
fn iso_8601(at: Timestamp) -> String {
    let seconds = at.as_millis() / 1000;
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let second = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a number of days since 1970-01-01. Years are counted from March, which puts the leap day last, in
/// eras of 400 years (146,097 days).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["operation", "µs"]);
        table.row(vec!["Encrypt".to_owned(), "12345".to_owned()]);
        table.row(vec!["GET /healthz".to_owned(), "1".to_owned()]);
        assert_eq!(table.to_string(), "operation        µs\nEncrypt       12345\nGET /healthz      1\n");
    }

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_440_938_160, "2015-08-30T12:36:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(iso_8601(Timestamp::from_millis(seconds * 1000)), text);
        }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(millis(Duration::from_nanos(1_234_567)), "1.235");
        assert_eq!(percent(0.5), "50.0 %");
    }

    #[test]
    fn the_document_says_where_and_how() {
        let document = Document::new("test", &[1], &["result"]);
        let json = serde_json::to_value(&document).expect("JSON");
        assert_eq!((&json["benchmark"], &json["parameters"][0]), (&"test".into(), &1.into()));
        assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
        assert!(json["machine"]["cores"].as_u64() > Some(0));
        assert!(document.heading().contains("bench test"));
    }
}
