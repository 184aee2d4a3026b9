//! Connections to the other nodes of the group, and the rules for every call over them.
//!
//! Always true: every call has a deadline and passes the fault gate twice; a connection reaches the node whose
//! certificate was asked for, or fails.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::faults::FaultGate;
use crate::names::{NodeId, NodeName};
use crate::proto::Echo;
use crate::proto::raft_client::RaftClient;
use crate::tls::PeerTls;

/// The longest message of the peer protocol, in bytes: a portion of entries (2 MiB) plus one largest command,
/// or one piece of a snapshot, with room to spare.
pub(crate) const MESSAGE_MAX: usize = 32 * 1024 * 1024;

/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(2);
/// A silent connection is probed this often, and given up after the same time without an answer.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A connection that another node answers for with its certificate. It is made when first used, and again
/// whenever it broke.
///
/// # Errors
/// If `node` has no valid name. Connecting itself fails in the calls.
pub fn connect(tls: &PeerTls, node: &NodeName, address: String) -> Result<Channel, tonic::transport::Error> {
    let name = node.dns_name();
    let tls = tls.clone();
    let connector = tower::service_fn(move |uri: Uri| {
        let (tls, address) = (tls.clone(), address.clone());
        async move {
            let name = ServerName::try_from(uri.host().unwrap_or_default().to_owned()).map_err(io::Error::other)?;
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let stream = tls.connector().connect(name, stream).await?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{name}"))?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// Why a call to a peer gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the connection is cut")]
    Cut,
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    #[error("the peer refused: {0}")]
    Refused(Status),
    #[error("the peer's address is not known")]
    Unknown,
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        match status.code() {
            tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled => {
                Self::Unreachable(status.message().to_owned())
            }
            _ => Self::Refused(status),
        }
    }
}

/// A peer: two connections, so that a snapshot never delays a heartbeat.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: NodeName,
    control: Channel,
    bulk: Channel,
    echo: Mutex<Option<Echo>>,
}

impl Peer {
    pub(crate) fn control(&self) -> RaftClient<Channel> {
        limited(self.control.clone())
    }

    pub(crate) fn bulk(&self) -> RaftClient<Channel> {
        limited(self.bulk.clone())
    }

    /// The newest reading of the peer's clock.
    pub(crate) fn echo(&self) -> Option<Echo> {
        *self.echo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a reading, unless a newer one of the same run is known.
    pub(crate) fn remember(&self, reading: Option<Echo>) {
        let mut echo = self.echo.lock().unwrap_or_else(PoisonError::into_inner);
        let is_older = |known: Echo, new: Echo| known.run == new.run && known.micros > new.micros;
        if let Some(new) = reading.filter(|new| !echo.is_some_and(|known| is_older(known, *new))) {
            *echo = Some(new);
        }
    }
}

fn limited(channel: Channel) -> RaftClient<Channel> {
    RaftClient::new(channel).max_decoding_message_size(MESSAGE_MAX).max_encoding_message_size(MESSAGE_MAX)
}

/// All peers of a node.
pub(crate) struct Peers {
    tls: PeerTls,
    faults: Arc<dyn FaultGate>,
    /// Addresses from the configuration; they win over those the log remembers.
    configured: BTreeMap<NodeId, String>,
    known: Mutex<BTreeMap<NodeId, (String, Arc<Peer>)>>,
}

impl Peers {
    pub(crate) fn new(tls: PeerTls, faults: Arc<dyn FaultGate>, configured: BTreeMap<NodeId, String>) -> Self {
        Self { tls, faults, configured, known: Mutex::default() }
    }

    /// The node whose peers these are.
    pub(crate) fn own_name(&self) -> &NodeName {
        self.tls.name()
    }

    /// The peer with the number `node`; `remembered` is its address if the configuration has none.
    pub(crate) fn peer(&self, node: NodeId, remembered: Option<&str>) -> Result<Arc<Peer>, CallError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let address = self.configured.get(&node).map(String::as_str).or(remembered).filter(|text| !text.is_empty());
        let Some(address) = address else {
            return known.get(&node).map(|(_, peer)| Arc::clone(peer)).ok_or(CallError::Unknown);
        };
        if let Some((_, peer)) = known.get(&node).filter(|(used, _)| used == address) {
            return Ok(Arc::clone(peer));
        }
        let name = NodeName { region: self.tls.name().region.clone(), node };
        let channel =
            || connect(&self.tls, &name, address.to_owned()).map_err(|error| CallError::Unreachable(error.to_string()));
        let (control, bulk) = (channel()?, channel()?);
        let peer = Arc::new(Peer { name: name.clone(), control, bulk, echo: Mutex::default() });
        known.insert(node, (address.to_owned(), Arc::clone(&peer)));
        Ok(peer)
    }

    /// Makes a call: through the gate, with a deadline, and back through the gate.
    pub(crate) async fn call<T>(
        &self,
        to: &NodeName,
        deadline: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, CallError> {
        let own = self.own_name();
        let guarded = async {
            self.faults.pass(own, to).await.map_err(|_| CallError::Cut)?;
            let answer = call.await?;
            self.faults.pass(to, own).await.map_err(|_| CallError::Cut)?;
            Ok(answer.into_inner())
        };
        tokio::time::timeout(deadline, guarded).await.unwrap_or(Err(CallError::Timeout(deadline)))
    }

    /// Lets one more message of an answered call through the gate.
    pub(crate) async fn receive<T>(
        &self,
        from: &NodeName,
        message: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let message = message.await?;
        self.faults.pass(from, self.own_name()).await.map_err(|_| CallError::Cut)?;
        Ok(message)
    }
}
