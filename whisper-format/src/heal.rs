//! Heal: a file made good from its replica.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::fill::{Fill, fill};
use crate::now::Now;
use crate::open::Whisper;
use crate::place::{self, Temporary};

/// What had to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healed {
    /// The file was sound; its holes were filled.
    Filled,
    /// The file was missing; the replica was copied.
    Copied,
    /// The file was corrupt; it was kept under the name with `.corrupt` behind it, and the replica
    /// was copied.
    Replaced,
}

/// Which of the two files was at fault; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealError {
    /// The replica is missing or corrupt.
    #[error(transparent)]
    Source(Error),
    /// The file cannot be filled or replaced.
    #[error(transparent)]
    Destination(Error),
}

/// Makes `dst` good from `src`: see [`Healed`].
pub fn heal(
    src: &Path,
    dst: &Path,
    overwrite: bool,
    now: impl Into<Now>,
) -> Result<Healed, HealError> {
    let source = File::open(src).map_err(Error::from).and_then(Whisper::open);
    let source = source.map_err(HealError::Source)?;
    make_good(&source, src, dst, overwrite, now.into()).map_err(HealError::Destination)
}

fn make_good(
    source: &Whisper<File>,
    src: &Path,
    dst: &Path,
    overwrite: bool,
    now: Now,
) -> Result<Healed, Error> {
    let opened = OpenOptions::new().read(true).write(true).open(dst).map_err(Error::from);
    match opened.and_then(Whisper::open) {
        Ok(mut file) => {
            fill(source, &mut file, Fill { from: None, overwrite }, now)?;
            Ok(Healed::Filled)
        }
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = dst.parent() {
                fs::create_dir_all(folder)?;
            }
            Temporary::copy(src, dst)?.place_new(dst)?;
            Ok(Healed::Copied)
        }
        Err(Error::Corrupt(_)) => {
            let copy = Temporary::copy(src, dst)?;
            place::swap(copy, dst, &place::with_suffix(dst, ".corrupt"))?;
            Ok(Healed::Replaced)
        }
        Err(error) => Err(error),
    }
}
