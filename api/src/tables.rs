//! The api's settings and metrics: one entry each; flags, files, help and docs follow.

use daemon::{Kind, Metric, Setting};

/// Every setting of the api.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "listen",
        Kind::Address,
        "0.0.0.0:8080",
        "Serves the Graphite HTTP API and the web page here.",
    ),
    Setting::new(
        "admin",
        Kind::Address,
        "127.0.0.1:8085",
        "Serves /metrics, /health, /ready and /admin/* here; it has no password.",
    ),
    remote::access::settings::READ_TLS_CERT,
    remote::access::settings::READ_TLS_KEY,
    remote::access::settings::READ_TLS_CLIENT_CA,
    remote::access::settings::READERS,
    remote::access::settings::TRUSTED_PROXIES,
    remote::access::settings::PASS_HEADERS,
    remote::credentials::BACKEND_TLS_CA,
    remote::credentials::BACKEND_TLS_CERT,
    remote::credentials::BACKEND_TLS_KEY,
    remote::credentials::BACKEND_TOKEN_FILE,
    Setting::new(
        "backend",
        Kind::Text,
        "",
        "The zipper, or a single storage node, that is asked for data, such as \
         http://127.0.0.1:8082.",
    )
    .value_name("URL")
    .required(),
    Setting::new(
        "timezone",
        Kind::Text,
        "UTC",
        "Zone of wall-clock times and days where a request names none.",
    )
    .value_name("ZONE"),
    Setting::new("url_prefix", Kind::Text, "", "What stands before every path, such as /graphite, behind a proxy that does not take it away.").value_name("PATH"),
    Setting::new("cors_origins", Kind::Text, "", "Origins whose pages may read answers in a browser, or * for all; none by default.").value_name("ORIGIN").list(),
    Setting::new("access_log", Kind::Flag, "true", "Logs every request when it ends: client, what was asked, status, time, and Grafana's dashboard and panel."),
    Setting::new("slow_query", Kind::Duration, "5s", "Requests that take longer are logged as slow with all their parameters, those of the body too."),
    Setting::new("connections_max", Kind::Count, "4096", "Connections at a time; further ones wait."),
    Setting::new("header_timeout", Kind::Duration, "10s", "How long a request's head may take, and how long a connection is kept for the next one."),
    Setting::new("body_timeout", Kind::Duration, "30s", "How long a request's body may take."),
    Setting::new(
        "connect_timeout",
        Kind::Duration,
        "1s",
        "How long a connection to the backend may take.",
    ),
    Setting::new(
        "request_timeout",
        Kind::Duration,
        "60s",
        "How long a request may take; the backend is told when it is over.",
    ),
    Setting::new(
        "push_down",
        Kind::Flag,
        "true",
        "Has storage nodes add up, average or count series, or take the least or the greatest, where \
         a function needs nothing else of them (sumSeries and the like, aggregate, groupByNode, \
         groupByNodes), and merge the points of plain patterns for maxDataPoints, so that few bytes \
         travel. Sums may differ from graphite-web's in the last \
         digits: they carry what rounding takes away.",
    ),
    Setting::new("targets_max", Kind::Count, "1000", "Targets of one request."),
    Setting::new("target_bytes_max", Kind::Bytes, "256KiB", "Bytes of one target."),
    Setting::new("fetches_max", Kind::Count, "10000", "Different reads that one request may need."),
    Setting::new("windows_max", Kind::Count, "1000", "Different windows that the reads of one request may be over."),
    Setting::new(
        "calls_max",
        Kind::Count,
        "100000",
        "Calls of functions that one request may come to.",
    ),
    Setting::new("arguments_max", Kind::Count, "10000", "Arguments of one call."),
    Setting::new("pattern_nodes_max", Kind::Count, "128", "Nodes, which dots separate, of one pattern."),
    Setting::new("globstars_max", Kind::Count, "16", "Nodes of one pattern that hold **."),
    Setting::new(
        "brace_expansions_max",
        Kind::Count,
        "10000",
        "Alternatives that the braces of one pattern may stand for.",
    ),
    Setting::new("pattern_series_max", Kind::Count, "500000", "Series that one pattern may stand for."),
    Setting::new("series_max", Kind::Count, "1000000", "Series that one request may read."),
    Setting::new(
        "reply_series_max",
        Kind::Count,
        "30000",
        "Series that one render may answer with; browsers hang at about as many.",
    ),
    Setting::new("points_max", Kind::Count, "50000000", "Points that one request may read."),
    Setting::new(
        "generated_points_max",
        Kind::Count,
        "10000000",
        "Points that the functions of one request may make out of nothing.",
    ),
    Setting::new("window_points_max", Kind::Count, "500000000", "Points that all windows of one comparison over a moving window may come to."),
    Setting::new("time_stack_shifts_max", Kind::Count, "1000", "Shifts of one timeStack or baseline."),
    Setting::new(
        "matches_max",
        Kind::Count,
        "1000000",
        "Names that one find, expand or tag request may answer with.",
    ),
    Setting::new(
        "query_bytes_max",
        Kind::Bytes,
        "1MiB",
        "Bytes of a request's query string, and of its body.",
    ),
    Setting::new(
        "reply_bytes_max",
        Kind::Bytes,
        "190MiB",
        "Bytes that a reply may take, reckoned from its points before it is begun; Grafana reads \
         200 MiB.",
    ),
    Setting::new(
        "backend_bytes_max",
        Kind::Bytes,
        "1GiB",
        "Bytes that one reply of the backend may take.",
    ),
    Setting::new("memory_bytes_max", Kind::Bytes, "256MiB", "Memory that one request may take: what it reads and what its functions hold."),
    Setting::new("memory_total_bytes_max", Kind::Bytes, "4GiB", "Memory that all requests may take; while they do no request reads more."),
    Setting::new("client_requests_max", Kind::Count, "256", "Requests of one client address at a time."),
    Setting::new(
        "evaluations_max",
        Kind::Count,
        "1024",
        "Requests that may wait for a thread that evaluates them.",
    ),
    Setting::new("evaluation_wait", Kind::Duration, "10s", "How long a request may wait for a thread."),
    Setting::new("evaluation_ms_max", Kind::Count, "20000", "Milliseconds that a processor may be busy with one request."),
    Setting::new("plan_cache_bytes_max", Kind::Bytes, "8MiB", "Bytes of parsed targets that are kept; 0 keeps none."),
    Setting::new("fetch_cache_bytes_max", Kind::Bytes, "64MiB", "Bytes of series read that are kept; 0 keeps none."),
    Setting::new("reply_cache_bytes_max", Kind::Bytes, "64MiB", "Bytes of whole replies that are kept; 0 keeps none. Partial and empty ones are never kept."),
    Setting::new("cache_time", Kind::Duration, "1s", "How long series and replies are good for where a request has no cacheTimeout; noCache=1 goes round all caches."),
    Setting::new("cache_time_max", Kind::Duration, "1h", "The longest time that cacheTimeout may ask for."),
    Setting::new("cache_server", Kind::Text, "", "A server that keeps replies for several apis: redis://HOST:PORT or memcached://HOST:PORT.").value_name("URL"),
    Setting::new("cache_server_timeout", Kind::Duration, "50ms", "How long that server may take; without its answer the request is worked on as if it were not there."),
    Setting::new("events_path", Kind::Path, "", "The file that keeps events, an SQLite database; without one they are kept in memory."),
    Setting::new("events_max", Kind::Count, "1000000", "Events that are kept; the oldest make room."),
    Setting::new("deletes_allowed", Kind::Flag, "false", "Whether /tags/delSeries and /tags/delByQuery may delete series with all their points; Grafana passes such requests of its users on."),
];

