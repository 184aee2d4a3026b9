//! Accepting connections, and ending them: at a client's wish, when it is too slow, and at shutdown.
//!
//! HTTP/1.1 and HTTP/2 on the same port: by ALPN over TLS, by the preface on plain TCP. One task per connection; all of
//! them belong to a group that a shutdown waits for.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::activity::{Activity, Watched};
use crate::gateway::{Connection, Gateway};
use crate::limits::Limits;
use crate::tls::{self, TlsSession};

/// Serves a gateway on TCP sockets, with or without TLS.
#[derive(Clone)]
pub struct Listener {
    http: Arc<auto::Builder<TokioExecutor>>,
    tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Listener {
    /// A listener that enforces `limits`; with `tls`, it speaks nothing else (see [`tls::server_config`]).
    #[must_use]
    pub fn new(limits: &Limits, tls: Option<Arc<ServerConfig>>) -> Self {
        Self { http: Arc::new(http(limits)), tls: tls.map(tls::acceptor) }
    }

    /// Serves connections of `socket` until `shutdown`, then lets requests under way end, within
    /// [`Limits::shutdown_time_max`], and returns when no connection is left.
    pub async fn serve(&self, socket: TcpListener, gateway: Arc<Gateway>, shutdown: CancellationToken) {
        let room = Arc::new(Semaphore::new(gateway.limits().connections_max));
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&socket, &room) => accepted,
            };
            let (stream, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await; // out of descriptors, most likely: let some be closed
                    continue;
                }
            };
            let task = ConnectionTask {
                listener: self.clone(),
                gateway: Arc::clone(&gateway),
                shutdown: shutdown.clone(),
                end: end.clone(),
                _place: place,
            };
            tasks.spawn(task.run(stream));
        }
        drop(socket);
        tasks.close();
        if timeout(gateway.limits().shutdown_time_max, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "connections are cut because their requests do not end");
            end.cancel();
            tasks.wait().await;
        }
    }
}

async fn accept(socket: &TcpListener, room: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, _) = socket.accept().await?;
    Ok((stream, place))
}

fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None) // see `crate::activity`
        .max_headers(limits.header_fields_max)
        .max_buf_size(limits.head_bytes_max);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX);
    http
}

/// One connection, from its handshake to its end.
struct ConnectionTask {
    listener: Listener,
    gateway: Arc<Gateway>,
    shutdown: CancellationToken,
    end: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl ConnectionTask {
    async fn run(self, stream: TcpStream) {
        let Ok(peer) = stream.peer_addr().map(|address| address.ip().to_canonical()) else { return }; // gone already
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let connections = self.gateway.metrics().connections().clone();
        connections.inc();
        let activity = Activity::begin();
        match &self.listener.tls {
            None => self.serve(stream, Connection { peer, tls: None, activity }).await,
            Some(acceptor) => {
                let handshake = timeout(self.gateway.limits().head_time_max, acceptor.accept(stream));
                let shaken = tokio::select! {
                    shaken = handshake => shaken,
                    () = self.shutdown.cancelled() => Ok(Err(io::ErrorKind::ConnectionAborted.into())),
                };
                if let Ok(Ok(stream)) = shaken {
                    let tls = Some(TlsSession::of(stream.get_ref().1));
                    self.serve(stream, Connection { peer, tls, activity }).await;
                }
            }
        }
        connections.dec();
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: Connection) {
        let limits = self.gateway.limits();
        let activity = Arc::clone(&connection.activity);
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
        let (gateway, connection) = (Arc::clone(&self.gateway), Arc::new(connection));
        let service = service_fn(move |request: Request<Incoming>| {
            let (gateway, connection) = (Arc::clone(&gateway), Arc::clone(&connection));
            async move { Ok::<_, Infallible>(gateway.answer(&connection, request).await) }
        });
        let mut served = pin!(self.listener.http.serve_connection(io, service));
        let mut looks = interval((limits.head_time_max / 2).max(LOOK_TIME_MIN));
        let mut ending = false;
        loop {
            tokio::select! {
                biased;
                _ended = served.as_mut() => return, // errors are the client's: gone away, or no HTTP
                () = self.end.cancelled(), if ending => return,
                () = self.shutdown.cancelled(), if !ending => {
                    ending = true;
                    served.as_mut().graceful_shutdown();
                }
                _ = looks.tick() => {
                    if !activity.is_overdue(limits) {
                        continue;
                    }
                    if ending {
                        return; // did not end by itself
                    }
                    ending = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// How long no connection is accepted after one could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections are not looked at more often than this.
const LOOK_TIME_MIN: Duration = Duration::from_millis(20);
/// Bodies are short; a stream that sends more at once waits for the window.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Finds out that a client has vanished without a word.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How many streams a client may open and reset before they were looked at (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 20;
