//! A disk in memory: it fails the call it is told to, dies, and loses what was not synced when the power goes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::{LogDisk, LogFile};

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An I/O error.
    Eio,
    /// No space.
    Enospc,
    /// Half of a write is done before the error.
    Short,
    /// Half of a write is done, and no later call succeeds.
    Kill,
}

/// What a power cut leaves of bytes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerLoss {
    /// Nothing, new names neither.
    All,
    /// The first half; its last 4 KiB are torn.
    Half,
    /// All but the first 4 KiB: the kernel writes in any order.
    Reordered,
}

const BLOCK: usize = 4096;

#[derive(Debug, Default, Clone)]
struct SimFile {
    data: Vec<u8>,
    synced: usize,
    /// Parts that a failed sync has dropped: the cache shows them, the disk has never had them.
    never_on_disk: Vec<Range<usize>>,
    name_synced: bool,
}

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<PathBuf, SimFile>,
    /// Deleted, but the folder has not been synced since.
    deleted: BTreeMap<PathBuf, SimFile>,
    calls: usize,
    plan: Option<(usize, Fault)>,
    dead: bool,
    full: bool,
}

/// The disk; clones are the same one.
#[derive(Debug, Default, Clone)]
pub struct SimDisk(Arc<Mutex<Inner>>, Arc<Gate>);

/// Holds syncs up.
#[derive(Debug, Default)]
struct Gate {
    shut: Mutex<bool>,
    changed: Condvar,
}

impl SimDisk {
    /// Fails the call with this number, counted from now.
    pub fn fail_at(&self, call: usize, fault: Fault) {
        let mut inner = self.0.lock();
        inner.plan = Some((inner.calls + call, fault));
    }

    /// Takes no more bytes, until told otherwise.
    pub fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// Syncs that have begun do not end before the gate is open again.
    pub fn shut_gate(&self, shut: bool) {
        *self.1.shut.lock() = shut;
        self.1.changed.notify_all();
    }

    /// Calls so far.
    pub fn calls(&self) -> usize {
        self.0.lock().calls
    }

    fn of(files: BTreeMap<PathBuf, SimFile>) -> Self {
        Self(Arc::new(Mutex::new(Inner { files, ..Inner::default() })), Arc::default())
    }

    /// The process has died; what the kernel has stays.
    pub fn after_kill(&self) -> Self {
        let files = self.0.lock().files.clone();
        Self::of(files)
    }

    /// The power has gone; what the disk has stays.
    pub fn after_power_loss(&self, loss: PowerLoss) -> Self {
        let inner = self.0.lock();
        let deleted = inner.deleted.clone().into_iter();
        let files = deleted.chain(inner.files.clone());
        let files = files
            .filter(|(_, file)| file.name_synced || loss != PowerLoss::All)
            .map(|(path, file)| (path, file.after_power_loss(loss)))
            .collect();
        Self::of(files)
    }

    /// Puts a file there, synced.
    pub fn put(&self, path: impl Into<PathBuf>, data: Vec<u8>) {
        let synced = data.len();
        let file = SimFile { data, synced, never_on_disk: Vec::new(), name_synced: true };
        self.0.lock().files.insert(path.into(), file);
    }

    /// What a file holds.
    pub fn get(&self, path: &Path) -> Option<Vec<u8>> {
        self.0.lock().files.get(path).map(|file| file.data.clone())
    }

    /// Names of all files.
    pub fn names(&self) -> Vec<String> {
        let name =
            |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.0.lock().files.keys().map(name).collect()
    }

    /// Paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().files.keys().cloned().collect()
    }

    fn call(&self) -> io::Result<()> {
        let inner = &mut *self.0.lock();
        match inner.begin() {
            Some(fault) => Err(fault.error()),
            None => Ok(()),
        }
    }
}

