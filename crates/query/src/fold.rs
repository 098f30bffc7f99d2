//! Combinations that go through series one after the other and can be left and taken up: storage
//! nodes can fold their own series, the partial results are merged in ring order, and the last one
//! finishes. The digits then do not depend on who answered first.

mod groups;
mod message;

pub use groups::{FoldSpec, Folded, FoldedGroup};

use crate::series::Grid;

/// What is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fold {
    /// Sum of what is there.
    Sum,
    /// Mean of what is there.
    Average,
    /// Least.
    Min,
    /// Greatest.
    Max,
    /// How many are there.
    Count,
    /// Each series by itself, with its points merged to about so many; see [`Folded::add_in_bands`].
    Bands(u32),
}

impl Fold {
    /// By the name of the aggregation that it stands for, if it is one.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "sum" | "total" => Self::Sum,
            "average" | "avg" => Self::Average,
            "min" => Self::Min,
            "max" => Self::Max,
            "count" => Self::Count,
            _ => return None,
        })
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Average => "average",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
            Self::Bands(_) => "bands",
        }
    }
}

/// A grid that two partial results do not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partial results lie on different grids or fold differently")]
pub struct Mismatch;

/// What some of the series come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    fold: Fold,
    start: i64,
    step: i64,
    /// Series added, with data or without.
    series: u64,
    /// Running value of each slot; means nothing where the count is 0. Count needs none.
    values: Vec<f64>,
    /// What the running sums lack to be exact; none where nothing is carried.
    rest: Vec<f64>,
    /// Points added to each slot.
    counts: Vec<u64>,
}

impl Partial {
    /// Nothing added yet, on a grid of `slots` points.
    pub fn new(fold: Fold, start: i64, step: i64, slots: usize) -> Self {
        let values = if fold == Fold::Count { Vec::new() } else { vec![0.0; slots] };
        Self { fold, start, step, series: 0, values, rest: Vec::new(), counts: vec![0; slots] }
    }

    /// As [`Partial::new`], for sums that carry what each addition rounds away: so it does not show in
    /// the digits where a list was cut into parts.
    pub fn carrying(fold: Fold, start: i64, step: i64, slots: usize) -> Self {
        let is_sum = matches!(fold, Fold::Sum | Fold::Average);
        let rest = if is_sum { vec![0.0; slots] } else { Vec::new() };
        Self { rest, ..Self::new(fold, start, step, slots) }
    }

    /// Series added, with data or without.
    pub fn series(&self) -> u64 {
        self.series
    }

    /// Slots of the grid.
    pub fn slots(&self) -> usize {
        self.counts.len()
    }

    /// First second, seconds a slot, and the end.
    pub fn grid(&self) -> Grid {
        let slots = i64::try_from(self.counts.len()).unwrap_or(i64::MAX);
        let end = self.start.saturating_add(self.step.saturating_mul(slots));
        Grid { start: self.start, end, step: self.step }
    }

    /// Adds a series that lies on the grid; NaN is null, missing values at the end are null.
    pub fn add(&mut self, column: &[f64]) {
        self.series += 1;
        for (count, value) in self.counts.iter_mut().zip(column) {
            *count += u64::from(!value.is_nan());
        }
        let values = self.values.iter_mut().zip(column);
        match self.fold {
            Fold::Count => {}
            Fold::Sum | Fold::Average if self.rest.is_empty() => {
                // From 0 on and from left to right, so that the digits are Python's.
                values.for_each(|(sum, &value)| *sum += or_zero(value));
            }
            Fold::Sum | Fold::Average => {
                for ((sum, value), rest) in values.zip(&mut self.rest) {
                    *rest += add_carrying(sum, or_zero(*value));
                }
            }
            Fold::Min => self.replace(column, |value, kept| value < kept),
            Fold::Max => self.replace(column, |value, kept| value > kept),
            Fold::Bands(_) => self.replace(column, |_, _| false),
        }
    }

    /// Takes what is better than what is kept; the counts are those with the column.
    fn replace(&mut self, column: &[f64], better: impl Fn(f64, f64) -> bool) {
        for ((kept, count), &value) in self.values.iter_mut().zip(&self.counts).zip(column) {
            if better(value, *kept) || (*count == 1 && !value.is_nan()) {
                *kept = value;
            }
        }
    }

