//! The settings file as a daemon reads its own tables from it: each with its place, so that a
//! fault deep in a rule names line and column.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::load::values_in_table;
use super::{Fault, Setting, Source, Values, nearest};

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

    /// Every table, read as settings of their own kind: unknown keys, wrong types and missing keys
    /// become `faults`, and a table with one of them is left out.
    pub fn values(&self, settings: &'static [Setting], faults: &mut Vec<Fault>) -> Vec<Values> {
        let Ok(document) = DeTable::parse(&self.text) else { return Vec::new() };
        let tables = document.get_ref().get(self.key).map(named_tables).unwrap_or_default();
        let mut read = Vec::with_capacity(tables.len());
        for table in &tables {
            match self.table_values(settings, table) {
                Ok(values) => read.push(values),
                Err(found) => faults.extend(found),
            }
        }
        read
    }

    fn table_values(
        &self,
        settings: &'static [Setting],
        table: &Placed<Spanned<DeValue<'_>>>,
    ) -> Result<Values, Vec<Fault>> {
        let mut values = Values::defaults_of(settings.iter());
        let mut faults = Vec::new();
        let DeValue::Table(entries) = table.value.get_ref() else {
            return Err(vec![self.fault(table.offset, "expected a table")]);
        };
        for (key, value) in entries {
            let place = self.place(key.span().start);
            let Some(setting) = settings.iter().find(|setting| setting.key == key.get_ref()) else {
                let known = settings.iter().map(|setting| setting.key);
                faults.push(Fault::unknown(place.to_string(), key.get_ref(), known));
                continue;
            };
            let source = Source::File(place.clone());
            match values_in_table(setting, place, value) {
                Ok(list) => values.set(setting.key, list, source),
                Err(fault) => faults.push(fault),
            }
        }
        for setting in values.missing() {
            let place = self.place(table.offset).to_string();
            faults.push(Fault::new(place, setting.key, "must be set"));
        }
        if faults.is_empty() { Ok(values) } else { Err(faults) }
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
    use super::super::Kind;
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

    const LISTENER: &[Setting] = &[
        Setting::new("address", Kind::Address, "", "Where.").required(),
        Setting::new("idle_timeout", Kind::Duration, "0s", "How long."),
        Setting::new("connections_max", Kind::Count, "7", "How many."),
    ];

    #[test]
    fn tables_of_settings_have_defaults_types_and_places() {
        let text = "[[listener]]\naddress = 'a:1'\nidle_timeout = '10min'\n\
                    [[listener]]\nidle_timout = '1s'\nconnections_max = 'many'\n";
        let mut faults = Vec::new();
        let read = document("listener", text).values(LISTENER, &mut faults);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].address("address"), "a:1");
        assert_eq!(read[0].duration("idle_timeout").as_secs(), 600);
        assert_eq!(read[0].count("connections_max"), 7);
        let fault = read[0].fault("address", "is taken").to_string();
        assert_eq!(fault, "relay.toml:2:1: `address`: is taken");
        let mut text: Vec<String> = faults.iter().map(ToString::to_string).collect();
        text.sort();
        assert!(text[0].contains(":4:") && text[0].ends_with("`address`: must be set"), "{text:?}");
        assert!(
            text[1].starts_with("relay.toml:5:1")
                && text[1].ends_with("did you mean `idle_timeout`?"),
            "{text:?}"
        );
        assert!(
            text[2].starts_with("relay.toml:6:1: `connections_max`: expected a whole number"),
            "{text:?}"
        );
    }
}
