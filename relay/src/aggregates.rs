//! The aggregates of the rules in force: points in, results out, kept over a reload.

mod log;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daemon::{Context, Counter, Gauge, StartError};
use metric::Point;
use parking_lot::Mutex;

pub(crate) use log::WindowLog;

use crate::aggregate::{Aggregator, Emission, Limits, Refusal};
use crate::routes::Routes;
use crate::rules::Aggregate;
use log::Given;

/// What is counted for each rule that has aggregates.
pub(crate) const METRICS_OF_RULES: [&str; 7] = [
    "plumbago_relay_aggregate_points_received_total",
    "plumbago_relay_aggregate_points_sent_total",
    "plumbago_relay_aggregate_windows_corrected_total",
    "plumbago_relay_aggregate_windows_incomplete_total",
    "plumbago_relay_aggregate_values_left_out_total",
    "plumbago_relay_aggregate_series",
    "plumbago_relay_aggregate_bytes",
];

/// Points are kept this much longer than windows last, because results are spread over time.
const RELEASE_DELAY: Duration = Duration::from_secs(600);

/// All aggregates, by their places in the rules.
#[derive(Debug)]
pub(crate) struct Aggregates {
    open: Vec<Arc<Open>>,
    /// Bytes that all together may hold.
    bytes_max: usize,
    /// Where points are kept that open windows hold.
    log: Option<Arc<WindowLog>>,
    refused: Vec<Counter>,
}

#[derive(Debug)]
struct Open {
    identity: String,
    /// What stands for the identity in the log.
    key: u64,
    /// How far back its open windows reach.
    horizon: Duration,
    /// The name of its rule.
    rule: String,
    aggregator: Mutex<Aggregator>,
    /// What the windows took when they were last looked at.
    held_bytes: AtomicUsize,
    numbers: Numbers,
}

/// What is counted of one rule.
#[derive(Debug)]
struct Numbers {
    received: Counter,
    sent: Counter,
    corrected: Counter,
    incomplete: Counter,
    values_left_out: Counter,
    series: Gauge,
    bytes: Gauge,
}

/// A result that is to be sent.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The aggregate's place in the rules.
    pub(crate) aggregate: usize,
    pub(crate) name: String,
    pub(crate) point: Point,
}

/// A point that counts in an aggregate's series.
#[derive(Debug)]
pub(crate) struct Contribution {
    /// The aggregate's place in the rules.
    pub(crate) aggregate: usize,
    pub(crate) output: String,
    pub(crate) point: Point,
}

impl Aggregates {
    /// The aggregates of `routes`; those that `before` has as well keep their windows. Without
    /// `before` the windows are rebuilt that were open when the last run ended.
    ///
    /// # Errors
    /// A log that cannot be opened.
    pub(crate) fn new(
        routes: &Routes,
        before: Option<&Self>,
        context: &Context,
    ) -> Result<Self, StartError> {
        let open = |aggregate: &Aggregate| {
            let kept = before.and_then(|before| {
                before.open.iter().find(|open| open.identity == aggregate.identity)
            });
            kept.cloned().unwrap_or_else(|| {
                let rule = &routes.rules.rules()[aggregate.rule].name;
                Arc::new(Open::new(aggregate, routes.limits, rule, context))
            })
        };
        let refused = Refusal::ALL.map(|refusal| {
            let metric = "plumbago_relay_aggregate_points_refused_total";
            context.metrics.counter_with(metric, &[refusal.reason()])
        });
        let mut aggregates = Self {
            open: routes.rules.aggregates().iter().map(open).collect(),
            bytes_max: routes.limits.bytes_max,
            log: before.and_then(|before| before.log.clone()),
            refused: refused.into(),
        };
        let is_first = aggregates.log.is_none() && !aggregates.open.is_empty();
        if let Some((folder, bytes_max)) = routes.window_log.as_ref().filter(|_| is_first) {
            let log = WindowLog::open(folder, *bytes_max, context)?;
            aggregates.rebuild(&log, context.clock.now_unix_seconds());
            aggregates.log = Some(Arc::new(log));
        }
        Ok(aggregates)
    }

    /// Counts once more what the run before was given and had in open windows.
    fn rebuild(&self, log: &WindowLog, now: i64) {
        // From where on the log has all points. Of one that was cut, no window is taken for whole that may have begun before.
        let is_whole = log.is_whole();
        let mut begins = vec![None; self.open.len()];
        log.read_back(|found| {
            let places = self.open.iter().zip(&mut begins);
            for (open, begin) in places.filter(|(open, _)| open.key == found.key) {
                let mut aggregator = open.aggregator.lock();
                let newest = found.points.iter().map(|(_, point)| point.timestamp).max();
                *begin = begin.or(newest);
                for (output, point) in &found.points {
                    // The former run counted what it refused, and did not keep it.
                    let _known = aggregator.add(output, *point, found.received);
                }
                aggregator.advance(found.received, |_| ());
            }
        });
        for (open, begin) in self.open.iter().zip(begins) {
            let mut aggregator = open.aggregator.lock();
            // What is counted from here on is of this run.
            aggregator.take_tally();
            if let Some(begin) = begin {
                aggregator.end_replay(if is_whole { i64::MIN } else { begin }, now);
            }
            open.publish(&mut aggregator);
        }
    }

    /// The log that the next start rebuilds the open windows from.
    pub(crate) fn log(&self) -> Option<Arc<WindowLog>> {
        self.log.clone()
    }

