//! A node in the middle: it passes frames from one Region to another and sees, changes, repeats or drops them.
//!
//! It holds certificates of both Regions' nodes, so it stands for whoever has broken into one of them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt};
use meridian_consensus::tls::{ClusterCa, PeerTls};
use meridian_consensus::{NodeId, NodeName, PeerListener, PeerServer, connect};
use meridian_model::Region;
use meridian_replication::PeerAddress;
use meridian_replication::wire::link_frame::Body;
use meridian_replication::wire::{self, AskReply, AskRequest, Envelope, LinkFrame};
use prost::Message as _;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::regions::{loopback, node_tls};

/// What becomes of an envelope on its way.
pub(crate) type Tamper = Box<dyn FnMut(Envelope) -> Vec<Envelope> + Send>;

/// What becomes of a frame on its way back.
pub(crate) type TamperAnswers = Box<dyn FnMut(&mut LinkFrame) + Send>;

type Frames = Pin<Box<dyn Stream<Item = Result<LinkFrame, Status>> + Send>>;

#[derive(Clone)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
}

struct Shared {
    /// As whom the relay connects to the other Region.
    tls: PeerTls,
    /// Where frames go.
    target: watch::Sender<Option<(NodeName, SocketAddr)>>,
    tamper: Mutex<Tamper>,
    tamper_answers: Mutex<TamperAnswers>,
    /// Every frame in either direction, as bytes.
    seen: Mutex<Vec<Vec<u8>>>,
    envelopes: watch::Sender<Vec<Envelope>>,
    refusals: watch::Sender<Vec<wire::Refused>>,
}

impl Relay {
    /// A relay for frames of nodes of `from`; to be told where they go, and listening as node 9 of `to`.
    pub(crate) async fn start(ca: &ClusterCa, from: &Region, to: &Region) -> (Self, PeerAddress, PeerServer) {
        let name = |region: &Region| NodeName { region: region.clone(), node: NodeId(9) };
        let shared = Shared {
            tls: node_tls(ca, &name(from)),
            target: watch::Sender::new(None),
            tamper: Mutex::new(Box::new(|envelope| vec![envelope])),
            tamper_answers: Mutex::new(Box::new(|_| ())),
            seen: Mutex::default(),
            envelopes: watch::Sender::default(),
            refusals: watch::Sender::default(),
        };
        let relay = Self { shared: Arc::new(shared) };
        let listener = PeerListener::bind(loopback(), node_tls(ca, &name(to))).await.expect("a free port");
        let address = PeerAddress { node: NodeId(9), address: listener.local_addr().expect("bound").to_string() };
        let server = listener.serve(Routes::new(wire::link_server::LinkServer::new(relay.clone())));
        (relay, address, server)
    }

    pub(crate) fn leads_to(&self, name: &NodeName, address: SocketAddr) {
        self.shared.target.send_replace(Some((name.clone(), address)));
    }

    pub(crate) fn tamper(&self, tamper: impl FnMut(Envelope) -> Vec<Envelope> + Send + 'static) {
        *self.shared.tamper.lock().expect("not poisoned") = Box::new(tamper);
    }

    pub(crate) fn tamper_answers(&self, tamper: impl FnMut(&mut LinkFrame) + Send + 'static) {
        *self.shared.tamper_answers.lock().expect("not poisoned") = Box::new(tamper);
    }

    /// Every frame seen so far, in either direction.
    pub(crate) fn seen(&self) -> Vec<Vec<u8>> {
        self.shared.seen.lock().expect("not poisoned").clone()
    }

    /// The envelopes sent so far, as their sender made them.
    pub(crate) fn envelopes(&self) -> watch::Receiver<Vec<Envelope>> {
        self.shared.envelopes.subscribe()
    }

    /// What the receiver has refused so far.
    pub(crate) fn refusals(&self) -> watch::Receiver<Vec<wire::Refused>> {
        self.shared.refusals.subscribe()
    }

    async fn client(&self) -> wire::link_client::LinkClient<tonic::transport::Channel> {
        let mut target = self.shared.target.subscribe();
        let target = target.wait_for(Option::is_some).await.expect("the relay lives").clone();
        let (name, address) = target.expect("waited for");
        let channel = connect(&self.shared.tls, &name, address.to_string()).expect("a valid address");
        wire::link_client::LinkClient::new(channel)
    }
}

impl Shared {
    fn outgoing(&self, frame: LinkFrame) -> Vec<LinkFrame> {
        self.seen.lock().expect("not poisoned").push(frame.encode_to_vec());
        let Some(Body::Envelope(envelope)) = frame.body else { return vec![frame] };
        self.envelopes.send_modify(|envelopes| envelopes.push(envelope.clone()));
        let passed = self.tamper.lock().expect("not poisoned")(envelope);
        passed.into_iter().map(LinkFrame::new).collect()
    }

    fn incoming(&self, frame: &mut LinkFrame) {
        self.tamper_answers.lock().expect("not poisoned")(frame);
        self.seen.lock().expect("not poisoned").push(frame.encode_to_vec());
        if let Some(Body::Refused(refused)) = &frame.body {
            self.refusals.send_modify(|refusals| refusals.push(*refused));
        }
    }
}

#[tonic::async_trait]
impl wire::link_server::Link for Relay {
    type ExchangeStream = Frames;

    async fn exchange(&self, request: Request<Streaming<LinkFrame>>) -> Result<Response<Frames>, Status> {
        let shared = Arc::clone(&self.shared);
        let outgoing = request
            .into_inner()
            .filter_map(|frame| std::future::ready(frame.ok()))
            .flat_map(move |frame| futures::stream::iter(shared.outgoing(frame)));
        let incoming = self.client().await.exchange(outgoing).await?.into_inner();
        let shared = Arc::clone(&self.shared);
        let incoming = incoming.map(move |frame| {
            let mut frame = frame?;
            shared.incoming(&mut frame);
            Ok(frame)
        });
        Ok(Response::new(incoming.boxed()))
    }

    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<AskReply>, Status> {
        self.client().await.ask(request.into_inner()).await
    }
}
