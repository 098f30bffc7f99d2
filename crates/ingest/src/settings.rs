//! The settings of listeners, one entry each, for the tables of the daemons that listen.

mod listener;
mod tenant;

use std::time::Duration;

use daemon::{Fault, Kind, Setting, Values};

pub use listener::{
    Compression, ListenerSettings, OPTIONS as LISTENER_OPTIONS, Place, Protocol, Tls,
};
pub use tenant::{OPTIONS as TENANT_OPTIONS, TenantSettings};

/// Addresses that take requests with points.
pub const HTTP: Setting = Setting::new(
    "http",
    Kind::Address,
    "",
    "Takes points by HTTP here: JSON, lines, pickles, protobuf, Prometheus remote write; answers \
     /health/ramp too. See docs/operate/listeners.md.",
)
.list();

/// Listeners with options.
pub const LISTENER: Setting = Setting::new(
    "listener",
    Kind::Tables,
    "",
    "Further listeners, each with its own protocol, TLS, compression, PROXY header and limits. \
     See docs/operate/listeners.md.",
)
.value_name("[[listener]]");

/// Senders by HTTP.
pub const TENANT: Setting = Setting::new(
    "tenant",
    Kind::Tables,
    "",
    "Senders by HTTP, each with its token and limits; once there is one, requests need a token. \
     See docs/operate/listeners.md.",
)
.value_name("[[tenant]]");

/// Longest line.
pub const LINE_BYTES_MAX: Setting = Setting::new(
    "line_bytes_max",
    Kind::Bytes,
    "16KiB",
    "A longer line is skipped to its end and counted.",
);

/// Longest pickle.
pub const FRAME_BYTES_MAX: Setting = Setting::new(
    "frame_bytes_max",
    Kind::Bytes,
    "1MiB",
    "A longer pickle or protobuf frame closes its connection.",
);

/// Most connections.
pub const CONNECTIONS_MAX: Setting = Setting::new(
    "connections_max",
    Kind::Count,
    "10000",
    "Most connections at a time, over all listeners that take points; never more than half of the \
     descriptors that the process may have.",
);

/// How far in the future.
pub const FUTURE_MAX: Setting = Setting::new(
    "future_max",
    Kind::Duration,
    "10min",
    "A point that lies further ahead of now is refused.",
);

/// Longest body.
pub const HTTP_BODY_BYTES_MAX: Setting = Setting::new(
    "http_body_bytes_max",
    Kind::Bytes,
    "16MiB",
    "A request with a longer body, as sent or unpacked, is answered 413.",
);

/// Most points of a request.
pub const HTTP_POINTS_MAX: Setting = Setting::new(
    "http_points_max",
    Kind::Count,
    "100000",
    "A request with more points is answered 413.",
);

/// Memory for all requests.
pub const HTTP_MEMORY_MAX: Setting = Setting::new(
    "http_memory_max",
    Kind::Bytes,
    "256MiB",
    "Memory for the bodies of all requests under way; beyond it they are answered 503.",
);

/// Requests a second.
pub const HTTP_REQUESTS_PER_SECOND_MAX: Setting = Setting::new(
    "http_requests_per_second_max",
    Kind::Count,
    "0",
    "Requests with points that a sender may make in a second; further ones are answered 429. \
     0: any number. A `[[tenant]]` may have its own.",
);

/// Points a second.
pub const HTTP_POINTS_PER_SECOND_MAX: Setting = Setting::new(
    "http_points_per_second_max",
    Kind::Count,
    "0",
    "Points that a sender may send in a second; a request beyond is answered 429. 0: any number. \
     A `[[tenant]]` may have its own.",
);

/// New series an hour.
pub const HTTP_NEW_SERIES_PER_HOUR_MAX: Setting = Setting::new(
    "http_new_series_per_hour_max",
    Kind::Count,
    "0",
    "Series that a sender may begin in an hour; the points of further ones are rejected, and a \
     request of nothing else is answered 429. 0: any number. A `[[tenant]]` may have its own.",
);

/// How long a balancer's peers are let in.
pub const HEALTH_RAMP: Setting = Setting::new(
    "health_ramp",
    Kind::Duration,
    "60s",
    "How long /health/ramp takes, from its first check on, to grow from refusing to accepting.",
);

/// Limits of requests with points.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Longest body, as sent and unpacked.
    pub body_bytes_max: usize,
    /// Most points in one request.
    pub points_max: usize,
    /// Memory for all requests under way.
    pub memory_bytes_max: usize,
}

/// Which listeners there are, and what they accept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest line, without its newline.
    pub line_bytes_max: usize,
    /// Longest pickle frame.
    pub frame_bytes_max: usize,
    /// Most connections at a time over all listeners.
    pub connections_max: usize,
    /// How far ahead of now a timestamp may be.
    pub future_max: Duration,
    /// Every listener.
    pub listeners: Vec<ListenerSettings>,
    /// What requests may cost.
    pub http: HttpLimits,
    /// Who may send requests; the one without a token is everybody.
    pub tenants: Vec<TenantSettings>,
    /// How long `/health/ramp` takes.
    pub health_ramp: Duration,
}

impl Settings {
    /// Reads the settings of this module's entries, `line` and `pickle`.
    ///
    /// # Errors
    /// Every fault in the tables of listeners and tenants.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let listeners = listener::from_values(values, &mut faults);
        let tenants = tenant::from_values(values, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            line_bytes_max: size(values.bytes("line_bytes_max")),
            frame_bytes_max: size(values.bytes("frame_bytes_max")),
            connections_max: size(values.count("connections_max")),
            future_max: values.duration("future_max"),
            listeners,
            http: HttpLimits {
                body_bytes_max: size(values.bytes("http_body_bytes_max")),
                points_max: size(values.count("http_points_max")),
                memory_bytes_max: size(values.bytes("http_memory_max")),
            },
            tenants,
            health_ramp: values.duration("health_ramp"),
        })
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
