//! A sender written by hand: it holds whatever certificates a test gives it and says whatever the test wants.

use std::net::SocketAddr;

use bytes::Bytes;
use meridian_consensus::tls::{CertifiedPem, ClusterCa};
use meridian_consensus::{NodeId, NodeName, connect};
use meridian_crypto::labels::SignatureDomain;
use meridian_crypto::{RegionSigner, SecretBytes, TransportBinding, TransportPublicKey};
use meridian_replication::wire::link_frame::Body;
use meridian_replication::wire::{self, Envelope, Hello, LinkFrame, Reason, SealedMaterial, TransportKey};
use meridian_state::links::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::regions::{PATIENCE, node_tls, region};

/// Node 9 of `from`, with an identity of that Region.
pub(crate) struct Impostor {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) node: NodeName,
    pub(crate) identity: CertifiedPem,
    channel: tonic::transport::Channel,
}

/// A session that has been opened, whatever came of it.
pub(crate) struct Session {
    out: mpsc::Sender<LinkFrame>,
    frames: Streaming<LinkFrame>,
}

impl Impostor {
    pub(crate) fn new(ca: &ClusterCa, from: &'static str, to: &'static str, target: (&NodeName, SocketAddr)) -> Self {
        let node = NodeName { region: region(from), node: NodeId(9) };
        let channel = connect(&node_tls(ca, &node), target.0, target.1.to_string()).expect("a valid address");
        let identity = ca.issue_region(&node.region).expect("valid");
        Self { from, to, node, identity, channel }
    }

    /// A Hello without a mistake, of a leader newer than any other.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            version_min: 1,
            version_max: 1,
            from: self.from.to_owned(),
            to: self.to.to_owned(),
            cluster_id: "test".to_owned(),
            term: u64::MAX,
            session: vec![5; 16].into(),
            region_certificate: self.identity.cert_pem.clone().into(),
        }
    }

    pub(crate) fn client(&self) -> wire::link_client::LinkClient<tonic::transport::Channel> {
        wire::link_client::LinkClient::new(self.channel.clone())
    }

    pub(crate) async fn open(&self, first: LinkFrame) -> Result<Session, Status> {
        let (out, receive) = mpsc::channel(64);
        out.send(first).await.expect("room");
        let frames = self.client().exchange(ReceiverStream::new(receive)).await?.into_inner();
        Ok(Session { out, frames })
    }

    /// A session with its transport key, and the newest message applied over there.
    pub(crate) async fn welcome(&self) -> (Session, TransportKey, u64) {
        let mut session = self.open(LinkFrame::new(self.hello())).await.expect("connected");
        let Some(Body::Welcome(welcome)) = session.next().await else { panic!("no Welcome") };
        (session, welcome.transport_key.expect("always offered"), welcome.last_applied)
    }

    pub(crate) fn signed(&self, mut envelope: Envelope) -> Envelope {
        let signer = RegionSigner::from_pkcs8_pem(&self.identity.key_pem).expect("a P-256 key");
        let text = signed_text(self.from, self.to, &envelope);
        envelope.signature = signer.sign(SignatureDomain::LINK_MESSAGE, &text).expect("signed").into();
        envelope
    }
}

impl Session {
    pub(crate) async fn send(&self, frame: LinkFrame) {
        self.out.send(frame).await.expect("the session lives");
    }

    /// The next frame that is no heartbeat.
    pub(crate) async fn next(&mut self) -> Option<Body> {
        let next = tokio::time::timeout(PATIENCE, self.frames.message()).await.expect("in time");
        next.ok().flatten().and_then(|frame| frame.body)
    }

    /// Why the session is refused.
    pub(crate) async fn refusal(&mut self) -> Option<Reason> {
        match self.next().await? {
            Body::Refused(refused) => Some(refused.reason()),
            other => panic!("not refused: {other:?}"),
        }
    }
}

pub(crate) fn encoded(message: &Message) -> Bytes {
    postcard::to_extend(message, vec![1]).expect("encodable").into()
}

pub(crate) fn sealed_to(key: &TransportKey, binding: &TransportBinding, material: &SecretBytes) -> SealedMaterial {
    let public = TransportPublicKey::from_bytes(&key.public_key).expect("a public key");
    let sealed = public.seal(binding, material).expect("sealed");
    SealedMaterial {
        transport_key_id: key.key_id.clone(),
        encapsulated_key: sealed.encapsulated_key.into(),
        ciphertext: sealed.ciphertext.into(),
    }
}

/// The signed form of envelopes, written down a second time: it must never change by accident.
fn signed_text(from: &str, to: &str, envelope: &Envelope) -> Vec<u8> {
    let (sequence, committed_at) = (envelope.sequence.to_be_bytes(), envelope.committed_at_ms.to_be_bytes());
    let mut fields: Vec<&[u8]> =
        vec![b"test", from.as_bytes(), to.as_bytes(), &sequence, &committed_at, &envelope.message];
    match &envelope.sealed {
        None => fields.push(&[0]),
        Some(sealed) => {
            fields.extend([&[1][..], &sealed.transport_key_id, &sealed.encapsulated_key, &sealed.ciphertext]);
        }
    }
    let prefixed = fields.iter().flat_map(|field| [&(field.len() as u64).to_be_bytes()[..], field].concat());
    prefixed.collect()
}
