//! Why a request got no answer, in one line.

use crate::index::IndexError;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadFault {
    /// The request cannot be understood.
    #[error("{0}")]
    Bad(String),
    /// The request is packed in a way that is not read here.
    #[error("{0}")]
    Unsupported(String),
    /// There is nothing of this name.
    #[error("{0}")]
    NotFound(String),
    /// The request asks for more than is allowed.
    #[error("{what}, allowed are {allowed} (setting `{setting}`)")]
    Limit {
        /// What was asked for.
        what: String,
        /// The most that is allowed.
        allowed: u64,
        /// Where that is set; the label of the counter.
        setting: &'static str,
    },
    /// What was asked to be changed could not be.
    #[error("not deleted: {0}")]
    NotDeleted(String),
    /// The asker may not do this.
    #[error("this reader may not delete these series")]
    Forbidden,
    /// Too much waits for the reading threads.
    #[error("too many requests wait for a thread (setting `read_queue_max`)")]
    Busy,
    /// The deadline has passed.
    #[error("no answer before the deadline")]
    Late,
    /// The thread that read had a fault of its own, which its log tells.
    #[error("reading failed; the log of this node says more")]
    Lost,
}

impl ReadFault {
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::Bad(text.into())
    }

    pub(crate) fn limit(what: impl Into<String>, allowed: usize, setting: &'static str) -> Self {
        Self::Limit { what: what.into(), allowed: allowed as u64, setting }
    }

    /// The status of HTTP.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Bad(_) => 400,
            Self::Forbidden => 403,
            Self::NotFound(_) => 404,
            Self::Limit { setting: "request_bytes_max", .. } => 413,
            Self::Unsupported(_) => 415,
            Self::Limit { .. } => 422,
            Self::Lost => 500,
            Self::Busy | Self::NotDeleted(_) => 503,
            Self::Late => 504,
        }
    }

    /// The limit that the request met, if it met one.
    pub(crate) fn limit_label(&self) -> Option<&'static str> {
        match self {
            Self::Limit { setting, .. } => Some(setting),
            Self::Busy => Some("read_queue_max"),
            Self::Late => Some("deadline"),
            Self::Bad(_)
            | Self::Unsupported(_)
            | Self::Forbidden
            | Self::NotFound(_)
            | Self::NotDeleted(_)
            | Self::Lost => None,
        }
    }
}

impl From<IndexError> for ReadFault {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::TooManyVisited { limit } => {
                Self::limit("search visits more nodes of the index", limit, "find_nodes_max")
            }
            IndexError::TooManyFound { limit } => {
                Self::limit("search finds more series", limit, "find_series_max")
            }
        }
    }
}
