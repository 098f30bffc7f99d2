//! The settings of listeners, one entry each, for the tables of the daemons that listen.

use std::time::Duration;

use daemon::{Kind, Setting, Values};

/// Longest line.
pub const LINE_BYTES_MAX: Setting = Setting::new(
    "line_bytes_max",
    Kind::Bytes,
    "16KiB",
    "A longer line is skipped to its end and counted.",
);

/// Longest pickle.
pub const FRAME_BYTES_MAX: Setting = Setting::new(
    "frame_bytes_max",
    Kind::Bytes,
    "1MiB",
    "A longer pickle frame closes its connection.",
);

/// Most connections.
pub const CONNECTIONS_MAX: Setting = Setting::new(
    "connections_max",
    Kind::Count,
    "10000",
    "Most connections at a time, over all listeners that take points; never more than half of the \
     descriptors that the process may have.",
);

/// How far in the future.
pub const FUTURE_MAX: Setting = Setting::new(
    "future_max",
    Kind::Duration,
    "10min",
    "A point that lies further ahead of now is refused.",
);

/// What listeners accept.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Longest line, without its newline.
    pub line_bytes_max: usize,
    /// Longest pickle frame.
    pub frame_bytes_max: usize,
    /// Most connections at a time over all listeners.
    pub connections_max: usize,
    /// How far ahead of now a timestamp may be.
    pub future_max: Duration,
}

impl Settings {
    /// Reads the settings of this module's entries.
    #[must_use]
    pub fn from_values(values: &Values) -> Self {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            line_bytes_max: size(values.bytes("line_bytes_max")),
            frame_bytes_max: size(values.bytes("frame_bytes_max")),
            connections_max: size(values.count("connections_max")),
            future_max: values.duration("future_max"),
        }
    }
}
