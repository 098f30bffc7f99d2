//! What a request can be refused for, each with its status; one line of text, or JSON if the client
//! prefers it. Never HTML, never a stack trace.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use query::EvalError;
use serde_json::json;

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Refusal {
    /// The targets, or what they need.
    #[error("{0}")]
    Query(#[from] EvalError),
    /// A parameter that cannot be read, or that is missing.
    #[error("parameter {name}: {problem}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A limit of this daemon was hit.
    #[error("limit {limit} exceeded: asked {asked}, allowed {allowed}")]
    Limit {
        /// The setting's name.
        limit: &'static str,
        /// What the request needs.
        asked: u64,
        /// What the setting allows.
        allowed: u64,
    },
    /// The backend refuses what it was asked.
    #[error("{message}")]
    BackendRefused {
        /// Its status, 4xx.
        status: u16,
        /// What it says.
        message: String,
    },
    /// No answer could be had from the backend.
    #[error("no data can be had: {0}")]
    BackendDown(String),
    /// The answer is partial, and the request allows none such.
    #[error("the answer would be partial and partial=deny was asked: {0}")]
    Partial(String),
    /// The body did not come in time.
    #[error("the request's body did not come within body_timeout of {0:?}")]
    SlowBody(std::time::Duration),
    /// The deadline passed.
    #[error("not answered within request_timeout of {0:?}")]
    TimedOut(std::time::Duration),
    /// This daemon has too much to do just now; the same request may be answered later.
    #[error("limit {limit} exceeded: asked {asked}, allowed {allowed}; try again")]
    Overload {
        /// The setting's name.
        limit: &'static str,
        /// What there would be.
        asked: u64,
        /// What the setting allows.
        allowed: u64,
    },
    /// An operator ended the request.
    #[error("the request was cancelled by an operator")]
    Cancelled,
    /// The evaluation ended without a result; the log says more.
    #[error("internal error; the log of this server says more")]
    Lost,
    /// The store of events does not answer.
    #[error("{0}")]
    Events(String),
    /// Series may not be deleted here.
    #[error("series may not be deleted here: the setting deletes_allowed is false")]
    DeletesForbidden,
    /// No such thing here.
    #[error("{0}")]
    NotFound(String),
    /// The endpoint exists, but not for this method.
    #[error("method {0} is not allowed here")]
    Method(String),
}

impl Refusal {
    pub(crate) fn parameter(name: &'static str, problem: impl ToString) -> Self {
        Self::Parameter { name, problem: problem.to_string() }
    }

    /// The HTTP status: 400 for what cannot be parsed, 422 for limits.
    pub(crate) fn status(&self) -> StatusCode {
        let code = match self {
            Self::Query(error) => error.status(),
            Self::Parameter { .. } => 400,
            Self::Limit { .. } => 422,
            Self::BackendRefused { status, .. } => *status,
            Self::BackendDown(_) | Self::Partial(_) | Self::Events(_) | Self::Cancelled => 503,
            Self::Overload { .. } => 429,
            Self::SlowBody(_) => 408,
            Self::TimedOut(_) => 504,
            Self::Lost => 500,
            Self::DeletesForbidden => 403,
            Self::NotFound(_) => 404,
            Self::Method(_) => 405,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The limit that was hit, if it is that.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Limit { limit, .. }
            | Self::Overload { limit, .. }
            | Self::Query(EvalError::Limit { limit, .. }) => Some(limit),
            // Limits of zippers and nodes have names of their own, which their message says.
            Self::BackendRefused { status: 422, .. } => Some("backend"),
            _ => None,
        }
    }

    /// A word for programs.
    fn code(&self) -> &'static str {
        match self {
            _ if self.limit().is_some() => "limit",
            Self::Query(EvalError::Parse(_)) => "parse",
            Self::Query(_) => "query",
            Self::Parameter { .. } => "parameter",
            Self::BackendRefused { .. } => "backend_refused",
            Self::BackendDown(_) => "backend_down",
            Self::Partial(_) => "partial",
            Self::TimedOut(_) | Self::SlowBody(_) => "timeout",
            Self::Cancelled => "cancelled",
            Self::Events(_) => "events",
            Self::DeletesForbidden => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Method(_) => "method",
            Self::Limit { .. } | Self::Overload { .. } | Self::Lost => "internal",
        }
    }

    /// The answer: a line of text, or JSON for those who prefer it.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        // Messages quote what the user wrote, which may hold line ends.
        let text = self.to_string();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // Programs that follow a link into nowhere are better served by JSON, as the rest of the API.
        if !prefers_json(headers) && !matches!(self, Self::NotFound(_)) {
            return self.finished((self.status(), line + "\n").into_response());
        }
        let mut body = json!({ "code": self.code(), "message": line, "error": line });
        if let Self::Query(error) = self
            && let Some(position) = error.position()
        {
            body["position"] = position.into();
        }
        if let Self::Limit { limit, asked, allowed }
        | Self::Overload { limit, asked, allowed }
        | Self::Query(EvalError::Limit { limit, asked, allowed }) = self
        {
            body["limit"] = (*limit).into();
            body["asked"] = (*asked).into();
            body["allowed"] = (*allowed).into();
        }
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        self.finished((self.status(), kind, body.to_string()).into_response())
    }

    /// No browser guesses a page into it, and who came too early knows when to come again.
    fn finished(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if matches!(self.status().as_u16(), 429 | 503) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Whether JSON is what the client asks for first.
fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.trim_start().starts_with("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use query::{Request, prepare};

    #[test]
    fn every_kind_is_one_line_with_its_status() {
        let parse = prepare(&Request::new(vec!["a(\n".to_owned()], 0, 60, 60)).unwrap_err();
        let limit = Refusal::Limit { limit: "series_max", asked: 9, allowed: 5 };
        for (refusal, status) in [
            (Refusal::Query(parse), 400),
            (Refusal::parameter("from", "a\nb"), 400),
            (limit, 422),
            (Refusal::BackendDown("connection refused".to_owned()), 503),
        ] {
            let response = refusal.answer(&HeaderMap::new());
            assert_eq!(response.status().as_u16(), status);
            assert!(refusal.code() != "internal");
        }
    }
}
