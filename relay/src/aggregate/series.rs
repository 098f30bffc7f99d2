//! The output series of a rule: names to numbers, and what each holds.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::rows::Rows;

/// A series with at least one open window.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// The output's name, places for method and window unfilled.
    pub(super) name: Box<str>,
    pub(super) rows: Rows,
    /// When it is looked at next; an entry of the agenda for another time is void.
    pub(super) due: i64,
}

/// What a series costs besides its name and rows: its place here, in the table and in the agenda.
const SERIES_BYTES: usize = size_of::<Series>() + 24;

/// All series by number; a number whose series has gone is used again.
#[derive(Debug, Default)]
pub(super) struct AllSeries {
    by_name: HashTable<u32>,
    hasher: RandomState,
    series: Vec<Series>,
    free: Vec<u32>,
    names_bytes: usize,
}

impl AllSeries {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The number of a series that is there.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.by_name.find(hash, |id| *self.series[*id as usize].name == *name).copied()
    }

    /// The number of a new series, one that `find` has not found.
    pub(super) fn insert(&mut self, name: &str) -> u32 {
        let series = Series { name: name.into(), rows: Rows::default(), due: i64::MAX };
        self.names_bytes += name.len();
        let id = match self.free.pop() {
            Some(id) => {
                self.series[id as usize] = series;
                id
            }
            None => {
                // An eighth more at a time: doubling would leave half of a large list unused.
                if self.series.len() == self.series.capacity() {
                    self.series.reserve_exact(self.series.len() / 8 + 16);
                }
                self.series.push(series);
                u32::try_from(self.series.len() - 1).expect("memory ends before 2^32 series do")
            }
        };
        let (all, hasher) = (&self.series, &self.hasher);
        let hash_of = |id: &u32| hasher.hash_one(&*all[*id as usize].name);
        self.by_name.insert_unique(hasher.hash_one(name), id, hash_of);
        id
    }

    /// Forgets a series.
    pub(super) fn remove(&mut self, id: u32) {
        let series = std::mem::take(&mut self.series[id as usize]);
        self.names_bytes -= series.name.len();
        let hash = self.hasher.hash_one(&*series.name);
        if let Ok(entry) = self.by_name.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    pub(super) fn get(&self, id: u32) -> &Series {
        &self.series[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut Series {
        &mut self.series[id as usize]
    }

    /// The numbers of all series that are there.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.by_name.iter().copied().collect()
    }

    /// The bytes of all series without their rows.
    pub(super) fn bytes(&self) -> usize {
        self.names_bytes + self.len() * SERIES_BYTES
    }
}
