//! A TOML text as tables with places: every complaint names its line and column.

use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ClusterError, Fault};

/// One table of the file, of which every key is known.
pub(super) struct Section<'t> {
    text: &'t str,
    table: &'t DeTable<'t>,
    /// Where the table begins, for complaints about the whole of it.
    offset: usize,
}

impl<'t> Section<'t> {
    /// A table, refused if it has a key outside `known`.
    pub(super) fn new(
        text: &'t str,
        table: &'t DeTable<'t>,
        offset: usize,
        known: &[&'static str],
    ) -> Result<Self, ClusterError> {
        let strangers = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        if let Some(key) = strangers.min_by_key(|key| key.span().start) {
            let fault = Fault::UnknownKey {
                key: key.get_ref().to_string(),
                nearest: nearest(key.get_ref(), known),
                known: known.join(", "),
            };
            return Err(error_at(text, key.span().start, fault));
        }
        Ok(Self { text, table, offset })
    }

    /// A complaint about the table as a whole.
    pub(super) fn error(&self, fault: Fault) -> ClusterError {
        error_at(self.text, self.offset, fault)
    }

    /// A string, if the key is there.
    pub(super) fn string(&self, key: &'static str) -> Result<Option<&'t str>, ClusterError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        value.get_ref().as_str().map(Some).ok_or_else(|| self.mistyped(key, value, "a string"))
    }

    /// A whole number from 0 on, if the key is there.
    pub(super) fn count(&self, key: &'static str) -> Result<Option<usize>, ClusterError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let number = value.get_ref().as_integer();
        let count = number.and_then(|n| usize::from_str_radix(n.as_str(), n.radix()).ok());
        count.map(Some).ok_or_else(|| self.mistyped(key, value, "a whole number from 0 on"))
    }

    /// `true` or `false`, if the key is there.
    pub(super) fn flag(&self, key: &'static str) -> Result<Option<bool>, ClusterError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let flag = value.get_ref().as_bool();
        flag.map(Some).ok_or_else(|| self.mistyped(key, value, "true or false"))
    }

    /// A string that is the name of a choice, if the key is there.
    pub(super) fn choice<T>(&self, key: &'static str) -> Result<Option<T>, ClusterError>
    where
        T: FromStr,
        Fault: From<T::Err>,
    {
        let Some(name) = self.string(key)? else { return Ok(None) };
        let offset = self.table.get(key).map_or(self.offset, |value| value.span().start);
        name.parse().map(Some).map_err(|error| error_at(self.text, offset, Fault::from(error)))
    }

    /// A list of strings with the places of each, if the key is there.
    pub(super) fn strings(
        &self,
        key: &'static str,
    ) -> Result<Option<Vec<(&'t str, usize)>>, ClusterError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let mistyped = |value| self.mistyped(key, value, "a list of strings");
        let array = value.get_ref().as_array().ok_or_else(|| mistyped(value))?;
        let string = |item: &'t Spanned<DeValue<'t>>| {
            let string = item.get_ref().as_str().ok_or_else(|| mistyped(item))?;
            Ok((string, item.span().start))
        };
        array.iter().map(string).collect::<Result<_, _>>().map(Some)
    }

    /// A complaint about one place in the table.
    pub(super) fn error_at(&self, offset: usize, fault: Fault) -> ClusterError {
        error_at(self.text, offset, fault)
    }

    /// A table inside this one, if the key is there.
    pub(super) fn section(
        &self,
        key: &'static str,
        known: &[&'static str],
    ) -> Result<Option<Self>, ClusterError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| self.mistyped(key, value, "a table"))?;
        Self::new(self.text, table, value.span().start, known).map(Some)
    }

    /// The tables of a list inside this one, in order; none if the key is absent.
    pub(super) fn sections(
        &self,
        key: &'static str,
        known: &[&'static str],
    ) -> Result<Vec<Self>, ClusterError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let mistyped = |value| self.mistyped(key, value, "a list of tables");
        let array = value.get_ref().as_array().ok_or_else(|| mistyped(value))?;
        let section = |item: &'t Spanned<DeValue<'t>>| {
            let table = item.get_ref().as_table().ok_or_else(|| mistyped(item))?;
            Self::new(self.text, table, item.span().start, known)
        };
        array.iter().map(section).collect()
    }

    fn mistyped(
        &self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
        expected: &'static str,
    ) -> ClusterError {
        let found = value.get_ref().type_str();
        error_at(self.text, value.span().start, Fault::Mistyped { key, expected, found })
    }
}

/// A complaint about a byte of the text; lines and columns count from 1, columns in characters.
pub(super) fn error_at(text: &str, offset: usize, fault: Fault) -> ClusterError {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    ClusterError { line, column, fault }
}

/// The known key with the fewest edits, if at most half of the word is edited.
fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let edits = known.iter().map(|key| (edits(word, key), *key));
    let (edits, key) = edits.min_by_key(|(edits, _)| *edits)?;
    (edits * 2 <= word.chars().count().max(key.len())).then_some(key)
}

/// Levenshtein's distance: insertions, deletions and replacements.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a_char) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b_char) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(a_char != b_char);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_and_far_words_have_no_neighbour() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "ring"), 4);
        assert_eq!(nearest("colision", &["copies", "collision"]), Some("collision"));
        assert_eq!(nearest("zebra", &["copies", "collision"]), None);
    }

    #[test]
    fn places_count_characters_from_one() {
        let ClusterError { line, column, .. } = error_at("a\nöö = 1", 6, Fault::NoRing);
        assert_eq!((line, column), (2, 3));
    }
}
