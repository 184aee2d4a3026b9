//! CPU time that processes have used, from procfs: client and server may share cores, and a rate alone does not tell which of
//! them is the limit.

use std::time::Duration;

/// Ticks per second in `/proc/PID/stat`. proc_pid_stat(5): clock ticks, which Linux shows to programs as 100 per second on
/// every architecture that this runs on.
const TICKS_PER_SECOND: u64 = 100;

/// A process whose CPU time is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// This one.
    Own,
    /// Another of the same machine.
    Id(u32),
}

/// User and system time of all threads of a process, to 10 ms; `None` where there is no such process or no procfs.
pub(super) fn used(process: Process) -> Option<Duration> {
    let path = match process {
        Process::Own => "/proc/self/stat".to_owned(),
        Process::Id(id) => format!("/proc/{id}/stat"),
    };
    parse(&std::fs::read_to_string(path).ok()?)
}

fn parse(stat: &str) -> Option<Duration> {
    // The second field, the program's name in parentheses, may hold spaces and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    // Of proc_pid_stat(5), fields 14 and 15; the first one here is field 3.
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()?.checked_add(times.next()?.ok()?)?;
    Some(Duration::from_millis(ticks.checked_mul(1000 / TICKS_PER_SECOND)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 8 20 0 3 0 100 0 0";
        assert_eq!(parse(stat), Some(Duration::from_secs(2)));
        for broken in ["", "42 (a) S 1", "42 (a) S 1 42 42 0 -1 4194560 100 0 0 0 x 50"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn this_process_has_a_time() {
        assert!(used(Process::Own).is_some());
        assert_eq!(used(Process::Id(u32::MAX)), None);
    }
}
