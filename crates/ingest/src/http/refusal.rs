//! Why a request is answered with an error, and that answer.

use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use thiserror::Error;

/// When a client may come back to a server that is busy.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Why a whole request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("no tenant has this token")]
    Unauthorized,
    #[error("more than {allowed} {what} in a {period}, allowed again in {} ms", wait.as_millis())]
    TooMany { what: &'static str, period: &'static str, allowed: u64, wait: Duration },
    #[error("the request, as sent or unpacked, is longer than {0} bytes")]
    TooLong(usize),
    #[error("more than {0} points in one request")]
    TooManyPoints(usize),
    #[error("content type not taken here, expected {0}")]
    Type(String),
    #[error("content encoding not known, expected gzip, zstd, snappy or none")]
    Encoding,
    #[error("{0}")]
    Malformed(String),
    #[error("the body did not arrive in time")]
    Slow,
    #[error("too many requests are under way")]
    Busy,
    #[error("taken over, but not safe yet; send it again")]
    NotCommitted,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLong(_) | Self::TooManyPoints(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Type(_) | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::NotCommitted => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany { wait, .. } => Some(*wait),
            Self::Busy | Self::NotCommitted => Some(BUSY_RETRY),
            _ => None,
        }
    }
}

/// Whole seconds, at least one, as the header wants them.
pub(super) fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_millis().div_ceil(1000).max(1) as u64)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = json!({ "accepted": 0, "error": self.to_string() }).to_string() + "\n";
        let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status(), kind, text).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, retry_after(wait));
        }
        if self == Self::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
