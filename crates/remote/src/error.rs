//! Why a remote read API gave no answer.

use wire::reply::ReplyError;

use crate::endpoint::Endpoint;

/// No answer, from whom and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {kind}")]
pub struct RemoteError {
    /// Whom we asked.
    pub endpoint: Endpoint,
    /// What went wrong.
    pub kind: RemoteErrorKind,
}

/// What can go wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteErrorKind {
    /// No connection; nothing was sent.
    #[error("not connected: {0}")]
    Connect(String),
    /// The connection broke before the whole reply was there.
    #[error("connection broke: {0}")]
    Broken(String),
    /// The deadline passed.
    #[error("no answer by the deadline")]
    Timeout,
    /// A status other than 200 and 404.
    #[error("status {code}: {line}")]
    Status {
        /// The status.
        code: u16,
        /// The first line of the body.
        line: String,
    },
    /// The reply is not what was asked for.
    #[error("{0}")]
    Decode(String),
    /// The replies of one request together are larger than it allows.
    #[error("replies of {asked} bytes, {allowed} are allowed")]
    Allowance {
        /// Bytes that would be in use.
        asked: u64,
        /// Bytes that may be.
        allowed: u64,
    },
    /// The reply is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
}

impl RemoteErrorKind {
    /// One word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
            Self::Timeout => "timeout",
            Self::Status { .. } => "status",
            Self::Decode(_) => "decode",
            Self::TooLarge(_) | Self::Allowance { .. } => "too_large",
        }
    }

    /// Whether the request itself was refused, so that asking a replica the same is no use.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Status { code: 400..=407 | 409..=428 | 430..=499, .. })
    }
}

impl From<ReplyError> for RemoteErrorKind {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::TooLong { .. } | ReplyError::TooMany { .. } => {
                Self::TooLarge(error.to_string())
            }
            _ => Self::Decode(error.to_string()),
        }
    }
}

/// An error with what lies beneath it, in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_is_no_refusal_but_a_bad_request_is() {
        let refused = |code| RemoteErrorKind::Status { code, line: String::new() }.is_refusal();
        assert!(refused(400) && refused(422));
        assert!(!refused(408) && !refused(429) && !refused(500) && !refused(503));
        assert!(!RemoteErrorKind::Timeout.is_refusal());
    }
}
