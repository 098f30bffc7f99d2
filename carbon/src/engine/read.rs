//! A series as it will be once its waiting points are written.
//!
//! Most reads touch the file only, or lay waiting points over the finest archive, where a point changes its own slot
//! and no other. All others apply the waiting points to an image of the file in memory, by the same update that will
//! write them, and read that: so every resolution shows exactly what the file will show.

use std::io;
use std::path::PathBuf;

use metric::{Consolidation, SeriesData};
use whisper::{Archive, Fetched, Header, Method, Storage, Whisper, Window};

use super::patched::{Patched, Zeros};
use super::pending::Look;
use super::prefixed::Prefixed;
use super::recovery::not_in_file;
use super::settle::{Owed, settle};
use super::{Engine, Store};
use crate::series::SeriesId;

/// Read of a file at once: its header and, of many, the whole finest archive.
const PREFIX_BYTES: u64 = 8 << 10;

/// Why a series could not be read or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: whisper::Error,
    },
}

impl ReadError {
    pub(super) fn file(path: PathBuf, source: whisper::Error) -> Self {
        Self::File { path, source }
    }
}

impl Engine {
    /// What the file of the series shows for `from` to `until` once all waiting points are written. `None` if there is
    /// no such series, or it covers nothing of the time asked for.
    ///
    /// # Errors
    /// A file that cannot be read, or a window that ends before it begins.
    pub fn read(
        &self,
        id: SeriesId,
        from: i64,
        until: i64,
        now: i64,
    ) -> Result<Option<SeriesData>, ReadError> {
        let Some(name) = self.store.table.name(id) else { return Ok(None) };
        let reading = self.read_named(id, &name, (from, until), now)?;
        Ok(reading.map(|reading| reading.into_series(name)))
    }

    /// As [`Engine::read`], of a series whose name the caller knows.
    ///
    /// # Errors
    /// As [`Engine::read`].
    pub(crate) fn read_named(
        &self,
        id: SeriesId,
        name: &str,
        (from, until): (i64, i64),
        now: i64,
    ) -> Result<Option<Reading>, ReadError> {
        let store = &self.store;
        let _turn = store.turns.take(id);
        if !store.table.is_living(id) {
            return Ok(None);
        }
        let path = store.path_of(name);
        let read = store.read(id, name, &path, Request { from, until, now });
        read.map_err(|source| ReadError::file(path, source))
    }

    /// The header of the series' file, or the one that its file will have. `None` if there is no such series.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn info(&self, id: SeriesId) -> Result<Option<Header>, ReadError> {
        let store = &self.store;
        let (Some(path), Some(name)) = (store.path(id), store.table.name(id)) else {
            return Ok(None);
        };
        let _turn = store.turns.take(id);
        let header = match store.open_for_reading(&path) {
            Ok(Some(file)) => Ok(file.header().clone()),
            Ok(None) => store.specs.spec_for(&name).header(),
            Err(error) => Err(error),
        };
        header.map(Some).map_err(|source| ReadError::file(path, source))
    }
}

/// What was read of a series.
#[derive(Debug)]
pub(crate) struct Reading {
    fetched: Fetched,
    /// Slots, by their time, that waiting points will fill.
    waiting: Vec<(i64, f64)>,
    method: Method,
    x_files_factor: f32,
}

impl Reading {
    fn new(header: &Header, fetched: Fetched, waiting: Vec<(i64, f64)>) -> Self {
        Self { fetched, waiting, method: header.method, x_files_factor: header.x_files_factor }
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> u64 {
        self.fetched.count()
    }

    /// The time of the first slot, and the seconds from one to the next.
    pub(crate) fn grid(&self) -> (i64, i64) {
        (self.fetched.start, self.fetched.step.into())
    }

    /// The values, NaN for null, in place of what the column holds.
    pub(crate) fn fill(&self, column: &mut Vec<f64>) {
        self.fetched.fill(column);
        let (start, step) = self.grid();
        for &(interval, value) in self.waiting.iter().filter(|slot| slot.0 >= start) {
            let slot = usize::try_from((interval - start) / step).ok();
            if let Some(place) = slot.and_then(|slot| column.get_mut(slot)) {
                *place = value;
            }
        }
    }

    /// As a series of this name.
    pub(crate) fn into_series(self, name: String) -> SeriesData {
        let mut column = Vec::new();
        self.fill(&mut column);
        let (start, step) = self.grid();
        let mut data = SeriesData::new(name, start, step, column);
        data.consolidation = consolidation(self.method);
        data.x_files_factor = self.x_files_factor;
        data
    }
}

#[derive(Debug, Clone, Copy)]
struct Request {
    from: i64,
    until: i64,
    now: i64,
}

impl Store {
    fn read(
        &self,
        id: SeriesId,
        name: &str,
        path: &std::path::Path,
        request: Request,
    ) -> Result<Option<Reading>, whisper::Error> {
        let Request { from, until, now } = request;
        let look = self.pending.look(id);
        let waiting = look.batch();
        let Some(file) = self.open_for_reading(path)? else {
            if waiting.is_empty() {
                return Ok(None);
            }
            let file = self.new_in_memory(name, &waiting, now)?;
            let fetched = file.fetch(from, until, now, None)?;
            return Ok(fetched.map(|fetched| Reading::new(file.header(), fetched, Vec::new())));
        };
        let plan = file.header().plan_fetch(from, until, now, None)?;
        let Some((archive, window)) = plan else { return Ok(None) };
        let complete = archive == 0 || !self.is_owed(id, &look);
        if waiting.is_empty() && complete {
            let fetched = file.fetch(from, until, now, None)?;
            return Ok(fetched.map(|fetched| Reading::new(file.header(), fetched, Vec::new())));
        }
        if archive == 0
            && let Some(slots) = slots_of_finest(&file.header().archives[0], window, &waiting, now)
        {
            let fetched = file.fetch(from, until, now, None)?;
            return Ok(fetched.map(|fetched| Reading::new(file.header(), fetched, slots)));
        }
        let file = self.patched(file, id, &look, now)?;
        let fetched = file.fetch(from, until, now, None)?;
        Ok(fetched.map(|fetched| Reading::new(file.header(), fetched, Vec::new())))
    }

