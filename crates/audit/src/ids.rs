//! Identifiers of requests and events: version 4 UUIDs at the price of one system call per 256 of them.
//!
//! They are unique, not secret: the random bytes wait in a buffer of the thread, so nothing that must stay unknown to a
//! reader of this process's memory may be made from them.

use std::cell::RefCell;

use uuid::{Builder, Uuid};

/// A new random UUID (RFC 9562, version 4).
#[must_use]
pub fn unique_id() -> Uuid {
    POOL.with_borrow_mut(|pool| Builder::from_random_bytes(pool.take()).into_uuid())
}

struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

impl Pool {
    fn take(&mut self) -> [u8; ID_BYTES] {
        if self.used == POOL_BYTES {
            getrandom::fill(&mut self.bytes).expect("the operating system's generator does not fail once it is seeded");
            self.used = 0;
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&self.bytes[self.used..self.used + ID_BYTES]);
        self.used += ID_BYTES;
        id
    }
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_BYTES], used: POOL_BYTES }) };
}

const ID_BYTES: usize = 16;
const POOL_BYTES: usize = 256 * ID_BYTES;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_version_4_and_differ_across_refills() {
        let ids: BTreeSet<Uuid> = (0..1000).map(|_| unique_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.get_version_num() == 4));
    }
}
