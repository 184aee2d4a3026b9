//! Keys under keys: the root key wraps domain keys, a domain key seals key material.
//!
//! The root key never enters the Raft log; [`WrappedDomainKey`] and [`SealedMaterial`] do, and stand in snapshots and
//! backups. Where a root key is kept is the business of `storage`, when domain keys are rotated that of `service`.
//!
//! Always true: what is wrapped or sealed opens only in its own place. The associated data names the Region and domain
//! key, or the account, KMS key, key material and domain key, so that nothing can be put where something else was.

use meridian_model::{AccountId, KeyId, KeyMaterialId, Region, Timestamp};

use crate::aead::{AeadKey, KEY_LEN, NONCE_LEN, NotAuthentic};
use crate::canonical::Canonical;
use crate::grant_token::GrantTokenKey;
use crate::mac::MacKey;
use crate::material::KeyMaterial;
use crate::random::{self, RandomError};
use crate::sealed::{DomainKeyId, SealedMaterial, WrappedDomainKey};
use crate::secret::{AEAD_STACK, Secret, SecretBytes, on_wiped_stack};
use crate::{kdf, labels};

/// Something wrapped or sealed does not open here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// Damaged, sealed by another key, or put in another place than it was sealed for.
    #[error("not sealed by this key for this place, or damaged")]
    NotAuthentic,
    /// The key material was sealed by a domain key that has another id.
    #[error("sealed by domain key {sealed_by}, not by {opened_by}")]
    OtherDomainKey {
        /// The domain key named by the sealed material.
        sealed_by: DomainKeyId,
        /// The domain key it was to be opened with.
        opened_by: DomainKeyId,
    },
    /// Authentic, but of a kind that this version does not know.
    #[error("key material of kind {kind} and {len} bytes is not known to this version")]
    UnknownMaterial {
        /// The kind byte.
        kind: u8,
        /// Length of the material in bytes.
        len: usize,
    },
}

impl From<NotAuthentic> for UnsealError {
    fn from(_: NotAuthentic) -> Self {
        Self::NotAuthentic
    }
}

/// The key of a Region that is kept outside of Raft and wraps the Region's domain keys.
#[derive(Debug)]
pub struct RootKey(Secret<KEY_LEN>);

impl RootKey {
    /// A new root key.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn generate() -> Result<Self, RandomError> {
        Secret::random().map(Self)
    }

    /// The root key that a seal has kept.
    #[must_use]
    pub const fn from_seal(bytes: Secret<KEY_LEN>) -> Self {
        Self(bytes)
    }

    /// The bytes for a seal to keep. Whoever holds them can open everything of the Region.
    #[must_use]
    pub const fn expose_to_seal(&self) -> &Secret<KEY_LEN> {
        &self.0
    }

    /// A value that only this root key has. A seal keeps it beside the key to notice damage, and nodes compare it to
    /// notice that they hold different root keys; it tells nothing about the key itself.
    #[must_use]
    pub fn check_value(&self) -> [u8; 32] {
        *kdf::derive(&MacKey::new(self.0.expose()), labels::ROOT_KEY_CHECK, &[])
    }

    /// The key that authenticates the grant tokens of `region`; the same on each of its nodes.
    #[must_use]
    pub fn grant_token_key(&self, region: &Region) -> GrantTokenKey {
        let root = MacKey::new(self.0.expose());
        GrantTokenKey::new(&kdf::derive(&root, labels::GRANT_TOKEN_KEY, region.as_str().as_bytes()))
    }

    /// Wraps `key` for the Raft log of `region`.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn wrap(
        &self,
        key: &DomainKey,
        region: &Region,
        created_at: Timestamp,
    ) -> Result<WrappedDomainKey, RandomError> {
        let nonce = random::random_bytes()?;
        let bound = domain_key_binding(key.id, region, created_at);
        let seal = || self.wrapping_key().seal(&nonce, &bound, key.key.expose());
        let ciphertext = on_wiped_stack::<AEAD_STACK, _>(seal);
        Ok(WrappedDomainKey { id: key.id, created_at, nonce, ciphertext })
    }

    /// Opens a domain key that [`RootKey::wrap`] wrapped for the same Region.
    ///
    /// # Errors
    /// [`UnsealError::NotAuthentic`] if any part of it differs, or another root key or Region wrapped it.
    pub fn unwrap(&self, wrapped: &WrappedDomainKey, region: &Region) -> Result<DomainKey, UnsealError> {
        let bound = domain_key_binding(wrapped.id, region, wrapped.created_at);
        let open = || self.wrapping_key().open(&wrapped.nonce, &bound, &wrapped.ciphertext);
        let opened = on_wiped_stack::<AEAD_STACK, _>(open)?;
        let bytes: &[u8; KEY_LEN] = opened.expose().try_into().map_err(|_| UnsealError::NotAuthentic)?;
        Ok(DomainKey { id: wrapped.id, key: Secret::init(|key| key.copy_from_slice(bytes)) })
    }

    /// The root key itself encrypts nothing: what it is used for gets a key of its own.
    fn wrapping_key(&self) -> AeadKey {
        AeadKey::new(&kdf::derive(&MacKey::new(self.0.expose()), labels::DOMAIN_KEY_WRAPPING, &[]))
    }
}

