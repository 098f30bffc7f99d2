//! What both files share: a list of patterns, of which the first that matches decides.

use regex::{Regex, RegexBuilder};

use crate::fault::{Reporter, SchemaFault};
use crate::ini::Entry;

/// Largest compiled size of one pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Rules in the order of the file, and what holds where none matches.
#[derive(Debug, Clone)]
pub(crate) struct Rules<T> {
    pub(crate) rules: Vec<(Regex, T)>,
    pub(crate) default: T,
    pub(crate) warnings: Vec<SchemaFault>,
}

impl<T> Rules<T> {
    pub(crate) const fn new(default: T) -> Self {
        Self { rules: Vec::new(), default, warnings: Vec::new() }
    }

    /// The first rule whose pattern is found anywhere in the name.
    pub(crate) fn for_name(&self, name: &str) -> &T {
        let hit = self.rules.iter().find(|(pattern, _)| pattern.is_match(name));
        hit.map_or(&self.default, |(_, rule)| rule)
    }

    /// All rules in order, the default last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.rules.iter().map(|(_, rule)| rule).chain(std::iter::once(&self.default))
    }
}

/// Compiles a `pattern`.
pub(crate) fn pattern(entry: &Entry, report: Reporter<'_>) -> Result<Regex, SchemaFault> {
    RegexBuilder::new(&entry.value).size_limit(PATTERN_BYTES_MAX).build().map_err(|error| {
        // The last line of regex's message is the reason; those before it draw the pattern.
        let message = error.to_string();
        let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let expected =
            format!("a regular expression without look-around or backreferences ({reason})");
        report.fault(entry.line, &*entry.key, expected, &entry.value)
    })
}
