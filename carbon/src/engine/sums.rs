//! Sums over what series hold, by which nodes are compared; docs/formats/summaries.md has the bytes.
//!
//! The part of a series that no point will change any more is kept as a sum, until a point, a merge or somebody else
//! changes it after all. All that is added is read in the series' turn; what is kept is dropped after a point has come,
//! so that whoever read before it cannot keep what it read.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use whisper::{Archive, Error, Storage, Whisper};
use wire::summaries::{Digest, EXPIRY_MARGIN_S, SeriesKey, SettledView, point};

use super::{Engine, ReadError, Store};
use crate::series::SeriesId;

/// What is kept of a series: 16 bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Kept {
    sum: u64,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Nothing,
    /// Somebody reads the file to make a sum.
    Begun,
    /// The sum goes up to here, in seconds since 1970.
    Until(u32),
}

/// The sums of all series.
#[derive(Debug, Default)]
pub(super) struct Sums {
    kept: Mutex<KeptSums>,
    /// A point of a time before this may change a sum; 0 as long as there are none.
    floor: AtomicU32,
    /// A point of this time or later may push an old one out of its slot.
    ceiling: AtomicU32,
}

#[derive(Debug, Default)]
struct KeptSums {
    /// The moment before which no interval of a sum expires.
    held: i64,
    by_id: Vec<Kept>,
}

impl KeptSums {
    fn of(&mut self, id: SeriesId) -> &mut Kept {
        let at = id.0 as usize;
        if self.by_id.len() <= at {
            self.by_id.resize(at + 1, Kept::default());
        }
        &mut self.by_id[at]
    }
}

impl Sums {
    /// Drops the sums that points change which have just been appended.
    pub(super) fn note(&self, points: &[(SeriesId, u32, f64)]) {
        let floor = self.floor.load(Ordering::Acquire);
        if floor == 0 {
            return;
        }
        let ceiling = self.ceiling.load(Ordering::Acquire);
        let mut late = points.iter().filter(|point| point.1 < floor || point.1 >= ceiling);
        if let Some(first) = late.next() {
            let mut kept = self.kept.lock();
            std::iter::once(first)
                .chain(late)
                .for_each(|point| *kept.of(point.0) = Kept::default());
        }
    }

    /// Drops the sum of a series whose file has changed.
    pub(super) fn drop_one(&self, id: SeriesId) {
        if let Some(kept) = self.kept.lock().by_id.get_mut(id.0 as usize) {
            *kept = Kept::default();
        }
    }

    /// Whether the settled part need not be read.
    fn has(&self, id: SeriesId, view: SettledView) -> bool {
        let mut kept = self.kept.lock();
        kept.held == view.held && kept.of(id).state == State::Until(seconds(view.settled))
    }

    /// What is known of the settled part; from now on points that change it are noted.
    fn begin(&self, id: SeriesId, view: SettledView) -> Kept {
        let mut kept = self.kept.lock();
        if kept.held != view.held {
            *kept = KeptSums { held: view.held, by_id: Vec::new() };
            self.floor.store(0, Ordering::Release);
            self.ceiling.store(seconds(view.held), Ordering::Release);
        }
        self.floor.fetch_max(seconds(view.settled), Ordering::Release);
        let one = kept.of(id);
        let found = *one;
        match found.state {
            State::Until(until) if until <= seconds(view.settled) => found,
            _ => {
                *one = Kept { sum: 0, state: State::Begun };
                *one
            }
        }
    }

    /// Keeps a sum, unless something has come meanwhile that `found` did not know of.
    fn keep(&self, id: SeriesId, view: SettledView, found: Kept, sum: u64) {
        let mut kept = self.kept.lock();
        if kept.held == view.held && *kept.of(id) == found {
            *kept.of(id) = Kept { sum, state: State::Until(seconds(view.settled)) };
        }
    }
}

fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}

/// The sums of the two parts of a view.
#[derive(Debug, Default, Clone, Copy)]
struct Parts {
    settled: u64,
    fresh: u64,
    layout: u64,
}

impl Engine {
    /// Whether the digest of the series can be told without reading all of its file.
    pub(crate) fn keeps_sum(&self, id: SeriesId, view: SettledView) -> bool {
        self.store.sums.has(id, view)
    }

    /// The digest of what the series holds of a view.
    pub(crate) fn digest(
        &self,
        id: SeriesId,
        key: SeriesKey,
        view: SettledView,
    ) -> Result<Digest, ReadError> {
        let store = &self.store;
        let (Some(path), Some(name)) = (store.path(id), store.table.name(id)) else {
            return Ok(key.digest(0));
        };
        let _turn = store.turns.take(id);
        let found = store.sums.begin(id, view);
        let known = match found.state {
            State::Until(until) => Some(i64::from(until)),
            State::Nothing | State::Begun => None,
        };
        let parts = store.sum_parts(id, (&name, &path), key, (view, known));
        let parts = parts.map_err(|source| ReadError::file(path, source))?;
        let settled = found.sum.wrapping_add(parts.settled);
        store.sums.keep(id, view, found, settled);
        Ok(key.digest(settled.wrapping_add(parts.fresh).wrapping_add(parts.layout)))
    }
}

