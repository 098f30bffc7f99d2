//! The aggregates of the rules in force: points in, results out, kept over a reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daemon::{Context, Counter, Gauge};
use metric::Point;
use parking_lot::Mutex;

use crate::aggregate::{Aggregator, Emission, Limits, Refusal};
use crate::routes::Routes;
use crate::rules::Aggregate;

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

/// All aggregates, by their places in the rules.
#[derive(Debug)]
pub(crate) struct Aggregates {
    open: Vec<Arc<Open>>,
    /// Bytes that all together may hold.
    bytes_max: usize,
    refused: Vec<Counter>,
}

#[derive(Debug)]
struct Open {
    identity: String,
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
    /// The aggregates of `routes`; those that `before` has as well keep their windows.
    pub(crate) fn new(routes: &Routes, before: Option<&Self>, context: &Context) -> Self {
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
        Self {
            open: routes.rules.aggregates().iter().map(open).collect(),
            bytes_max: routes.limits.bytes_max,
            refused: refused.into(),
        }
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
            for Contribution { output, point, .. } in group {
                if let Err(refusal) = aggregator.add(output, *point, now) {
                    let place = Refusal::ALL.iter().position(|other| *other == refusal);
                    self.refused[place.unwrap_or_default()].inc();
                }
            }
            open.numbers.received.add(group.len() as u64);
            open.held_bytes.store(aggregator.bytes(), Ordering::Relaxed);
            is_due |= aggregator.is_due(now);
        }
        is_due
    }

    fn held_bytes(&self) -> usize {
        self.open.iter().map(|open| open.held_bytes.load(Ordering::Relaxed)).sum()
    }

    /// What is due.
    pub(crate) fn advance(&self, now: i64) -> Vec<Outcome> {
        self.collect(|_| true, |aggregator, send| aggregator.advance(now, send))
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
