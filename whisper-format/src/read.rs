//! Fetch: which archive and window answer a question, and the values in it.

use crate::archive::{Archive, POINT_BYTES, Point, Window};
use crate::error::Error;
use crate::header::Header;
use crate::now::Now;
use crate::overlay::Overlay;
use crate::storage::Storage;

/// A question to a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) now: Now,
    pub(crate) archive: Option<u32>,
}

/// The answer: one value an interval, null where the slot holds another interval.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The first interval.
    pub start: i64,
    /// The interval after the last one asked for.
    pub end: i64,
    /// Seconds between two intervals.
    pub step: u32,
    count: u64,
    /// Slots in the order of the window; none if the archive has no data.
    slots: Vec<u8>,
}

impl Fetched {
    /// Number of values. It falls short of the window only where an archive was asked by its step
    /// for more than it can hold: the window then wraps over itself, as Python's does.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The values, `None` for null; a stored NaN is a value.
    pub fn values(&self) -> impl Iterator<Item = Option<f64>> {
        (0..self.count).map(|index| {
            let start = usize::try_from(index).ok()?.checked_mul(POINT_BYTES)?;
            let point = point_at(self.slots.get(start..start + POINT_BYTES)?);
            (i64::from(point.interval) == self.window().interval(index)).then_some(point.value)
        })
    }

    /// The points that are not null, as interval and value.
    pub fn points(&self) -> impl Iterator<Item = (i64, f64)> {
        let window = self.window();
        let timed = (0..).map(move |index| window.interval(index)).zip(self.values());
        timed.filter_map(|(interval, value)| Some((interval, value?)))
    }

    /// The values, NaN for null.
    pub fn column(&self) -> Vec<f64> {
        let mut column = Vec::new();
        self.fill(&mut column);
        column
    }

    /// The values, NaN for null, in place of what the column holds.
    pub fn fill(&self, column: &mut Vec<f64>) {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let (slots, _) = self.slots.as_chunks();
        let (mut next, step) = (self.start, i64::from(self.step));
        let value = |slot: &[u8; POINT_BYTES]| {
            let (point, interval) = (Point::from_bytes(slot), next);
            next = next.saturating_add(step);
            if i64::from(point.interval) == interval { point.value } else { f64::NAN }
        };
        column.clear();
        column.extend(slots.iter().take(count).map(value));
        // Of an archive without data there are no slots.
        column.resize(count, f64::NAN);
    }

    /// The intervals that were asked for.
    pub fn window(&self) -> Window {
        Window { start: self.start, end: self.end, step: self.step }
    }
}

impl Header {
    /// The finest archive that reaches back to `from`, else the coarsest.
    pub fn select_archive(&self, from: i64, now: impl Into<Now>) -> usize {
        let age = now.into().ceil().saturating_sub(from);
        let fits = |archive: &Archive| archive.retention() >= age;
        self.archives.iter().position(fits).unwrap_or(self.archives.len() - 1)
    }

    /// The archive and the window that a fetch reads; `None` if it lies outside of the file. What
    /// lays a cache over a file uses this to agree with it.
    pub fn plan_fetch(
        &self,
        from: i64,
        until: i64,
        now: impl Into<Now>,
        archive: Option<u32>,
    ) -> Result<Option<(usize, Window)>, Error> {
        let now = now.into();
        if from > until {
            return Err(Error::Interval { from, until });
        }
        let max_retention = i64::from(self.max_retention);
        let oldest = now.ceil().saturating_sub(max_retention);
        if from > now.floor() || until < oldest {
            return Ok(None);
        }
        let oldest_second = now.floor().saturating_sub(max_retention);
        let (from, index) = if from < oldest {
            (oldest_second, self.archives.len() - 1)
        } else {
            (from, self.select_archive(from, now))
        };
        let index = match archive {
            None => index,
            Some(step) => self.archive_of_step(step).ok_or(Error::UnknownStep { step })?,
        };
        Ok(Some((index, self.archives[index].window(from, until.min(now.floor())))))
    }

    /// The archive with that step.
    pub fn archive_of_step(&self, step: u32) -> Option<usize> {
        self.archives.iter().position(|archive| archive.seconds_per_point == step)
    }
}

pub(crate) fn fetch<S: Storage>(
    header: &Header,
    overlay: &mut Overlay<'_, S>,
    request: Request,
) -> Result<Option<Fetched>, Error> {
    let Request { from, until, now, archive } = request;
    match header.plan_fetch(from, until, now, archive)? {
        None => Ok(None),
        Some((index, window)) => Ok(Some(window_of(&header.archives[index], overlay, window)?)),
    }
}

/// Reads a window of one archive.
pub(crate) fn window_of<S: Storage>(
    archive: &Archive,
    overlay: &mut Overlay<'_, S>,
    window: Window,
) -> Result<Fetched, Error> {
    let Window { start, end, step } = window;
    let base = overlay.base(archive)?;
    if base == 0 {
        return Ok(Fetched { start, end, step, count: window.count(), slots: Vec::new() });
    }
    let points = u64::from(archive.points);
    // Python reads up to the slot of `end`, so a window longer than the archive wraps to its rest.
    let count = window.count().checked_sub(1).map_or(0, |last| last % points + 1);
    let whole = usize::try_from(count).unwrap_or(usize::MAX);
    let slots = overlay.read(archive, archive.slot(start, base), whole)?;
    Ok(Fetched { start, end, step, count, slots })
}

/// One point out of the bytes of a slot.
pub(crate) fn point_at(bytes: &[u8]) -> Point {
    let mut slot = [0; POINT_BYTES];
    slot.copy_from_slice(bytes);
    Point::from_bytes(&slot)
}
