//! Which series a command works on.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use metric::Glob;

use crate::invocation::Failure;

/// Series by name or pattern.
#[derive(clap::Args)]
pub(super) struct Selection {
    /// File with names of series, one a line.
    #[arg(short = 'f', long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Patterns as /metrics/find takes them, or names; tagged series by their whole names only. Without any pattern or
    /// file: all series.
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
}

/// A selection that has been read.
pub(super) struct Wanted {
    names: Option<HashSet<String>>,
    globs: Vec<Glob>,
}

impl Selection {
    pub(super) fn load(&self) -> Result<Wanted, Failure> {
        let names = self.metrics_file.as_deref().map(names_of).transpose()?;
        let glob = |pattern: &String| {
            let fault = |error| Failure::new(format!("pattern `{pattern}`: {error}"));
            Glob::compile(pattern).map_err(fault)
        };
        Ok(Wanted { names, globs: self.patterns.iter().map(glob).collect::<Result<_, _>>()? })
    }
}

impl Wanted {
    /// Just these.
    pub(super) fn only(names: HashSet<String>) -> Self {
        Self { names: Some(names), globs: Vec::new() }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let listed = self.names.as_ref().map(|names| names.contains(name));
        match (listed, self.globs.as_slice()) {
            (None, []) => true,
            (listed, globs) => listed == Some(true) || globs.iter().any(|glob| glob.matches(name)),
        }
    }
}

/// The names in a file, one a line.
pub(in crate::commands) fn names_of(path: &Path) -> Result<HashSet<String>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::of(path, &error))?;
    Ok(text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_names_add_up_and_neither_means_all() {
        let select = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            Selection { metrics_file: None, patterns }.load().unwrap()
        };
        assert!(select(&[]).has("a.b"));
        let some = select(&["a.*", "x;t=1"]);
        assert!(some.has("a.b") && some.has("x;t=1"));
        assert!(!some.has("a.b.c") && !some.has("x;t=2") && !some.has("x"));
        let only = Wanted::only(HashSet::from(["a".to_owned()]));
        assert!(only.has("a") && !only.has("b"));
    }
}
