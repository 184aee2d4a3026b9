//! `cargo verify`: everything CI checks, step by step, each with its time; stops at the first step that fails.
//!
//! A step passes, fails, or is skipped because something outside of the tree is missing (no Docker engine, no way
//! to the advisory database). What was skipped is repeated, loudly, at the end.
//!
//! Always true: the last line is `N passed, N failed[, N skipped]`, the sum over all test runners, where a failed
//! step without test results counts as one failure; and the exit code is zero only when nothing failed.

mod steps;

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::counts::Counts;
use steps::{Ending, STEPS, Step};

/// What to check.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs only this step; may be given several times.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Lists the steps and does nothing else.
    #[arg(long)]
    list: bool,
}

/// Runs the steps. True when none failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    for name in &options.only {
        ensure!(STEPS.iter().any(|step| step.name == name), "there is no step `{name}`; see --list");
    }
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| options.only.is_empty() || options.only.iter().any(|name| name == step.name))
        .collect();
    if options.list {
        for step in &chosen {
            println!("{:10} {}", step.name, step.about);
        }
        return Ok(true);
    }
    Ok(run_all(&chosen))
}

fn run_all(chosen: &[&Step]) -> bool {
    let mut report = Report::default();
    for (index, step) in chosen.iter().enumerate() {
        println!("\n=== [{}/{}] {}: {} ===", index + 1, chosen.len(), step.name, step.about);
        let started = Instant::now();
        let ending = (step.run)(&mut report.counts).unwrap_or_else(|error| {
            println!("error: {error:#}");
            Ending::Failed
        });
        let seconds = started.elapsed().as_secs_f64();
        report.add(step, seconds, &ending);
        if matches!(ending, Ending::Failed) {
            report.failed = true;
            println!("\nFAILED: {}. What to do: {}", step.name, step.advice);
            break;
        }
    }
    report.print();
    !report.failed
}

#[derive(Default)]
struct Report {
    counts: Counts,
    lines: Vec<String>,
    skipped: Vec<String>,
    failed: bool,
    seconds: f64,
}

impl Report {
    fn add(&mut self, step: &Step, seconds: f64, ending: &Ending) {
        let how = match ending {
            Ending::Passed => "ok".to_owned(),
            Ending::Failed => "FAILED".to_owned(),
            Ending::Skipped(reason) => {
                self.skipped.push(format!("SKIPPED: {}: {reason}", step.name));
                format!("SKIPPED ({reason})")
            }
        };
        println!("--- {}: {how} in {seconds:.1} s", step.name);
        self.lines.push(format!("{:10} {seconds:8.1} s  {how}", step.name));
        self.seconds += seconds;
    }

    fn print(&mut self) {
        println!("\n=== verify: {:.0} s in all ===", self.seconds);
        for line in &self.lines {
            println!("{line}");
        }
        for line in &self.skipped {
            println!("!!! {line}");
        }
        if self.failed && self.counts.failed == 0 {
            self.counts.failed = 1;
        }
        println!("{}", self.counts);
    }
}
