//! The node's own numbers as series of its own, under go-carbon's names where it has them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Context, GraphiteReporter};
use ingest::{Point, Refusals, Sink};

use crate::accept::Accept;

/// Stores all numbers every `interval` until the stop.
pub(crate) fn start(
    sink: Arc<Accept>,
    refusals: Arc<Refusals>,
    (context, host): (&Context, &str),
    interval: Duration,
) {
    let mut reporter = GraphiteReporter::new(prefix(host));
    let context = context.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = context.shutdown.wait() => return,
            }
            let series = with_points_per_update(reporter.sample(&context.metrics));
            let Ok(timestamp) = u32::try_from(context.clock.now_unix_seconds()) else { continue };
            let point =
                |(name, value)| Point { name: Cow::Owned(name), value, timestamp, line: None };
            let points: Vec<Point<'_>> = series.into_iter().map(point).collect();
            refusals.received(points.len() as u64);
            sink.accept(&points);
        }
    });
}

/// go-carbon's prefix; the dots of a host's name do not make branches.
fn prefix(host: &str) -> String {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let host: String = host.chars().map(|c| if sound(c) { c } else { '_' }).collect();
    format!("carbon.agents.{host}")
}

/// Adds the ratio that dashboards watch first.
fn with_points_per_update(mut series: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let find = |ending: &str| series.iter().find(|(name, _)| name.ends_with(ending));
    let (points, updates) =
        (find(".persister.committedPoints"), find(".persister.updateOperations"));
    let ratio = points.zip(updates).map(|((name, points), (_, updates))| {
        let name = name.replace("committedPoints", "pointsPerUpdate");
        (name, if *updates > 0.0 { points / updates } else { 0.0 })
    });
    series.extend(ratio);
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::METRICS;

    #[test]
    fn the_numbers_have_the_names_that_dashboards_know() {
        let context = Context::new("carbon", METRICS);
        context.metrics.counter("plumbago_carbon_points_written_total").add(30);
        context.metrics.counter("plumbago_carbon_updates_total").add(10);
        let mut reporter = GraphiteReporter::new(prefix("db1.example"));
        let series = with_points_per_update(reporter.sample(&context.metrics));
        for (name, value) in [
            ("persister.committedPoints", 30.0),
            ("persister.updateOperations", 10.0),
            ("persister.pointsPerUpdate", 3.0),
            ("cache.size", 0.0),
        ] {
            let wanted = (format!("carbon.agents.db1_example.{name}"), value);
            assert!(series.contains(&wanted), "{wanted:?} in {series:?}");
        }
    }
}
