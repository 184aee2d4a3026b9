//! Protections of the whole process. They change limits, so they stand in a test program of their own.
#![cfg(target_os = "linux")]

use std::sync::Mutex;

use meridian_crypto::process::harden_process;
use meridian_crypto::{Secret, locking_status};
use rustix::process::{DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, setrlimit};

/// Limits belong to the process, so tests run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn core_dumps_are_off_and_the_limit_of_locked_memory_is_raised() {
    let _alone = ALONE.lock();
    let maximum = getrlimit(Resource::Memlock).maximum;
    harden_process().expect("allowed to everybody");
    assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    assert_eq!(dumpable_behavior().expect("readable"), DumpableBehavior::NotDumpable);
    assert_eq!(getrlimit(Resource::Memlock).current, maximum);
    harden_process().expect("may be repeated");
}

#[test]
fn secrets_work_where_no_memory_may_be_locked() {
    let _alone = ALONE.lock();
    let limit = getrlimit(Resource::Memlock);
    setrlimit(Resource::Memlock, Rlimit { current: Some(0), ..limit }).expect("lowering is allowed");
    let before = locking_status();
    let secrets: Vec<_> = (0..10_000).map(|_| Secret::<256>::init(|bytes| bytes.fill(0xa5))).collect();
    let after = locking_status();
    setrlimit(Resource::Memlock, limit).expect("the hard limit was kept");
    assert!(secrets.iter().all(|secret| secret.expose() == &[0xa5; 256]));
    let (locked, unlocked) = (after.locked_bytes - before.locked_bytes, after.unlocked_bytes - before.unlocked_bytes);
    assert_eq!((locked + unlocked).div_ceil(65_536), (10_000 * 256_usize).div_ceil(65_536));
    assert_eq!(after.is_complete(), may_lock_without_limit(), "{after:?}");
}

/// Whether the process has `CAP_IPC_LOCK` (number 14), to which no limit applies.
fn may_lock_without_limit() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("listed").trim();
    u64::from_str_radix(effective, 16).expect("hex") & (1 << 14) != 0
}
