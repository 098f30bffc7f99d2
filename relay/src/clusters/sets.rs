//! Sets of destinations, numbered as they are met.

use metric::map::Map;
use parking_lot::RwLock;

/// All sets met so far; the same members in the same order have the same number.
#[derive(Debug, Default)]
pub(super) struct Sets {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    numbers: Map<Box<[usize]>, usize>,
    members: Vec<Box<[usize]>>,
}

impl Sets {
    /// The number of the set with these members.
    pub(super) fn number(&self, members: &[usize]) -> usize {
        if let Some(number) = self.known.read().numbers.get(members) {
            return *number;
        }
        let mut known = self.known.write();
        let next = known.members.len();
        let number = *known.numbers.entry(members.into()).or_insert(next);
        if number == next {
            known.members.push(members.into());
        }
        number
    }

    /// The members of a set.
    pub(super) fn members(&self, number: usize) -> Vec<usize> {
        self.known.read().members[number].to_vec()
    }
}
