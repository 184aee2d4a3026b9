//! Pauses between attempts: they double up to a maximum, and each is shortened by up to half at random, so that many
//! links that broke together do not come back together. The randomness is no secret and is given as a seed.

use std::time::Duration;

pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    attempts: u32,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max, attempts: 0, random: seed }
    }

    /// Begins again with the shortest pause.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// How long to wait before the next attempt.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let doubled = self.min.saturating_mul(1 << self.attempts.min(20));
        self.attempts = self.attempts.saturating_add(1);
        let pause = doubled.min(self.max);
        pause.mul_f64(1.0 - self.fraction() / 2.0)
    }

    /// The next number in 0..1 (SplitMix64; Steele, Lea and Flood, 2014).
    #[allow(clippy::cast_precision_loss)] // 53 bits fit exactly
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_their_bounds_and_begin_again() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(5));
        let mut backoff = Backoff::new(min, max, 1);
        for attempt in 0..100_u32 {
            let full = min.saturating_mul(1 << attempt.min(20)).min(max);
            let pause = backoff.next_pause();
            assert!(pause <= full && pause >= full / 2, "{attempt}: {pause:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= min);
    }

    #[test]
    fn equal_seeds_give_equal_pauses() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5), seed);
            std::array::from_fn::<_, 10, _>(|_| backoff.next_pause())
        };
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
    }
}
