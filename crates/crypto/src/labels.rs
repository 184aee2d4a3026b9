//! Every domain-separation label, in one place, so that no two purposes can share one.
//!
//! A label is part of a format: changing its text breaks whatever was made under it. New meanings get new labels.

/// What a signature of a Region is about. A signature made for one purpose verifies for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureDomain(&'static str);

impl SignatureDomain {
    /// A transport public key that a Region publishes for others to seal key material to.
    pub const TRANSPORT_KEY: Self = Self("meridian signature: transport public key v1");
    /// Key material sealed for another Region.
    pub const MATERIAL_ENVELOPE: Self = Self("meridian signature: key material envelope v1");
    /// A message on a replication link.
    pub const LINK_MESSAGE: Self = Self("meridian signature: link message v1");

    /// The text of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// Key derivation: the AES-256-GCM key of one message. With its salt it fits one block of SHA-256.
pub(crate) const MESSAGE_KEY: &[u8] = b"meridian message key v1";
/// Key derivation: the commitment of one message to its key material.
pub(crate) const MESSAGE_COMMITMENT: &[u8] = b"meridian commitment v1";
/// Key derivation: the SM4-GCM key of one message.
pub(crate) const SM4_MESSAGE_KEY: &[u8] = b"meridian SM4 message key v1";
/// Key derivation: the commitment of one message to its SM4 key material.
pub(crate) const SM4_MESSAGE_COMMITMENT: &[u8] = b"meridian SM4 commitment v1";
/// Key derivation: the key under which a root key wraps domain keys.
pub(crate) const DOMAIN_KEY_WRAPPING: &[u8] = b"meridian domain key wrapping v1";

/// Key derivation: the value by which a kept root key shows that it is undamaged.
pub(crate) const ROOT_KEY_CHECK: &[u8] = b"meridian root key check v1";
/// Key derivation, under imported key material: its id.
pub(crate) const IMPORTED_MATERIAL_ID: &[u8] = b"meridian imported key material id v1";

/// Key derivation: the key under which a Region authenticates its grant tokens.
pub(crate) const GRANT_TOKEN_KEY: &[u8] = b"meridian grant token key v1";
/// Authenticated text: a grant token.
pub(crate) const GRANT_TOKEN: &[u8] = b"meridian grant token v1";

/// Associated data: a domain key wrapped by a root key.
pub(crate) const WRAPPED_DOMAIN_KEY: &[u8] = b"meridian wrapped domain key v1";
/// Associated data: key material sealed by a domain key.
pub(crate) const SEALED_MATERIAL: &[u8] = b"meridian sealed key material v1";
/// Associated data: the private half of a wrapping key inside of an import token.
pub(crate) const IMPORT_TOKEN: &[u8] = b"meridian import token v1";
/// Associated data: a secret of an identity sealed by a domain key.
pub(crate) const SEALED_SECRET: &[u8] = b"meridian sealed identity secret v1";
/// Associated data: a session token.
pub(crate) const SESSION_TOKEN: &[u8] = b"meridian session token v1";
/// HPKE info and associated data: a secret of an identity on its way to another Region.
pub(crate) const SECRET_TRANSPORT: &[u8] = b"meridian identity secret transport v1";
/// HPKE info and associated data: key material on its way to another Region.
pub(crate) const TRANSPORT: &[u8] = b"meridian key material transport v1";
/// Signed text: an envelope together with its binding.
pub(crate) const SIGNED_ENVELOPE: &[u8] = b"meridian signed envelope v1";
