//! Combinations that go through series one after the other and can be left and taken up: storage
//! nodes can fold their own series, the partial results are merged in ring order, and the last one
//! finishes. The digits then do not depend on who answered first.

use serde::{Deserialize, Serialize};

/// What is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
}

impl Fold {
    /// By the name of the aggregation that it stands for.
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

    /// The running value, which means nothing if it is made of none, with one more. Sums begin at 0,
    /// so that the digits are Python's.
    fn join(self, kept: f64, count: u64, value: f64) -> f64 {
        match self {
            Self::Sum | Self::Average | Self::Count => kept + value,
            Self::Min if count == 0 || value < kept => value,
            Self::Max if count == 0 || value > kept => value,
            Self::Min | Self::Max => kept,
        }
    }
}

/// A grid that two partial results do not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("partial results lie on different grids or fold differently")]
pub struct Mismatch;

/// What some of the series come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    fold: Fold,
    start: i64,
    step: i64,
    /// Series added, with data or without.
    series: u64,
    /// Running value of each slot; means nothing where the count is 0.
    values: Vec<f64>,
    /// Points added to each slot.
    counts: Vec<u64>,
}

impl Partial {
    /// Nothing added yet, on a grid of `slots` points.
    pub fn new(fold: Fold, start: i64, step: i64, slots: usize) -> Self {
        Self { fold, start, step, series: 0, values: vec![0.0; slots], counts: vec![0; slots] }
    }

    /// Adds a series that lies on the grid; NaN is null, missing values at the end are null.
    pub fn add(&mut self, values: &[f64]) {
        self.series += 1;
        let fold = self.fold;
        for ((kept, count), &value) in self.values.iter_mut().zip(&mut self.counts).zip(values) {
            if !value.is_nan() {
                *kept = fold.join(*kept, *count, value);
                *count += 1;
            }
        }
    }

    /// Adds another partial result behind this one.
    pub fn merge(&mut self, other: &Self) -> Result<(), Mismatch> {
        let grid = |p: &Self| (p.fold, p.start, p.step, p.values.len(), p.counts.len());
        if grid(self) != grid(other) {
            return Err(Mismatch);
        }
        self.series += other.series;
        let fold = self.fold;
        let theirs = other.values.iter().zip(&other.counts);
        for ((kept, count), (&value, &more)) in
            self.values.iter_mut().zip(&mut self.counts).zip(theirs)
        {
            if more > 0 {
                *kept = fold.join(*kept, *count, value);
                *count += more;
            }
        }
        Ok(())
    }

    /// One value a slot; null where fewer than this share of the series have a point.
    pub fn finish(&self, x_files_factor: f64) -> Vec<f64> {
        let slots = self.values.iter().zip(&self.counts);
        slots
            .map(|(value, count)| {
                let share = *count as f64 / self.series as f64;
                match self.fold {
                    _ if *count == 0 => f64::NAN,
                    Fold::Average if share >= x_files_factor => value / *count as f64,
                    Fold::Count if share >= x_files_factor => *count as f64,
                    _ if share >= x_files_factor => *value,
                    _ => f64::NAN,
                }
            })
            .collect()
    }
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
    fn a_partial_result_survives_the_wire_and_refuses_another_grid() {
        let partial = folded(Fold::Max, &ROWS);
        let text = serde_json::to_string(&partial).unwrap();
        assert_eq!(serde_json::from_str::<Partial>(&text).unwrap(), partial);
        assert_eq!(Partial::new(Fold::Max, 0, 60, 3).merge(&partial), Err(Mismatch));
    }
}
