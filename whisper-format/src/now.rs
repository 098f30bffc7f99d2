//! The moment an operation runs at: retention is counted back from it.

/// Whole seconds up to which an `f64` holds every integer.
const EXACT_SECONDS: f64 = 9_007_199_254_740_992.0;

/// Seconds since the epoch, with a fraction if the caller has one.
///
/// The fraction matters at the edges only: a point that is exactly as old as an archive's
/// retention still fits at a whole second and no longer fits a moment later.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    whole: i64,
    /// In `0.0..1.0`.
    fraction: f64,
}

impl Now {
    /// From seconds with a fraction; `None` for what no clock shows (NaN, infinities, beyond 2^53).
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        (seconds.abs() <= EXACT_SECONDS).then(|| {
            let whole = seconds.floor();
            Self { whole: truncate(whole), fraction: seconds - whole }
        })
    }

    /// Seconds, with the fraction.
    pub fn seconds(self) -> f64 {
        self.whole as f64 + self.fraction
    }

    /// The last whole second that has begun.
    pub fn floor(self) -> i64 {
        self.whole
    }

    /// The first whole second that is not over.
    pub fn ceil(self) -> i64 {
        if self.fraction > 0.0 { self.whole.saturating_add(1) } else { self.whole }
    }

    /// Without the fraction, as an integer cast has it: towards zero.
    pub fn truncate(self) -> i64 {
        if self.whole < 0 { self.ceil() } else { self.whole }
    }
}

impl From<i64> for Now {
    fn from(seconds: i64) -> Self {
        Self { whole: seconds, fraction: 0.0 }
    }
}

/// Towards zero, saturating at the ends of `i64`.
#[expect(clippy::cast_possible_truncation, reason = "cutting the fraction off is the purpose")]
pub(crate) fn truncate(seconds: f64) -> i64 {
    seconds as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fraction_counts_towards_the_next_second() {
        let now = Now::from_seconds(-0.5).unwrap();
        assert_eq!((now.floor(), now.ceil(), now.truncate()), (-1, 0, 0));
        let now = Now::from_seconds(1.25).unwrap();
        assert_eq!((now.floor(), now.ceil(), now.truncate(), now.seconds()), (1, 2, 1, 1.25));
    }

    #[test]
    fn what_no_clock_shows_is_refused() {
        for seconds in [f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Now::from_seconds(seconds), None);
        }
    }
}
