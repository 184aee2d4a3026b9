//! Envelopes: a message, its place on a link, its key material if any, and the signature over all of that.
//!
//! Always true: what is signed names the cluster, both Regions and the sequence number, and two different envelopes
//! never have the same signed text.

use bytes::Bytes;
use meridian_crypto::labels::SignatureDomain;
use meridian_crypto::{
    MaterialBinding, RegionSigner, RegionVerifier, SealedEnvelope, SecretTransport, SignatureRefused, TransportBinding,
};
use meridian_model::{Region, Timestamp};
use meridian_state::OutboxRow;
use meridian_state::identities::messages::SecretReference;
use meridian_state::links::{MaterialReference, Message};

use crate::wire;

/// The newest version of the encoding of messages. Each message is written in the oldest version that has it, so that a
/// Region of an earlier build goes on reading whatever it knows.
pub const MESSAGE_FORMAT: u8 = 3;

/// Why bytes are not a message of this build.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// A newer build wrote this; upgrade this Region.
    #[error("message format {0} is not known to this build; upgrade this Region")]
    UnknownVersion(u8),
    /// No bytes at all.
    #[error("the message is empty")]
    Empty,
    /// The bytes are damaged, or the message is of a kind that a newer build sends.
    #[error("the message is damaged or of an unknown kind")]
    Damaged(#[source] postcard::Error),
}

/// From where to where, and in which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) cluster_id: String,
    pub(crate) from: Region,
    pub(crate) to: Region,
}

/// The bytes of a message: the version, then its postcard form.
pub(crate) fn encode_message(message: &Message) -> Bytes {
    postcard::to_extend(message, vec![message.format()])
        .expect("messages hold nothing that postcard cannot encode")
        .into()
}

/// The inverse of [`encode_message`].
pub(crate) fn decode_message(bytes: &[u8]) -> Result<Message, MessageError> {
    match bytes.split_first() {
        Some((1..=MESSAGE_FORMAT, body)) => match postcard::take_from_bytes(body) {
            Ok((message, [])) => Ok(message),
            Ok(_) => Err(MessageError::Damaged(postcard::Error::DeserializeBadEncoding)),
            Err(error) => Err(MessageError::Damaged(error)),
        },
        Some((version, _)) => Err(MessageError::UnknownVersion(*version)),
        None => Err(MessageError::Empty),
    }
}

/// The envelope of an outbox row, signed in the name of the sending Region.
pub(crate) fn signed_envelope(
    signer: &RegionSigner,
    route: &Route,
    row: &OutboxRow,
    sealed: Option<wire::SealedMaterial>,
) -> Result<wire::Envelope, SignatureRefused> {
    let mut envelope = wire::Envelope {
        sequence: row.sequence,
        committed_at_ms: row.committed_at.as_millis(),
        message: encode_message(&row.message),
        sealed,
        signature: Bytes::new(),
    };
    envelope.signature = signer.sign(SignatureDomain::LINK_MESSAGE, &envelope_text(route, &envelope))?.into();
    Ok(envelope)
}

/// Checks that the sending Region made this envelope for this link.
pub(crate) fn verify_envelope(
    verifier: &RegionVerifier,
    route: &Route,
    envelope: &wire::Envelope,
) -> Result<(), SignatureRefused> {
    verifier.verify(SignatureDomain::LINK_MESSAGE, &envelope_text(route, envelope), &envelope.signature)
}

/// What the receiving Region signs when it offers a transport key for one session.
pub(crate) fn transport_key_text(route: &Route, session: &[u8], key: &wire::TransportKey) -> Vec<u8> {
    SignedText::on(route)
        .field(session)
        .field(&key.key_id)
        .field(&key.public_key)
        .field(&key.valid_for_ms.to_be_bytes())
        .0
}

/// The place that the material of envelope `sequence` is sealed for.
pub(crate) fn transport_binding(route: &Route, reference: &MaterialReference, sequence: u64) -> TransportBinding {
    TransportBinding {
        account: reference.account,
        key_id: reference.key_id,
        material_id: reference.material_id,
        from: route.from.clone(),
        to: route.to.clone(),
        epoch: reference.epoch,
        sequence,
    }
}

/// The place that the secret of envelope `sequence` is sealed for.
pub(crate) fn secret_transport(route: &Route, reference: &SecretReference, sequence: u64) -> SecretTransport {
    SecretTransport { place: reference.place(), from: route.from.clone(), to: route.to.clone(), sequence }
}

/// The place that a Region keeps the material in.
pub(crate) fn material_binding(reference: &MaterialReference) -> MaterialBinding {
    MaterialBinding { account: reference.account, key_id: reference.key_id, material_id: reference.material_id }
}

