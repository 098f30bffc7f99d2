//! Every input of the committed corpora, and each cut short, through its target.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use plumbago_fuzz::{TARGETS, find};

/// The inputs of a target; see `corpus.py` for the file.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{target}.gz"));
    let mut records = Vec::new();
    GzDecoder::new(&*std::fs::read(file).unwrap()).read_to_end(&mut records).unwrap();
    let mut rest = &*records;
    let mut found = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (input, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        found.push(input.to_vec());
        rest = after;
    }
    found
}

fn replay(target: &str) {
    let (_, run) = find(target).unwrap();
    let inputs = inputs(target);
    assert!(inputs.len() > 10, "{target} has no corpus");
    for input in inputs {
        for part in [&*input, &input[..input.len() / 2]] {
            let outcome = std::panic::catch_unwind(|| run(part));
            assert!(outcome.is_ok(), "{target}: {:?}", String::from_utf8_lossy(part));
        }
    }
}

#[test]
fn what_was_found_once_stays_found_in_grammars() {
    for target in ["target", "time"] {
        replay(target);
    }
}

#[test]
fn what_was_found_once_stays_found_in_evaluation() {
    replay("evaluation");
}

#[test]
fn what_was_found_once_stays_found_on_wires_and_disks() {
    let grammars = ["target", "time", "evaluation"];
    for (target, _) in TARGETS.iter().filter(|(name, _)| !grammars.contains(name)) {
        replay(target);
    }
}
