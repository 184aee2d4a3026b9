//! Memory for secrets: locked into RAM, left out of core dumps, wiped when given back.
//!
//! Secrets are small and many, and locked memory is scarce (`RLIMIT_MEMLOCK`) and granted by the page, so slots of a few
//! fixed sizes are cut out of chunks of pages. A chunk is never returned to the system: a process keeps the locked
//! memory of its busiest moment. Secrets longer than the longest slot get pages of their own and do return them.
//! Where the limit allows no more locking the memory is used unlocked, still wiped and still left out of dumps, and
//! [`locking_status`] tells how much of it there is.
//!
//! Always true: a free slot holds zeros only; a slot in use belongs to exactly one [`LockedBytes`].
//!
//! This is the only module of the workspace with `unsafe`: system calls on raw pages, and slices over slots.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use zeroize::Zeroize;

/// How much memory for secrets the process has mapped, in bytes, and whether the system let it be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockingStatus {
    /// Cannot be swapped out.
    pub locked_bytes: usize,
    /// Might be swapped out: the system refused to lock it, usually because of `RLIMIT_MEMLOCK`.
    pub unlocked_bytes: usize,
}

impl LockingStatus {
    /// Whether no secret can reach swap space.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.unlocked_bytes == 0
    }
}

/// What the memory for secrets looks like now.
#[must_use]
pub fn locking_status() -> LockingStatus {
    ARENA.status()
}

/// A run of bytes in memory for secrets: zeros at first, wiped when dropped.
pub(crate) struct LockedBytes {
    pages: Slot,
    len: usize,
}

impl LockedBytes {
    /// `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        Self { pages: ARENA.take(len), len }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: the slot is mapped, initialised, at least `len` long, and ours alone while `self` lives.
        unsafe { std::slice::from_raw_parts(self.pages.start.as_ptr(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; `&mut self` makes it the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.pages.start.as_ptr(), self.len) }
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        ARENA.give_back(self.pages, self.len);
    }
}

/// A value that holds secrets (a prepared key schedule, say), placed in memory for secrets.
///
/// The value is built by its own constructor and moved in, so the stack of the constructor is not covered; nor are clones,
/// which must wipe themselves.
pub(crate) struct LockedBox<T> {
    memory: LockedBytes,
    value: PhantomData<T>,
}

impl<T> LockedBox<T> {
    pub(crate) fn new(value: T) -> Self {
        const { assert!(align_of::<T>() <= SLOT_LENS[0], "every slot is aligned to the shortest one") };
        let memory = LockedBytes::zeroed(size_of::<T>());
        // SAFETY: the slot is ours, long enough and aligned for a `T` (slots lie at multiples of the shortest one).
        unsafe { memory.pages.start.cast::<T>().write(value) };
        Self { memory, value: PhantomData }
    }
}

