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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OnExisting, Retention, Spec, create};

    const NOW: i64 = 1_700_000_000;

    fn sound(path: &Path, points: &[(i64, f64)]) {
        let spec = Spec::new(vec![Retention { seconds_per_point: 60, points: 10 }]);
        create(path, &spec, OnExisting::Refuse).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        Whisper::open(file).unwrap().update_many(points, NOW).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<_> = entries.map(|entry| name(entry).unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_missing_file_is_copied_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (src, dst) = (folder.path().join("a.wsp"), folder.path().join("b/c.wsp"));
        sound(&src, &[(NOW, 1.0)]);
        assert!(matches!(heal(&src, &dst, false, NOW), Ok(Healed::Copied)));
        assert_eq!(fs::read(&src).unwrap(), fs::read(&dst).unwrap());
        assert_eq!(names(&folder.path().join("b")), ["c.wsp"]);
    }

    #[test]
    fn a_corrupt_file_is_kept_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (src, dst) = (folder.path().join("a.wsp"), folder.path().join("b.wsp"));
        sound(&src, &[(NOW, 1.0)]);
        fs::write(&dst, "").unwrap();
        assert!(matches!(heal(&src, &dst, false, NOW), Ok(Healed::Replaced)));
        assert_eq!(fs::read(&src).unwrap(), fs::read(&dst).unwrap());
        assert_eq!(names(folder.path()), ["a.wsp", "b.wsp", "b.wsp.corrupt"]);
    }

    #[test]
    fn a_sound_file_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        let (src, dst) = (folder.path().join("a.wsp"), folder.path().join("b.wsp"));
        sound(&src, &[(NOW, 1.0), (NOW - 60, 1.0)]);
        sound(&dst, &[(NOW, 0.0)]);
        assert!(matches!(heal(&src, &dst, false, NOW), Ok(Healed::Filled)));
        let file = Whisper::open(File::open(&dst).unwrap()).unwrap();
        let fetched = file.fetch(NOW - 120, NOW, NOW, None).unwrap().unwrap();
        assert_eq!(fetched.values().collect::<Vec<_>>(), [Some(1.0), Some(0.0)]);
    }

    #[test]
    fn a_bad_source_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (src, dst) = (folder.path().join("a.wsp"), folder.path().join("b.wsp"));
        fs::write(&dst, "corrupt too").unwrap();
        assert!(matches!(heal(&src, &dst, false, NOW), Err(HealError::Source(_))));
        fs::write(&src, "corrupt").unwrap();
        assert!(matches!(heal(&src, &dst, false, NOW), Err(HealError::Source(_))));
        assert_eq!(names(folder.path()), ["a.wsp", "b.wsp"]);
        assert_eq!(fs::read(&dst).unwrap(), b"corrupt too");
    }
}
