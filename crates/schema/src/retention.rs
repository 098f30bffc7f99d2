//! storage-schemas.conf: which archives a new file gets.

use std::path::Path;

use whisper::{Header, Method, Retention, parse_retentions};

use crate::fault::{LoadError, Reporter, SchemaFault};
use crate::file;
use crate::ini::{self, Entry, Section};
use crate::keys;
use crate::rules::{self, Rules};

const KEYS: [&str; 2] = ["pattern", "retentions"];

/// go-carbon's keys, accepted without effect, each for its reason.
const IGNORED: [&str; 3] = [
    "priority",   // the order of the file decides, as in carbon
    "compressed", // files are written in the classic format only
    "migration",  // existing files are changed by the tools only
];

/// What carbon appends to every file: a minute for a week.
const DEFAULT_RETENTION: Retention = Retention { seconds_per_point: 60, points: 10_080 };

/// One section: the archives of the series that its pattern finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The section's name; `default` where no section matches.
    pub name: String,
    /// Finest first; valid as a Whisper file's archives.
    pub archives: Vec<Retention>,
}

/// A whole storage-schemas.conf.
#[derive(Debug, Clone)]
pub struct Schemas(Rules<Schema>);

impl Default for Schemas {
    /// Carbon's default alone.
    fn default() -> Self {
        let archives = vec![DEFAULT_RETENTION];
        Self(Rules::new(Schema { name: "default".to_owned(), archives }))
    }
}

impl Schemas {
    /// Reads the text of a file; `file_name` is for the messages.
    ///
    /// # Errors
    /// All faults: broken lines, patterns, retention definitions, unknown keys.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Vec<SchemaFault>> {
        let report = Reporter { file: file_name };
        let sections = ini::parse(text, report)?;
        let mut schemas = Self::default();
        let mut faults = Vec::new();
        schemas.0.warnings.extend(warn_of_priorities(&sections, report));
        for section in &sections {
            if let Err(found) = schemas.add(section, report) {
                faults.extend(found);
            }
        }
        schemas.0.warnings.sort_by_key(|warning| warning.line);
        if faults.is_empty() { Ok(schemas) } else { Err(faults) }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, a missing one included, and all faults of [`Schemas::parse`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::parse(&file::read(path)?, &path.display().to_string())
            .map_err(|faults| LoadError::Faults { faults })
    }

    /// The archives for a canonical name.
    #[must_use]
    pub fn for_name(&self, name: &str) -> &Schema {
        self.0.for_name(name)
    }

    /// All schemas in the order in which they are tried, the default last.
    pub fn all(&self) -> impl Iterator<Item = &Schema> {
        self.0.all()
    }

    /// What was skipped, as carbon skips it, or is read differently by another program.
    #[must_use]
    pub fn warnings(&self) -> &[SchemaFault] {
        &self.0.warnings
    }

    fn add(&mut self, section: &Section, report: Reporter<'_>) -> Result<(), Vec<SchemaFault>> {
        let faults = keys::check(section, &KEYS, &IGNORED, report);
        if !faults.is_empty() {
            return Err(faults);
        }
        let given = |key| section.get(key).filter(|entry| !entry.value.is_empty());
        let (Some(pattern), Some(retentions)) = (given(KEYS[0]), given(KEYS[1])) else {
            let key = if given(KEYS[0]).is_none() { KEYS[0] } else { KEYS[1] };
            let expected = format!("a value in [{}] (the section is skipped)", section.name);
            self.0.warnings.push(report.fault(section.line, key, expected, ""));
            return Ok(());
        };
        let regex = rules::pattern(pattern, report).map_err(|fault| vec![fault])?;
        let archives = parse_retentions(&retentions.value).map_err(|error| {
            let expected = format!("precision:points, such as 60s:1d ({error})");
            vec![report.fault(retentions.line, KEYS[1], expected, &retentions.value)]
        })?;
        self.0.warnings.extend(warn_of_units(retentions, report));
        self.0.warnings.extend(warn_of_compression(section, report));
        match Header::new(&archives, 0.0, Method::Average) {
            Ok(header) => {
                let archives = header.archives.iter().map(|archive| Retention {
                    seconds_per_point: archive.seconds_per_point,
                    points: archive.points,
                });
                let schema = Schema { name: section.name.clone(), archives: archives.collect() };
                self.0.rules.push((regex, schema));
            }
            Err(error) => {
                let expected =
                    format!("archives that fit together (the section is skipped: {error})");
                let warning = report.fault(retentions.line, KEYS[1], expected, &retentions.value);
                self.0.warnings.push(warning);
            }
        }
        Ok(())
    }
}

/// `1m:1440` is 1,440 points for carbon and for us, and 1,440 seconds for go-carbon.
fn warn_of_units(retentions: &Entry, report: Reporter<'_>) -> Option<SchemaFault> {
    let has_unit = |text: &str| text.trim().ends_with(|c: char| c.is_ascii_lowercase());
    let definition = retentions.value.split(',').find(|definition| {
        definition.split_once(':').is_some_and(|(step, points)| has_unit(step) && !has_unit(points))
    })?;
    let expected = "a unit on both sides (read as a number of points; go-carbon reads seconds)";
    Some(report.fault(retentions.line, KEYS[1], expected, definition.trim()))
}

fn warn_of_compression(section: &Section, report: Reporter<'_>) -> Option<SchemaFault> {
    let entry =
        section.get("compressed").filter(|entry| entry.value.eq_ignore_ascii_case("true"))?;
    let expected = "false (files are written in the classic format)";
    Some(report.fault(entry.line, &*entry.key, expected, &entry.value))
}

/// go-carbon tries sections by priority, highest first; we go by the order of the file.
fn warn_of_priorities(sections: &[Section], report: Reporter<'_>) -> Option<SchemaFault> {
    let priority = |section: &Section| -> i64 {
        section.get("priority").and_then(|entry| entry.value.parse().ok()).unwrap_or(0)
    };
    let pair = sections.windows(2).find(|pair| priority(&pair[1]) > priority(&pair[0]))?;
    let entry = pair[1].get("priority").or(pair[0].get("priority"))?;
    let expected = "priorities that fall (the order of the file decides, not the priority)";
    Some(report.fault(entry.line, &*entry.key, expected, &entry.value))
}

#[cfg(test)]
mod tests;
