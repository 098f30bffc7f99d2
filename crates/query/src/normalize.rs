//! Brings series of different steps onto one grid, as graphite-web does before it combines them.

use crate::call::Grid;
use crate::series::Series;

/// Series on one grid.
#[derive(Debug)]
pub struct Normalized {
    /// The series, each with the values per point that bring it to the common step.
    pub series: Vec<Series>,
    /// The common grid.
    pub grid: Grid,
}

impl Normalized {
    /// One row for each point in time with one value a series, nulls where a series has ended.
    /// Rows go on to the end of the longest series.
    pub fn rows(&self) -> impl Iterator<Item = Vec<f64>> + '_ {
        let columns: Vec<_> = self.series.iter().map(Series::points).collect();
        let longest = columns.iter().map(|c| c.len()).max().unwrap_or(0);
        (0..longest)
            .map(move |i| columns.iter().map(|c| c.get(i).copied().unwrap_or(f64::NAN)).collect())
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
        let rows: Vec<_> = both.rows().collect();
        assert_eq!(rows[0], [2.0, 10.0]);
        assert_eq!(rows[1][0], 6.0);
        assert!(rows[1][1].is_nan());
        assert!(normalize(vec![Vec::new()]).is_none());
    }
}
