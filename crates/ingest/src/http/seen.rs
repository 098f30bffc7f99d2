//! Names that were seen lately, as 64-bit hashes in two generations, so that memory is bounded.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

/// Names of one generation; a name is remembered while fewer new ones than this come between.
const GENERATION_NAMES: usize = 1 << 20;

/// Which names were seen lately.
#[derive(Debug)]
pub(super) struct Seen {
    names_max: usize,
    state: RandomState,
    young: HashSet<u64, RandomState>,
    old: HashSet<u64, RandomState>,
}

impl Default for Seen {
    fn default() -> Self {
        Self::new(GENERATION_NAMES)
    }
}

impl Seen {
    fn new(names_max: usize) -> Self {
        Self {
            names_max,
            state: RandomState::default(),
            young: HashSet::default(),
            old: HashSet::default(),
        }
    }

    /// Whether the name was seen lately; if so, it stays remembered.
    pub(super) fn contains(&mut self, name: &str) -> bool {
        let hash = self.hash(name);
        if self.young.contains(&hash) {
            return true;
        }
        let found = self.old.contains(&hash);
        if found {
            self.keep(hash);
        }
        found
    }

    /// Remembers the name.
    pub(super) fn insert(&mut self, name: &str) {
        self.keep(self.hash(name));
    }

    fn keep(&mut self, hash: u64) {
        if self.young.len() >= self.names_max {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(hash);
    }

    fn hash(&self, name: &str) -> u64 {
        self.state.hash_one(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_and_again_is_remembered_whatever_else_comes() {
        let mut seen = Seen::new(100);
        seen.insert("steady");
        for number in 0..10_000 {
            seen.insert(&format!("new-{number}"));
            if number % 50 == 0 {
                assert!(seen.contains("steady"), "after {number}");
            }
        }
        assert!(!seen.contains("new-0"));
        assert!(seen.young.len() + seen.old.len() <= 200);
    }
}