impl SimFile {
    fn after_power_loss(mut self, loss: PowerLoss) -> Self {
        let unsynced = self.data.len() - self.synced;
        match loss {
            PowerLoss::All => self.data.truncate(self.synced),
            PowerLoss::Half => {
                self.data.truncate(self.synced + unsynced / 2);
                let torn = self.synced.max(self.data.len().saturating_sub(BLOCK));
                let middle = torn + (self.data.len() - torn) / 2;
                self.data[middle..].fill(0);
            }
            PowerLoss::Reordered => {
                let end = self.data.len().min(self.synced + BLOCK);
                self.data[self.synced..end].fill(0);
            }
        }
        for part in std::mem::take(&mut self.never_on_disk) {
            let end = part.end.min(self.data.len());
            self.data[part.start.min(end)..end].fill(0);
        }
        self.synced = self.data.len();
        self.name_synced = true;
        self
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Enospc => io::ErrorKind::StorageFull.into(),
            Self::Eio | Self::Short | Self::Kill => io::Error::from_raw_os_error(5),
        }
    }
}

impl Inner {
    fn begin(&mut self) -> Option<Fault> {
        if self.dead {
            return Some(Fault::Kill);
        }
        let number = self.calls;
        self.calls += 1;
        let (_, fault) = self.plan.filter(|(at, _)| *at == number)?;
        self.dead = fault == Fault::Kill;
        Some(fault)
    }
}

impl LogDisk for SimDisk {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        self.call()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        self.call()?;
        let previous = self.0.lock().files.insert(path.to_owned(), SimFile::default());
        assert!(previous.is_none(), "{} existed", path.display());
        Ok(Arc::new(SimHandle { disk: self.clone(), path: path.to_owned() }))
    }

    fn open(&self, path: &Path, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        self.call()?;
        self.get(path).ok_or(io::ErrorKind::NotFound)?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Box::new(SimReader { disk: self.clone(), path: path.to_owned(), at }))
    }

    fn list(&self, _folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        self.call()?;
        let inner = self.0.lock();
        Ok(inner.files.iter().map(|(path, file)| (path.clone(), file.data.len() as u64)).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        let inner = &mut *self.0.lock();
        let file = inner.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
        inner.deleted.insert(path.to_owned(), file);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        let inner = &mut *self.0.lock();
        let file = inner.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.call()?;
        let mut inner = self.0.lock();
        let file = inner.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        file.data.truncate(bytes as usize);
        file.synced = file.synced.min(file.data.len());
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        SimHandle { disk: self.clone(), path: path.to_owned() }.sync_data()
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        self.call()?;
        let inner = &mut *self.0.lock();
        inner.files.values_mut().for_each(|file| file.name_synced = true);
        inner.deleted.clear();
        Ok(())
    }
}

struct SimHandle {
    disk: SimDisk,
    path: PathBuf,
}

impl LogFile for SimHandle {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let inner = &mut *self.disk.0.lock();
        let was_dead = inner.dead;
        let fault = inner.begin().or(inner.full.then_some(Fault::Enospc));
        let done = match fault {
            _ if was_dead => 0,
            None => bytes.len(),
            Some(Fault::Short | Fault::Kill) => bytes.len() / 2,
            Some(Fault::Eio | Fault::Enospc) => 0,
        };
        let file = inner.files.get_mut(&self.path).ok_or(io::ErrorKind::NotFound)?;
        file.data.extend_from_slice(&bytes[..done]);
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let begun = self.disk.get(&self.path).map_or(0, |data| data.len());
        let gate = &self.disk.1;
        gate.changed.wait_while(&mut gate.shut.lock(), |shut| *shut);
        let inner = &mut *self.disk.0.lock();
        let fault = inner.begin();
        let file = inner.files.get_mut(&self.path).ok_or(io::ErrorKind::NotFound)?;
        if let Some(fault) = fault {
            if fault != Fault::Kill {
                // As Linux does: the pages count as clean from now on.
                file.never_on_disk.push(file.synced..file.data.len());
                file.synced = file.data.len();
            }
            return Err(fault.error());
        }
        file.synced = begun.max(file.synced);
        Ok(())
    }
}

/// Sees what is appended later, and goes on when the file is deleted.
struct SimReader {
    disk: SimDisk,
    path: PathBuf,
    at: usize,
}

impl Read for SimReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.call()?;
        let inner = self.disk.0.lock();
        let file = inner.files.get(&self.path).or_else(|| inner.deleted.get(&self.path));
        let rest = file.and_then(|file| file.data.get(self.at..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}
