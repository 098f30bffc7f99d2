//! The numbers as Prometheus text, as Graphite series, and the table as a docs page.

use std::collections::HashMap;
use std::fmt::Write;

use super::cells::{Cell, Snapshot};
use super::{Metric, MetricKind, Registry};

impl Registry {
    /// Prometheus text exposition, version 0.0.4.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        for family in self.families.values() {
            let metric = family.metric;
            let _infallible =
                writeln!(out, "# HELP {} {}", metric.name, metric.help.replace('\\', "\\\\"));
            let _infallible = writeln!(out, "# TYPE {} {}", metric.name, kind_word(metric.kind));
            // Callbacks run without the lock: they may read other numbers.
            let cells = family.cells.lock().clone();
            for (values, cell) in &cells {
                let labels = label_text(metric.labels, values);
                write_cell(&mut out, metric.name, &labels, cell);
            }
        }
        out
    }

    /// One number as scripts and tests ask for it; histograms give their count. None if there is
    /// no such label set.
    ///
    /// # Panics
    /// If the table has no metric of this name or it has other labels.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let key: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        let cell = self.family(name, labels).cells.lock().get(&key).cloned()?;
        Some(match cell {
            Cell::Histogram(histogram) => histogram.snapshot().count as f64,
            other => scalar(&other),
        })
    }
}

fn kind_word(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram(_) => "histogram",
    }
}

fn scalar(cell: &Cell) -> f64 {
    match cell {
        Cell::Counter(counter) => counter.get() as f64,
        Cell::Gauge(gauge) => gauge.get(),
        Cell::Callback(read) => read(),
        Cell::Histogram(histogram) => histogram.snapshot().sum,
    }
}

fn write_cell(out: &mut String, name: &str, labels: &str, cell: &Cell) {
    let Cell::Histogram(histogram) = cell else {
        let _infallible = writeln!(out, "{name}{} {}", braced(labels), number(scalar(cell)));
        return;
    };
    let Snapshot { cumulative, sum, count } = histogram.snapshot();
    let comma = if labels.is_empty() { "" } else { "," };
    for (bound, at_most) in cumulative {
        let bound = number(bound);
        let _infallible = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {at_most}");
    }
    let _infallible = writeln!(out, "{name}_sum{} {}", braced(labels), number(sum));
    let _infallible = writeln!(out, "{name}_count{} {count}", braced(labels));
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        finite => finite.to_string(),
    }
}

fn label_text(names: &[&str], values: &[String]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = names
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    pairs.join(",")
}

/// Turns the numbers into Graphite series: gauges as they stand, counters as what came since the
/// last time, as go-carbon does, or since the start, as carbon-c-relay does.
#[derive(Debug)]
pub struct GraphiteReporter {
    prefix: String,
    since_start: bool,
    last: HashMap<String, f64>,
}

impl GraphiteReporter {
    /// Series under `prefix`, for instance `carbon.agents.node-1`.
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), since_start: false, last: HashMap::new() }
    }

    /// The same with counters that grow from the daemon's start on.
    #[must_use]
    pub fn since_start(mut self, since_start: bool) -> Self {
        self.since_start = since_start;
        self
    }

    /// Name and value of every series now, in order of the metrics' names.
    pub fn sample(&mut self, registry: &Registry) -> Vec<(String, f64)> {
        let mut series = Vec::new();
        for family in registry.families.values() {
            let cells = family.cells.lock().clone();
            for (values, cell) in &cells {
                let name = format!("{}.{}", self.prefix, graphite_name(family.metric, values));
                match (family.metric.kind, cell) {
                    (MetricKind::Gauge, _) => series.push((name, scalar(cell))),
                    (_, Cell::Histogram(histogram)) => {
                        let Snapshot { sum, count, .. } = histogram.snapshot();
                        self.push_delta(&mut series, format!("{name}.count"), count as f64);
                        self.push_delta(&mut series, format!("{name}.sum"), sum);
                    }
                    (_, _) => self.push_delta(&mut series, name, scalar(cell)),
                }
            }
        }
        series
    }

    fn push_delta(&mut self, series: &mut Vec<(String, f64)>, name: String, now: f64) {
        if self.since_start {
            return series.push((name, now));
        }
        let before = self.last.insert(name.clone(), now).unwrap_or(0.0);
        series.push((name, now - before));
    }
}

/// The peers' name where the table has one; else ours without its prefix, label values as parts.
fn graphite_name(metric: &Metric, values: &[String]) -> String {
    let part = |text: &str| {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':');
        text.chars().map(|c| if sound(c) { c } else { '_' }).collect::<String>()
    };
    if let Some(template) = metric.graphite {
        return metric
            .labels
            .iter()
            .zip(values)
            .fold(template.to_owned(), |name, (label, value)| {
                name.replace(&format!("{{{label}}}"), &part(value))
            });
    }
    let bare = metric.name.strip_prefix("plumbago_").unwrap_or(metric.name);
    let bare = bare.split_once('_').map_or(bare, |(_daemon, what)| what);
    let bare = bare.strip_suffix("_total").unwrap_or(bare);
    std::iter::once(bare.to_owned())
        .chain(values.iter().map(|v| part(v)))
        .collect::<Vec<_>>()
        .join(".")
}

/// The docs section of one daemon's metrics.
#[must_use]
pub fn markdown(daemon: &str, metrics: &[Metric]) -> String {
    let mut out = format!(
        "## plumbago-{daemon}\n\n| metric | kind | labels | Graphite series | meaning |\n|---|---|---|---|---|\n"
    );
    for metric in metrics {
        let label_slots: Vec<String> =
            metric.labels.iter().map(|label| format!("{{{label}}}")).collect();
        let graphite = match metric.graphite {
            Some(name) => name.to_owned(),
            None => {
                let bare = graphite_name(metric, &[]);
                std::iter::once(bare).chain(label_slots).collect::<Vec<_>>().join(".")
            }
        };
        let _infallible = writeln!(
            out,
            "| `{}` | {} | {} | `{graphite}` | {} |",
            metric.name,
            kind_word(metric.kind),
            metric.labels.join(", "),
            metric.help.replace('|', "\\|")
        );
    }
    out
}
