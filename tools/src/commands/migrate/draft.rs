//! Settings of ours on their way into files, and what has become of each key of theirs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use yaml_rust2::Yaml;

/// What becomes of a key of theirs.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// It is this setting of ours, with a value of the same kind.
    Becomes(&'static str),
    /// It is worked on by itself, together with others.
    Taken,
    /// Nothing needs to be set here, for this reason.
    Needless(&'static str),
    /// There is nothing like it here; this is what to know if it was in use.
    Missing(&'static str),
}

/// A key of theirs, or the beginning of many that ends in a dot.
pub(super) type Rule = (&'static str, Fate);

/// One settings file of ours.
pub(super) struct File {
    pub(super) program: &'static str,
    notes: Vec<String>,
    settings: toml::Table,
    /// The whole text, where somebody else has written it.
    whole: Option<String>,
}

impl File {
    pub(super) fn new(program: &'static str) -> Self {
        Self { program, notes: Vec::new(), settings: toml::Table::new(), whole: None }
    }

    /// A file that has been written already.
    pub(super) fn whole(program: &'static str, text: String) -> Self {
        Self { whole: Some(text), ..Self::new(program) }
    }

    /// What the file is called.
    pub(super) fn name(&self) -> String {
        format!("{}.toml", self.program.trim_start_matches("plumbago-"))
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        self.settings.insert(key.to_owned(), value.into());
    }

    /// Says something at the head of the file.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let mut text = String::new();
        for line in self.notes.iter().flat_map(|note| note.lines()) {
            let _infallible = writeln!(text, "# {line}");
        }
        text + &self.settings.to_string()
    }
}

/// One line of the report.
struct Finding {
    key: String,
    value: Value,
    fate: &'static str,
    note: String,
}

/// All files and the report.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) files: Vec<File>,
    findings: Vec<Finding>,
}

impl Draft {
    /// Sets in `file` whatever the rules say of the keys of `theirs`, and notes the rest there.
    pub(super) fn apply(&mut self, rules: &[Rule], theirs: &Value, file: &mut File) {
        for (key, value) in flattened(theirs) {
            let fits = |rule: &&Rule| match rule.0.strip_suffix('.') {
                Some(_) => key.starts_with(rule.0),
                None => key == rule.0,
            };
            let (fate, note) = match rules.iter().find(fits).map(|rule| rule.1) {
                Some(Fate::Becomes(setting)) => {
                    if let Some(value) = of_json(&value).filter(|_| !is_default(&value)) {
                        file.set(setting, value);
                    }
                    ("taken", setting.to_owned())
                }
                Some(Fate::Taken) => ("taken", String::new()),
                Some(Fate::Needless(why)) => ("needless", why.to_owned()),
                // What was off is missed by nobody.
                Some(Fate::Missing(_)) if is_off(&value) => ("needless", "it was off".to_owned()),
                Some(Fate::Missing(what)) => ("left out", what.to_owned()),
                None => ("left out", "no such key is known".to_owned()),
            };
            if fate == "left out" {
                file.note(format!("{key} = {value}: {note}"));
            }
            self.findings.push(Finding { key, value, fate, note });
        }
    }

    /// The report, by key.
    pub(super) fn report(&self) -> Vec<Value> {
        let finding = |one: &Finding| json!({"key": one.key, "value": one.value, "fate": one.fate, "note": one.note});
        self.findings.iter().map(finding).collect()
    }

    /// The report in few lines: counts, and every key that is left out.
    pub(super) fn summary(&self) -> String {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.fate).or_insert(0) += 1;
        }
        let of = |fate| counts.get(fate).copied().unwrap_or(0);
        if self.findings.is_empty() {
            return "what differs stands as comments in the file".to_owned();
        }
        let mut text = format!(
            "{} keys taken over, {} needless here, {} left out",
            of("taken"),
            of("needless"),
            of("left out")
        );
        for finding in self.findings.iter().filter(|finding| finding.fate == "left out") {
            let Finding { key, value, note, .. } = finding;
            let _infallible = write!(text, "\nleft out: {key} = {value}: {note}");
        }
        text
    }
}

/// Every value with its path, sections joined by dots; the tables of a list are told apart by
/// nothing.
fn flattened(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    flatten("", value, &mut found);
    found
}

fn flatten(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&below, value, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| flatten(path, item, found));
        }
        other => found.push((path.to_owned(), other.clone())),
    }
}

/// An empty text or a zero leaves the choice to the program, theirs as ours; a duration does not.
fn is_default(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty) || value.as_f64() == Some(0.0)
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(_) => is_default(value),
        Value::String(text) => is_default(value) || text == "0s",
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
    }
}

fn of_json(value: &Value) -> Option<toml::Value> {
    toml::Value::try_from(value).ok()
}

/// A YAML document as JSON; keys that are no text are written as text.
pub(super) fn of_yaml(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Boolean(on) => json!(on),
        Yaml::Integer(number) => json!(number),
        Yaml::Real(text) => text.parse::<f64>().map_or_else(|_not| json!(text), |real| json!(real)),
        Yaml::String(text) => json!(text),
        Yaml::Array(items) => items.iter().map(of_yaml).collect(),
        Yaml::Hash(map) => {
            let key = |key: &Yaml| match of_yaml(key) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Value::Object(map.iter().map(|(k, value)| (key(k), of_yaml(value))).collect())
        }
        Yaml::Alias(_) | Yaml::Null | Yaml::BadValue => Value::Null,
    }
}
