//! One at a time for each series: nothing touches a file while something else does.
//!
//! Writers, readers and tools take the series' turn before they open its file. Turns are striped: two series may share
//! one, which costs a little waiting and no correctness.

use parking_lot::{Mutex, MutexGuard};

use crate::series::SeriesId;

/// Turns that exist. Two series of a writer's round rarely share one, and a byte each is nothing.
const TURNS: usize = 4096;

/// What can be done to one series in its turn. Merge and resize will join once the tools ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesCommand {
    /// Write the points that wait to the file.
    Append,
    /// Delete the file, what waits, and the name.
    Delete,
    /// The bytes of the file as it would be after [`SeriesCommand::Append`]; writes nothing.
    Snapshot,
}

/// What came of a [`SeriesCommand`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesOutcome {
    /// So many points went to the file.
    Appended {
        /// Distinct points written.
        points: u64,
        /// Points that still wait: the write failed, the file may not be created yet, or they came meanwhile.
        points_left: usize,
    },
    /// Whether there was such a series.
    Deleted(bool),
    /// The bytes of the file; none if the series has neither file nor points.
    Snapshot(Option<Vec<u8>>),
}

/// The turns of all series.
#[derive(Debug)]
pub(crate) struct Turns {
    turns: Box<[Mutex<()>]>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { turns: (0..TURNS).map(|_| Mutex::new(())).collect() }
    }

    /// Waits for the series' turn and holds it until the guard is dropped.
    pub(crate) fn take(&self, id: SeriesId) -> MutexGuard<'_, ()> {
        self.turns[id.0 as usize % TURNS].lock()
    }
}
