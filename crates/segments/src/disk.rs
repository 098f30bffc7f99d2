//! The disk as a log sees it: few calls, so that a test can fail each of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a log asks of the disk.
pub trait LogDisk: Send + Sync + std::fmt::Debug {
    /// Makes a folder and those above it.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;

    /// Creates a file that must not exist, to be appended to.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;

    /// Opens a file to be read from its byte `offset` on.
    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn Read + Send>>;

    /// Files in a folder with their sizes, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>>;

    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Cuts a file off at `bytes`.
    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Makes what a file holds survive a power cut.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Makes new names in a folder survive a power cut.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that is appended to by one thread, and may be synced by another meanwhile.
pub trait LogFile: Send + Sync {
    /// Writes all of `bytes` at the end. After an error some may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was appended before the call survive a power cut.
    fn sync_data(&self) -> io::Result<()>;
}

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl LogDisk for RealDisk {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(OpenOptions::new().append(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            if facts.is_file() {
                files.push((entry.path(), facts.len()));
            }
        }
        Ok(files)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.set_len(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl LogFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }
}
