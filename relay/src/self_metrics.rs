//! What carbon-c-relay's dashboards expect of a relay's own numbers beyond the table of metrics.

/// Totals over all nodes, rules or reasons: how the names summed begin and end, and their sum's.
const TOTALS: [(&str, &str, &str); 6] = [
    ("destinations.", ".sent", "metricsSent"),
    ("destinations.", ".queued", "metricsQueued"),
    ("dropped.", "", "metricsDropped"),
    ("aggregators.", ".received", "aggregators.metricsReceived"),
    ("aggregators.", ".sent", "aggregators.metricsSent"),
    ("aggregators.dropped.", "", "aggregators.metricsDropped"),
];

/// Adds the totals that carbon-c-relay sends beside the numbers of each destination.
pub(crate) fn add_totals(series: &mut Vec<(String, f64)>) {
    let received = series.iter().find_map(|(name, _)| name.strip_suffix("metricsReceived"));
    let Some(prefix) = received.map(str::to_owned) else { return };
    for (begin, end, total) in TOTALS {
        let own = |name: &str| {
            name.strip_prefix(&prefix)
                .is_some_and(|own| own.starts_with(begin) && own.ends_with(end))
        };
        let sum = series.iter().filter(|(name, _)| own(name)).map(|(_, value)| value).sum();
        series.push((format!("{prefix}{total}"), sum));
    }
}

#[cfg(test)]
mod tests {
    use daemon::{Context, GraphiteReporter};

    use super::*;
    use crate::tables::METRICS;

    #[test]
    fn the_numbers_have_the_names_that_dashboards_know() {
        let context = Context::new("relay", METRICS);
        let count = |name, label: &str, by| context.metrics.counter_with(name, &[label]).add(by);
        count("plumbago_relay_lines_sent_total", "10.0.0.1:2003", 30);
        count("plumbago_relay_lines_sent_total", "10.0.0.2:2003", 12);
        count("plumbago_relay_lines_dropped_total", "bad_line", 5);
        count("plumbago_relay_aggregate_points_sent_total", "sums", 3);
        count("plumbago_relay_aggregate_points_refused_total", "too_late", 2);
        context.metrics.gauge_with("plumbago_relay_backlog_lines", &["10.0.0.2:2003"]).set(7.0);
        let mut series =
            GraphiteReporter::new("carbon.relays.r1").since_start(true).sample(&context.metrics);
        add_totals(&mut series);
        for (name, value) in [
            ("metricsReceived", 0.0),
            ("metricsSent", 42.0),
            ("metricsQueued", 7.0),
            ("metricsDropped", 5.0),
            ("metricStalls", 0.0),
            ("aggregators.metricsSent", 3.0),
            ("aggregators.metricsDropped", 2.0),
            ("destinations.10_0_0_1:2003.sent", 30.0),
            ("destinations.10_0_0_2:2003.queued", 7.0),
        ] {
            let wanted = (format!("carbon.relays.r1.{name}"), value);
            assert!(series.contains(&wanted), "{wanted:?} in {series:?}");
        }
    }
}