impl Store {
    /// The settled part of a series since `known`, or all of it, and the fresh one.
    fn sum_parts(
        &self,
        id: SeriesId,
        (name, path): (&str, &std::path::Path),
        key: SeriesKey,
        (view, known): (SettledView, Option<i64>),
    ) -> Result<Parts, Error> {
        let look = self.pending.look(id);
        let waiting = look.batch();
        let now = self.clock.now_unix_seconds();
        match self.open_for_reading(path)? {
            Some(file) if waiting.is_empty() && !self.is_owed(id, &look) => {
                parts(&file, key, view, known)
            }
            Some(file) => parts(&self.patched(file, id, &look, now)?, key, view, known),
            None if waiting.is_empty() => Ok(Parts::default()),
            None => parts(&self.new_in_memory(name, &waiting, now)?, key, view, known),
        }
    }
}

fn parts<S: Storage>(
    file: &Whisper<S>,
    key: SeriesKey,
    view: SettledView,
    known: Option<i64>,
) -> Result<Parts, Error> {
    let mut parts = Parts::default();
    for archive in &file.header().archives {
        let archive_key = key.archive(archive.seconds_per_point, archive.points);
        let sum = |from_now: i64, after: Option<i64>, until: i64| {
            let points = points(file, archive, (from_now, after, until), view.now)?;
            Ok(points.iter().fold(0_u64, |sum, &(interval, value)| {
                sum.wrapping_add(point(archive_key, interval, value))
            }))
        };
        let settled: Result<u64, Error> = sum(view.held, known, view.settled);
        parts.settled = parts.settled.wrapping_add(settled?);
        parts.fresh = parts.fresh.wrapping_add(sum(view.now, Some(view.settled), view.until)?);
        parts.layout = parts.layout.wrapping_add(archive_key);
    }
    Ok(parts)
}

/// The points of an archive that do not expire before `held`, and whose intervals end after `after` and not after `until`.
fn points<S: Storage>(
    file: &Whisper<S>,
    archive: &Archive,
    (held, after, until): (i64, Option<i64>, i64),
    now: i64,
) -> Result<Vec<(i64, f64)>, Error> {
    let step = i64::from(archive.seconds_per_point);
    let oldest = held.saturating_sub(archive.retention()).saturating_add(step + EXPIRY_MARGIN_S);
    // Up to a whole step.
    let oldest = archive.align(oldest.saturating_add(step - 1));
    let first = after.map_or(oldest, |after| oldest.max(archive.align(after)));
    let last = archive.align(until) - step;
    if first > last {
        return Ok(Vec::new());
    }
    let fetched = file.fetch(first - step, last, now, Some(archive.seconds_per_point))?;
    let fetched = fetched.map_or_else(Vec::new, |fetched| fetched.points().collect());
    Ok(fetched)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: SettledView =
        SettledView { now: 9_000, until: 8_940, settled: 7_200, held: 10_800 };
    const ID: SeriesId = SeriesId(3);

    #[test]
    fn whoever_read_the_file_before_a_late_point_keeps_nothing() {
        let sums = Sums::default();
        let found = sums.begin(ID, VIEW);
        sums.note(&[(ID, 7_199, 1.0)]);
        sums.keep(ID, VIEW, found, 5);
        assert!(!sums.has(ID, VIEW));
        let found = sums.begin(ID, VIEW);
        sums.note(&[(ID, 7_200, 1.0), (SeriesId(4), 1, 1.0)]);
        sums.keep(ID, VIEW, found, 5);
        assert!(sums.has(ID, VIEW));
        assert_eq!(sums.begin(ID, VIEW).sum, 5);
        let later = SettledView { settled: 8_000, ..VIEW };
        let found = sums.begin(ID, later);
        assert_eq!(found, Kept { sum: 5, state: State::Until(7_200) });
        sums.note(&[(ID, 7_300, 1.0)]);
        sums.keep(ID, later, found, 6);
        assert!(!sums.has(ID, later) && !sums.has(ID, VIEW));
    }

    #[test]
    fn another_time_to_hold_or_an_earlier_one_to_settle_begins_anew() {
        let sums = Sums::default();
        let kept = |view: SettledView, sum: u64| {
            let found = sums.begin(ID, view);
            sums.keep(ID, view, found, sum);
            found.state
        };
        assert_eq!(kept(VIEW, 5), State::Begun);
        assert_eq!(kept(SettledView { settled: 3_600, ..VIEW }, 4), State::Begun);
        let held = SettledView { held: 21_600, ..VIEW };
        let found = sums.begin(ID, VIEW);
        assert_eq!(kept(held, 7), State::Begun);
        sums.keep(ID, VIEW, found, 5);
        assert!(sums.has(ID, held) && !sums.has(ID, VIEW));
    }

    #[test]
    fn a_series_takes_16_bytes() {
        assert_eq!(size_of::<Kept>(), 16);
    }
}
