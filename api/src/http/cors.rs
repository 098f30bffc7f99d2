//! Which pages of other origins may read answers: those that a setting names, none by default.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("x-query-range, x-plumbago-partial, x-plumbago-cached");

/// The origins that may.
pub(super) struct Origins<'a>(pub(super) &'a [String]);

impl Origins<'_> {
    /// What the headers of a request are answered with: its origin, if it may read.
    fn allowed(&self, asked: &HeaderMap) -> Option<HeaderValue> {
        if self.0.iter().any(|origin| origin == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = asked.get(header::ORIGIN)?;
        self.0.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// What browsers ask before a request to another origin.
    pub(super) fn preflight(&self, asked: &HeaderMap) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ALLOW, METHODS);
        if self.allowed(asked).is_some() {
            let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
            let wanted = wanted.unwrap_or(HeaderValue::from_static("*"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        }
        response
    }

    /// Says in an answer who may read it.
    pub(super) fn mark(&self, asked: &HeaderMap, response: &mut Response) {
        let Some(origin) = self.allowed(asked) else { return };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
}
