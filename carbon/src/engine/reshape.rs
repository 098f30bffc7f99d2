//! A file made anew as the rules of today have it, while points keep coming.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use whisper::{Error, Header, Storage, Whisper};

use super::prefixed::Prefixed;
use super::write::Written;
use super::{Engine, ReadError, Store};
use crate::series::SeriesId;

/// Behind the name of a file that is being made; no series has a file called so.
const SUFFIX: &str = ".reshape";

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
    /// Gives the series' file the archives, method and factor of the rules, in the series' turn: readers and writers see
    /// the old file or the new one, whole.
    pub(crate) fn reshape(&self, id: SeriesId) -> Result<Reshaped, ReshapeError> {
        let store = &self.store;
        let (Some(path), Some(name)) = (store.path(id), store.table.name(id)) else {
            return Ok(Reshaped::Missing);
        };
        let failed = |source: Error| ReadError::file(path.clone(), source);
        let rules = store.specs.spec_for(&name);
        let header = rules.header().map_err(failed)?;
        let _turn = store.turns.take(id);
        if let Written::Failed(_) | Written::Delayed = store.write_all_in_turn(id) {
            return Err(ReshapeError::Unwritten);
        }
        let Some(old) = store.open_for_reading(&path).map_err(failed)? else {
            return Ok(Reshaped::Missing);
        };
        let (bytes_before, bytes_after) = (old.header().file_bytes(), header.file_bytes());
        if *old.header() == header {
            return Ok(Reshaped::Equal);
        }
        store.look_at_free_space();
        if !store.may_create.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(ReshapeError::NoRoom);
        }
        let beside = beside(&path);
        let made = store.make_beside(&beside, &old, &header).and_then(|()| {
            store.disk.rename(&beside, &path)?;
            Ok(())
        });
        if let Err(error) = made {
            // The first failure is the one to tell.
            drop(store.disk.remove(&beside));
            return Err(failed(error).into());
        }
        // What was known of the file is no longer so.
        store.sums.drop_one(id);
        store.pending.confirm(id, 0, None, store.now_s());
        Ok(Reshaped::Done { bytes_before, bytes_after })
    }
}

impl Store {
    /// Makes a file with the old one's points, which survives a loss of power before it takes the old one's place.
    fn make_beside(
        &self,
        path: &Path,
        old: &Whisper<Prefixed>,
        header: &Header,
    ) -> Result<(), Error> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _gone => {}
        }
        let points = whisper::reshape(old, header, self.clock.now_unix_seconds())?;
        self.disk.create(path, &super::salvage::spec_of(header))?;
        let mut new = Whisper::open(self.disk.open(path, true)?)?;
        for (archive, points) in points.iter().enumerate() {
            new.write_points(archive, 0, points)?;
        }
        let (mut file, _header) = new.into_parts();
        Ok(file.sync()?)
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(SUFFIX);
    name.into()
}
