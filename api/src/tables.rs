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
    Setting::new("targets_max", Kind::Count, "1000", "Targets of one request."),
    Setting::new("fetches_max", Kind::Count, "10000", "Different reads that one request may need."),
    Setting::new(
        "calls_max",
        Kind::Count,
        "100000",
        "Calls of functions that one request may come to.",
    ),
    Setting::new(
        "brace_expansions_max",
        Kind::Count,
        "10000",
        "Alternatives that the braces of one pattern may stand for.",
    ),
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
    Setting::new(
        "evaluations_max",
        Kind::Count,
        "1024",
        "Requests that may wait for a thread that evaluates them.",
    ),
];

/// Upper bounds of the request times, in seconds.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Every metric of the api.
pub const METRICS: &[Metric] = &[
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
    Metric::counter("plumbago_api_fetches_total", "Reads asked of the backend."),
    Metric::counter("plumbago_api_series_read_total", "Series that the backend answered with."),
    Metric::counter("plumbago_api_points_read_total", "Points that the backend answered with."),
];
