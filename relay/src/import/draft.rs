//! Settings on their way into a file: what was understood, with a comment for all that differs.

use std::fmt::Write;

/// A settings file that is being made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Comments at the top.
    pub(super) notes: Vec<String>,
    pub(super) settings: Table,
    pub(super) listeners: Vec<Table>,
    pub(super) clusters: Vec<(String, Table)>,
    pub(super) rules: Vec<Table>,
    /// Comments at the end, such as rules that cannot be said here.
    pub(super) left_out: Vec<String>,
}

/// Keys with values as TOML has them, and comments above.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) notes: Vec<String>,
    pub(super) pairs: Vec<(&'static str, String)>,
}

impl Table {
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<String>) {
        self.pairs.push((key, value.into()));
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Sets a text or a list of texts.
    pub(super) fn set_texts<S: AsRef<str>>(&mut self, key: &'static str, texts: &[S]) {
        self.set(key, list(texts));
    }

    fn write(&self, out: &mut String) {
        for (key, value) in &self.pairs {
            let _infallible = writeln!(out, "{key} = {value}");
        }
    }
}

impl Draft {
    /// The file.
    pub(super) fn to_toml(&self) -> String {
        let mut out = String::new();
        comments(&self.notes, &mut out);
        comments(&self.settings.notes, &mut out);
        self.settings.write(&mut out);
        tables("listener", &self.listeners, &mut out);
        for (name, table) in &self.clusters {
            out.push('\n');
            comments(&table.notes, &mut out);
            let _infallible = writeln!(out, "[clusters.{}]", key(name));
            table.write(&mut out);
        }
        tables("rule", &self.rules, &mut out);
        if !self.left_out.is_empty() {
            out.push('\n');
            comments(&self.left_out, &mut out);
        }
        out
    }
}

fn tables(kind: &str, tables: &[Table], out: &mut String) {
    for table in tables {
        out.push('\n');
        comments(&table.notes, out);
        let _infallible = writeln!(out, "[[{kind}]]");
        table.write(out);
    }
}

fn comments(notes: &[String], out: &mut String) {
    for line in notes.iter().flat_map(|note| note.lines()) {
        let _infallible = writeln!(out, "# {line}");
    }
}

/// A name as a TOML key: bare where it may be.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A TOML string, in single quotes where that is possible: there backslashes stand for themselves.
pub(super) fn quoted(text: &str) -> String {
    match text.contains(|c: char| c == '\'' || c.is_control()) {
        true => toml::Value::String(text.to_owned()).to_string(),
        false => format!("'{text}'"),
    }
}

/// One text as a string, several as a list.
pub(super) fn list<S: AsRef<str>>(texts: &[S]) -> String {
    match texts {
        [one] => quoted(one.as_ref()),
        many => array(many),
    }
}

/// A list of strings.
pub(super) fn array<S: AsRef<str>>(texts: &[S]) -> String {
    let items: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
    let line = format!("[{}]", items.join(", "));
    match line.len() <= 100 {
        true => line,
        false => format!("[\n  {},\n]", items.join(",\n  ")),
    }
}

/// An inline table.
pub(super) fn inline(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}
