//! Hostile input for the tests of everything that reads bytes from outside: saved inputs, changed at random from one seed.
//!
//! A test makes a [`Campaign`] of valid inputs, gives it what reads them, and states what must hold of every answer. The
//! campaign tries each input as it is, cut anywhere, and changed in many ways ([`mutate`]), under a bound of memory.
//!
//! Absent: coverage feedback, which needs a nightly compiler. What replaces it are good seeds: every form of input once, and
//! every input that ever broke something, kept as a file.
//!
//! Always true: the inputs of a run follow from the seed that it prints, and a run that tries too few of them fails.

mod campaign;
pub mod mutate;
mod seed;

pub use campaign::Campaign;
pub use seed::Seed;
