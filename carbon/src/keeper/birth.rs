//! When the node began with an empty disk: what is older it may lack, and other owners are asked for it.
//!
//! The file lies with the Whisper files, so that it is lost with them. Its bytes: docs/formats/names.md.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use wire::birth::Birth;

use super::holes::replace;

const FILE: &str = "born";

/// What a new file system has by itself.
const NOT_DATA: &str = "lost+found";

/// The node's birth, and the file that has it.
#[derive(Debug)]
pub(crate) struct Born {
    folder: PathBuf,
    birth: Mutex<Birth>,
    /// Whether nothing is to be noted of points any more.
    is_noted: AtomicBool,
    /// The file lacks it.
    is_dirty: AtomicBool,
}

impl Born {
    /// As it was noted, or now, if there is nothing in the folder. A folder with files and without a note is as old as
    /// they are.
    pub(crate) fn open(folder: &Path, now_s: i64) -> io::Result<Self> {
        let path = folder.join(FILE);
        let birth = match fs::read_to_string(&path) {
            Ok(text) => text
                .parse()
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if is_empty(folder)? => {
                let birth = Birth { born_s: now_s, takes_since_s: None };
                write(folder, birth)?;
                birth
            }
            Err(_) => Birth::default(),
        };
        let is_noted = AtomicBool::new(birth.born_s == 0 || birth.takes_since_s.is_some());
        let (birth, is_dirty) = (Mutex::new(birth), AtomicBool::new(false));
        Ok(Self { folder: folder.to_owned(), birth, is_noted, is_dirty })
    }

    /// What the node says of it.
    pub(crate) fn birth(&self) -> Birth {
        *self.birth.lock()
    }

    /// The node is given points; the first of them are noted.
    pub(crate) fn note_points(&self, now_s: impl FnOnce() -> i64) {
        if self.is_noted.load(Ordering::Relaxed) || self.is_noted.swap(true, Ordering::Relaxed) {
            return;
        }
        self.birth.lock().takes_since_s = Some(now_s());
        self.is_dirty.store(true, Ordering::Release);
    }

    /// Writes down what was noted since.
    pub(crate) fn save(&self) {
        if !self.is_dirty.load(Ordering::Acquire) {
            return;
        }
        match write(&self.folder, self.birth()) {
            Ok(()) => self.is_dirty.store(false, Ordering::Release),
            Err(error) => {
                tracing::warn!(%error, "since when there are points cannot be written, will try again");
            }
        }
    }

    /// From now on the node has all that its other owners have since then; 0 for all there is.
    pub(crate) fn set_complete_since(&self, since_s: i64) -> io::Result<Birth> {
        let mut birth = self.birth.lock();
        let next = match since_s {
            0 => Birth::default(),
            born_s => Birth { born_s, ..*birth },
        };
        write(&self.folder, next)?;
        *birth = next;
        Ok(next)
    }
}

fn write(folder: &Path, birth: Birth) -> io::Result<()> {
    replace(folder, FILE, &format!("{birth}\n"))
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        // A note that a death has left half written is none.
        if name != NOT_DATA && name != format!("{FILE}.new").as_str() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn born(folder: &Path, now_s: i64) -> Birth {
        Born::open(folder, now_s).unwrap().birth()
    }

    #[test]
    fn a_node_is_born_once_and_again_when_its_files_are_gone() {
        let folder = testkit::folder();
        let at = |born_s, takes_since_s| Birth { born_s, takes_since_s };
        fs::create_dir(folder.path().join(NOT_DATA)).unwrap();
        assert_eq!(born(folder.path(), 100), at(100, None));
        let first = Born::open(folder.path(), 200).unwrap();
        first.save();
        assert_eq!(born(folder.path(), 201), at(100, None), "no points yet");
        first.note_points(|| 202);
        first.note_points(|| 203);
        first.save();
        fs::write(folder.path().join("a.wsp"), "").unwrap();
        assert_eq!(born(folder.path(), 300), at(100, Some(202)));
        for name in [FILE, "a.wsp"] {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        assert_eq!(born(folder.path(), 400), at(400, None));
    }

    #[test]
    fn files_without_a_note_are_as_old_as_they_are() {
        let folder = testkit::folder();
        fs::write(folder.path().join("a.wsp"), "").unwrap();
        let old = Born::open(folder.path(), 100).unwrap();
        old.note_points(|| 101);
        old.save();
        assert_eq!(old.birth(), Birth::default());
        assert!(!folder.path().join(FILE).exists());
    }

    #[test]
    fn who_has_been_given_what_it_lacked_says_so_over_a_restart() {
        let folder = testkit::folder();
        let node = Born::open(folder.path(), 100).unwrap();
        node.set_complete_since(60).unwrap();
        assert_eq!(born(folder.path(), 200).born_s, 60);
        node.set_complete_since(0).unwrap();
        assert_eq!(born(folder.path(), 200), Birth::default());
    }

    #[test]
    fn a_note_that_cannot_be_read_is_told() {
        let folder = testkit::folder();
        fs::write(folder.path().join(FILE), "soon").unwrap();
        let error = Born::open(folder.path(), 1).unwrap_err().to_string();
        assert!(error.contains("born: expected"), "{error}");
    }
}
