//! A token bucket in whole numbers, so that what it lets through can be told to the unit.

use std::time::Duration;

/// Lets `count` units through in each `period`, and as many at once after a pause of that length.
///
/// Levels are kept in units times nanoseconds of the period: nothing is ever rounded away.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    count: u64,
    period_ns: u64,
    /// Below zero after a take of more than the bucket holds.
    level: i128,
    filled_at: Duration,
}

impl Bucket {
    /// A full bucket at `now`.
    pub(crate) fn new(count: u64, period: Duration, now: Duration) -> Self {
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mut bucket = Self { count: count.max(1), period_ns, level: 0, filled_at: now };
        bucket.level = bucket.capacity();
        bucket
    }

    /// Takes `units`, or says how long to wait for them. More than a whole bucket is let through
    /// when the bucket is full, and paid for afterwards: else it would never be.
    pub(crate) fn try_take(&mut self, units: u64, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        let cost = self.cost(units);
        let missing = cost.min(self.capacity()) - self.level;
        if missing > 0 {
            return Err(self.time_for(missing));
        }
        self.level -= cost;
        Ok(())
    }

    /// Takes `units` that cannot be refused any more, and says how long to take no others.
    pub(crate) fn spend(&mut self, units: u64, now: Duration) -> Duration {
        self.fill(now);
        self.level -= self.cost(units);
        self.time_for(-self.level)
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled_at).as_nanos();
        let gained = i128::try_from(passed).unwrap_or(i128::MAX).saturating_mul(self.count.into());
        self.level = self.level.saturating_add(gained).min(self.capacity());
        self.filled_at = self.filled_at.max(now);
    }

    fn capacity(&self) -> i128 {
        self.cost(self.count)
    }

    fn cost(&self, units: u64) -> i128 {
        i128::from(units) * i128::from(self.period_ns)
    }

    /// How long it takes to gain so much; nothing for less than nothing.
    fn time_for(&self, level: i128) -> Duration {
        let ns = u128::try_from(level).unwrap_or(0).div_ceil(self.count.into());
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ten_seconds_let_through_exactly_one_burst_and_ten_seconds_worth() {
        for (rate, units) in [(100, 1), (7, 1), (3, 2), (1000, 30)] {
            let mut bucket = Bucket::new(rate, SECOND, Duration::ZERO);
            let mut taken = 0;
            for millisecond in 0..=10_000 {
                let now = Duration::from_millis(millisecond);
                while bucket.try_take(units, now).is_ok() {
                    taken += units;
                }
            }
            assert_eq!(taken, (rate + 10 * rate) / units * units, "{rate} a second by {units}");
        }
    }

    #[test]
    fn who_waits_as_told_is_let_through_and_not_a_moment_sooner() {
        let mut bucket = Bucket::new(3, SECOND, Duration::ZERO);
        assert_eq!(bucket.try_take(3, Duration::ZERO), Ok(()));
        let wait = bucket.try_take(1, Duration::ZERO).unwrap_err();
        assert!(bucket.try_take(1, wait - Duration::from_nanos(1)).is_err());
        assert_eq!(bucket.try_take(1, wait), Ok(()));
    }

    #[test]
    fn more_than_a_bucket_goes_through_a_full_one_and_is_paid_for() {
        let mut bucket = Bucket::new(10, SECOND, Duration::ZERO);
        assert_eq!(bucket.try_take(25, Duration::ZERO), Ok(()));
        assert_eq!(bucket.try_take(1, Duration::ZERO), Err(Duration::from_millis(1600)));
    }

    #[test]
    fn spending_tells_the_pause_that_pays_for_it() {
        let mut bucket = Bucket::new(10, SECOND, Duration::ZERO);
        assert_eq!(bucket.spend(10, Duration::ZERO), Duration::ZERO);
        assert_eq!(bucket.spend(5, Duration::ZERO), Duration::from_millis(500));
        assert_eq!(bucket.spend(0, Duration::from_millis(500)), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(1, SECOND, SECOND);
        assert_eq!(bucket.try_take(1, SECOND), Ok(()));
        assert!(bucket.try_take(1, Duration::ZERO).is_err());
        assert!(bucket.try_take(1, SECOND).is_err());
        assert_eq!(bucket.try_take(1, 2 * SECOND), Ok(()));
    }
}
