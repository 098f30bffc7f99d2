//! The relay's settings and metrics: one entry each; flags, files, help and docs follow.

use daemon::{Kind, Metric, Setting};
use wire::link::Packing;

use crate::log::LogFull;

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
    cluster::CLUSTER.reload(),
    cluster::CLUSTER_CHECK_INTERVAL,
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
        "aggregate_log_bytes_max",
        Kind::Bytes,
        "256MiB",
        "With a log: size of the points kept under `windows` in its folder, from which a restart \
         rebuilds open windows; beyond it the oldest go, and longer windows miss them.",
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
        "Without a log: how much waits in memory for one node before senders have to wait.",
    ),
    Setting::new(
        "link_packing",
        Kind::Choice(Packing::WORDS),
        "none",
        "How lines are packed on the way to nodes that have a `link` address: lz4 or zstd where the \
         network costs more than the CPU.",
    ),
    Setting::new(
        "link_tls_ca",
        Kind::Path,
        "",
        "Certificates (PEM) by which a node's certificate must be signed, which names the host of its \
         `link`; with it, the acknowledged link speaks TLS to all nodes.",
    )
    .value_name("FILE"),
    Setting::new(
        "link_tls_cert",
        Kind::Path,
        "",
        "The relay's own certificate chain (PEM), for nodes that ask for one: mutual TLS.",
    )
    .value_name("FILE"),
    Setting::new("link_tls_key", Kind::Path, "", "That certificate's private key (PEM).")
        .value_name("FILE"),
    Setting::new(
        "log",
        Kind::Path,
        "",
        "Folder of the relay's log, which keeps each line until its nodes have it, through their \
         death and the relay's own. Without it lines wait in memory only.",
    )
    .value_name("DIR"),
    Setting::new(
        "log_bytes_max",
        Kind::Bytes,
        "4GiB",
        "Size of the log, give or take a segment; beyond it log_full decides.",
    ),
    Setting::new("log_age_max", Kind::Duration, "7d", "Older lines leave the log, counted."),
    Setting::new(
        "log_full",
        Kind::Choice(LogFull::WORDS),
        "oldest",
        "When the log is full: a node's oldest lines go, or it is kept no newer ones until it has \
         those (newest), or senders wait.",
    ),
    Setting::new(
        "log_segment_bytes",
        Kind::Bytes,
        "64MiB",
        "Size of one file of the log; it is deleted when no node needs anything in it.",
    ),
    Setting::new(
        "log_buffer_bytes_max",
        Kind::Bytes,
        "32MiB",
        "Memory for what the log's disk has not taken yet. When it is full, senders wait.",
    ),
    Setting::new(
        "log_memory_bytes_max",
        Kind::Bytes,
        "24MiB",
        "With a log: how much waits in memory for all nodes. One that falls further behind is fed \
         from the log.",
    ),
    Setting::new(
        "log_replay_bytes_per_s_max",
        Kind::Bytes,
        "64MiB",
        "How much a second is read back from the log; live lines go before.",
    ),
    Setting::new(
        "sync_interval",
        Kind::Choice(&["always", "10ms", "100ms", "1s", "never"]),
        "100ms",
        "How often the log is made to survive the loss of power. The death of the process costs \
         nothing in any case.",
    ),
    Setting::new(
        "ack",
        Kind::Choice(&["written", "synced"]),
        "written",
        "What a sender that ends its connection and waits for the close can rely on: its lines \
         survive the death of the relay (written), or the loss of power too (synced).",
    ),
    Setting::new(
        "self_metrics_interval",
        Kind::Duration,
        "60s",
        "How often the relay's own numbers are sent through its rules as series under \
         carbon.relays, with carbon-c-relay's names; 0 for never.",
    ),
    ingest::settings::HTTP,
    ingest::settings::LISTENER,
    ingest::settings::TENANT,
    ingest::settings::LINE_BYTES_MAX,
    ingest::settings::FRAME_BYTES_MAX,
    ingest::settings::CONNECTIONS_MAX,
    ingest::settings::FUTURE_MAX,
    ingest::settings::HTTP_BODY_BYTES_MAX,
    ingest::settings::HTTP_POINTS_MAX,
    ingest::settings::HTTP_MEMORY_MAX,
    ingest::settings::HTTP_REQUESTS_PER_SECOND_MAX,
    ingest::settings::HTTP_POINTS_PER_SECOND_MAX,
    ingest::settings::HTTP_NEW_SERIES_PER_HOUR_MAX,
    ingest::settings::HEALTH_RAMP,
];

