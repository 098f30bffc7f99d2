//! The web page at `/`.

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::with_type;

const PAGE: &str = include_str!("page.html");

/// Nothing from elsewhere, and no frames round it.
const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'self' 'unsafe-inline'; frame-ancestors 'self'");

pub(super) fn answer() -> Response {
    let mut response = with_type("text/html; charset=utf-8", PAGE);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
