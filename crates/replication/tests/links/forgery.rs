//! Whatever somebody in the middle, or another Region, does to envelopes: nothing wrong is applied, everything right is
//! applied in the end, and every refusal is counted.

use meridian_crypto::{SecretBytes, TransportBinding};
use meridian_model::{KeyId, KeyMaterialId};
use meridian_replication::LinkProblem;
use meridian_replication::wire::link_frame::Body;
use meridian_replication::wire::{Envelope, LinkFrame, Reason, SealedMaterial};
use meridian_state::links::{MaterialReference, Message};

use crate::impostor::{Impostor, encoded, sealed_to};
use crate::regions::{Cluster, PATIENCE, Plan, account, region};
use crate::relay::Relay;

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";
const EUROPE: &str = "eu-west-1";

struct Middle {
    cluster: Cluster,
    relay: Relay,
    server: meridian_consensus::PeerServer,
}

impl Middle {
    /// Two Regions with a relay on the way from the first to the second.
    async fn start() -> Self {
        let mut plan = Plan::of(&[(EAST, 1), (WEST, 1), (EUROPE, 1)]);
        let (relay, address, server) = Relay::start(&plan.ca, &region(EAST), &region(WEST)).await;
        plan.detours.push((region(EAST), region(WEST), address));
        let cluster = plan.start().await;
        let west = &cluster.region(WEST).nodes[0];
        relay.leads_to(&west.name, west.address);
        Self { cluster, relay, server }
    }

    fn impostor(&self, to: &'static str) -> Impostor {
        let node = &self.cluster.region(to).nodes[0];
        Impostor::new(&self.cluster.ca, EAST, to, (&node.name, node.address))
    }

    /// How often `here` has refused something of the first Region for one of `reasons`.
    fn refused(&self, here: &str, reasons: &[Reason]) -> u64 {
        let status = self.cluster.region(here).replicator().status();
        let from_east = status.iter().find(|link| link.peer == region(EAST)).expect("linked");
        reasons.iter().filter_map(|reason| from_east.incoming.refused.get(reason.label())).sum()
    }

    async fn shutdown(self) {
        self.cluster.shutdown().await;
        self.server.shutdown().await;
    }
}

