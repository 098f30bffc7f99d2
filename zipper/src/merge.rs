//! What several nodes said, made one answer.
//!
//! Values are merged by the time of their slot, never by index, and conflicts are settled by the
//! order of the copies as they are given, which callers take from the ring. So the same replies
//! make the same bytes, whoever answered first.

mod consolidate;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use metric::SeriesData;

use consolidate::consolidate;

pub(crate) use names::{
    merge_finds, merge_infos, merge_names, merge_tag_values, merge_tags, recount,
};

/// Most slots that a merged series may span beyond what its first copy holds: two copies far apart
/// in time would otherwise make a series of gaps without bound.
const SLOTS_MAX: usize = 1 << 24;

/// A copy must know at least this share of the time that the best-known copy knows, or else its
/// finer step is not worth what it hides.
const COVERAGE_SHARE_MIN: f64 = 0.5;

/// One series out of several copies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merged {
    pub(crate) series: SeriesData,
    /// Known points that differ from the ones that were taken.
    pub(crate) divergent: u64,
    /// The steps of the copies where they differ, finest first.
    pub(crate) steps: Vec<i64>,
}

/// Merges copies of one series, the most trusted first; none for no copy.
pub(crate) fn merge_series(copies: Vec<SeriesData>) -> Option<Merged> {
    let mut by_step: BTreeMap<i64, Vec<SeriesData>> = BTreeMap::new();
    for copy in copies {
        by_step.entry(copy.step.max(1)).or_default().push(copy);
    }
    let mut divergent = 0;
    let mut columns = Vec::with_capacity(by_step.len());
    for copies in by_step.into_values() {
        let (column, differing) = overlay(copies)?;
        divergent += differing;
        columns.push(column);
    }
    if columns.len() == 1 {
        let series = columns.pop()?;
        return Some(Merged { series, divergent, steps: Vec::new() });
    }
    let steps = columns.iter().map(|column| column.step).collect();
    let chosen = choose(&columns);
    columns.truncate(chosen + 1);
    let base = columns.pop()?;
    let (step, phase) = (base.step, base.start.rem_euclid(base.step));
    // The nearest step first: it has lost the least.
    let coarser = columns.iter().rev().map(|finer| consolidate(finer, step, phase));
    let layers = std::iter::once(base).chain(coarser).collect();
    let (series, _) = overlay(layers)?;
    Some(Merged { series, divergent, steps })
}

/// Lays columns of one step over one another: the first known value of a slot stays. Also counts
/// the known values that differ from it.
fn overlay(copies: Vec<SeriesData>) -> Option<(SeriesData, u64)> {
    let mut copies = copies.into_iter();
    let mut base = copies.next()?;
    let mut divergent = 0;
    for copy in copies {
        if copy.values.is_empty() {
            continue;
        }
        if base.values.is_empty() {
            // Nothing of the first but how it wants to be treated.
            (base.start, base.stop, base.values) = (copy.start, copy.stop, copy.values);
            continue;
        }
        let Some(at) = make_room(&mut base, &copy) else { continue };
        for (slot, &value) in base.values[at..].iter_mut().zip(&copy.values) {
            if slot.is_nan() {
                *slot = value;
            } else if !value.is_nan() && *slot != value {
                divergent += 1;
            }
        }
    }
    Some((base, divergent))
}

/// Widens `base` to hold the slots of `copy` too; gives the index of the copy's first slot, or
/// none if the two lie too far apart.
fn make_room(base: &mut SeriesData, copy: &SeriesData) -> Option<usize> {
    let offset = copy.start.checked_sub(base.start)?.div_euclid(base.step);
    let before = usize::try_from(offset.min(0).unsigned_abs()).ok()?;
    let at = usize::try_from(offset.max(0)).ok()?;
    let slots = base.values.len().checked_add(before)?.max(at.checked_add(copy.values.len())?);
    if slots > SLOTS_MAX.max(base.values.len()) {
        return None;
    }
    if before > 0 {
        base.values.splice(0..0, std::iter::repeat_n(f64::NAN, before));
        base.start -= base.step * i64::try_from(before).ok()?;
    }
    if slots > base.values.len() {
        base.values.resize(slots, f64::NAN);
    }
    let seconds = i64::try_from(base.values.len()).ok()?.saturating_mul(base.step);
    base.stop = base.start.saturating_add(seconds);
    Some(at)
}

/// The finest column that knows enough: its own least share of the time that all columns span, and
/// not much less than the best-known column. If none does, the best-known.
fn choose(columns: &[SeriesData]) -> usize {
    let from = columns.iter().map(|column| column.start).min().unwrap_or(0);
    let until = columns.iter().map(|column| column.stop).max().unwrap_or(0);
    let span = until.saturating_sub(from).max(1) as f64;
    let coverage = |column: &SeriesData| {
        let known = column.values.iter().filter(|value| !value.is_nan()).count();
        known as f64 * column.step as f64 / span
    };
    let coverages: Vec<f64> = columns.iter().map(coverage).collect();
    let best = coverages.iter().copied().fold(0.0, f64::max);
    let enough = |(column, &coverage): (&SeriesData, &f64)| {
        coverage >= f64::from(column.x_files_factor) && coverage >= best * COVERAGE_SHARE_MIN
    };
    columns
        .iter()
        .zip(&coverages)
        .position(enough)
        .or_else(|| coverages.iter().position(|&coverage| coverage >= best))
        .unwrap_or(0)
}
