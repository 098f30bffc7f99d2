//! libFuzzer around the target that `PLUMBAGO_FUZZ` names; `fuzz/run` starts it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plumbago_fuzz::{TARGETS, Target, find};

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PLUMBAGO_FUZZ").unwrap_or_default();
    find(&name).unwrap_or(TARGETS[0])
});

fuzz_target!(|bytes: &[u8]| (CHOSEN.1)(bytes));
