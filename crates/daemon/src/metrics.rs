//! One table per daemon names its numbers; Prometheus text, Graphite series and the docs page are
//! derived from it.
//!
//! Counting is one relaxed add on a handle that was looked up beforehand; looking up takes a lock.

mod cells;
mod expose;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

pub use cells::{Counter, Gauge, Histogram};
pub use expose::{GraphiteReporter, markdown};

use cells::Cell;

/// Label sets one metric may have; later ones share the set whose labels all say `other`, so that
/// a flood of names cannot fill the memory.
pub const LABEL_SETS_MAX: usize = 4_096;

/// What a number does over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations per bucket; the upper bounds, ascending.
    Histogram(&'static [f64]),
}

/// One metric: all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// `plumbago_<daemon>_<what>_<unit>[_total]`.
    pub name: &'static str,
    /// What it does over time.
    pub kind: MetricKind,
    /// The label names, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// One sentence for the operator.
    pub help: &'static str,
    /// The name of the Graphite series where a peer has one, with `{label}` for label values.
    pub graphite: Option<&'static str>,
}

impl Metric {
    const fn new(name: &'static str, kind: MetricKind, help: &'static str) -> Self {
        Self { name, kind, labels: &[], help, graphite: None }
    }

    /// A number that only grows; its name ends in `_total`.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, MetricKind::Counter, help)
    }

    /// A number that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, MetricKind::Gauge, help)
    }

    /// Observations in buckets with these upper bounds, ascending.
    #[must_use]
    pub const fn histogram(name: &'static str, bounds: &'static [f64], help: &'static str) -> Self {
        Self::new(name, MetricKind::Histogram(bounds), help)
    }

    /// Names the labels.
    #[must_use]
    pub const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    /// Names the Graphite series as a peer does, `{label}` standing for a label's value.
    #[must_use]
    pub const fn graphite(mut self, name: &'static str) -> Self {
        self.graphite = Some(name);
        self
    }
}

struct Family {
    metric: &'static Metric,
    cells: Mutex<BTreeMap<Vec<String>, Cell>>,
}

/// The numbers of one daemon. Asking for a name that the table lacks, or as another kind, is a
/// mistake in the program and panics.
pub struct Registry {
    families: BTreeMap<&'static str, Family>,
}

impl Registry {
    /// A registry of all `metrics`; those without labels show from the start, at zero.
    ///
    /// # Panics
    /// If a name stands twice, or breaks the form `plumbago_<daemon>_<what>_<unit>[_total]`.
    #[must_use]
    pub fn new(metrics: &'static [Metric]) -> Self {
        let family = |metric: &'static Metric| {
            let mut cells = BTreeMap::new();
            if metric.labels.is_empty() {
                cells.insert(Vec::new(), Cell::new(metric.kind));
            }
            (metric.name, Family { metric, cells: Mutex::new(cells) })
        };
        for metric in metrics {
            let (name, is_counter) = (metric.name, metric.kind == MetricKind::Counter);
            assert!(name.starts_with("plumbago_"), "metric {name} lacks the prefix plumbago_");
            assert_eq!(name.ends_with("_total"), is_counter, "only counters end in _total: {name}");
        }
        let families: BTreeMap<_, _> = metrics.iter().map(family).collect();
        assert_eq!(families.len(), metrics.len(), "a metric's name stands twice in the table");
        Self { families }
    }

    /// The counter of this name, without labels.
    #[must_use]
    pub fn counter(&self, name: &str) -> Counter {
        self.counter_with(name, &[])
    }

    /// The counter of this name with these label values.
    #[must_use]
    pub fn counter_with(&self, name: &str, labels: &[&str]) -> Counter {
        match self.cell(name, labels) {
            Cell::Counter(counter) => counter,
            _ => panic!("metric {name} is no counter"),
        }
    }

    /// The gauge of this name, without labels.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Gauge {
        self.gauge_with(name, &[])
    }

    /// The gauge of this name with these label values.
    #[must_use]
    pub fn gauge_with(&self, name: &str, labels: &[&str]) -> Gauge {
        match self.cell(name, labels) {
            Cell::Gauge(gauge) => gauge,
            _ => panic!("metric {name} is no gauge"),
        }
    }

    /// The histogram of this name with these label values.
    #[must_use]
    pub fn histogram_with(&self, name: &str, labels: &[&str]) -> Histogram {
        match self.cell(name, labels) {
            Cell::Histogram(histogram) => histogram,
            _ => panic!("metric {name} is no histogram"),
        }
    }

    /// The histogram of this name, without labels.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Histogram {
        self.histogram_with(name, &[])
    }

    /// Lets `read` supply a counter or gauge whenever the numbers are read, in place of a handle:
    /// for what is known elsewhere already.
    pub fn callback(
        &self,
        name: &str,
        labels: &[&str],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let family = self.family(name, labels);
        let key = labels.iter().map(|&label| label.to_owned()).collect();
        family.cells.lock().insert(key, Cell::Callback(Arc::new(read)));
    }

    /// Forgets one set of labels, for instance of a node that left.
    pub fn remove(&self, name: &str, labels: &[&str]) {
        let key: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        self.family(name, labels).cells.lock().remove(&key);
    }

    fn family(&self, name: &str, labels: &[&str]) -> &Family {
        let family = self.families.get(name).unwrap_or_else(|| panic!("no metric {name}"));
        assert_eq!(family.metric.labels.len(), labels.len(), "labels of metric {name}");
        family
    }

    fn cell(&self, name: &str, labels: &[&str]) -> Cell {
        let family = self.family(name, labels);
        let mut cells = family.cells.lock();
        let mut key: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        if cells.len() >= LABEL_SETS_MAX && !cells.contains_key(&key) {
            key.fill("other".to_owned());
        }
        cells.entry(key).or_insert_with(|| Cell::new(family.metric.kind)).clone()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.families.keys()).finish()
    }
}
