//! Threads for work that takes too long for the runtime's own, with a bounded queue before them.
//!
//! Always true: a job that was taken is run, unless the pool is stopped before its turn; a job never takes a thread down.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Something to do on a thread of the pool.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The queue holds as many jobs as it may; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// A fixed number of threads that take jobs in the order in which they came.
#[derive(Debug)]
pub(crate) struct ThreadPool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({} jobs)", self.jobs.len())
    }
}

impl ThreadPool {
    /// `threads` threads called `name`, and a queue of at most `capacity` jobs that wait for one.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(name: &str, threads: usize, capacity: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new(), capacity });
        let pool = Self { shared, threads: Mutex::default() };
        for _ in 0..threads {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || shared.work())?;
            lock(&pool.threads).push(thread);
        }
        Ok(pool)
    }

    /// Queues a job.
    pub(crate) fn submit(&self, job: Job) -> Result<(), QueueFull> {
        let mut queue = lock(&self.shared.queue);
        if queue.is_closed || queue.jobs.len() >= self.shared.capacity {
            return Err(QueueFull);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Drops the jobs that wait, lets those that run end, and joins the threads.
    pub(crate) fn stop(&self) {
        let waiting = {
            let mut queue = lock(&self.shared.queue);
            queue.is_closed = true;
            std::mem::take(&mut queue.jobs)
        };
        drop(waiting); // outside of the lock: whoever waits for these learns of it
        self.shared.wake.notify_all();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // Jobs do not unwind, so there is nothing that a thread could have died of.
            let _ = thread.join();
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a job ended abnormally; whoever waits for it gets an internal error");
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Nothing panics while it holds one of these locks, so that a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_in_order_and_survive_a_panic() {
        let pool = ThreadPool::start("test", 1, 8).expect("a thread");
        let (sender, receiver) = mpsc::channel();
        pool.submit(Box::new(|| panic!("on purpose"))).expect("room");
        for number in 0..3 {
            let sender = sender.clone();
            pool.submit(Box::new(move || sender.send(number).expect("received"))).expect("room");
        }
        assert_eq!(receiver.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_full_queue_takes_nothing() {
        let pool = ThreadPool::start("test", 1, 2).expect("a thread");
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let blocking = move || {
            started.send(()).expect("received");
            released.recv().expect("released");
        };
        pool.submit(Box::new(blocking)).expect("room");
        has_started.recv().expect("the job runs, so the queue is empty");
        pool.submit(Box::new(|| {})).expect("room");
        pool.submit(Box::new(|| {})).expect("room");
        assert_eq!(pool.submit(Box::new(|| {})), Err(QueueFull));
        release.send(()).expect("the job waits");
    }

    #[test]
    fn stopping_lets_what_runs_end_and_drops_what_waits() {
        let pool = ThreadPool::start("test", 1, 8).expect("a thread");
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel();
        let running = done.clone();
        let blocking = move || {
            started.send(()).expect("received");
            released.recv().expect("released");
            running.send("ran").expect("received");
        };
        pool.submit(Box::new(blocking)).expect("room");
        has_started.recv().expect("started");
        pool.submit(Box::new(move || done.send("waited").expect("received"))).expect("room");
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| pool.stop());
            while !lock(&pool.shared.queue).is_closed {
                std::thread::yield_now();
            }
            release.send(()).expect("the job waits");
            stopping.join().expect("stopped");
        });
        assert_eq!(is_done.iter().collect::<Vec<_>>(), ["ran"]);
        assert_eq!(pool.submit(Box::new(|| {})), Err(QueueFull));
    }
}