/// Every metric of the relay.
pub const METRICS: &[Metric] = &[
    daemon::SETTINGS_FAULTS,
    ingest::metrics::CONNECTIONS,
    ingest::metrics::CONNECTIONS_CLOSED,
    ingest::metrics::BYTES,
    ingest::metrics::POINTS,
    ingest::metrics::PAUSES,
    ingest::metrics::HTTP_REQUESTS,
    ingest::metrics::HTTP_SECONDS,
    ingest::metrics::RAMP_REFUSED,
    ingest::metrics::CLOCK_ALARM,
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
    Metric::gauge("plumbago_relay_window_log_bytes", "Size of the log of open windows."),
    Metric::counter(
        "plumbago_relay_window_log_points_replayed_total",
        "Points that came back from the log of open windows at the start.",
    ),
    Metric::counter(
        "plumbago_relay_window_log_points_skipped_total",
        "Points that the log of open windows did not take because its disk had fallen behind.",
    ),
    Metric::counter(
        "plumbago_relay_window_log_write_errors_total",
        "Writes of the log of open windows that failed; it tries again.",
    ),
    Metric::counter(
        "plumbago_relay_window_log_sync_errors_total",
        "Syncs of the log of open windows that failed.",
    ),
    Metric::counter(
        "plumbago_relay_window_log_frames_damaged_total",
        "Stretches of the log of open windows that did not check at start.",
    ),
    Metric::counter(
        "plumbago_relay_window_log_torn_bytes_total",
        "Bytes that a death had left half written at the end of the log of open windows.",
    ),
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
        "Lines that were sent and wait once more, because the connection broke before the node must have read them.",
    )
    .labels(&["node"]),
    Metric::counter(
        "plumbago_relay_link_lines_written_total",
        "Lines of which a node has said over the acknowledged link that they survive its death.",
    )
    .labels(&["node"]),
    Metric::counter(
        "plumbago_relay_link_lines_synced_total",
        "Lines of which a node has said over the acknowledged link that they survive its loss of power.",
    )
    .labels(&["node"]),
    Metric::counter(
        "plumbago_relay_link_lines_known_total",
        "Lines that waited for a node and that it has, as it said at the start of a connection of the \
         acknowledged link: they do not go out again.",
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
        "Reads that waited because memory or the log was full.",
    )
    .graphite("metricStalls"),
    Metric::counter(
        "plumbago_relay_node_lines_dropped_total",
        "Lines that a node does not get, by reason.",
    )
    .labels(&["node", "reason"]),
    Metric::gauge("plumbago_relay_log_bytes", "Size of the log."),
    Metric::gauge("plumbago_relay_log_segments", "Files of the log."),
    Metric::gauge(
        "plumbago_relay_log_unsynced_bytes",
        "Bytes of the log in memory, not written or not synced.",
    ),
    Metric::counter(
        "plumbago_relay_log_lines_found_total",
        "Lines that former runs had left in the log, once for each node that they wait for.",
    ),
    Metric::counter("plumbago_relay_log_lines_appended_total", "Lines that were put into the log."),
    Metric::counter("plumbago_relay_log_lines_written_total", "Lines written to the log's disk."),
    Metric::counter("plumbago_relay_log_bytes_written_total", "Bytes written to the log."),
    Metric::counter(
        "plumbago_relay_log_bytes_released_total",
        "Bytes of the log deleted with their segments.",
    ),
    Metric::counter("plumbago_relay_log_writes_total", "Writes of the log."),
    Metric::counter("plumbago_relay_log_syncs_total", "Syncs of the log."),
    Metric::counter(
        "plumbago_relay_log_write_errors_total",
        "Writes of the log that failed; they are tried again.",
    ),
    Metric::counter(
        "plumbago_relay_log_sync_errors_total",
        "Syncs of the log that failed; what they were for was written again elsewhere.",
    ),
    Metric::gauge("plumbago_relay_log_stalled", "1 while the log cannot be written."),
    Metric::gauge(
        "plumbago_relay_log_alarm",
        "1 since a sync of the log has failed: the disk wants looking at.",
    ),
    Metric::counter(
        "plumbago_relay_log_frames_damaged_total",
        "Stretches of the log that did not check, at start.",
    ),
    Metric::counter(
        "plumbago_relay_log_torn_bytes_total",
        "Bytes cut off the end of the log, at start.",
    ),
    Metric::counter(
        "plumbago_relay_log_files_unusable_total",
        "Files of the log that were set aside or could not be read, at start.",
    ),
];
