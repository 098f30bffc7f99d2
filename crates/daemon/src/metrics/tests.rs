//! What the table's numbers look like from outside, and that floods of labels stay bounded.

use super::*;

const METRICS: &[Metric] = &[
    Metric::counter("plumbago_test_points_total", "Points.").graphite("updateOperations"),
    Metric::counter("plumbago_test_lines_sent_total", "Lines \\ node.").labels(&["node"]),
    Metric::gauge("plumbago_test_log_bytes", "Bytes."),
    Metric::gauge("plumbago_test_backlog_lines", "Waiting.")
        .labels(&["node"])
        .graphite("destinations.{node}.queue"),
    Metric::histogram("plumbago_test_request_seconds", &[0.1, 1.0], "Requests."),
];

#[test]
fn prometheus_text_is_exact() {
    let registry = Registry::new(METRICS);
    registry.counter("plumbago_test_points_total").add(7);
    registry.counter_with("plumbago_test_lines_sent_total", &["a\"\\\n"]).inc();
    registry.gauge("plumbago_test_log_bytes").set(1.5);
    registry.gauge("plumbago_test_log_bytes").add(-2.0);
    registry.callback("plumbago_test_backlog_lines", &["b:1"], || 12.0);
    let histogram = registry.histogram("plumbago_test_request_seconds");
    [0.1, 0.5, 9.0].iter().for_each(|&seconds| histogram.observe(seconds));
    let wanted = r#"# HELP plumbago_test_backlog_lines Waiting.
# TYPE plumbago_test_backlog_lines gauge
plumbago_test_backlog_lines{node="b:1"} 12
# HELP plumbago_test_lines_sent_total Lines \\ node.
# TYPE plumbago_test_lines_sent_total counter
plumbago_test_lines_sent_total{node="a\"\\\n"} 1
# HELP plumbago_test_log_bytes Bytes.
# TYPE plumbago_test_log_bytes gauge
plumbago_test_log_bytes -0.5
# HELP plumbago_test_points_total Points.
# TYPE plumbago_test_points_total counter
plumbago_test_points_total 7
# HELP plumbago_test_request_seconds Requests.
# TYPE plumbago_test_request_seconds histogram
plumbago_test_request_seconds_bucket{le="0.1"} 1
plumbago_test_request_seconds_bucket{le="1"} 2
plumbago_test_request_seconds_bucket{le="+Inf"} 3
plumbago_test_request_seconds_sum 9.6
plumbago_test_request_seconds_count 3
"#;
    assert_eq!(registry.prometheus(), wanted);
}

#[test]
fn handles_of_one_name_share_the_number() {
    let registry = Registry::new(METRICS);
    let clone = registry.counter("plumbago_test_points_total").clone();
    registry.counter("plumbago_test_points_total").add(2);
    clone.inc();
    assert_eq!(clone.get(), 3);
    assert_eq!(registry.value("plumbago_test_points_total", &[]), Some(3.0));
    assert_eq!(registry.value("plumbago_test_lines_sent_total", &["x"]), None);
}

#[test]
fn graphite_counters_are_deltas_and_names_are_the_peers() {
    let registry = Registry::new(METRICS);
    let mut reporter = GraphiteReporter::new("carbon.agents.n1");
    let points = registry.counter("plumbago_test_points_total");
    registry.counter_with("plumbago_test_lines_sent_total", &["a.b:1"]).add(4);
    registry.gauge_with("plumbago_test_backlog_lines", &["a.b:1"]).set(9.0);
    points.add(5);
    let first = reporter.sample(&registry);
    let at = |series: &[(String, f64)], name: &str| {
        let full = format!("carbon.agents.n1.{name}");
        series.iter().find(|(name, _)| *name == full).map(|(_, value)| *value)
    };
    assert_eq!(at(&first, "updateOperations"), Some(5.0));
    assert_eq!(at(&first, "lines_sent.a_b:1"), Some(4.0));
    assert_eq!(at(&first, "destinations.a_b:1.queue"), Some(9.0));
    points.add(1);
    let second = reporter.sample(&registry);
    assert_eq!(at(&second, "updateOperations"), Some(1.0));
    let whole = GraphiteReporter::new("carbon.agents.n1").since_start(true).sample(&registry);
    assert_eq!(at(&whole, "updateOperations"), Some(6.0));
    assert_eq!(at(&second, "destinations.a_b:1.queue"), Some(9.0));
    assert_eq!(at(&second, "request_seconds.count"), Some(0.0));
}

#[test]
fn a_flood_of_label_values_ends_in_other() {
    let registry = Registry::new(METRICS);
    for number in 0..LABEL_SETS_MAX + 10 {
        registry.counter_with("plumbago_test_lines_sent_total", &[&number.to_string()]).inc();
    }
    assert_eq!(registry.value("plumbago_test_lines_sent_total", &["other"]), Some(10.0));
    assert!(registry.prometheus().lines().count() < LABEL_SETS_MAX + 30);
}

#[test]
fn a_removed_label_set_is_gone() {
    let registry = Registry::new(METRICS);
    registry.gauge_with("plumbago_test_backlog_lines", &["a"]).set(1.0);
    registry.remove("plumbago_test_backlog_lines", &["a"]);
    assert_eq!(registry.value("plumbago_test_backlog_lines", &["a"]), None);
}

#[test]
fn quantiles_come_from_bucket_bounds() {
    let histogram = Registry::new(METRICS).histogram("plumbago_test_request_seconds");
    assert_eq!(histogram.quantile_bound(0.95), None);
    (0..99).for_each(|_| histogram.observe(0.05));
    histogram.observe(5.0);
    assert_eq!(histogram.quantile_bound(0.95), Some(0.1));
    assert_eq!(histogram.quantile_bound(1.0), Some(f64::INFINITY));
}

#[test]
#[should_panic(expected = "no metric plumbago_test_odd")]
fn a_name_outside_the_table_is_a_mistake_of_the_program() {
    drop(Registry::new(METRICS).counter("plumbago_test_odd"));
}

#[test]
fn docs_show_every_metric_and_its_series() {
    let docs = markdown("test", METRICS);
    for metric in METRICS {
        assert!(docs.contains(metric.name), "{}", metric.name);
    }
    assert!(docs.contains("`lines_sent.{node}`") && docs.contains("`destinations.{node}.queue`"));
}

#[test]
#[should_panic(expected = "only counters end in _total")]
fn a_counter_without_its_ending_is_a_mistake_of_the_program() {
    const ODD: &[Metric] = &[Metric::counter("plumbago_test_lines", "Lines.")];
    drop(Registry::new(ODD));
}

#[test]
#[should_panic(expected = "stands twice")]
fn a_name_given_twice_is_a_mistake_of_the_program() {
    const LINES: Metric = Metric::gauge("plumbago_test_lines", "Lines.");
    const TWICE: &[Metric] = &[LINES, LINES];
    drop(Registry::new(TWICE));
}
