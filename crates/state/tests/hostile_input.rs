//! Hostile bytes where commands and rows are expected: named as damaged, or read as what they say, and never half applied.

use std::path::Path;

use meridian_hostile::Campaign;
use meridian_model::{Partition, Region};
use meridian_state::{Command, RegionState, apply};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// The lines of every golden file of a `kind`.
fn golden(kind: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(Path::new(GOLDEN)).expect("part of the tree");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(kind)));
    let lines = paths.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).expect("readable");
        text.lines().map(|line| hex::decode(line).expect("hexadecimal")).collect::<Vec<_>>()
    });
    lines.collect()
}

fn region() -> Region {
    "us-east-1".parse().expect("valid")
}

fn image(state: &RegionState) -> Vec<(Vec<u8>, Vec<u8>)> {
    state.rows().collect()
}

/// A state that knows what the golden commands made, as far as it accepts them.
fn grown() -> RegionState {
    let mut state = RegionState::new(region(), Partition::Aws);
    for bytes in golden("commands") {
        apply(&mut state, &Command::decode(&bytes).expect("golden"));
    }
    state
}

#[test]
fn commands() {
    let state = grown();
    let before = image(&state);
    Campaign::against("commands").inputs(golden("commands")).run(|bytes| {
        let Ok(command) = Command::decode(bytes) else { return };
        assert_eq!(Command::decode(&command.encode()).expect("own bytes"), command);
        let mut after = state.clone();
        let applied = apply(&mut after, &command);
        if applied.outcome.is_err() {
            assert!(image(&after).iter().skip(1).eq(before.iter().skip(1)), "a refusal changes nothing but the clock");
        }
        let again = RegionState::from_rows(region(), Partition::Aws, image(&after)).expect("own rows");
        assert_eq!(image(&again), image(&after), "what was applied is a state that can be stored");
    });
}

/// A row as one input: the length of its id, the id, the value.
fn joined(id: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(id.len()).expect("ids are short");
    [&[length], id, value].concat()
}

#[test]
fn rows() {
    let rows = image(&grown());
    let golden = golden("rows");
    let inputs = golden.chunks(2).map(|pair| joined(&pair[0], &pair[1]));
    Campaign::against("rows").inputs(inputs).inputs(rows.iter().map(|(id, value)| joined(id, value))).run(|input| {
        let Some((length, rest)) = input.split_first() else { return };
        let (id, value) = rest.split_at(rest.len().min(usize::from(*length)));
        let mut stored = rows.clone();
        stored.retain(|(stored, _)| stored != id);
        stored.push((id.to_vec(), value.to_vec()));
        if let Ok(state) = RegionState::from_rows(region(), Partition::Aws, stored) {
            let again = RegionState::from_rows(region(), Partition::Aws, image(&state)).expect("own rows");
            assert_eq!(image(&again), image(&state));
        }
    });
}
