//! What can go wrong while a seal is made.

use std::io;

/// Why a seal cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The file could not be written.
    #[error("writing {}: {source}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The format has no number for so much.
    #[error("{what} do not fit into a sealed index")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
    },
    /// The names did not come in their order, which is a fault of the caller.
    #[error("name `{name}` is out of order")]
    OutOfOrder {
        /// The name that came too late.
        name: String,
    },
}
