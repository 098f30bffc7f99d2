//! Where the journal is still needed.

use std::collections::BTreeMap;

use super::JournalPosition;

/// How many series have their oldest waiting point at which position of the journal. There are few positions: one for
/// each segment.
#[derive(Debug, Default)]
pub(super) struct Positions {
    series: BTreeMap<JournalPosition, usize>,
}

impl Positions {
    pub(super) fn add(&mut self, position: JournalPosition) {
        *self.series.entry(position).or_default() += 1;
    }

    pub(super) fn remove(&mut self, position: JournalPosition) {
        if let Some(series) = self.series.get_mut(&position) {
            *series -= 1;
            if *series == 0 {
                self.series.remove(&position);
            }
        }
    }

    /// The oldest one.
    pub(super) fn first(&self) -> Option<JournalPosition> {
        self.series.keys().next().copied()
    }
}
