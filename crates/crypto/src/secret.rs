//! Bytes that nobody may print, copy, compare or serialise.
//!
//! They live in memory that is locked where the system allows it and left out of core dumps; see
//! [`locking_status`](crate::locking_status). A move carries a pointer, so it leaves nothing behind.
//!
//! Always true: the bytes are wiped before their memory is used for anything else, also when filling them fails.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroize;

use crate::locked::LockedBytes;
use crate::random::{self, RandomError};

/// A secret of exactly `N` bytes.
pub struct Secret<const N: usize>(LockedBytes);

impl<const N: usize> Secret<N> {
    /// Fills the secret where it will live. If `fill` fails, what it wrote is wiped.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn try_init<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut memory = LockedBytes::zeroed(N);
        fill(memory.as_mut_slice().try_into().expect("the memory was made N bytes long"))?;
        Ok(Self(memory))
    }

    /// Fills the secret where it will live, by something that cannot fail.
    pub fn init(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut memory = LockedBytes::zeroed(N);
        fill(memory.as_mut_slice().try_into().expect("the memory was made N bytes long"));
        Self(memory)
    }

    /// `N` bytes from the operating system's generator.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn random() -> Result<Self, RandomError> {
        Self::try_init(|bytes| random::fill(bytes))
    }

    /// Moves `source` into a secret and wipes it.
    pub fn take(source: &mut [u8; N]) -> Self {
        let secret = Self::init(|bytes| bytes.copy_from_slice(source));
        source.zeroize();
        secret
    }

    /// The only door to the bytes: search for it to review every use.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        self.0.as_slice().try_into().expect("the memory was made N bytes long")
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({N} bytes)")
    }
}

impl<const N: usize> ConstantTimeEq for Secret<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

/// A secret whose length is known only at run time. The length itself is no secret.
pub struct SecretBytes(LockedBytes);

impl SecretBytes {
    /// Fills a secret of `len` bytes where it will live. If `fill` fails, what it wrote is wiped.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn try_init<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut memory = LockedBytes::zeroed(len);
        fill(memory.as_mut_slice())?;
        Ok(Self(memory))
    }

    /// Fills a secret of `len` bytes where it will live, by something that cannot fail.
    pub fn init(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut memory = LockedBytes::zeroed(len);
        fill(memory.as_mut_slice());
        Self(memory)
    }

    /// `len` bytes from the operating system's generator.
    ///
    /// # Errors
    /// If the generator fails.
    pub fn random(len: usize) -> Result<Self, RandomError> {
        Self::try_init(len, random::fill)
    }

    /// A copy of `source`, which stays as it is: wiping it remains the caller's duty.
    #[must_use]
    pub fn copy_from(source: &[u8]) -> Self {
        Self::init(source.len(), |bytes| bytes.copy_from_slice(source))
    }

    /// Moves `source` into a secret and wipes it.
    #[must_use]
    pub fn take(mut source: Vec<u8>) -> Self {
        let secret = Self::copy_from(&source);
        source.zeroize();
        secret
    }

    /// The only door to the bytes: search for it to review every use.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Replaces each byte where it is.
    pub(crate) fn map_bytes(&mut self, replace: impl Fn(u8) -> u8) {
        self.0.as_mut_slice().iter_mut().for_each(|byte| *byte = replace(*byte));
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.len())
    }
}

impl ConstantTimeEq for SecretBytes {
    /// In constant time for secrets of one length; those of different lengths differ at once.
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose().ct_eq(other.expose())
    }
}

/// Runs `work` and then overwrites the stack below the caller, where `work` may have left copies of keys.
///
/// The compiler is free to copy values from frame to frame, and expanded keys are larger than registers. `STACK` is an
/// estimate of what `work` needs; what `work` returns must not hold secrets outside of memory for secrets.
pub(crate) fn on_wiped_stack<const STACK: usize, T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)] // its frame has to lie below the caller's, or the wiping would miss it
    fn below<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    let result = below(work);
    zeroize::zeroize_stack::<STACK>();
    result
}

/// Enough for expanding a key and sealing or opening something short with it, also in unoptimised builds.
pub(crate) const AEAD_STACK: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_type_and_length_only() {
        let secret = Secret::<4>::init(|bytes| *bytes = *b"Pa55");
        assert_eq!(format!("{secret:?}"), "Secret(4 bytes)");
        assert_eq!(format!("{:?}", SecretBytes::copy_from(b"Pa55word")), "SecretBytes(8 bytes)");
    }

    #[test]
    fn taking_bytes_wipes_their_source() {
        let mut source = *b"0123456789abcdef";
        let secret = Secret::take(&mut source);
        assert_eq!(secret.expose(), b"0123456789abcdef");
        assert_eq!(source, [0; 16]);
    }

    #[test]
    fn a_failed_fill_gives_its_error() {
        assert_eq!(Secret::<8>::try_init(|_| Err("no")).map(|_| ()), Err("no"));
        assert_eq!(SecretBytes::try_init(8, |_| Err("no")).map(|_| ()), Err("no"));
    }

    #[test]
    fn equality_is_by_content() {
        let (one, two) = (Secret::<32>::random().expect("random"), Secret::<32>::random().expect("random"));
        assert!(bool::from(one.ct_eq(&one)));
        assert!(!bool::from(one.ct_eq(&two)));
        assert!(!bool::from(SecretBytes::copy_from(b"a").ct_eq(&SecretBytes::copy_from(b"ab"))));
    }
}
