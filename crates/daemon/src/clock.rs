//! The one place that knows what time it is, so that tests set it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time and a time that never goes back.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970, negative before.
    fn now_unix_ms(&self) -> i64;

    /// Time since some fixed moment of this process; never goes back.
    fn monotonic(&self) -> Duration;

    /// Seconds since 1970, rounded down.
    fn now_unix_seconds(&self) -> i64 {
        self.now_unix_ms().div_euclid(1000)
    }
}

/// The machine's clock, or one that was set at the start and then runs on with the machine's.
#[derive(Debug)]
pub struct System {
    started: Instant,
    offset_ms: i64,
}

impl System {
    /// The machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self { started: instant_now(), offset_ms: 0 }
    }

    /// A clock that shows `unix_ms` now: lets a daemon work on data of a fixed date.
    #[must_use]
    pub fn set_to(unix_ms: i64) -> Self {
        Self { started: instant_now(), offset_ms: unix_ms.saturating_sub(system_unix_ms()) }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for System {
    fn now_unix_ms(&self) -> i64 {
        system_unix_ms().saturating_add(self.offset_ms)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is where the time comes from")]
fn instant_now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this module is where the time comes from")]
fn system_unix_ms() -> i64 {
    let clamp = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => clamp(after),
        Err(before) => -clamp(before.duration()),
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct Manual {
    unix_ms: AtomicI64,
    monotonic_ms: AtomicI64,
}

impl Manual {
    /// A clock that stands at `unix_seconds`.
    #[must_use]
    pub fn at(unix_seconds: i64) -> Self {
        let clock = Self::default();
        clock.set(unix_seconds);
        clock
    }

    /// Sets the wall time alone, back too, as an administrator or NTP does.
    pub fn set(&self, unix_seconds: i64) {
        self.unix_ms.store(unix_seconds.saturating_mul(1000), Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.unix_ms.fetch_add(by_ms, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for Manual {
    fn now_unix_ms(&self) -> i64 {
        self.unix_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_also_before_1970() {
        let clock = Manual::at(-2);
        clock.advance(Duration::from_millis(500));
        assert_eq!((clock.now_unix_ms(), clock.now_unix_seconds()), (-1500, -2));
    }

    #[test]
    fn setting_the_wall_clock_back_leaves_monotonic_alone() {
        let clock = Manual::at(1000);
        clock.advance(Duration::from_secs(5));
        clock.set(10);
        assert_eq!((clock.now_unix_seconds(), clock.monotonic()), (10, Duration::from_secs(5)));
    }

    #[test]
    fn a_system_clock_set_to_a_date_runs_on_from_it() {
        let clock = System::set_to(1_000_000);
        let shown = clock.now_unix_ms();
        assert!((1_000_000..1_060_000).contains(&shown), "shows {shown}");
    }
}
