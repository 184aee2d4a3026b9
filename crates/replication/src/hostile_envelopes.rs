//! Hostile frames of a link: whoever holds a certificate of the cluster may send any bytes, and a damaged Region may, too.

use meridian_crypto::RegionSigner;
use meridian_hostile::Campaign;
use meridian_model::{ErrorCode, KeyId, Region, Timestamp};
use meridian_state::OutboxRow;
use meridian_state::links::Message;
use prost::Message as _;

use crate::envelope::{Route, decode_message, encode_message, signed_envelope, verify_envelope};
use crate::wire::link_frame::Body;
use crate::wire::{self, LinkFrame};

fn region(name: &str) -> Region {
    name.parse().expect("valid")
}

fn messages() -> Vec<Message> {
    let key_id = KeyId::multi_region([3; 16]);
    vec![
        Message::ReplicaCreated(key_id),
        Message::ReplicaDeleted(key_id),
        Message::ReplicaRefused { key_id, code: ErrorCode::AlreadyExists },
    ]
}

#[test]
fn frames_of_a_link() {
    let signer = RegionSigner::generate().expect("random");
    let route = Route { cluster_id: "c".into(), from: region("us-east-1"), to: region("us-west-2") };
    let envelope = |(sequence, message): (u64, Message)| {
        let row = OutboxRow { to: route.to.clone(), sequence, committed_at: Timestamp::from_millis(1_000), message };
        let sealed = wire::SealedMaterial {
            transport_key_id: vec![1; 16].into(),
            encapsulated_key: vec![2; 32].into(),
            ciphertext: vec![3; 49].into(),
        };
        signed_envelope(&signer, &route, &row, (sequence == 2).then_some(sealed)).expect("signed")
    };
    let genuine: Vec<wire::Envelope> = (1..).zip(messages()).map(envelope).collect();
    let heartbeat = LinkFrame::new(wire::Heartbeat::default());
    let frames = genuine.iter().map(|envelope| LinkFrame::new(envelope.clone())).chain([heartbeat]);
    Campaign::against("frames of a link").inputs(frames.map(|frame| frame.encode_to_vec())).run(|bytes| {
        let Ok(LinkFrame { body: Some(Body::Envelope(envelope)) }) = LinkFrame::decode(bytes) else { return };
        let is_genuine = verify_envelope(signer.verifier(), &route, &envelope).is_ok();
        assert_eq!(is_genuine, genuine.contains(&envelope), "nobody else signs for a Region");
        let _ = envelope.sealed.as_ref().map(wire::SealedMaterial::to_sealed_envelope);
        let _ = decode_message(&envelope.message);
    });
}

#[test]
fn messages_of_a_link() {
    Campaign::against("messages of a link").inputs(messages().iter().map(encode_message)).run(|bytes| {
        if let Ok(message) = decode_message(bytes) {
            assert_eq!(decode_message(&encode_message(&message)).expect("own bytes"), message);
        }
    });
}
