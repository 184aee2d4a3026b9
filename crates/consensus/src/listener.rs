//! The one listener through which other nodes reach a node: Raft, links, and whatever else is added as a route.
//!
//! Always true: a request is served only after both sides proved who they are, and every request carries the
//! [`PeerIdentity`] of its sender in its extensions. Which services a peer may call is up to each service.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::tls::{PeerIdentity, PeerTls, identity_of};

/// How long a peer may take to prove who it is.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way at once; further peers wait in the system's queue.
const HANDSHAKES_MAX: usize = 64;
/// Requests under way at once per connection.
const STREAMS_MAX: u32 = 1024;
/// How long requests under way may take to finish when the listener closes.
const DRAIN: Duration = Duration::from_secs(2);

/// A bound address, not serving yet: peers can already be told where it is.
#[derive(Debug)]
pub struct PeerListener {
    listener: TcpListener,
    tls: PeerTls,
}

impl PeerListener {
    /// Binds `address`; port 0 lets the system choose.
    ///
    /// # Errors
    /// Whatever the system says.
    pub async fn bind(address: SocketAddr, tls: PeerTls) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `routes` until the server is shut down.
    #[must_use]
    pub fn serve(self, routes: Routes) -> PeerServer {
        let stop = CancellationToken::new();
        let (sender, connections) = mpsc::channel(HANDSHAKES_MAX);
        let accepting = tokio::spawn(accept(self.listener, self.tls.acceptor(), sender, stop.clone()));
        let server = Server::builder()
            .max_concurrent_streams(STREAMS_MAX)
            .http2_keepalive_interval(Some(Duration::from_secs(10)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .add_routes(routes);
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            let incoming = ReceiverStream::new(connections);
            if let Err(error) = server.serve_with_incoming_shutdown(incoming, stopped).await {
                tracing::error!(%error, "the peer listener failed");
            }
        });
        PeerServer { stop, accepting, serving }
    }
}

/// A serving listener.
#[derive(Debug)]
pub struct PeerServer {
    stop: CancellationToken,
    accepting: JoinHandle<()>,
    serving: JoinHandle<()>,
}

impl PeerServer {
    /// Stops accepting, lets requests under way finish for a short while, and closes every connection.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(DRAIN, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for PeerServer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.serving.abort();
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    connections: mpsc::Sender<io::Result<PeerStream>>,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => return,
            slot = Arc::clone(&slots).acquire_owned() => slot.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, for example: goes away by itself, but not at once.
                tracing::warn!(%error, "a peer could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, connections) = (acceptor.clone(), connections.clone());
        tokio::spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE, handshake(stream, acceptor)).await;
            drop(slot);
            match shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                // A closed channel means that the listener has stopped.
                Ok(stream) => drop(connections.send(Ok(stream)).await),
                Err(error) => tracing::debug!(%address, %error, "a peer was refused"),
            }
        });
    }
}

async fn handshake(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<PeerStream> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let identity = identity_of(stream.get_ref().1.peer_certificates())?;
    Ok(PeerStream { stream, identity })
}

/// A connection whose other end is known.
struct PeerStream {
    stream: TlsStream<TcpStream>,
    identity: PeerIdentity,
}

impl Connected for PeerStream {
    type ConnectInfo = PeerIdentity;

    fn connect_info(&self) -> PeerIdentity {
        self.identity.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
