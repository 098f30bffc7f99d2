//! The disk as the engine sees it: few calls, so that a test can fail each of them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use whisper::{OnExisting, Spec, Storage};

/// Room that a file system has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that this process may still fill.
    pub bytes: u64,
    /// Files that may still be created; the maximum where the file system does not count them.
    pub files: u64,
}

/// What the engine asks of the disk.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Opens a Whisper file to be read and, if `for_writing`, written.
    fn open(&self, path: &Path, for_writing: bool) -> io::Result<DiskFile>;

    /// Creates a Whisper file that must not exist, and the folders above it.
    fn create(&self, path: &Path, spec: &Spec) -> Result<(), whisper::Error>;

    /// Moves a file, and creates the folders above its new place.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Room left where `path` lies.
    fn free_space(&self, path: &Path) -> io::Result<FreeSpace>;
}

/// An open file of a [`Disk`].
pub struct DiskFile(Box<dyn Storage + Send>);

impl DiskFile {
    /// Wraps what a disk opened.
    pub fn new(storage: impl Storage + Send + 'static) -> Self {
        Self(Box::new(storage))
    }
}

impl std::fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DiskFile")
    }
}

impl Storage for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, for_writing: bool) -> io::Result<DiskFile> {
        let file: File = OpenOptions::new().read(true).write(for_writing).open(path)?;
        Ok(DiskFile::new(file))
    }

    fn create(&self, path: &Path, spec: &Spec) -> Result<(), whisper::Error> {
        match whisper::create(path, spec, OnExisting::Refuse) {
            Err(whisper::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                create_folders_above(path)?;
                whisper::create(path, spec, OnExisting::Refuse)
            }
            result => result,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        create_folders_above(to)?;
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<FreeSpace> {
        let facts = rustix::fs::statvfs(path)?;
        let bytes = facts.f_bavail.saturating_mul(facts.f_frsize);
        let files = if facts.f_files == 0 { u64::MAX } else { facts.f_favail };
        Ok(FreeSpace { bytes, files })
    }
}

fn create_folders_above(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Where a file is set aside: under the time, by the path that it had.
pub(super) fn aside_path(aside: &Path, relative: &str, unix_seconds: i64) -> PathBuf {
    aside.join(unix_seconds.to_string()).join(relative)
}
