//! A column made coarser, as the file itself would have rolled it up.

use metric::{Consolidation, SeriesData};

/// The column at a coarser `step` whose slots begin at `phase` plus multiples of it. A slot is known
/// when the share of its known points is at least the series' own factor.
pub(super) fn consolidate(series: &SeriesData, step: i64, phase: i64) -> SeriesData {
    let slot_of = |timestamp: i64| timestamp.saturating_sub(phase).div_euclid(step);
    let first = slot_of(series.start);
    let per_slot = (step as f64 / series.step as f64).max(1.0);
    let needed = (f64::from(series.x_files_factor) * per_slot).max(1.0);
    let mut values = Vec::new();
    let mut known = Vec::new();
    let mut current = first;
    let mut timestamp = series.start;
    for &value in &series.values {
        let slot = slot_of(timestamp);
        if slot != current {
            values.push(close(series.consolidation, &known, per_slot, needed));
            known.clear();
            // A finer step reaches every coarser slot, so this is the next one.
            current = slot;
        }
        if !value.is_nan() {
            known.push(value);
        }
        timestamp = timestamp.saturating_add(series.step);
    }
    if !series.values.is_empty() {
        values.push(close(series.consolidation, &known, per_slot, needed));
    }
    let start = first.saturating_mul(step).saturating_add(phase);
    let coarse = SeriesData::new("", start, step, values);
    SeriesData {
        name: series.name.clone(),
        path_expression: series.path_expression.clone(),
        consolidation: series.consolidation,
        x_files_factor: series.x_files_factor,
        ..coarse
    }
}

fn close(method: Consolidation, known: &[f64], per_slot: f64, needed: f64) -> f64 {
    let (Some(&first), Some(&last)) = (known.first(), known.last()) else { return f64::NAN };
    if (known.len() as f64) < needed {
        return f64::NAN;
    }
    let sum = || known.iter().sum::<f64>();
    let pick = |better: fn(f64, f64) -> bool| {
        known.iter().copied().reduce(|a, b| if better(b, a) { b } else { a }).unwrap_or(f64::NAN)
    };
    match method {
        Consolidation::Sum => sum(),
        Consolidation::Min => pick(|a, b| a < b),
        Consolidation::Max => pick(|a, b| a > b),
        Consolidation::First => first,
        Consolidation::Last => last,
        Consolidation::AverageZero => sum() / per_slot,
        Consolidation::AbsMax => pick(|a, b| a.abs() > b.abs()),
        Consolidation::AbsMin => pick(|a, b| a.abs() < b.abs()),
        // The mean is whisper's own default.
        _ => sum() / known.len() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coarse(method: Consolidation, factor: f32) -> Vec<f64> {
        let values = vec![-4.0, 1.0, f64::NAN, 2.0, f64::NAN, f64::NAN, f64::NAN, 5.0];
        let mut series = SeriesData::new("a", 120, 10, values);
        (series.consolidation, series.x_files_factor) = (method, factor);
        let series = consolidate(&series, 40, 0);
        assert_eq!((series.start, series.stop, series.step), (120, 200, 40));
        series.values
    }

    #[test]
    fn every_method_gives_what_a_rollup_gives() {
        use Consolidation as C;
        for (method, expected) in [
            (C::Average, [-1.0 / 3.0, 5.0]),
            (C::Sum, [-1.0, 5.0]),
            (C::Min, [-4.0, 5.0]),
            (C::Max, [2.0, 5.0]),
            (C::First, [-4.0, 5.0]),
            (C::Last, [2.0, 5.0]),
            (C::AverageZero, [-0.25, 1.25]),
            (C::AbsMax, [-4.0, 5.0]),
            (C::AbsMin, [1.0, 5.0]),
        ] {
            assert_eq!(coarse(method, 0.0), expected, "{method:?}");
        }
    }

    #[test]
    fn a_slot_with_too_few_known_points_stays_unknown() {
        let values = coarse(Consolidation::Sum, 0.5);
        assert!(values[0] == -1.0 && values[1].is_nan());
    }

    #[test]
    fn slots_follow_the_phase() {
        let series = SeriesData::new("a", 65, 10, vec![1.0, 2.0, 3.0]);
        let coarse = consolidate(&series, 30, 5);
        assert_eq!((coarse.start, coarse.values), (65, vec![2.0]));
        let coarse = consolidate(&series, 30, 15);
        assert_eq!((coarse.start, coarse.values), (45, vec![1.0, 2.5]));
    }
}
