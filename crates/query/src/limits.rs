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
    pub brace_expansions_max: u64,
    /// Different (pattern, window) reads.
    pub fetches_max: u64,
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
        }
    }
}

/// How many paths the braces of a pattern stand for.
pub(crate) fn brace_expansions(pattern: &str) -> u64 {
    let mut product = 1u64;
    let mut alternatives = None;
    for byte in pattern.bytes() {
        match (byte, alternatives) {
            (b'{', None) => alternatives = Some(1u64),
            (b',', Some(n)) => alternatives = Some(n.saturating_add(1)),
            (b'}', Some(n)) => {
                product = product.saturating_mul(n);
                alternatives = None;
            }
            _ => {}
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_multiply() {
        assert_eq!(brace_expansions("a.{b,c}.{d,e,f}*"), 6);
        assert_eq!(brace_expansions("a.b"), 1);
        assert_eq!(brace_expansions(&"{a,b}".repeat(100)), u64::MAX);
    }
}
