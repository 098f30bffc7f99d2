//! Why a request gets no answer, and how that is said: one line of text.

use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why a request gets no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request cannot be understood.
    BadRequest(String),
    /// The nodes refused it; their status and words.
    Refused { code: u16, line: String },
    /// It asks for more than is allowed.
    Limit { limit: &'static str, asked: usize, allowed: usize },
    /// A part of the ring is missing, and the asker wants all or nothing.
    Partial(String),
    /// Nobody answered.
    Unavailable(String),
}

impl Failure {
    /// Of two failures of one request, the one to tell: a refusal says what to change.
    pub(crate) fn worse(first: Option<Self>, second: Self) -> Option<Self> {
        match first {
            Some(first @ Self::Refused { .. }) => Some(first),
            Some(first) if !matches!(second, Self::Refused { .. }) => Some(first.min_text(second)),
            _ => Some(second),
        }
    }

    /// The answer must not depend on which part failed first.
    fn min_text(self, other: Self) -> Self {
        if other.line() < self.line() { other } else { self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Refused { code, .. } => {
                StatusCode::from_u16(*code).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::Limit { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Partial(_) | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn line(&self) -> String {
        match self {
            Self::BadRequest(line) | Self::Unavailable(line) => line.clone(),
            Self::Refused { line, .. } => line.clone(),
            Self::Limit { limit, asked, allowed } => {
                format!("{limit}: {asked} asked for, {allowed} allowed")
            }
            Self::Partial(nodes) => format!("the answer would be partial: {nodes}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // One line, whatever a node or a parameter put into it.
        let line: String =
            self.line().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        (self.status(), line + "\n").into_response()
    }
}
