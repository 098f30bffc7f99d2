//! The points that wait to be written, by series.
//!
//! A point stays here until its write has succeeded: nothing has to be put back after a failure, and what is being
//! written can still be asked for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use metric::Map;
use parking_lot::{Mutex, MutexGuard};

use crate::series::SeriesId;

/// Parts of the pending points, each with its own lock.
pub(super) const SHARDS: usize = 64;

/// Neighbouring ids share a shard, so that a batch in the usual order takes few locks.
const IDS_SIDE_BY_SIDE: u32 = 64;

/// What an entry takes beside its points: its place in the map and in the order of arrival.
const ENTRY_BYTES: usize = 2 * size_of::<(u32, Entry)>() + size_of::<(u32, u32)>();

/// One waiting point in 12 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed {
    timestamp: u32,
    value_bits: [u32; 2],
}

impl Packed {
    fn new(timestamp: u32, value: f64) -> Self {
        let bits = value.to_bits();
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are the purpose")]
        let value_bits = [bits as u32, (bits >> 32) as u32];
        Self { timestamp, value_bits }
    }

    fn value(self) -> f64 {
        let [low, high] = self.value_bits;
        f64::from_bits(u64::from(high) << 32 | u64::from(low))
    }
}

/// What waits for one series.
#[derive(Debug, Default)]
struct Entry {
    points: Vec<Packed>,
    /// Monotonic second in which the first of them came.
    since_s: u32,
    /// Writes that failed in a row.
    failures: u8,
}

/// What waits in one shard.
#[derive(Debug, Default)]
struct Shard {
    entries: Map<u32, Entry>,
    /// When and which entries began, oldest first. Some may be gone or younger by now.
    arrivals: VecDeque<(u32, u32)>,
    /// Entries that have reached the number of points at which they are due.
    hurried: Vec<u32>,
}

/// All waiting points.
#[derive(Debug)]
pub(super) struct Pending {
    shards: Box<[Mutex<Shard>]>,
    points: AtomicUsize,
    bytes: AtomicUsize,
    series_points_due: usize,
}

