//! The thread that keeps the state image up to date, behind the state machine and never in its way.
//!
//! Jobs are done in order. The first failure ends the writing for good: the image stays at the position it had,
//! which is consistent, and the next start replays the rest from the log.

use std::path::PathBuf;
use std::time::Duration;

use meridian_state::{RegionState, RowChange};
use tokio::sync::{mpsc, oneshot};

use crate::codec::Position;
use crate::image::{Image, ImageError};

/// Jobs that may wait. When they are this many, applying waits for the disk: memory stays bounded.
const QUEUE: usize = 1024;

/// Rows that are written in one batch when jobs have piled up.
const BATCH_ROWS: usize = 4096;

/// How long a write waits for others to join it. Rows that change with every command are then written once for many;
/// the image may lag, as the log has everything.
const LINGER: Duration = Duration::from_millis(25);

#[derive(Debug)]
enum Job {
    Write { changes: Vec<RowChange>, position: Position },
    Reset { state: Box<RegionState>, position: Position },
    Checkpoint,
    Close { clean: bool, done: oneshot::Sender<()> },
}

/// The door to the thread. The thread ends when every door is gone, leaving the image as a crash would.
#[derive(Clone, Debug)]
pub(crate) struct ImageWriter {
    jobs: mpsc::Sender<Job>,
}

impl ImageWriter {
    /// Starts the thread. Without an image it does nothing, gladly. An image that is not up to date is given
    /// `content` first.
    pub(crate) fn start(image: Option<Image>, content: Option<(RegionState, Position)>) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        if let Some((state, position)) = content {
            let reset = Job::Reset { state: Box::new(state), position };
            jobs.try_send(reset).expect("a new queue has room");
        }
        std::thread::Builder::new().name("state-image".into()).spawn(move || run(image, queue))?;
        Ok(Self { jobs })
    }

    /// Hands over changed rows; waits only if the disk is far behind.
    pub(crate) async fn write(&self, changes: Vec<RowChange>, position: Position) {
        self.send(Job::Write { changes, position }).await;
    }

    /// Replaces the whole image.
    pub(crate) async fn reset(&self, state: RegionState, position: Position) {
        self.send(Job::Reset { state: Box::new(state), position }).await;
    }

    /// Asks for everything handed over so far to be made durable.
    pub(crate) async fn checkpoint(&self) {
        self.send(Job::Checkpoint).await;
    }

    /// Writes what is still waiting and lets go of the image; if `clean`, makes it durable and sealed first.
    pub(crate) async fn close(&self, clean: bool) {
        let (done, closed) = oneshot::channel();
        self.send(Job::Close { clean, done }).await;
        let _ = closed.await;
    }

    async fn send(&self, job: Job) {
        // The thread ends before its door closes only after `Close`; then nobody needs the image any more.
        let _ = self.jobs.send(job).await;
    }
}

fn run(image: Option<Image>, mut jobs: mpsc::Receiver<Job>) {
    let mut image = image;
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.blocking_recv()) {
        let result = match job {
            Job::Write { mut changes, mut position } => {
                std::thread::sleep(LINGER);
                next = gather(&mut jobs, &mut changes, &mut position);
                image.as_mut().map_or(Ok(()), |image| image.write(&changes, &position))
            }
            Job::Reset { state, position } => image.as_mut().map_or(Ok(()), |image| image.reset(&state, &position)),
            Job::Checkpoint => image.as_ref().map_or(Ok(()), Image::checkpoint),
            Job::Close { clean, done } => {
                report(&image.take().filter(|_| clean).map_or(Ok(()), Image::close));
                let _ = done.send(());
                return;
            }
        };
        if !report(&result) {
            image = None;
        }
    }
}

/// Joins waiting writes to this one; gives back the first job that is something else.
fn gather(jobs: &mut mpsc::Receiver<Job>, changes: &mut Vec<RowChange>, position: &mut Position) -> Option<Job> {
    while changes.len() < BATCH_ROWS {
        match jobs.try_recv() {
            Ok(Job::Write { changes: more, position: newer }) => {
                changes.extend(more);
                *position = newer;
            }
            Ok(other) => return Some(other),
            Err(_) => return None,
        }
    }
    None
}

fn report(result: &Result<(), ImageError>) -> bool {
    if let Err(error) = result {
        tracing::error!(
            error = %error,
            cause = std::error::Error::source(error).map(ToString::to_string),
            "the state image is no longer written; the log stays complete, the next start replays it"
        );
    }
    result.is_ok()
}

/// Where an image lies: a folder per attempt, so that a discarded one can never be mistaken for the new one.
pub(crate) fn image_folder(parent: &std::path::Path, generation: u64) -> PathBuf {
    parent.join(format!("image-{generation}"))
}
