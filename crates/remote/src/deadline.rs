//! What goes with every question from part to part: the moment after which nobody waits any more, and for whom it is asked.

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use http::HeaderMap;
use metric::Within;

use crate::error::RemoteErrorKind as Kind;

/// Request header with the milliseconds that are left. Milliseconds left, not a time of day: the
/// clocks of two machines need not agree.
pub const DEADLINE_HEADER: &str = "x-plumbago-deadline-ms";

/// Request header with the prefixes of the names that may be shown; see [`Within::to_text`].
pub const WITHIN_HEADER: &str = "x-plumbago-within";

/// For whom a question is asked.
#[derive(Debug, Clone, Default)]
pub struct OnBehalf {
    /// The names that may be shown.
    pub within: Within,
    /// Headers that go along.
    pub headers: HeaderMap,
}

impl OnBehalf {
    /// What tells answers for one apart from answers for others, as a part of a cache's key; empty for who may see everything.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key =
            self.within.to_text().map(|text| format!("\nwithin {text}")).unwrap_or_default();
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            key.extend(["\n", name.as_str(), " ", &value]);
        }
        key
    }
}

/// A moment on the clock that never goes back, and who waits for it.
#[derive(Debug, Clone)]
pub struct Deadline {
    clock: Arc<dyn Clock>,
    at: Duration,
    waiting: Arc<OnBehalf>,
}

impl Deadline {
    /// The moment `wait` from now.
    #[must_use]
    pub fn after(clock: &Arc<dyn Clock>, wait: Duration) -> Self {
        let at = clock.monotonic().saturating_add(wait);
        Self { clock: Arc::clone(clock), at, waiting: Arc::default() }
    }

    /// The same, of somebody who may not see everything.
    #[must_use]
    pub fn of(self, waiting: OnBehalf) -> Self {
        Self { waiting: Arc::new(waiting), ..self }
    }

    /// Who waits.
    #[must_use]
    pub fn waiting(&self) -> &OnBehalf {
        &self.waiting
    }

    /// The same, a little sooner.
    #[must_use]
    pub fn earlier(mut self, by: Duration) -> Self {
        self.at = self.at.saturating_sub(by);
        self
    }

    /// The sooner of this moment and the one `wait` from now.
    #[must_use]
    pub fn within(mut self, wait: Duration) -> Self {
        self.at = self.at.min(self.clock.monotonic().saturating_add(wait));
        self
    }

    /// Time left; zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.at.saturating_sub(self.clock.monotonic())
    }

    /// The moment as milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        self.clock.now_unix_ms().saturating_add(self.remaining_ms())
    }

    /// What goes into the header: whole milliseconds left.
    #[must_use]
    pub fn remaining_ms(&self) -> i64 {
        i64::try_from(self.remaining().as_millis()).unwrap_or(i64::MAX)
    }
}

/// What comes of some work, if it ends before the deadline.
pub(crate) async fn in_time<T>(
    deadline: &Deadline,
    work: impl Future<Output = Result<T, Kind>>,
) -> Result<T, Kind> {
    match tokio::time::timeout(deadline.remaining(), work).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Kind::Timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::clock::Manual;

    #[test]
    fn time_left_shrinks_to_zero_and_stays_there() {
        let manual = Arc::new(Manual::at(1000));
        let clock: Arc<dyn Clock> = manual.clone();
        let deadline = Deadline::after(&clock, Duration::from_secs(3));
        assert_eq!((deadline.remaining_ms(), deadline.unix_ms()), (3000, 1_003_000));
        assert_eq!(deadline.clone().earlier(Duration::from_secs(1)).remaining_ms(), 2000);
        assert_eq!(deadline.clone().within(Duration::from_secs(9)).remaining_ms(), 3000);
        manual.advance(Duration::from_secs(5));
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }
}
