//! What a rewrite puts in place of what was matched: text and references to groups.
//!
//! `\1` is the first group, `\_1` the same in lower case, `\^1` in upper case, `\.1` with dots as
//! underscores; `\_.1` and `\^.1` do both. `\g{1}` is for a digit that follows, `\0` the whole match.

use std::borrow::Cow;

use regex::Captures;
use thiserror::Error;

/// Why a template could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum TemplateError {
    /// A backslash with nothing it could mean.
    #[error(
        "`\\` at character {0} is no reference to a group, such as \\1 or \\g{{1}}; write \\\\ for a backslash"
    )]
    NoReference(usize),
    /// A group that the expressions of the rule do not have.
    #[error("`\\{group}` refers to a group that not every regex of the rule has ({groups} groups)")]
    NoSuchGroup {
        /// The number referred to.
        group: usize,
        /// How many there are at least.
        groups: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Kept,
    Lower,
    Upper,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group { index: usize, case: Case, dots_to_underscores: bool },
}

/// A template, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            push_text(&mut pieces, &rest[..at]);
            let escape = &rest[at + 1..];
            if let Some(after) = escape.strip_prefix('\\') {
                push_text(&mut pieces, "\\");
                rest = after;
                continue;
            }
            let position = text.len() - rest.len() + at;
            let no_reference = || TemplateError::NoReference(text[..position].chars().count() + 1);
            let (piece, after) = reference(escape).ok_or_else(no_reference)?;
            pieces.push(piece);
            rest = after;
        }
        push_text(&mut pieces, rest);
        Ok(Self { pieces })
    }

    /// Refuses references beyond the `groups` that there are.
    pub(crate) fn check(&self, groups: usize) -> Result<(), TemplateError> {
        match self.highest_group() {
            Some(group) if group > groups => Err(TemplateError::NoSuchGroup { group, groups }),
            _ => Ok(()),
        }
    }

    /// Whether groups are referred to at all.
    pub(crate) fn has_groups(&self) -> bool {
        self.highest_group().is_some()
    }

    fn highest_group(&self) -> Option<usize> {
        let index = |piece: &Piece| match piece {
            Piece::Group { index, .. } => Some(*index),
            Piece::Text(_) => None,
        };
        self.pieces.iter().filter_map(index).max()
    }

    /// Appends the text with its groups filled in; a group that took no part is empty.
    pub(crate) fn expand(&self, captures: Option<&Captures<'_>>, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group { index, case, dots_to_underscores } => {
                    let group = captures.and_then(|captures| captures.get(*index));
                    let text = group.map_or("", |group| group.as_str());
                    let text = match case {
                        Case::Kept => Cow::Borrowed(text),
                        Case::Lower => Cow::Owned(text.to_lowercase()),
                        Case::Upper => Cow::Owned(text.to_uppercase()),
                    };
                    match dots_to_underscores {
                        true => out.push_str(&text.replace('.', "_")),
                        false => out.push_str(&text),
                    }
                }
            }
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// The reference after a backslash, and what follows it.
fn reference(text: &str) -> Option<(Piece, &str)> {
    let (inner, braced) = match text.strip_prefix("g{") {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let (case, inner) = match inner.as_bytes().first() {
        Some(b'_') => (Case::Lower, &inner[1..]),
        Some(b'^') => (Case::Upper, &inner[1..]),
        _ => (Case::Kept, inner),
    };
    let (dots_to_underscores, inner) = match inner.strip_prefix('.') {
        Some(inner) => (true, inner),
        None => (false, inner),
    };
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let (number, after) = inner.split_at(digits);
    let index = number.parse().ok()?;
    let after = if braced { after.strip_prefix('}')? } else { after };
    Some((Piece::Group { index, case, dots_to_underscores }, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    fn expanded(template: &str) -> String {
        let regex = Regex::new(r"^(\w+)\.(Web\.One)(x)?").unwrap();
        let captures = regex.captures("prod.Web.One").unwrap();
        let mut out = String::new();
        Template::parse(template).unwrap().expand(Some(&captures), &mut out);
        out
    }

    #[test]
    fn groups_are_filled_in_in_every_form() {
        let cases = [
            (r"a.\1.b", "a.prod.b"),
            (r"\2-\1", "Web.One-prod"),
            (r"\_2 \^2 \.2", "web.one WEB.ONE Web_One"),
            (r"\_.2 \^.2", "web_one WEB_ONE"),
            (r"\g{1}50 \g{^1}9 \g{_.2}", "prod50 PROD9 web_one"),
            (r"<\0>", "<prod.Web.One>"),
            (r"[\3]", "[]"),
            (r"a\\1", r"a\1"),
            ("", ""),
        ];
        for (template, text) in cases {
            assert_eq!(expanded(template), text, "{template}");
        }
    }

    #[test]
    fn a_backslash_that_means_nothing_is_named() {
        for (template, at) in [(r"ab\x", 3), (r"\g{1", 1), (r"ö\", 2), (r"\g{x}", 1)] {
            assert_eq!(
                Template::parse(template),
                Err(TemplateError::NoReference(at)),
                "{template}"
            );
        }
    }

    #[test]
    fn references_beyond_the_groups_are_refused() {
        let template = Template::parse(r"\1\g{3}").unwrap();
        assert!(template.check(3).is_ok());
        assert_eq!(template.check(2), Err(TemplateError::NoSuchGroup { group: 3, groups: 2 }));
        assert!(!Template::parse("plain").unwrap().has_groups());
    }
}