impl wire::SealedMaterial {
    /// Material on the wire.
    pub(crate) fn new(transport_key_id: Bytes, sealed: SealedEnvelope) -> Self {
        Self {
            transport_key_id,
            encapsulated_key: sealed.encapsulated_key.into(),
            ciphertext: sealed.ciphertext.into(),
        }
    }

    /// The part that HPKE made.
    pub(crate) fn to_sealed_envelope(&self) -> SealedEnvelope {
        SealedEnvelope { encapsulated_key: self.encapsulated_key.to_vec(), ciphertext: self.ciphertext.to_vec() }
    }
}

impl wire::Envelope {
    /// When the message was committed by its sender.
    pub(crate) fn committed_at(&self) -> Timestamp {
        Timestamp::from_millis(self.committed_at_ms)
    }
}

fn envelope_text(route: &Route, envelope: &wire::Envelope) -> Vec<u8> {
    let text = SignedText::on(route)
        .field(&envelope.sequence.to_be_bytes())
        .field(&envelope.committed_at_ms.to_be_bytes())
        .field(&envelope.message);
    match &envelope.sealed {
        None => text.field(&[0]).0,
        Some(sealed) => {
            text.field(&[1]).field(&sealed.transport_key_id).field(&sealed.encapsulated_key).field(&sealed.ciphertext).0
        }
    }
}

/// Fields one after the other, each preceded by its length (8 bytes, big-endian).
struct SignedText(Vec<u8>);

impl SignedText {
    fn on(route: &Route) -> Self {
        Self(Vec::with_capacity(2048))
            .field(route.cluster_id.as_bytes())
            .field(route.from.as_str().as_bytes())
            .field(route.to.as_str().as_bytes())
    }

    fn field(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use meridian_crypto::random::random_bytes;
    use meridian_model::KeyId;

    use super::*;

    fn region(name: &str) -> Region {
        name.parse().expect("valid")
    }

    fn route() -> Route {
        Route { cluster_id: "c".into(), from: region("us-east-1"), to: region("us-west-2") }
    }

    fn row() -> OutboxRow {
        OutboxRow {
            to: region("us-west-2"),
            sequence: 7,
            committed_at: Timestamp::from_millis(1_000),
            message: Message::ReplicaCreated(KeyId::multi_region([3; 16])),
        }
    }

    #[test]
    fn a_message_survives_its_encoding_and_nothing_else_is_one() {
        let message = row().message;
        let bytes = encode_message(&message);
        assert_eq!(decode_message(&bytes).expect("own bytes"), message);
        assert!(matches!(decode_message(&[]), Err(MessageError::Empty)));
        assert!(matches!(decode_message(&[9, 1, 2]), Err(MessageError::UnknownVersion(9))));
        assert!(matches!(decode_message(&[MESSAGE_FORMAT, 250]), Err(MessageError::Damaged(_))));
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(decode_message(&longer), Err(MessageError::Damaged(_))));
    }

    #[test]
    fn whatever_is_changed_in_an_envelope_or_its_route_breaks_the_signature() {
        let signer = RegionSigner::generate().expect("random");
        let sealed = wire::SealedMaterial {
            transport_key_id: random_bytes::<16>().expect("random").to_vec().into(),
            encapsulated_key: vec![1; 32].into(),
            ciphertext: vec![2; 49].into(),
        };
        let envelope = signed_envelope(&signer, &route(), &row(), Some(sealed)).expect("signed");
        let verifies =
            |route: &Route, envelope: &wire::Envelope| verify_envelope(signer.verifier(), route, envelope).is_ok();
        assert!(verifies(&route(), &envelope));

        let changes: [fn(&mut wire::Envelope); 8] = [
            |envelope| envelope.sequence += 1,
            |envelope| envelope.committed_at_ms += 1,
            |envelope| envelope.message = encode_message(&Message::ReplicaDeleted(KeyId::multi_region([3; 16]))),
            |envelope| envelope.sealed = None,
            |envelope| envelope.sealed.as_mut().expect("there").transport_key_id = vec![0; 16].into(),
            |envelope| envelope.sealed.as_mut().expect("there").encapsulated_key = vec![0; 32].into(),
            |envelope| envelope.sealed.as_mut().expect("there").ciphertext = vec![0; 49].into(),
            |envelope| envelope.signature = vec![0; 64].into(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = envelope.clone();
            change(&mut other);
            assert!(!verifies(&route(), &other), "change {number}");
        }
        let routes = [
            Route { cluster_id: "d".into(), ..route() },
            Route { from: region("eu-west-1"), ..route() },
            Route { to: region("eu-west-1"), ..route() },
        ];
        for other in &routes {
            assert!(!verifies(other, &envelope), "{other:?}");
        }
    }
}
