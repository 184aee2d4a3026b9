//! Where a process makes and uses keys when that takes long: RSA and ML-DSA private operations, and RSA keys.
//!
//! | threads | work | queue | when it is full |
//! |---|---|---|---|
//! | one per processor | private operations, preparing RSA keys: up to some milliseconds each | 1,024 | `ThrottlingException` |
//! | one per two processors | RSA keys that somebody waits for: up to some seconds each | 16 | `ThrottlingException` |
//! | one, at the lowest priority | RSA keys ahead of need | | |
//!
//! `ThrottlingException` is what AWS KMS answers to more RSA operations than it has room for, and what every SDK retries
//! with back-off. A key that is not made in time is `DependencyTimeoutException`, which is retried as well.
//!
//! Everything else (ECDSA, Ed25519, ML-KEM, HMAC, AES, public keys that are parsed already) takes less time than a switch of
//! threads is worth.

use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, available_parallelism};
use std::time::Duration;

use meridian_crypto::{KeyMaterial, process};
use meridian_model::{ErrorCode, KeySpec, Partition, ServiceError};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::key_ring::log_internal;
use crate::rsa_stock::{Filling, RsaStock};
use crate::thread_pool::{QueueFull, ThreadPool};

/// With two threads and 2 ms each, the last in the queue waits for a second.
const PRIVATE_OPERATIONS_QUEUED: usize = 1_024;
/// With one thread, more than these would not be made in time.
const KEYS_QUEUED: usize = 16;
/// How long a caller waits for an RSA key; below the time that a forwarded change may take.
const KEY_DEADLINE: Duration = Duration::from_secs(6);

/// What a workshop keeps ready.
#[derive(Clone, Copy, Debug)]
pub struct WorkshopConfig {
    /// RSA keys of each size that are made ahead of need; none at all with 0.
    pub rsa_keys_ahead: usize,
    /// When they are made.
    pub filling: Filling,
}

impl Default for WorkshopConfig {
    /// Eight keys of each size, some 50 KiB, once the first key of that size was asked for.
    fn default() -> Self {
        Self { rsa_keys_ahead: 8, filling: Filling::OnDemand }
    }
}

/// The threads of a process for keys; shared by its nodes.
pub struct Workshop {
    private_operations: ThreadPool,
    keys: Arc<ThreadPool>,
    stock: Arc<RsaStock>,
    stocker: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workshop")
    }
}

impl Workshop {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(config: WorkshopConfig) -> io::Result<Self> {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let stock = Arc::new(RsaStock::new(config.rsa_keys_ahead, config.filling));
        let filled = Arc::clone(&stock);
        let fill = move || {
            process::yield_to_other_threads();
            filled.keep_filling(KeyMaterial::generate);
        };
        let stocker = std::thread::Builder::new().name("rsa-ahead".to_owned()).spawn(fill)?;
        Ok(Self {
            private_operations: ThreadPool::start("private-ops", processors, PRIVATE_OPERATIONS_QUEUED)?,
            keys: Arc::new(ThreadPool::start("rsa-keys", processors.div_ceil(2), KEYS_QUEUED)?),
            stock,
            stocker: Mutex::new(Some(stocker)),
        })
    }

