//! House rules that neither rustfmt nor clippy checks.

mod changelog;
mod dashboards;
mod floors;
mod links;
mod source;

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::fault::Fault;

/// What is not ours to check: build output, history (a file in a second work tree), local and recorded data.
const SKIPPED: &[&str] =
    &["target", ".git", "plumbago-data", "__pycache__", "testdata", "node_modules"];
/// Beyond this a file is data.
const FILE_BYTES_MAX: u64 = 2_000_000;

/// A text file of the workspace.
#[derive(Debug)]
pub(crate) struct File {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn has_extension(&self, extension: &str) -> bool {
        self.path.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'))
    }

    /// Line numbers and lines.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Every broken rule in the workspace at `root`.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<Fault>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut faults = Vec::new();
    for file in &files {
        source::check(file, &mut faults);
        changelog::check(file, &mut faults);
        dashboards::check(file, &mut faults);
        links::check(file, root, &mut faults);
    }
    floors::check(&files, &mut faults)?;
    Ok(faults)
}

fn collect(root: &Path, folder: &str, files: &mut Vec<File>) -> anyhow::Result<()> {
    let here = root.join(folder);
    let entries = fs::read_dir(&here).with_context(|| format!("reading {}", here.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type()?;
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        }
        if !kind.is_file() || entry.metadata()?.len() > FILE_BYTES_MAX {
            continue;
        }
        let bytes = fs::read(entry.path()).with_context(|| format!("reading {path}"))?;
        // What is no UTF-8 is a picture or an archive.
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault;

    #[test]
    fn the_workspace_is_tidy() {
        let faults = check(&crate::root()).unwrap();
        assert!(faults.is_empty(), "\n{}", fault::text(&faults));
    }
}
