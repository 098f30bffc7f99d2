//! One process for each data folder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The file in the data folder that is locked. It is empty of meaning: the lock is the system's,
/// and is gone when its process is.
const FILE_NAME: &str = "lock";

/// Longest process number.
const PID_BYTES_MAX: u64 = 20;

/// Why a data folder cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error("data folder {} is in use by another process{}", folder.display(), shown(pid))]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// The number of the process, as it wrote it; may be empty.
        pid: String,
    },
    /// The lock file cannot be made.
    #[error("lock file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn shown(pid: &str) -> String {
    if pid.is_empty() { String::new() } else { format!(" ({pid})") }
}

/// The right to a data folder, until dropped.
#[derive(Debug)]
pub struct FolderLock {
    /// Closing it ends the lock.
    _file: File,
}

impl FolderLock {
    /// Makes the folder if need be, and takes it.
    ///
    /// # Errors
    /// When another process has it, or the system refuses.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(FILE_NAME);
        let failed = |source| LockError::Io { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // Only to be helpful: without it the message still says what matters.
                drop((&file).take(PID_BYTES_MAX).read_to_string(&mut pid));
                return Err(LockError::Taken {
                    folder: folder.to_owned(),
                    pid: pid.trim().to_owned(),
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let pid = format!("{}\n", std::process::id());
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.write_all(pid.as_bytes())
        };
        write(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_free_again_after_the_drop() {
        let folder = testkit::folder();
        let data = folder.path().join("node-1");
        let lock = FolderLock::take(&data).unwrap();
        let error = FolderLock::take(&data).unwrap_err().to_string();
        let expected = format!(
            "data folder {} is in use by another process ({})",
            data.display(),
            std::process::id()
        );
        assert_eq!(error, expected);
        drop(lock);
        assert!(FolderLock::take(&data).is_ok());
    }
}
