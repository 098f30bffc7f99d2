//! Writing on demand: everything, what waits now, or one branch.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::Store;
use super::pending::JournalPosition;
use super::write::{Creates, Rollups, Written};
use crate::series::SeriesId;

/// Series that a thread takes at once.
const CHUNK_SERIES: usize = 256;

/// Series for which permits are asked at once.
const BUDGET_SERIES: usize = 4096;

/// Rest while the budget of updates is used up.
const BUDGET_REST: Duration = Duration::from_millis(50);

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushScope<'a> {
    /// All that waits, whatever the budget for new files, and all rollups: files are then as whisper's own updates
    /// would have left them.
    All,
    /// All points that wait, as if their time had come: new files within their budget, rollups by their own clocks.
    Due,
    /// The same as [`FlushScope::All`] for all series whose names begin so.
    Prefix(&'a str),
}

/// What a flush did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct FlushReport {
    /// Series written.
    pub series: u64,
    /// Points written.
    pub points: u64,
    /// Series whose file may not be created yet.
    pub delayed: u64,
    /// Series whose write failed; their points still wait.
    pub failed: u64,
    /// Points of any series that still wait, those included that came meanwhile.
    pub points_left: u64,
}

impl std::ops::AddAssign for FlushReport {
    fn add_assign(&mut self, other: Self) {
        self.series += other.series;
        self.points += other.points;
        self.delayed += other.delayed;
        self.failed += other.failed;
        self.points_left = other.points_left;
    }
}

#[derive(Default)]
struct Tally {
    series: AtomicU64,
    points: AtomicU64,
    delayed: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    fn add(&self, written: Written) {
        let (count, points) = match written {
            Written::Nothing => return,
            Written::Points(points) => (&self.series, points),
            Written::Delayed => (&self.delayed, 0),
            Written::Failed(_) => (&self.failed, 0),
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.points.fetch_add(points, Ordering::Relaxed);
    }
}

impl Store {
    /// Writes what `scope` says, with as many threads as there are writers, until the monotonic time `end`.
    pub(super) fn flush(&self, scope: FlushScope<'_>, end: Duration) -> FlushReport {
        let everything = scope != FlushScope::Due;
        let mut ids = self.pending.all(everything);
        if everything {
            ids.extend(self.unsettled());
        }
        if let FlushScope::Prefix(prefix) = scope {
            let fits = |name: &str| name.starts_with(prefix);
            ids.retain(|&id| self.table.with_name(id, fits).unwrap_or(false));
        }
        match scope {
            FlushScope::Due => self.flush_series(&ids, Creates::Budgeted, Rollups::Due, end),
            _ => self.flush_series(&ids, Creates::Free, Rollups::All, end),
        }
    }

    /// Writes the series whose oldest waiting points the journal has before `position`.
    pub(super) fn flush_before(&self, position: JournalPosition) -> FlushReport {
        let ids = self.pending.before(position);
        let (mut rest, mut total) = (&ids[..], FlushReport::default());
        while !rest.is_empty() && !self.stopping.load(Ordering::Relaxed) {
            let permits = self.updates.take(rest.len().min(BUDGET_SERIES), self.clock.monotonic());
            let (now, later) = rest.split_at(permits);
            total += self.flush_series(now, Creates::Budgeted, Rollups::Due, Duration::MAX);
            rest = later;
            if permits == 0 {
                thread::park_timeout(BUDGET_REST);
            }
        }
        total.points_left = self.pending.points() as u64;
        total
    }

    fn flush_series(
        &self,
        ids: &[SeriesId],
        creates: Creates,
        rollups: Rollups,
        end: Duration,
    ) -> FlushReport {
        self.secure(ids);
        let (tally, next) = (Tally::default(), AtomicUsize::new(0));
        let write = |id| tally.add(self.write(id, creates, rollups));
        let work = || self.flush_chunks(ids, &next, end, write);
        thread::scope(|threads| {
            let helpers = self.config.writer_threads.min(ids.len() / CHUNK_SERIES);
            for number in 1..helpers {
                let name = format!("carbon-flush-{number}");
                if thread::Builder::new().name(name).spawn_scoped(threads, work).is_err() {
                    // Fewer threads flush more slowly, that is all.
                    break;
                }
            }
            work();
        });
        let count = |count: AtomicU64| count.into_inner();
        FlushReport {
            series: count(tally.series),
            points: count(tally.points),
            delayed: count(tally.delayed),
            failed: count(tally.failed),
            points_left: self.pending.points() as u64,
        }
    }

    fn flush_chunks(
        &self,
        ids: &[SeriesId],
        next: &AtomicUsize,
        end: Duration,
        mut write: impl FnMut(SeriesId),
    ) {
        while self.clock.monotonic() < end {
            let start = next.fetch_add(CHUNK_SERIES, Ordering::Relaxed);
            let Some(rest) = ids.get(start..).filter(|rest| !rest.is_empty()) else { return };
            rest.iter().take(CHUNK_SERIES).for_each(|&id| write(id));
        }
    }
}
