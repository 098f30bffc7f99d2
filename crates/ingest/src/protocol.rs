//! From bytes to points, whatever they look like.

use wire::line::Rules;

/// What one look at a buffer took from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Bytes that are done with.
    pub(crate) bytes: usize,
    /// Points read, handed on or refused.
    pub(crate) points: u64,
}

/// How a connection's bytes become points.
pub(crate) trait Protocol: Send {
    /// Hands on what is complete in `buffer`.
    fn take(&mut self, buffer: &[u8], rules: &Rules) -> Taken;

    /// Whether the stream cannot be understood any further.
    fn should_close(&self) -> bool;

    /// Accounts for the bytes that a closing stream leaves behind.
    fn end(&mut self, rest: &[u8]);
}
