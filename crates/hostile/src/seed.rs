//! One number from which everything random in a test follows: delays, and what tests themselves draw.

use std::fmt;

/// Taken unless the test or the environment names another.
const DEFAULT: u64 = 0x4d45_5249_4449_414e;
/// Names the seed of a run that shall be repeated.
const VARIABLE: &str = "MERIDIAN_SEED";

/// A sequence of numbers that follows from its seed (SplitMix64, by Steele, Lea and Flood, 2014).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The sequence of `number`.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The seed that `MERIDIAN_SEED` names, in hexadecimal, or else a fixed one.
    ///
    /// # Panics
    /// If the variable holds anything else.
    #[must_use]
    pub fn of_this_run() -> Self {
        let Ok(text) = std::env::var(VARIABLE) else { return Self(DEFAULT) };
        let number = u64::from_str_radix(text.trim_start_matches("0x"), 16);
        Self(number.unwrap_or_else(|_| panic!("{VARIABLE} is {text}, which is no hexadecimal number")))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below `bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let count = u64::try_from(choices.len()).expect("a slice is shorter than 2^64");
        let index = usize::try_from(self.below(count)).expect("the index of a slice");
        &choices[index]
    }

    /// A sequence of its own for whatever is called `name`.
    #[must_use]
    pub fn of(self, name: &str) -> Self {
        // FNV-1a: short, and the same in every build.
        let mixed = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut seed = Self(self.0 ^ mixed);
        Self(seed.draw())
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VARIABLE}={:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        let mut seed = Seed::new(1_234_567);
        // From the reference implementation by Sebastiano Vigna.
        assert_eq!([seed.draw(), seed.draw()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn names_have_sequences_of_their_own() {
        let seed = Seed::new(7);
        assert_eq!(seed.of("a").draw(), seed.of("a").draw());
        assert_ne!(seed.of("a").draw(), seed.of("b").draw());
    }
}
