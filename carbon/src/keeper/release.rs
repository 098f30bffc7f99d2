//! The thread that lets segments of the journal go, and has series written so that they can.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::thread::park_timeout;
use std::time::Duration;

use daemon::Shutdown;

use super::Keeper;
use crate::engine::JournalPosition;
use crate::journal::SegmentInfo;

/// How often it is looked whether a segment is done with.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// What a start reads back in a second, tails and all. Measured on two busy cores: 5 million points
/// of 20,000 series, 62 MB of journal, in 2.5 s.
const REPLAY_BYTES_PER_SECOND: u64 = 20 << 20;

/// With this part of what the journal may hold, series are written so that it does not get there.
const PRESSURE_PART: u64 = 2;

pub(super) struct Release {
    /// Nobody's death waits for this thread.
    keeper: Weak<Keeper>,
    shutdown: Shutdown,
}

impl Release {
    pub(super) fn new(keeper: Weak<Keeper>, shutdown: Shutdown) -> Self {
        Self { keeper, shutdown }
    }

    pub(super) fn run(&mut self) {
        while !self.shutdown.is_fired() {
            let Some(keeper) = self.keeper.upgrade() else { return };
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
        if segments.first().is_some_and(is_done) && self.sync_files() {
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

    /// Has the series of the oldest segments written when reading the journal at the next start would take too long.
    pub(super) fn hurry_oldest(&self) {
        if self.is_replaying.load(Ordering::Relaxed) {
            return;
        }
        let mut bytes_left = self.journal_bytes();
        let mut written_before = None;
        for segment in self.journal.segments() {
            if bytes_left <= self.hurry_bytes() || segment.open {
                break;
            }
            bytes_left -= segment.bytes.min(bytes_left);
            written_before = Some(segment.number + 1);
        }
        let Some(before) = written_before else { return };
        let before = JournalPosition(u32::try_from(before).unwrap_or(u32::MAX));
        let report = self.engine.flush_before(before);
        self.counters.hurried.add(report.series);
        self.release_written();
    }

    fn hurry_bytes(&self) -> u64 {
        let seconds = self.config.replay_budget.as_secs().max(1);
        let readable = seconds.saturating_mul(REPLAY_BYTES_PER_SECOND);
        readable.min(self.config.journal_bytes_max / PRESSURE_PART)
    }
}
