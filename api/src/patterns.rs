//! What graphite-web's finder makes of patterns that a store would read otherwise.
//!
//! It walks folders, so empty parts lead nowhere else (`.a..b` is `a.b`), a dot at the end asks for
//! a branch, and `**` at the start stands for no folder at all.

use metric::tags::is_tagged;
use wire::reply::FindMatch;

/// A pattern as a store is asked for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FindPattern {
    /// What is asked; nothing if it is empty.
    pub(crate) asked: String,
    /// Whether it ends in a dot: branches only, shown with that dot.
    inside: bool,
}

impl FindPattern {
    /// Reads a pattern that is no call of `seriesByTag`.
    pub(crate) fn new(pattern: &str) -> Self {
        if is_tagged(pattern) {
            return Self { asked: pattern.to_owned(), inside: false };
        }
        let parts: Vec<&str> = pattern.split('.').filter(|part| !part.is_empty()).collect();
        let asked = after_globstars(&parts.join(".")).to_owned();
        Self { asked, inside: pattern.ends_with('.') }
    }

    /// What the asker sees of what was found.
    pub(crate) fn shown(&self, mut found: Vec<FindMatch>) -> Vec<FindMatch> {
        if self.inside {
            found.retain(|one| !one.is_leaf);
            found.iter_mut().for_each(|one| one.path.push('.'));
        }
        found
    }
}

/// The pattern without `**` before all other parts; alone it is one level of any name.
pub(crate) fn after_globstars(pattern: &str) -> &str {
    let mut rest = pattern;
    while let Some(after) = rest.strip_prefix("**.") {
        rest = after;
    }
    if rest == "**" { "*" } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_parts_lead_nowhere_else() {
        for (pattern, asked) in
            [("a.b", "a.b"), (".a..b", "a.b"), ("a.b..", "a.b"), (".", ""), ("a;b=..c", "a;b=..c")]
        {
            assert_eq!(FindPattern::new(pattern).asked, asked, "{pattern}");
        }
    }

    #[test]
    fn a_dot_at_the_end_asks_for_branches() {
        let found = |is_leaf| FindMatch { path: "a.b".to_owned(), is_leaf, intervals: Vec::new() };
        let both = vec![found(false), found(true)];
        assert_eq!(FindPattern::new("a.*").shown(both.clone()), both);
        let shown = FindPattern::new("a.*.").shown(both);
        assert_eq!((shown.len(), &shown[0].path[..]), (1, "a.b."));
    }

    #[test]
    fn two_stars_span_nodes_anywhere_but_at_the_start() {
        for (pattern, asked) in [
            ("**", "*"),
            ("**.**", "*"),
            ("**.a", "a"),
            ("**.a.**", "a.**"),
            ("a.**.b", "a.**.b"),
            ("**a.b", "**a.b"),
            ("***", "***"),
        ] {
            assert_eq!(after_globstars(pattern), asked, "{pattern}");
        }
    }
}
