//! What is wrong with a configuration file, and where.

use std::path::PathBuf;

/// Longest part of the file that a fault repeats, in characters.
const FOUND_CHARS_MAX: usize = 120;

/// One thing wrong in a file: what should have stood there, and what did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {key}: expected {expected}, found {found}")]
pub struct SchemaFault {
    /// The file's name as given.
    pub file: String,
    /// Line in the file, from 1; 0 means the file as a whole.
    pub line: usize,
    /// The key, or the section in brackets.
    pub key: String,
    /// What should have stood there.
    pub expected: String,
    /// What stood there.
    pub found: String,
}

/// A file that could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file was read and has faults; the message lists them all, one a line.
    #[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults {
        /// The faults in the order of the file.
        faults: Vec<SchemaFault>,
    },
}

/// Makes faults of one file.
#[derive(Clone, Copy)]
pub(crate) struct Reporter<'a> {
    pub(crate) file: &'a str,
}

impl Reporter<'_> {
    pub(crate) fn fault(
        self,
        line: usize,
        key: impl Into<String>,
        expected: impl Into<String>,
        found: &str,
    ) -> SchemaFault {
        SchemaFault {
            file: self.file.to_owned(),
            line,
            key: key.into(),
            expected: expected.into(),
            found: shortened(found),
        }
    }
}

fn shortened(found: &str) -> String {
    let line = found.escape_debug().to_string();
    match line.char_indices().nth(FOUND_CHARS_MAX) {
        Some((end, _)) => format!("`{}`...", &line[..end]),
        None if line.is_empty() => "nothing".to_owned(),
        None => format!("`{line}`"),
    }
}