    /// Runs a private operation.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            if !sender.is_closed() {
                let _ = sender.send(operation()); // whoever asked may have gone away meanwhile
            }
        };
        self.private_operations.submit(Box::new(job)).map_err(too_many)?;
        receiver.await.map_err(|_| ServiceError::internal())
    }

    /// New material for a key of `spec` of a Region in `partition`.
    pub(crate) async fn make_in(&self, partition: Partition, spec: KeySpec) -> Result<KeyMaterial, ServiceError> {
        if spec == KeySpec::SymmetricDefault {
            return KeyMaterial::generate_symmetric(partition).map_err(log_internal("generating key material"));
        }
        self.make(spec).await
    }

    /// New material for a key of any `spec` but that of symmetric encryption keys.
    pub(crate) async fn make(&self, spec: KeySpec) -> Result<KeyMaterial, ServiceError> {
        if !RsaStock::keeps(spec) {
            return KeyMaterial::generate(spec).map_err(log_internal("generating key material"));
        }
        match self.stock.take(spec) {
            Some(material) => Ok(material),
            None => self.order(spec).await,
        }
    }

    async fn order(&self, spec: KeySpec) -> Result<KeyMaterial, ServiceError> {
        let (sender, receiver) = oneshot::channel();
        let stock = Arc::clone(&self.stock);
        let job = move || {
            if sender.is_closed() {
                return;
            }
            // Who waited too long leaves the key to the next one.
            if let Err(Ok(unclaimed)) = sender.send(KeyMaterial::generate(spec)) {
                stock.put(unclaimed);
            }
        };
        self.keys.submit(Box::new(job)).map_err(too_many)?;
        let made = timeout(KEY_DEADLINE, receiver).await.map_err(|_elapsed| not_in_time(spec))?;
        made.map_err(|_| ServiceError::internal())?.map_err(log_internal("generating key material"))
    }

    /// How many keys of `spec` are ready at this moment.
    #[must_use]
    pub fn keys_ahead(&self, spec: KeySpec) -> usize {
        self.stock.len(spec)
    }

    /// Lets the work at hand end, refuses any other, wipes the stock and joins the threads. Blocks: up to some seconds if an RSA
    /// key is being made.
    pub fn stop(&self) {
        self.stock.close();
        self.private_operations.stop();
        self.keys.stop();
        let stocker = self.stocker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stocker) = stocker {
            let _ = stocker.join(); // a panic there was printed, and cost nothing but time
        }
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.stop();
    }
}

fn too_many(_: QueueFull) -> ServiceError {
    let message = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";
    ServiceError::new(ErrorCode::Throttling, message)
}

fn not_in_time(spec: KeySpec) -> ServiceError {
    let message = format!("A key of spec {spec} could not be generated in time. Try the request again.");
    ServiceError::new(ErrorCode::DependencyTimeout, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING_AHEAD: WorkshopConfig = WorkshopConfig { rsa_keys_ahead: 0, filling: Filling::OnDemand };

    #[tokio::test]
    async fn work_and_keys_are_done_elsewhere() {
        let workshop = Workshop::start(NOTHING_AHEAD).expect("threads");
        let here = std::thread::current().id();
        let there = workshop.run(|| std::thread::current().id()).await.expect("room");
        assert_ne!(here, there);
        for spec in [KeySpec::Rsa2048, KeySpec::EccNistP256, KeySpec::Hmac224] {
            assert_eq!(workshop.make(spec).await.expect("made").spec(), spec);
        }
        for (partition, len) in [(Partition::Aws, 32), (Partition::AwsCn, 16)] {
            let material = workshop.make_in(partition, KeySpec::SymmetricDefault).await.expect("made");
            assert_eq!((material.spec(), material.encode().len()), (KeySpec::SymmetricDefault, 1 + len));
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        let workshop = Workshop::start(NOTHING_AHEAD).expect("threads");
        let refused = workshop.run(|| -> u8 { panic!("on purpose") }).await;
        assert_eq!(refused, Err(ServiceError::internal()));
    }

    #[tokio::test]
    async fn a_stopped_workshop_refuses_and_keeps_nothing() {
        let workshop =
            Workshop::start(WorkshopConfig { rsa_keys_ahead: 1, filling: Filling::OnDemand }).expect("threads");
        workshop.stock.put(KeyMaterial::generate(KeySpec::Rsa2048).expect("made"));
        workshop.stop();
        assert_eq!(workshop.keys_ahead(KeySpec::Rsa2048), 0);
        assert_eq!(workshop.run(|| 1).await.expect_err("stopped").code, ErrorCode::Throttling);
    }

    #[tokio::test]
    async fn a_full_queue_throttles() {
        let workshop = Workshop::start(NOTHING_AHEAD).expect("threads");
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let threads = available_parallelism().map_or(1, NonZero::get);
        for _ in 0..threads + PRIVATE_OPERATIONS_QUEUED {
            let released = Arc::clone(&released);
            let job = Box::new(move || {
                let _ = released.lock().expect("not poisoned").recv(); // until the sender is dropped
            });
            while workshop.private_operations.submit(job.clone()).is_err() {
                std::thread::yield_now(); // the threads have not taken theirs yet
            }
        }
        let refused = workshop.run(|| ()).await.expect_err("full");
        assert_eq!(refused.code, ErrorCode::Throttling);
        drop(release);
    }
}