    /// Counts points; `now` is in seconds since 1970. The answer is whether something is due.
    pub(crate) fn add(&self, contributions: &[Contribution], now: i64) -> bool {
        let mut is_due = false;
        // Neighbours mostly go into the same aggregate, whose lock is taken once for them.
        for group in contributions.chunk_by(|a, b| a.aggregate == b.aggregate) {
            let open = &self.open[group[0].aggregate];
            let mut aggregator = open.aggregator.lock();
            let of_others = self.held_bytes() - open.held_bytes.load(Ordering::Relaxed);
            aggregator.set_bytes_max(self.bytes_max.saturating_sub(of_others));
            let mut counted = Vec::new();
            for contribution in group {
                match aggregator.add(&contribution.output, contribution.point, now) {
                    Ok(()) if self.log.is_some() => counted.push(contribution),
                    Ok(()) => {}
                    Err(refusal) => self.count(refusal),
                }
            }
            if let Some(log) = self.log.as_ref().filter(|_| !counted.is_empty()) {
                log.append(Given { key: open.key, received: now, points: &counted });
            }
            open.numbers.received.add(group.len() as u64);
            open.held_bytes.store(aggregator.bytes(), Ordering::Relaxed);
            is_due |= aggregator.is_due(now);
        }
        is_due
    }

    fn count(&self, refusal: Refusal) {
        let place = Refusal::ALL.iter().position(|other| *other == refusal);
        self.refused[place.unwrap_or_default()].inc();
    }

    fn held_bytes(&self) -> usize {
        self.open.iter().map(|open| open.held_bytes.load(Ordering::Relaxed)).sum()
    }

    /// What was due in the earliest second for which something is.
    pub(crate) fn advance(&self, now: i64) -> Vec<Outcome> {
        self.collect(|_| true, |aggregator, send| aggregator.advance_a_second(now, send))
    }

    /// Whether [`Self::advance`] has more.
    pub(crate) fn is_due(&self, now: i64) -> bool {
        self.open.iter().any(|open| open.aggregator.lock().is_due(now))
    }

    /// Lets the log go of what no open window needs.
    pub(crate) fn release(&self, now: i64) {
        if let Some(log) = &self.log {
            let horizons = self.open.iter().map(|open| open.horizon);
            log.release(now, horizons.max().unwrap_or_default() + RELEASE_DELAY);
        }
    }

    /// All that has not been sent, of a relay that stops.
    pub(crate) fn flush(&self) -> Vec<Outcome> {
        self.collect(|_| true, |aggregator, send| aggregator.flush(send))
    }

    /// All that has not been sent by the aggregates that `now` does not have.
    pub(crate) fn flush_those_not_in(&self, now: &Self) -> Vec<Outcome> {
        let is_gone = |open: &Open| !now.open.iter().any(|other| other.identity == open.identity);
        self.collect(is_gone, |aggregator, send| aggregator.flush(send))
    }

    fn collect(
        &self,
        is_meant: impl Fn(&Open) -> bool,
        emit: impl Fn(&mut Aggregator, &mut dyn FnMut(Emission<'_>)),
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (aggregate, open) in self.open.iter().enumerate().filter(|(_, open)| is_meant(open)) {
            let mut aggregator = open.aggregator.lock();
            emit(&mut aggregator, &mut |emission| {
                let name = emission.name.to_owned();
                outcomes.push(Outcome { aggregate, name, point: emission.point });
            });
            open.publish(&mut aggregator);
        }
        outcomes
    }

    /// The rules that have aggregates, for the metrics of those that go.
    pub(crate) fn rules(&self) -> Vec<String> {
        self.open.iter().map(|open| open.rule.clone()).collect()
    }
}

impl Open {
    fn new(aggregate: &Aggregate, limits: Limits, rule: &str, context: &Context) -> Self {
        Self {
            identity: aggregate.identity.clone(),
            key: ring::fnv1a_64(aggregate.identity.as_bytes(), false),
            horizon: aggregate.spec.horizon(),
            rule: rule.to_owned(),
            aggregator: Mutex::new(Aggregator::new(aggregate.spec.clone().limits(limits))),
            held_bytes: AtomicUsize::new(0),
            numbers: Numbers::new(rule, context),
        }
    }

    fn publish(&self, aggregator: &mut Aggregator) {
        let Numbers { sent, corrected, incomplete, values_left_out, series, bytes, .. } =
            &self.numbers;
        let tally = aggregator.take_tally();
        sent.add(tally.emitted);
        corrected.add(tally.corrected);
        incomplete.add(tally.incomplete);
        values_left_out.add(tally.values_over_limit);
        series.set(aggregator.series() as f64);
        bytes.set(aggregator.bytes() as f64);
        self.held_bytes.store(aggregator.bytes(), Ordering::Relaxed);
    }
}

impl Numbers {
    fn new(rule: &str, context: &Context) -> Self {
        let [received, sent, corrected, incomplete, values_left_out, series, bytes] =
            METRICS_OF_RULES;
        let counter = |name| context.metrics.counter_with(name, &[rule]);
        let gauge = |name| context.metrics.gauge_with(name, &[rule]);
        Self {
            received: counter(received),
            sent: counter(sent),
            corrected: counter(corrected),
            incomplete: counter(incomplete),
            values_left_out: counter(values_left_out),
            series: gauge(series),
            bytes: gauge(bytes),
        }
    }
}
