//! graphite-web's aggregations: one value of many, nulls left out, sums from left to right.

use crate::names::python_index;

/// An aggregation by name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    /// Mean of what is there.
    Average,
    /// Mean with nulls counted as 0.
    AvgZero,
    /// How many are there.
    Count,
    /// The first less all others.
    Diff,
    /// The first that is there.
    First,
    /// The last that is there.
    Last,
    /// Greatest.
    Max,
    /// Middle one, or the mean of the two middle ones.
    Median,
    /// Least.
    Min,
    /// Product; null if any is.
    Multiply,
    /// Greatest less least.
    Range,
    /// Population standard deviation.
    Stddev,
    /// Sum.
    Sum,
    /// The value below which this share (in percent) lies, as carbonapi has it: a weighted mean of the
    /// two nearest.
    Percentile(f64),
}

/// Every name, and what it stands for; percentiles (`p50`, `p99.9`) besides.
const NAMES: [(&str, Aggregate); 19] = [
    ("average", Aggregate::Average),
    ("avg", Aggregate::Average),
    ("avg_zero", Aggregate::AvgZero),
    ("count", Aggregate::Count),
    ("current", Aggregate::Last),
    ("diff", Aggregate::Diff),
    ("first", Aggregate::First),
    ("last", Aggregate::Last),
    ("max", Aggregate::Max),
    ("maximum", Aggregate::Max),
    ("median", Aggregate::Median),
    ("min", Aggregate::Min),
    ("minimum", Aggregate::Min),
    ("multiply", Aggregate::Multiply),
    ("range", Aggregate::Range),
    ("rangeOf", Aggregate::Range),
    ("stddev", Aggregate::Stddev),
    ("sum", Aggregate::Sum),
    ("total", Aggregate::Sum),
];

/// The names that graphite-web lists as options of an aggregation parameter.
pub const OPTIONS: [&str; 16] = [
    "average", "avg", "avg_zero", "count", "current", "diff", "last", "max", "median", "min",
    "multiply", "range", "rangeOf", "stddev", "sum", "total",
];

impl Aggregate {
    /// By name.
    pub fn by_name(name: &str) -> Option<Self> {
        if let Some((_, aggregate)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(*aggregate);
        }
        let percent: f64 = name.strip_prefix('p')?.parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(Self::Percentile(percent))
    }

    /// By name for functions that combine series: there, old names such as `sumSeries` stand too.
    pub fn of_rows_by_name(name: &str) -> Option<Self> {
        Self::by_name(without_series(name))
    }

    /// The aggregate of a row; NaN if it has none.
    pub fn of(self, row: &[f64]) -> f64 {
        let present = || row.iter().copied().filter(|v| !v.is_nan());
        let (total, count) = sum_and_count(row);
        if self == Self::Count {
            return count as f64;
        }
        if self == Self::AvgZero {
            return if row.is_empty() { f64::NAN } else { total / row.len() as f64 };
        }
        if count == 0 {
            return f64::NAN;
        }
        match self {
            Self::Sum => total,
            Self::Average => total / count as f64,
            Self::Min => least(present()),
            Self::Max => greatest(present()),
            Self::First => present().next().unwrap_or(f64::NAN),
            Self::Last => present().next_back().unwrap_or(f64::NAN),
            Self::Range => greatest(present()) - least(present()),
            Self::Diff => {
                let negated = present().enumerate().map(|(i, v)| if i == 0 { v } else { -v });
                sum(negated)
            }
            Self::Multiply if count < row.len() => f64::NAN,
            Self::Multiply => present().reduce(|a, v| a * v).unwrap_or(f64::NAN),
            Self::Median => median(present().collect()),
            Self::Stddev => stddev(row, count),
            Self::Percentile(percent) => between_nearest(present().collect(), percent),
            Self::Count | Self::AvgZero => f64::NAN,
        }
    }
}

/// `sum` of the old name `sumSeries`.
pub fn without_series(name: &str) -> &str {
    name.strip_suffix("Series").unwrap_or(name)
}

/// Whether a row has points enough to come to a value.
pub fn has_enough(row: &[f64], x_files_factor: f64) -> bool {
    let present = row.iter().filter(|v| !v.is_nan()).count();
    present > 0 && present as f64 / row.len() as f64 >= x_files_factor
}

/// Left to right from zero, so that the digits are Python's.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |a, v| a + v)
}

/// Of the values that are there. Adding nothing for the others changes no digit and takes no branch.
fn sum_and_count(row: &[f64]) -> (f64, usize) {
    row.iter().fold((0.0, 0), |(total, count), value| match value.is_nan() {
        true => (total + 0.0, count),
        false => (total + value, count + 1),
    })
}

fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.reduce(|a, v| if v < a { v } else { a }).unwrap_or(f64::NAN)
}

fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    values.reduce(|a, v| if v > a { v } else { a }).unwrap_or(f64::NAN)
}

fn median(mut values: Vec<f64>) -> f64 {
    let at = values.len() / 2;
    let upper = nth(&mut values, at);
    if !values.len().is_multiple_of(2) {
        return upper;
    }
    (greatest(values[..at].iter().copied()) + upper) / 2.0
}

/// The value that would be at this place if the values were sorted; all before it are no greater.
fn nth(values: &mut [f64], at: usize) -> f64 {
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

/// The middle one of sorted values, or the mean of the two middle ones; NaN if there are none.
pub fn middle(sorted: &[f64]) -> f64 {
    let at = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length.is_multiple_of(2) => (sorted[at - 1] + sorted[at]) / 2.0,
        _ => sorted[at],
    }
}

fn stddev(row: &[f64], count: usize) -> f64 {
    let present = || row.iter().copied().filter(|v| !v.is_nan());
    let mean = sum(present()) / count as f64;
    (sum(present().map(|v| (v - mean) * (v - mean))) / count as f64).sqrt()
}

/// The least value is percentile 0, the greatest 100; what lies between two values is weighted.
fn between_nearest(mut values: Vec<f64>, percent: f64) -> f64 {
    let rank = (values.len() as f64 - 1.0) * percent / 100.0;
    let (at, weight) = (rank.ceil() as usize, rank.fract());
    let upper = nth(&mut values, at);
    if weight == 0.0 {
        return upper;
    }
    let lower = greatest(values[..at].iter().copied());
    upper * weight + lower * (1.0 - weight)
}

/// graphite-web's n-th percentile; `interpolate` between the two nearest, or take the upper one.
/// NaN if nothing is there.
pub fn percentile(row: &[f64], percent: f64, interpolate: bool) -> f64 {
    let mut values: Vec<f64> = row.iter().copied().filter(|v| !v.is_nan()).collect();
    let count = values.len();
    if count == 0 {
        return f64::NAN;
    }
    let rank = (percent / 100.0) * (count as f64 + 1.0);
    let whole = if interpolate { rank.trunc() } else { rank.ceil() };
    // Below 0 graphite-web counts from the end, as Python's indexes do.
    let place = |rank: f64| python_index(rank as i64, count);
    let at = match whole {
        0.0 => 0,
        w if w > count as f64 => count - 1,
        w => place(w - 1.0).unwrap_or(0),
    };
    let value = nth(&mut values, at);
    match place(whole) {
        Some(next) if interpolate => value + (rank - whole) * (nth(&mut values, next) - value),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [f64; 5] = [4.0, f64::NAN, 1.0, 3.0, 2.0];

    #[test]
    fn nulls_take_no_part() {
        for (name, value) in [
            ("average", 2.5),
            ("avg_zero", 2.0),
            ("count", 4.0),
            ("current", 2.0),
            ("diff", -2.0),
            ("first", 4.0),
            ("max", 4.0),
            ("median", 2.5),
            ("min", 1.0),
            ("range", 3.0),
            ("stddev", 1.118033988749895),
            ("total", 10.0),
        ] {
            assert_eq!(Aggregate::by_name(name).unwrap().of(&ROW), value, "{name}");
        }
        assert!(Aggregate::Multiply.of(&ROW).is_nan());
        assert!(Aggregate::Sum.of(&[f64::NAN]).is_nan());
        assert_eq!(Aggregate::Count.of(&[f64::NAN]), 0.0);
    }

    #[test]
    fn percentiles_lie_between_the_two_nearest_values() {
        for (name, value) in
            [("p0", 1.0), ("p50", 2.5), ("p100", 4.0), ("p99.9", 3.997), ("p10", 1.3)]
        {
            let got = Aggregate::by_name(name).unwrap().of(&ROW);
            assert!((got - value).abs() < 1e-12, "{name} {got}");
        }
    }

    #[test]
    fn every_listed_option_has_an_aggregation() {
        assert!(OPTIONS.iter().all(|name| Aggregate::by_name(name).is_some()));
        assert_eq!(Aggregate::by_name("p99.9"), Some(Aggregate::Percentile(99.9)));
        assert_eq!(Aggregate::of_rows_by_name("medianSeries"), Some(Aggregate::Median));
        assert_eq!(Aggregate::by_name("medianSeries"), None);
        assert_eq!(Aggregate::by_name("p"), None);
        assert_eq!(Aggregate::by_name("p101"), None);
    }
}
