//! Files in which versions without a log kept lines over a stop: plain carbon lines, one file for each node, `NODE.lines`,
//! where what is not a letter, digit, dot or dash in the name is `_`. They are still delivered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use daemon::StartError;

use super::batch::LineBatch;

/// The folder of such files.
#[derive(Debug)]
pub(super) struct FormerFiles {
    folder: PathBuf,
}

impl FormerFiles {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What was kept for a node.
    pub(super) fn read(&self, node: &str) -> Result<Option<LineBatch>, StartError> {
        let path = self.path(node);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(LineBatch::from_bytes(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StartError::io(format!("reading {}", path.display()), error)),
        }
    }

    /// Deletes a node's file.
    pub(super) fn remove(&self, node: &str) -> Result<(), StartError> {
        let path = self.path(node);
        fs::remove_file(&path)
            .map_err(|error| StartError::io(format!("deleting {}", path.display()), error))
    }

    fn path(&self, node: &str) -> PathBuf {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let name: String = node.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        self.folder.join(name + ".lines")
    }
}
