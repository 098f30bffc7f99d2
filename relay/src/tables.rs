//! The relay's settings and metrics: one entry each; flags, files, help and docs follow.

use daemon::{Kind, Metric, Setting};

/// Every setting of the relay.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "line",
        Kind::Address,
        "0.0.0.0:2003",
        "Takes carbon lines here, over TCP and UDP.",
    )
    .list(),
    Setting::new("pickle", Kind::Address, "0.0.0.0:2004", "Takes Python pickles here, over TCP.")
        .list(),
    Setting::new(
        "admin",
        Kind::Address,
        "127.0.0.1:2005",
        "Serves /metrics, /health, /ready and /admin/* here; it has no password.",
    ),
    Setting::new(
        "log",
        Kind::Path,
        "",
        "Folder that keeps the lines a stopping relay could not deliver, for its next start. \
         Without it they are dropped at the stop, counted.",
    )
    .value_name("DIR"),
    cluster::CLUSTER.reload(),
    Setting::new(
        "node",
        Kind::Text,
        "",
        "A storage node as HOST:PORT or HOST:PORT=INSTANCE. The order is part of the ring.",
    )
    .value_name("HOST:PORT[=INSTANCE]")
    .list()
    .reload(),
    cluster::RING.reload(),
    cluster::COLLISION.reload(),
    cluster::REPLICAS.reload(),
    cluster::REPLICATION.reload(),
    Setting::new(
        "clusters",
        Kind::Tables,
        "",
        "Named clusters that rules send to; docs/relay-rules.md has every key.",
    )
    .value_name("[clusters.NAME]")
    .reload(),
    Setting::new(
        "rule",
        Kind::Tables,
        "",
        "What becomes of a line, in order: match, rewrite, aggregate, drop, sample, send, stop; \
         docs/relay-rules.md has every key.",
    )
    .value_name("[[rule]]")
    .reload(),
    Setting::new(
        "aggregate_series_max",
        Kind::Count,
        "1000000",
        "Most output series of one aggregate that may have open windows; points of further ones \
         are refused, counted.",
    ),
    Setting::new(
        "aggregate_values_max",
        Kind::Count,
        "10000",
        "Most values that one window keeps for its percentiles; further ones are left out of \
         them, counted.",
    ),
    Setting::new(
        "aggregate_bytes_max",
        Kind::Bytes,
        "1GiB",
        "Memory for the open windows of all aggregates; points that need more are refused, \
         counted.",
    ),
    Setting::new(
        "routing_key",
        Kind::Choice(&["series", "name"]),
        "series",
        "What of a tagged series rules match and rings hash: the whole canonical name, or what \
         stands before the tags, as carbon-c-relay does.",
    )
    .reload(),
    Setting::new(
        "queue_bytes_max",
        Kind::Bytes,
        "256MiB",
        "How much waits in memory for one node before senders have to wait.",
    ),
    Setting::new(
        "self_metrics_interval",
        Kind::Duration,
        "60s",
        "How often the relay's own numbers are sent through its rules as series under \
         carbon.relays, with carbon-c-relay's names; 0 for never.",
    ),
    ingest::settings::LINE_BYTES_MAX,
    ingest::settings::FRAME_BYTES_MAX,
    ingest::settings::CONNECTIONS_MAX,
    ingest::settings::FUTURE_MAX,
];

/// Every metric of the relay.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        "plumbago_relay_lines_received_total",
        "Lines and pickled points that were read.",
    )
    .graphite("metricsReceived"),
    Metric::counter(
        "plumbago_relay_lines_dropped_total",
        "Lines that went nowhere, by reason; one that only some owners missed counts for each.",
    )
    .labels(&["reason"])
    .graphite("dropped.{reason}"),
    Metric::counter("plumbago_relay_rule_hits_total", "Lines for which a rule held.")
        .labels(&["rule"]),
    Metric::counter(
        "plumbago_relay_aggregate_points_refused_total",
        "Points that no aggregate could count, by reason.",
    )
    .labels(&["reason"])
    .graphite("aggregators.dropped.{reason}"),
    Metric::counter(
        "plumbago_relay_aggregate_points_received_total",
        "Points that aggregates were given.",
    )
    .labels(&["rule"])
    .graphite("aggregators.{rule}.received"),
    Metric::counter("plumbago_relay_aggregate_points_sent_total", "Results of aggregates.")
        .labels(&["rule"])
        .graphite("aggregators.{rule}.sent"),
    Metric::counter(
        "plumbago_relay_aggregate_windows_corrected_total",
        "Windows that a late point changed after they were sent, and that are sent again.",
    )
    .labels(&["rule"]),
    Metric::counter(
        "plumbago_relay_aggregate_windows_incomplete_total",
        "Windows sent although points of them came before what the log still held at the start.",
    )
    .labels(&["rule"]),
    Metric::counter(
        "plumbago_relay_aggregate_values_left_out_total",
        "Values that percentiles lack because their window had too many.",
    )
    .labels(&["rule"]),
    Metric::gauge("plumbago_relay_aggregate_series", "Output series with open windows.")
        .labels(&["rule"]),
    Metric::gauge("plumbago_relay_aggregate_bytes", "What the open windows take.")
        .labels(&["rule"]),
    Metric::counter(
        "plumbago_relay_cluster_lines_total",
        "Lines that rules sent to a cluster; a copy on several nodes counts once.",
    )
    .labels(&["cluster"]),
    Metric::counter(
        "plumbago_relay_lines_sent_total",
        "Lines handed to the kernel for a node and drained from the queue.",
    )
    .labels(&["node"])
    .graphite("destinations.{node}.sent"),
    Metric::counter(
        "plumbago_relay_lines_resent_total",
        "Lines sent once more after a connection broke, because the node may not have read them.",
    )
    .labels(&["node"]),
    Metric::counter("plumbago_relay_connects_total", "Connections made to a node.")
        .labels(&["node"]),
    Metric::counter(
        "plumbago_relay_connect_failures_total",
        "Connections to a node that could not be made.",
    )
    .labels(&["node"]),
    Metric::gauge("plumbago_relay_backlog_lines", "Lines that wait for a node.")
        .labels(&["node"])
        .graphite("destinations.{node}.queued"),
    Metric::gauge("plumbago_relay_backlog_bytes", "Bytes that wait for a node.").labels(&["node"]),
    Metric::counter(
        "plumbago_relay_senders_waited_total",
        "Reads that waited because a node's queue was full.",
    )
    .graphite("metricStalls"),
];
