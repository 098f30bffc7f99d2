//! A daemon's own numbers as series of its own, sent into its own sink.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Context, GraphiteReporter};

use crate::{Point, Refusals, Sink};

/// Which series the numbers become.
#[derive(Debug, Clone)]
pub struct SelfMetrics {
    /// What every name begins with; see [`prefix`].
    pub prefix: String,
    /// How often they are taken.
    pub interval: Duration,
    /// Whether counters grow from the daemon's start on, or say what came since the last time.
    pub since_start: bool,
    /// Adds what dashboards expect and the table of metrics does not have, such as totals.
    pub complete: fn(&mut Vec<(String, f64)>),
}

impl SelfMetrics {
    /// Gives all numbers to `sink` every interval until the stop; never, if the interval is nought.
    pub fn start(self, sink: Arc<impl Sink>, refusals: Arc<Refusals>, context: &Context) {
        if self.interval.is_zero() {
            return;
        }
        let mut reporter = GraphiteReporter::new(self.prefix).since_start(self.since_start);
        let context = context.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(self.interval) => {}
                    () = context.shutdown.wait() => return,
                }
                let mut series = reporter.sample(&context.metrics);
                (self.complete)(&mut series);
                let Ok(timestamp) = u32::try_from(context.clock.now_unix_seconds()) else {
                    continue;
                };
                let point =
                    |(name, value)| Point { name: Cow::Owned(name), value, timestamp, line: None };
                let points: Vec<Point<'_>> = series.into_iter().map(point).collect();
                refusals.received(points.len() as u64);
                sink.accept(&points);
            }
        });
    }
}

/// The prefix under which peers of one kind report: `carbon.agents` or `carbon.relays`, and the
/// host, whose dots do not make branches.
#[must_use]
pub fn prefix(kind: &str, host: &str) -> String {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let host: String = host.chars().map(|c| if sound(c) { c } else { '_' }).collect();
    format!("carbon.{kind}.{host}")
}

/// What the machine calls itself.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_part_of_the_name() {
        assert_eq!(prefix("relays", "db1.example"), "carbon.relays.db1_example");
        assert!(!host_name().is_empty());
    }
}
