//! storage-aggregation.conf: how coarser points of a new file are made.

use std::io::ErrorKind;
use std::path::Path;

use whisper::Method;

use crate::fault::{LoadError, Reporter, SchemaFault};
use crate::file;
use crate::ini::{self, Entry, Section};
use crate::keys;
use crate::rules::{self, Rules};

const KEYS: [&str; 3] = ["pattern", "xFilesFactor", "aggregationMethod"];

/// go-carbon's keys, accepted without effect: existing files are changed by the tools only.
const IGNORED: [&str; 2] = ["xffMigration", "aggregationMigration"];

/// Whisper's own default.
const DEFAULT_X_FILES_FACTOR: f64 = 0.5;

/// One section: how the series that its pattern finds are aggregated.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    /// The section's name; `default` where no section matches.
    pub name: String,
    /// The share of finer slots that must be known for a coarser point; 0 to 1.
    pub x_files_factor: f64,
    /// How a coarser point is made.
    pub method: Method,
}

/// A whole storage-aggregation.conf.
#[derive(Debug, Clone)]
pub struct Aggregations(Rules<Aggregation>);

impl Default for Aggregations {
    /// Whisper's defaults alone: the average, if half of the points are known.
    fn default() -> Self {
        Self(Rules::new(Aggregation {
            name: "default".to_owned(),
            x_files_factor: DEFAULT_X_FILES_FACTOR,
            method: Method::default(),
        }))
    }
}

impl Aggregations {
    /// Reads the text of a file; `file_name` is for the messages.
    ///
    /// # Errors
    /// All faults: broken lines, patterns and values, unknown keys and methods, a missing pattern.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Vec<SchemaFault>> {
        let report = Reporter { file: file_name };
        let mut aggregations = Self::default();
        let mut faults = Vec::new();
        for section in &ini::parse(text, report)? {
            if let Err(found) = aggregations.add(section, report) {
                faults.extend(found);
            }
        }
        if faults.is_empty() { Ok(aggregations) } else { Err(faults) }
    }

    /// Reads a file. A missing one is no error, as in carbon: the defaults hold.
    ///
    /// # Errors
    /// A file that is there and cannot be read, and all faults of [`Aggregations::parse`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        match file::read(path) {
            Ok(text) => Self::parse(&text, &path.display().to_string())
                .map_err(|faults| LoadError::Faults { faults }),
            Err(LoadError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(error),
        }
    }

    /// The aggregation for a canonical name.
    #[must_use]
    pub fn for_name(&self, name: &str) -> &Aggregation {
        self.0.for_name(name)
    }

    /// All aggregations in the order in which they are tried, the default last.
    pub fn all(&self) -> impl Iterator<Item = &Aggregation> {
        self.0.all()
    }

    /// What another program that shares the files does not understand.
    #[must_use]
    pub fn warnings(&self) -> &[SchemaFault] {
        &self.0.warnings
    }

    fn add(&mut self, section: &Section, report: Reporter<'_>) -> Result<(), Vec<SchemaFault>> {
        let mut faults = keys::check(section, &KEYS, &IGNORED, report);
        let mut keep = |fault| faults.push(fault);
        let given = |key: &str| section.get(&key.to_lowercase());
        let regex = match given(KEYS[0]) {
            Some(entry) => rules::pattern(entry, report).map_err(&mut keep).ok(),
            None => {
                let expected = format!("a regular expression in [{}]", section.name);
                keep(report.fault(section.line, KEYS[0], expected, ""));
                None
            }
        };
        let factor = given(KEYS[1]).map(|entry| x_files_factor(entry, report)).transpose();
        let factor = factor.map_err(&mut keep).ok().flatten();
        let method = given(KEYS[2]).map(|entry| method(entry, report)).transpose();
        let method = method.map_err(&mut keep).ok().flatten();
        let (Some(regex), true) = (regex, faults.is_empty()) else {
            return Err(faults);
        };
        let entry = given(KEYS[2]);
        self.0.warnings.extend(method.zip(entry).and_then(|pair| warn_of_method(pair, report)));
        let aggregation = Aggregation {
            name: section.name.clone(),
            x_files_factor: factor.unwrap_or(DEFAULT_X_FILES_FACTOR),
            method: method.unwrap_or_default(),
        };
        self.0.rules.push((regex, aggregation));
        Ok(())
    }
}

fn x_files_factor(entry: &Entry, report: Reporter<'_>) -> Result<f64, SchemaFault> {
    let factor = entry.value.parse().ok().filter(|factor| (0.0..=1.0).contains(factor));
    factor.ok_or_else(|| report.fault(entry.line, KEYS[1], "a number from 0 to 1", &entry.value))
}

