//! A KMS key in use: permitted, in a usable state, and of the usage and algorithm that the operation needs.
//!
//! The order of checks lies here: key, permission, key state, usage, algorithm.

use std::sync::Arc;

use meridian_crypto::algorithms::{Algorithms, algorithms_for};
use meridian_crypto::{KeyUseError, PreparedKey};
use meridian_model::{ErrorCode, KeyUsageType, Response, ServiceError, WireEnum};
use meridian_policy::{Action, Allowed};
use meridian_state::key_states::Requirement;
use meridian_state::{KeyRecord, RegionState};

use crate::access::{Access, Forms};
use crate::key_ring::KeyRing;
use crate::keys::validation;
use crate::work::{Work, is_slow};

/// A key that the caller may use for `A`.
pub(crate) struct KeyInUse<A> {
    pub(crate) record: Arc<KeyRecord>,
    pub(crate) allowed: Allowed<A>,
    pub(crate) state: Arc<RegionState>,
    pub(crate) ring: Arc<KeyRing>,
}

impl<A: Action> KeyInUse<A> {
    /// The key that `identifier` names, if it may be used and was made for `usage`.
    pub(crate) fn find(
        access: &mut Access<'_>,
        ring: &Arc<KeyRing>,
        identifier: &str,
        usage: KeyUsageType,
    ) -> Result<Self, ServiceError> {
        let (record, allowed) = access.key_in_state::<A>(identifier, Forms::KeyOrAlias, Requirement::Usable)?;
        Self::of(access, ring, record, allowed, usage)
    }

    /// A key that is permitted and in a usable state already.
    pub(crate) fn of(
        access: &Access<'_>,
        ring: &Arc<KeyRing>,
        record: Arc<KeyRecord>,
        allowed: Allowed<A>,
        usage: KeyUsageType,
    ) -> Result<Self, ServiceError> {
        let key = Self { record, allowed, state: Arc::clone(&access.state), ring: Arc::clone(ring) };
        if key.record.usage == usage { Ok(key) } else { Err(key.wrong_usage()) }
    }

    /// The key's ARN, as answers name it.
    pub(crate) fn arn(&self) -> String {
        self.allowed.key().to_string()
    }

    /// What the key performs.
    pub(crate) fn algorithms(&self) -> Algorithms {
        algorithms_for(self.record.spec, self.record.usage)
    }

    /// Refuses an algorithm that is not among those of the key.
    pub(crate) fn require<T: WireEnum + PartialEq>(&self, offered: &[T], algorithm: T) -> Result<(), ServiceError> {
        if offered.contains(&algorithm) { Ok(()) } else { Err(self.wrong_algorithm(algorithm.as_str())) }
    }

    /// The key, ready for its usage; opened and parsed first if that was not done yet.
    pub(crate) fn prepared(&self) -> Result<Arc<PreparedKey>, ServiceError> {
        self.ring.prepared(&self.allowed, &self.state, &self.record)
    }

    /// Whether a private operation of the key takes long.
    pub(crate) fn is_slow(&self) -> bool {
        is_slow(self.record.spec)
    }

    /// Whether a public operation takes long, which it does not once the key is parsed.
    pub(crate) fn is_slow_in_public(&self) -> bool {
        self.is_slow() && !self.ring.is_prepared(&self.record)
    }

    /// What a client is told when the key does not do what was asked of it.
    pub(crate) fn refusal(&self, error: KeyUseError) -> ServiceError {
        match error {
            KeyUseError::WrongAlgorithm { algorithm, .. } => self.wrong_algorithm(algorithm),
            KeyUseError::MessageType { algorithm, message_type } => {
                validation(format!("Message type {message_type} is incompatible with algorithm {algorithm}."))
            }
            KeyUseError::DigestLength { algorithm, .. } => {
                validation(format!("Digest is invalid length for algorithm {algorithm}."))
            }
            KeyUseError::PlaintextTooLong { max, .. } => {
                validation(format!("A key of spec {} cannot encrypt data larger than {max} bytes.", self.record.spec))
            }
            KeyUseError::InvalidPublicKey => {
                let spec = self.record.spec;
                validation(format!("The public key is not a valid public key of the key spec {spec}."))
            }
            // The service says nothing about what is wrong with these.
            KeyUseError::InvalidSignature => ServiceError::new(ErrorCode::KmsInvalidSignature, ""),
            KeyUseError::InvalidMac => ServiceError::new(ErrorCode::KmsInvalidMac, ""),
            KeyUseError::InvalidCiphertext => ServiceError::new(ErrorCode::InvalidCiphertext, ""),
            KeyUseError::Engine => {
                tracing::error!(key = %self.allowed.key(), "the cryptographic engine failed");
                ServiceError::internal()
            }
        }
    }

    fn wrong_usage(&self) -> ServiceError {
        let operation = match A::NAME {
            "ReEncryptFrom" | "ReEncryptTo" => "ReEncrypt",
            name => name,
        };
        let (key, usage) = (self.allowed.key(), self.record.usage);
        let message = format!("{key} key usage is {usage} which is not valid for {operation}.");
        ServiceError::new(ErrorCode::InvalidKeyUsage, message)
    }

    fn wrong_algorithm(&self, algorithm: &str) -> ServiceError {
        let message = format!("Algorithm {algorithm} is incompatible with key spec {}.", self.record.spec);
        ServiceError::new(ErrorCode::InvalidKeyUsage, message)
    }
}

impl<A: Action + Send + 'static> KeyInUse<A> {
    /// Does something with the private half of the key.
    pub(crate) fn in_private<R: Into<Response>>(
        self,
        job: impl FnOnce(&Self, &PreparedKey) -> Result<R, ServiceError> + Send + 'static,
    ) -> Result<Work, ServiceError> {
        Work::of(self.is_slow(), move || job(&self, &*self.prepared()?))
    }

    /// Does something for which the public half is enough.
    pub(crate) fn in_public<R: Into<Response>>(
        self,
        job: impl FnOnce(&Self, &PreparedKey) -> Result<R, ServiceError> + Send + 'static,
    ) -> Result<Work, ServiceError> {
        Work::of(self.is_slow_in_public(), move || job(&self, &*self.prepared()?))
    }
}
