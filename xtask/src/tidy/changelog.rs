//! CHANGELOG.md speaks to users: a version, then what was added, changed, fixed or made faster.

use super::File;
use crate::fault::Fault;

const KINDS: &[&str] = &["Added", "Changed", "Fixed", "Faster"];

pub(super) fn check(file: &File, faults: &mut Vec<Fault>) {
    if file.path != "CHANGELOG.md" {
        return;
    }
    let first_version = file.lines().find(|(_, line)| line.starts_with("## "));
    let (number, line) = first_version.unwrap_or((1, ""));
    if line != "## Unreleased" {
        let problem = "the first version must be `## Unreleased`; add the heading";
        faults.push(Fault::new(&file.path, number, problem));
    }
    for (number, line) in file.lines() {
        let Some(kind) = line.strip_prefix("### ") else { continue };
        if !KINDS.contains(&kind) {
            let problem = format!("`{kind}` is none of {}; choose one", KINDS.join(", "));
            faults.push(Fault::new(&file.path, number, problem));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let mut faults = Vec::new();
        check(&File { path: "CHANGELOG.md".into(), text: text.into() }, &mut faults);
        faults.into_iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn only_the_four_headings_below_unreleased() {
        assert_eq!(lines("# Changelog\n\n## Unreleased\n\n### Added\n\n### Faster\n"), [0; 0]);
        assert_eq!(lines("# Changelog\n\n## 1.0.0\n\n### Security\n"), [3, 5]);
        assert_eq!(lines("# Changelog\n"), [1]);
    }
}
