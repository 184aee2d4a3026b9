//! How many tests passed, failed and were skipped, read from the summaries of the test runners.
//!
//! Only summary lines count; a runner that dies before its summary is a failure of its step, not of this module.

use std::fmt;

/// Test counts; summed over all runners, they make the last line of `cargo verify`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// What one line of a runner's output adds: zero unless it is a summary of nextest, libtest or pytest.
    pub(crate) fn of_line(line: &str) -> Self {
        let line = line.trim().trim_matches('=').trim();
        let summary = if let Some(libtest) = line.strip_prefix("test result:") {
            libtest
        } else if line.starts_with("Summary [") {
            line.split_once("run:").map_or("", |(_, counts)| counts)
        } else if line.contains(" in ") && line.ends_with(['s', ')']) && line.starts_with(|c: char| c.is_ascii_digit())
        {
            line.split_once(" in ").map_or("", |(counts, _)| counts)
        } else {
            ""
        };
        summary.split([',', ';', '.']).map(Self::of_part).fold(Self::default(), Self::plus)
    }

    /// The sum of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    /// One part such as `12 passed` or `3 passed (1 slow)`; anything else counts nothing.
    fn of_part(part: &str) -> Self {
        let mut words = part.split_whitespace();
        let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse), words.next()) else {
            return Self::default();
        };
        match what {
            "passed" => Self { passed: number, ..Self::default() },
            "failed" | "timed" | "exec" | "error" | "errors" => Self { failed: number, ..Self::default() },
            "skipped" | "ignored" | "deselected" => Self { skipped: number, ..Self::default() },
            _ => Self::default(),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(formatter, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn summaries_of_the_runners() {
        let counts = |passed, failed, skipped| Counts { passed, failed, skipped };
        for (line, expected) in [
            ("     Summary [   0.005s] 12 tests run: 12 passed, 3 skipped", counts(12, 0, 3)),
            (
                "     Summary [  61.1s] 9 tests run: 5 passed (1 slow), 2 failed, 1 timed out, 1 exec failed, 0 skipped",
                counts(5, 4, 0),
            ),
            (
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
                counts(3, 0, 1),
            ),
            (
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
                counts(3, 2, 0),
            ),
            ("=== 2 failed, 88 passed, 1 skipped, 3 warnings, 1 error in 75.10s (0:01:15) ===", counts(88, 3, 1)),
            ("88 passed in 5.10s", counts(88, 0, 0)),
            ("no tests ran in 0.01s", counts(0, 0, 0)),
            ("2026-01-01 12 passed by the way", counts(0, 0, 0)),
            ("running 3 tests", counts(0, 0, 0)),
        ] {
            assert_eq!(Counts::of_line(line), expected, "{line}");
        }
    }

    #[test]
    fn the_last_line() {
        assert_eq!(Counts { passed: 3, failed: 0, skipped: 0 }.to_string(), "3 passed, 0 failed");
        assert_eq!(Counts { passed: 3, failed: 1, skipped: 2 }.to_string(), "3 passed, 1 failed, 2 skipped");
    }
}