/// A wrapping key of a Region: seals key material.
///
/// Nonces are random, so one domain key may seal 2^32 times; a new one every day keeps far below that.
#[derive(Debug)]
pub struct DomainKey {
    id: DomainKeyId,
    key: Secret<KEY_LEN>,
}

impl DomainKey {
    /// A new domain key with a random id.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self { id: DomainKeyId(random::random_bytes()?), key: Secret::random()? })
    }

    /// The id that sealed material will name.
    #[must_use]
    pub const fn id(&self) -> DomainKeyId {
        self.id
    }

    /// Seals `material` for the one place that `binding` names.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn seal(&self, material: &KeyMaterial, binding: &MaterialBinding) -> Result<SealedMaterial, RandomError> {
        let (nonce, ciphertext) = self.seal_bytes(&binding.sealed_by(self.id), &material.encode())?;
        Ok(SealedMaterial { domain_key_id: self.id, nonce, ciphertext })
    }

    /// Opens key material that [`DomainKey::seal`] sealed for the same place.
    ///
    /// # Errors
    /// If another domain key sealed it, any part of it or of `binding` differs, or its kind is not known.
    pub fn open(&self, sealed: &SealedMaterial, binding: &MaterialBinding) -> Result<KeyMaterial, UnsealError> {
        if sealed.domain_key_id != self.id {
            return Err(UnsealError::OtherDomainKey { sealed_by: sealed.domain_key_id, opened_by: self.id });
        }
        KeyMaterial::decode(&self.open_bytes(&binding.sealed_by(self.id), &sealed.nonce, &sealed.ciphertext)?)
    }

    /// Seals bytes in the place that `bound` describes; `bound` begins with the label of their kind.
    pub(crate) fn seal_bytes(
        &self,
        bound: &[u8],
        plaintext: &SecretBytes,
    ) -> Result<([u8; NONCE_LEN], Vec<u8>), RandomError> {
        let nonce = random::random_bytes()?;
        let seal = || AeadKey::new(self.key.expose()).seal(&nonce, bound, plaintext.expose());
        let ciphertext = on_wiped_stack::<AEAD_STACK, _>(seal);
        Ok((nonce, ciphertext))
    }

    /// The inverse of [`DomainKey::seal_bytes`].
    pub(crate) fn open_bytes(
        &self,
        bound: &[u8],
        nonce: &[u8; NONCE_LEN],
        ciphertext: &[u8],
    ) -> Result<SecretBytes, NotAuthentic> {
        on_wiped_stack::<AEAD_STACK, _>(|| AeadKey::new(self.key.expose()).open(nonce, bound, ciphertext))
    }
}

/// The one place that sealed key material belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaterialBinding {
    /// Account that owns the KMS key.
    pub account: AccountId,
    /// The KMS key.
    pub key_id: KeyId,
    /// Which of its key materials.
    pub material_id: KeyMaterialId,
}

impl MaterialBinding {
    fn sealed_by(&self, domain_key_id: DomainKeyId) -> Vec<u8> {
        Canonical::labelled(labels::SEALED_MATERIAL)
            .field(self.account.to_string().as_bytes())
            .field(&self.key_id.to_bytes())
            .field(self.material_id.as_bytes())
            .field(&domain_key_id.0)
            .finish()
    }
}

fn domain_key_binding(id: DomainKeyId, region: &Region, created_at: Timestamp) -> Vec<u8> {
    Canonical::labelled(labels::WRAPPED_DOMAIN_KEY)
        .field(region.as_str().as_bytes())
        .field(&id.0)
        .field(&created_at.as_millis().to_be_bytes())
        .finish()
}
