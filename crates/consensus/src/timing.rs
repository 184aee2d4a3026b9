//! Every time limit of a group in one place.

use std::time::Duration;

use openraft::{Config, ConfigError, SnapshotPolicy};

/// The time limits of a group.
///
/// A leader that dies is replaced after `election_max` (its lease) plus one random wait between `election_min`
/// and `election_max`: with the defaults within 1.4 seconds, and after about 1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A leader reports this often to its followers.
    pub heartbeat: Duration,
    /// The shortest random wait before a follower stands for election.
    pub election_min: Duration,
    /// The longest such wait, and how long a leader's lease lasts.
    pub election_max: Duration,
    /// How long a proposal may take before its fate is called unknown.
    pub propose: Duration,
    /// How long the sending of entries to a peer may take.
    pub append: Duration,
    /// How long a peer may take for one piece of a snapshot, and for installing all of it.
    pub snapshot: Duration,
    /// How long asking the leader for its index may take.
    pub read_index: Duration,
    /// How long a forwarded request may take.
    pub forward: Duration,
    /// How long a leader that shuts down waits for its successor.
    pub transfer: Duration,
    /// Entries after which a snapshot is considered.
    pub snapshot_after_entries: u64,
    /// Entries below a snapshot that are kept for followers that lag a little.
    pub entries_kept: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(500),
            election_max: Duration::from_millis(700),
            propose: Duration::from_secs(5),
            append: Duration::from_secs(2),
            snapshot: Duration::from_mins(1),
            read_index: Duration::from_secs(1),
            forward: Duration::from_secs(10),
            transfer: Duration::from_secs(2),
            snapshot_after_entries: 5_000,
            entries_kept: 1_000,
        }
    }
}

impl Timing {
    pub(crate) fn engine(&self, group: &str) -> Result<Config, ConfigError> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let config = Config {
            cluster_name: group.to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            // The network code has limits of its own for every piece; this one is for the whole.
            install_snapshot_timeout: millis(self.snapshot) * 60,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_after_entries),
            max_in_snapshot_log_to_keep: self.entries_kept,
            // A follower this far behind gets a snapshot; below it, entries. Must exceed the snapshot interval.
            replication_lag_threshold: self.snapshot_after_entries * 2,
            purge_batch_size: 256,
            max_payload_entries: 1024,
            enable_pre_vote: Some(true),
            // A restarted leader is elected again: nothing may be read from it before.
            enable_leader_restore: Some(false),
            // A member that lost its disk is a newcomer and may not vote until it has caught up (see
            // `crate::newcomer`); this lets the leader send it everything again.
            allow_log_reversion: Some(true),
            backoff: "50ms 100ms 200ms ...500ms".to_owned(),
            ..Config::default()
        };
        config.validate()
    }
}
