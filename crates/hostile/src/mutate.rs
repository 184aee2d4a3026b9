//! One random change of an input, blind to its format, or by the words that its format has.

use crate::Seed;

/// Numbers at which lengths, counts and versions tend to break.
const NUMBERS: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// The longest run of bytes that one change inserts, repeats or removes.
const RUN_MAX: u64 = 64;

/// Changes `input` once. `others` are inputs to borrow from, `words` what the format is made of; either may be empty. The
/// result is at most `bytes_max` long.
pub fn mutate(input: &mut Vec<u8>, seed: &mut Seed, others: &[Vec<u8>], words: &[&[u8]], bytes_max: usize) {
    match seed.below(12) {
        0 | 1 => flip_bit(input, seed),
        2 => set_byte(input, seed),
        3 => set_number(input, seed),
        4 => remove(input, seed),
        5 => repeat(input, seed),
        6 => insert_noise(input, seed),
        7 => input.truncate(index(seed, input.len() + 1)),
        8 => set_varint(input, seed),
        9 if !others.is_empty() => splice(input, seed, others),
        10 | 11 if !words.is_empty() => insert_word(input, seed, words),
        _ => swap(input, seed),
    }
    input.truncate(bytes_max);
}

fn index(seed: &mut Seed, bound: usize) -> usize {
    usize::try_from(seed.below(bound.max(1) as u64)).expect("an index of a vector")
}

fn length(seed: &mut Seed) -> usize {
    usize::try_from(1 + seed.below(RUN_MAX)).expect("a short length")
}

fn byte(seed: &mut Seed) -> u8 {
    seed.draw().to_le_bytes()[0]
}

fn flip_bit(input: &mut [u8], seed: &mut Seed) {
    let at = index(seed, input.len());
    if let Some(changed) = input.get_mut(at) {
        *changed ^= 1 << seed.below(8);
    }
}

fn set_byte(input: &mut [u8], seed: &mut Seed) {
    let at = index(seed, input.len());
    if let Some(changed) = input.get_mut(at) {
        *changed =
            *seed.pick(&[0, 1, 0x20, 0x22, 0x7f, 0x80, 0xc2, 0xff, b'{', b'[', b'\\', b'0', b'-', b'=', b'%', b'/']);
    }
}

/// A number of 1, 2, 4 or 8 bytes in either order, over what was there.
fn set_number(input: &mut [u8], seed: &mut Seed) {
    let (number, width) = (*seed.pick(&NUMBERS), *seed.pick(&[1_usize, 2, 4, 8]));
    let mut bytes = number.to_le_bytes()[..width].to_vec();
    if seed.below(2) == 0 {
        bytes.reverse();
    }
    let at = index(seed, input.len());
    for (changed, byte) in input.iter_mut().skip(at).zip(bytes) {
        *changed = byte;
    }
}

/// A number in base 128, as postcard and Protocol Buffers write lengths, between what was there.
fn set_varint(input: &mut Vec<u8>, seed: &mut Seed) {
    let mut number = *seed.pick(&NUMBERS);
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    let at = index(seed, input.len() + 1);
    let replaced = index(seed, 2).min(input.len() - at);
    input.splice(at..at + replaced, bytes);
}

fn remove(input: &mut Vec<u8>, seed: &mut Seed) {
    let at = index(seed, input.len() + 1);
    let end = input.len().min(at + length(seed));
    input.drain(at..end);
}

fn repeat(input: &mut Vec<u8>, seed: &mut Seed) {
    let at = index(seed, input.len() + 1);
    let run = input[at..input.len().min(at + length(seed))].to_vec();
    let times = *seed.pick(&[1, 2, 16, 256]);
    input.splice(at..at, run.repeat(times));
}

fn insert_noise(input: &mut Vec<u8>, seed: &mut Seed) {
    let at = index(seed, input.len() + 1);
    let noise: Vec<u8> = (0..length(seed)).map(|_| byte(seed)).collect();
    input.splice(at..at, noise);
}

fn insert_word(input: &mut Vec<u8>, seed: &mut Seed, words: &[&[u8]]) {
    let at = index(seed, input.len() + 1);
    let word = seed.pick(words).to_vec();
    let replaced = if seed.below(2) == 0 { word.len().min(input.len() - at) } else { 0 };
    input.splice(at..at + replaced, word);
}

/// The start of this input and the end of another one.
fn splice(input: &mut Vec<u8>, seed: &mut Seed, others: &[Vec<u8>]) {
    let other = seed.pick(others);
    input.truncate(index(seed, input.len() + 1));
    input.extend_from_slice(&other[index(seed, other.len() + 1).min(other.len())..]);
}

fn swap(input: &mut [u8], seed: &mut Seed) {
    if input.len() > 1 {
        let (first, second) = (index(seed, input.len()), index(seed, input.len()));
        input.swap(first, second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_stays_within_its_bound_and_is_repeatable() {
        let others = vec![b"another input".to_vec(), Vec::new()];
        let run = |number: u64| {
            let mut seed = Seed::new(number);
            let mut input = if number.is_multiple_of(7) { Vec::new() } else { b"an input".to_vec() };
            for _ in 0..8 {
                mutate(&mut input, &mut seed, &others, &[b"word"], 300);
                assert!(input.len() <= 300);
            }
            input
        };
        let changed = (0..2_000).filter(|number| run(*number) != b"an input").count();
        assert!(changed > 1_900, "only {changed} inputs were changed");
        assert_eq!(run(5), run(5));
    }
}