/// Python whisper's names, and go-carbon's `avg`.
fn method(entry: &Entry, report: Reporter<'_>) -> Result<Method, SchemaFault> {
    if entry.value == "avg" {
        return Ok(Method::Average);
    }
    Method::from_name(&entry.value).ok_or_else(|| {
        let names = Method::all().map(Method::name).collect::<Vec<_>>().join(", ");
        report.fault(entry.line, KEYS[2], format!("one of {names}"), &entry.value)
    })
}

/// go-carbon gives the ids of these methods other meanings, and refuses their names.
fn warn_of_method((method, entry): (Method, &Entry), report: Reporter<'_>) -> Option<SchemaFault> {
    let python_only = matches!(method, Method::AvgZero | Method::AbsMax | Method::AbsMin);
    let expected = "a method that go-carbon knows too (it misreads files with this one)";
    python_only.then(|| report.fault(entry.line, KEYS[2], expected, &entry.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Aggregations {
        Aggregations::parse(text, "storage-aggregation.conf").unwrap()
    }

    fn faults(text: &str) -> Vec<(usize, String)> {
        let faults = Aggregations::parse(text, "storage-aggregation.conf").unwrap_err();
        faults.into_iter().map(|fault| (fault.line, fault.key)).collect()
    }

    #[test]
    fn the_first_match_wins_anywhere_in_the_name() {
        let aggregations = parse(
            "[min]\npattern = \\.min$\nxFilesFactor = 0.1\naggregationMethod = min\n\
             [count]\npattern = \\.m\nxFilesFactor = 0\naggregationMethod = sum\n",
        );
        let min = aggregations.for_name("a.min");
        assert_eq!((min.name.as_str(), min.x_files_factor, min.method), ("min", 0.1, Method::Min));
        assert_eq!(aggregations.for_name("a.max").method, Method::Sum);
        assert_eq!(aggregations.all().count(), 3);
    }

    #[test]
    fn either_value_may_be_left_out() {
        let aggregations =
            parse("[a]\npattern = a\naggregationMethod = last\n[b]\npattern = b\nXFILESFACTOR = 1");
        let a = aggregations.for_name("a");
        assert_eq!((a.x_files_factor, a.method), (0.5, Method::Last));
        let b = aggregations.for_name("b");
        assert_eq!((b.x_files_factor, b.method), (1.0, Method::Average));
        let default = aggregations.for_name("c");
        assert_eq!((default.name.as_str(), default.x_files_factor), ("default", 0.5));
    }

    #[test]
    fn every_method_of_python_whisper_is_accepted_and_go_carbons_avg() {
        for method in Method::all() {
            let name = method.name();
            let aggregations = parse(&format!("[a]\npattern = .\naggregationMethod = {name}"));
            assert_eq!(aggregations.for_name("x").method, method);
            let python_only = ["avg_zero", "absmax", "absmin"].contains(&name);
            assert_eq!(aggregations.warnings().len(), usize::from(python_only), "{name}");
        }
        let aggregations = parse("[a]\npattern = .\naggregationMethod = \"avg\"");
        assert_eq!(aggregations.for_name("x").method, Method::Average);
    }

    #[test]
    fn wrong_values_are_faults_with_their_lines() {
        for value in ["1.1", "-0.1", "nan", "half", ""] {
            let text = format!("[a]\npattern = .\nxFilesFactor = {value}");
            assert_eq!(faults(&text), [(3, "xFilesFactor".to_owned())], "{value}");
        }
        for value in ["median", "Average", "p50", ""] {
            let text = format!("[a]\npattern = .\naggregationMethod = {value}");
            assert_eq!(faults(&text), [(3, "aggregationMethod".to_owned())], "{value}");
        }
        assert_eq!(faults("[a]\nxFilesFactor = 0"), [(1, "pattern".to_owned())]);
        assert_eq!(faults("[a]\npattern = (?=x)"), [(2, "pattern".to_owned())]);
    }

    #[test]
    fn all_faults_of_a_section_are_reported() {
        let text = "[a]\npattern = (\nxFilesFactor = 2\naggregationMethod = x\nxFilesFacto = 1";
        assert_eq!(faults(text).len(), 4);
    }

    #[test]
    fn go_carbons_keys_are_accepted() {
        parse("[a]\npattern = .\nxffMigration = true\naggregationMigration = false");
    }

    #[test]
    fn a_missing_file_means_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("storage-aggregation.conf");
        assert_eq!(Aggregations::load(&path).unwrap().all().count(), 1);
        std::fs::write(&path, "[a]\npattern = .\naggregationMethod = max").unwrap();
        assert_eq!(Aggregations::load(&path).unwrap().for_name("x").method, Method::Max);
        assert!(matches!(Aggregations::load(folder.path()), Err(LoadError::Read { .. })));
    }
}
