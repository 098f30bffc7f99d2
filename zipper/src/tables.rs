//! The zipper's settings and metrics: one entry each; flags, files, help and docs follow.

use daemon::{Kind, Metric, Setting};

/// Upper bounds for durations, in seconds.
const DURATION_BOUNDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Every setting of the zipper.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "listen",
        Kind::Address,
        "127.0.0.1:8082",
        "Serves the read API here, in the shape of a storage node's.",
    ),
    Setting::new(
        "admin",
        Kind::Address,
        "127.0.0.1:8083",
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
    cluster::CLUSTER.reload(),
    cluster::CLUSTER_CHECK_INTERVAL,
    Setting::new(
        "node",
        Kind::Text,
        "",
        "A storage node's read API as URL or URL=INSTANCE. The order is part of the ring. The ring \
         is taken as known when every node has an instance, or when ring, collision, replicas or \
         replication is given; otherwise every node is asked for everything.",
    )
    .value_name("URL[=INSTANCE]")
    .list()
    .reload(),
    cluster::RING.reload(),
    cluster::COLLISION.reload(),
    cluster::REPLICAS.reload(),
    cluster::REPLICATION.reload(),
    Setting::new(
        "timeout",
        Kind::Duration,
        "60s",
        "How long a render, a list or a question about tags may take; a shorter deadline that \
         comes with the request wins.",
    ),
    Setting::new(
        "find_timeout",
        Kind::Duration,
        "10s",
        "How long a find or a question about files may take.",
    ),
    Setting::new(
        "connect_timeout",
        Kind::Duration,
        "1s",
        "How long one attempt to connect to a node may take.",
    ),
    Setting::new(
        "hedge_delay_min",
        Kind::Duration,
        "20ms",
        "The next owner is asked when one is silent for this long, or for as long as 95 % of its \
         recent answers took, whichever is longer.",
    ),
    Setting::new(
        "partial",
        Kind::Choice(&["allow", "deny"]),
        "allow",
        "Whether an answer that misses a part of the ring is given, marked, or refused with 503. \
         A request may say otherwise with `partial=`.",
    ),
    Setting::new("request_bytes_max", Kind::Bytes, "16MiB", "Largest body of a request."),
    Setting::new("targets_max", Kind::Count, "10000", "Most names and patterns of one request."),
    Setting::new("series_max", Kind::Count, "200000", "Most series of one answer."),
    Setting::new("points_max", Kind::Count, "50000000", "Most points of one answer."),
    Setting::new("matches_max", Kind::Count, "5000000", "Most matches of a find, list or tags."),
    Setting::new("reply_bytes_max", Kind::Bytes, "256MiB", "Largest reply of one node."),
    Setting::new(
        "weight_max",
        Kind::Count,
        "50000",
        "Weight of all renders and finds that are answered at once: a name weighs 1, a pattern 10. \
         Others wait, a queue for each tenant (the reader, x-plumbago-tenant, or the address), and \
         the queues take turns.",
    ),
    Setting::new("waiting_max", Kind::Count, "1000", "Most requests of one tenant that wait."),
    Setting::new(
        "shadow",
        Kind::Text,
        "",
        "Another Graphite endpoint (go-carbon, carbonapi, graphite-web, a zipper) that is asked a \
         share of the renders and finds, too, after they were answered; /admin/shadow tells what \
         differs. Empty: none.",
    )
    .value_name("URL"),
    Setting::new("shadow_share", Kind::Float, "0.01", "The share that it is asked, 0 to 1."),
    Setting::new(
        "shadow_running_max",
        Kind::Count,
        "2",
        "Most comparisons at a time; a question beyond it is left out.",
    ),
    Setting::new("shadow_timeout", Kind::Duration, "30s", "How long a comparison may take."),
];

/// Every metric of the zipper.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        "plumbago_zipper_access_refused_total",
        "Requests of readers refused: no_credentials, or wrong_credentials.",
    )
    .labels(&["reason"]),
    daemon::SETTINGS_FAULTS,
    Metric::counter("plumbago_zipper_requests_total", "Requests, by what they ask for.")
        .labels(&["kind"]),
    Metric::counter(
        "plumbago_zipper_requests_failed_total",
        "Requests that got no answer, by what they ask for and by status.",
    )
    .labels(&["kind", "status"]),
    Metric::histogram(
        "plumbago_zipper_request_duration_seconds",
        DURATION_BOUNDS,
        "How long answers took.",
    )
    .labels(&["kind"]),
    Metric::histogram(
        "plumbago_zipper_node_duration_seconds",
        DURATION_BOUNDS,
        "How long a node's answers took.",
    )
    .labels(&["node"]),
    Metric::counter(
        "plumbago_zipper_node_received_bytes_total",
        "Bytes of a node's answers.",
    )
    .labels(&["node"]),
    Metric::counter(
        "plumbago_zipper_folds_total",
        "Folds asked of the nodes: folded, or refused, and so to be asked again as series.",
    )
    .labels(&["outcome"]),
    Metric::counter(
        "plumbago_zipper_node_failures_total",
        "Requests that a node did not answer well: connect, broken, timeout, status, decode, \
         too_large, or late for what others had answered by then.",
    )
    .labels(&["node", "kind"]),
    Metric::gauge(
        "plumbago_zipper_node_suspect_state",
        "1 while a node is not waited for because it failed.",
    )
    .labels(&["node"]),
    Metric::counter(
        "plumbago_zipper_hedges_total",
        "Requests to a further owner because the ones before had not answered or had failed.",
    )
    .labels(&["node"]),
    Metric::counter(
        "plumbago_zipper_hedges_refused_total",
        "Such requests that were left out: they may be a fifth of all, and a hundred more after a \
         quiet time.",
    )
    .labels(&["node"]),
    Metric::counter(
        "plumbago_zipper_gap_reads_total",
        "Names read from a further owner because the first had nothing or may have missed points.",
    ),
    Metric::gauge(
        "plumbago_zipper_waiting_requests",
        "Requests that wait because others take up weight_max.",
    ),
    Metric::counter(
        "plumbago_zipper_partial_answers_total",
        "Answers that miss a part of the ring, by what they answer.",
    )
    .labels(&["kind"]),
    Metric::counter(
        "plumbago_zipper_divergent_points_total",
        "Slots on which two nodes disagreed, counted each time they are read; /admin/divergence has \
         samples.",
    )
    .labels(&["node", "other"]),
    Metric::counter(
        "plumbago_zipper_shadow_queries_total",
        "Questions compared with the shadow's answer: same, different, failed (one side gave no \
         whole answer), skipped (too many at a time).",
    )
    .labels(&["outcome"]),
    Metric::counter(
        "plumbago_zipper_shadow_differences_total",
        "Differences found: names missing there or here, other steps, and slots with other values.",
    )
    .labels(&["what"]),
    Metric::counter(
        "plumbago_zipper_limits_hit_total",
        "Requests refused because a limit was passed, by its setting.",
    )
    .labels(&["limit"]),
];
