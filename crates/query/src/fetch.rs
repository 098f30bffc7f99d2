//! What is read of the store, before anything is evaluated or while it is.

use crate::fold::FoldSpec;
use crate::window::Window;

/// One read: all series that match a pattern, over a window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    /// A path with globs, or a whole `seriesByTag(...)` (see [`Fetch::is_tag_query`]).
    pub pattern: String,
    /// When.
    pub window: Window,
    /// What the store may make of the series; if it does not, they are read without.
    pub fold: Option<FoldSpec>,
}

/// What a read of events begins with; no path holds a parenthesis.
const EVENTS: &str = "events()";

impl Fetch {
    /// Of series as they are.
    pub fn new(pattern: impl Into<String>, window: Window) -> Self {
        Self { pattern: pattern.into(), window, fold: None }
    }

    /// The same of series as they are.
    #[must_use]
    pub fn unfolded(&self) -> Self {
        Self::new(self.pattern.clone(), self.window)
    }

    /// Whether it may mean more than one series.
    pub(crate) fn is_pattern(&self) -> bool {
        self.is_tag_query() || self.pattern.contains(['*', '?', '[', '{'])
    }

    /// Whether the pattern is a `seriesByTag(...)` for [`metric::TagQuery::parse_call`] and not a path
    /// for [`metric::Glob::compile`]; no path holds a parenthesis after this word.
    pub fn is_tag_query(&self) -> bool {
        let arguments = self.pattern.strip_prefix("seriesByTag").map(str::trim_start);
        arguments.is_some_and(|a| a.starts_with('('))
    }

    /// Of the events with all these tags, or of all events without any: so many in each second.
    pub(crate) fn events_pattern(tags: &[String]) -> String {
        format!("{EVENTS}{}", tags.join(" "))
    }

    /// The tags, if this is no read of series but one of events.
    pub fn event_tags(&self) -> Option<Vec<&str>> {
        Some(self.pattern.strip_prefix(EVENTS)?.split_whitespace().collect())
    }
}
