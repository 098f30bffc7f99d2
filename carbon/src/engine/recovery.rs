//! After a death: which series may lack rollups that the node had computed and not written.
//!
//! Points are written long before the rollups of their open intervals. A node that dies leaves a mark behind; the next
//! one computes the rollups of the last hours again, of each series when it is written, and of all others little by
//! little. Reads do the same in memory until then.
//!
//! Points that come back from the journal may be in the file already. They are not written again: one that has grown too
//! old for the finest archive meanwhile would go into the next one, over the rollup that was computed from it, and a
//! rollup would be computed anew when a part of its points is gone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use whisper::{Storage, Whisper};

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
    /// When the first of the points came that the journal gave back, in seconds since 1970.
    received_from_s: AtomicI64,
}

impl Recovery {
    /// Leaves the mark; `id_end` is above all ids there are.
    pub(super) fn begin(folder: &Path, id_end: u32) -> io::Result<Self> {
        let mark = folder.join(MARK);
        let end = if mark.try_exists()? { id_end } else { 0 };
        File::create(&mark)?.sync_all()?;
        let (next, received_from_s) = (AtomicU32::new(0), AtomicI64::new(i64::MAX));
        Ok(Self { mark, end, next, received_from_s })
    }

    /// Points that came since `seconds` will come back from the journal.
    pub(super) fn expect_since(&self, seconds: i64) {
        self.received_from_s.store(seconds, Ordering::Relaxed);
    }

    /// When the first of the points came that came back.
    pub(super) fn received_from_s(&self) -> i64 {
        self.received_from_s.load(Ordering::Relaxed)
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

/// Without the points that the file has, of those that a journal may have given back. A point in its slot is one; so is
/// one that came while the finest archive covered it, and whose slot has a newer one by now. A point in the future only
/// counts as newer if it comes back with them.
pub(super) fn not_in_file<S: Storage>(
    file: &Whisper<S>,
    batch: &[(i64, f64)],
    received_from_s: i64,
    now: i64,
) -> Result<Vec<(i64, f64)>, whisper::Error> {
    let finest = file.header().archives[0];
    let step = i64::from(finest.seconds_per_point);
    let base = file.base_interval(0)?;
    let Some((first, last)) = batch.first().zip(batch.last()).filter(|_| base != 0) else {
        return Ok(batch.to_vec());
    };
    let start = finest.align(first.0);
    let count = (finest.align(last.0) - start) / step + 1;
    let count = u32::try_from(count).unwrap_or(u32::MAX).min(finest.points);
    let slots = file.slots(0, finest.slot(start, base), count)?;
    let comes_back = |interval| batch.iter().any(|point| finest.align(point.0) == interval);
    let is_written = |&(timestamp, value): &(i64, f64)| {
        let interval = finest.align(timestamp);
        let at = usize::try_from((interval - start) / step).unwrap_or(usize::MAX);
        let Some(found) = slots.get(at % finest.points as usize) else { return false };
        let came_in_time = timestamp >= received_from_s.saturating_sub(finest.retention());
        match i64::from(found.interval) {
            same if same == interval => found.value.to_bits() == value.to_bits(),
            other => other > interval && came_in_time && (other <= now || comes_back(other)),
        }
    };
    let same_slot = |a: &(i64, f64), b: &(i64, f64)| finest.align(a.0) == finest.align(b.0);
    let of_slots = batch.chunk_by(same_slot);
    // Of several points in one slot the last one is there.
    let kept = of_slots.filter(|points| !points.last().is_some_and(is_written));
    Ok(kept.flatten().copied().collect())
}

impl Store {
    /// Series that may still lack rollups from before the start.
    pub(super) fn unsettled(&self) -> Vec<SeriesId> {
        let ids = (0..self.table.id_end()).map(SeriesId);
        let concerned = ids.take_while(|&id| self.recovery.concerns(id));
        concerned.filter(|&id| self.table.is_living(id) && !self.pending.is_settled(id)).collect()
    }
}
