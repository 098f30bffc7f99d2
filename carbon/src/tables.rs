//! The storage node's settings and metrics: one entry each; flags, files, help and docs follow.

use daemon::{Kind, Metric, Setting};

/// Every setting of the storage node.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "data",
        Kind::Path,
        "",
        "Folder of this node: whisper/ (the tree, laid out as carbon does), journal/, index/ and aside/.",
    )
    .value_name("DIR")
    .required(),
    Setting::new(
        "whisper",
        Kind::Path,
        "",
        "The tree of Whisper files, if it lies elsewhere, such as the one of an existing carbon.",
    )
    .value_name("DIR"),
    Setting::new(
        "line",
        Kind::Address,
        "0.0.0.0:2103",
        "Takes carbon lines here, over TCP and UDP.",
    )
    .list(),
    Setting::new(
        "link",
        Kind::Address,
        "0.0.0.0:2105",
        "Takes the acknowledged link of our relays here, over TCP; empty: nowhere.",
    ),
    Setting::new(
        "link_tls_cert",
        Kind::Path,
        "",
        "Certificate chain (PEM) of the acknowledged link; with it, it speaks TLS 1.2 and 1.3.",
    )
    .value_name("FILE"),
    Setting::new("link_tls_key", Kind::Path, "", "The certificate's private key (PEM).")
        .value_name("FILE"),
    Setting::new(
        "link_tls_client_ca",
        Kind::Path,
        "",
        "Certificates (PEM) by which a relay's own certificate must be signed: mutual TLS.",
    )
    .value_name("FILE"),
    Setting::new("pickle", Kind::Address, "", "Takes Python pickles here, over TCP.").list(),
    Setting::new(
        "read",
        Kind::Address,
        "0.0.0.0:8081",
        "Answers find, render, info and tags here, over HTTP.",
    ),
    Setting::new(
        "grpc",
        Kind::Address,
        "",
        "Answers readers over gRPC here (CarbonV2: Render, Find, Info), with the readers and the \
         certificate of `read`; empty: nowhere.",
    ),
    Setting::new(
        "carbonlink",
        Kind::Address,
        "127.0.0.1:7002",
        "Answers graphite-web's questions about points that are not in a file yet; empty: nowhere.",
    ),
    Setting::new(
        "admin",
        Kind::Address,
        "127.0.0.1:8084",
        "Serves /metrics, /health, /ready and /admin/* here; it has no password.",
    ),
    Setting::new(
        "schemas",
        Kind::Path,
        "",
        "storage-schemas.conf as it is; without it new files keep a minute for a week.",
    )
    .value_name("FILE")
    .reload(),
    Setting::new(
        "aggregation",
        Kind::Path,
        "",
        "storage-aggregation.conf as it is; without it new files take averages of half-known slots.",
    )
    .value_name("FILE")
    .reload(),
    Setting::new(
        "quotas",
        Kind::Path,
        "",
        "Limits for the series below a prefix: most series, points a minute, bytes of files. What is over them \
         refuses new series, never points of those that exist.",
    )
    .value_name("FILE")
    .reload(),
    Setting::new(
        "cluster",
        Kind::Path,
        "",
        "The cluster file; its fingerprint goes with every answer, so that a reader can tell \
         a node of another ring.",
    )
    .value_name("FILE")
    .reload(),
    cluster::CLUSTER_CHECK_INTERVAL,
    Setting::new("self", Kind::Text, "", "The name of this node in the cluster file.")
        .value_name("NAME"),
    Setting::new(
        "lag",
        Kind::Duration,
        "1h",
        "How long a point may wait in memory and journal before it is in its file. Longer saves \
         writes, shorter is for other programs that read the files.",
    ),
    Setting::new(
        "first_rollup_interval",
        Kind::Duration,
        "1h",
        "How far the second archive in the files may be behind. Reads do not wait for it.",
    ),
    Setting::new(
        "next_rollups_interval",
        Kind::Duration,
        "1d",
        "How far all coarser archives in the files may be behind. Reads do not wait for them.",
    ),
    Setting::new(
        "sync_interval",
        Kind::Choice(&["always", "10ms", "100ms", "1s", "never"]),
        "100ms",
        "How often the journal is made to survive the loss of power. The death of the process \
         costs nothing in any case.",
    ),
    Setting::new(
        "ack",
        Kind::Choice(&["written", "synced"]),
        "written",
        "What a sender that ends its connection and waits for the close can rely on: its points \
         survive the death of the process (written), or the loss of power too (synced).",
    ),
    Setting::new(
        "replay_budget",
        Kind::Duration,
        "5s",
        "How long reading the journal may take after a death. Points are written before their \
         time when the journal gets too long for that.",
    ),
    Setting::new(
        "journal_bytes_max",
        Kind::Bytes,
        "4GiB",
        "Size of the journal at which senders wait. At half of it points are written before \
         their time.",
    ),
    Setting::new(
        "journal_segment_bytes",
        Kind::Bytes,
        "8MiB",
        "Size of one file of the journal; it is deleted when all its points are in their files.",
    ),
    Setting::new(
        "journal_buffer_bytes_max",
        Kind::Bytes,
        "64MiB",
        "Memory for what the disk has not made safe yet. When it is full, senders wait.",
    ),
    Setting::new(
        "series_points_due",
        Kind::Count,
        "1024",
        "So many waiting points of one series are written before their time. 1024 fill three blocks of 4 KiB.",
    ),
    Setting::new("writer_threads", Kind::Count, "2", "Threads that write files; at least one."),
    Setting::new(
        "max_updates_per_second",
        Kind::Count,
        "0",
        "Most files written in a second; 0 for no limit. What is over it waits.",
    ),
    Setting::new(
        "max_creates_per_minute",
        Kind::Count,
        "0",
        "Most files created in a minute; 0 for no limit. What is over it waits, nothing is dropped.",
    ),
    Setting::new(
        "pending_bytes_max",
        Kind::Bytes,
        "1GiB",
        "Memory for waiting points. At half of it everything is due; when it is full, senders wait.",
    ),
    Setting::new(
        "series_limit",
        Kind::Count,
        "0",
        "Most series; points of further names are dropped and counted. 0 for no limit.",
    ),
    Setting::new(
        "free_space_min",
        Kind::Bytes,
        "256MiB",
        "With less space free no file is created; updates go on.",
    ),
    Setting::new(
        "free_inodes_min",
        Kind::Count,
        "1000",
        "With fewer inodes free no file is created; updates go on.",
    ),
    Setting::new(
        "scan_interval",
        Kind::Duration,
        "1h",
        "How often the tree is walked, slowly, for files that were copied in or deleted; 0 for \
         never. `POST /admin/scan` walks it at once.",
    ),
    Setting::new("read_threads", Kind::Count, "4", "Threads that search and read files."),
    Setting::new(
        "read_niceness",
        Kind::Count,
        "10",
        "How much these threads give way to those that take points in and write them, as nice(1) \
         counts: 0 not at all, 19 the most.",
    ),
    Setting::new(
        "read_queue_max",
        Kind::Count,
        "4096",
        "Most pieces of reading that may wait for a thread; further requests get a 503.",
    ),
    Setting::new(
        "request_bytes_max",
        Kind::Bytes,
        "16MiB",
        "Largest body of a request.",
    ),
    Setting::new(
        "request_timeout",
        Kind::Duration,
        "60s",
        "How long a request may take when it names no deadline of its own.",
    ),
    Setting::new("targets_max", Kind::Count, "10000", "Most names or patterns in one request."),
    Setting::new(
        "find_nodes_max",
        Kind::Count,
        "20000000",
        "Most nodes of the index that one pattern may visit.",
    ),
    Setting::new("find_series_max", Kind::Count, "1000000", "Most series and branches that one request may find."),
    Setting::new("render_points_max", Kind::Count, "50000000", "Most points in one answer."),
    Setting::new(
        "prune_grace",
        Kind::Duration,
        "1d",
        "A series that fell silent longer than this before the time asked for is not looked at.",
    ),
    Setting::new(
        "self_metrics_interval",
        Kind::Duration,
        "60s",
        "How often the node's own numbers are stored as series under carbon.agents, with \
         go-carbon's names; 0 for never.",
    ),
    remote::access::settings::READ_TLS_CERT,
    remote::access::settings::READ_TLS_KEY,
    remote::access::settings::READ_TLS_CLIENT_CA,
    remote::access::settings::READERS,
    remote::access::settings::TRUSTED_PROXIES,
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

