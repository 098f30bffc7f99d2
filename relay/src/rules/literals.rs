//! Which texts a match of a regular expression must hold, so that one search for all of them can
//! rule out nearly every expression.

use regex_syntax::hir::{Class, Hir, HirKind};

/// A literal shorter than this is in too many names to rule anything out.
pub(super) const LITERAL_BYTES_MIN: usize = 2;

/// An alternation of more than this is checked without literals.
const ALTERNATIVES_MAX: usize = 64;

/// Texts in lower case, of which every match holds at least one, in some case.
pub(super) type AnyOf = Vec<Vec<u8>>;

/// What is known of the matches of one expression.
#[derive(Debug, Default)]
pub(super) struct Required {
    /// Each of these holds by itself.
    pub(super) sets: Vec<AnyOf>,
    /// Whether a character beyond ASCII may stand for a letter of a literal, as ſ for s.
    pub(super) folds_beyond_ascii: bool,
}

impl Required {
    /// Reads an expression; one that cannot be read requires nothing.
    pub(super) fn of(expression: &str) -> Self {
        let mut required = Self::default();
        if let Ok(hir) = regex_syntax::parse(expression) {
            required.sets = required.sets_of(&hir);
        }
        required
    }

    fn sets_of(&mut self, hir: &Hir) -> Vec<AnyOf> {
        if let Some(text) = self.exact(hir) {
            return useful(vec![text]).into_iter().collect();
        }
        match hir.kind() {
            HirKind::Capture(capture) => self.sets_of(&capture.sub),
            HirKind::Repetition(repetition) if repetition.min > 0 => self.sets_of(&repetition.sub),
            HirKind::Concat(parts) => self.sets_of_sequence(parts),
            HirKind::Alternation(parts) => self.set_of_alternatives(parts).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Exact neighbours make one longer literal.
    fn sets_of_sequence(&mut self, parts: &[Hir]) -> Vec<AnyOf> {
        let mut sets = Vec::new();
        let mut run = Vec::new();
        for part in parts {
            match self.exact(part) {
                Some(text) => run.extend(text),
                None => {
                    sets.extend(useful(vec![std::mem::take(&mut run)]));
                    sets.extend(self.sets_of(part));
                }
            }
        }
        sets.extend(useful(vec![run]));
        sets
    }

    /// One literal of each alternative, if each has one.
    fn set_of_alternatives(&mut self, parts: &[Hir]) -> Option<AnyOf> {
        let mut all = Vec::new();
        for part in parts {
            let sets = self.sets_of(part);
            let longest = |set: &AnyOf| set.iter().map(Vec::len).min().unwrap_or_default();
            all.extend(sets.into_iter().max_by_key(longest)?);
        }
        (all.len() <= ALTERNATIVES_MAX).then_some(all)
    }

    /// The one text that the part matches, case aside; nothing where it matches several.
    fn exact(&mut self, hir: &Hir) -> Option<Vec<u8>> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Some(Vec::new()),
            HirKind::Literal(literal) => Some(literal.0.to_ascii_lowercase()),
            HirKind::Capture(capture) => self.exact(&capture.sub),
            HirKind::Class(class) => self.letter(class).map(|letter| vec![letter]),
            HirKind::Concat(parts) => parts.iter().try_fold(Vec::new(), |mut text, part| {
                text.extend(self.exact(part)?);
                Some(text)
            }),
            _ => None,
        }
    }

    /// The letter whose cases make up the class.
    fn letter(&mut self, class: &Class) -> Option<u8> {
        let Class::Unicode(class) = class else { return None };
        let chars: Vec<char> =
            class.iter().take(4).flat_map(|range| (range.start()..=range.end()).take(4)).collect();
        let mut ascii = chars.iter().filter(|c| c.is_ascii_alphabetic());
        let letter = ascii.next()?.to_ascii_lowercase();
        let is_case = |c: &char| {
            c.to_lowercase().eq([letter]) || c.to_uppercase().eq([letter.to_ascii_uppercase()])
        };
        if !chars.iter().all(is_case) {
            return None;
        }
        self.folds_beyond_ascii |= !chars.iter().all(char::is_ascii);
        u8::try_from(letter).ok()
    }
}

fn useful(set: AnyOf) -> Option<AnyOf> {
    set.iter().all(|text| text.len() >= LITERAL_BYTES_MIN).then_some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(expression: &str) -> Vec<Vec<String>> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let sets = Required::of(expression).sets.into_iter();
        sets.map(|set| set.into_iter().map(text).collect()).collect()
    }

    #[test]
    fn literals_are_found_between_what_varies() {
        assert_eq!(sets(r"^servers\.([a-z]+)\.cpu\.idle$"), [["servers."], [".cpu.idle"]]);
        assert_eq!(sets(r"^(prod)\.x"), [["prod.x"]]);
        assert_eq!(sets(r"^(foo|bar)\.cpu"), [vec!["foo", "bar"], vec![".cpu"]]);
        assert_eq!(sets(r"a+bc*"), [[""; 0]; 0]);
        assert_eq!(sets(r"(abc)+|x"), [[""; 0]; 0]);
        assert_eq!(sets(r"(abc)?def"), [["def"]]);
        assert_eq!(sets("(not closed"), [[""; 0]; 0]);
    }

    #[test]
    fn case_aside_the_letters_remain_and_foreign_forms_of_them_are_told() {
        assert_eq!(sets("(?i)Abc"), [["abc"]]);
        assert!(!Required::of("(?i)abc").folds_beyond_ascii);
        assert_eq!(sets("(?i)disk"), [["disk"]]);
        assert!(Required::of("(?i)disk").folds_beyond_ascii);
        assert_eq!(sets("[ab]cd"), [["cd"]]);
    }
}
