//! Cryptography of the service: secrets in memory, keys under keys, the ciphertext format, transport between Regions.
//!
//! This is the only crate that names algorithms. It does no I/O and reads no clock; randomness comes from the operating
//! system's generator through [`random`] alone. What it leaves out: who may use a key (`policy`), which key is usable
//! (`state`), and where a root key is kept (`storage`).
//!
//! | module | what it holds |
//! |---|---|
//! | [`secret`] | bytes that nobody may print, copy, compare or serialise; wiped when dropped |
//! | [`random`] | the operating system's generator |
//! | [`aead`], [`mac`], [`kdf`] | AES-256-GCM and SM4-GCM, HMAC-SHA-256, key derivation of NIST SP 800-108 |
//! | [`hierarchy`] | root key, domain keys |
//! | [`material`] | the secret under a KMS key of any spec: generated, imported, encoded |
//! | [`import`] | wrapping keys, import tokens, and how imported material is unwrapped |
//! | [`algorithms`] | which usages and algorithms each key spec has |
//! | [`prepared`], [`public_key`] | keys ready to sign, verify, decrypt, authenticate, agree, decapsulate |
//! | [`data_key_pair`] | key pairs that are handed out |
//! | [`key_errors`] | why key material is refused, why a key does not do what it was asked for |
//! | [`sealed`] | the forms in which key bytes may be stored |
//! | [`ciphertext`] | the self-describing ciphertext blob of symmetric encryption keys |
//! | [`grant_token`] | tokens that name a grant and cannot be forged |
//! | [`identity_secret`], [`session_token`] | secrets of access keys; tokens of temporary ones |
//! | [`transport`] | key material on its way to another Region (HPKE with X-Wing) |
//! | [`region_identity`] | the signature key of a Region |
//! | [`labels`] | every domain-separation label, in one place |
//! | [`attestation`] | documents that say which key an answer is to be sealed to, verified |
//! | [`process`] | keeping secrets out of core dumps |

pub mod aead;
pub mod algorithms;
mod asymmetric;
pub mod attestation;
mod canonical;
pub mod ciphertext;
pub mod data_key_pair;
pub mod grant_token;
pub mod hierarchy;
mod hmac_key;
pub mod identity_secret;
pub mod import;
pub mod kdf;
pub mod key_errors;
pub mod labels;
#[allow(unsafe_code)] // the one module of the workspace that needs it; see its opening comment
mod locked;
pub mod mac;
pub mod material;
pub mod prepared;
pub mod process;
pub mod public_key;
pub mod random;
mod recipient;
pub mod region_identity;
pub mod sealed;
pub mod secret;
pub mod session_token;
pub mod transport;

pub use attestation::{AttestationError, AttestationRoots, AttestedRecipient};
pub use ciphertext::{CiphertextHeader, EncryptError, InvalidCiphertext, MaterialCipher};
pub use data_key_pair::DataKeyPair;
pub use grant_token::{GrantToken, GrantTokenKey};
pub use hierarchy::{DomainKey, MaterialBinding, RootKey, UnsealError};
pub use identity_secret::{SecretPlace, SecretTransport};
pub use import::{ImportParameters, ImportToken, InvalidImportToken, NotUnwrapped, WrappingKey};
pub use key_errors::{KeyUseError, MaterialError};
pub use locked::{LockingStatus, locking_status};
pub use material::{KeyMaterial, SpecMaterial};
pub use prepared::{Encapsulated, PreparedKey};
pub use public_key::PublicKey;
pub use random::RandomError;
pub use region_identity::{RegionKeyError, RegionSigner, RegionVerifier, SignatureRefused};
pub use sealed::{DomainKeyId, SealedMaterial, SealedSecret, WrappedDomainKey};
pub use secret::{Secret, SecretBytes};
pub use session_token::{InvalidSessionToken, SealTokenError, SessionKey, SessionKeyId, SessionToken};
pub use transport::{SealedEnvelope, TransportBinding, TransportError, TransportKeyPair, TransportPublicKey};
