//! The api's settings, understood.

use std::path::PathBuf;
use std::time::Duration;

use daemon::{Fault, Values};
use jiff::tz::TimeZone;
use remote::Credentials;
use remote::access::AccessSettings;

use crate::cache::CacheServer;

/// Everything the api needs to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address of the API.
    pub listen: String,
    /// Who may read there.
    pub access: AccessSettings,
    /// The admin address.
    pub admin: String,
    /// The zipper or node that is asked.
    pub backend: String,
    /// What it is shown.
    pub credentials: Credentials,
    /// Zone of wall-clock times where a request names none.
    pub timezone: TimeZone,
    /// How long a connection to the backend may take.
    pub connect_timeout: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// What one request may cost.
    pub query: query::Limits,
    /// Series that one render may answer with.
    pub reply_series_max: u64,
    /// Names that one find may answer with.
    pub matches_max: usize,
    /// Bytes of a query string, and of a body.
    pub query_bytes_max: usize,
    /// Bytes that a reply may take.
    pub reply_bytes_max: u64,
    /// Bytes that a reply of the backend may take.
    pub backend_bytes_max: usize,
    /// Requests that may wait for a thread.
    pub evaluations_max: usize,
    /// How long a request may wait for a thread.
    pub evaluation_wait: Duration,
    /// How long processors may be busy with one request.
    pub evaluation_ms_max: u64,
    /// What clients and requests may hold.
    pub requests: RequestLimits,
    /// How the API is served.
    pub serving: Serving,
    /// What is kept for those who ask again.
    pub caching: Caching,
    /// Where events are kept.
    pub events: Events,
    /// Whether nodes are asked to fold series.
    pub push_down: bool,
    /// Whether requests may delete series.
    pub deletes_allowed: bool,
}

/// What clients and requests may hold, alone and together.
#[derive(Debug, Clone)]
pub struct RequestLimits {
    /// Requests of one client at a time.
    pub client_requests_max: u64,
    /// Memory of one request.
    pub memory_bytes_max: u64,
    /// Memory of all requests.
    pub memory_total_bytes_max: u64,
}

/// How the API is served.
#[derive(Debug, Clone)]
pub struct Serving {
    /// What stands before every path, `/graphite`; empty for nothing.
    pub url_prefix: String,
    /// Origins whose pages may read answers; `*` for all.
    pub cors_origins: Vec<String>,
    /// Whether each request is logged.
    pub access_log: bool,
    /// Requests that take longer are logged with all they ask for.
    pub slow_query: Duration,
    /// Connections at a time.
    pub connections_max: usize,
    /// How long a request's head may take.
    pub header_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
}

/// What is kept for those who ask again.
#[derive(Debug, Clone)]
pub struct Caching {
    /// Bytes of parsed targets.
    pub plan_bytes_max: u64,
    /// Bytes of series read.
    pub fetch_bytes_max: u64,
    /// Bytes of whole replies.
    pub reply_bytes_max: u64,
    /// How long what was read and replied is good for where a request says nothing.
    pub time: Duration,
    /// The longest time that a request may ask for.
    pub time_max: Duration,
    /// A server that keeps replies for all apis.
    pub server: Option<CacheServer>,
    /// How long it may take.
    pub server_timeout: Duration,
}