impl Pending {
    pub(super) fn new(series_points_due: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            points: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            series_points_due: series_points_due.max(1),
        }
    }

    fn shard(&self, id: u32) -> MutexGuard<'_, Shard> {
        self.shards[shard_of(id)].lock()
    }

    /// Adds points; calls `active` where a series has a point of a new hour.
    pub(super) fn append(
        &self,
        points: &[(SeriesId, u32, f64)],
        now_s: u32,
        mut active: impl FnMut(SeriesId, u32),
    ) {
        let mut bytes = 0;
        for run in points.chunk_by(|a, b| shard_of(a.0.0) == shard_of(b.0.0)) {
            let mut shard = self.shard(run[0].0.0);
            let Shard { entries, arrivals, hurried } = &mut *shard;
            for &(id, timestamp, value) in run {
                let entry = entries.entry(id.0).or_default();
                let previous = entry.points.last().map(|point| point.timestamp / 3600);
                if previous != Some(timestamp / 3600) {
                    active(id, timestamp);
                }
                if entry.points.is_empty() {
                    entry.since_s = now_s;
                    arrivals.push_back((now_s, id.0));
                    bytes += ENTRY_BYTES;
                }
                let before = entry.points.capacity();
                if entry.points.len() == before {
                    // Most series hold few points: doubling would leave half of the memory empty.
                    entry.points.reserve_exact(before / 4 + 2);
                }
                entry.points.push(Packed::new(timestamp, value));
                bytes += (entry.points.capacity() - before) * size_of::<Packed>();
                if entry.points.len() == self.series_points_due {
                    hurried.push(id.0);
                }
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.points.fetch_add(points.len(), Ordering::Relaxed);
    }

    /// What waits for a series, in the order of arrival.
    pub(super) fn of(&self, id: SeriesId) -> Vec<(u32, f64)> {
        let shard = self.shard(id.0);
        let points = shard.entries.get(&id.0).map_or(&[][..], |entry| &entry.points);
        points.iter().map(|point| (point.timestamp, point.value())).collect()
    }

    /// Takes out the first `count` points of a series: they are on disk, or of no use.
    pub(super) fn confirm(&self, id: SeriesId, count: usize, now_s: u32) {
        let mut shard = self.shard(id.0);
        let Some(entry) = shard.entries.get_mut(&id.0) else { return };
        let count = count.min(entry.points.len());
        let capacity = entry.points.capacity();
        self.points.fetch_sub(count, Ordering::Relaxed);
        if count == entry.points.len() {
            shard.entries.remove(&id.0);
            let bytes = ENTRY_BYTES + capacity * size_of::<Packed>();
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        entry.points.drain(..count);
        entry.failures = 0;
        entry.since_s = now_s;
        shard.arrivals.push_back((now_s, id.0));
    }

    /// Takes note of a failed write; returns how many there have been in a row.
    pub(super) fn failed(&self, id: SeriesId) -> u8 {
        let mut shard = self.shard(id.0);
        let Some(entry) = shard.entries.get_mut(&id.0) else { return 0 };
        entry.failures = entry.failures.saturating_add(1);
        entry.failures
    }

    /// Takes all points of a series out; returns how many there were.
    pub(super) fn discard(&self, id: SeriesId) -> usize {
        let count = self.of(id).len();
        self.confirm(id, count, 0);
        count
    }

    /// Up to `limit` series of a shard that are due: many points wait, or the first came at or before `until_s`.
    pub(super) fn take_due(
        &self,
        shard: usize,
        until_s: i64,
        limit: usize,
        due: &mut Vec<SeriesId>,
    ) {
        let mut shard = self.shards[shard].lock();
        let Shard { entries, arrivals, hurried } = &mut *shard;
        let end = due.len() + limit;
        while due.len() < end {
            let Some(id) = hurried.pop() else { break };
            due.push(SeriesId(id));
        }
        while due.len() < end {
            let Some(&(since_s, id)) = arrivals.front() else { break };
            if i64::from(since_s) > until_s {
                break;
            }
            arrivals.pop_front();
            if entries.get(&id).is_some_and(|entry| entry.since_s == since_s) {
                due.push(SeriesId(id));
            }
        }
    }

    /// All series with waiting points, ascending.
    pub(super) fn all(&self) -> Vec<SeriesId> {
        let ids = |shard: &Mutex<Shard>| -> Vec<SeriesId> {
            shard.lock().entries.keys().copied().map(SeriesId).collect()
        };
        let mut all: Vec<SeriesId> = self.shards.iter().flat_map(ids).collect();
        all.sort_unstable();
        all
    }

    pub(super) fn points(&self) -> usize {
        self.points.load(Ordering::Relaxed)
    }

    /// Number of series with waiting points.
    pub(super) fn series(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().entries.len()).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn shard_of(id: u32) -> usize {
    (id / IDS_SIDE_BY_SIDE) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SeriesId = SeriesId(1);
    const B: SeriesId = SeriesId(70);

    fn due(pending: &Pending, until_s: i64) -> Vec<SeriesId> {
        let mut due = Vec::new();
        for shard in 0..SHARDS {
            pending.take_due(shard, until_s, 100, &mut due);
        }
        due
    }

    #[test]
    fn points_are_counted_until_the_last_is_confirmed() {
        let pending = Pending::new(100);
        pending.append(&[(A, 60, 1.5), (B, 60, -0.0), (A, 120, f64::MIN)], 7, |_, _| {});
        assert_eq!((pending.points(), pending.all()), (3, vec![A, B]));
        assert_eq!(pending.of(A), [(60, 1.5), (120, f64::MIN)]);
        pending.confirm(A, 1, 8);
        assert_eq!(pending.of(A), [(120, f64::MIN)]);
        assert_eq!(pending.discard(A), 1);
        assert!(pending.of(B)[0].1.is_sign_negative());
        pending.confirm(B, 1, 8);
        assert_eq!((pending.points(), pending.bytes()), (0, 0));
    }

    #[test]
    fn a_series_is_due_by_age_or_by_number_and_once() {
        let pending = Pending::new(3);
        pending.append(&[(A, 60, 1.0)], 10, |_, _| {});
        assert_eq!(due(&pending, 9), []);
        assert_eq!(due(&pending, 10), [A]);
        assert_eq!(due(&pending, 10), []);
        pending.confirm(A, 1, 11);
        pending.append(&[(B, 60, 1.0), (B, 120, 1.0), (B, 180, 1.0)], 20, |_, _| {});
        assert_eq!(due(&pending, 0), [B]);
    }

    #[test]
    fn each_new_hour_of_a_series_is_told() {
        let pending = Pending::new(100);
        let mut hours = Vec::new();
        let points = [(A, 10, 0.0), (A, 20, 0.0), (A, 3600, 0.0), (B, 3700, 0.0)];
        pending.append(&points, 0, |id, timestamp| hours.push((id, timestamp)));
        assert_eq!(hours, [(A, 10), (A, 3600), (B, 3700)]);
    }
}