    /// Adds another partial result behind this one.
    pub fn merge(&mut self, other: &Self) -> Result<(), Mismatch> {
        let shape = |p: &Self| (p.fold, p.start, p.step, p.counts.len(), p.rest.len());
        if shape(self) != shape(other) || matches!(self.fold, Fold::Bands(_)) {
            return Err(Mismatch);
        }
        self.series += other.series;
        let fold = self.fold;
        let kept = self.values.iter_mut().zip(&self.counts);
        for ((kept, count), (&value, &more)) in kept.zip(other.values.iter().zip(&other.counts)) {
            match fold {
                Fold::Min if more > 0 && (*count == 0 || value < *kept) => *kept = value,
                Fold::Max if more > 0 && (*count == 0 || value > *kept) => *kept = value,
                Fold::Sum | Fold::Average if self.rest.is_empty() => *kept += value,
                _ => {}
            }
        }
        let sums = self.values.iter_mut().zip(&other.values);
        for ((sum, &value), (rest, &more)) in sums.zip(self.rest.iter_mut().zip(&other.rest)) {
            *rest += add_carrying(sum, value) + more;
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        Ok(())
    }

    /// One value a slot; null where fewer than this share of the series have a point.
    pub fn finish(&self, x_files_factor: f64) -> Vec<f64> {
        let slots = self.counts.iter().enumerate();
        slots
            .map(|(slot, &count)| {
                let share = count as f64 / self.series as f64;
                if count == 0 || share < x_files_factor || x_files_factor.is_nan() {
                    return f64::NAN;
                }
                match self.fold {
                    Fold::Count => count as f64,
                    Fold::Average => self.value(slot) / count as f64,
                    Fold::Sum | Fold::Min | Fold::Max | Fold::Bands(_) => self.value(slot),
                }
            })
            .collect()
    }

    fn value(&self, slot: usize) -> f64 {
        let (value, rest) = (self.values[slot], self.rest.get(slot).copied().unwrap_or(0.0));
        // What an infinite sum carries is no number.
        if value.is_finite() { value + rest } else { value }
    }
}

fn or_zero(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// Adds, and answers what the rounding took away.
fn add_carrying(sum: &mut f64, value: f64) -> f64 {
    let before = *sum;
    *sum = before + value;
    let added = *sum - before;
    (before - (*sum - added)) + (value - added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Aggregate;

    const ROWS: [[f64; 3]; 4] = [
        [1.0, f64::NAN, 3.0],
        [4.0, f64::NAN, f64::NAN],
        [-2.0, f64::NAN, 0.5],
        [8.0, f64::NAN, 1.0],
    ];

    fn folded(fold: Fold, rows: &[[f64; 3]]) -> Partial {
        let mut partial = Partial::new(fold, 60, 60, 3);
        rows.iter().for_each(|row| partial.add(row));
        partial
    }

    #[test]
    fn two_halves_come_to_what_the_whole_comes_to() {
        for name in ["sum", "average", "min", "max", "count"] {
            let fold = Fold::by_name(name).unwrap();
            let mut half = folded(fold, &ROWS[..2]);
            half.merge(&folded(fold, &ROWS[2..])).unwrap();
            for (slot, got) in half.finish(0.0).into_iter().enumerate() {
                let column: Vec<f64> = ROWS.iter().map(|row| row[slot]).collect();
                let want = Aggregate::by_name(name).unwrap().of(&column);
                let empty = slot == 1;
                assert!(if empty { got.is_nan() } else { got == want }, "{name} {slot}");
            }
        }
    }

    #[test]
    fn the_share_counts_series_without_a_point() {
        let finished = folded(Fold::Sum, &ROWS).finish(0.8);
        assert_eq!(finished[0], 11.0);
        assert!(finished[2].is_nan());
    }

    #[test]
    fn another_grid_is_refused() {
        let partial = folded(Fold::Max, &ROWS);
        assert_eq!(Partial::new(Fold::Max, 0, 60, 3).merge(&partial), Err(Mismatch));
    }

    #[test]
    fn what_is_carried_makes_up_for_what_rounding_takes() {
        let mut partial = Partial::carrying(Fold::Sum, 0, 60, 1);
        let tenths = [0.1; 10];
        tenths.iter().chain(&[1e17, -1e17]).for_each(|value| partial.add(&[*value]));
        assert_eq!(partial.finish(0.0), [1.0]);
        let plain = tenths.iter().fold(0.0, |sum, value| sum + value);
        assert!(plain < 1.0, "rounding takes some");
    }

    #[test]
    fn an_infinite_sum_stays_infinite() {
        for sign in [1.0, -1.0] {
            let mut partial = Partial::carrying(Fold::Sum, 0, 60, 1);
            [1.0, sign * f64::INFINITY, 2.0].iter().for_each(|value| partial.add(&[*value]));
            assert_eq!(partial.finish(0.0), [sign * f64::INFINITY]);
        }
    }
}
