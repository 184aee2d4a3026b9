//! Small sets of Regions and of versions of key material.

use std::fmt;

/// A Region, by its number.
pub type Region = u8;

/// A version of key material, by its number. The first one is 0.
pub type Version = u8;

/// A set of Regions or of versions, of at most eight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Set(u8);

impl Set {
    /// Nothing.
    pub const EMPTY: Self = Self(0);

    /// The set of one member.
    #[must_use]
    pub const fn of(member: u8) -> Self {
        Self(1 << member)
    }

    /// Whether `member` is in it.
    #[must_use]
    pub const fn has(self, member: u8) -> bool {
        self.0 & (1 << member) != 0
    }

    /// The set with `member`.
    #[must_use]
    pub const fn with(self, member: u8) -> Self {
        Self(self.0 | (1 << member))
    }

    /// The set without `member`.
    #[must_use]
    pub const fn without(self, member: u8) -> Self {
        Self(self.0 & !(1 << member))
    }

    /// What is in either.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is here and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |member| self.has(*member))
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
