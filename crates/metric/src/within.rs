//! The part of all names that somebody may see: those that begin with one of some prefixes.

use std::fmt::Write as _;
use std::sync::Arc;

/// Names that begin with one of some prefixes, to the letter: `team-a.` is one branch, `team-a` also `team-ab`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Within {
    /// None for all names; an empty list holds none.
    prefixes: Option<Arc<[String]>>,
}

impl Within {
    /// All names.
    pub const ALL: Self = Self { prefixes: None };

    /// The names that begin with one of these.
    #[must_use]
    pub fn prefixes(prefixes: impl IntoIterator<Item = String>) -> Self {
        Self { prefixes: Some(prefixes.into_iter().collect()) }
    }

    /// Whether it holds all names.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.prefixes.is_none()
    }

    /// Whether it holds this name.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.any(|prefix| name.starts_with(prefix))
    }

    /// Whether names that it holds may lie below this branch.
    #[must_use]
    pub fn leads_through(&self, branch: &str) -> bool {
        // What the names below begin with is the branch and a dot.
        let below = |prefix: &str| match prefix.strip_prefix(branch) {
            Some(rest) => rest.is_empty() || rest.starts_with('.'),
            None => branch.starts_with(prefix),
        };
        self.any(below)
    }

    fn any(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.prefixes.as_ref().is_none_or(|prefixes| prefixes.iter().any(|prefix| fits(prefix)))
    }

    /// What both hold.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let (Some(ours), Some(theirs)) = (&self.prefixes, &other.prefixes) else {
            return if self.is_all() { other.clone() } else { self.clone() };
        };
        let pairs = ours.iter().flat_map(|a| theirs.iter().map(move |b| (a, b)));
        let narrower = pairs.filter_map(|(a, b)| match (a.starts_with(b), b.starts_with(a)) {
            (true, _) => Some(a.clone()),
            (_, true) => Some(b.clone()),
            _ => None,
        });
        let mut prefixes: Vec<String> = narrower.collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        Self::prefixes(prefixes)
    }

    /// As one line of printable ASCII, for a header or a key; none for all names.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        let mut text = String::new();
        for (at, prefix) in self.prefixes.as_ref()?.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            for byte in prefix.bytes() {
                match byte {
                    b'%' | b',' | 0..=b' ' | 0x7f.. => {
                        write!(text, "%{byte:02x}").expect("a String takes everything");
                    }
                    byte => text.push(char::from(byte)),
                }
            }
        }
        Some(text)
    }

    /// From such a line. Who cannot be understood is shown nothing.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let parts = text.split(',').filter(|part| !part.is_empty());
        Self::prefixes(parts.map(decoded).collect::<Option<Vec<_>>>().unwrap_or_default())
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn within(prefixes: &[&str]) -> Within {
        Within::prefixes(prefixes.iter().map(ToString::to_string))
    }

    #[test]
    fn the_ways_to_a_prefix_are_seen_and_what_lies_beside_them_is_not() {
        let team = within(&["team.a.", "infra.web"]);
        for (name, holds) in [
            ("team.a.x", true),
            ("team.a", false),
            ("team.ab", false),
            ("infra.web-1.cpu", true),
            ("infra.web;dc=x", true),
            ("infra.db", false),
        ] {
            assert_eq!(team.holds(name), holds, "{name}");
        }
        for (branch, leads) in [
            ("team", true),
            ("team.a", true),
            ("team.a.x", true),
            ("team.b", false),
            ("tea", false),
            ("infra", true),
            ("infra.web-1", true),
            ("infra.we", false),
        ] {
            assert_eq!(team.leads_through(branch), leads, "{branch}");
        }
        assert!(Within::ALL.holds("x") && Within::ALL.leads_through("x"));
        assert!(!within(&[]).holds("") && !within(&[]).leads_through("x"));
    }

    proptest! {
        #[test]
        fn both_hold_what_their_meet_holds(
            a in prop::option::of(prop::collection::vec("[ab.]{0,3}", 0..4)),
            b in prop::option::of(prop::collection::vec("[ab.]{0,3}", 0..4)),
            name in "[ab.]{0,5}",
        ) {
            let [a, b] = [a, b].map(|list| list.map_or(Within::ALL, Within::prefixes));
            prop_assert_eq!(a.and(&b).holds(&name), a.holds(&name) && b.holds(&name));
        }

        #[test]
        fn a_line_says_all(prefixes in prop::collection::vec("\\PC{1,4}|[,% \n]{1,3}", 0..4)) {
            let within = Within::prefixes(prefixes);
            let text = within.to_text().unwrap();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
            prop_assert_eq!(Within::from_text(&text), within);
        }

        #[test]
        fn a_strange_line_shows_nothing_and_does_no_harm(text in "\\PC{0,9}") {
            let _any: bool = Within::from_text(&text).holds("a");
        }
    }

    #[test]
    fn a_line_that_is_broken_holds_nothing() {
        for text in ["", "a%", "a%zz", "%ff", "a,b%2"] {
            assert!(!Within::from_text(text).holds("a"), "{text}");
        }
    }
}
