//! Keeping the secrets of the whole process away from core dumps, tracers and swap space; and the priority of threads that
//! make keys ahead of need.

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setpriority_process, setrlimit,
};

/// The system refused a protection that start-up must not do without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HardeningError {
    /// `RLIMIT_CORE` could not be set to zero.
    #[error("core dumps could not be switched off")]
    CoreLimit(#[source] Errno),
    /// `PR_SET_DUMPABLE` could not be cleared.
    #[error("the process could not be made undumpable")]
    Dumpable(#[source] Errno),
}

/// Switches core dumps off, keeps other processes of the same user from attaching, and raises the soft limit of
/// locked memory to the hard one.
///
/// Call it first thing in `main`, before any secret exists. Whether the limit of locked memory was high enough shows in
/// [`locking_status`](crate::locking_status).
///
/// # Errors
/// If core dumps cannot be switched off. A limit of locked memory that cannot be raised is no error.
pub fn harden_process() -> Result<(), HardeningError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(HardeningError::CoreLimit)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(HardeningError::Dumpable)?;
    let maximum = getrlimit(Resource::Memlock).maximum;
    // The hard limit is always allowed as the soft one; were it refused all the same, locking_status would tell.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: maximum, maximum });
    Ok(())
}

/// Lets every other thread go first: this one runs on what processor time is left over.
pub fn yield_to_other_threads() {
    // Without a process id Linux takes the calling thread. Where that is refused the thread is only less polite.
    let _ = setpriority_process(None, LOWEST_PRIORITY);
}

/// setpriority(2): nice values end at 19.
const LOWEST_PRIORITY: i32 = 19;
