//! The numbers of listeners, one entry each, for the tables of the daemons that listen.

use daemon::{Counter, Gauge, Metric, Registry};

/// Open connections.
pub const CONNECTIONS: Metric =
    Metric::gauge("plumbago_ingest_connections", "Open connections of senders.")
        .labels(&["listener"]);

/// Connections that we ended.
pub const CONNECTIONS_CLOSED: Metric = Metric::counter(
    "plumbago_ingest_connections_closed_total",
    "Connections that a listener refused or closed by itself: too_many, tls (handshake failed), \
     proxy_header (missing or malformed), unpacking (stream not packed as the listener expects), \
     idle.",
)
.labels(&["listener", "reason"]);

/// Bytes read.
pub const BYTES: Metric = Metric::counter(
    "plumbago_ingest_bytes_total",
    "Bytes that were read from senders, unpacked; of requests their bodies.",
)
.labels(&["listener"]);

/// Points read.
pub const POINTS: Metric = Metric::counter(
    "plumbago_ingest_points_total",
    "Points that were read, taken or refused, by listener.",
)
.labels(&["listener"]);

/// Reads that a limit delayed.
pub const PAUSES: Metric = Metric::counter(
    "plumbago_ingest_pauses_total",
    "Reads after which a sender had to wait for the listener's bytes or lines a second.",
)
.labels(&["listener"]);

/// Requests answered.
pub const HTTP_REQUESTS: Metric =
    Metric::counter("plumbago_ingest_http_requests_total", "Requests with points, by answer.")
        .labels(&["tenant", "status"]);

/// How long requests took.
pub const HTTP_SECONDS: Metric = Metric::histogram(
    "plumbago_ingest_http_seconds",
    &[0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 10.0],
    "Time from a request with points to its answer, the commit included.",
);

/// Checks that the ramp turned away.
pub const RAMP_REFUSED: Metric = Metric::counter(
    "plumbago_ingest_ramp_refused_total",
    "Checks of /health/ramp that were told not to send yet.",
);

/// Whether the clock stands wrong.
pub const CLOCK_ALARM: Metric = Metric::gauge(
    "plumbago_ingest_clock_alarm",
    "1 while this machine's clock and the times of the points that come are more than a minute apart.",
);

/// Why a listener ends a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Closed {
    TooMany,
    Tls,
    ProxyHeader,
    Unpacking,
    Idle,
}

/// The handles of one listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerCounters {
    pub(crate) connections: Gauge,
    pub(crate) bytes: Counter,
    pub(crate) points: Counter,
    pub(crate) pauses: Counter,
    closed: [Counter; 5],
}

impl ListenerCounters {
    /// Looks the handles up.
    pub(crate) fn new(registry: &Registry, listener: &str) -> Self {
        let closed = |reason| registry.counter_with(CONNECTIONS_CLOSED.name, &[listener, reason]);
        let counter = |metric: Metric| registry.counter_with(metric.name, &[listener]);
        Self {
            connections: registry.gauge_with(CONNECTIONS.name, &[listener]),
            bytes: counter(BYTES),
            points: counter(POINTS),
            pauses: counter(PAUSES),
            closed: ["too_many", "tls", "proxy_header", "unpacking", "idle"].map(closed),
        }
    }

    /// Counts a connection that is refused or closed.
    pub(crate) fn closed(&self, why: Closed) {
        self.closed[why as usize].inc();
    }
}
