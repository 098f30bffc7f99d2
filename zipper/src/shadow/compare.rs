//! What two answers to one question differ in.

use std::collections::{BTreeMap, BTreeSet};

use metric::SeriesData;
use serde_json::{Value, json};
use wire::reply::FindReply;

/// Values that differ by less, absolutely or relative to the larger one, are the same: sums come in
/// another order on another machine.
const TOLERANCE: f64 = 1e-9;

/// So many slots before now may still differ because their points are on the way.
const OPEN_SLOTS: i64 = 2;

/// In what a name differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The other side does not have it.
    MissingThere,
    /// We do not have it.
    MissingHere,
    /// Its step.
    Step,
    /// Some of its values.
    Slots,
}

impl What {
    pub(super) const ALL: [Self; 4] =
        [Self::MissingThere, Self::MissingHere, Self::Step, Self::Slots];

    /// The word in metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::MissingThere => "missing_there",
            Self::MissingHere => "missing_here",
            Self::Step => "step",
            Self::Slots => "slots",
        }
    }
}

/// One name that differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    name: String,
    pub(super) what: What,
    /// How many slots; 1 where it is no matter of slots.
    pub(super) slots: u64,
    /// The first slot, ours and theirs in it; or the steps.
    first: Option<(i64, f64, f64)>,
}

impl Difference {
    fn new(name: &str, what: What) -> Self {
        Self { name: name.to_owned(), what, slots: 1, first: None }
    }

    pub(super) fn sample(&self, seen_s: i64) -> Value {
        let number = |value: f64| if value.is_nan() { Value::Null } else { json!(value) };
        let mut sample = json!({"name": self.name, "what": self.what.label(), "seen_s": seen_s});
        if let Some((at, ours, theirs)) = self.first {
            if self.what == What::Slots {
                sample["slot_s"] = json!(at);
                sample["slots"] = json!(self.slots);
            }
            sample["ours"] = number(ours);
            sample["theirs"] = number(theirs);
        }
        sample
    }
}

/// The other side's series, each until its like has come.
#[derive(Debug)]
pub(super) struct Expected {
    left: BTreeMap<(String, String), SeriesData>,
    now: i64,
    differences: Vec<Difference>,
}

impl Expected {
    pub(super) fn new(series: Vec<SeriesData>, now: i64) -> Self {
        let keyed = series.into_iter().map(|one| (key(&one), one));
        Self { left: keyed.collect(), now, differences: Vec::new() }
    }

    /// Compares one of ours with what the other side has.
    pub(super) fn compare(&mut self, ours: &SeriesData) {
        let found = match self.left.remove(&key(ours)) {
            // Some stores leave out what has no value in the window, others do not.
            None if is_empty(ours) => None,
            None => Some(Difference::new(&ours.name, What::MissingThere)),
            Some(theirs) => difference(ours, &theirs, self.now),
        };
        self.differences.extend(found);
    }

    /// All differences, once all of ours have come.
    pub(super) fn finish(mut self) -> Vec<Difference> {
        let missing = self.left.values().filter(|theirs| !is_empty(theirs));
        let missing = missing.map(|theirs| Difference::new(&theirs.name, What::MissingHere));
        self.differences.extend(missing);
        self.differences
    }
}

fn key(series: &SeriesData) -> (String, String) {
    (series.path_expression.clone(), series.name.clone())
}

fn is_empty(series: &SeriesData) -> bool {
    series.values.iter().all(|value| value.is_nan())
}

fn difference(ours: &SeriesData, theirs: &SeriesData, now: i64) -> Option<Difference> {
    if ours.step != theirs.step {
        let steps = Some((0, ours.step as f64, theirs.step as f64));
        return Some(Difference { first: steps, ..Difference::new(&ours.name, What::Step) });
    }
    let step = ours.step.max(1);
    let settled = now.saturating_sub(step.saturating_mul(OPEN_SLOTS));
    let until = ours.stop.max(theirs.stop).min(settled);
    let mut found = Difference { slots: 0, ..Difference::new(&ours.name, What::Slots) };
    let mut at = ours.start.min(theirs.start);
    // Two replies far apart in time have no more slots between them than both have values.
    let slots_max = ours.values.len().saturating_add(theirs.values.len());
    for _ in 0..slots_max {
        if at >= until {
            break;
        }
        let (one, other) = (value_at(ours, at), value_at(theirs, at));
        if !is_same(one, other) {
            found.slots += 1;
            found.first.get_or_insert((at, one, other));
        }
        at = at.saturating_add(step);
    }
    (found.slots > 0).then_some(found)
}

