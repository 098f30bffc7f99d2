//! The values of windows whose percentiles are asked for.

use metric::{Map, Point};

use super::rows::Key;

/// All values of every open window, by series and window.
#[derive(Debug, Default)]
pub(super) struct Values {
    windows: Map<(u32, Key), Vec<f64>>,
    values: usize,
}

impl Values {
    /// Keeps a value, unless its window has `values_max` of them.
    pub(super) fn add(&mut self, at: (u32, Key), point: Point, values_max: usize) -> bool {
        let window = self.windows.entry(at).or_default();
        let has_room = window.len() < values_max;
        if has_room {
            window.push(point.value);
            self.values += 1;
        }
        has_room
    }

    /// Forgets a window; its values go to the coarser one, if there is one, as far as it has room.
    /// The answer is how many had none.
    pub(super) fn close(
        &mut self,
        series: u32,
        from: Key,
        to: Option<Key>,
        values_max: usize,
    ) -> usize {
        let Some(mut values) = self.windows.remove(&(series, from)) else { return 0 };
        self.values -= values.len();
        let Some(to) = to else { return 0 };
        let window = self.windows.entry((series, to)).or_default();
        let kept = values.len().min(values_max.saturating_sub(window.len()));
        let left_out = values.len() - kept;
        values.truncate(kept);
        self.values += kept;
        window.append(&mut values);
        left_out
    }

    /// All values of these windows of a series, in ascending order.
    pub(super) fn sorted(&self, series: u32, windows: &[Key]) -> Vec<f64> {
        let windows = windows.iter().filter_map(|key| self.windows.get(&(series, *key)));
        let mut values: Vec<f64> = windows.flatten().copied().collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    pub(super) fn bytes(&self) -> usize {
        self.values * size_of::<f64>() + self.windows.len() * size_of::<((u32, Key), Vec<f64>)>()
    }
}

/// The percentile of ascending values, between two of them by straight line, as numpy and Python
/// carbon do.
pub(super) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let rank = percent / 100.0 * last as f64;
    let below = rank.floor();
    let (low, share) = (below as usize, rank - below);
    let high = (low + 1).min(last);
    sorted[low] * (1.0 - share) + sorted[high] * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_the_values() {
        let values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
        assert!((percentile(&values, 50.0) - 0.5).abs() < 1e-12);
        assert!((percentile(&values, 90.0) - 0.82).abs() < 1e-12);
        assert!((percentile(&values, 100.0) - 0.9).abs() < 1e-12);
        assert_eq!(percentile(&[7.0], 1.0), 7.0);
        assert!(percentile(&[], 50.0).is_nan());
    }
}
