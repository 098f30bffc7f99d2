//! Logs on stderr, as text or JSON; the level can change while running; repeats are counted
//! instead of printed.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Why the log could not be set up or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Neither a level nor a filter.
    #[error("{text:?} is no log level (error, warn, info, debug, trace) and no filter: {problem}")]
    Level {
        /// What was given.
        text: String,
        /// What the filter's parser said.
        problem: String,
    },
    /// The process has a log already, or none yet.
    #[error("the log of this process is set up {0}")]
    Setup(&'static str),
}

/// Sets up the process's log. For mains and test programs only.
///
/// # Errors
/// An unknown level, or a log that exists already.
pub fn init(level: &str, json: bool) -> Result<(), LogError> {
    let (filter, handle) = reload::Layer::new(parse_level(level)?);
    let writer =
        fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let layer = if json { writer.json().boxed() } else { writer.boxed() };
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init()
        .or(Err(LogError::Setup("already")))?;
    LEVEL.set(handle).or(Err(LogError::Setup("already")))
}

/// Changes the level of the process's log.
///
/// # Errors
/// An unknown level, or a process without [`init`].
pub fn set_level(level: &str) -> Result<(), LogError> {
    let filter = parse_level(level)?;
    let handle = LEVEL.get().ok_or(LogError::Setup("by another program"))?;
    handle.reload(filter).or(Err(LogError::Setup("no more")))
}

pub(crate) fn parse_level(level: &str) -> Result<EnvFilter, LogError> {
    let level = level.trim();
    let wrong = |problem: &str| LogError::Level { text: level.into(), problem: problem.into() };
    // The filter's grammar takes any single word as the name of a program part.
    let is_word = level.parse::<LevelFilter>().is_ok() && !level.is_empty();
    if !level.contains('=') && !is_word {
        return Err(wrong("unknown word"));
    }
    EnvFilter::try_new(level).map_err(|error| wrong(&error.to_string()))
}

/// Lets one event through per interval and counts the rest.
#[derive(Debug)]
pub struct RateLimit {
    interval_ms: i64,
    /// Monotonic time of the last event let through, plus one; zero: none yet.
    last_ms: AtomicI64,
    hidden: AtomicU64,
}

impl RateLimit {
    /// At most one event in `interval_seconds`.
    #[must_use]
    pub const fn every_seconds(interval_seconds: u32) -> Self {
        let interval_ms = interval_seconds as i64 * 1000;
        Self { interval_ms, last_ms: AtomicI64::new(0), hidden: AtomicU64::new(0) }
    }

    /// Whether to let an event at `now` through, and how many were hidden since the last one.
    pub fn allow(&self, now: Duration) -> Option<u64> {
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX - 1) + 1;
        let last_ms = self.last_ms.load(Relaxed);
        let due = last_ms == 0 || now_ms - last_ms >= self.interval_ms;
        let won = due && self.last_ms.compare_exchange(last_ms, now_ms, Relaxed, Relaxed).is_ok();
        if won {
            return Some(self.hidden.swap(0, Relaxed));
        }
        self.hidden.fetch_add(1, Relaxed);
        None
    }
}

/// `warn!` at most once in ten seconds from this place, with a field `hidden` that says how many
/// were left out: `daemon::warn_limited!(context.clock, node, "connection lost")`.
#[macro_export]
macro_rules! warn_limited {
    ($clock:expr, $($event:tt)+) => {{
        static LIMIT: $crate::log::RateLimit = $crate::log::RateLimit::every_seconds(10);
        if let Some(hidden) = LIMIT.allow($crate::clock::Clock::monotonic(&*$clock)) {
            $crate::tracing::warn!(hidden, $($event)+);
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_hidden_and_counted() {
        let limit = RateLimit::every_seconds(10);
        let at = |seconds| limit.allow(Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(9), at(10), at(15), at(21)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }

    #[test]
    fn a_level_or_a_filter_but_no_other_word() {
        for sound in ["info", "WARN", "off", "info,hyper=warn", "relay=debug"] {
            assert!(parse_level(sound).is_ok(), "{sound}");
        }
        for odd in ["infos", "", "relay=loud"] {
            assert!(parse_level(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_macro_takes_fields() {
        let clock = std::sync::Arc::new(crate::clock::Manual::at(0));
        let node = "a:2003";
        crate::warn_limited!(clock, node, "connection lost");
    }
}
