//! The transport keys of one session: the receiver's pairs, which live briefly, and the sender's view of the newest.
//!
//! The receiver makes a key when a session begins and another one every minute or 1,000 envelopes. A replaced key opens
//! what is still on its way for a grace period and is then wiped, so a recorded envelope is useless from then on.
//!
//! Always true: a key belongs to one session; no key is ever written anywhere.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use meridian_crypto::labels::SignatureDomain;
use meridian_crypto::random::random_bytes;
use meridian_crypto::{
    RandomError, RegionSigner, RegionVerifier, SecretBytes, SecretTransport, SignatureRefused, TransportBinding,
    TransportKeyPair, TransportPublicKey,
};

use crate::envelope::{Route, transport_key_text};
use crate::wire;

/// How long transport keys live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportKeyLimits {
    /// A key of this age is replaced.
    pub lifetime: Duration,
    /// A key that has opened so many envelopes is replaced.
    pub envelopes: u32,
    /// A replaced key is wiped after this time.
    pub grace: Duration,
}

impl Default for TransportKeyLimits {
    /// One minute, 1,000 envelopes, 30 seconds.
    fn default() -> Self {
        Self { lifetime: Duration::from_mins(1), envelopes: 1_000, grace: Duration::from_secs(30) }
    }
}

/// Why material on the wire was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// The key was never offered in this session, or is wiped.
    UnknownKey,
    /// Sealed for another place, or damaged.
    NotAuthentic,
}

/// The receiver's keys of one session, newest last.
#[derive(Debug)]
pub(crate) struct TransportKeys {
    limits: TransportKeyLimits,
    keys: VecDeque<HeldKey>,
}

#[derive(Debug)]
struct HeldKey {
    id: [u8; 16],
    pair: TransportKeyPair,
    made_at: Instant,
    opened: u32,
    wiped_at: Option<Instant>,
}

impl TransportKeys {
    /// The keys of a session that begins `now`.
    pub(crate) fn new(limits: TransportKeyLimits, now: Instant) -> Result<Self, RandomError> {
        let mut keys = Self { limits, keys: VecDeque::new() };
        keys.add(now)?;
        Ok(keys)
    }

    /// The newest key, signed for the session.
    pub(crate) fn offer(
        &self,
        signer: &RegionSigner,
        route: &Route,
        session: &[u8],
    ) -> Result<wire::TransportKey, SignatureRefused> {
        let newest = self.newest();
        let valid_for = self.limits.lifetime + self.limits.grace;
        let mut key = wire::TransportKey {
            key_id: newest.id.to_vec().into(),
            public_key: newest.pair.public().as_bytes().to_vec().into(),
            valid_for_ms: u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX),
            signature: Bytes::new(),
        };
        let text = transport_key_text(route, session, &key);
        key.signature = signer.sign(SignatureDomain::TRANSPORT_KEY, &text)?.into();
        Ok(key)
    }

    /// Wipes what is past its grace and replaces the newest key if it is used up; tells whether it did the latter.
    pub(crate) fn refresh(&mut self, now: Instant) -> Result<bool, RandomError> {
        self.keys.retain(|key| key.wiped_at.is_none_or(|at| at > now));
        let newest = self.newest();
        let used_up = now >= newest.made_at + self.limits.lifetime || newest.opened >= self.limits.envelopes;
        if !used_up {
            return Ok(false);
        }
        self.add(now)?;
        Ok(true)
    }

    /// When [`TransportKeys::refresh`] has something to do at the latest.
    pub(crate) fn next_refresh(&self) -> Instant {
        let replaced_at = self.newest().made_at + self.limits.lifetime;
        self.keys.iter().filter_map(|key| key.wiped_at).fold(replaced_at, Instant::min)
    }

    /// Opens material that was sealed to one of the keys for exactly `binding`.
    pub(crate) fn open(
        &mut self,
        sealed: &wire::SealedMaterial,
        binding: &TransportBinding,
    ) -> Result<SecretBytes, NotOpened> {
        let pair = self.used(sealed)?;
        pair.open(&sealed.to_sealed_envelope(), binding).map_err(|_| NotOpened::NotAuthentic)
    }

    /// As [`TransportKeys::open`], for a secret of an identity.
    pub(crate) fn open_secret(
        &mut self,
        sealed: &wire::SealedMaterial,
        binding: &SecretTransport,
    ) -> Result<SecretBytes, NotOpened> {
        let pair = self.used(sealed)?;
        pair.open_secret(&sealed.to_sealed_envelope(), binding).map_err(|_| NotOpened::NotAuthentic)
    }

    /// The key that was used, which is counted.
    fn used(&mut self, sealed: &wire::SealedMaterial) -> Result<&TransportKeyPair, NotOpened> {
        let id = &sealed.transport_key_id[..];
        let key = self.keys.iter_mut().find(|key| key.id == id).ok_or(NotOpened::UnknownKey)?;
        key.opened = key.opened.saturating_add(1);
        Ok(&key.pair)
    }

    fn add(&mut self, now: Instant) -> Result<(), RandomError> {
        let added = HeldKey {
            id: random_bytes()?,
            pair: TransportKeyPair::generate()?,
            made_at: now,
            opened: 0,
            wiped_at: None,
        };
        if let Some(replaced) = self.keys.back_mut() {
            replaced.wiped_at = Some(now + self.limits.grace);
        }
        self.keys.push_back(added);
        if self.keys.len() > HELD_KEYS_MAX {
            self.keys.pop_front();
        }
        Ok(())
    }

    fn newest(&self) -> &HeldKey {
        self.keys.back().expect("there is one from the beginning, and the newest is never wiped")
    }
}

