//! Fits an answer to `maxDataPoints`, in bands that stay where they are from one refresh to the next.

use crate::series::Series;

/// Merges values so that no series shows more than about `points_max` points over the time that all
/// of them span. Nothing happens for 0.
pub fn limit_points(list: &mut [Series], points_max: usize) {
    let start = list.iter().map(|s| s.start).min();
    let end = list.iter().map(|s| s.end).max();
    let (Some(start), Some(end)) = (start, end) else { return };
    if points_max == 0 {
        return;
    }
    for series in list {
        if points_max == 1 {
            series.values_per_point = series.values.len().max(1);
        } else {
            merge_into_bands(series, end - start, points_max);
        }
    }
}

/// Bands begin at multiples of their own length; values before the first whole band are dropped.
fn merge_into_bands(series: &mut Series, seconds: i64, points_max: usize) {
    if series.step <= 0 {
        return;
    }
    let points = seconds as f64 / series.step as f64;
    if points <= points_max as f64 {
        return;
    }
    let per_point = (points / points_max as f64).ceil() as i64;
    let band = per_point.saturating_mul(series.step);
    let nudge = band + series.start.rem_euclid(series.step) - series.start.rem_euclid(band);
    series.start += nudge;
    let lost = usize::try_from(nudge / series.step - 1).unwrap_or(0).min(series.values.len());
    series.values = series.values[lost..].iter().copied().collect();
    series.values_per_point = usize::try_from(per_point).unwrap_or(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_stay_in_place_while_the_window_moves() {
        let answer = |start: i64| {
            let values = (0..20).map(|i| (start / 60 + i) as f64).collect();
            let mut list = [Series::new("a", start, start + 1200, 60, values)];
            limit_points(&mut list, 5);
            list[0].datapoints()
        };
        let (first, second) = (answer(600), answer(660));
        let common: Vec<_> = first.iter().filter(|p| second.contains(p)).collect();
        assert!(common.len() >= first.len() - 2, "{first:?} {second:?}");
    }

    #[test]
    fn one_point_is_all_values_merged() {
        let mut list = [Series::new("a", 0, 180, 60, vec![1.0, 2.0, 6.0])];
        limit_points(&mut list, 1);
        assert_eq!(list[0].datapoints(), [(3.0, 0)]);
    }
}
