//! The api's settings, understood.

use std::time::Duration;

use daemon::{Fault, Values};
use jiff::tz::TimeZone;

/// Everything the api needs to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address of the API.
    pub listen: String,
    /// The admin address.
    pub admin: String,
    /// The zipper or node that is asked.
    pub backend: String,
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
        let backend = values.opt_text("backend").unwrap_or_default().trim_end_matches('/');
        if !backend.starts_with("http://") {
            faults.push(values.fault("backend", "expected a URL such as http://127.0.0.1:8082"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let count = |key| usize::try_from(values.count(key)).unwrap_or(usize::MAX);
        let bytes = |key| usize::try_from(values.bytes(key)).unwrap_or(usize::MAX);
        Ok(Self {
            listen: values.address("listen").to_owned(),
            admin: values.address("admin").to_owned(),
            backend: backend.to_owned(),
            timezone,
            connect_timeout: values.duration("connect_timeout"),
            request_timeout: values.duration("request_timeout"),
            query: query::Limits {
                targets_max: values.count("targets_max"),
                series_max: values.count("series_max"),
                points_max: values.count("points_max"),
                generated_points_max: values.count("generated_points_max"),
                brace_expansions_max: count("brace_expansions_max"),
                fetches_max: values.count("fetches_max"),
                calls_max: values.count("calls_max"),
            },
            reply_series_max: values.count("reply_series_max"),
            matches_max: count("matches_max"),
            query_bytes_max: bytes("query_bytes_max"),
            reply_bytes_max: values.bytes("reply_bytes_max"),
            backend_bytes_max: bytes("backend_bytes_max"),
            evaluations_max: count("evaluations_max"),
        })
    }
}
