//! The handles that count.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::MetricKind;

/// Only grows; clones share the number.
#[derive(Debug, Clone, Default)]
pub struct Counter {
    count: Arc<AtomicU64>,
}

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.count.fetch_add(n, Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

/// Goes up and down; clones share the number.
#[derive(Debug, Clone, Default)]
pub struct Gauge {
    bits: Arc<AtomicU64>,
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.bits.store(value.to_bits(), Relaxed);
    }

    /// Adds `delta`, which may be negative.
    pub fn add(&self, delta: f64) {
        add_f64(&self.bits, delta);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.bits.load(Relaxed))
    }
}

fn add_f64(bits: &AtomicU64, delta: f64) {
    let sum = |old| Some((f64::from_bits(old) + delta).to_bits());
    bits.fetch_update(Relaxed, Relaxed, sum).expect("the closure always gives a value");
}

/// Counts observations per bucket; clones share the numbers.
#[derive(Debug, Clone)]
pub struct Histogram {
    inner: Arc<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    /// One more than bounds: the last is for what exceeds them all.
    counts: Box<[AtomicU64]>,
    sum_bits: AtomicU64,
}

/// One reading of a histogram.
pub(crate) struct Snapshot {
    /// Bound and how many observations were at most that, the last bound being infinite.
    pub(crate) cumulative: Vec<(f64, u64)>,
    pub(crate) sum: f64,
    pub(crate) count: u64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { inner: Arc::new(Buckets { bounds, counts, sum_bits: AtomicU64::new(0) }) }
    }

    /// Counts one observation.
    pub fn observe(&self, value: f64) {
        let bucket = self.inner.bounds.partition_point(|bound| *bound < value);
        self.inner.counts[bucket].fetch_add(1, Relaxed);
        add_f64(&self.inner.sum_bits, value);
    }

    /// The smallest bound that at least the share `q` of the observations did not exceed; none
    /// before the first observation, infinite if they exceeded every bound.
    #[must_use]
    pub fn quantile_bound(&self, q: f64) -> Option<f64> {
        let snapshot = self.snapshot();
        let wanted = q * snapshot.count as f64;
        let bucket = snapshot.cumulative.iter().find(|(_, count)| *count as f64 >= wanted);
        bucket.filter(|_| snapshot.count > 0).map(|(bound, _)| *bound)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut count = 0;
        let bounds = self.inner.bounds.iter().copied().chain([f64::INFINITY]);
        let cumulative = bounds
            .zip(&self.inner.counts)
            .map(|(bound, bucket)| {
                count += bucket.load(Relaxed);
                (bound, count)
            })
            .collect();
        Snapshot { cumulative, sum: f64::from_bits(self.inner.sum_bits.load(Relaxed)), count }
    }
}

#[derive(Clone)]
pub(crate) enum Cell {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Callback(Arc<dyn Fn() -> f64 + Send + Sync>),
}

impl Cell {
    pub(crate) fn new(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter(Counter::default()),
            MetricKind::Gauge => Self::Gauge(Gauge::default()),
            MetricKind::Histogram(bounds) => Self::Histogram(Histogram::new(bounds)),
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cell")
    }
}
