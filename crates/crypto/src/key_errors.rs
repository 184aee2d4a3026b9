//! Why key material is not made or taken, and why a key does not do what it was asked for.

use meridian_model::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};

use crate::random::RandomError;

/// Key material cannot be made, taken or prepared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// The spec is a value of the wire, but no such keys are offered.
    #[error("keys of spec {0} are not offered")]
    UnsupportedSpec(KeySpec),
    /// A key of this spec cannot be used for that.
    #[error("a key of spec {spec} cannot be used for {usage}")]
    WrongUsage {
        /// Spec of the material.
        spec: KeySpec,
        /// The usage asked for.
        usage: KeyUsageType,
    },
    /// The bytes are no key of this spec.
    #[error("not a key of spec {0}")]
    Malformed(KeySpec),
    /// The operating system's generator failed.
    #[error("no key could be generated")]
    Random(#[source] RandomError),
    /// The engine could not generate a key, which only a failing generator makes it do.
    #[error("the engine generated no key of spec {0}")]
    NotGenerated(KeySpec),
}

impl From<RandomError> for MaterialError {
    fn from(source: RandomError) -> Self {
        Self::Random(source)
    }
}

/// A key was not used. Nothing about the key or its material can be learned from these but what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyUseError {
    /// The key does not have the algorithm, by its spec or by its usage (`InvalidKeyUsageException`).
    #[error("a key of spec {spec} does not perform {algorithm}, or not in its usage")]
    WrongAlgorithm {
        /// Spec of the key.
        spec: KeySpec,
        /// The algorithm asked for, as the wire spells it.
        algorithm: &'static str,
    },
    /// The algorithm does not take messages of this type (`ValidationException`).
    #[error("{algorithm} does not take messages of type {message_type}")]
    MessageType {
        /// The algorithm asked for.
        algorithm: SigningAlgorithmSpec,
        /// The type of message.
        message_type: MessageType,
    },
    /// A digest or a message representative has the wrong length (`ValidationException`).
    #[error("{algorithm} signs {expected} bytes in place of a message, not {actual}")]
    DigestLength {
        /// The algorithm asked for.
        algorithm: SigningAlgorithmSpec,
        /// The length in bytes that it takes.
        expected: usize,
        /// The length in bytes that was given.
        actual: usize,
    },
    /// The plaintext is longer than key and algorithm can encrypt (`ValidationException`).
    #[error("the plaintext is {actual} bytes long; at most {max} can be encrypted")]
    PlaintextTooLong {
        /// The limit in bytes.
        max: usize,
        /// The length in bytes that was given.
        actual: usize,
    },
    /// The signature does not verify, for whatever reason (`KMSInvalidSignatureException`).
    #[error("the signature does not verify")]
    InvalidSignature,
    /// The tag does not verify (`KMSInvalidMacException`).
    #[error("the MAC does not verify")]
    InvalidMac,
    /// The ciphertext does not decrypt, for whatever reason (`InvalidCiphertextException`). Which step failed must not
    /// be told: it is what padding oracles are made of.
    #[error("the ciphertext does not decrypt")]
    InvalidCiphertext,
    /// The public key of the other side is none of this key's curve (`ValidationException`).
    #[error("not a valid public key for this key")]
    InvalidPublicKey,
    /// The engine failed, which only a failing generator or a lack of memory makes it do (`KMSInternalException`).
    #[error("the engine failed")]
    Engine,
}
