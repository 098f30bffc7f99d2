//! Dashboards ask for metrics that there are: every `plumbago_…` in a dashboard stands in a table.

use daemon::{Metric, MetricKind};

use super::File;
use crate::codegen::PROGRAMS;
use crate::fault::Fault;

const FOLDER: &str = "packaging/grafana/";
const PREFIX: &str = "plumbago_";

/// What Prometheus appends to the name of a histogram.
const PARTS_OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

pub(super) fn check(file: &File, faults: &mut Vec<Fault>) {
    if !file.path.starts_with(FOLDER) {
        return;
    }
    for (number, line) in file.lines() {
        for name in names(line).filter(|name| !is_known(name)) {
            let problem = format!("no daemon has a metric `{name}`; docs/metrics.md has all");
            faults.push(Fault::new(&file.path, number, problem));
        }
    }
}

/// The names of metrics in a line.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(PREFIX).map(|(at, _)| {
        let rest = &line[at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        &rest[..end.unwrap_or(rest.len())]
    })
}

fn is_known(name: &str) -> bool {
    let is = |metric: &Metric| match metric.kind {
        MetricKind::Histogram(_) => {
            let part = name.strip_prefix(metric.name);
            part.is_some_and(|part| PARTS_OF_HISTOGRAMS.contains(&part))
        }
        _ => metric.name == name,
    };
    PROGRAMS.iter().any(|program| program.metrics.iter().any(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check(&File { path: path.into(), text: text.into() }, &mut faults);
        faults.into_iter().map(|fault| fault.problem).collect()
    }

    #[test]
    fn a_metric_that_no_table_has_is_named() {
        let text = "sum(rate(plumbago_carbon_points_lost_total[5m])) + plumbago_carbon_series\n";
        let found = problems("packaging/grafana/x.json", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("`plumbago_carbon_points_lost_total`"));
        assert!(problems("docs/x.md", text).is_empty());
    }

    #[test]
    fn a_histogram_is_asked_for_by_its_parts() {
        let path = "packaging/grafana/x.json";
        assert!(problems(path, "plumbago_carbon_read_seconds_bucket{le}").is_empty());
        assert_eq!(problems(path, "plumbago_carbon_read_seconds").len(), 1);
    }
}
