//! RSA keys made ahead of need: looking for primes takes from a tenth of a second to some seconds.
//!
//! They lie in locked memory until they are taken, are wiped if they never are, and are written nowhere.
//!
//! Always true: a key is handed out once, and there are never more of a size than the stock was made for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use meridian_crypto::{KeyMaterial, MaterialError};
use meridian_model::KeySpec;

/// The specs that are worth keeping ahead.
const SPECS: [KeySpec; 3] = [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096];

/// When a stock begins to fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filling {
    /// At once.
    FromStart,
    /// Each size after the first key of that size was asked for: who never needs any pays for none.
    OnDemand,
}

/// Keys of each size, up to a number of them.
#[derive(Debug)]
pub(crate) struct RsaStock {
    shelves: Mutex<Shelves>,
    changed: Condvar,
    keys_per_spec: usize,
}

#[derive(Debug)]
struct Shelves {
    ready: BTreeMap<KeySpec, Vec<KeyMaterial>>,
    wanted: BTreeSet<KeySpec>,
    is_closed: bool,
}

impl RsaStock {
    pub(crate) fn new(keys_per_spec: usize, filling: Filling) -> Self {
        let wanted = match filling {
            Filling::FromStart => BTreeSet::from(SPECS),
            Filling::OnDemand => BTreeSet::new(),
        };
        let shelves = Shelves { ready: BTreeMap::new(), wanted, is_closed: false };
        Self { shelves: Mutex::new(shelves), changed: Condvar::new(), keys_per_spec }
    }

    /// Whether keys of `spec` are ever kept here.
    pub(crate) fn keeps(spec: KeySpec) -> bool {
        SPECS.contains(&spec)
    }

    /// A key of `spec`, if there is one; either way it will be replaced.
    pub(crate) fn take(&self, spec: KeySpec) -> Option<KeyMaterial> {
        let mut shelves = self.lock();
        shelves.wanted.insert(spec);
        let taken = shelves.ready.get_mut(&spec).and_then(Vec::pop);
        drop(shelves);
        self.changed.notify_all();
        taken
    }

    /// Keeps a key that nobody waits for any more; wipes it if there are enough, or if the stock is closed.
    pub(crate) fn put(&self, material: KeyMaterial) {
        let mut shelves = self.lock();
        if shelves.is_closed {
            return;
        }
        let ready = shelves.ready.entry(material.spec()).or_default();
        if ready.len() < self.keys_per_spec {
            ready.push(material);
        }
    }

    /// How many keys of `spec` are ready.
    pub(crate) fn len(&self, spec: KeySpec) -> usize {
        self.lock().ready.get(&spec).map_or(0, Vec::len)
    }

    /// Makes keys with `make` whenever there are too few, until the stock is closed.
    pub(crate) fn keep_filling(&self, make: impl Fn(KeySpec) -> Result<KeyMaterial, MaterialError>) {
        while let Some(spec) = self.next_wanted() {
            match make(spec) {
                Ok(material) => self.put(material),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, %spec, "no key could be made ahead");
                    return; // without a generator nothing else works either
                }
            }
        }
    }

    /// Ends [`RsaStock::keep_filling`] after the key that it is at, and wipes what is there.
    pub(crate) fn close(&self) {
        let mut shelves = self.lock();
        shelves.is_closed = true;
        shelves.ready.clear();
        drop(shelves);
        self.changed.notify_all();
    }

    /// Waits until keys of some spec are missing; the one with the fewest comes first, of those the cheapest.
    fn next_wanted(&self) -> Option<KeySpec> {
        let mut shelves = self.lock();
        loop {
            if shelves.is_closed {
                return None;
            }
            let ready = |spec: &KeySpec| shelves.ready.get(spec).map_or(0, Vec::len);
            let wanted = SPECS.into_iter().filter(|spec| shelves.wanted.contains(spec));
            if let Some(spec) = wanted.filter(|spec| ready(spec) < self.keys_per_spec).min_by_key(|spec| ready(spec)) {
                return Some(spec);
            }
            shelves = self.changed.wait(shelves).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        // Nothing panics while it holds the lock, so that a poisoned one is as good as any.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Any material of the right spec does: what is kept is not used here.
    fn material(spec: KeySpec) -> KeyMaterial {
        let kind = match spec {
            KeySpec::Rsa2048 => 6,
            KeySpec::Rsa3072 => 7,
            _ => 8,
        };
        KeyMaterial::decode(&meridian_crypto::SecretBytes::copy_from(&[kind, 1, 2, 3])).expect("a known kind")
    }

    /// The specs that are made for `stock` until it wants no more, in order.
    fn made(stock: &RsaStock, expected: usize, then: impl FnOnce(&RsaStock)) -> Vec<KeySpec> {
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stock.keep_filling(|spec| {
                    sender.send(spec).expect("received");
                    Ok(material(spec))
                });
            });
            let made = receiver.iter().take(expected).collect();
            then(stock);
            stock.close();
            made
        })
    }

    #[test]
    fn a_stock_is_filled_evenly_and_no_further() {
        use KeySpec::{Rsa2048 as A, Rsa3072 as B, Rsa4096 as C};
        let stock = RsaStock::new(2, Filling::FromStart);
        let order = made(&stock, 6, |stock| {
            stock.put(material(A));
            while SPECS.iter().any(|spec| stock.len(*spec) < 2) {
                std::thread::yield_now(); // the last one is announced just before it is put
            }
            assert_eq!(SPECS.map(|spec| stock.len(spec)), [2, 2, 2], "one too many was wiped");
        });
        assert_eq!(order, [A, B, C, A, B, C]);
    }

    #[test]
    fn a_key_is_handed_out_once() {
        let stock = RsaStock::new(1, Filling::OnDemand);
        stock.put(material(KeySpec::Rsa2048));
        assert!(stock.take(KeySpec::Rsa2048).is_some_and(|material| material.spec() == KeySpec::Rsa2048));
        assert!(stock.take(KeySpec::Rsa2048).is_none());
    }

    #[test]
    fn only_what_was_asked_for_is_made() {
        let stock = RsaStock::new(2, Filling::OnDemand);
        assert!(stock.take(KeySpec::Rsa3072).is_none());
        assert_eq!(made(&stock, 2, |_| {}), [KeySpec::Rsa3072; 2]);
    }

    #[test]
    fn a_closed_stock_is_empty() {
        let stock = RsaStock::new(2, Filling::FromStart);
        stock.put(material(KeySpec::Rsa4096));
        stock.close();
        assert_eq!(stock.len(KeySpec::Rsa4096), 0);
        stock.put(material(KeySpec::Rsa4096)); // one that was being made
        assert_eq!(stock.len(KeySpec::Rsa4096), 0);
        stock.keep_filling(|_| unreachable!("nothing is wanted of a closed stock"));
    }
}