fn value_at(series: &SeriesData, at: i64) -> f64 {
    let index = usize::try_from(at.saturating_sub(series.start).div_euclid(series.step.max(1)));
    index.ok().and_then(|index| series.values.get(index)).copied().unwrap_or(f64::NAN)
}

fn is_same(one: f64, other: f64) -> bool {
    if one.is_nan() || other.is_nan() {
        return one.is_nan() && other.is_nan();
    }
    one == other || (one - other).abs() <= TOLERANCE * one.abs().max(other.abs()).max(1.0)
}

/// What two answers to a find differ in: paths, and whether they are series.
pub(super) fn finds(ours: &[FindReply], theirs: &[FindReply]) -> Vec<Difference> {
    let names = |replies: &[FindReply]| -> BTreeSet<(String, bool)> {
        let matches = replies.iter().flat_map(|reply| &reply.matches);
        matches.map(|found| (found.path.clone(), found.is_leaf)).collect()
    };
    let (ours, theirs) = (names(ours), names(theirs));
    let missing = |what: What| move |(name, _): &(String, bool)| Difference::new(name, what);
    let there = ours.difference(&theirs).map(missing(What::MissingThere));
    there.chain(theirs.difference(&ours).map(missing(What::MissingHere))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice::from_ref;

    const NAN: f64 = f64::NAN;

    fn series(name: &str, start: i64, values: &[f64]) -> SeriesData {
        SeriesData::new(name, start, 60, values.to_vec())
    }

    fn differences(ours: &[SeriesData], theirs: &[SeriesData]) -> Vec<(What, u64)> {
        let mut expected = Expected::new(theirs.to_vec(), 10_000);
        ours.iter().for_each(|one| expected.compare(one));
        expected.finish().iter().map(|found| (found.what, found.slots)).collect()
    }

    fn of_one(ours: &SeriesData, theirs: &SeriesData) -> Vec<(What, u64)> {
        differences(from_ref(ours), from_ref(theirs))
    }

    #[test]
    fn slots_are_compared_by_time_and_within_the_tolerance() {
        let ours = series("a", 60, &[1.0, NAN, 3e12, 0.0]);
        let close = series("a", 60, &[1.0 + 1e-10, NAN, 3e12 + 1.0, 1e-10]);
        assert_eq!(of_one(&ours, &close), []);
        let later = series("a", 120, &[NAN, 3e12, 0.0, NAN]);
        assert_eq!(of_one(&ours, &later), [(What::Slots, 1)], "it lacks the first");
        let other = series("a", 60, &[1.1, 2.0, NAN, 0.0]);
        assert_eq!(of_one(&ours, &other), [(What::Slots, 3)]);
        let coarse = SeriesData { step: 120, ..ours.clone() };
        assert_eq!(of_one(&ours, &coarse), [(What::Step, 1)]);
        let far = series("a", i64::MAX - 600, &[NAN; 4]);
        assert_eq!(of_one(&series("a", -600, &[NAN; 4]), &far), []);
    }

    #[test]
    fn the_last_slots_before_now_may_differ() {
        let ours = series("a", 9_600, &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let theirs = series("a", 9_600, &[1.0, 1.0, 1.0, 1.0, 1.0, NAN]);
        assert_eq!(of_one(&ours, &theirs), []);
        let theirs = series("a", 9_600, &[1.0, 1.0, 1.0, 1.0, 2.0, 1.0]);
        assert_eq!(of_one(&ours, &theirs), [(What::Slots, 1)]);
    }

    #[test]
    fn names_that_one_side_lacks_are_told_unless_they_are_empty() {
        let [a, b, empty] =
            [("a", 1.0), ("b", 1.0), ("e", NAN)].map(|(n, v)| series(n, 0, &[v; 3]));
        let found = differences(&[a, empty.clone()], &[b, empty]);
        assert_eq!(found, [(What::MissingThere, 1), (What::MissingHere, 1)]);
    }
}
