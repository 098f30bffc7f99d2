//! Lines that a stopping relay could not deliver, kept as plain carbon lines, one file for each
//! node: `NODE.lines`, where what is not a letter, digit, dot or dash in the name is `_`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::StartError;

use super::batch::LineBatch;

/// The folder of undelivered lines.
#[derive(Debug)]
pub(crate) struct Undelivered {
    folder: PathBuf,
}

impl Undelivered {
    /// Makes the folder if need be.
    pub(crate) fn open(folder: &Path) -> Result<Self, StartError> {
        fs::create_dir_all(folder)
            .map_err(|error| StartError::io(format!("making `log` {}", folder.display()), error))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Takes what was kept for a node out of its file.
    pub(crate) fn take(&self, node: &str) -> Result<LineBatch, StartError> {
        let path = self.path(node);
        let read = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Ok(bytes) => fs::remove_file(&path).map(|()| bytes),
            Err(error) => Err(error),
        };
        read.map(LineBatch::from_bytes)
            .map_err(|error| StartError::io(format!("reading {}", path.display()), error))
    }

    /// Keeps lines for a node, on the disk and whole before this returns.
    pub(crate) fn keep(&self, node: &str, batches: &[Arc<LineBatch>]) -> io::Result<()> {
        let path = self.path(node);
        let unfinished = path.with_extension("tmp");
        let mut file = File::create(&unfinished)?;
        for batch in batches {
            file.write_all(batch.as_bytes())?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, node: &str) -> PathBuf {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let name: String = node.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        self.folder.join(name + ".lines")
    }
}