/// Lets `tamper` change the first two envelopes of a replica, expects the refusal, and then the replica.
async fn refused_then_delivered(what: &str, expected: Reason, tamper: fn(Vec<Envelope>) -> Vec<Envelope>) {
    let middle = Middle::start().await;
    let mut held = Vec::new();
    let mut is_done = false;
    middle.relay.tamper(move |envelope| {
        if is_done {
            return vec![envelope];
        }
        held.push(envelope);
        if held.len() < 2 {
            return Vec::new();
        }
        is_done = true;
        tamper(std::mem::take(&mut held))
    });
    let (east, west) = (middle.cluster.region(EAST), middle.cluster.region(WEST));
    let (key_id, material) = east.create_key();
    east.reserve(key_id, WEST);
    let mut refusals = middle.relay.refusals();
    let refusal = tokio::time::timeout(PATIENCE, refusals.wait_for(|refusals| !refusals.is_empty())).await;
    assert_eq!(refusal.expect("in time").expect("the relay lives")[0].reason(), expected, "{what}");
    let state = west.until_enabled(key_id).await;
    assert_eq!(west.keeper.material(&state, key_id)[0].expose(), material.expose(), "{what}");
    east.until_delivered(WEST).await;
    assert!(middle.refused(WEST, &[expected]) >= 1, "{what}");
    middle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_envelope_is_refused_and_the_right_one_applied() {
    refused_then_delivered("signature", Reason::Signature, |mut pair| {
        pair[0].signature = vec![0; 64].into();
        pair
    })
    .await;
    refused_then_delivered("ciphertext", Reason::Signature, |mut pair| {
        let sealed = pair[1].sealed.as_mut().expect("the material comes second");
        let mut ciphertext = sealed.ciphertext.to_vec();
        ciphertext[0] ^= 1;
        sealed.ciphertext = ciphertext.into();
        pair
    })
    .await;
    refused_then_delivered("no material", Reason::Signature, |mut pair| {
        pair[1].sealed = None;
        pair
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envelopes_out_of_order_or_missing_are_refused_and_sent_again() {
    refused_then_delivered("swapped", Reason::Sequence, |mut pair| {
        pair.swap(0, 1);
        pair
    })
    .await;
    refused_then_delivered("dropped", Reason::Sequence, |pair| pair[1..].to_vec()).await;
    refused_then_delivered("renumbered", Reason::Sequence, |mut pair| {
        pair[0].sequence += 7;
        pair
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_envelopes_are_acknowledged_and_change_nothing() {
    let middle = Middle::start().await;
    middle.relay.tamper(|envelope| vec![envelope.clone(), envelope.clone(), envelope]);
    let (east, west) = (middle.cluster.region(EAST), middle.cluster.region(WEST));
    let (key_id, _) = east.create_key();
    east.reserve(key_id, WEST);
    west.until_enabled(key_id).await;
    west.until_delivered(EAST).await;
    east.until_delivered(WEST).await;
    let status = west.replicator().status();
    let from_east = status.iter().find(|link| link.peer == region(EAST)).expect("linked");
    assert!(from_east.incoming.duplicates >= 4, "{from_east:?}");
    assert!(from_east.incoming.refused.is_empty(), "{from_east:?}");

    // An old recording, played to the Region that it was made for.
    let recorded = middle.relay.envelopes().borrow().clone();
    let before: Vec<_> = west.log.state().rows().collect();
    let impostor = middle.impostor(WEST);
    let (mut session, _, last_applied) = impostor.welcome().await;
    for envelope in recorded {
        session.send(LinkFrame::new(envelope)).await;
        let Some(Body::Ack(ack)) = session.next().await else { panic!("not acknowledged") };
        assert_eq!(ack.last_applied, last_applied);
    }
    assert_eq!(west.log.state().rows().collect::<Vec<_>>(), before);
    middle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_for_one_region_is_refused_by_another() {
    let middle = Middle::start().await;
    let (east, west) = (middle.cluster.region(EAST), middle.cluster.region(WEST));
    let (key_id, _) = east.create_key();
    east.reserve(key_id, WEST);
    west.until_enabled(key_id).await;
    let recorded = middle.relay.envelopes().borrow()[0].clone();
    let (mut session, ..) = middle.impostor(EUROPE).welcome().await;
    session.send(LinkFrame::new(recorded)).await;
    assert_eq!(session.refusal().await, Some(Reason::Signature));
    assert!(middle.cluster.region(EUROPE).log.state().key(key_id).is_none());
    assert_eq!(middle.refused(EUROPE, &[Reason::Signature]), 1);
    middle.shutdown().await;
}

/// A Region whose identity is stolen still cannot put material into a place that it was not sealed for.
#[tokio::test(flavor = "multi_thread")]
async fn signed_envelopes_with_material_for_another_place_are_refused() {
    let middle = Middle::start().await;
    let impostor = middle.impostor(WEST);
    let reference = MaterialReference {
        account: account(),
        key_id: KeyId::multi_region([1; 16]),
        material_id: KeyMaterialId::from_bytes([2; 32]),
        epoch: 3,
    };
    let place = TransportBinding {
        account: account(),
        key_id: reference.key_id,
        material_id: reference.material_id,
        from: region(EAST),
        to: region(WEST),
        epoch: 3,
        sequence: 1,
    };
    let elsewhere = [
        ("epoch", TransportBinding { epoch: 2, ..place.clone() }),
        ("sequence", TransportBinding { sequence: 2, ..place.clone() }),
        ("destination", TransportBinding { to: region(EUROPE), ..place.clone() }),
        ("source", TransportBinding { from: region(EUROPE), ..place.clone() }),
        ("key", TransportBinding { key_id: KeyId::multi_region([9; 16]), ..place.clone() }),
    ];
    let material = SecretBytes::random(33).expect("random");
    for (what, binding) in &elsewhere {
        let (mut session, key, _) = impostor.welcome().await;
        let sealed = sealed_to(&key, binding, &material);
        session.send(LinkFrame::new(impostor.signed(transfer(reference, Some(sealed))))).await;
        assert_eq!(session.refusal().await, Some(Reason::Material), "{what}");
    }
    // In its own place, but not material of a kind that is known.
    let (mut session, key, _) = impostor.welcome().await;
    let sealed = sealed_to(&key, &place, &SecretBytes::take(vec![99; 7]));
    session.send(LinkFrame::new(impostor.signed(transfer(reference, Some(sealed))))).await;
    assert_eq!(session.refusal().await, Some(Reason::Material));
    // Sealed to a key of a session that is over.
    let (mut session, ..) = impostor.welcome().await;
    session.send(LinkFrame::new(impostor.signed(transfer(reference, Some(sealed_to(&key, &place, &material)))))).await;
    assert_eq!(session.refusal().await, Some(Reason::TransportKey));

    assert_eq!(middle.refused(WEST, &[Reason::Material, Reason::TransportKey]), 7);
    assert_eq!(middle.cluster.region(WEST).log.state().cursor(&region(EAST)).last_applied, 0);
    middle.shutdown().await;
}

fn transfer(reference: MaterialReference, sealed: Option<SealedMaterial>) -> Envelope {
    Envelope {
        sequence: 1,
        committed_at_ms: 1,
        message: encoded(&Message::TransferMaterial(reference)),
        sealed,
        ..Envelope::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_not_known_are_refused() {
    let middle = Middle::start().await;
    let impostor = middle.impostor(WEST);
    let key_id = KeyId::multi_region([1; 16]);
    let created = encoded(&Message::ReplicaCreated(key_id));
    let sealed = SealedMaterial::default();
    let unknown = [
        Envelope { message: vec![].into(), ..Envelope::default() },
        Envelope { message: vec![200, 1, 2].into(), ..Envelope::default() },
        Envelope { message: vec![1, 200].into(), ..Envelope::default() },
        Envelope { message: [&created[..], &[0]].concat().into(), ..Envelope::default() },
        Envelope { message: created, sealed: Some(sealed), ..Envelope::default() },
    ];
    for envelope in unknown {
        let (mut session, ..) = impostor.welcome().await;
        session.send(LinkFrame::new(impostor.signed(Envelope { sequence: 1, ..envelope.clone() }))).await;
        assert_eq!(session.refusal().await, Some(Reason::Message), "{envelope:?}");
    }
    middle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn material_is_sealed_only_to_a_key_that_the_other_region_signed() {
    let middle = Middle::start().await;
    middle.cluster.gate.cut_both_ways(EAST, WEST);
    let false_key = meridian_crypto::TransportKeyPair::generate().expect("random");
    let public_key: bytes::Bytes = false_key.public().as_bytes().to_vec().into();
    middle.relay.tamper_answers(move |frame| match frame.body.as_mut() {
        Some(Body::Welcome(welcome)) => {
            welcome.transport_key.as_mut().expect("always offered").public_key = public_key.clone();
        }
        Some(Body::TransportKey(key)) => key.public_key = public_key.clone(),
        _ => {}
    });
    let east = middle.cluster.region(EAST);
    let (key_id, _) = east.create_key();
    east.reserve(key_id, WEST);
    middle.cluster.gate.heal();
    let mut status = east.replicator().watch_outgoing(&region(WEST)).expect("linked");
    let noticed = status.wait_for(|status| matches!(status.problem, Some(LinkProblem::PeerProtocol(_))));
    tokio::time::timeout(PATIENCE, noticed).await.expect("in time").expect("the link lives");
    assert_eq!(middle.relay.envelopes().borrow().len(), 0);
    middle.shutdown().await;
}