impl<T> Deref for LockedBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` put a valid `T` there, and only `drop` takes it away.
        unsafe { self.memory.pages.start.cast::<T>().as_ref() }
    }
}

impl<T> Drop for LockedBox<T> {
    fn drop(&mut self) {
        // SAFETY: the `T` is valid and never touched again; dropping `memory` wipes the slot afterwards.
        unsafe { self.memory.pages.start.cast::<T>().drop_in_place() };
    }
}

/// Where a run of bytes starts. Its length is known to whoever took it.
#[derive(Clone, Copy)]
struct Slot {
    start: NonNull<u8>,
    locked: bool,
}

// SAFETY: a slot is plain memory that belongs to one owner at a time and is tied to no thread.
unsafe impl Send for Slot {}
// SAFETY: `&Slot` and `&LockedBytes` give read access only.
unsafe impl Sync for Slot {}

/// Free slots by size class, and what has been mapped.
struct Arena {
    free: [Mutex<Vec<Slot>>; SLOT_LENS.len()],
    locked_bytes: AtomicUsize,
    unlocked_bytes: AtomicUsize,
}

impl Arena {
    const fn new() -> Self {
        Self {
            free: [const { Mutex::new(Vec::new()) }; SLOT_LENS.len()],
            locked_bytes: AtomicUsize::new(0),
            unlocked_bytes: AtomicUsize::new(0),
        }
    }

    fn status(&self) -> LockingStatus {
        LockingStatus {
            locked_bytes: self.locked_bytes.load(Ordering::Relaxed),
            unlocked_bytes: self.unlocked_bytes.load(Ordering::Relaxed),
        }
    }

    /// A zeroed run of at least `len` bytes.
    fn take(&self, len: usize) -> Slot {
        let Some(class) = size_class(len) else { return self.map(len) };
        // A panic cannot happen between the steps on a free list, so a poisoned one is still whole.
        let mut free = self.free[class].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = free.pop() {
            return slot;
        }
        let chunk = self.map(CHUNK_LEN);
        free.extend((1..CHUNK_LEN / SLOT_LENS[class]).map(|index| {
            // SAFETY: `index * slot length` stays inside the chunk.
            Slot { start: unsafe { chunk.start.add(index * SLOT_LENS[class]) }, ..chunk }
        }));
        chunk
    }

    /// Wipes a run that [`Arena::take`] gave for the same `len`, and makes it available again.
    fn give_back(&self, slot: Slot, len: usize) {
        let class = size_class(len);
        let whole = class.map_or(len, |class| SLOT_LENS[class]);
        // SAFETY: the owner of the slot gives it up here, so this is the only reference.
        unsafe { std::slice::from_raw_parts_mut(slot.start.as_ptr(), whole) }.zeroize();
        match class {
            Some(class) => self.free[class].lock().unwrap_or_else(PoisonError::into_inner).push(slot),
            None => self.unmap(slot, len),
        }
    }

    /// Maps `len` zeroed bytes in pages of their own. Without memory the process ends, as for any allocation.
    fn map(&self, len: usize) -> Slot {
        // SAFETY: with no address asked for, the kernel picks a range that nothing else uses.
        let mapped =
            unsafe { mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        let Some(start) = mapped.ok().and_then(NonNull::new) else {
            handle_alloc_error(Layout::array::<u8>(len).expect("a length that was asked for fits isize"))
        };
        // A kernel too old for an advice refuses it; the secret is then no worse off than in ordinary memory.
        for advice in [Advice::LinuxDontDump, Advice::LinuxWipeOnFork] {
            // SAFETY: the pages are ours, and neither advice changes what this process reads from them.
            let _ = unsafe { madvise(start.as_ptr(), len, advice) };
        }
        // SAFETY: the pages are ours; locking changes only where they may reside.
        let locked = unsafe { mlock(start.as_ptr(), len) }.is_ok();
        self.counter(locked).fetch_add(len, Ordering::Relaxed);
        Slot { start: start.cast(), locked }
    }

    fn unmap(&self, slot: Slot, len: usize) {
        self.counter(slot.locked).fetch_sub(len, Ordering::Relaxed);
        // SAFETY: `map` made exactly this mapping, and its owner has given it up. Unmapping also unlocks.
        let unmapped = unsafe { munmap(slot.start.as_ptr().cast(), len) };
        debug_assert!(unmapped.is_ok(), "a mapping made by `map` can be unmapped");
    }

    const fn counter(&self, locked: bool) -> &AtomicUsize {
        if locked { &self.locked_bytes } else { &self.unlocked_bytes }
    }
}

/// The index of the shortest slot that holds `len` bytes; `None` if it needs pages of its own.
fn size_class(len: usize) -> Option<usize> {
    SLOT_LENS.iter().position(|&slot_len| len <= slot_len)
}

static ARENA: Arena = Arena::new();

/// One system call per chunk; a multiple of every page size in use (4, 16 and 64 KiB).
const CHUNK_LEN: usize = 64 * 1024;

/// Powers of two, so that each slot is aligned to the shortest one.
const SLOT_LENS: [usize; 9] = [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads memory that no owner holds, in an arena that no other test uses.
    fn peek(slot: Slot, len: usize) -> Vec<u8> {
        // SAFETY: chunks are never unmapped, and this test is the only user of its arena.
        unsafe { std::slice::from_raw_parts(slot.start.as_ptr(), len) }.to_vec()
    }

    fn poke(slot: Slot, len: usize) {
        // SAFETY: as in `peek`.
        unsafe { std::slice::from_raw_parts_mut(slot.start.as_ptr(), len) }.fill(0xa5);
    }

    #[test]
    fn memory_is_wiped_when_it_is_given_back() {
        let arena = Arena::new();
        for len in SLOT_LENS {
            let slot = arena.take(len);
            poke(slot, len);
            assert_eq!(peek(slot, len), vec![0xa5; len]);
            arena.give_back(slot, len);
            assert_eq!(peek(slot, len), vec![0; len]);
        }
    }

    #[test]
    fn a_slot_is_reused_and_no_two_owners_share_one() {
        let arena = Arena::new();
        let mut slots: Vec<Slot> = (0..5_000).map(|_| arena.take(32)).collect();
        let mut starts: Vec<_> = slots.iter().map(|slot| slot.start).collect();
        starts.sort_unstable();
        assert!(starts.windows(2).all(|pair| pair[1].addr().get() - pair[0].addr().get() >= 32));
        let mapped = arena.status();
        slots.drain(..).for_each(|slot| arena.give_back(slot, 32));
        slots.extend((0..5_000).map(|_| arena.take(32)));
        assert_eq!(arena.status(), mapped);
        assert_eq!(mapped.locked_bytes + mapped.unlocked_bytes, 3 * CHUNK_LEN);
    }

    #[test]
    fn long_runs_return_their_pages() {
        let arena = Arena::new();
        let slot = arena.take(100_000);
        poke(slot, 100_000);
        let status = arena.status();
        assert_eq!(status.locked_bytes + status.unlocked_bytes, 100_000);
        arena.give_back(slot, 100_000);
        assert_eq!(arena.status(), LockingStatus { locked_bytes: 0, unlocked_bytes: 0 });
    }

    #[test]
    fn runs_start_zeroed_and_keep_what_is_written() {
        for len in [0, 1, 31, 32, 33, 4096, 8192, 8193, 70_000] {
            let mut bytes = LockedBytes::zeroed(len);
            assert_eq!(bytes.as_slice(), vec![0; len]);
            bytes.as_mut_slice().fill(7);
            assert_eq!(bytes.as_slice(), vec![7; len]);
        }
    }
}
