//! Where the names of a ring were placed lately: a digest costs more than all else that is done with a line.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

/// Names that share a cache line; one that has no room there takes the place of another.
const WAYS: usize = 4;
/// A quarter of a million names, in 4 MiB.
const LINES: usize = 1 << 16;
/// Stands for no set.
const UNKNOWN: u64 = u64::MAX;
const TAG_MASK: u64 = !0xffff_ffff;

/// The sets of owners of the names that came lately, by 96 bits of each name's hash. Seeds are of this process alone, so that names
/// cannot be chosen to collide.
#[derive(Debug)]
pub(super) struct Remembered {
    first: RandomState,
    second: RandomState,
    lines: Box<[Line]>,
}

/// What stands for a name: 64 bits of its hash, and 32 more in the upper half.
#[derive(Debug, Clone, Copy)]
struct Hashed {
    hash: u64,
    tag: u64,
}

/// What one cache line holds.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([Entry; WAYS]);

/// One name: 64 bits of its hash, then 32 more and the number of its set. The halves need not be of one moment: a set always
/// lies beside bits of its own name.
#[derive(Debug, Default)]
struct Entry {
    hash: AtomicU64,
    tagged_set: AtomicU64,
}

impl Remembered {
    pub(super) fn new() -> Self {
        let lines = (0..LINES).map(|_| Line::default()).collect();
        Self { first: RandomState::default(), second: RandomState::default(), lines }
    }

    /// The set of owners of `key`: what `place` says when it is asked, now or before.
    pub(super) fn set(&self, key: &[u8], place: impl FnOnce() -> u32) -> u32 {
        let name = self.hashed(key);
        self.find(name).unwrap_or_else(|| self.remember(name, place()))
    }

    /// As [`Self::set`] for each of `keys`. The processor waits for the memory of many names at once.
    pub(super) fn sets<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        place: impl Fn(&[u8]) -> u32,
    ) -> Vec<u32> {
        let names: Vec<Hashed> = keys.clone().map(|key| self.hashed(key)).collect();
        let found: Vec<Option<u32>> = names.iter().map(|name| self.find(*name)).collect();
        let rows = keys.zip(names).zip(found);
        rows.map(|((key, name), set)| set.unwrap_or_else(|| self.remember(name, place(key))))
            .collect()
    }

    fn hashed(&self, key: &[u8]) -> Hashed {
        // Nothing is ever remembered under 0.
        let hash = self.first.hash_one(key) | 1;
        Hashed { hash, tag: self.second.hash_one(key) & TAG_MASK }
    }

    fn entries(&self, name: Hashed) -> &[Entry; WAYS] {
        &self.lines[(name.hash >> 32) as usize % LINES].0
    }

    fn find(&self, name: Hashed) -> Option<u32> {
        // Which of them it is cannot be foretold: without a branch nothing waits for it.
        let found = self.entries(name).iter().fold(UNKNOWN, |found, entry| {
            let tagged_set = entry.tagged_set.load(Ordering::Relaxed);
            let is_name = (entry.hash.load(Ordering::Relaxed) == name.hash)
                & (tagged_set & TAG_MASK == name.tag);
            if is_name { tagged_set & !TAG_MASK } else { found }
        });
        (found != UNKNOWN).then_some(found as u32)
    }

    fn remember(&self, name: Hashed, set: u32) -> u32 {
        let entries = self.entries(name);
        let free = entries.iter().find(|entry| entry.hash.load(Ordering::Relaxed) == 0);
        let entry = free.unwrap_or(&entries[(name.hash >> 1) as usize % WAYS]);
        entry.hash.store(name.hash, Ordering::Relaxed);
        entry.tagged_set.store(name.tag | u64::from(set), Ordering::Relaxed);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> Vec<u8> {
        format!("servers.web{number}.cpu").into_bytes()
    }

    #[test]
    fn a_name_is_placed_once_and_always_has_its_own_set() {
        let remembered = Remembered::new();
        let mut placed = 0;
        for _ in 0..2 {
            for number in 0..1_000 {
                let set = remembered.set(&name(number), || {
                    placed += 1;
                    number
                });
                assert_eq!(set, number);
            }
        }
        assert_eq!(placed, 1_000);
    }

    #[test]
    fn more_names_than_there_is_room_for_are_placed_again_and_never_mixed_up() {
        let remembered = Remembered::new();
        let names = 3 * (LINES * WAYS) as u32 / 2;
        for number in (0..names).chain(0..names) {
            assert_eq!(remembered.set(&name(number), || number), number);
        }
        let keys: Vec<Vec<u8>> = (0..names).map(name).collect();
        let number = |key: &[u8]| {
            let digits = key.iter().filter(|byte| byte.is_ascii_digit());
            digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
        };
        let sets = remembered.sets(keys.iter().map(Vec::as_slice), number);
        assert!(sets.into_iter().eq(0..names));
    }
}
