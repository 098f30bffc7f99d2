//! One pass over a name that says which of all patterns may match it.
//!
//! Every pattern gives literals that its matches must hold. All literals are searched for at once,
//! so the cost of a name hardly grows with the number of patterns; only the few whose literal is
//! there are then tried one by one.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};

use super::literals::{AnyOf, LITERAL_BYTES_MIN, Required};

/// Up to here the literals are compiled to a table with one load per byte: at most some megabytes.
const TABLE_BYTES_MAX: usize = 32 * 1024;

/// A set of small numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    pub(super) fn insert(&mut self, index: usize) {
        if index / 64 >= self.words.len() {
            self.words.resize(index / 64 + 1, 0);
        }
        self.words[index / 64] |= 1 << (index % 64);
    }

    /// The first member from `from` on.
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut bits = self.words.get(word)? & (u64::MAX << (from % 64));
        loop {
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            word += 1;
            bits = *self.words.get(word)?;
        }
    }

    fn copy_from(&mut self, other: &Self) {
        self.words.clone_from(&other.words);
    }
}

/// Finds the patterns that may match.
#[derive(Debug, Default)]
pub(super) struct Prefilter {
    search: Option<AhoCorasick>,
    /// For each literal the patterns that need it, or one like it.
    patterns_of: Vec<Vec<u32>>,
    /// Patterns without literals.
    always: Bits,
    every: Bits,
    folds_beyond_ascii: bool,
}

impl Prefilter {
    /// A filter over patterns, each with what its matches require; numbered as they come.
    pub(super) fn new(patterns: Vec<Required>) -> Self {
        let mut filter = Self::default();
        let mut literals: HashMap<Vec<u8>, u32> = HashMap::new();
        let uses = uses(&patterns);
        for (number, required) in patterns.into_iter().enumerate() {
            filter.every.insert(number);
            filter.folds_beyond_ascii |= required.folds_beyond_ascii;
            let Some(set) = rarest(required.sets, &uses) else {
                filter.always.insert(number);
                continue;
            };
            for literal in set {
                let next = literals.len() as u32;
                let place = *literals.entry(literal).or_insert(next) as usize;
                filter.patterns_of.resize(literals.len(), Vec::new());
                filter.patterns_of[place].push(number as u32);
            }
        }
        filter.always.words.resize(filter.every.words.len(), 0);
        if !literals.is_empty() {
            filter.search = search(literals);
            if filter.search.is_none() {
                filter.always = filter.every.clone();
            }
        }
        filter
    }

    /// Puts into `candidates` every pattern that may match `name`, and maybe others.
    pub(super) fn candidates(&self, name: &str, candidates: &mut Bits) {
        if self.folds_beyond_ascii && !name.is_ascii() {
            return candidates.copy_from(&self.every);
        }
        candidates.copy_from(&self.always);
        let Some(search) = &self.search else { return };
        for found in search.find_overlapping_iter(name) {
            for &pattern in &self.patterns_of[found.pattern().as_usize()] {
                candidates.words[pattern as usize / 64] |= 1 << (pattern % 64);
            }
        }
    }
}

/// In how many patterns each literal could be searched for.
fn uses(patterns: &[Required]) -> HashMap<Vec<u8>, usize> {
    let mut uses = HashMap::new();
    for literal in patterns.iter().flat_map(|required| required.sets.iter().flatten()) {
        *uses.entry(literal.clone()).or_default() += 1;
    }
    uses
}

/// The set whose literals the fewest patterns share; of those the longest.
fn rarest(sets: Vec<AnyOf>, uses: &HashMap<Vec<u8>, usize>) -> Option<AnyOf> {
    let shared = |set: &AnyOf| set.iter().map(|literal| uses[literal]).max().unwrap_or_default();
    let shortest = |set: &AnyOf| set.iter().map(Vec::len).min().unwrap_or_default();
    sets.into_iter()
        .filter(|set| shortest(set) >= LITERAL_BYTES_MIN)
        .min_by_key(|set| (shared(set), usize::MAX - shortest(set)))
}

fn search(literals: HashMap<Vec<u8>, u32>) -> Option<AhoCorasick> {
    let mut ordered: Vec<(Vec<u8>, u32)> = literals.into_iter().collect();
    ordered.sort_by_key(|(_, place)| *place);
    let bytes: usize = ordered.iter().map(|(literal, _)| literal.len()).sum();
    let kind = (bytes <= TABLE_BYTES_MAX).then_some(AhoCorasickKind::DFA);
    let search = AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(kind)
        .build(ordered.iter().map(|(literal, _)| literal));
    // It fails only beyond 2^31 states; then every pattern is tried on its own.
    search.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(filter: &Prefilter, name: &str) -> Vec<usize> {
        let mut bits = Bits::default();
        filter.candidates(name, &mut bits);
        std::iter::successors(bits.next(0), |last| bits.next(last + 1)).collect()
    }

    #[test]
    fn only_patterns_whose_literal_is_there_are_tried() {
        let expressions = [r"^web\d+\.cpu", r"^db\d+\.cpu", ".*", r"(?i)DISK", "a|b"];
        let filter = Prefilter::new(expressions.map(Required::of).into());
        assert_eq!(candidates(&filter, "web7.cpu.user"), [0, 2, 4]);
        assert_eq!(candidates(&filter, "db.disk"), [1, 2, 3, 4]);
        assert_eq!(candidates(&filter, "db.diſK"), [0, 1, 2, 3, 4], "ſ may be an s");
        assert_eq!(candidates(&Prefilter::new(Vec::new()), "x"), [0; 0]);
    }

    #[test]
    fn sets_find_their_next_member_across_words() {
        let mut bits = Bits::default();
        for index in [3, 64, 200] {
            bits.insert(index);
        }
        assert_eq!(bits.next(0), Some(3));
        assert_eq!(bits.next(4), Some(64));
        assert_eq!(bits.next(65), Some(200));
        assert_eq!(bits.next(201), None);
        assert_eq!(bits.next(9_999), None);
    }
}
