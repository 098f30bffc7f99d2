//! Recorded answers of graphite-web and carbonapi, evaluated in-process.
//!
//! `areas.txt` lists the areas that pass wholly; the test fails when one of them no longer does.
//! `GOLDEN_ONLY=summarize cargo test -p plumbago-query --test golden -- --nocapture` prints what
//! fails in one area and why; `GOLDEN_ONLY=all` prints the count of every area.
#![expect(clippy::unwrap_used, reason = "recorded files that do not read are a broken test")]

mod case;
mod compare;
mod store;

use std::collections::BTreeMap;

use case::Case;
use store::Store;

const AREAS_THAT_PASS: &str = include_str!("areas.txt");

/// Failures printed for one area.
const SHOWN_MAX: usize = 1000;

#[derive(Default)]
struct Tally {
    passed: usize,
    failures: Vec<String>,
}

fn run_all() -> BTreeMap<String, Tally> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for recorded in [&case::GRAPHITE_WEB, &case::CARBONAPI] {
        let store = Store::load(recorded.corpora);
        for case in case::load(recorded.cases) {
            let tally = tallies.entry(case.area.clone()).or_default();
            let line = || format!("{} {}", case.id, case.request_line());
            match check(&case, &store) {
                None => tally.passed += 1,
                Some(why) => tally.failures.push(format!("{} {why}", line())),
            }
        }
    }
    tallies
}

/// `None`, or why no accepted answer was given.
fn check(case: &Case, store: &Store) -> Option<String> {
    let answer = store.answer(case);
    let mut wanted = case.accepted.iter();
    let first = compare::difference(case, wanted.next()?, &answer)?;
    if wanted.any(|other| compare::difference(case, other, &answer).is_none()) {
        return None;
    }
    Some(first)
}

#[test]
fn areas_that_passed_still_pass() {
    let tallies = run_all();
    report(&tallies);
    let broken: Vec<String> = AREAS_THAT_PASS
        .lines()
        .filter(|area| !area.is_empty())
        .filter_map(|area| match tallies.get(area) {
            None => Some(format!("{area}: no cases")),
            Some(tally) if tally.failures.is_empty() => None,
            Some(tally) => Some(format!("{area}: {}", tally.failures[0])),
        })
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[expect(clippy::print_stdout, reason = "shown on demand, to whoever works on an area")]
fn report(tallies: &BTreeMap<String, Tally>) {
    let Ok(only) = std::env::var("GOLDEN_ONLY") else { return };
    let mut all = (0, 0);
    for (area, tally) in tallies {
        let total = tally.passed + tally.failures.len();
        all = (all.0 + tally.passed, all.1 + total);
        if only != "all" && only != *area {
            continue;
        }
        println!("{area} {}/{total}", tally.passed);
        if only == *area {
            tally.failures.iter().take(SHOWN_MAX).for_each(|failure| println!("  {failure}"));
        }
    }
    println!("{} of {}", all.0, all.1);
}
