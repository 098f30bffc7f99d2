//! The settings file as a daemon reads its own tables from it: each with its place, so that a
//! fault deep in a rule names line and column.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{Fault, nearest};

/// A place in a file; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Place {
    /// The place of a byte of `text`.
    #[must_use]
    pub fn of(path: &str, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self { path: path.to_owned(), line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path, self.line, self.column)
    }
}

/// The tables of one key, with the file they stand in.
#[derive(Debug, Clone)]
pub struct Document {
    key: &'static str,
    path: Arc<str>,
    text: Arc<str>,
    content: toml::Value,
}

/// Equal when the tables say the same, wherever they stand.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

/// One table, read, with its place.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The name in `[key.NAME]`; empty for `[[key]]`.
    pub name: String,
    /// Where the table begins, in bytes.
    pub offset: usize,
    /// What it says.
    pub value: T,
}

impl Document {
    pub(super) fn new(key: &'static str, path: &str, text: &str, content: toml::Value) -> Self {
        Self { key, path: path.into(), text: text.into(), content }
    }

    /// Where a byte of the file stands.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        Place::of(&self.path, &self.text, offset)
    }

    /// A fault at a byte of the file.
    #[must_use]
    pub fn fault(&self, offset: usize, problem: impl Into<String>) -> Fault {
        Fault::new(self.place(offset).to_string(), self.key, problem)
    }

    /// Every table that can be read; of each other one its first fault is added to `faults`.
    pub fn read<T: DeserializeOwned>(&self, faults: &mut Vec<Fault>) -> Vec<Placed<T>> {
        let Ok(document) = DeTable::parse(&self.text) else { return Vec::new() };
        let tables = document.get_ref().get(self.key).map(named_tables).unwrap_or_default();
        let mut read = Vec::with_capacity(tables.len());
        for Placed { name, offset, value } in tables {
            match T::deserialize(ValueDeserializer::from(value)) {
                Ok(value) => read.push(Placed { name, offset, value }),
                Err(error) => {
                    let offset = error.span().map_or(offset, |span| span.start);
                    faults.push(self.fault(offset, with_hint(error.message())));
                }
            }
        }
        read
    }
}

/// The tables of a key, unread.
fn named_tables<'t>(value: &Spanned<DeValue<'t>>) -> Vec<Placed<Spanned<DeValue<'t>>>> {
    let placed = |name: &str, span: Range<usize>, table: &Spanned<DeValue<'t>>| Placed {
        name: name.to_owned(),
        offset: span.start,
        value: table.clone(),
    };
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(|item| placed("", item.span(), item)).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, item)| placed(key.get_ref(), key.span(), item)).collect()
        }
        _ => Vec::new(),
    }
}

/// Adds the word that was probably meant to a complaint of the form
/// "unknown field `lien`, expected one of `line`, `link`".
fn with_hint(message: &str) -> String {
    let mut words = message.split('`').skip(1).step_by(2);
    let word = words.next().unwrap_or_default();
    match nearest(word, words).filter(|_| message.starts_with("unknown ")) {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => message.replace('\n', ", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        prefix: Spanned<String>,
    }

    fn document(key: &'static str, text: &str) -> Document {
        Document::new(key, "relay.toml", text, toml::Value::Boolean(true))
    }

    #[test]
    fn tables_are_read_with_their_places_and_faults_with_theirs() {
        let text = "[[rule]]\nprefix = 'a'\n[[rule]]\n  prefx = 'b'\n[[rule]]\nprefix = 'öö'\n";
        let document = document("rule", text);
        let mut faults = Vec::new();
        let rules: Vec<Placed<Rule>> = document.read(&mut faults);
        assert_eq!(rules.len(), 2);
        assert_eq!(
            document.place(rules[1].value.prefix.span().start).to_string(),
            "relay.toml:6:10"
        );
        assert_eq!(document.place(rules[1].offset).line, 5);
        assert_eq!(
            faults[0].to_string(),
            "relay.toml:4:3: `rule`: unknown field `prefx`, expected `prefix`; did you mean `prefix`?"
        );
        assert_eq!(faults.len(), 1);
    }

    #[test]
    fn named_tables_carry_their_names() {
        let document = document("clusters", "[clusters.store]\nprefix = 'a'\n");
        let tables: Vec<Placed<Rule>> = document.read(&mut Vec::new());
        assert_eq!(tables[0].name, "store");
        assert_eq!(document.place(tables[0].offset).to_string(), "relay.toml:1:11");
    }
}
