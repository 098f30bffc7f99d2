//! How fast a job may go.

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use parking_lot::Mutex;

/// Limits that all batches of a job share; the first goes at once, each next one when those before have had their time.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Arc<dyn Clock>,
    bytes_per_second: Option<u64>,
    series_per_second: Option<u64>,
    /// When the next batch may begin.
    next: Mutex<Duration>,
}

impl Pace {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        bytes_per_second: Option<u64>,
        series_per_second: Option<u64>,
    ) -> Self {
        Self { clock, bytes_per_second, series_per_second, next: Mutex::default() }
    }

    /// Waits until a batch of this size may begin.
    pub(crate) async fn wait(&self, bytes: u64, series: u64) {
        tokio::time::sleep(self.book(bytes, series)).await;
    }

    /// Takes the next free time; returns how far off it is.
    fn book(&self, bytes: u64, series: u64) -> Duration {
        let seconds = |amount: u64, limit: Option<u64>| {
            limit.map_or(0.0, |limit| amount as f64 / limit.max(1) as f64)
        };
        let takes =
            seconds(bytes, self.bytes_per_second).max(seconds(series, self.series_per_second));
        let now = self.clock.monotonic();
        let mut next = self.next.lock();
        let begin = (*next).max(now);
        *next = begin.saturating_add(Duration::try_from_secs_f64(takes).unwrap_or(Duration::MAX));
        begin.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use daemon::clock::Manual;

    use super::*;

    #[test]
    fn the_narrower_limit_decides_and_rest_is_not_saved_up() {
        let clock = Arc::new(Manual::at(0));
        let pace = Pace::new(Arc::<Manual>::clone(&clock), Some(100), Some(10));
        assert_eq!(pace.book(50, 20), Duration::ZERO);
        assert_eq!(pace.book(500, 1), Duration::from_secs(2), "20 series take two seconds");
        assert_eq!(pace.book(1, 1), Duration::from_secs(7), "500 bytes take five");
        clock.advance(Duration::from_secs(100));
        assert_eq!(pace.book(100, 1), Duration::ZERO);
        assert_eq!(pace.book(100, 1), Duration::from_secs(1));
        let unlimited = Pace::new(clock, None, None);
        assert_eq!(unlimited.book(1 << 40, 1 << 30), Duration::ZERO);
        assert_eq!(unlimited.book(1, 1), Duration::ZERO);
    }
}