/// The newest key that the other Region has offered.
#[derive(Debug)]
pub(crate) struct OfferedKey {
    pub(crate) id: Bytes,
    pub(crate) public: TransportPublicKey,
    usable_until: Instant,
}

impl OfferedKey {
    /// The key in `offer`, if the receiving Region signed it for this session.
    pub(crate) fn verified(
        offer: &wire::TransportKey,
        verifier: &RegionVerifier,
        route: &Route,
        session: &[u8],
        now: Instant,
    ) -> Option<Self> {
        let text = transport_key_text(route, session, offer);
        verifier.verify(SignatureDomain::TRANSPORT_KEY, &text, &offer.signature).ok()?;
        let valid_for = Duration::from_millis(offer.valid_for_ms).min(VALIDITY_MAX);
        Some(Self {
            id: offer.key_id.clone(),
            public: TransportPublicKey::from_bytes(&offer.public_key).ok()?,
            usable_until: now + valid_for,
        })
    }

    /// Whether the other Region may still hold the private half.
    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        now < self.usable_until
    }
}

/// Each key holds a page of locked memory; at one new key per 1,000 envelopes this is never reached within a grace period
/// at rates that a link carries, and if it is, the session begins anew.
const HELD_KEYS_MAX: usize = 16;

/// No offer is believed for longer, whatever the other side says.
const VALIDITY_MAX: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use meridian_model::{AccountId, KeyId, KeyMaterialId};

    use super::*;

    const LIMITS: TransportKeyLimits =
        TransportKeyLimits { lifetime: Duration::from_mins(1), envelopes: 3, grace: Duration::from_secs(30) };

    fn route() -> Route {
        Route {
            cluster_id: "c".into(),
            from: "us-east-1".parse().expect("valid"),
            to: "us-west-2".parse().expect("valid"),
        }
    }

    fn binding(sequence: u64) -> TransportBinding {
        TransportBinding {
            account: "000000000000".parse::<AccountId>().expect("valid"),
            key_id: KeyId::multi_region([1; 16]),
            material_id: KeyMaterialId::from_bytes([2; 32]),
            from: route().from,
            to: route().to,
            epoch: 1,
            sequence,
        }
    }

    fn seal(offered: &OfferedKey, sequence: u64) -> wire::SealedMaterial {
        let secret = SecretBytes::take(vec![7; 33]);
        wire::SealedMaterial::new(offered.id.clone(), offered.public.seal(&binding(sequence), &secret).expect("sealed"))
    }

    struct Session {
        signer: RegionSigner,
        keys: TransportKeys,
        start: Instant,
    }

    impl Session {
        fn new() -> Self {
            let start = Instant::now();
            let keys = TransportKeys::new(LIMITS, start).expect("random");
            Self { signer: RegionSigner::generate().expect("random"), keys, start }
        }

        fn offered(&self, now: Instant) -> OfferedKey {
            let offer = self.keys.offer(&self.signer, &route(), b"session").expect("signed");
            OfferedKey::verified(&offer, self.signer.verifier(), &route(), b"session", now).expect("verifies")
        }
    }

    #[test]
    fn a_replaced_key_opens_until_its_grace_ends() {
        let mut session = Session::new();
        let first = session.offered(session.start);
        let replaced_at = session.start + LIMITS.lifetime;
        assert_eq!(session.keys.next_refresh(), replaced_at);
        assert!(
            !session.keys.refresh(replaced_at.checked_sub(Duration::from_millis(1)).expect("later")).expect("random")
        );
        assert!(session.keys.refresh(replaced_at).expect("random"));
        assert_ne!(session.offered(replaced_at).id, first.id);

        let sealed = seal(&first, 1);
        assert!(session.keys.open(&sealed, &binding(1)).is_ok());
        assert_eq!(session.keys.next_refresh(), replaced_at + LIMITS.grace);
        assert!(!session.keys.refresh(replaced_at + LIMITS.grace).expect("random"));
        assert_eq!(session.keys.open(&sealed, &binding(1)).err(), Some(NotOpened::UnknownKey));
    }

    #[test]
    fn a_key_is_replaced_after_its_number_of_envelopes() {
        let mut session = Session::new();
        let offered = session.offered(session.start);
        for sequence in 1..=3 {
            assert!(!session.keys.refresh(session.start).expect("random"));
            session.keys.open(&seal(&offered, sequence), &binding(sequence)).expect("opens");
        }
        assert!(session.keys.refresh(session.start).expect("random"));
    }

    #[test]
    fn an_envelope_opens_in_its_own_place_only() {
        let mut session = Session::new();
        let sealed = seal(&session.offered(session.start), 5);
        let elsewhere = [
            TransportBinding { sequence: 6, ..binding(5) },
            TransportBinding { epoch: 2, ..binding(5) },
            TransportBinding { to: "eu-west-1".parse().expect("valid"), ..binding(5) },
            TransportBinding { key_id: KeyId::multi_region([9; 16]), ..binding(5) },
            TransportBinding { material_id: KeyMaterialId::from_bytes([9; 32]), ..binding(5) },
        ];
        for other in &elsewhere {
            assert_eq!(session.keys.open(&sealed, other).err(), Some(NotOpened::NotAuthentic), "{other:?}");
        }
        assert_eq!(session.keys.open(&sealed, &binding(5)).expect("opens").expose(), [7; 33]);
    }

    #[test]
    fn an_offer_counts_for_its_session_and_its_time_only() {
        let session = Session::new();
        let offer = session.keys.offer(&session.signer, &route(), b"session").expect("signed");
        let verified = |offer: &wire::TransportKey, id: &[u8]| {
            OfferedKey::verified(offer, session.signer.verifier(), &route(), id, session.start)
        };
        assert!(verified(&offer, b"another").is_none());
        assert!(verified(&wire::TransportKey { valid_for_ms: 1 << 40, ..offer.clone() }, b"session").is_none());
        let key = verified(&offer, b"session").expect("verifies");
        assert!(key.is_usable(session.start + Duration::from_secs(89)));
        assert!(!key.is_usable(session.start + Duration::from_secs(90)));
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let mut session = Session::new();
        for minute in 1..100u32 {
            let keep_all = TransportKeyLimits { grace: Duration::from_secs(1 << 20), ..LIMITS };
            session.keys.limits = keep_all;
            session.keys.refresh(session.start + LIMITS.lifetime * minute).expect("random");
        }
        assert_eq!(session.keys.keys.len(), HELD_KEYS_MAX);
    }
}
