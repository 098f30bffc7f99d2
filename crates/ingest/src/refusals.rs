//! What was refused: a counter for each reason, and the last lines for `/admin/rejected`.

use std::collections::VecDeque;
use std::sync::Arc;

use daemon::{Clock, Counter, Gauge, Registry};
use parking_lot::Mutex;
use wire::RefusalReason;

use crate::metrics::CLOCK_ALARM;
use crate::point::Point;
use crate::skew::Skew;

/// How many refused lines are kept to be looked at.
pub const REJECTED_KEPT: usize = 100;

/// How much of a refused line is kept.
pub(crate) const SAMPLE_BYTES_MAX: usize = 200;

/// The two ends that a listener counts itself; the sink counts the rest.
#[derive(Debug, Clone)]
pub struct Counters {
    received: Counter,
    refused: Vec<Counter>,
    clock_alarm: Gauge,
}

impl Counters {
    /// Takes the counters from a daemon's registry: `received` has no labels, `dropped` is
    /// labelled with the reason.
    #[must_use]
    pub fn new(registry: &Registry, received: &str, dropped: &str) -> Self {
        let refused = RefusalReason::ALL
            .iter()
            .map(|reason| registry.counter_with(dropped, &[reason.label()]))
            .collect();
        let clock_alarm = registry.gauge(CLOCK_ALARM.name);
        Self { received: registry.counter(received), refused, clock_alarm }
    }
}

/// One refused line or entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// When, in seconds since 1970.
    pub timestamp: i64,
    /// Label of the reason.
    pub reason: &'static str,
    /// The sender's address.
    pub peer: String,
    /// The start of the line, with control bytes and invalid UTF-8 escaped.
    pub sample: String,
}

/// Counts points and keeps the last refused ones; shared by all listeners of a daemon.
#[derive(Debug)]
pub struct Refusals {
    counters: Counters,
    clock: Arc<dyn Clock>,
    skew: Skew,
    last: Mutex<VecDeque<Rejected>>,
}

impl Refusals {
    /// An empty list that counts into `counters`.
    #[must_use]
    pub fn new(counters: Counters, clock: Arc<dyn Clock>) -> Self {
        let skew = Skew::new(counters.clock_alarm.clone());
        Self { counters, clock, skew, last: Mutex::new(VecDeque::with_capacity(REJECTED_KEPT)) }
    }

    /// Counts points that were read, whatever becomes of them.
    pub fn received(&self, points: u64) {
        self.counters.received.add(points);
    }

    /// Compares the times of points with the clock; `refused_ahead` more were refused because they lie too far ahead.
    pub(crate) fn look_at_times(&self, points: &[Point<'_>], refused_ahead: u64) {
        self.skew.look_at(points, refused_ahead, &*self.clock);
    }

    /// Counts one refusal of a listener and keeps a sample of the line.
    pub fn refuse(&self, reason: RefusalReason, peer: &str, line: &[u8]) {
        self.counters.refused[reason.index()].add(1);
        self.keep(reason.label(), peer, line);
    }

    /// Counts refusals of which no sample is kept.
    pub(crate) fn count(&self, reason: RefusalReason, points: u64) {
        self.counters.refused[reason.index()].add(points);
    }

    /// Keeps a sample of something that a sink refused and counted under its own reason.
    pub fn keep(&self, reason: &'static str, peer: &str, line: &[u8]) {
        let cut = &line[..line.len().min(SAMPLE_BYTES_MAX)];
        let rejected = Rejected {
            timestamp: self.clock.now_unix_seconds(),
            reason,
            peer: peer.to_owned(),
            sample: cut.escape_ascii().to_string(),
        };
        let mut last = self.last.lock();
        if last.len() == REJECTED_KEPT {
            last.pop_front();
        }
        last.push_back(rejected);
    }

    /// The last refused lines, newest first.
    #[must_use]
    pub fn last(&self) -> Vec<Rejected> {
        self.last.lock().iter().rev().cloned().collect()
    }
}
