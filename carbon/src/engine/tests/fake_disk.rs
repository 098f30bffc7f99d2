//! The real disk, with chosen calls that fail.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use whisper::{Spec, Storage};

use super::super::{Disk, DiskFile, FileMark, FreeSpace, OpenFile, RealDisk};

/// What happens while the disk syncs a file.
pub(super) struct Meanwhile(pub(super) Box<dyn FnMut() + Send>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

/// Which calls fail, and how.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Calls so far, those on open files included.
    pub(super) calls: usize,
    /// Reads of open files so far.
    pub(super) reads: usize,
    /// Writes to open files so far.
    pub(super) writes: usize,
    /// Syncs of the whole disk so far, those that failed included.
    pub(super) syncs: usize,
    /// Fails the call of this number.
    pub(super) at: Option<usize>,
    /// Fails every create.
    pub(super) no_creates: bool,
    /// Fails every write to a file whose path holds this text.
    pub(super) no_writes_to: Option<&'static str>,
    /// Called by every sync of a file.
    pub(super) in_sync: Option<Meanwhile>,
}

impl Faults {
    fn call(&mut self) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        if self.at == Some(number) { Err(full()) } else { Ok(()) }
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

#[derive(Debug)]
pub(super) struct FakeDisk {
    pub(super) faults: Arc<Mutex<Faults>>,
    pub(super) free: Mutex<FreeSpace>,
}

impl Default for FakeDisk {
    fn default() -> Self {
        let free = FreeSpace { bytes: u64::MAX, files: u64::MAX };
        Self { faults: Arc::default(), free: Mutex::new(free) }
    }
}

impl FakeDisk {
    fn call(&self) -> io::Result<()> {
        self.faults.lock().call()
    }
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path, for_writing: bool) -> io::Result<DiskFile> {
        self.call()?;
        let no_writes = self.faults.lock().no_writes_to;
        let no_writes = no_writes.is_some_and(|text| path.to_str().unwrap().contains(text));
        let file = RealDisk.open(path, for_writing)?;
        DiskFile::new(FakeFile { file, faults: Arc::clone(&self.faults), no_writes })
    }

    fn create(&self, path: &Path, spec: &Spec) -> Result<(), whisper::Error> {
        self.call()?;
        if self.faults.lock().no_creates {
            return Err(full().into());
        }
        RealDisk.create(path, spec)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        RealDisk.remove(path)
    }

    fn free_space(&self, _path: &Path) -> io::Result<FreeSpace> {
        Ok(*self.free.lock())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.faults.lock().syncs += 1;
        self.call()?;
        RealDisk.sync(path)
    }

    fn unsynced_bytes(&self) -> Option<u64> {
        RealDisk.unsynced_bytes()
    }
}

struct FakeFile {
    file: DiskFile,
    faults: Arc<Mutex<Faults>>,
    no_writes: bool,
}

impl OpenFile for FakeFile {
    fn mark(&self) -> io::Result<FileMark> {
        self.file.mark_now()
    }
}

impl Storage for FakeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.faults.lock().call()?;
        self.faults.lock().reads += 1;
        self.file.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.faults.lock().call()?;
        self.faults.lock().writes += 1;
        if self.no_writes {
            return Err(full());
        }
        self.file.write_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.faults.lock().call()?;
        self.file.size()
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.faults.lock().call()?;
        self.file.set_size(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.faults.lock().call()?;
        // Taken out for as long as it runs: it may use the disk itself.
        let in_sync = self.faults.lock().in_sync.take();
        if let Some(mut in_sync) = in_sync {
            (in_sync.0)();
            self.faults.lock().in_sync = Some(in_sync);
        }
        self.file.sync()
    }
}
