//! A file made anew as the rules of today have it, while points keep coming.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use whisper::{Error, Header, Point, Storage, Whisper};

use super::disk::DiskFile;
use super::prefixed::Prefixed;
use super::write::Written;
use super::{Engine, ReadError, Store};
use crate::series::SeriesId;

/// Behind the name of a file that is being made; no series has a file called so.
const SUFFIX: &str = ".reshape";

/// How often a file is made; the last time readers and writers of the series wait until the disk has it.
const ATTEMPTS_MAX: usize = 4;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reshaped {
    /// There is no file of the series.
    Missing,
    /// It was as the rules have it.
    Equal,
    /// It has been made anew.
    Done {
        /// Bytes of the old file.
        bytes_before: u64,
        /// Bytes of the new one.
        bytes_after: u64,
    },
}

/// Why a file stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReshapeError {
    /// What waits could not be written first.
    #[error("its waiting points cannot be written")]
    Unwritten,
    /// The free-space floor.
    #[error("the disk has no room for another file")]
    NoRoom,
    /// One of the two files, or the rules.
    #[error(transparent)]
    File(#[from] ReadError),
}

impl Engine {
    /// Gives the series' file the archives, method and factor of the rules: readers and writers see the old file or the
    /// new one, whole.
    pub(crate) fn reshape(&self, id: SeriesId) -> Result<Reshaped, ReshapeError> {
        let store = &self.store;
        let (Some(path), Some(name)) = (store.path(id), store.table.name(id)) else {
            return Ok(Reshaped::Missing);
        };
        let header = store.specs.spec_for(&name).header();
        let header = header.map_err(|source| ReadError::file(path.clone(), source))?;
        let now = store.clock.now_unix_seconds();
        Reshaping { store, id, beside: beside(&path), path, header, now }.run()
    }
}

/// A file on its way to other archives.
///
/// A disk may take long to say that it has the new file, and nobody is to wait for the series meanwhile: the turn is
/// given back, and what was written to the old file in that time is noticed by reading it once more.
struct Reshaping<'a> {
    store: &'a Store,
    id: SeriesId,
    path: PathBuf,
    /// Where the new file is made.
    beside: PathBuf,
    header: Header,
    /// One time for all looks at the old file, so that equal looks mean equal points.
    now: i64,
}

/// The points of each archive of the new file.
type Points = Vec<Vec<Point>>;

impl Reshaping<'_> {
    fn run(&self) -> Result<Reshaped, ReshapeError> {
        let reshaped = self.attempts();
        if !matches!(reshaped, Ok(Reshaped::Done { .. })) {
            // Nobody is to find a half of it; the first failure is the one to tell.
            drop(self.store.disk.remove(&self.beside));
        }
        reshaped
    }

    fn attempts(&self) -> Result<Reshaped, ReshapeError> {
        let take_turn = || self.store.turns.take(self.id);
        for attempt in 1.. {
            let turn = take_turn();
            let Some(old) = self.old()? else { break };
            if *old.header() == self.header {
                return Ok(Reshaped::Equal);
            }
            self.write_waiting()?;
            let Some(points) = self.points()? else { break };
            let mut new = self.make(&points)?;
            // Where somebody writes without a rest the turn is kept at last.
            let is_last = attempt == ATTEMPTS_MAX;
            let kept = is_last.then_some(turn);
            new.sync().map_err(|error| self.failed(error.into()))?;
            let _turn = kept.unwrap_or_else(take_turn);
            if is_last || self.points()?.as_ref() == Some(&points) {
                return self.take_place(&old);
            }
        }
        Ok(Reshaped::Missing)
    }

    fn failed(&self, source: Error) -> ReshapeError {
        ReadError::file(self.path.clone(), source).into()
    }

    fn old(&self) -> Result<Option<Whisper<Prefixed>>, ReshapeError> {
        self.store.open_for_reading(&self.path).map_err(|error| self.failed(error))
    }

    /// What the new file is to hold, none if the old one is gone.
    fn points(&self) -> Result<Option<Points>, ReshapeError> {
        let Some(old) = self.old()? else { return Ok(None) };
        let points = whisper::reshape(&old, &self.header, self.now);
        Ok(Some(points.map_err(|error| self.failed(error))?))
    }

    /// Brings all that has come into the old file, rollups included, in the series' turn.
    fn write_waiting(&self) -> Result<(), ReshapeError> {
        match self.store.write_all_in_turn(self.id) {
            Written::Failed(_) | Written::Delayed => Err(ReshapeError::Unwritten),
            Written::Nothing | Written::Points(_) => Ok(()),
        }
    }

    /// Makes the new file, if there is room for it.
    fn make(&self, points: &Points) -> Result<DiskFile, ReshapeError> {
        self.store.look_at_free_space();
        if !self.store.may_create.load(Ordering::Relaxed) {
            return Err(ReshapeError::NoRoom);
        }
        self.write_beside(points).map_err(|error| self.failed(error))
    }

    fn write_beside(&self, points: &Points) -> Result<DiskFile, Error> {
        let disk = &self.store.disk;
        match disk.remove(&self.beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _gone => {}
        }
        disk.create(&self.beside, &super::salvage::spec_of(&self.header))?;
        let mut new = Whisper::open(disk.open(&self.beside, true)?)?;
        for (archive, points) in points.iter().enumerate() {
            new.write_points(archive, 0, points)?;
        }
        Ok(new.into_parts().0)
    }

    /// Puts the new file, which survives a loss of power by now, into the old one's place.
    fn take_place(&self, old: &Whisper<Prefixed>) -> Result<Reshaped, ReshapeError> {
        let store = self.store;
        let renamed = store.disk.rename(&self.beside, &self.path);
        renamed.map_err(|error| self.failed(error.into()))?;
        // What was known of the file is no longer so.
        store.sums.drop_one(self.id);
        store.pending.confirm(self.id, 0, None, store.now_s());
        let (bytes_before, bytes_after) = (old.header().file_bytes(), self.header.file_bytes());
        Ok(Reshaped::Done { bytes_before, bytes_after })
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(SUFFIX);
    name.into()
}
