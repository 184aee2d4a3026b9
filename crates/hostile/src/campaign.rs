//! Many inputs for one reader of bytes, under bounds of time and memory.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Seed;
use crate::mutate::mutate;

/// How long a campaign goes on unless the environment says otherwise.
const DURATION: Duration = Duration::from_millis(1_500);
/// Seconds for every campaign of a run that shall look longer.
const VARIABLE: &str = "MERIDIAN_HOSTILE_SECONDS";
/// So many inputs are tried even where the machine is slow, and a campaign must have.
const INPUTS_MIN: usize = 300;
/// So many at most within [`DURATION`]; a longer run has no such bound.
const INPUTS_MAX: usize = 20_000;
/// Changes on top of each other in one input at most.
const CHANGES_MAX: u64 = 6;
/// So many inputs are saved ones that were cut, at most.
const CUTS_MAX: usize = 400;
/// The address space of a process under test: a length taken from an input must not reserve more.
const ADDRESS_SPACE_MAX: u64 = 8 << 30;

/// A test of one reader with hostile input.
#[derive(Debug)]
pub struct Campaign {
    target: &'static str,
    corpus: Vec<Vec<u8>>,
    words: Vec<&'static [u8]>,
    bytes_max: usize,
}

impl Campaign {
    /// A campaign against what is called `target`.
    #[must_use]
    pub fn against(target: &'static str) -> Self {
        Self { target, corpus: Vec::new(), words: Vec::new(), bytes_max: 16 << 10 }
    }

    /// Starts from these inputs, too.
    #[must_use]
    pub fn inputs<B: Into<Vec<u8>>>(mut self, inputs: impl IntoIterator<Item = B>) -> Self {
        self.corpus.extend(inputs.into_iter().map(Into::into));
        self
    }

    /// Starts from the saved inputs in `folder`, too: every file is one.
    ///
    /// # Panics
    /// If there are none, so that a folder that moved is noticed.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.sort(); // the order is part of what follows from the seed
        assert!(!paths.is_empty(), "{} holds no inputs", folder.display());
        self.corpus.extend(paths.iter().map(|path| std::fs::read(path).expect("a readable file")));
        self
    }

    /// Words of the format, which changes insert.
    #[must_use]
    pub fn words(mut self, words: &[&'static str]) -> Self {
        self.words.extend(words.iter().map(|word| word.as_bytes()));
        self
    }

    /// The longest input to try.
    #[must_use]
    pub const fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Tries inputs until the time is over. Whatever `attempt` does not hold of one of them, it panics about; the input and
    /// the seed are printed then.
    ///
    /// # Panics
    /// Without any input to start from, or if too few were tried.
    pub fn run(self, mut attempt: impl FnMut(&[u8])) {
        for input in self.begin() {
            attempt(&input);
        }
    }

    /// As [`Campaign::run`], input by input, for what has to be awaited. The inputs must live until the test ends.
    ///
    /// # Panics
    /// Without any input to start from.
    #[must_use]
    pub fn begin(self) -> Inputs {
        assert!(!self.corpus.is_empty(), "{}: a campaign needs inputs to start from", self.target);
        bound_memory();
        let longer = std::env::var(VARIABLE).ok().map(|seconds| {
            Duration::from_secs(
                seconds.parse().unwrap_or_else(|_| panic!("{VARIABLE} is {seconds}, which is no number")),
            )
        });
        let seed = Seed::of_this_run();
        println!("{}: {seed}, {} inputs to start from", self.target, self.corpus.len());
        Inputs {
            first: first_inputs(&self.corpus),
            seed: seed.of(self.target),
            deadline: Instant::now() + longer.unwrap_or(DURATION),
            count_max: if longer.is_some() { usize::MAX } else { INPUTS_MAX },
            count: 0,
            last: Vec::new(),
            campaign: self,
        }
    }
}

/// Every saved input as it is, and cut at places spread over its length.
fn first_inputs(corpus: &[Vec<u8>]) -> std::vec::IntoIter<Vec<u8>> {
    let cuts = |input: &Vec<u8>| {
        let step = input.len().div_ceil((CUTS_MAX / corpus.len()).max(1)).max(1);
        (0..input.len()).step_by(step).map(|end| input[..end].to_vec()).collect::<Vec<_>>()
    };
    let first: Vec<_> = corpus.iter().cloned().chain(corpus.iter().flat_map(cuts)).collect();
    first.into_iter()
}

/// Lowers the limit once; a lower one is kept.
fn bound_memory() {
    let limit = getrlimit(Resource::As);
    if limit.current.is_none_or(|current| current > ADDRESS_SPACE_MAX) {
        let lowered = Rlimit { current: Some(ADDRESS_SPACE_MAX), maximum: limit.maximum };
        setrlimit(Resource::As, lowered).expect("a process may lower its own limit");
    }
}

/// The inputs of a campaign, one after the other.
#[derive(Debug)]
pub struct Inputs {
    campaign: Campaign,
    first: std::vec::IntoIter<Vec<u8>>,
    seed: Seed,
    deadline: Instant,
    count_max: usize,
    count: usize,
    last: Vec<u8>,
}

impl Iterator for Inputs {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let is_over = self.count >= self.count_max || (self.count >= INPUTS_MIN && Instant::now() >= self.deadline);
        let untried = self.first.next();
        if is_over && untried.is_none() {
            println!("{}: {} inputs tried", self.campaign.target, self.count);
            assert!(self.count >= INPUTS_MIN, "{}: only {} inputs were tried", self.campaign.target, self.count);
            return None;
        }
        self.count += 1;
        self.last = untried.unwrap_or_else(|| self.changed());
        Some(self.last.clone())
    }
}

impl Inputs {
    fn changed(&mut self) -> Vec<u8> {
        let Campaign { corpus, words, bytes_max, .. } = &self.campaign;
        let mut input = self.seed.pick(corpus).clone();
        for _ in 0..=self.seed.below(CHANGES_MAX) {
            mutate(&mut input, &mut self.seed, corpus, words, *bytes_max);
        }
        input
    }
}

/// When the test panics over an input, it is printed in a form that a file of the corpus is made from.
impl Drop for Inputs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex = self.last.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            let target = self.campaign.target;
            eprintln!("{target}: the input, for a file of its corpus (xxd -r -p): {hex}");
            eprintln!("{target}: as text: {}", String::from_utf8_lossy(&self.last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_finds_what_a_reader_does_wrong() {
        let found = std::panic::catch_unwind(|| {
            Campaign::against("a reader with a fault").inputs(["length 5 abc"]).words(&["length "]).run(|input| {
                let digit = input.iter().position(u8::is_ascii_digit);
                assert!(digit.is_none_or(|at| input[at] != b'9'), "nine is not handled");
            });
        });
        // The words and bits of this reader are enough to make a nine.
        assert!(found.is_err());
    }

    #[test]
    fn every_saved_input_is_tried_as_it_is_and_cut() {
        let mut seen = Vec::new();
        Campaign::against("a reader").inputs(["abc", "xyz"]).run(|input| seen.push(input.to_vec()));
        for expected in ["abc", "xyz", "", "a", "ab"] {
            assert!(seen.contains(&expected.as_bytes().to_vec()), "{expected}");
        }
        assert!(seen.len() >= INPUTS_MIN);
    }
}
