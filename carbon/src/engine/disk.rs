//! The disk as the engine sees it: few calls, so that a test can fail each of them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use whisper::{Header, OnExisting, Spec, Storage};

/// Room that a file system has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpace {
    /// Bytes that this process may still fill.
    pub bytes: u64,
    /// Files that may still be created; the maximum where the file system does not count them.
    pub files: u64,
}

/// How a file that nobody else has touched is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMark {
    /// The file's number.
    pub inode: u64,
    /// Its size.
    pub bytes: u64,
    /// When it was last written, in nanoseconds of the file system's clock.
    pub modified_ns: i64,
}

impl FileMark {
    pub(super) fn of(facts: &rustix::fs::Stat) -> Self {
        let modified_ns = facts.st_mtime.wrapping_mul(1_000_000_000);
        Self {
            inode: facts.st_ino,
            bytes: u64::try_from(facts.st_size).unwrap_or(0),
            modified_ns: modified_ns.wrapping_add(i64::try_from(facts.st_mtime_nsec).unwrap_or(0)),
        }
    }

    /// Size and time in one number. Kernels since 6.13 give a write after a look at the time a time of its own; on older
    /// ones a change within the same tick of the clock, at most 10 ms, looks like none.
    pub(super) fn stamp(self) -> u64 {
        self.modified_ns.cast_unsigned() ^ self.bytes.swap_bytes()
    }
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

    /// Makes all files of the file system of `path` survive the loss of power.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// What such a sync may have to write first, of all programs of the machine; none if that is not known.
    fn unsynced_bytes(&self) -> Option<u64>;
}

/// What every read needs of a file.
#[derive(Debug, PartialEq)]
pub struct Beginning {
    /// What the header says.
    pub header: Header,
    /// The bytes up to the end of the finest archive's first slot.
    pub bytes: Vec<u8>,
}

/// A file that a [`Disk`] has opened.
pub trait OpenFile: Storage + Send {
    /// What the file is now.
    fn mark(&self) -> io::Result<FileMark>;

    /// How the file begins, if that was kept when it had this mark.
    fn beginning(&self, _mark: FileMark) -> Option<Arc<Beginning>> {
        None
    }

    /// Takes note of how the file, which has this mark, begins.
    fn keep_beginning(&self, _mark: FileMark, _beginning: Beginning) {}
}

impl OpenFile for File {
    fn mark(&self) -> io::Result<FileMark> {
        Ok(FileMark::of(&rustix::fs::fstat(self)?))
    }
}

/// An open file of a [`Disk`], and what it was then.
pub struct DiskFile {
    storage: Box<dyn OpenFile>,
    mark: FileMark,
}

impl DiskFile {
    /// Wraps what a disk opened.
    ///
    /// # Errors
    /// A file that cannot be looked at.
    pub fn new(storage: impl OpenFile + 'static) -> io::Result<Self> {
        let mark = storage.mark()?;
        Ok(Self { storage: Box::new(storage), mark })
    }

    /// Wraps a file of which the mark is known.
    pub(super) fn known(storage: impl OpenFile + 'static, mark: FileMark) -> Self {
        Self { storage: Box::new(storage), mark }
    }

    /// What the file was when it was opened.
    pub fn mark(&self) -> FileMark {
        self.mark
    }

    /// How it begins, if that is known.
    pub(super) fn beginning(&self) -> Option<Arc<Beginning>> {
        self.storage.beginning(self.mark)
    }

    /// Takes note of how it begins.
    pub(super) fn keep_beginning(&self, beginning: Beginning) {
        self.storage.keep_beginning(self.mark, beginning);
    }

    /// What it is now.
    ///
    /// # Errors
    /// A file that cannot be looked at.
    pub fn mark_now(&self) -> io::Result<FileMark> {
        self.storage.mark()
    }
}

impl std::fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DiskFile")
    }
}

impl Storage for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.storage.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.storage.write_at(bytes, offset)
    }

    /// As it was when the file was opened: nothing here makes a file larger or smaller.
    fn size(&self) -> io::Result<u64> {
        Ok(self.mark.bytes)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.storage.set_size(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.storage.sync()
    }
}

/// The machine's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, for_writing: bool) -> io::Result<DiskFile> {
        let file: File = OpenOptions::new().read(true).write(for_writing).open(path)?;
        DiskFile::new(file)
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

    fn sync(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(path)?)?)
    }

    fn unsynced_bytes(&self) -> Option<u64> {
        unsynced_bytes(&fs::read_to_string("/proc/meminfo").ok()?)
    }
}

/// Pages that are changed, and those on their way to the disk, by the kernel's account of its memory.
fn unsynced_bytes(meminfo: &str) -> Option<u64> {
    let kib = |field: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(field))?;
        rest.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()
    };
    kib("Dirty:")?.checked_add(kib("Writeback:")?)?.checked_mul(1024)
}

fn create_folders_above(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// Where a file is set aside: under the time, by the path that it had.
pub(super) fn aside_path(aside: &Path, relative: &str, unix_seconds: i64) -> PathBuf {
    aside.join(unix_seconds.to_string()).join(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sync_may_have_to_write_is_what_the_kernel_has_changed_and_is_writing() {
        let meminfo = "MemTotal:  24 kB\nDirty:             1532 kB\nWriteback:             8 kB\nWritebackTmp: 3 kB\n";
        assert_eq!(unsynced_bytes(meminfo), Some(1540 * 1024));
        assert_eq!(unsynced_bytes("Dirty: 1532 kB\n"), None);
        assert_eq!(unsynced_bytes("Dirty: many kB\nWriteback: 0 kB\n"), None);
    }
}
