//! The keys that a section may hold.

use crate::fault::{Reporter, SchemaFault};
use crate::ini::Section;

/// A fault for every key that is neither known nor ignored, naming the nearest one.
pub(crate) fn check(
    section: &Section,
    known: &[&str],
    ignored: &[&str],
    report: Reporter<'_>,
) -> Vec<SchemaFault> {
    let names: Vec<&str> = known.iter().chain(ignored).copied().collect();
    let unknown = |key: &str| !names.iter().any(|name| name.eq_ignore_ascii_case(key));
    section
        .entries
        .iter()
        .filter(|entry| unknown(&entry.key))
        .map(|entry| {
            let expected = match nearest(&entry.key, &names) {
                Some(name) => format!("a known key (did you mean {name}?)"),
                None => format!("a known key ({})", known.join(", ")),
            };
            report.fault(entry.line, &*entry.key, expected, &entry.key)
        })
        .collect()
}

/// The name that is at most two edits away from the key, and nearest.
fn nearest<'a>(key: &str, names: &[&'a str]) -> Option<&'a str> {
    let distances = names.iter().map(|name| (distance(key, &name.to_lowercase()), *name));
    distances.filter(|found| found.0 <= 2).min_by_key(|found| found.0).map(|found| found.1)
}

/// Letters to insert, delete or replace to make one text of the other.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, a) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, b) in right.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("retention", "retentions"), 1);
        assert_eq!(distance("patern", "pattern"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_a_near_name_is_proposed() {
        assert_eq!(nearest("retention", &["pattern", "retentions"]), Some("retentions"));
        assert_eq!(nearest("colour", &["pattern", "retentions"]), None);
    }
}
