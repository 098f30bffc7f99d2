//! What is known of the points of one window.

use metric::Point;

/// Count, sum and the rest of some points; two sets of points merge into one.
///
/// The sum of squares is kept as users know it. The standard deviation does not come from it but
/// from the squared deviations, because a small spread of large values would drown in its digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// How many points.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_of_squares: f64,
    /// The sum of the squared distances from their mean.
    pub deviation: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The one with the earliest timestamp; of equals the one that came first.
    pub first: Point,
    /// The one with the latest timestamp; of equals the one that came last.
    pub last: Point,
}

impl Figures {
    /// No points.
    pub const EMPTY: Self = Self {
        count: 0,
        sum: 0.0,
        sum_of_squares: 0.0,
        deviation: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        first: Point::new(i64::MAX, 0.0),
        last: Point::new(i64::MIN, 0.0),
    };

    /// One point.
    #[must_use]
    pub fn of(point: Point) -> Self {
        let value = point.value;
        Self {
            count: 1,
            sum: value,
            sum_of_squares: value * value,
            deviation: 0.0,
            min: value,
            max: value,
            first: point,
            last: point,
        }
    }

    /// Takes the points of `later` in, which came after these.
    pub fn merge(&mut self, later: &Self) {
        if self.count == 0 || later.count == 0 {
            if self.count == 0 {
                *self = *later;
            }
            return;
        }
        let (ours, theirs) = (self.count as f64, later.count as f64);
        let distance = later.sum / theirs - self.sum / ours;
        self.deviation += later.deviation + distance * distance * (ours * theirs / (ours + theirs));
        self.count += later.count;
        self.sum += later.sum;
        self.sum_of_squares += later.sum_of_squares;
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        if later.first.timestamp < self.first.timestamp {
            self.first = later.first;
        }
        if later.last.timestamp >= self.last.timestamp {
            self.last = later.last;
        }
    }

    /// The mean; no number without points.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The mean squared distance from the mean, over all points and not one less.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.deviation / self.count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn figures(values: &[f64]) -> Figures {
        let mut all = Figures::EMPTY;
        for (at, value) in values.iter().enumerate() {
            all.merge(&Figures::of(Point::new(at as i64, *value)));
        }
        all
    }

    #[test]
    fn a_small_spread_of_large_values_keeps_its_digits() {
        let all = figures(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0, 1e9 + 4.0]);
        assert!((all.variance() - 1.25).abs() < 1e-9, "{}", all.variance());
    }

    #[test]
    fn first_and_last_go_by_timestamp_and_among_equals_by_arrival() {
        let mut all = Figures::EMPTY;
        for (at, value) in [(5, 1.0), (3, 2.0), (3, 3.0), (9, 4.0), (9, 5.0), (7, 6.0)] {
            all.merge(&Figures::of(Point::new(at, value)));
        }
        assert_eq!((all.first.value, all.last.value), (2.0, 5.0));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_points_were_grouped(
            values in prop::collection::vec(-1e6..1e6_f64, 1..60),
            cut in 0..60_usize,
        ) {
            let whole = figures(&values);
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut joined = figures(left);
            joined.merge(&figures(right));
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0);
            prop_assert_eq!(joined.count, whole.count);
            prop_assert!(near(joined.sum, whole.sum));
            prop_assert!(near(joined.sum_of_squares, whole.sum_of_squares));
            prop_assert!(near(joined.deviation, whole.deviation));
            prop_assert_eq!((joined.min, joined.max), (whole.min, whole.max));
        }
    }
}
