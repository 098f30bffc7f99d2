//! What several nodes said, made one answer.
//!
//! Values are merged by the time of their slot, never by index, and conflicts are settled by the
//! order of the nodes in the ring. So the same replies make the same bytes, whoever answered first.
//! A node that may have missed points of a slot is believed last.

mod column;
mod consolidate;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use metric::SeriesData;
use wire::pb_v3::Hole;

use column::Column;

pub(crate) use names::{
    merge_finds, merge_infos, merge_names, merge_tag_values, merge_tags, recount,
};

/// A copy must know at least this share of the time that the best-known copy knows, or else its
/// finer step is not worth what it hides.
const COVERAGE_SHARE_MIN: f64 = 0.5;

/// What one node holds of a series.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    /// Place of the node in config order.
    pub(crate) node: usize,
    pub(crate) series: SeriesData,
    /// When the node may have missed points.
    pub(crate) holes: Arc<[Hole]>,
}

/// One series out of several copies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merged {
    pub(crate) series: SeriesData,
    /// Where two copies know different values.
    pub(crate) divergences: Vec<Divergence>,
    /// Empty slots of which every copy says that it may have missed their points.
    pub(crate) unfilled: usize,
    /// The steps of the copies where they differ, finest first.
    pub(crate) steps: Vec<i64>,
}

/// Two nodes with different values of one series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Divergence {
    /// Their places in config order, the more trusted first.
    pub(crate) nodes: (usize, usize),
    /// Slots that differ.
    pub(crate) slots: u64,
    /// The time of the first of them.
    pub(crate) first_s: i64,
    /// What the two have there.
    pub(crate) values: (f64, f64),
}

/// Merges copies of one series; none for no copy. `order` has the nodes, the most trusted first: in
/// which order the copies came does not show.
pub(crate) fn merge_series(mut copies: Vec<Replica>, order: &[usize]) -> Option<Merged> {
    if let [only] = &copies[..]
        && only.holes.is_empty()
    {
        let series = Column::new(copies.pop()?.series, &[]).series;
        return Some(Merged { series, divergences: Vec::new(), unfilled: 0, steps: Vec::new() });
    }
    copies.sort_by_key(|copy| order.iter().position(|node| *node == copy.node));
    let mut by_step: BTreeMap<i64, Vec<(usize, Column)>> = BTreeMap::new();
    for Replica { node, series, holes } in copies {
        let column = Column::new(series, &holes);
        by_step.entry(column.step()).or_default().push((node, column));
    }
    let steps: Vec<i64> = by_step.keys().copied().collect();
    let mut divergences = Vec::new();
    let mut columns = Vec::with_capacity(by_step.len());
    for copies in by_step.into_values() {
        divergences.extend(compare_all(&copies));
        columns.push(overlay(copies.into_iter().map(|(_, column)| column))?);
    }
    if columns.len() == 1 {
        let column = columns.pop()?;
        let (unfilled, series) = (column.unfilled(), column.series);
        return Some(Merged { series, divergences, unfilled, steps: Vec::new() });
    }
    let chosen = choose(&columns);
    columns.truncate(chosen + 1);
    let base = columns.pop()?;
    let (step, phase) = (base.step(), base.series.start.rem_euclid(base.step()));
    // The nearest step first: it has lost the least.
    let coarser = columns.iter().rev().map(|finer| finer.coarser(step, phase));
    let column = overlay(std::iter::once(base).chain(coarser))?;
    let (unfilled, series) = (column.unfilled(), column.series);
    Some(Merged { series, divergences, unfilled, steps })
}

/// Lays columns of one step over one another, the most trusted first.
fn overlay(columns: impl IntoIterator<Item = Column>) -> Option<Column> {
    columns.into_iter().reduce(|mut base, column| {
        base.lay(column);
        base
    })
}

/// Every two copies of one step that differ.
fn compare_all(copies: &[(usize, Column)]) -> Vec<Divergence> {
    let mut found = Vec::new();
    for (at, (first, mine)) in copies.iter().enumerate() {
        for (second, other) in &copies[at + 1..] {
            let mut differing = mine.differing(other);
            let Some((first_s, one, two)) = differing.next() else { continue };
            let slots = 1 + differing.count() as u64;
            let (nodes, values) = ((*first, *second), (one, two));
            found.push(Divergence { nodes, slots, first_s, values });
        }
    }
    found
}

/// The finest column that knows enough: its own least share of the time that all columns span, and
/// not much less than the best-known column. If none does, the best-known.
fn choose(columns: &[Column]) -> usize {
    let series = || columns.iter().map(|column| &column.series);
    let from = series().map(|series| series.start).min().unwrap_or(0);
    let until = series().map(|series| series.stop).max().unwrap_or(0);
    let span = until.saturating_sub(from).max(1) as f64;
    let coverage = |series: &SeriesData| {
        let known = series.values.iter().filter(|value| !value.is_nan()).count();
        known as f64 * series.step as f64 / span
    };
    let coverages: Vec<f64> = series().map(coverage).collect();
    let best = coverages.iter().copied().fold(0.0, f64::max);
    let enough = |(series, &coverage): (&SeriesData, &f64)| {
        coverage >= f64::from(series.x_files_factor) && coverage >= best * COVERAGE_SHARE_MIN
    };
    series()
        .zip(&coverages)
        .position(enough)
        .or_else(|| coverages.iter().position(|&coverage| coverage >= best))
        .unwrap_or(0)
}
