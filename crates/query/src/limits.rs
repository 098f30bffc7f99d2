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
    /// Different windows that its reads are over.
    pub windows_max: u64,
    /// Nodes of one pattern.
    pub pattern_nodes_max: u64,
    /// `**` in one pattern.
    pub globstars_max: u64,
    /// Series that one pattern may stand for over one window.
    pub pattern_series_max: u64,
    /// Arguments of one call.
    pub arguments_max: u64,
    /// Bytes of one target.
    pub target_bytes_max: u64,
    /// Points that the windows of one comparison of series over a moving window come to.
    pub window_points_max: u64,
    /// Shifts of one `timeStack` or `baseline`.
    pub time_stack_shifts_max: u64,
    /// Bytes of what was read and of what functions hold at a time.
    pub memory_bytes_max: u64,
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
            windows_max: 1000,
            pattern_nodes_max: 10_000,
            globstars_max: 100,
            pattern_series_max: 1_000_000,
            arguments_max: 100_000,
            target_bytes_max: 1 << 20,
            window_points_max: 500_000_000,
            time_stack_shifts_max: 1000,
            memory_bytes_max: 4 << 30,
            calls_max: 100_000,
        }
    }
}
