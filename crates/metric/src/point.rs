//! One measurement: a time and a value.

/// One measurement of a series.
///
/// The time is signed and wide so that what a client sends is held exactly until it has been judged;
/// whisper's u32 is the business of the file format.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Seconds since the Unix epoch.
    pub timestamp: i64,
    /// The measured value; finite once it has passed validation.
    pub value: f64,
}

impl Point {
    /// A point at `timestamp` seconds since the epoch.
    #[must_use]
    pub const fn new(timestamp: i64, value: f64) -> Self {
        Self { timestamp, value }
    }
}
