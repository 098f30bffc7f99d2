//! So many a second, with a little saved up.

use std::time::Duration;

use parking_lot::Mutex;

/// A number of permits that refills with time.
#[derive(Debug)]
pub(super) struct Budget {
    /// Permits a second; none means no limit.
    per_second: Option<f64>,
    /// Most permits that gather.
    saved_max: f64,
    state: Mutex<(f64, Duration)>,
}

impl Budget {
    /// `per_second` permits, gathering for `saved` at most; 0 permits means no limit.
    pub(super) fn new(per_second: f64, saved: Duration, now: Duration) -> Self {
        let per_second = (per_second > 0.0).then_some(per_second);
        let saved_max = (per_second.unwrap_or(0.0) * saved.as_secs_f64()).max(1.0);
        Self { per_second, saved_max, state: Mutex::new((saved_max, now)) }
    }

    /// Takes up to `wanted` permits; returns how many.
    pub(super) fn take(&self, wanted: usize, now: Duration) -> usize {
        let Some(per_second) = self.per_second else { return wanted };
        let mut state = self.state.lock();
        let (permits, then) = *state;
        let gathered = permits + now.saturating_sub(then).as_secs_f64() * per_second;
        let permits = gathered.min(self.saved_max);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small and positive"
        )]
        let taken = wanted.min(permits as usize);
        *state = (permits - taken as f64, now.max(then));
        taken
    }

    /// Puts back permits that were not needed.
    pub(super) fn give_back(&self, permits: usize) {
        if self.per_second.is_some() {
            let mut state = self.state.lock();
            state.0 = (state.0 + permits as f64).min(self.saved_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_refill_with_time_and_not_beyond_what_is_saved() {
        let at = Duration::from_millis;
        let budget = Budget::new(2.0, Duration::from_secs(5), at(0));
        assert_eq!(budget.take(100, at(0)), 10);
        assert_eq!(budget.take(1, at(400)), 0);
        assert_eq!(budget.take(9, at(1500)), 3);
        budget.give_back(2);
        assert_eq!(budget.take(9, at(1500)), 2);
        assert_eq!(budget.take(100, at(1_000_000)), 10);
        assert_eq!(Budget::new(0.0, at(1), at(0)).take(7, at(0)), 7);
    }
}
