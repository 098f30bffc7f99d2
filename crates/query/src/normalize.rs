//! Brings series of different steps onto one grid, as graphite-web does before it combines them.

use crate::fold::{Fold, Partial};
use crate::series::Grid;
use crate::series::Series;

/// Rows put together at once, so that columns are read a stretch at a time and not point by point.
const ROWS_AT_ONCE: usize = 32;

/// Series on one grid.
#[derive(Debug)]
pub struct Normalized {
    /// The series, each with the values per point that bring it to the common step.
    pub series: Vec<Series>,
    /// The common grid.
    pub grid: Grid,
}

impl Normalized {
    /// What [`Normalized::map_rows`] gives of the fold of each row, column by column.
    pub fn fold(&self, fold: Fold, x_files_factor: f64) -> Vec<f64> {
        let columns: Vec<_> = self.series.iter().map(Series::points).collect();
        let longest = columns.iter().map(|c| c.len()).max().unwrap_or(0);
        let mut partial = Partial::new(fold, self.grid.start, self.grid.step, longest);
        columns.iter().for_each(|column| partial.add(column));
        partial.finish(x_files_factor)
    }

    /// One value for each point in time, made of a row with one value a series, nulls where a series
    /// has ended. Rows go on to the end of the longest series.
    pub fn map_rows(&self, mut value: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
        let columns: Vec<_> = self.series.iter().map(Series::points).collect();
        let longest = columns.iter().map(|c| c.len()).max().unwrap_or(0);
        let width = columns.len().max(1);
        let mut block = vec![f64::NAN; width * ROWS_AT_ONCE];
        let mut values = Vec::with_capacity(longest);
        for first in (0..longest).step_by(ROWS_AT_ONCE) {
            let rows = ROWS_AT_ONCE.min(longest - first);
            for (place, column) in columns.iter().enumerate() {
                for row in 0..rows {
                    let point = column.get(first + row).copied();
                    block[row * width + place] = point.unwrap_or(f64::NAN);
                }
            }
            values.extend(block.chunks(width).take(rows).map(&mut value));
        }
        values
    }
}

/// Least common step, earliest start, latest end; `None` for no series at all, which graphite-web
/// answers with an empty list.
pub fn normalize(lists: Vec<Vec<Series>>) -> Option<Normalized> {
    let mut series: Vec<Series> = lists.into_iter().flatten().collect();
    let step = series.iter().map(|s| s.step.max(1)).reduce(lcm)?;
    for s in &mut series {
        s.values_per_point = usize::try_from(step / s.step.max(1)).unwrap_or(1);
    }
    let start = series.iter().map(|s| s.start).min()?;
    let end = series.iter().map(|s| s.end).max()?;
    let end = end - (end - start).rem_euclid(step);
    Some(Normalized { series, grid: Grid { start, end, step } })
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: i64, b: i64) -> i64 {
    (a / gcd(a, b)).saturating_mul(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_series_are_merged_to_the_common_step() {
        let fine = Series::new("a", 60, 300, 60, vec![1.0, 3.0, 5.0, 7.0]);
        let coarse = Series::new("b", 120, 360, 120, vec![10.0, f64::NAN]);
        let both = normalize(vec![vec![fine], vec![coarse]]).unwrap();
        assert_eq!(both.grid, Grid { start: 60, end: 300, step: 120 });
        let mut rows = Vec::new();
        let sums = both.map_rows(|row| {
            rows.push(row.to_vec());
            row.iter().sum()
        });
        assert_eq!(rows[0], [2.0, 10.0]);
        assert_eq!(rows[1][0], 6.0);
        assert!(rows[1][1].is_nan() && sums[1].is_nan());
        assert_eq!((rows.len(), sums[0]), (2, 12.0));
        assert!(normalize(vec![Vec::new()]).is_none());
    }

    #[test]
    fn rows_go_on_to_the_end_of_the_longest_series() {
        let numbers = |length: u32| (0..length).map(f64::from).collect();
        let short = Series::new("a", 0, 120, 60, numbers(2));
        let long = Series::new("b", 0, 1200, 60, numbers(20));
        let both = normalize(vec![vec![short, long]]).unwrap();
        let values = both.map_rows(|row| if row[0].is_nan() { row[1] } else { row[0] + row[1] });
        let wanted: Vec<f64> = [0.0, 2.0].into_iter().chain((2..20).map(f64::from)).collect();
        assert_eq!(values, wanted);
    }
}