/// Seconds a request takes, from a cache hit to a wide scan.
const REQUEST_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Every metric of the storage node. Each point received or replayed ends in one of written, superseded and
/// dropped, or is pending.
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
        "plumbago_carbon_points_received_total",
        "Points that were read, the node's own included.",
    )
    .graphite("tcp.metricsReceived"),
    Metric::counter(
        "plumbago_carbon_points_replayed_total",
        "Points that came back from the journal at start, those included that files had already.",
    ),
    Metric::counter("plumbago_carbon_points_journalled_total", "Points handed to the journal."),
    Metric::counter(
        "plumbago_carbon_points_committed_total",
        "Points that the journal has written: they survive the death of the process.",
    ),
    Metric::gauge("plumbago_carbon_journal_bytes", "Size of the journal."),
    Metric::gauge("plumbago_carbon_journal_segments", "Files of the journal."),
    Metric::gauge(
        "plumbago_carbon_journal_unsynced_bytes",
        "Bytes of the journal that the loss of power would cost.",
    ),
    Metric::counter("plumbago_carbon_journal_bytes_written_total", "Bytes written to the journal."),
    Metric::counter(
        "plumbago_carbon_journal_bytes_released_total",
        "Bytes of the journal deleted because their points are in files.",
    ),
    Metric::counter("plumbago_carbon_journal_writes_total", "Writes of the journal."),
    Metric::counter("plumbago_carbon_journal_syncs_total", "Syncs of the journal."),
    Metric::counter(
        "plumbago_carbon_journal_write_errors_total",
        "Writes of the journal that failed; it tries again and loses nothing.",
    ),
    Metric::counter(
        "plumbago_carbon_journal_sync_errors_total",
        "Syncs of the journal that failed; what they were to make safe was written again elsewhere.",
    ),
    Metric::gauge(
        "plumbago_carbon_journal_stalled",
        "1 while the journal cannot be written: senders wait once its buffer is full.",
    ),
    Metric::gauge(
        "plumbago_carbon_journal_alarm",
        "1 since a sync of the journal has failed: its disk wants looking at.",
    ),
    Metric::counter(
        "plumbago_carbon_journal_frames_damaged_total",
        "Stretches of the journal that did not check at start.",
    ),
    Metric::counter(
        "plumbago_carbon_journal_torn_bytes_total",
        "Bytes that a death had left half written at the journal's end.",
    ),
    Metric::counter(
        "plumbago_carbon_journal_files_unusable_total",
        "Files of the journal that could not be read at start.",
    ),
    Metric::counter(
        "plumbago_carbon_journal_records_unknown_total",
        "Records in the journal of a kind that this version does not know.",
    ),
    Metric::counter(
        "plumbago_carbon_file_sync_errors_total",
        "Times that the file system of the Whisper files could not be synced; the journal is kept.",
    ),
    Metric::counter(
        "plumbago_carbon_updates_hurried_total",
        "Series written before their time so that the journal stays short.",
    ),
    Metric::counter(
        "plumbago_carbon_journal_checkpoints_total",
        "Times that waiting points were written to the journal again so that its oldest files could go.",
    ),
    Metric::counter("plumbago_carbon_points_written_total", "Points that are in a file.")
        .graphite("persister.committedPoints"),
    Metric::counter(
        "plumbago_carbon_points_superseded_total",
        "Points that a later one of the same series and time replaced before they were written.",
    ),
    Metric::counter(
        "plumbago_carbon_points_dropped_total",
        "Points that are in no file, by reason.",
    )
    .labels(&["reason"]),
    Metric::gauge("plumbago_carbon_points_pending", "Points that wait to be written.")
        .graphite("cache.size"),
    Metric::gauge("plumbago_carbon_pending_series", "Series that have points waiting.")
        .graphite("cache.metrics"),
    Metric::gauge("plumbago_carbon_pending_bytes", "Memory that waiting points take."),
    Metric::counter(
        "plumbago_carbon_senders_waited_total",
        "Reads from a sender that waited because memory or journal was full.",
    ),
    Metric::gauge("plumbago_carbon_series", "Series that this node has."),
    Metric::gauge(
        "plumbago_carbon_index_bytes",
        "Memory that names and index take, the mapped file included.",
    ),
    Metric::counter("plumbago_carbon_updates_total", "Updates of files.")
        .graphite("persister.updateOperations"),
    Metric::counter(
        "plumbago_carbon_updates_late_total",
        "Updates that had to read the file, because points came late.",
    ),
    Metric::counter(
        "plumbago_carbon_files_learned_total",
        "Files read so that later updates need not be: after a start, a late point, or a change by others.",
    ),
    Metric::gauge(
        "plumbago_carbon_rollups_owed",
        "Series whose coarser archives are computed and not all in their files.",
    ),
    Metric::counter("plumbago_carbon_creates_total", "Files created.")
        .graphite("persister.created"),
    Metric::counter(
        "plumbago_carbon_creates_delayed_total",
        "Times that a new file had to wait for the budget or for free space.",
    ),
    Metric::counter(
        "plumbago_carbon_write_errors_total",
        "Writes that failed and were put off; their points still wait.",
    ),
    Metric::counter(
        "plumbago_carbon_files_set_aside_total",
        "Unreadable files that were moved out of the way.",
    ),
    Metric::counter(
        "plumbago_carbon_points_salvaged_total",
        "Points of unreadable files that could still be read and are in the files made anew.",
    ),
    Metric::counter(
        "plumbago_carbon_names_errors_total",
        "Times that new names could not be written to the names log.",
    ),
    Metric::counter(
        "plumbago_carbon_seals_total",
        "Times that the index was written anew into its sealed file.",
    ),
    Metric::counter(
        "plumbago_carbon_seal_errors_total",
        "Times that the sealed file of the index could not be written.",
    ),
    Metric::counter(
        "plumbago_carbon_files_discovered_total",
        "Files of unknown series that a walk over the tree found.",
    ),
    Metric::counter(
        "plumbago_carbon_read_requests_total",
        "Read requests, by endpoint and status.",
    )
    .labels(&["endpoint", "status"]),
    Metric::histogram(
        "plumbago_carbon_read_seconds",
        REQUEST_SECONDS,
        "Time from a read request to the end of its answer.",
    )
    .labels(&["endpoint"]),
    Metric::counter(
        "plumbago_carbon_read_refused_total",
        "Read requests that were refused or cut off, by the limit that they met.",
    )
    .labels(&["limit"]),
    Metric::counter(
        "plumbago_carbon_access_refused_total",
        "Requests of readers refused: no_credentials, or wrong_credentials.",
    )
    .labels(&["reason"]),
    Metric::counter("plumbago_carbon_series_read_total", "Series read for render."),
    Metric::counter("plumbago_carbon_points_read_total", "Points given out by render."),
    Metric::counter(
        "plumbago_carbon_series_pruned_total",
        "Series and whole branches passed over because they were silent in the time asked for: neither their names \
         nor their files were looked at.",
    ),
    Metric::counter(
        "plumbago_carbon_index_nodes_visited_total",
        "Nodes of the tree of names, and tagged series, whose names were looked at for find and render.",
    ),
    Metric::counter(
        "plumbago_carbon_series_unreadable_total",
        "Series left out of an answer because their file could not be read.",
    ),
    Metric::counter(
        "plumbago_carbon_link_batches_total",
        "Batches of the acknowledged link whose points were taken.",
    ),
    Metric::counter(
        "plumbago_carbon_link_batches_repeated_total",
        "Batches of the acknowledged link that were skipped because they had been taken before.",
    ),
    Metric::counter(
        "plumbago_carbon_link_refused_total",
        "Connections of the acknowledged link that this node ended, by reason: tls, hello (something else \
         spoke), version, damaged, order.",
    )
    .labels(&["reason"]),
    Metric::counter(
        "plumbago_carbon_moved_series_total",
        "Series that tools moved: created or filled from another node, refused, put into the trash.",
    )
    .labels(&["what"]),
    Metric::counter(
        "plumbago_carbon_moved_bytes_total",
        "Compressed bytes of series given to other nodes and taken from them.",
    )
    .labels(&["direction"]),
    Metric::counter(
        "plumbago_carbon_moved_syncs_total",
        "Times that the files were synced before a comparison with another node was answered.",
    ),
    Metric::counter("plumbago_carbon_carbonlink_requests_total", "Carbonlink requests, by type.")
        .labels(&["type"]),
];
