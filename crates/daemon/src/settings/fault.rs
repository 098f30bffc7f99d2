//! What is wrong with a setting, where, and what was probably meant.

use std::fmt;

/// One fault: place, key, problem. All faults of a start are reported together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// `relay.toml:12:1`, `flag --line`, `environment PLUMBAGO_RELAY_LINE`, or `default`.
    pub place: String,
    /// The key; empty where the fault is the file's as a whole.
    pub key: String,
    /// What was expected and what was found.
    pub problem: String,
}

impl Fault {
    /// A fault of `key` at `place`.
    #[must_use]
    pub fn new(
        place: impl Into<String>,
        key: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self { place: place.into(), key: key.into(), problem: problem.into() }
    }

    pub(crate) fn unknown<'a>(
        place: impl Into<String>,
        key: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let hint = nearest(key, known).map(|near| format!("; did you mean `{near}`?"));
        Self::new(place, key, format!("no such setting{}", hint.unwrap_or_default()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return write!(f, "{}: {}", self.place, self.problem);
        }
        write!(f, "{}: `{}`: {}", self.place, self.key, self.problem)
    }
}

/// The known word that `word` was probably meant to be; none if nothing is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: more, and the hint is noise.
    let distance_max = (word.len() / 3).max(1);
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance in which a swap of neighbours counts once, as `lien` for `line`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            best = best.min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
