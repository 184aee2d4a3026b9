//! What a connection is doing, so that one that does nothing, or does it too slowly, can be closed.
//!
//! hyper's own timer for request heads also runs while a kept-alive connection idles, and would make one limit of two;
//! HTTP/2 has none. Here the bytes and the requests of a connection leave marks, and its task looks at them now and then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::Limits;

/// The marks of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    requests: AtomicUsize,
    /// Milliseconds after `opened` when the last request ended.
    rested: AtomicU64,
    /// Milliseconds after `opened`, plus one, of the first byte since then; 0 if there was none.
    began: AtomicU64,
    http2: AtomicBool,
}

impl Activity {
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            requests: AtomicUsize::new(0),
            rested: AtomicU64::new(0),
            began: AtomicU64::new(0),
            http2: AtomicBool::new(false),
        })
    }

    /// A request has arrived; it is under way until the guard is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> RequestGuard {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.began.store(0, Ordering::Relaxed);
        RequestGuard(Arc::clone(self))
    }

    /// Whether the connection has been without a request, or busy with one head, for longer than allowed.
    pub(crate) fn is_overdue(&self, limits: &Limits) -> bool {
        if self.requests.load(Ordering::Relaxed) > 0 {
            return false; // its own deadlines apply
        }
        let now = self.millis();
        let began = self.began.load(Ordering::Relaxed);
        // HTTP/2 clients send frames that belong to no request, and its heads are bounded by the idle time.
        let head_overdue =
            began > 0 && !self.http2.load(Ordering::Relaxed) && over(now, began - 1, limits.head_time_max);
        head_overdue || over(now, self.rested.load(Ordering::Relaxed), limits.idle_time_max)
    }

    fn read(&self, bytes: &[u8]) {
        if self.requests.load(Ordering::Relaxed) > 0 || self.began.load(Ordering::Relaxed) > 0 {
            return;
        }
        if bytes.starts_with(HTTP2_PREFACE_START) {
            self.http2.store(true, Ordering::Relaxed);
        }
        self.began.store(self.millis() + 1, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

fn over(now: u64, since: u64, limit: Duration) -> bool {
    u128::from(now.saturating_sub(since)) > limit.as_millis()
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.rested.store(self.0.millis(), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose incoming bytes leave their marks.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let new = &buf.filled()[before..];
        if !new.is_empty() {
            self.activity.read(new);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// How the preface of HTTP/2 begins (RFC 9113, section 3.4); no method of HTTP/1.1 does.
const HTTP2_PREFACE_START: &[u8] = b"PRI ";
