//! After a death: which series may lack rollups that the node had computed and not written.
//!
//! Points are written long before the rollups of their open intervals. A node that dies leaves a mark behind; the next
//! one computes the rollups of the last hours again, of each series when it is written, and of all others little by
//! little. Reads do the same in memory until then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::Store;
use crate::series::SeriesId;

/// The file that exists while a node runs, and after it has died.
const MARK: &str = "rollups-owed";

/// The series that were there when a node started after a death.
#[derive(Debug)]
pub(super) struct Recovery {
    mark: PathBuf,
    end: u32,
    next: AtomicU32,
}

impl Recovery {
    /// Leaves the mark; `id_end` is above all ids there are.
    pub(super) fn begin(folder: &Path, id_end: u32) -> io::Result<Self> {
        let mark = folder.join(MARK);
        let end = if mark.try_exists()? { id_end } else { 0 };
        File::create(&mark)?.sync_all()?;
        Ok(Self { mark, end, next: AtomicU32::new(0) })
    }

    /// Takes the mark away: all files have their rollups.
    pub(super) fn end_cleanly(&self) {
        if let Err(error) = fs::remove_file(&self.mark) {
            // It costs the next start some work and nothing else.
            tracing::warn!(%error, "mark of an unclean stop cannot be removed");
        }
    }

    /// Whether the series may lack rollups, unless it has been written since.
    pub(super) fn concerns(&self, id: SeriesId) -> bool {
        id.0 < self.end
    }

    /// Whether every series has been handed out.
    pub(super) fn is_over(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.end
    }

    /// The next series to look after, each once.
    pub(super) fn take(&self, count: usize) -> std::ops::Range<u32> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let first = self.next.load(Ordering::Relaxed).min(self.end);
        let last = first.saturating_add(count).min(self.end);
        let taken = self.next.compare_exchange(first, last, Ordering::Relaxed, Ordering::Relaxed);
        let last = if taken.is_ok() { last } else { first };
        first..last
    }
}

impl Store {
    /// Series that may still lack rollups from before the start.
    pub(super) fn unsettled(&self) -> Vec<SeriesId> {
        let ids = (0..self.table.id_end()).map(SeriesId);
        let concerned = ids.take_while(|&id| self.recovery.concerns(id));
        concerned.filter(|&id| self.table.is_living(id) && !self.pending.is_settled(id)).collect()
    }
}