/// Upper bounds of the request times, in seconds.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Every metric of the api.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        "plumbago_api_access_refused_total",
        "Requests of readers refused: no_credentials, or wrong_credentials.",
    )
    .labels(&["reason"]),
    daemon::SETTINGS_FAULTS,
    Metric::counter("plumbago_api_requests_total", "Requests, by endpoint and status.")
        .labels(&["endpoint", "status"]),
    Metric::histogram(
        "plumbago_api_request_seconds",
        SECONDS,
        "Time from a request's head to the head of its answer.",
    )
    .labels(&["endpoint"]),
    Metric::counter("plumbago_api_limits_total", "Requests refused for a limit, by its name.")
        .labels(&["limit"]),
    Metric::counter("plumbago_api_partial_answers_total", "Answers that lack a part of the data."),
    Metric::gauge("plumbago_api_requests_running", "Requests under way."),
    Metric::counter(
        "plumbago_api_slow_queries_total",
        "Requests that took longer than slow_query.",
    ),
    Metric::counter("plumbago_api_cache_hits_total", "Answers found in a cache, by cache.")
        .labels(&["cache"]),
    Metric::counter("plumbago_api_cache_misses_total", "Answers not found in a cache, by cache.")
        .labels(&["cache"]),
    Metric::counter(
        "plumbago_api_cache_server_failures_total",
        "Calls of the cache server that failed or took too long.",
    ),
    Metric::gauge("plumbago_api_cache_bytes", "Bytes held by a cache, by cache.")
        .labels(&["cache"]),
    Metric::counter("plumbago_api_series_deleted_total", "Series deleted."),
    Metric::counter("plumbago_api_events_total", "Events taken in."),
    Metric::counter("plumbago_api_fetches_total", "Reads asked of the backend."),
    Metric::counter(
        "plumbago_api_folds_total",
        "Reads that storage nodes were to fold: folded; refused, and so asked again as series; or \
         unfolded, as the backend answered with series.",
    )
    .labels(&["outcome"]),
    Metric::counter("plumbago_api_series_read_total", "Series that the backend answered with."),
    Metric::counter("plumbago_api_points_read_total", "Points that the backend answered with."),
];
