//! Where the names of a ring were placed lately: a digest costs more than all else that is done with a line.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

/// Names that share a cache line; one that has no room there takes the place of another.
const WAYS: usize = 4;
/// Half a million names, in 8 MiB.
const LINES: usize = 1 << 17;

/// The sets of owners of the names that came lately, by 96 bits of each name's hash. Seeds are of this process alone, so that names
/// cannot be chosen to collide.
#[derive(Debug)]
pub(super) struct Remembered {
    first: RandomState,
    second: RandomState,
    lines: Box<[Line]>,
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

    /// The set of owners of `key`: what `place` said when it was asked, now or before.
    pub(super) fn set(&self, key: &[u8], place: impl FnOnce() -> u32) -> u32 {
        // Nothing was ever remembered under 0.
        let hash = self.first.hash_one(key) | 1;
        let tag = self.second.hash_one(key) & !u64::from(u32::MAX);
        let Line(entries) = &self.lines[(hash >> 32) as usize % LINES];
        for entry in entries {
            let tagged_set = entry.tagged_set.load(Ordering::Relaxed);
            if entry.hash.load(Ordering::Relaxed) == hash
                && tagged_set & !u64::from(u32::MAX) == tag
            {
                return tagged_set as u32;
            }
        }
        let set = place();
        let entry = &entries[(hash >> 1) as usize % WAYS];
        let free = entries.iter().find(|entry| entry.hash.load(Ordering::Relaxed) == 0);
        let entry = free.unwrap_or(entry);
        entry.hash.store(hash, Ordering::Relaxed);
        entry.tagged_set.store(tag | u64::from(set), Ordering::Relaxed);
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
    }
}
