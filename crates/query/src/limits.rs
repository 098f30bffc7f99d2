//! What one request may cost. Every limit has a name that its error shows.

/// Bounds on one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Targets in a request.
    pub targets_max: u64,
    /// Series read, over all patterns and windows.
    pub series_max: u64,
    /// Points read, over all patterns and windows.
    pub points_max: u64,
    /// Points made by functions out of nothing.
    pub generated_points_max: u64,
    /// Alternatives that the braces of one pattern stand for.
    pub brace_expansions_max: usize,
    /// Different (pattern, window) reads.
    pub fetches_max: u64,
    /// Calls evaluated. Functions that evaluate their argument again over another window double the
    /// work with every level they are nested.
    pub calls_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            targets_max: 1000,
            series_max: 1_000_000,
            points_max: 200_000_000,
            generated_points_max: 50_000_000,
            brace_expansions_max: 10_000,
            fetches_max: 10_000,
            calls_max: 100_000,
        }
    }
}
