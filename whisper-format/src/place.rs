//! New files appear whole or not at all: they are built under a temporary name in the same folder
//! and then put in place in one step.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, RenameFlags};

/// Tells the temporary files of one process apart.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Temporary names to try before giving up: leftovers of a crashed process may hold a few.
const NAME_TRIES: u32 = 100;

/// A file under a temporary name, removed when dropped unless it was put in place. The name is
/// short, so that it fits wherever the final name does, and does not end in `.wsp`.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// An unused name beside `target`, without a file yet.
    fn name(target: &Path) -> PathBuf {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        target.with_file_name(format!(".whisper-{}-{number}.tmp", std::process::id()))
    }

    /// Creates an empty file beside `target`.
    pub(crate) fn create(target: &Path) -> io::Result<(Self, File)> {
        for _ in 0..NAME_TRIES {
            let path = Self::name(target);
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => return Ok((Self { path }, file?)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A second name for `existing`, beside it.
    pub(crate) fn link(existing: &Path) -> io::Result<Self> {
        for _ in 0..NAME_TRIES {
            let path = Self::name(existing);
            match fs::hard_link(existing, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done.map(|()| Self { path }),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Copies the bytes of `source`, and its permissions, beside `target`.
    pub(crate) fn copy(source: &Path, target: &Path) -> io::Result<Self> {
        let (temporary, mut file) = Self::create(target)?;
        let mut from = File::open(source)?;
        io::copy(&mut from, &mut file)?;
        file.set_permissions(from.metadata()?.permissions())?;
        Ok(temporary)
    }

    /// Gives the file its name, unless that is taken.
    pub(crate) fn place_new(self, target: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            // Some file systems know no such rename; a link does not replace either.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::hard_link(&self.path, target)
            }
            done => Ok(done?),
        }
    }

    /// Gives the file its name, instead of whatever has it.
    pub(crate) fn replace(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove; after a failure, nobody to tell.
        drop(fs::remove_file(&self.path));
    }
}

/// Replaces `target` by `new`; what was there is kept as `kept`, whatever had that name before.
/// `target` exists at every moment, and is as it was if any step fails.
pub(crate) fn swap(new: Temporary, target: &Path, kept: &Path) -> io::Result<()> {
    let (old, spare) = (Temporary::link(target)?, Temporary::link(target)?);
    new.replace(target)?;
    old.replace(kept).inspect_err(|_cause| {
        // The caller reports the cause; a failure to go back would say no more.
        drop(spare.replace(target));
    })
}

/// `path` with `suffix` behind its whole name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
