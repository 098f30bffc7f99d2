//! When a rule holds for a point.

use std::ops::Range;

use metric::{TagExpr, TaggedName};
use regex::Regex;

use super::literals::Required;

/// What rules know of a point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point<'a> {
    /// Its canonical name.
    pub(crate) name: &'a str,
    /// Seconds since 1970.
    pub(crate) timestamp: u32,
    /// Of an aggregate's result: the rule that made it. No aggregate up to there takes it in, so
    /// that nothing is aggregated in a circle.
    pub(crate) result_of: Option<usize>,
}

/// One text or expression held against names.
#[derive(Debug)]
pub(super) enum Pattern {
    Equals(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Regex(Regex),
}

impl Pattern {
    /// Where in the name it matches first.
    pub(super) fn find(&self, name: &str) -> Option<Range<usize>> {
        match self {
            Self::Equals(text) => (name == text).then_some(0..text.len()),
            Self::Prefix(text) => name.starts_with(text).then_some(0..text.len()),
            Self::Suffix(text) => name.strip_suffix(text).map(|rest| rest.len()..name.len()),
            Self::Contains(text) => name.find(text).map(|at| at..at + text.len()),
            Self::Regex(regex) => regex.find(name).map(|found| found.range()),
        }
    }

    /// What every name that it matches must hold.
    pub(super) fn required(&self) -> Required {
        match self {
            Self::Regex(regex) => Required::of(regex.as_str()),
            Self::Equals(text) | Self::Prefix(text) | Self::Suffix(text) | Self::Contains(text) => {
                Required {
                    sets: vec![vec![text.to_ascii_lowercase().into_bytes()]],
                    folds_beyond_ascii: false,
                }
            }
        }
    }

    /// How many groups a template may refer to; texts have none, and the whole match is 0.
    pub(super) fn groups(&self) -> usize {
        match self {
            Self::Regex(regex) => regex.captures_len() - 1,
            _ => 0,
        }
    }
}

/// What met a condition.
#[derive(Debug)]
pub(super) struct Found {
    /// The pattern; none for a rule without patterns, which the whole name meets.
    pub(super) pattern: Option<usize>,
    pub(super) range: Range<usize>,
}

/// A share of what a rule would hold for, always the same one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// From 0 to 1.
    pub(super) share: f64,
    /// Each point on its own; else a series with all its points.
    pub(super) by_point: bool,
}

impl Sample {
    fn takes(self, point: Point<'_>) -> bool {
        let mut hash = ring::fnv1a_64(point.name.as_bytes(), false);
        if self.by_point {
            hash ^= u64::from(point.timestamp).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        // FNV leaves the last letters in the low bits; the share is taken from the high ones.
        hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        hash ^= hash >> 32;
        ((hash >> 11) as f64) < self.share * (1_u64 << 53) as f64
    }
}

/// When a rule holds: patterns are numbers of the table's.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// Of each group of patterns one must match, the first of which is what a rewrite replaces.
    pub(super) one_of_each: Vec<Range<usize>>,
    /// No pattern of these may match.
    pub(super) none_of: Range<usize>,
    /// Every term must hold.
    pub(super) tags: Vec<TagExpr>,
    /// No term may hold.
    pub(super) no_tags: Vec<TagExpr>,
    pub(super) sample: Option<Sample>,
}

impl Condition {
    /// What of `key` meets the condition, given how to find a match among some patterns.
    pub(super) fn find(
        &self,
        point: Point<'_>,
        key: &str,
        find: impl Fn(Range<usize>) -> Option<Found>,
    ) -> Option<Found> {
        let mut met = None;
        for group in &self.one_of_each {
            let found = find(group.clone())?;
            met.get_or_insert(found);
        }
        if find(self.none_of.clone()).is_some() || !self.tags_hold(point.name) {
            return None;
        }
        if self.sample.is_some_and(|sample| !sample.takes(point)) {
            return None;
        }
        Some(met.unwrap_or(Found { pattern: None, range: 0..key.len() }))
    }

    fn tags_hold(&self, name: &str) -> bool {
        if self.tags.is_empty() && self.no_tags.is_empty() {
            return true;
        }
        // A canonical name is always well formed.
        let Ok(series) = TaggedName::parse(name) else { return false };
        self.tags.iter().all(|term| term.matches(&series))
            && !self.no_tags.iter().any(|term| term.matches(&series))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_its_share_and_always_the_same() {
        let names: Vec<String> = (0..10_000).map(|i| format!("web{i}.cpu.user")).collect();
        let takes = |name: &str, timestamp, by_point| {
            Sample { share: 0.1, by_point }.takes(Point { name, timestamp, result_of: None })
        };
        let series = names.iter().filter(|name| takes(name, 60, false)).count();
        assert!((900..1_100).contains(&series), "{series}");
        assert!(names.iter().all(|name| takes(name, 60, false) == takes(name, 120, false)));
        let points = (0..10_000).filter(|minute| takes("web.cpu", minute * 60, true)).count();
        assert!((900..1_100).contains(&points), "{points}");
        let all = Sample { share: 1.0, by_point: true };
        assert!(names.iter().all(|name| all.takes(Point { name, timestamp: 1, result_of: None })));
        let none = Sample { share: 0.0, by_point: false };
        assert!(!names.iter().any(|name| none.takes(Point {
            name,
            timestamp: 1,
            result_of: None
        })));
    }

    #[test]
    fn patterns_say_where_they_match() {
        let text = |pattern: &Pattern| pattern.find("web.cpu.user");
        assert_eq!(text(&Pattern::Equals("web.cpu.user".into())), Some(0..12));
        assert_eq!(text(&Pattern::Equals("web".into())), None);
        assert_eq!(text(&Pattern::Prefix("web.".into())), Some(0..4));
        assert_eq!(text(&Pattern::Suffix(".user".into())), Some(7..12));
        assert_eq!(text(&Pattern::Contains("cpu".into())), Some(4..7));
        assert_eq!(text(&Pattern::Regex(Regex::new("c.u").unwrap())), Some(4..7));
    }
}