    /// Whether the file may lack rollups of points that it has.
    pub(super) fn is_owed(&self, id: SeriesId, look: &Look) -> bool {
        look.owes_rollups() || (self.recovery.concerns(id) && !look.settled)
    }

    /// The file with what it is owed and the waiting points written to an image in memory.
    pub(super) fn patched(
        &self,
        file: Whisper<Prefixed>,
        id: SeriesId,
        look: &Look,
        now: i64,
    ) -> Result<Whisper<Patched<Prefixed>>, whisper::Error> {
        let (storage, header) = file.into_parts();
        let storage = storage.read_ahead(PREFIX_BYTES)?;
        let clocks_s = self.clocks_s(&header);
        let known = look.known.as_ref().filter(|_| look.owes_rollups());
        let known = known.and_then(|known| self.known_archives(known));
        let is_unsettled = self.recovery.concerns(id) && !look.settled;
        let owed = match &known {
            _ if is_unsettled => Owed::Unknown(&clocks_s),
            Some((known, archives)) if **known == header => Owed::Rollups(archives),
            Some(_other_header) => Owed::Unknown(&clocks_s),
            None => Owed::Nothing,
        };
        let mut file = Whisper::with_header(Patched::over(storage)?, header)?;
        let mut batch = look.batch();
        if is_unsettled {
            batch = not_in_file(&file, &batch, self.recovery.received_from_s(), now)?;
        }
        settle(&mut file, &owed, &batch, now)?;
        Ok(file)
    }

    /// The bytes of the file with the waiting points written.
    pub(super) fn snapshot(&self, id: SeriesId) -> Result<Option<Vec<u8>>, ReadError> {
        let (Some(path), Some(name)) = (self.path(id), self.table.name(id)) else {
            return Ok(None);
        };
        let _turn = self.turns.take(id);
        let image = || -> Result<Option<Vec<u8>>, whisper::Error> {
            let look = self.pending.look(id);
            let waiting = look.batch();
            let now = self.clock.now_unix_seconds();
            match self.open_for_reading(&path)? {
                Some(file) => Ok(Some(self.patched(file, id, &look, now)?.storage().image()?)),
                None if waiting.is_empty() => Ok(None),
                None => Ok(Some(self.new_in_memory(&name, &waiting, now)?.storage().image()?)),
            }
        };
        image().map_err(|source| ReadError::file(path.clone(), source))
    }

    pub(super) fn open_for_reading(
        &self,
        path: &std::path::Path,
    ) -> Result<Option<Whisper<Prefixed>>, whisper::Error> {
        let file = match self.disk.open(path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if let Some(known) = file.beginning() {
            let file = Prefixed::known(file, &known.bytes);
            return Whisper::with_header(file, known.header.clone()).map(Some);
        }
        let file = Whisper::open(Prefixed::read(file, PREFIX_BYTES)?)?;
        file.storage().keep_beginning(file.header());
        Ok(Some(file))
    }

    /// The file that the series will get, holding the waiting points.
    pub(super) fn new_in_memory(
        &self,
        name: &str,
        waiting: &[(i64, f64)],
        now: i64,
    ) -> Result<Whisper<Patched<Zeros>>, whisper::Error> {
        let header = self.specs.spec_for(name).header()?;
        let mut storage = Patched::over(Zeros { size: header.file_bytes() })?;
        storage.write_at(&header.to_bytes(), 0)?;
        let mut file = Whisper::with_header(storage, header)?;
        file.update_many(waiting, now)?;
        Ok(file)
    }
}

/// The slots of the finest archive that the waiting points will fill, if filling them is all that will happen to what
/// the window shows: neither a point nor the window reaches beyond the archive's one round that ends now, so no point
/// pushes another one out of a slot.
fn slots_of_finest(
    finest: &Archive,
    window: Window,
    waiting: &[(i64, f64)],
    now: i64,
) -> Option<Vec<(i64, f64)>> {
    let newest = finest.align(now);
    let oldest = newest.saturating_sub(finest.retention());
    let in_round = |interval: i64| interval > oldest && interval <= newest && interval != 0;
    if !in_round(window.start) || !in_round(window.end - i64::from(window.step)) {
        return None;
    }
    // Older ones go to coarser archives.
    let fresh = waiting.iter().filter(|point| now.saturating_sub(point.0) <= finest.retention());
    let slots = fresh.map(|&(timestamp, value)| (finest.align(timestamp), value));
    slots.map(|slot| in_round(slot.0).then_some(slot)).collect()
}

fn consolidation(method: Method) -> Consolidation {
    match method {
        Method::Average => Consolidation::Average,
        Method::Sum => Consolidation::Sum,
        Method::Last => Consolidation::Last,
        Method::Max => Consolidation::Max,
        Method::Min => Consolidation::Min,
        Method::AvgZero => Consolidation::AverageZero,
        Method::AbsMax => Consolidation::AbsMax,
        Method::AbsMin => Consolidation::AbsMin,
    }
}
