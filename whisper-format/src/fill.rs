//! Fill: holes of one file closed from another, without touching what is there.

use crate::archive::{Archive, POINT_BYTES, Point, Window, floor_to};
use crate::error::Error;
use crate::header::Header;
use crate::now::Now;
use crate::open::Whisper;
use crate::overlay::Overlay;
use crate::propagate::{put_rollup, rollups};
use crate::read::{self, Fetched, point_at};
use crate::storage::Storage;

mod like;

pub use like::{Like, LikeCarbonate, fill_like};

/// What a fill may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Leave everything up to this time alone.
    pub from: Option<i64>,
    /// Take every point of the source, also over points that are there.
    pub overwrite: bool,
}

/// Fills the slots of `dst` that hold no point of their interval from the archive of `src` with
/// the same step, and nothing else: 0.0 is a point, and so is NaN. A rollup above a filled slot is
/// computed again if it is missing, or if it is exactly what its slots gave before; one that is
/// not (its slots have expired, or it came from elsewhere) knows more than they do and stays.
///
/// Archives without a counterpart are only rolled up into; files without any common step are
/// [`Error::Unlike`].
pub fn fill<A: Storage, B: Storage>(
    src: &Whisper<A>,
    dst: &mut Whisper<B>,
    options: Fill,
    now: impl Into<Now>,
) -> Result<(), Error> {
    let now = now.into();
    let source_of = |archive: &Archive| src.header().archive_of_step(archive.seconds_per_point);
    let header = dst.header();
    if header.archives.iter().all(|archive| source_of(archive).is_none()) {
        return Err(Error::Unlike);
    }
    let runs = {
        let mut staged = dst.overlay();
        let mut original = dst.overlay();
        let mut changed = Vec::new();
        for (index, archive) in header.archives.iter().enumerate() {
            let mut rollups = Rollups { header, lower: index, now, changed };
            let mut written = rollups.update(&mut staged, &mut original)?;
            if let Some(source) = source_of(archive) {
                let source = &src.header().archives[source];
                let window = live_window(archive, source, options, now);
                let fetched = read::window_of(source, &mut src.overlay(), window)?;
                written.extend(fill_archive(archive, &mut staged, &fetched, options)?);
            }
            written.extend(rollups.complete(&mut staged)?);
            written.sort_unstable();
            written.dedup();
            changed = written;
        }
        staged.into_runs()
    };
    dst.commit(runs)
}

/// The intervals that both archives cover.
fn live_window(archive: &Archive, source: &Archive, options: Fill, now: Now) -> Window {
    let now = now.floor();
    let span = archive.retention().min(source.retention());
    let oldest = now.saturating_sub(span);
    archive.window(options.from.unwrap_or(oldest).clamp(oldest, now), now)
}

/// Stages the source's points where the archive has none; returns their intervals.
fn fill_archive<S: Storage>(
    archive: &Archive,
    staged: &mut Overlay<'_, S>,
    fetched: &Fetched,
    options: Fill,
) -> Result<Vec<i64>, Error> {
    let window = fetched.window();
    let mut base = staged.base(archive)?;
    let mut first = archive.slot(window.start, base);
    let count = usize::try_from(window.count()).unwrap_or(usize::MAX);
    let slots = if base == 0 { Vec::new() } else { staged.read(archive, first, count)? };
    let mut written = Vec::new();
    for (interval, value) in fetched.points() {
        let Ok(stored) = u32::try_from(interval) else {
            continue;
        };
        if base == 0 {
            base = stored;
            first = archive.slot(window.start, base);
        }
        let index = u64::try_from(interval - window.start).unwrap_or(0) / u64::from(window.step);
        let at = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(POINT_BYTES);
        let held = slots.get(at..at.saturating_add(POINT_BYTES)).map(point_at);
        if held.is_some_and(|held| keeps(held, stored, value, options)) {
            continue;
        }
        staged.put(archive, archive.slot_after(first, index), Point { interval: stored, value });
        written.push(interval);
    }
    Ok(written)
}

/// Whether a slot stays as it is: it holds the interval, or a later one that must not be lost.
fn keeps(held: Point, interval: u32, value: f64, options: Fill) -> bool {
    let same = held.interval == interval && held.value.to_bits() == value.to_bits();
    held.interval > interval || same || held.interval == interval && !options.overwrite
}

/// The rollups of one archive above the slots that changed in the next finer one.
struct Rollups<'a> {
    header: &'a Header,
    lower: usize,
    now: Now,
    /// Intervals of the finer archive.
    changed: Vec<i64>,
}

impl Rollups<'_> {
    /// The rollups' intervals, and whether the finer archive still covers them whole.
    fn intervals(&self) -> Vec<(i64, bool)> {
        let Some(finer) = self.lower.checked_sub(1).map(|index| &self.header.archives[index])
        else {
            return Vec::new();
        };
        let now = self.now.floor();
        let oldest = finer.window(now.saturating_sub(finer.retention()), now).start;
        let step = self.header.archives[self.lower].seconds_per_point;
        let mut intervals: Vec<i64> = self.changed.iter().map(|&t| floor_to(t, step)).collect();
        intervals.dedup();
        intervals.into_iter().map(|interval| (interval, interval >= oldest)).collect()
    }

    /// Stages the rollups that were derived from what has changed, and the missing ones whose
    /// slots are all live.
    fn update<S: Storage>(
        &mut self,
        staged: &mut Overlay<'_, S>,
        original: &mut Overlay<'_, S>,
    ) -> Result<Vec<i64>, Error> {
        let archive = &self.header.archives[self.lower];
        let mut written = Vec::new();
        for (interval, whole) in self.intervals() {
            let Some(value) = self.rollup(staged, interval)? else {
                continue;
            };
            let derived = match value_at(staged, archive, interval)? {
                None => whole,
                Some(held) => {
                    let before = self.rollup(original, interval)?;
                    before.is_some_and(|before| before.to_bits() == held.to_bits())
                }
            };
            if derived {
                put_rollup(staged, archive, interval, value)?;
                written.push(interval);
            }
        }
        Ok(written)
    }

    /// Stages the rollups that neither the file nor the source had.
    fn complete<S: Storage>(&self, staged: &mut Overlay<'_, S>) -> Result<Vec<i64>, Error> {
        let archive = &self.header.archives[self.lower];
        let mut written = Vec::new();
        for (interval, _) in self.intervals() {
            if value_at(staged, archive, interval)?.is_some() {
                continue;
            }
            if let Some(value) = self.rollup(staged, interval)? {
                put_rollup(staged, archive, interval, value)?;
                written.push(interval);
            }
        }
        Ok(written)
    }

    fn rollup<S: Storage>(
        &self,
        overlay: &mut Overlay<'_, S>,
        interval: i64,
    ) -> Result<Option<f64>, Error> {
        let found = rollups(self.header, overlay, self.lower, &[interval])?;
        Ok(found.first().map(|rollup| rollup.1))
    }
}

/// The value at `interval`; also that of a later interval in the same slot, which must stay.
fn value_at<S: Storage>(
    overlay: &mut Overlay<'_, S>,
    archive: &Archive,
    interval: i64,
) -> Result<Option<f64>, Error> {
    if overlay.base(archive)? == 0 {
        return Ok(None);
    }
    let slot = overlay.slot(archive, interval)?;
    let held = point_at(&overlay.read(archive, slot, 1)?);
    Ok((i64::from(held.interval) >= interval).then_some(held.value))
}

#[cfg(test)]
mod tests;