/// Where events are kept.
#[derive(Debug, Clone)]
pub struct Events {
    /// The file; in memory where there is none.
    pub path: Option<PathBuf>,
    /// Most events kept.
    pub events_max: u64,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let timezone = TimeZone::get(values.text("timezone")).unwrap_or_else(|error| {
            faults.push(values.fault("timezone", error.to_string()));
            TimeZone::UTC
        });
        let (backend, credentials) = backend(values, &mut faults);
        let url_prefix = values.opt_text("url_prefix").unwrap_or_default().trim_end_matches('/');
        if !url_prefix.is_empty() && !url_prefix.starts_with('/') {
            faults.push(values.fault("url_prefix", "expected a path such as /graphite"));
        }
        let server = values.opt_text("cache_server").map(str::parse).transpose();
        let server = server.unwrap_or_else(|problem: String| {
            faults.push(values.fault("cache_server", problem));
            None
        });
        let access = AccessSettings::from_values(values).unwrap_or_else(|found| {
            faults.extend(found);
            AccessSettings::default()
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let count = |key| usize::try_from(values.count(key)).unwrap_or(usize::MAX);
        let bytes = |key| usize::try_from(values.bytes(key)).unwrap_or(usize::MAX);
        Ok(Self {
            listen: values.address("listen").to_owned(),
            access,
            admin: values.address("admin").to_owned(),
            backend,
            credentials,
            timezone,
            connect_timeout: values.duration("connect_timeout"),
            request_timeout: values.duration("request_timeout"),
            query: query_limits(values),
            reply_series_max: values.count("reply_series_max"),
            matches_max: count("matches_max"),
            query_bytes_max: bytes("query_bytes_max"),
            reply_bytes_max: values.bytes("reply_bytes_max"),
            backend_bytes_max: bytes("backend_bytes_max"),
            evaluations_max: count("evaluations_max"),
            evaluation_wait: values.duration("evaluation_wait"),
            evaluation_ms_max: values.count("evaluation_ms_max"),
            requests: RequestLimits {
                client_requests_max: values.count("client_requests_max"),
                memory_bytes_max: values.bytes("memory_bytes_max"),
                memory_total_bytes_max: values.bytes("memory_total_bytes_max"),
            },
            serving: serving(values, url_prefix),
            caching: Caching {
                plan_bytes_max: values.bytes("plan_cache_bytes_max"),
                fetch_bytes_max: values.bytes("fetch_cache_bytes_max"),
                reply_bytes_max: values.bytes("reply_cache_bytes_max"),
                time: values.duration("cache_time"),
                time_max: values.duration("cache_time_max"),
                server,
                server_timeout: values.duration("cache_server_timeout"),
            },
            push_down: values.flag("push_down"),
            deletes_allowed: values.flag("deletes_allowed"),
            events: Events {
                path: values.opt_path("events_path"),
                events_max: values.count("events_max"),
            },
        })
    }
}

fn serving(values: &Values, url_prefix: &str) -> Serving {
    Serving {
        url_prefix: url_prefix.to_owned(),
        cors_origins: values.list("cors_origins").into_iter().map(str::to_owned).collect(),
        access_log: values.flag("access_log"),
        slow_query: values.duration("slow_query"),
        connections_max: usize::try_from(values.count("connections_max")).unwrap_or(usize::MAX),
        header_timeout: values.duration("header_timeout"),
        body_timeout: values.duration("body_timeout"),
    }
}

fn query_limits(values: &Values) -> query::Limits {
    let braces = usize::try_from(values.count("brace_expansions_max"));
    query::Limits {
        targets_max: values.count("targets_max"),
        target_bytes_max: values.bytes("target_bytes_max"),
        calls_max: values.count("calls_max"),
        arguments_max: values.count("arguments_max"),
        pattern_nodes_max: values.count("pattern_nodes_max"),
        globstars_max: values.count("globstars_max"),
        brace_expansions_max: braces.unwrap_or(usize::MAX),
        fetches_max: values.count("fetches_max"),
        windows_max: values.count("windows_max"),
        pattern_series_max: values.count("pattern_series_max"),
        series_max: values.count("series_max"),
        points_max: values.count("points_max"),
        generated_points_max: values.count("generated_points_max"),
        window_points_max: values.count("window_points_max"),
        time_stack_shifts_max: values.count("time_stack_shifts_max"),
        memory_bytes_max: values.bytes("memory_bytes_max"),
    }
}

/// Whom to ask, and what he is shown.
fn backend(values: &Values, faults: &mut Vec<Fault>) -> (String, Credentials) {
    let backend = values.opt_text("backend").unwrap_or_default().trim_end_matches('/');
    let is_secured = backend.starts_with("https://");
    if !is_secured && !backend.starts_with("http://") {
        faults.push(values.fault("backend", "expected a URL such as http://127.0.0.1:8082"));
    }
    let credentials = Credentials::from_values(values).unwrap_or_else(|fault| {
        faults.push(fault);
        Credentials::default()
    });
    if is_secured && faults.is_empty() && !credentials.has_tls() {
        faults.push(values.fault("backend", "https needs `backend_tls_ca`"));
    }
    (backend.to_owned(), credentials)
}
