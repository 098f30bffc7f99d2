//! quotas.conf: how much the series below a prefix may take on a storage node.

use std::path::Path;

use crate::fault::{LoadError, Reporter, SchemaFault};
use crate::file;
use crate::ini::{self, Entry, Section};
use crate::keys;

const KEYS: [&str; 4] = ["prefix", "series", "points_per_minute", "bytes"];

/// Units of bytes, largest first so that the longest ending is tried first.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];

/// One section. What is not given has no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The section's name.
    pub name: String,
    /// What the canonical names of its series begin with; empty for all series.
    pub prefix: String,
    /// Most series.
    pub series: Option<u64>,
    /// Most points in a minute.
    pub points_per_minute: Option<u64>,
    /// Most bytes of files.
    pub bytes: Option<u64>,
}

/// A whole quotas.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas(Vec<Quota>);

impl Quotas {
    /// Reads the text of a file; `file_name` is for the messages.
    ///
    /// # Errors
    /// All faults: broken lines and numbers, unknown keys, a missing prefix.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Vec<SchemaFault>> {
        let report = Reporter { file: file_name };
        let (mut quotas, mut faults) = (Vec::new(), Vec::new());
        for section in &ini::parse(text, report)? {
            match quota(section, report) {
                Ok(quota) => quotas.push(quota),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(Self(quotas)) } else { Err(faults) }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, and all faults of [`Quotas::parse`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::parse(&file::read(path)?, &path.display().to_string())
            .map_err(|faults| LoadError::Faults { faults })
    }

    /// All of them in the order of the file. A series counts for each whose prefix it has.
    #[must_use]
    pub fn all(&self) -> &[Quota] {
        &self.0
    }
}

fn quota(section: &Section, report: Reporter<'_>) -> Result<Quota, Vec<SchemaFault>> {
    let mut faults = keys::check(section, &KEYS, &[], report);
    let Some(prefix) = section.get(KEYS[0]) else {
        let expected = format!("what names begin with in [{}]", section.name);
        faults.push(report.fault(section.line, KEYS[0], expected, ""));
        return Err(faults);
    };
    let mut limit = |key: &str, units: &[(&str, u64)]| {
        let entry = section.get(key)?;
        let number = number(entry, units);
        if number.is_none() {
            let expected =
                if units.len() > 1 { "a number, such as 10GiB" } else { "a whole number" };
            faults.push(report.fault(entry.line, key, expected, &entry.value));
        }
        number
    };
    let plain = &UNITS[UNITS.len() - 1..];
    let (series, points_per_minute) = (limit(KEYS[1], plain), limit(KEYS[2], plain));
    let bytes = limit(KEYS[3], &UNITS);
    let (name, prefix) = (section.name.clone(), prefix.value.clone());
    let quota = Quota { name, prefix, series, points_per_minute, bytes };
    if faults.is_empty() { Ok(quota) } else { Err(faults) }
}

fn number(entry: &Entry, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) =
        units.iter().find_map(|(end, unit)| Some((entry.value.strip_suffix(end)?, *unit)))?;
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_optional_and_bytes_have_units() {
        let text = "[a]\nprefix = team-a.\nseries = 10\n[b]\nprefix=\nbytes = 2 GiB\npoints_per_minute: 60\n";
        let quotas = Quotas::parse(text, "quotas.conf").unwrap();
        let [a, b] = quotas.all() else { panic!("two") };
        assert_eq!((a.prefix.as_str(), a.series, a.bytes), ("team-a.", Some(10), None));
        assert_eq!((b.prefix.as_str(), b.points_per_minute), ("", Some(60)));
        assert_eq!(b.bytes, Some(2 << 30));
    }

    #[test]
    fn faults_come_together_with_their_lines() {
        let text = "[a]\nseries = 1\n[b]\nprefix = x.\nseries = 1KiB\nbytes = many\nsize = 3\n";
        let faults = Quotas::parse(text, "q").unwrap_err();
        let text: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 4, "{text:?}");
        assert!(text[0].starts_with("q:1: prefix"), "{text:?}");
        assert!(text.iter().any(|fault| fault.starts_with("q:5: series")), "{text:?}");
        assert!(text.iter().any(|fault| fault.starts_with("q:6: bytes")), "{text:?}");
    }
}
