//! The ini dialect of Python's ConfigParser, as far as carbon's files use it.
//!
//! Sections keep their order, keys are lower-cased, `=` and `:` both part key from value, `#` and `;`
//! begin comments that take whole lines, a deeper indented line continues the value before it, a
//! section or key given twice is an error, and `[DEFAULT]` lends its values to every section.
//! Beyond ConfigParser: quotes around a value fall away (go-carbon's files have them), and `%` is an
//! ordinary character (`%%` is one, `%(` is refused, since no interpolation takes place).

use std::collections::HashSet;

use crate::fault::{Reporter, SchemaFault};
use crate::file::FILE_BYTES_MAX;

/// Most sections of one file; each costs a compiled pattern.
pub const SECTIONS_MAX: usize = 10_000;

const DEFAULTS: &str = "DEFAULT";

/// One `[section]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What stands in the brackets.
    pub name: String,
    /// Where it stands.
    pub line: usize,
    /// What stands below.
    pub entries: Vec<Entry>,
}

impl Section {
    /// The value of a key, given in lower case.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// One `key = value`; `line` is where the key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In lower case.
    pub key: String,
    /// Without the quotes around it.
    pub value: String,
    /// Where the key stands.
    pub line: usize,
}

/// The sections of a file called `file` in their order.
///
/// # Errors
/// Every fault in it.
pub fn sections(file: &str, text: &str) -> Result<Vec<Section>, Vec<SchemaFault>> {
    parse(text, Reporter { file })
}

/// The sections of a file in their order, those of `[DEFAULT]` merged into the others.
pub(crate) fn parse(text: &str, report: Reporter<'_>) -> Result<Vec<Section>, Vec<SchemaFault>> {
    if text.len() > FILE_BYTES_MAX {
        let expected = format!("at most {FILE_BYTES_MAX} bytes");
        return Err(vec![report.fault(0, "file", expected, "more")]);
    }
    let mut parser = Parser::new(report);
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        parser.line(index + 1, line);
    }
    parser.finish()
}

struct Parser<'a> {
    report: Reporter<'a>,
    sections: Vec<Section>,
    names: HashSet<String>,
    faults: Vec<SchemaFault>,
    /// Indentation of the latest key; `None` where no line can continue a value.
    indent: Option<usize>,
    /// Blank lines seen since the latest part of a value; they belong to it if it goes on.
    blank_lines: usize,
}

impl<'a> Parser<'a> {
    fn new(report: Reporter<'a>) -> Self {
        Self {
            report,
            sections: Vec::new(),
            names: HashSet::new(),
            faults: Vec::new(),
            indent: None,
            blank_lines: 0,
        }
    }

    fn line(&mut self, number: usize, line: &str) {
        let content = line.trim();
        if content.starts_with(['#', ';']) {
            return;
        }
        if content.is_empty() {
            self.blank_lines += 1;
            return;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        if self.indent.is_some_and(|of_key| indent > of_key) {
            self.continuation(content);
        } else if let Some(name) = header(content) {
            self.section(number, name);
        } else {
            self.entry(number, indent, content);
        }
        self.blank_lines = 0;
    }

    fn continuation(&mut self, content: &str) {
        let section = self.sections.last_mut();
        if let Some(entry) = section.and_then(|section| section.entries.last_mut()) {
            entry.value.push_str(&"\n".repeat(self.blank_lines + 1));
            entry.value.push_str(content);
        }
    }

    fn section(&mut self, line: usize, name: &str) {
        self.indent = None;
        let key = format!("[{name}]");
        if name.is_empty() {
            self.faults.push(self.report.fault(line, key, "a section name", name));
        } else if !self.names.insert(name.to_owned()) {
            self.faults.push(self.report.fault(line, key, "each section once", name));
        }
        if self.sections.len() == SECTIONS_MAX {
            let expected = format!("at most {SECTIONS_MAX} sections");
            self.faults.push(self.report.fault(line, format!("[{name}]"), expected, name));
        }
        self.sections.push(Section { name: name.to_owned(), line, entries: Vec::new() });
    }

    fn entry(&mut self, line: usize, indent: usize, content: &str) {
        self.indent = None;
        let Some((key, value)) = content.split_once(['=', ':']) else {
            let fault = self.report.fault(line, "line", "[section] or key = value", content);
            return self.faults.push(fault);
        };
        let key = key.trim().to_lowercase();
        let Some(section) = self.sections.last_mut() else {
            return self.faults.push(self.report.fault(line, key, "a [section] first", content));
        };
        if key.is_empty() {
            return self.faults.push(self.report.fault(line, "line", "a key before =", content));
        }
        if let Some(first) = section.get(&key) {
            let expected = format!("each key once (first on line {})", first.line);
            return self.faults.push(self.report.fault(line, key, expected, content));
        }
        section.entries.push(Entry { key, value: value.trim().to_owned(), line });
        self.indent = Some(indent);
    }

    fn finish(mut self) -> Result<Vec<Section>, Vec<SchemaFault>> {
        for entry in self.sections.iter_mut().flat_map(|section| &mut section.entries) {
            if entry.value.replace("%%", "").contains("%(") {
                let expected = "no interpolation (write %%( for a plain %()";
                self.faults.push(self.report.fault(
                    entry.line,
                    &*entry.key,
                    expected,
                    &entry.value,
                ));
            }
            entry.value = unquoted(&entry.value).replace("%%", "%");
        }
        if !self.faults.is_empty() {
            self.faults.sort_by_key(|fault| fault.line);
            return Err(self.faults);
        }
        let (defaults, mut sections): (Vec<_>, Vec<_>) =
            self.sections.into_iter().partition(|section| section.name == DEFAULTS);
        for section in &mut sections {
            for default in defaults.iter().flat_map(|defaults| &defaults.entries) {
                if section.get(&default.key).is_none() {
                    section.entries.push(default.clone());
                }
            }
        }
        Ok(sections)
    }
}

fn header(content: &str) -> Option<&str> {
    let inner = content.strip_prefix('[')?;
    inner.rfind(']').map(|end| &inner[..end])
}

/// The value without the pair of quotes around it.
fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests;
