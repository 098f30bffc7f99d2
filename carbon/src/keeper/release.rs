//! The thread that lets segments of the journal go, and has series written so that they can.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::park_timeout;
use std::time::Duration;

use daemon::{Clock, Context, Shutdown};

use super::Keeper;
use crate::engine::JournalPosition;
use crate::journal::{Durability, Position, Record, SegmentInfo};
use crate::series::SeriesId;

/// How often it is looked whether a segment is done with.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// What a start reads back in a second, tails and all. Measured on two busy cores: 5 million points
/// of 20,000 series, 62 MB of journal, in 2.5 s.
const REPLAY_BYTES_PER_SECOND: u64 = 20 << 20;

/// With this part of what the journal may hold, series are written so that it does not get there.
const PRESSURE_PART: u64 = 2;

/// What a point takes in a checkpoint: its series' points stand side by side.
const POINT_BYTES: u64 = 5;

/// What it costs the disk to write a few points of a series before their time: the block that they lie in.
const FILE_VISIT_BYTES: u64 = 4096;

/// A checkpoint writes at most this part of what it lets go, or the journal would be copied again and again.
const COPIED_PART_MAX: u64 = 2;

pub(super) struct Release {
    /// Nobody's death waits for this thread.
    keeper: Weak<Keeper>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
}

impl Release {
    pub(super) fn new(keeper: Weak<Keeper>, context: &Context) -> Self {
        let (clock, shutdown) = (Arc::clone(&context.clock), context.shutdown.clone());
        Self { keeper, clock, shutdown }
    }

    pub(super) fn run(&mut self) {
        while !self.shutdown.is_fired() {
            let Some(keeper) = self.keeper.upgrade() else { return };
            keeper.beat(self.clock.now_unix_seconds());
            keeper.release_written();
            keeper.hurry_oldest();
            drop(keeper);
            park_timeout(ROUND_INTERVAL);
        }
    }
}

impl Keeper {
    /// Deletes the segments whose points are all in files.
    pub(super) fn release_written(&self) {
        let first_needed = self.first_needed();
        let is_done = |segment: &SegmentInfo| {
            segment.number < first_needed && segment.replayed && !segment.open
        };
        let segments = self.journal.segments();
        let is_noted = || self.holes.save(true) && self.senders.save(self.journal.synced());
        if segments.first().is_some_and(is_done) && is_noted() && self.sync_files() {
            self.journal.release_before(first_needed);
        }
        let is_full = self.journal_bytes() >= self.config.journal_bytes_max;
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            tracing::warn!(is_full, "the journal is as large as it may be, or is not any more");
        }
        if !is_full {
            self.room_again.notify_waiters();
        }
    }

    /// The first segment with a point that is in no file.
    fn first_needed(&self) -> u64 {
        // Whoever is between journal and engine has a position at or after this one, or is in both already.
        let alone = self.gate.write();
        let ceiling = self.segment_of(self.journal.appended());
        drop(alone);
        let oldest = self.engine.oldest_position().unwrap_or(ceiling);
        oldest.min(ceiling).0.into()
    }

    /// Makes the journal shorter when reading it at the next start would take too long: the points of its oldest segments
    /// go into their files before their time or, where that costs less, once more into the journal.
    pub(super) fn hurry_oldest(&self) {
        if self.is_replaying.load(Ordering::Relaxed) {
            return;
        }
        let mut bytes_left = self.journal_bytes();
        let mut last = None;
        let mut freed_bytes = 0;
        for segment in self.journal.segments() {
            if bytes_left <= self.hurry_bytes() || segment.open {
                break;
            }
            bytes_left -= segment.bytes.min(bytes_left);
            freed_bytes += segment.bytes;
            last = Some(segment);
        }
        let Some(last) = last else { return };
        let before = JournalPosition(u32::try_from(last.number + 1).unwrap_or(u32::MAX));
        let (series, points) = self.engine.waiting_before(before);
        let copied_bytes = points as u64 * POINT_BYTES;
        let file_bytes = series.len() as u64 * FILE_VISIT_BYTES;
        let pays = copied_bytes < file_bytes && copied_bytes <= freed_bytes / COPIED_PART_MAX;
        if !pays || !self.checkpoint(last.last, &series) {
            let report = self.engine.flush_before(before);
            self.counters.hurried.add(report.series);
        }
        self.release_written();
    }

    /// Writes all that waits in `series` once more to the journal, so that what it has up to `covered` can go; false if
    /// that is not safe on the disk.
    fn checkpoint(&self, covered: Position, series: &[SeriesId]) -> bool {
        // With the segments their names go.
        if !self.engine.sync_names() {
            return false;
        }
        // Whoever has journalled a batch before this has also handed it to the engine.
        let alone = self.gate.write();
        let begin = self.segment_of(self.journal.appended());
        drop(alone);
        let tails = series.iter().map(|&id| (id, self.engine.pending(id)));
        let written = self.journal.checkpoint(covered, tails);
        let synced = written.and_then(|at| self.journal.wait_blocking(at, Durability::Synced));
        if let Err(error) = &synced {
            tracing::warn!(%error, "no checkpoint, the files are written instead");
            return false;
        }
        self.engine.journalled_again(series, begin);
        // Its own segments end here, so that they can go as well, though nothing else may be written for long.
        self.journal.rotate();
        let end = self.journal.append(&[Record::Checkpoint { covered }]);
        self.journal.want(end, Durability::Written);
        self.counters.checkpoints.inc();
        true
    }

    fn hurry_bytes(&self) -> u64 {
        let seconds = self.config.replay_budget.as_secs().max(1);
        let readable = seconds.saturating_mul(REPLAY_BYTES_PER_SECOND);
        readable.min(self.config.journal_bytes_max / PRESSURE_PART)
    }
}
