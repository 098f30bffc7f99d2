//! The aggregates of the rules in force: points in, results out, kept over a reload.

use std::sync::Arc;

use daemon::{Context, Counter, Gauge};
use metric::Point;
use parking_lot::Mutex;

use crate::aggregate::{Aggregator, Emission, Refusal};
use crate::rules::{Aggregate, Rules};

/// All aggregates, by their places in the rules.
#[derive(Debug)]
pub(crate) struct Aggregates {
    open: Vec<Arc<Open>>,
    refused: Vec<Counter>,
}

#[derive(Debug)]
struct Open {
    identity: String,
    /// The name of its rule.
    rule: String,
    aggregator: Mutex<Aggregator>,
    sent: Counter,
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
    /// The aggregates of `rules`; those that `before` has as well keep their windows.
    pub(crate) fn new(rules: &Rules, before: Option<&Self>, context: &Context) -> Self {
        let open = |aggregate: &Aggregate| {
            let kept = before.and_then(|before| {
                before.open.iter().find(|open| open.identity == aggregate.identity)
            });
            kept.cloned().unwrap_or_else(|| {
                let rule = &rules.rules()[aggregate.rule].name;
                Arc::new(Open::new(aggregate, rule, context))
            })
        };
        let refused = Refusal::ALL.map(|refusal| {
            let metric = "plumbago_relay_aggregate_points_refused_total";
            context.metrics.counter_with(metric, &[refusal.reason()])
        });
        Self { open: rules.aggregates().iter().map(open).collect(), refused: refused.into() }
    }

    /// Counts points; `now` is in seconds since 1970.
    pub(crate) fn add(&self, contributions: &[Contribution], now: i64) {
        // Neighbours mostly go into the same aggregate, whose lock is taken once for them.
        for group in contributions.chunk_by(|a, b| a.aggregate == b.aggregate) {
            let mut aggregator = self.open[group[0].aggregate].aggregator.lock();
            for Contribution { output, point, .. } in group {
                if let Err(refusal) = aggregator.add(output, *point, now) {
                    let place = Refusal::ALL.iter().position(|other| *other == refusal);
                    self.refused[place.unwrap_or_default()].inc();
                }
            }
        }
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
            let before = outcomes.len();
            let mut aggregator = open.aggregator.lock();
            emit(&mut aggregator, &mut |emission| {
                let name = emission.name.to_owned();
                outcomes.push(Outcome { aggregate, name, point: emission.point });
            });
            open.series.set(aggregator.series() as f64);
            open.bytes.set(aggregator.bytes() as f64);
            open.sent.add((outcomes.len() - before) as u64);
        }
        outcomes
    }

    /// The rules that have aggregates, for the metrics of those that go.
    pub(crate) fn rules(&self) -> Vec<String> {
        self.open.iter().map(|open| open.rule.clone()).collect()
    }
}

impl Open {
    fn new(aggregate: &Aggregate, rule: &str, context: &Context) -> Self {
        Self {
            identity: aggregate.identity.clone(),
            rule: rule.to_owned(),
            aggregator: Mutex::new(Aggregator::new(aggregate.spec.clone())),
            sent: context
                .metrics
                .counter_with("plumbago_relay_aggregate_points_sent_total", &[rule]),
            series: context.metrics.gauge_with("plumbago_relay_aggregate_series", &[rule]),
            bytes: context.metrics.gauge_with("plumbago_relay_aggregate_bytes", &[rule]),
        }
    }
}
